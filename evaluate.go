package hooks

import (
	"context"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-2c6e3a5a/hooks/internal/filter"
)

// This file evaluates the filters of hooks for Trigger, within the time that
// there is for them; decide.go does so for Run. A filter that takes long needs a
// slot, see filterslots.go.

const (
	// quickTime is how long the filters of an event may take together without a
	// slot.
	quickTime = 5 * time.Millisecond
	// triggerTime is how long they may take in all. For a batch of events, it is
	// longer by as much each time that their number doubles.
	triggerTime = 100 * time.Millisecond
	// slowPeriod is how long a filter counts as slow that could not be evaluated in
	// its share of that time: Trigger leaves it undecided, and Run evaluates it.
	slowPeriod = 10 * time.Second
	// maxCompileSize bounds the filter and settings, in bytes, of hooks that
	// Trigger compiles. Run compiles the others, and Trigger leaves them undecided
	// until then.
	maxCompileSize = 4 << 10
	// maxQuickCompileSize is the bound for those that it compiles without a slot.
	maxQuickCompileSize = 256
)

// A verdict says whether a hook wants an event.
type verdict int

const (
	undecided verdict = iota // There was not enough time.
	wanted
	unwanted
)

// A match is a hook whose Events name an event's type.
type match struct {
	hook *indexed
	verdict
}

// matchAll finds, for each event, the hooks that want it and those for which
// that is undecided. The error is ctx's.
func (m *Manager) matchAll(ctx context.Context, entries []Entry) ([][]match, error) {
	budget := time.Duration(bits.Len(uint(len(entries)))) * triggerTime
	all := make([][]match, len(entries))
	for i := range entries {
		share := min(budget/time.Duration(len(entries)-i), triggerTime)
		matches, took, err := m.matchEvent(ctx, entries[i].Event, share)
		if err != nil {
			return nil, err
		}
		all[i], budget = matches, budget-took
	}
	return all, nil
}

// matchEvent is matchAll for one event, within the limit. It returns how much of
// that it took.
func (m *Manager) matchEvent(ctx context.Context, e *Event, limit time.Duration) (matches []match, took time.Duration, err error) {
	found := m.index.match(e)
	matches = make([]match, len(found))
	filtered := false
	for i, x := range found {
		matches[i].hook = x
		if !x.unfiltered() && x.outline != nil {
			filtered = true
			continue
		}
		matches[i].verdict = wanted
		if _, err := x.compileOnce(); err != nil {
			m.reportFilter(x.hook, e, err)
			filtered, matches[i].verdict = true, unwanted
		}
	}
	if !filtered {
		return matches, 0, nil
	}
	f := filtering{m: m, ctx: ctx, event: e, view: viewOf(e), matches: matches}
	began := time.Now()
	remaining, err := f.pass(began.Add(min(quickTime, limit)), false)
	if err == nil && remaining > 0 && m.filterSlots.tryAcquire(e.Tenant) {
		err = f.passInSlot(began.Add(limit))
	}
	if err != nil {
		return nil, 0, err
	}
	matches = slices.DeleteFunc(matches, func(x match) bool { return x.verdict == unwanted })
	return matches, max(0, time.Since(began)-f.decoding), nil
}

// unfiltered reports whether the hook wants all events that its Events name.
func (x *indexed) unfiltered() bool {
	return x.hook.Filter == "" && x.hook.Protocol == StandardWebhooks
}

// A filtering evaluates the filters of the hooks that match an event.
type filtering struct {
	m       *Manager
	ctx     context.Context
	event   *Event
	view    filter.Event // the event as filters see it
	matches []match
	// decoding is how long it took to decode the event, which is no hook's doing.
	decoding time.Duration
}

// viewOf returns an event as filters see it.
func viewOf(e *Event) filter.Event {
	return filter.Event{Type: e.Type, Tenant: e.Tenant, Time: e.Time, Data: e.Data, Metadata: e.Metadata}
}

// pass evaluates the filters that are undecided, each in its share of the time
// until then, and returns how many remain that it might decide in more time.
// Without a slot, it leaves out those that take long to compile.
func (f *filtering) pass(until time.Time, hasSlot bool) (remaining int, err error) {
	began := time.Now()
	var todo []*match
	for i := range f.matches {
		switch x := &f.matches[i]; {
		case x.verdict != undecided || x.hook.isDeferred(began):
		case !hasSlot && x.compileSize(&f.view) > maxQuickCompileSize:
			remaining++
		default:
			todo = append(todo, x)
		}
	}
	if hasSlot { // Compiling cannot be interrupted, so what takes longest comes last.
		slices.SortStableFunc(todo, func(a, b *match) int { return a.compileSize(&f.view) - b.compileSize(&f.view) })
	}
	for i, x := range todo {
		if err := f.ctx.Err(); err != nil {
			return 0, err
		}
		now := time.Now()
		share := until.Add(f.decoding).Sub(now) / time.Duration(len(todo)-i)
		if share <= 0 {
			remaining++
			continue
		}
		if err := f.evaluate(x, share); err != nil {
			return 0, err
		}
		if x.verdict == undecided {
			remaining++
			if hasSlot || share >= time.Millisecond {
				x.hook.compiled.history.markSlow(now)
			}
		}
	}
	return remaining, nil
}

