package hooks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/seed-2c6e3a5a/hooks/internal/backoff"
	"github.com/seed-2c6e3a5a/hooks/internal/filter"
)

// A compiled hook is a hook made ready for matching and sending. The outline of a
// hook is a compiled one without endpoint and filter, which take time to make.
type compiled struct {
	hook     *Hook
	traits   Traits
	endpoint Endpoint
	filter   *filter.Filter // nil if the hook has none
	history  *filterHistory
	schedule []time.Duration
	timeout  time.Duration
	// batch is how many deliveries may share a request, gather how long they
	// wait for each other.
	batch  int
	gather time.Duration
	// filterTime is what the filter may take in Run.
	filterTime time.Duration
}

// outline returns the outline of a hook, or nil if its protocol is unknown. The
// hook must not be changed afterwards.
func (m *Manager) outline(h *Hook) *compiled {
	p, ok := m.protocols[h.Protocol]
	if !ok {
		return nil
	}
	c := &compiled{hook: h, traits: p.Traits(), history: &filterHistory{}, schedule: h.Schedule, timeout: h.Timeout}
	if len(c.schedule) == 0 {
		c.schedule = c.traits.Schedule
	}
	c.schedule = backoff.Bound(c.schedule)
	if c.timeout == 0 {
		c.timeout = c.traits.Timeout
	}
	c.timeout = min(c.timeout, m.cfg.Lease*3/4)
	c.batch = max(1, min(h.MaxBatch, c.traits.MaxBatch))
	// Half of the time that the lease leaves, see engine.
	spare := (m.cfg.Lease*7/8 - c.timeout) / 2
	c.gather, c.filterTime = min(h.BatchWindow, spare), min(runTime, c.timeout, spare)
	return c
}

// compile makes a hook ready, or says what is wrong with it.
func (m *Manager) compile(h *Hook) (*compiled, error) {
	c := m.outline(h)
	if c == nil {
		return nil, unknownProtocol(h.Protocol)
	}
	err := isolate(func() (err error) {
		c.endpoint, err = m.protocols[h.Protocol].Compile(*h)
		return err
	})
	if err != nil {
		return nil, err
	}
	if h.Filter != "" {
		if c.filter, err = filter.Compile(h.Filter); err != nil {
			return nil, &InvalidError{Field: "filter", Reason: err.Error()}
		}
	}
	return c, nil
}

// brokenHook takes the place of a stored hook that does not compile, for example
// because its protocol is no longer configured: its deliveries fail with the
// reason, on the given schedule if it has none itself.
func brokenHook(h *Hook, schedule []time.Duration, err error) *compiled {
	c := &compiled{hook: h, endpoint: brokenEndpoint{err}, schedule: h.Schedule, timeout: time.Second, batch: 1}
	if len(c.schedule) == 0 {
		c.schedule = schedule
	}
	c.schedule = backoff.Bound(c.schedule)
	return c
}

// A brokenEndpoint fails with the reason why its hook does not compile.
type brokenEndpoint struct{ err error }

func (e brokenEndpoint) Accepts(context.Context, *Event) (bool, error) { return false, e.err }

func (e brokenEndpoint) Request(context.Context, Send, []Message) (Request, error) {
	return Request{}, e.err
}

func (brokenEndpoint) Judge(Response) Verdict { return Verdict{} }

func (e brokenEndpoint) Verify(context.Context, Send) error { return e.err }

// An index holds all hooks in memory, so that the cost of finding those that
// want an event depends on their number alone. It holds outlines, and compiles a
// hook when it is first needed. It follows the store's changes: refresh reads them
// when the last read is older than maxAge or this Manager has changed something.
type index struct {
	store   Store
	outline func(*Hook) *compiled
	compile func(*Hook) (*compiled, error)
	// notify is called for each hook that was changed, report with the errors of
	// those that cannot be read.
	notify func(Ref)
	report func(error)

	// readAt is when the last complete read began, in Unix nanoseconds.
	readAt atomic.Int64
	// changesMade counts the changes made by this Manager, changesRead those of
	// them that the last complete read covers.
	changesMade, changesRead atomic.Int64
	// refreshing is held while the store is read, and guards revision. It is a
	// lock for which a context can end the wait.
	refreshing *semaphore.Weighted
	revision   int64

	mu      sync.RWMutex
	hooks   map[Ref]*indexed
	tenants map[string]*subscriptions
	damaged map[Ref]error
}

// An indexed hook is one in the index.
type indexed struct {
	hook    *Hook
	outline *compiled // nil if the protocol is unknown, or the hook cannot be read
	compile func(*Hook) (*compiled, error)
	// unopened says that Config.Open has failed for the hook, which may succeed later.
	unopened bool
	// replaced says that the index holds a later state of the hook, or none.
	replaced atomic.Bool

	once     sync.Once
	tried    atomic.Bool // compiled and err are set
	compiled *compiled
	err      error
}

// compileOnce returns the compiled hook, or why it does not compile. The first
// call compiles it.
func (x *indexed) compileOnce() (*compiled, error) {
	x.once.Do(func() {
		x.compiled, x.err = x.compile(x.hook)
		x.tried.Store(true)
	})
	return x.compiled, x.err
}

// subscriptions are the enabled hooks of a tenant by the patterns in their Events.
type subscriptions struct {
	exact  map[string][]*indexed
	prefix map[string][]*indexed // "order." for "order.*"
	all    []*indexed
}

const (
	// maxAge is how old the index may be. With the time of a read it stays
	// below the second that is promised.
	maxAge = 500 * time.Millisecond
	// changesPerRead bounds the memory of a read.
	changesPerRead = 1000
)

