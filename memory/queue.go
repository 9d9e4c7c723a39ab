package memory

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/internal/heap"
	"github.com/seed-2c6e3a5a/hooks/store"
)

type chainKey struct {
	hooks.Ref
	key string
}

// A chain is the deliveries of one hook and ordering key that have not ended,
// or are held.
type chain struct {
	head    *delivery // pending, leased or held
	blocked heap.Heap[delivery]
}

func (d *delivery) chainKey() chainKey { return chainKey{d.HookRef(), d.OrderingKey} }

// Enqueue implements [hooks.Tx].
func (s *Store) Enqueue(ctx context.Context, now time.Time, entries []hooks.Entry) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if err := s.checkUnused(entries); err != nil {
		return err
	}
	s.enqueue(now, entries)
	return nil
}

// checkUnused refuses events whose ID is that of a stored event or of another entry.
func (s *Store) checkUnused(entries []hooks.Entry) error {
	var seen map[eventKey]bool
	if len(entries) > 1 {
		seen = make(map[eventKey]bool, len(entries))
	}
	for _, entry := range entries {
		key := eventKey{entry.Event.Tenant, entry.Event.ID}
		if s.events[key] != nil || seen[key] {
			return fmt.Errorf("event %q: %w", key.id, hooks.ErrDuplicate)
		}
		if seen != nil {
			seen[key] = true
		}
	}
	return nil
}

func (s *Store) enqueue(now time.Time, entries []hooks.Entry) {
	pending := false
	for _, entry := range entries {
		e := s.addEvent(entry.Event, now, len(entry.Deliveries))
		if e.remaining == 0 {
			s.trim()
			continue
		}
		for i := range entry.Deliveries {
			d := s.addDelivery(e, entry.Deliveries[i])
			s.admit(d)
			pending = pending || d.State == hooks.Pending
		}
	}
	if pending {
		s.notify()
	}
}

// addEvent adds an event with so many deliveries, which are still to be added.
func (s *Store) addEvent(e *hooks.Event, triggered time.Time, deliveries int) *event {
	s.sequence++
	added := &event{
		Event: e, sequence: s.sequence, triggered: triggered,
		deliveries: make([]delivery, 0, deliveries), remaining: deliveries, open: deliveries,
	}
	s.events[eventKey{e.Tenant, e.ID}] = added
	if deliveries == 0 {
		s.withoutDeliveries.Push(added)
		s.countEvent(added)
	}
	return added
}

// addDelivery adds a delivery to its event. It is in no lane and no chain yet.
func (s *Store) addDelivery(e *event, added hooks.Delivery) *delivery {
	n := len(e.deliveries)
	e.deliveries = e.deliveries[:n+1] // There is room, so that none of them moves.
	d := &e.deliveries[n]
	s.sequence++
	d.Delivery, d.event, d.sequence = added, e, s.sequence
	d.queue = s.queue(d.HookRef())
	d.queue.all.Push(d)
	s.deliveries[d.ID] = d
	return d
}

// chain returns the chain of the delivery, which is made if there is none.
func (s *Store) chain(d *delivery) *chain {
	c := s.chains[d.chainKey()]
	if c == nil {
		c = &chain{blocked: heap.New(
			func(a, b *delivery) bool { return a.sequence < b.sequence },
			func(d *delivery) *int { return &d.index },
		)}
		s.chains[d.chainKey()] = c
	}
	return c
}

// admit adds a pending or leased delivery to its lane, or blocks it if its ordering key
// is in use.
func (s *Store) admit(d *delivery) {
	if d.OrderingKey != "" {
		c := s.chain(d)
		if c.head != nil && c.head != d {
			d.State = hooks.Blocked
			c.blocked.Push(d)
			return
		}
		c.head = d
	}
	s.addToLane(d)
}

// end ends a delivery that is in no lane and no heap any more, and releases the next
// of its ordering key unless it is held.
func (s *Store) end(d *delivery, now time.Time, state hooks.State, held bool) {
	d.State, d.Held, d.EndedAt, d.Due = state, held, now, time.Time{}
	d.queue.ended.Remove(d) // It may have been held.
	d.queue.ended.Push(d)
	if !held {
		s.release(d, now)
	}
}

// release counts an ended delivery that is not held, and makes the next of its ordering
// key pending.
func (s *Store) release(d *delivery, now time.Time) {
	d.Held = false
	s.addEnded(d)
	if d.OrderingKey == "" {
		return
	}
	if c := s.chains[d.chainKey()]; c != nil && c.head == d {
		c.head = nil
		next := c.blocked.First()
		if next == nil {
			delete(s.chains, d.chainKey())
			return
		}
		c.blocked.Remove(next)
		next.State, next.Due = hooks.Pending, now
		s.admit(next)
		s.notify()
	}
}

