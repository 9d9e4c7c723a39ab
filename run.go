package hooks

import (
	"context"
	"sync"
	"time"

	"github.com/seed-2c6e3a5a/hooks/internal/dispatch"
)

// An engine is what a running Manager consists of. It is in this file and in claim.go,
// deliver.go and settle.go.
//
//	Trigger ──commit──▶ dispatcher ──▶ workers ──▶ results ──▶ settler ──▶ store
//	                        ▲                                                │
//	                        └────────────────── claim loop ◀─────────────────┘
//
// Trigger stores a delivery as leased if the dispatcher has capacity for it, and hands
// it over in memory after the commit. The claim loop leases from the store whatever
// else is due. The dispatcher (package internal/dispatch) decides which delivery a free
// worker sends. Workers, at most Config.MaxInFlight, make one request at a time and put
// what became of the deliveries into results. The settler stores all results there are
// at once. No lock and no transaction is held during a request.
//
// A lease is trusted for a part of its time: an attempt starts only if the hook's
// timeout and an eighth of the lease fit into what is left of it. Otherwise the
// delivery is given back. So an attempt and its settlement end before others may take
// the delivery, as long as clocks differ by less than that eighth and the store accepts
// the settlement. If not, another Manager sends the delivery again, and the store
// refuses the late settlement by its fence token.
//
// A panic in application code is a failed attempt, and so is runtime.Goexit; the worker
// that it ends is replaced. A store that fails is called again after growing pauses,
// and the failure is reported to the log and the observer. Finished attempts wait in
// memory meanwhile, and workers pause if there are too many. A crash leaves leases that
// end.
type engine struct {
	m        *Manager
	dispatch *dispatcher
	results  *results

	// wakeup wakes the claim loop.
	wakeup chan struct{}
	mu     sync.Mutex
	// nextClaim is the earliest time for which a claim was requested since the last
	// one. Zero: none was. Guarded by mu.
	nextClaim time.Time
	// lastClaim is when the last claim began. Guarded by mu.
	lastClaim time.Time
	// disabling are the hooks being disabled. Guarded by mu.
	disabling map[Ref]bool

	// requests ends when the requests under way must be cut off.
	requests context.Context
	workers  sync.WaitGroup
	others   sync.WaitGroup
}

const (
	// notifyPause is the least time between claims that Wake or notifications of the
	// store cause, so that many of them do not cause as many claims.
	notifyPause = 10 * time.Millisecond
	// settleTimeout bounds one call of Settle.
	settleTimeout = 10 * time.Second
	purgeInterval = time.Minute
	purgeStep     = 500
	// deliveriesPerSlot and maxInMemory, in bytes of their events, bound the deliveries
	// that are in memory. resultsPerSlot and maxInMemory, in bytes of their responses,
	// bound the results that are not stored. The requests of those, and one of each slot,
	// are made again if the process is killed: fewer than 10 a slot.
	deliveriesPerSlot = 16
	resultsPerSlot    = 8
	maxInMemory       = 64 << 20
	// maxBatchData bounds the data of the events in a batch. A single event may have
	// more.
	maxBatchData = 1 << 20
)

// Run delivers until ctx ends. Then it starts no more requests, waits for those under
// way for Config.Grace at most, cancels the rest, gives their deliveries and all others
// that it has leased back to the store, and returns nil. The error is [ErrRunning], or
// says how many results the store did not accept at the end; those deliveries are sent
// again. Run may be called again after it has returned.
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
	e.results = newResults(resultsPerSlot*m.cfg.MaxInFlight, maxInMemory)
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

// claimAt wakes the claim loop at t.
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

// wake wakes the claim loop at once, or notifyPause after its last claim.
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
// Config.MaxLogPerHook, and what the dispatcher knows of deleted hooks.
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
