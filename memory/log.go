package memory

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

// Events implements [hooks.Store].
func (s *Store) Events(ctx context.Context, tenant string, ids []string) ([]hooks.Event, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var found []hooks.Event
	for _, id := range distinct(ids) {
		if e := s.events[eventKey{tenant, id}]; e != nil {
			copied := *e.Event
			copied.Data = bytes.Clone(e.Data)
			copied.Metadata = maps.Clone(e.Metadata)
			found = append(found, copied)
		}
	}
	return found, nil
}

// Deliveries implements [hooks.Store].
func (s *Store) Deliveries(ctx context.Context, q hooks.LogQuery) (hooks.Page[hooks.Delivery], error) {
	if err := s.lock(ctx); err != nil {
		return hooks.Page[hooks.Delivery]{}, err
	}
	defer s.mu.Unlock()
	var found []*delivery
	s.search(q, func(d *delivery) {
		if selects(q, d.State, d.CreatedAt) {
			found = append(found, d)
		}
	})
	page := pageOf(found, q.PageQuery, func(d *delivery) hooks.Cursor {
		return hooks.Cursor{Time: d.CreatedAt, ID: d.ID}
	})
	return mapPage(page, func(d *delivery) hooks.Delivery { return d.Delivery }), nil
}

// Attempts implements [hooks.Store].
func (s *Store) Attempts(ctx context.Context, q hooks.LogQuery) (hooks.Page[hooks.Attempt], error) {
	if err := s.lock(ctx); err != nil {
		return hooks.Page[hooks.Attempt]{}, err
	}
	defer s.mu.Unlock()
	var found []*hooks.Attempt
	s.search(q, func(d *delivery) {
		for _, a := range d.attempts {
			if selects(q, a.State, a.StartedAt) {
				found = append(found, a)
			}
		}
	})
	page := pageOf(found, q.PageQuery, func(a *hooks.Attempt) hooks.Cursor {
		return hooks.Cursor{Time: a.StartedAt, ID: fmt.Sprintf("%s %010d", a.DeliveryID, a.Number)}
	})
	return mapPage(page, func(a *hooks.Attempt) hooks.Attempt {
		copied := *a
		copied.Response.Header = a.Response.Header.Clone()
		copied.Response.Body = bytes.Clone(a.Response.Body)
		return copied
	}), nil
}

// Stats implements [hooks.Store].
func (s *Store) Stats(ctx context.Context, tenant string, hookIDs []string, since, until time.Time) (map[string]hooks.Stats, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	in := func(t time.Time) bool { return !t.Before(since) && t.Before(until) }
	result := make(map[string]hooks.Stats, len(hookIDs))
	for _, id := range hookIDs {
		var stats hooks.Stats
		s.search(hooks.LogQuery{Tenant: tenant, HookID: id}, func(d *delivery) {
			if in(d.EndedAt) && d.State == hooks.Succeeded {
				stats.Deliveries, stats.Successes = stats.Deliveries+1, stats.Successes+1
			}
			if in(d.EndedAt) && d.State == hooks.Dead {
				stats.Deliveries, stats.Failures = stats.Deliveries+1, stats.Failures+1
			}
			for _, a := range d.attempts {
				if a.Class != "" && in(a.StartedAt) && !a.StartedAt.Before(stats.LastErrorAt) {
					stats.LastError, stats.LastErrorAt = a.Error, a.StartedAt
				}
			}
		})
		result[id] = stats
	}
	return result, nil
}

// search calls visit for the deliveries of q's tenant, hook, event, event type and IDs.
func (s *Store) search(q hooks.LogQuery, visit func(*delivery)) {
	for d := range s.candidates(q) {
		if concerns(q, d) {
			visit(d)
		}
	}
}

// candidates are deliveries among which are all that q concerns: as few as the maps of
// the store make it easy to find.
func (s *Store) candidates(q hooks.LogQuery) iter.Seq[*delivery] {
	switch {
	case len(q.DeliveryIDs) > 0:
		return s.withIDs(q.DeliveryIDs)
	case q.EventID != "":
		return s.ofEvent(eventKey{q.Tenant, q.EventID})
	case q.HookID != "":
		return s.ofHook(hooks.Ref{Tenant: q.Tenant, ID: q.HookID})
	}
	return maps.Values(s.deliveries)
}

// withIDs returns each delivery once that has one of the IDs.
func (s *Store) withIDs(ids []string) iter.Seq[*delivery] {
	return func(yield func(*delivery) bool) {
		for _, id := range distinct(ids) {
			if d := s.deliveries[id]; d != nil && !yield(d) {
				return
			}
		}
	}
}

// ofEvent returns the deliveries of the event that have not been dropped.
func (s *Store) ofEvent(key eventKey) iter.Seq[*delivery] {
	return func(yield func(*delivery) bool) {
		e := s.events[key]
		if e == nil {
			return
		}
		for i := range e.deliveries {
			if d := &e.deliveries[i]; s.deliveries[d.ID] == d && !yield(d) {
				return
			}
		}
	}
}

// ofHook returns the deliveries of the hook.
func (s *Store) ofHook(ref hooks.Ref) iter.Seq[*delivery] {
	return func(yield func(*delivery) bool) {
		q := s.queues[ref]
		if q == nil {
			return
		}
		for d := q.all.First(); d != nil; d = q.all.Next(d) {
			if !yield(d) {
				return
			}
		}
	}
}

// concerns reports whether d is of q's tenant, hook, event, event type and IDs.
func concerns(q hooks.LogQuery, d *delivery) bool {
	return d.Tenant == q.Tenant &&
		(q.HookID == "" || d.HookID == q.HookID) &&
		(q.EventID == "" || d.EventID == q.EventID) &&
		(q.EventType == "" || d.EventType == q.EventType) &&
		(len(q.DeliveryIDs) == 0 || slices.Contains(q.DeliveryIDs, d.ID))
}

// distinct returns each of the IDs once.
func distinct(ids []string) []string { return slices.Compact(slices.Sorted(slices.Values(ids))) }

// selects reports whether q's States and times include a delivery or an attempt with
// this state and time.
func selects(q hooks.LogQuery, state hooks.State, at time.Time) bool {
	return (len(q.States) == 0 || slices.Contains(q.States, state)) &&
		(q.Since.IsZero() || !at.Before(q.Since)) && (q.Until.IsZero() || at.Before(q.Until))
}

// pageOf sorts all that match and cuts the page out.
func pageOf[T any](all []T, q hooks.PageQuery, cursor func(T) hooks.Cursor) hooks.Page[T] {
	order := func(a, b hooks.Cursor) int {
		if !q.OldestFirst {
			a, b = b, a
		}
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.ID, b.ID))
	}
	slices.SortFunc(all, func(a, b T) int { return order(cursor(a), cursor(b)) })
	page := hooks.Page[T]{Total: min(len(all), q.CountTo)}
	if !q.After.IsZero() {
		start, found := slices.BinarySearchFunc(all, q.After, func(x T, after hooks.Cursor) int { return order(cursor(x), after) })
		if found {
			start++
		}
		all = all[start:]
	}
	all = all[min(q.Offset, len(all)):]
	limit := q.PageSize()
	if len(all) > limit {
		all = all[:limit]
		page.Next = cursor(all[limit-1])
	}
	page.Items = all
	return page
}

func mapPage[S, T any](from hooks.Page[S], convert func(S) T) hooks.Page[T] {
	page := hooks.Page[T]{Items: make([]T, len(from.Items)), Next: from.Next, Total: from.Total}
	for i, x := range from.Items {
		page.Items[i] = convert(x)
	}
	return page
}