func newIndex(store Store, m *Manager, notify func(Ref), report func(error)) *index {
	return &index{
		store: store, outline: m.outline, compile: m.compile, notify: notify, report: report, refreshing: semaphore.NewWeighted(1),
		hooks: map[Ref]*indexed{}, tenants: map[string]*subscriptions{}, damaged: map[Ref]error{},
	}
}

// invalidate makes the next refresh read the store.
func (x *index) invalidate() { x.changesMade.Add(1) }

// refresh brings the index up to date.
func (x *index) refresh(ctx context.Context) error {
	if x.isFresh() {
		return nil
	}
	if err := x.refreshing.Acquire(ctx, 1); err != nil {
		return err
	}
	defer x.refreshing.Release(1)
	if x.isFresh() {
		return nil
	}
	changed, at := x.changesMade.Load(), time.Now().UnixNano()
	for {
		// Changes that come with an error count, so the next read continues after them.
		changes, failure := x.store.HookChanges(ctx, x.revision, changesPerRead)
		for _, err := range x.apply(changes) {
			x.report(err)
		}
		for i := range changes {
			x.notify(changes[i].Hook.Ref())
		}
		if len(changes) > 0 {
			x.revision = changes[len(changes)-1].Revision
		}
		if failure != nil {
			return failure
		}
		if len(changes) < changesPerRead {
			x.readAt.Store(at)
			x.changesRead.Store(changed)
			return nil
		}
	}
}

func (x *index) isFresh() bool {
	return x.changesRead.Load() == x.changesMade.Load() && time.Now().UnixNano()-x.readAt.Load() < int64(maxAge)
}

// apply returns the errors of hooks that cannot be read, except those that were
// reported before.
func (x *index) apply(changes []HookChange) (failures []error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, change := range changes {
		ref := change.Hook.Ref()
		if old := x.hooks[ref]; old != nil {
			old.replaced.Store(true)
			delete(x.hooks, ref)
			x.unsubscribe(old)
		}
		if change.Err != nil {
			var unopened *unopenedError
			entry := &indexed{hook: &Hook{Tenant: ref.Tenant, ID: ref.ID}, unopened: errors.As(change.Err, &unopened)}
			entry.compile = func(*Hook) (*compiled, error) { return nil, errUnreadable }
			reported := x.damaged[ref] != nil && x.damaged[ref].Error() == change.Err.Error() || unopened != nil && unopened.untried
			if !reported {
				failures = append(failures, change.Err)
			}
			x.damaged[ref], x.hooks[ref] = change.Err, entry
			continue
		}
		delete(x.damaged, ref)
		if change.Deleted {
			continue
		}
		h := change.Hook
		entry := &indexed{hook: &h, outline: x.outline(&h), compile: x.compile}
		x.hooks[ref] = entry
		x.subscribe(entry)
	}
	return failures
}

// errUnreadable is the error that the owner of a damaged hook sees.
var errUnreadable = errors.New("the hook cannot be read")

// checkReadable returns an error if a hook of the tenant cannot be read, because
// then nobody knows which events it wants. A hook whose tenant cannot be read
// either is no tenant's.
func (x *index) checkReadable(tenant string) error {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for ref, err := range x.damaged {
		if ref.Tenant == tenant && ref.ID != "" {
			return fmt.Errorf("hook %q: %w", ref.ID, err)
		}
	}
	return nil
}

func (x *index) subscribe(entry *indexed) {
	if entry.hook.Disabled {
		return
	}
	p := x.tenants[entry.hook.Tenant]
	if p == nil {
		p = &subscriptions{exact: map[string][]*indexed{}, prefix: map[string][]*indexed{}}
		x.tenants[entry.hook.Tenant] = p
	}
	for _, pattern := range entry.hook.Events {
		switch kind, name := splitPattern(pattern); kind {
		case matchAll:
			p.all = append(p.all, entry)
		case matchPrefix:
			p.prefix[name] = append(p.prefix[name], entry)
		default:
			p.exact[name] = append(p.exact[name], entry)
		}
	}
}

func (x *index) unsubscribe(entry *indexed) {
	p := x.tenants[entry.hook.Tenant]
	if p == nil {
		return
	}
	is := func(other *indexed) bool { return other == entry }
	remove := func(lists map[string][]*indexed, name string) {
		if lists[name] = slices.DeleteFunc(lists[name], is); len(lists[name]) == 0 {
			delete(lists, name)
		}
	}
	for _, pattern := range entry.hook.Events {
		switch kind, name := splitPattern(pattern); kind {
		case matchAll:
			p.all = slices.DeleteFunc(p.all, is)
		case matchPrefix:
			remove(p.prefix, name)
		default:
			remove(p.exact, name)
		}
	}
	if len(p.all)+len(p.exact)+len(p.prefix) == 0 {
		delete(x.tenants, entry.hook.Tenant)
	}
}

// match returns the enabled hooks whose Events name the event's type, each
// once.
func (x *index) match(e *Event) (found []*indexed) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	p := x.tenants[e.Tenant]
	if p == nil {
		return nil
	}
	lists := 0
	add := func(list []*indexed) {
		if len(list) > 0 {
			lists++
			found = append(found, list...)
		}
	}
	add(p.all)
	for prefix := range prefixes(e.Type) {
		add(p.prefix[prefix])
	}
	add(p.exact[e.Type])
	if lists < 2 {
		return found
	}
	// A hook may be in several lists.
	seen := make(map[*indexed]bool, len(found))
	return slices.DeleteFunc(found, func(entry *indexed) bool {
		again := seen[entry]
		seen[entry] = true
		return again
	})
}

// get returns a hook, or nil if there is none.
func (x *index) get(ref Ref) *indexed {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.hooks[ref]
}

// countTenants returns how many tenants have enabled hooks.
func (x *index) countTenants() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return len(x.tenants)
}
