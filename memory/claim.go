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
	for l := s.later.First(); l != nil && !l.due.After(r.Now); l = s.later.First() {
		s.later.Remove(l)
		s.join(l)
	}
	c := claim{Store: s, r: r, room: r.Limit}
	c.run()
	claimed = make([]hooks.Claimed, len(c.leased))
	for i, d := range c.leased {
		d.lane().waiting.Push(d)
		s.place(d.lane())
		claimed[i] = hooks.Claimed{Delivery: d.Delivery, Event: d.event.Event}
	}
	if l := s.later.First(); l != nil {
		next = l.due
	}
	return claimed, next, nil
}

// A claim is a call of Claim under way. It goes along the line of the tenants:
// each gives a delivery, from the lane whose turn it is, and goes to the end, as
// the lane does in the tenant's line. What has none to give is passed over.
type claim struct {
	*Store
	r      hooks.ClaimRequest
	room   hooks.Capacity
	leased []*delivery // out of their lanes
}

func (c *claim) run() {
	for t := c.ready.first; t != nil && c.room.Deliveries > 0; {
		next := t.links.after
		if c.serve(t) {
			next = c.ready.toEnd(t)
		}
		t = next
	}
}

// serve leases a delivery of the tenant. It reports whether there was one that
// the claim may take.
func (c *claim) serve(t *tenant) bool {
	if t.claim != c.claims {
		t.claim, t.turn, t.room = c.claims, t.ready.first, c.r.TenantCapacity(t.name)
	}
	for l := t.turn; l != nil && t.room.Deliveries > 0; {
		next := l.links.after
		d := c.first(l)
		if d != nil && c.takeCapacity(l.queue) {
			c.lease(l, d)
			t.turn = t.ready.toEnd(l)
			return true
		}
		if d == nil {
			c.place(l)
		}
		l = next
	}
	t.turn = nil
	return false
}

// first returns the first delivery of the lane if it is due.
func (c *claim) first(l *lane) *delivery {
	d := l.waiting.First()
	if d == nil || d.due.After(c.r.Now) || l.due.After(c.r.Now) {
		return nil
	}
	return d
}

func (c *claim) lease(l *lane, d *delivery) {
	l.waiting.Remove(d)
	c.room.Take(d.event.Data)
	l.queue.tenant.room.Take(d.event.Data)
	d.State = hooks.Leased
	d.Lease = hooks.Lease{Owner: c.r.Owner, Token: d.Lease.Token + 1, Until: c.r.Until}
	d.due = c.r.Until
	c.leased = append(c.leased, d)
}

// takeCapacity takes the room of a delivery of the hook, if there is.
func (c *claim) takeCapacity(q *queue) bool {
	if q.claim != c.claims {
		q.claim, q.room = c.claims, c.r.HookCapacity(q.ref)
	}
	q.room--
	return q.room >= 0
}
