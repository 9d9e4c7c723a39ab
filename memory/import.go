package memory

import (
	"context"
	"fmt"
	"slices"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/store"
)

// Import implements [store.Copyable]. It refuses what would exceed Options.MaxEnded or
// Options.MaxEndedBytes.
func (s *Store) Import(ctx context.Context, records []store.Record) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	i := importing{
		Store: s, refs: map[hooks.Ref]bool{}, ids: map[string]bool{}, expected: map[eventKey]*expected{},
		endedAfter: s.ended.Len(), bareAfter: s.withoutDeliveries.Len(), bytesAfter: s.bytes,
	}
	for n, r := range records {
		if err := i.add(n, r); err != nil {
			return err
		}
	}
	if err := i.checkBounds(); err != nil {
		return err
	}
	s.addRecords(i.fresh)
	return nil
}

// An importing is a call of Import before it stores anything.
type importing struct {
	*Store
	fresh []store.Record // what the store does not have yet, each once
	// What is in fresh, by name. Of events, it also has those of the store that deliveries
	// in fresh belong to.
	refs     map[hooks.Ref]bool
	ids      map[string]bool
	expected map[eventKey]*expected
	// What the bounds of the store apply to, as it will be after the call.
	endedAfter, bareAfter, bytesAfter int
}

// An expected event has deliveries that are still missing.
type expected struct {
	size    int
	missing int
	open    int // as in event
}

// add adds a record to fresh unless the store has it.
func (i *importing) add(n int, r store.Record) error {
	switch {
	case r.Hook != nil:
		if ref := r.Hook.Ref(); i.hooks[ref] == nil && !i.refs[ref] {
			i.refs[ref] = true
			i.fresh = append(i.fresh, r)
		}
	case r.Event != nil:
		if key := (eventKey{r.Event.Tenant, r.Event.ID}); i.events[key] == nil && i.expected[key] == nil {
			i.addEvent(key, r)
		}
	case r.Delivery != nil:
		if d := r.Delivery; i.deliveries[d.ID] == nil && !i.ids[d.ID] && !i.addDelivery(r) {
			return &hooks.InvalidError{Field: fmt.Sprintf("records[%d].delivery", n), Reason: "must follow its event, which must have so many deliveries"}
		}
	}
	return nil
}

func (i *importing) addEvent(key eventKey, r store.Record) {
	i.fresh = append(i.fresh, r)
	e := &expected{sizeOfEvent(r.Event, r.Deliveries), r.Deliveries, r.Deliveries}
	i.expected[key] = e
	if e.open == 0 {
		i.bareAfter++
		i.bytesAfter += e.size
	}
}

// addDelivery adds a delivery. It returns false if its event does not expect one.
func (i *importing) addDelivery(r store.Record) bool {
	key := eventKey{r.Delivery.Tenant, r.Delivery.EventID}
	e := i.expected[key]
	if known := i.events[key]; e == nil && known != nil {
		e = &expected{known.size(), cap(known.deliveries) - len(known.deliveries), known.open}
		i.expected[key] = e
	}
	if e == nil || e.missing == 0 {
		return false
	}
	i.fresh = append(i.fresh, r)
	i.ids[r.Delivery.ID] = true
	e.missing--
	if !r.Delivery.State.Ended() || r.Delivery.Held {
		return true
	}
	i.endedAfter++
	i.bytesAfter += sizeOf(r.Delivery.Reason, attemptsOf(r))
	if e.open--; e.open == 0 {
		i.bytesAfter += e.size
	}
	return true
}

// checkBounds refuses records because of which the store would drop something.
func (i *importing) checkBounds() error {
	const reason = "must be at least %d for what is copied"
	if n := max(i.endedAfter, i.bareAfter); n > i.maxEnded {
		return &hooks.InvalidError{Field: "options.maxEnded", Reason: fmt.Sprintf(reason, n)}
	}
	if i.bytesAfter > i.maxBytes {
		return &hooks.InvalidError{Field: "options.maxEndedBytes", Reason: fmt.Sprintf(reason, i.bytesAfter)}
	}
	return nil
}

// addRecords stores records that were checked.
func (s *Store) addRecords(fresh []store.Record) {
	var ended []*delivery
	for _, r := range fresh {
		switch {
		case r.Hook != nil:
			s.hookCounts[r.Hook.Tenant]++
			s.put(r.Hook.Clone())
		case r.Event != nil:
			s.addEvent(r.Event, r.TriggeredAt, r.Deliveries)
		default:
			if d := s.importDelivery(r); d.State.Ended() {
				ended = append(ended, d)
			}
		}
	}
	s.mergeEnded(ended)
	s.notify()
}

// importDelivery stores a delivery in its state. One that has ended is in no list of these yet.
func (s *Store) importDelivery(r store.Record) *delivery {
	e := s.events[eventKey{r.Delivery.Tenant, r.Delivery.EventID}]
	d := s.addDelivery(e, *r.Delivery)
	d.attempts = attemptsOf(r)
	switch {
	case d.State == hooks.Blocked:
		s.chain(d).blocked.Push(d)
	case !d.State.Ended():
		s.admit(d)
	case d.Held:
		s.chain(d).head = d
	}
	return d
}

func attemptsOf(r store.Record) []*hooks.Attempt {
	attempts := make([]*hooks.Attempt, len(r.Attempts))
	for i := range r.Attempts {
		attempts[i] = &r.Attempts[i]
	}
	return attempts
}

// mergeEnded adds ended deliveries to the lists of these, in the order in which they ended.
func (s *Store) mergeEnded(ended []*delivery) {
	earlier := func(a, b *delivery) int { return a.EndedAt.Compare(b.EndedAt) }
	slices.SortStableFunc(ended, earlier)
	ofQueue := map[*queue][]*delivery{}
	var counted []*delivery
	for _, d := range ended {
		ofQueue[d.queue] = append(ofQueue[d.queue], d)
		if !d.Held {
			counted = append(counted, d)
			s.countEnded(d)
		}
	}
	s.ended.Merge(counted, earlier)
	for q, ended := range ofQueue {
		q.ended.Merge(ended, earlier)
	}
}