// Settle implements [hooks.Store].
func (s *Store) Settle(ctx context.Context, now time.Time, settlements []hooks.Settlement) ([]hooks.Settled, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	settled := make([]hooks.Settled, len(settlements))
	for i := range settlements {
		settled[i] = s.settle(now, &settlements[i])
	}
	s.trim()
	return settled, nil
}

func (s *Store) settle(now time.Time, st *hooks.Settlement) hooks.Settled {
	d := s.deliveries[st.DeliveryID]
	if d == nil || d.State != hooks.Leased || d.Lease.Token != st.Token {
		return hooks.Settled{LeaseLost: true}
	}
	s.removeFromLane(d)
	d.Lease = hooks.Lease{Token: d.Lease.Token}
	d.Reason, d.Undecided = st.Reason, st.Undecided
	if st.Attempt != nil {
		d.Attempts++
		d.log(st.Attempt)
	}
	if st.State == hooks.Pending {
		d.State, d.Due, d.Step = hooks.Pending, st.Due, st.Step
		s.addToLane(d)
		if !d.Due.After(now) {
			s.notify()
		}
	} else {
		s.end(d, now, st.State, st.State == hooks.Dead && st.Hold && d.OrderingKey != "" && d.queue.hook != nil)
	}
	h := d.queue.hook
	if h == nil {
		return hooks.Settled{}
	}
	throttled := h.Health.ThrottledUntil
	h.Health = h.Health.After(*st, now)
	if !h.Health.ThrottledUntil.Equal(throttled) {
		s.updateLanes(d.queue)
	}
	return hooks.Settled{Health: h.Health}
}

// log adds an attempt, and drops the response to the one before it unless that is
// kept.
func (d *delivery) log(a *hooks.Attempt) {
	if last := len(d.attempts) - 1; last >= 0 && !store.KeepsResponse(d.attempts[last].Number) {
		thinned := *d.attempts[last] // The stored one may be in use elsewhere.
		if r := &thinned.Response; len(r.Header) > 0 || len(r.Body) > 0 {
			r.Header, r.Body, r.Dropped = nil, nil, true
			d.attempts[last] = &thinned
		}
	}
	d.attempts = append(d.attempts, a)
}

// updateLanes updates the lanes of a queue.
func (s *Store) updateLanes(q *queue) {
	for i := range q.lanes {
		s.updateLane(&q.lanes[i])
	}
}

// Redeliver implements [hooks.Store].
func (s *Store) Redeliver(ctx context.Context, now time.Time, tenant, deliveryID string) (hooks.Delivery, error) {
	if err := s.lock(ctx); err != nil {
		return hooks.Delivery{}, err
	}
	defer s.mu.Unlock()
	d, err := s.find(tenant, deliveryID)
	if err != nil {
		return hooks.Delivery{}, err
	}
	if !d.State.Ended() {
		return hooks.Delivery{}, fmt.Errorf("delivery %q is %s: %w", deliveryID, d.State, hooks.ErrConflict)
	}
	s.removeEnded(d)
	d.State, d.Due, d.Step = hooks.Pending, now, 0
	d.EndedAt, d.Held, d.Reason = time.Time{}, false, ""
	s.admit(d)
	s.notify()
	return d.Delivery, nil
}

// Cancel implements [hooks.Store].
func (s *Store) Cancel(ctx context.Context, now time.Time, tenant, deliveryID, reason string) (hooks.Delivery, error) {
	if err := s.lock(ctx); err != nil {
		return hooks.Delivery{}, err
	}
	defer s.mu.Unlock()
	d, err := s.find(tenant, deliveryID)
	if err != nil {
		return hooks.Delivery{}, err
	}
	switch {
	case d.State == hooks.Blocked:
		s.chains[d.chainKey()].blocked.Remove(d)
	case d.State == hooks.Pending:
		s.removeFromLane(d)
	case d.Held:
	default:
		return hooks.Delivery{}, fmt.Errorf("delivery %q is %s: %w", deliveryID, d.State, hooks.ErrConflict)
	}
	d.Reason = reason
	s.end(d, now, hooks.Cancelled, false)
	cancelled := d.Delivery
	s.trim()
	return cancelled, nil
}

func (s *Store) find(tenant, deliveryID string) (*delivery, error) {
	d := s.deliveries[deliveryID]
	if d == nil || d.Tenant != tenant {
		return nil, fmt.Errorf("delivery %q: %w", deliveryID, hooks.ErrNotFound)
	}
	return d, nil
}
