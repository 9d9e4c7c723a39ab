package memory

import (
	"context"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

// Claim implements [hooks.Store].
func (s *Store) Claim(ctx context.Context, r hooks.ClaimRequest) (claimed []hooks.Claimed, next time.Time, err error) {
	if err := s.lock(ctx); err != nil {
		return nil, time.Time{}, err
	}
	defer s.mu.Unlock()
	s.claims++
	s.lastClaim = r.Now
	for l := s.upcoming.First(); l != nil && !l.due.After(r.Now); l = s.upcoming.First() {
		s.upcoming.Remove(l)
		s.joinTurns(l)
	}
	c := claim{Store: s, r: r, capacity: r.Limit}
	c.run()
	claimed = make([]hooks.Claimed, len(c.leased))
	for i, d := range c.leased {
		d.lane().waiting.Push(d)
		s.updateLane(d.lane())
		claimed[i] = hooks.Claimed{Delivery: d.Delivery, Event: d.event.Event}
	}
	if l := s.upcoming.First(); l != nil {
		next = l.due
	}
	return claimed, next, nil
}

// A claim is a call of Claim under way. It goes through the tenants that have a turn:
// it leases a delivery of each, from the lane whose turn it is, and moves tenant and
// lane to the end of their lists. It skips what has no delivery that it may lease.
type claim struct {
	*Store
	r        hooks.ClaimRequest
	capacity hooks.Capacity
	leased   []*delivery // out of their lanes
}

func (c *claim) run() {
	for t := c.ready.First(); t != nil && c.capacity.Deliveries > 0; {
		next := c.ready.Next(t)
		if c.serve(t) {
			next = c.ready.ToEnd(t)
		}
		t = next
	}
}

// serve leases a delivery of the tenant. It reports whether there was one that the
// claim may lease.
func (c *claim) serve(t *tenant) bool {
	if t.claim != c.claims {
		t.claim, t.turn, t.capacity = c.claims, t.ready.First(), c.r.TenantCapacity(t.name)
	}
	for l := t.turn; l != nil && t.capacity.Deliveries > 0; {
		next := t.ready.Next(l)
		d := c.firstDue(l)
		if d != nil && c.takeCapacity(l.queue) {
			c.lease(l, d)
			t.turn = t.ready.ToEnd(l)
			return true
		}
		if d == nil {
			c.updateLane(l)
		}
		l = next
	}
	t.turn = nil
	return false
}

// firstDue returns the first delivery of the lane if it is due.
func (c *claim) firstDue(l *lane) *delivery {
	d := l.waiting.First()
	if d == nil || d.due.After(c.r.Now) || l.due.After(c.r.Now) {
		return nil
	}
	return d
}

func (c *claim) lease(l *lane, d *delivery) {
	l.waiting.Remove(d)
	c.capacity.Take(d.event.Data)
	l.queue.tenant.capacity.Take(d.event.Data)
	d.State = hooks.Leased
	d.Lease = hooks.Lease{Owner: c.r.Owner, Token: d.Lease.Token + 1, Until: c.r.Until}
	d.due = c.r.Until
	c.leased = append(c.leased, d)
}

// takeCapacity takes the capacity for a delivery of the hook, and reports whether there
// was any.
func (c *claim) takeCapacity(q *queue) bool {
	if q.claim != c.claims {
		q.claim, q.capacity = c.claims, c.r.HookCapacity(q.ref)
	}
	q.capacity--
	return q.capacity >= 0
}
