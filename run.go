package hooks

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// This file and buffer.go are the engine. Who does what:
//
//	Trigger ──commit──▶ buffer ──▶ workers ──▶ results ──▶ settler ──▶ store
//	                      ▲                                               │
//	                      └────────────────── claimer ◀───────────────────┘
//
// Trigger stores a delivery as leased, if the buffer has room for it, and hands
// it over in memory after the commit. Whatever else is due the claimer leases
// from the store. Config.MaxInFlight workers take deliveries from the buffer,
// one request at a time, and leave what became of them in results, which the
// settler stores, as many at once as there are. No lock and no transaction is
// held during a request.
//
// The trust in a lease: an attempt starts only if the hook's timeout and an
// eighth of the lease fit into what is left of it; otherwise the delivery goes
// back unsent. So an attempt and its settlement are over before others may take
// the delivery, as long as clocks differ by less than that eighth and the store
// takes the settlement. If not, the delivery is sent again by another, and the
// store refuses the late settlement by its token.
//
// What a failure does: a panic in host code is a failed attempt. A store that
// fails is asked again, with growing pauses, and told of in the log and to the
// observer; finished attempts wait in memory meanwhile, and workers pause when
// there are too many. A crash leaves leases that run out.
type engine struct {
	m       *Manager
	buffer  *buffer
	results *results

	// wakeup has the claimer look again.
	wakeup chan struct{}
	mu     sync.Mutex
	// due is when to claim next: the earliest time that anybody has named
	// since the last claim. Zero: none. Guarded by mu.
	due time.Time
	// disabling are the hooks being disabled. Guarded by mu.
	disabling map[Ref]bool

	workers sync.WaitGroup
	others  sync.WaitGroup
}

const (
	// notifyPause is the least time between claims that the store's own
	// notifications cause, so that a flood of them makes no flood of claims.
	notifyPause = 10 * time.Millisecond
	// settleTimeout bounds one call of Settle.
	settleTimeout = 10 * time.Second
	purgeInterval = time.Minute
	purgeStep     = 500
)

// ErrRunning is returned by Run when the Manager is running already.
var ErrRunning = errors.New("the manager is running already")

// Run delivers until ctx ends. Then it takes no more work, lets the requests
// under way finish within Config.Grace, cancels those that do not, gives their
// deliveries and all others that it holds back to the store, and returns nil.
// The error is [ErrRunning], or says how many results the store did not take at
// the end; those deliveries will be sent again. Run may be called again after
// it has returned.
func (m *Manager) Run(ctx context.Context) error {
	e := &engine{m: m, wakeup: make(chan struct{}, 1), disabling: map[Ref]bool{}}
	e.results = newResults(4 * m.cfg.MaxInFlight)
	e.buffer = newBuffer(m.cfg, e.dueAt, func(it item) { e.results.put(released(&it.Delivery)) })
	if !m.engine.CompareAndSwap(nil, e) {
		return ErrRunning
	}
	requests, cancelRequests := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelRequests()
	storage, cancelStorage := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelStorage()

	for range m.cfg.MaxInFlight {
		e.workers.Go(func() { e.work(requests) })
	}
	e.others.Go(func() { e.purge(ctx) })
	var lost error
	var settler sync.WaitGroup
	settler.Go(func() { lost = e.settle(storage) })
	e.claim(ctx)

	// The soft stop, then the hard one.
	m.engine.Store(nil)
	e.buffer.stop()
	hard := time.AfterFunc(m.cfg.Grace, cancelRequests)
	defer hard.Stop()
	e.results.unblock()
	e.buffer.drain()
	e.workers.Wait()
	giveUp := time.AfterFunc(settleTimeout, cancelStorage)
	defer giveUp.Stop()
	e.results.close()
	settler.Wait()
	e.others.Wait()
	m.send.transport.CloseIdleConnections()
	return lost
}

// dueAt has the claimer claim at t.
func (e *engine) dueAt(t time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.due.IsZero() && !t.Before(e.due) {
		return
	}
	e.due = t
	select {
	case e.wakeup <- struct{}{}:
	default:
	}
}

// stored takes note of deliveries that were stored as pending.
func (e *engine) stored(deliveries []Delivery) {
	e.buffer.left(deliveries)
	for i := range deliveries {
		if d := &deliveries[i]; d.State == Pending && d.Due.After(now()) {
			e.dueAt(d.Due)
		}
	}
}

