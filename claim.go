package hooks

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-2c6e3a5a/hooks/internal/backoff"
	"github.com/seed-2c6e3a5a/hooks/internal/dispatch"
)

// A dispatcher decides which delivery is sent next. Its queues are hooks, its items
// deliveries.
type dispatcher = dispatch.Dispatcher[Ref, item]

// An item is a leased delivery in memory.
type item struct {
	*Claimed
	hook *indexed // as it was when the item came; nil if it was gone
}

func (it item) waiting() dispatch.Item[item] {
	d := &it.Delivery
	return dispatch.Item[item]{Value: it, Size: len(it.Event.Data), Due: d.Due, Retry: d.Step > 0}
}

// limitsOf returns the limits of a hook. x is nil if the hook is gone.
func (m *Manager) limitsOf(x *indexed) dispatch.Limits {
	l := dispatch.Limits{InFlight: m.cfg.MaxInFlightPerHook, Batch: 1}
	if x == nil || x.outline == nil {
		return l
	}
	c := x.outline
	l.Batch, l.Gather = c.batch, c.gather
	if c.hook.MaxInFlight > 0 {
		l.InFlight = c.hook.MaxInFlight
	}
	if c.hook.RateLimit > 0 {
		l.Interval = time.Duration(float64(time.Second) / c.hook.RateLimit)
	}
	return l
}

// noteStored wakes the claim loop for deliveries that were stored as pending.
func (e *engine) noteStored(deliveries []Delivery) {
	at := now()
	for i := range deliveries {
		switch d := &deliveries[i]; {
		case d.State != Pending:
		case d.Due.After(at):
			e.claimAt(d.Due)
		default:
			e.dispatch.AddLeft(d.HookRef())
		}
	}
}

// claimBackoff is how long the claim loop waits after a claim that has failed.
var claimBackoff = backoff.Exponential{First: 100 * time.Millisecond, Max: 5 * time.Second}

// claim is the claim loop: it leases what is due whenever there is capacity for it,
// until ctx ends.
func (e *engine) claim(ctx context.Context) {
	if n, ok := e.m.store.(Notifier); ok {
		stop := n.Notify(func() { e.claimAt(now().Add(notifyPause)) })
		defer stop()
	}
	e.claimAt(now())
	var last time.Time
	for failures := 0; e.waitForClaim(ctx, last); {
		err := e.claimOnce(ctx)
		last = time.Now()
		if err == nil || ctx.Err() != nil {
			failures = 0
			continue
		}
		e.m.report("claim deliveries", err)
		sleep(ctx, claimBackoff.Delay(failures))
		failures++
		e.claimAt(now())
	}
}

// waitForClaim waits until a claim is requested, or PollInterval has passed since the
// last. It returns false when ctx has ended.
func (e *engine) waitForClaim(ctx context.Context, last time.Time) bool {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		next := last.Add(e.m.cfg.PollInterval)
		e.mu.Lock()
		if !e.nextClaim.IsZero() && e.nextClaim.Before(next) {
			next = e.nextClaim
		}
		wait := time.Until(next)
		if wait <= 0 {
			e.nextClaim, e.lastClaim = time.Time{}, time.Now()
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
	plan, ok := e.dispatch.PlanClaim(at)
	if !ok {
		return nil
	}
	if err := e.m.index.refresh(ctx); err != nil {
		return fmt.Errorf("read the hooks: %w", err)
	}
	claimed, next, err := e.m.store.Claim(ctx, e.claimRequest(plan))
	if err != nil {
		return err
	}
	arrivals := make([]dispatch.Arrival[Ref, item], len(claimed))
	for i := range claimed {
		ref := claimed[i].Delivery.HookRef()
		it := item{Claimed: &claimed[i], hook: e.m.index.get(ref)}
		arrivals[i] = dispatch.Arrival[Ref, item]{Key: ref, Limits: e.m.limitsOf(it.hook), Item: it.waiting()}
	}
	e.dispatch.AddClaimed(plan, arrivals)
	if !next.IsZero() {
		e.claimAt(next)
	}
	return nil
}

func (e *engine) claimRequest(c dispatch.Claim[Ref]) ClaimRequest {
	r := ClaimRequest{
		Owner: e.m.owner, Now: c.Now, Until: stamp(c.Now.Add(e.m.cfg.Lease)),
		Limit: capacityOf(c.Limit), PerTenant: capacityOf(c.PerTenant), Tenants: make(map[string]Capacity, len(c.Tenants)),
		PerHook: c.PerQueue, Hooks: c.Queues,
	}
	for tenant, of := range c.Tenants {
		r.Tenants[tenant] = capacityOf(of)
	}
	return r
}

func capacityOf(r dispatch.Capacity) Capacity {
	return Capacity{Deliveries: r.Items, Bytes: int64(r.Bytes)}
}
