package hooks

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/seed-2c6e3a5a/hooks/internal/dispatch"
)

// This file and its neighbours claim.go, deliver.go and settle.go are the
// engine. Who does what:
//
//	Trigger ──commit──▶ dispatcher ──▶ workers ──▶ results ──▶ settler ──▶ store
//	                        ▲                                                │
//	                        └────────────────── claim loop ◀─────────────────┘
//
// Trigger stores a delivery as leased, if the dispatcher has room for it, and
// hands it over in memory after the commit. Whatever else is due the claim loop
// leases from the store. The dispatcher (package internal/dispatch) says whose
// delivery a free worker sends. Workers, at most Config.MaxInFlight, make one
// request at a time, and leave what became of the deliveries in results, which the
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
// What a failure does: a panic in application code is a failed attempt, and so is its
// runtime.Goexit; the worker that this ends is replaced. A store that
// fails is asked again, with growing pauses, and told of in the log and to the
// observer; finished attempts wait in memory meanwhile, and workers pause when
// there are too many. A crash leaves leases that run out.
type engine struct {
	m        *Manager
	dispatch *dispatcher
	results  *results

	// wakeup wakes the claim loop.
	wakeup chan struct{}
	mu     sync.Mutex
	// due is when to claim next: the earliest time that anybody has named
	// since the last claim. Zero: none. Guarded by mu.
	nextClaim time.Time
	// claimed is when the last claim began. Guarded by mu.
	lastClaim time.Time
	// disabling are the hooks being disabled. Guarded by mu.
	disabling map[Ref]bool

	// requests ends when the requests under way are to be cut off.
	requests context.Context
	workers  sync.WaitGroup
	others   sync.WaitGroup
}

const (
	// notifyPause is the least time between claims that Wake or the store's own
	// notifications cause, so that a flood of them makes no flood of claims.
	notifyPause = 10 * time.Millisecond
	// settleTimeout bounds one call of Settle.
	settleTimeout = 10 * time.Second
	purgeInterval = time.Minute
	purgeStep     = 500
	// deliveriesPerSlot and maxInMemory, in bytes of their events, bound the
	// deliveries that are in memory, and as many results that are not stored.
	deliveriesPerSlot = 8
	maxInMemory       = 64 << 20
	// maxBatchData bounds the data of the events in a batch, but for a single
	// one.
	maxBatchData = 1 << 20
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
	requests, cancelRequests := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelRequests()
	storage, cancelStorage := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelStorage()
	e := newEngine(requests, m)
	if !m.engine.CompareAndSwap(nil, e) {
		return ErrRunning
	}
	e.dispatch.SetTenants(m.index.countTenants())
	e.others.Go(func() { e.purge(ctx) })
	e.others.Go(func() { e.reseal(ctx) })
	var lost error
	var settler sync.WaitGroup
	settler.Go(func() { lost = e.settle(storage) })
	e.claim(ctx)

	// The soft stop, then the hard one.
	m.engine.Store(nil)
	e.dispatch.Stop()
	hard := time.AfterFunc(m.cfg.Grace, cancelRequests)
	defer hard.Stop()
	e.results.unblock()
	e.dispatch.Drain()
	e.workers.Wait()
	giveUp := time.AfterFunc(settleTimeout, cancelStorage)
	defer giveUp.Stop()
	e.results.close()
	settler.Wait()
	e.others.Wait()
	m.send.transport.CloseIdleConnections()
	return lost
}

// Wake makes Run ask the store for due deliveries at once instead of after
// [Config].PollInterval. Call it after the commit of a transaction in which you
// used [Manager.TriggerTx]. It may be called at any time, also concurrently, and
// as often as you like, because Run asks at most once in 10 ms. It returns at
// once, and does nothing if Run is not running in this Manager.
func (m *Manager) Wake() {
	if e := m.engine.Load(); e != nil {
		e.wake()
	}
}

func newEngine(requests context.Context, m *Manager) *engine {
	e := &engine{m: m, wakeup: make(chan struct{}, 1), disabling: map[Ref]bool{}, requests: requests}
	e.results = newResults(deliveriesPerSlot*m.cfg.MaxInFlight, maxInMemory)
	e.dispatch = dispatch.New(dispatch.Config[Ref, item]{
		Slots:      m.cfg.MaxInFlight,
		Items:      deliveriesPerSlot * m.cfg.MaxInFlight,
		Bytes:      max(maxInMemory, 8*m.cfg.MaxPayload),
		BatchBytes: maxBatchData,
		Lease:      m.cfg.Lease,
		Tenant:     func(ref Ref) string { return ref.Tenant },
		Claim:      e.claimAt,
		GiveBack:   func(it item) { e.results.put(givenBack(it.Claimed)) },
		Spawn:      func() { e.workers.Go(e.work) },
	})
	return e
}

// dueAt has the claim loop claim at t.
func (e *engine) claimAt(t time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.claimAtLocked(t)
}

func (e *engine) claimAtLocked(t time.Time) {
	if !e.nextClaim.IsZero() && !t.Before(e.nextClaim) {
		return
	}
	e.nextClaim = t
	select {
	case e.wakeup <- struct{}{}:
	default:
	}
}

// wake has the claim loop claim at once, or notifyPause after its last claim.
func (e *engine) wake() {
	e.mu.Lock() // until the end: a claim that began meanwhile would be followed by another at once
	defer e.mu.Unlock()
	next := e.lastClaim.Add(notifyPause)
	if at := now(); next.Before(at) {
		next = at
	}
	e.claimAtLocked(next)
}

// purge removes, step by step, what is older than Config.Retention or more than
// Config.MaxLogPerHook, and what the dispatcher knows of hooks that are gone.
func (e *engine) purge(ctx context.Context) {
	for sleep(ctx, purgeInterval) {
		e.dispatch.Prune(func(ref Ref) bool { return e.m.index.get(ref) == nil })
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
