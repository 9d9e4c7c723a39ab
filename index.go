package hooks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A compiled hook is a hook made ready for matching and sending. Its outline
// lacks endpoint and filter, which take time to make.
type compiled struct {
	hook     *Hook
	traits   Traits
	endpoint Endpoint
	filter   *filter
	pace     *pace
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
	c := &compiled{hook: h, traits: p.Traits(), pace: &pace{}, schedule: h.Schedule, timeout: h.Timeout}
	if len(c.schedule) == 0 {
		c.schedule = c.traits.Schedule
	}
	c.schedule = bounded(c.schedule)
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
		if c.filter, err = compileFilter(h.Filter); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// An index holds all hooks in memory, so that the cost of finding those that
// want an event depends on their number alone. It follows the store's changes:
// refresh reads them when the last look is older than maxStale or something
// was changed here.
type index struct {
	store   Store
	outline func(*Hook) *compiled
	compile func(*Hook) (*compiled, error)
	// notify is told of each hook that was changed, report of those that
	// cannot be read.
	notify func(Ref)
	report func(error)

	// syncedAt is when the last complete look began, in Unix nanoseconds.
	syncedAt atomic.Int64
	// changed counts the changes made here, seen those of them that the last
	// complete look covers.
	changed, seen atomic.Int64
	// looking holds a value during a look and guards revision. It is a lock
	// that a context can end the wait for.
	looking  chan struct{}
	revision int64

	mu      sync.RWMutex
	hooks   map[Ref]*indexed
	tenants map[string]*patterns
	damaged map[Ref]error
}

// indexed is a hook in the index. It is compiled when it is first wanted.
type indexed struct {
	hook    *Hook
	outline *compiled // nil if the protocol is unknown, or the hook cannot be read
	compile func(*Hook) (*compiled, error)
	// unopened says that the hook can be read later, perhaps.
	unopened bool
	// replaced says that the index holds a later state of the hook, or none.
	replaced atomic.Bool

	once     sync.Once
	done     atomic.Bool
	compiled *compiled
	err      error
}

func (x *indexed) get() (*compiled, error) {
	x.once.Do(func() {
		x.compiled, x.err = x.compile(x.hook)
		x.done.Store(true)
	})
	return x.compiled, x.err
}

// patterns holds a tenant's enabled hooks by what they subscribe to.
type patterns struct {
	exact  map[string][]*indexed
	prefix map[string][]*indexed // "order." for "order.*"
	all    []*indexed
}

const (
	// maxStale is how old the index may be; with the time of a look it stays
	// below the second that is promised.
	maxStale = 500 * time.Millisecond
	// changesPerRead bounds the memory of a look.
	changesPerRead = 1000
)

func newIndex(store Store, m *Manager, notify func(Ref), report func(error)) *index {
	return &index{
		store: store, outline: m.outline, compile: m.compile, notify: notify, report: report, looking: make(chan struct{}, 1),
		hooks: map[Ref]*indexed{}, tenants: map[string]*patterns{}, damaged: map[Ref]error{},
	}
}

// invalidate has the next refresh look at the store.
func (x *index) invalidate() { x.changed.Add(1) }

// refresh brings the index up to date.
func (x *index) refresh(ctx context.Context) error {
	if x.fresh() {
		return nil
	}
	select {
	case x.looking <- struct{}{}:
		defer func() { <-x.looking }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if x.fresh() {
		return nil
	}
	changed, at := x.changed.Load(), time.Now().UnixNano()
	for {
		// What comes with an error counts, so that the next look goes on from there.
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
			x.syncedAt.Store(at)
			x.seen.Store(changed)
			return nil
		}
	}
}

func (x *index) fresh() bool {
	return x.seen.Load() == x.changed.Load() && time.Now().UnixNano()-x.syncedAt.Load() < int64(maxStale)
}

// apply returns the errors of hooks that cannot be read and could be before.
func (x *index) apply(changes []HookChange) (fresh []error) {
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
			told := x.damaged[ref] != nil && x.damaged[ref].Error() == change.Err.Error() || unopened != nil && unopened.untried
			if !told {
				fresh = append(fresh, change.Err)
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
	return fresh
}

// errUnreadable is what the owner of a hook is told that is damaged.
var errUnreadable = errors.New("the hook cannot be read")

// check returns an error if a hook of the tenant cannot be read, so that nobody
// knows what it wants. One that does not even tell its tenant is nobody's.
func (x *index) check(tenant string) error {
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
		p = &patterns{exact: map[string][]*indexed{}, prefix: map[string][]*indexed{}}
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