// claim is the claimer: it leases what is due whenever there is room for it,
// until ctx ends.
func (e *engine) claim(ctx context.Context) {
	if n, ok := e.m.store.(Notifier); ok {
		stop := n.Notify(func() { e.dueAt(now().Add(notifyPause)) })
		defer stop()
	}
	e.dueAt(now())
	var last time.Time
	for failures := 0; e.waitForDue(ctx, last); {
		err := e.claimOnce(ctx)
		last = time.Now()
		if err == nil || ctx.Err() != nil {
			failures = 0
			continue
		}
		e.m.report("claim deliveries", err)
		sleep(ctx, min(100*time.Millisecond<<min(failures, 6), 5*time.Second))
		failures++
		e.dueAt(now())
	}
}

// waitForDue waits until somebody has asked for a claim, or PollInterval has
// passed since the last. It returns false when ctx has ended.
func (e *engine) waitForDue(ctx context.Context, last time.Time) bool {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		next := last.Add(e.m.cfg.PollInterval)
		e.mu.Lock()
		if !e.due.IsZero() && e.due.Before(next) {
			next = e.due
		}
		wait := time.Until(next)
		if wait <= 0 {
			e.due = time.Time{}
		}
		e.mu.Unlock()
		if wait <= 0 {
			return true
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-e.wakeup:
		}
	}
	return false
}

func (e *engine) claimOnce(ctx context.Context) error {
	at := now()
	r := ClaimRequest{Owner: e.m.owner, Now: at, Until: stamp(at.Add(e.m.cfg.Lease))}
	if !e.buffer.request(&r) {
		return nil
	}
	if err := e.m.index.refresh(ctx); err != nil {
		return fmt.Errorf("read the hooks: %w", err)
	}
	claimed, next, err := e.m.store.Claim(ctx, r)
	if err != nil {
		return err
	}
	items := make([]item, len(claimed))
	for i := range claimed {
		items[i] = item{Claimed: &claimed[i], hook: e.m.index.get(claimed[i].Delivery.HookRef())}
		items[i].compiled() // Here, since the buffer asks for it under its lock.
	}
	e.buffer.claimed(r, items)
	if !next.IsZero() {
		e.dueAt(next)
	}
	return nil
}

// work is a worker: it sends what the buffer gives it.
func (e *engine) work(ctx context.Context) {
	d := newDeadline(ctx)
	defer d.close()
	var items []item
	for {
		clear(items)
		items = e.buffer.take(items[:0])
		if len(items) == 0 {
			return
		}
		e.buffer.done(items[0].lane, e.deliver(d, items))
		e.results.wait()
	}
}

// deliver makes one request for deliveries of one hook and leaves the results
// for the settler.
func (e *engine) deliver(d *deadline, items []item) outcome {
	began := time.Now()
	c, gone := e.hook(items[0])
	if gone != "" {
		for _, it := range items {
			e.results.put(cancelled(&it.Delivery, gone))
		}
		return outcome{}
	}
	// The hook may have changed since the items were taken for a batch.
	most := min(len(items), c.batch)
	for _, it := range items[most:] {
		e.results.put(released(&it.Delivery))
	}
	items = items[:most]
	until := items[0].Delivery.Lease.Until
	for _, it := range items {
		if it.Delivery.Lease.Until.Before(until) {
			until = it.Delivery.Lease.Until
		}
	}
	if until.Sub(began) < c.timeout+e.m.cfg.Lease/8 {
		for _, it := range items {
			e.results.put(released(&it.Delivery))
		}
		return outcome{}
	}
	result := e.m.attempt(d.start(began.Add(c.timeout)), e.m.send, c, items, began)
	d.stop()
	o := outcome{success: result.verdict.Success, failed: !result.verdict.Success && !result.interrupted()}
	if o.failed {
		o.slow = result.verdict.Throttle || result.verdict.Disable != "" || result.response.class() == ClassTimeout
		if result.verdict.Throttle {
			o.throttled = result.throttledUntil(e.buffer.failuresOf(items[0].lane))
		}
	}
	for i, it := range items {
		e.results.put(finished(&it.Delivery, c, result, i, o.throttled))
	}
	if result.verdict.Disable != "" {
		// Nothing more is sent while the hook is being disabled.
		o.throttled = result.ended.Add(settleTimeout)
	}
	return o
}

// hook returns the item's hook as it is now, or why it gets nothing any more.
func (e *engine) hook(it item) (c *compiled, gone string) {
	x := it.hook
	if x == nil || x.replaced.Load() {
		x = e.m.index.get(it.Delivery.HookRef())
	}
	if x == nil {
		return nil, "the hook was deleted"
	}
	if x.hook.Disabled {
		return nil, "the hook is disabled"
	}
	c, err := x.get()
	if err != nil {
		return brokenHook(x.hook, err), ""
	}
	if c.traits.RequireVerified && !c.hook.Verified {
		return nil, "the hook is not verified"
	}
	return c, ""
}

