package memory

import (
	"cmp"
	"context"
	"iter"
	"maps"
	"slices"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/store"
)

// Inventory implements [store.Copyable].
func (s *Store) Inventory(ctx context.Context) (store.Inventory, error) {
	if err := s.lock(ctx); err != nil {
		return store.Inventory{}, err
	}
	defer s.mu.Unlock()
	inventory := store.Inventory{Hooks: len(s.hooks), Events: len(s.events), Deliveries: map[hooks.State]int{}}
	for _, h := range s.hooks {
		inventory.Versions += h.Version
	}
	for _, d := range s.deliveries {
		inventory.Deliveries[d.State]++
		inventory.Tokens += d.Lease.Token
		inventory.Attempts += len(d.attempts)
		if d.Held {
			inventory.Held++
		}
	}
	return inventory, nil
}

// Export implements [store.Copyable].
func (s *Store) Export(ctx context.Context) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		all, err := s.parts(ctx)
		if err != nil {
			yield(store.Record{}, err)
			return
		}
		for _, records := range all {
			if err := s.lock(ctx); err != nil {
				yield(store.Record{}, err)
				return
			}
			part := records()
			s.mu.Unlock() // The caller may use the store.
			for _, r := range part {
				if !yield(r, nil) {
					return
				}
			}
		}
	}
}

// parts returns functions that make the records of each hook, and of each event with its
// deliveries, in the order of Export.
func (s *Store) parts(ctx context.Context) ([]func() []store.Record, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	parts := make([]func() []store.Record, 0, len(s.hooks)+len(s.events))
	for _, h := range slices.SortedFunc(maps.Values(s.hooks), func(a, b *hooks.Hook) int {
		return cmp.Compare(s.lastRevisions[a.Ref()], s.lastRevisions[b.Ref()])
	}) {
		parts = append(parts, func() []store.Record {
			copied := h.Clone()
			return []store.Record{{Hook: &copied}}
		})
	}
	for _, e := range slices.SortedFunc(maps.Values(s.events), func(a, b *event) int { return cmp.Compare(a.sequence, b.sequence) }) {
		parts = append(parts, func() []store.Record { return s.recordsOf(e) })
	}
	return parts, nil
}

// recordsOf returns the records of an event and its deliveries.
func (s *Store) recordsOf(e *event) []store.Record {
	records := []store.Record{{Event: e.Event, TriggeredAt: e.triggered, Deliveries: e.remaining}}
	for d := range s.ofEvent(eventKey{e.Tenant, e.ID}) {
		copied, attempts := d.Delivery, make([]hooks.Attempt, len(d.attempts))
		for i, a := range d.attempts {
			attempts[i] = *a
		}
		records = append(records, store.Record{Delivery: &copied, Attempts: attempts})
	}
	return records
}