// passInSlot is pass with a slot, which it releases.
func (f *filtering) passInSlot(until time.Time) error {
	defer f.m.filterSlots.release(f.event.Tenant)
	_, err := f.pass(until, true)
	return err
}

// isDeferred reports whether Trigger leaves the hook's filter to Run.
func (x *indexed) isDeferred(now time.Time) bool {
	if !x.tried.Load() {
		return x.textSize() > maxCompileSize
	}
	return x.err == nil && x.compiled.history.isSlow(now)
}

// textSize is the size of what makes a hook slow to compile.
func (x *indexed) textSize() int { return len(x.hook.Filter) + len(x.hook.Settings) }

// compileSize is the size of the text that has to be compiled before the event
// can be filtered.
func (x *match) compileSize(e *filter.Event) int {
	if !x.hook.tried.Load() {
		return x.hook.textSize()
	}
	if x.hook.err == nil {
		if f := x.hook.compiled.filter; f != nil && f.NeedsCompiling(e) {
			return len(x.hook.hook.Filter)
		}
	}
	return 0
}

// evaluate decides a match, if it can be in that time. The error is f.ctx's.
func (f *filtering) evaluate(x *match, limit time.Duration) error {
	if o := x.hook.outline; o.traits.RequireVerified && !o.hook.Verified {
		x.verdict = unwanted
		return nil
	}
	began := time.Now()
	c, err := x.hook.compileOnce()
	if err == nil {
		if c.filter != nil && c.filter.UsesData() && !f.view.Decoded() {
			f.view.Decode()
			f.decoding = time.Since(began)
		}
		x.verdict, err = c.decide(f.ctx, f.event, &f.view, began.Add(limit+f.decoding))
	}
	if err == nil {
		return nil
	}
	if f.ctx.Err() != nil {
		return f.ctx.Err()
	}
	x.verdict = unwanted
	f.m.reportFilter(x.hook.hook, f.event, err)
	return nil
}

// decide evaluates the hook's filter, until then. An error is either ctx's or
// the filter's, which then does not let the event through.
func (c *compiled) decide(ctx context.Context, e *Event, view *filter.Event, until time.Time) (verdict, error) {
	s := &share{Context: ctx, until: until}
	defer s.close()
	ok, err := c.accepts(s, e, view)
	switch {
	case err != nil && ctx.Err() != nil:
		return undecided, ctx.Err()
	case err != nil && s.Err() != nil:
		return undecided, nil
	}
	c.history.decided()
	if ok && err == nil {
		return wanted, nil
	}
	return unwanted, err
}

func (c *compiled) accepts(ctx context.Context, e *Event, view *filter.Event) (ok bool, err error) {
	if c.filter != nil {
		if ok, err = c.filter.Match(ctx, view); !ok || err != nil {
			return false, err
		}
	}
	err = contain(func() (err error) {
		ok, err = c.endpoint.Accepts(ctx, e)
		return err
	})
	return ok, err
}

// A share is the time that a filter has, as a context. Err compares the current
// time, because timers are late when the processors are busy.
type share struct {
	context.Context
	until time.Time

	mu     sync.Mutex
	ending context.Context // made when Done is first called
	cancel context.CancelFunc
}

func (s *share) Deadline() (time.Time, bool) {
	if at, ok := s.Context.Deadline(); ok && at.Before(s.until) {
		return at, true
	}
	return s.until, true
}

func (s *share) Err() error {
	if err := s.Context.Err(); err != nil {
		return err
	}
	if !time.Now().Before(s.until) {
		return context.DeadlineExceeded
	}
	return nil
}

func (s *share) Done() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending == nil {
		s.ending, s.cancel = context.WithDeadline(s.Context, s.until)
	}
	return s.ending.Done()
}

// close frees what Done has made.
func (s *share) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancel != nil {
		s.cancel()
	}
}

// A filterHistory is what is known of the latest evaluations of a hook's filter. It
// may be used concurrently.
type filterHistory struct {
	slowUntil atomic.Int64 // in Unix nanoseconds
	timeouts  atomic.Int64 // in Run, in a row
	since     atomic.Int64 // when the first of them was, in Unix nanoseconds
}

func (h *filterHistory) markSlow(now time.Time) { h.slowUntil.Store(now.Add(slowPeriod).UnixNano()) }

// isSlow reports whether the filter has been marked as slow within slowPeriod.
func (h *filterHistory) isSlow(now time.Time) bool { return now.UnixNano() < h.slowUntil.Load() }

// decided notes that the filter was evaluated in time.
func (h *filterHistory) decided() {
	if h.timeouts.Load() != 0 {
		h.timeouts.Store(0)
	}
}

// timedOut notes that Run could not evaluate the filter in time. It returns how
// often in a row that was so, and since when.
func (h *filterHistory) timedOut(now time.Time) (inARow int64, since time.Time) {
	if inARow = h.timeouts.Add(1); inARow == 1 {
		h.since.Store(now.UnixNano())
	}
	return inARow, time.Unix(0, h.since.Load())
}