// settle is the settler: it stores results until they are closed and empty, or
// ctx ends.
func (e *engine) settle(ctx context.Context) error {
	var b batch
	for e.results.take(&b) {
		for failures := 0; ; failures++ {
			settled, err := e.settleOnce(ctx, b.settlements)
			if err == nil {
				e.settled(ctx, b, settled)
				break
			}
			e.m.report("store the results of deliveries", err)
			if !sleep(ctx, min(50*time.Millisecond<<min(failures, 7), 5*time.Second)) {
				n := len(b.about)
				if e.results.take(&b) {
					n += len(b.about)
				}
				return fmt.Errorf("%d results could not be stored, their deliveries will be sent again: %w", n, err)
			}
		}
	}
	return nil
}

func (e *engine) settleOnce(ctx context.Context, s []Settlement) ([]Settled, error) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	return e.m.store.Settle(ctx, now(), s)
}

// settled acts on what the store now holds.
func (e *engine) settled(ctx context.Context, b batch, settled []Settled) {
	for i := range b.settlements {
		s, d := &b.settlements[i], b.about[i].delivery
		switch err := settled[i].Err; {
		case err != nil && !errors.Is(err, ErrLeaseLost):
			e.m.report("store the result of delivery "+s.DeliveryID, err)
			continue
		case err != nil:
			e.m.log.Warn("hooks: a result was refused because the lease had been lost; another took the delivery",
				"delivery", s.DeliveryID, "error", settled[i].Err)
			continue
		}
		if s.State == Pending {
			e.dueAt(s.Due)
		} else if d.Key != "" {
			e.dueAt(now())
		}
		if s.Attempt == nil {
			continue
		}
		if observer := e.m.cfg.Observer.Attempt; observer != nil {
			e.m.observe(func() { observer(*d, *s.Attempt) })
		}
		reason := b.about[i].disable
		if reason == "" {
			reason = e.failedTooLong(settled[i].Health, s.Reason)
		}
		if reason != "" {
			e.disable(ctx, d.HookRef(), reason)
		}
	}
}

// failedTooLong says why to disable a hook with this health, or "".
func (e *engine) failedTooLong(h Health, lastError string) string {
	after := e.m.cfg.DisableAfter
	if after <= 0 || h.FailingSince.IsZero() || now().Sub(h.FailingSince) < after {
		return ""
	}
	return fmt.Sprintf("no delivery has succeeded since %s; the last error: %s", h.FailingSince.Format(time.RFC3339), lastError)
}

// disable disables a hook, beside the settler and once at a time.
func (e *engine) disable(ctx context.Context, ref Ref, reason string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.disabling[ref] {
		return
	}
	e.disabling[ref] = true
	e.others.Go(func() {
		e.disableNow(ctx, ref, reason)
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.disabling, ref)
	})
}

var errNothingToDo = errors.New("nothing to do")

func (e *engine) disableNow(ctx context.Context, ref Ref, reason string) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	h, err := e.m.Update(ctx, ref.Tenant, ref.ID, func(h *Hook) error {
		if h.Disabled {
			return errNothingToDo
		}
		h.Disabled, h.DisabledReason = true, reason
		return nil
	})
	switch {
	case errors.Is(err, errNothingToDo), errors.Is(err, ErrNotFound):
	case err != nil:
		e.m.report("disable a hook", err)
	default:
		e.m.log.Warn("hooks: disabled a hook", "tenant", ref.Tenant, "hook", ref.ID, "reason", reason)
		if observer := e.m.cfg.Observer.HookDisabled; observer != nil {
			e.m.observe(func() { observer(h) })
		}
	}
}

// purge removes, step by step, what is older than Config.Retention or more than
// Config.MaxLogPerHook, and what the buffer knows of hooks that are gone.
func (e *engine) purge(ctx context.Context) {
	for sleep(ctx, purgeInterval) {
		e.buffer.prune(func(ref Ref) bool { return e.m.index.get(ref) == nil })
		r := PurgeRequest{KeepPerHook: e.m.cfg.MaxLogPerHook, Limit: purgeStep}
		if e.m.cfg.Retention > 0 {
			r.Before = stamp(now().Add(-e.m.cfg.Retention))
		}
		for n := r.Limit; n == r.Limit && (e.m.cfg.Retention > 0 || r.KeepPerHook > 0) && ctx.Err() == nil; {
			var err error
			if n, err = e.m.store.Purge(ctx, r); err != nil && ctx.Err() == nil {
				e.m.report("purge the log", err)
			}
		}
	}
}
