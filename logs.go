package hooks

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"
)

// Event returns a stored event, or [ErrNotFound].
func (m *Manager) Event(ctx context.Context, tenant, id string) (Event, error) {
	events, err := m.store.Events(ctx, tenant, []string{id})
	if err == nil && len(events) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Event{}, fmt.Errorf("event %q: %w", id, err)
	}
	return events[0], nil
}

// Events returns the events with these IDs that are stored, by ID. There may be at most
// [MaxLimit] IDs.
func (m *Manager) Events(ctx context.Context, tenant string, ids ...string) (map[string]Event, error) {
	if err := checkList("ids", ids); err != nil {
		return nil, err
	}
	events, err := m.store.Events(ctx, tenant, ids)
	if err != nil {
		return nil, fmt.Errorf("events: %w", err)
	}
	found := make(map[string]Event, len(events))
	for _, e := range events {
		found[e.ID] = e
	}
	return found, nil
}

// Deliveries returns a page of the deliveries that match q, newest first unless
// q says otherwise.
func (m *Manager) Deliveries(ctx context.Context, q LogQuery) (Page[Delivery], error) {
	if err := q.check(); err != nil {
		return Page[Delivery]{}, err
	}
	return m.store.Deliveries(ctx, q)
}

// Logs returns a page of the attempts that match q, newest first unless q says
// otherwise.
func (m *Manager) Logs(ctx context.Context, q LogQuery) (Page[Attempt], error) {
	if err := q.check(); err != nil {
		return Page[Attempt]{}, err
	}
	return m.store.Attempts(ctx, q)
}

// AllDeliveries returns all deliveries that match q, in the order of
// Deliveries, read page by page of q.Limit. An error ends them.
func (m *Manager) AllDeliveries(ctx context.Context, q LogQuery) iter.Seq2[Delivery, error] {
	return all(q.PageQuery, func(p PageQuery) (Page[Delivery], error) {
		q.PageQuery = p
		return m.Deliveries(ctx, q)
	})
}

// AllLogs returns all attempts that match q, in the order of Logs, read page by
// page of q.Limit. An error ends them.
func (m *Manager) AllLogs(ctx context.Context, q LogQuery) iter.Seq2[Attempt, error] {
	return all(q.PageQuery, func(p PageQuery) (Page[Attempt], error) {
		q.PageQuery = p
		return m.Logs(ctx, q)
	})
}

func all[T any](first PageQuery, read func(PageQuery) (Page[T], error)) iter.Seq2[T, error] {
	first.Limit = min(first.Limit, MaxLimit)
	return func(yield func(T, error) bool) {
		for p := first; ; {
			page, err := read(p)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, element := range page.Items {
				if !yield(element, nil) {
					return
				}
			}
			if p.After, p.Offset = page.Next, 0; p.After.IsZero() {
				return
			}
		}
	}
}

// Stats counts what became of the deliveries of hooks at since or later and before
// until. A zero since means 24 hours before until, a zero until means now. Each of the
// hookIDs, at most [MaxLimit], is in the result, with zeros if it is unknown. Without
// hookIDs, the result has all hooks of the tenant, however many, except deleted ones.
func (m *Manager) Stats(ctx context.Context, tenant string, since, until time.Time, hookIDs ...string) (map[string]Stats, error) {
	if err := checkList("hookIDs", hookIDs); err != nil {
		return nil, err
	}
	if until.IsZero() {
		until = now().Add(time.Millisecond)
	}
	if since.IsZero() {
		since = until.Add(-24 * time.Hour)
	}
	since, until = roundUp(since), roundUp(until)
	if len(hookIDs) > 0 {
		return m.store.Stats(ctx, tenant, hookIDs, since, until)
	}
	q := HookQuery{Tenant: tenant}
	for h, err := range all(PageQuery{Limit: MaxLimit}, func(p PageQuery) (Page[Hook], error) {
		q.PageQuery = p
		return m.store.Hooks(ctx, q) // which are not decrypted
	}) {
		if err != nil {
			return nil, fmt.Errorf("stats: read the hooks: %w", err)
		}
		hookIDs = append(hookIDs, h.ID)
	}
	stats := make(map[string]Stats, len(hookIDs))
	for ids := range slices.Chunk(hookIDs, MaxLimit) {
		some, err := m.store.Stats(ctx, tenant, ids, since, until)
		if err != nil {
			return nil, err
		}
		maps.Copy(stats, some)
	}
	return stats, nil
}

// Stats counts what became of a hook's deliveries in a range of time.
type Stats struct {
	// Deliveries is how many ended in it: Successes (succeeded) and Failures
	// (dead). Cancelled ones are not counted.
	Deliveries int
	Successes  int
	Failures   int
	// LastError is the text of the latest failed attempt in it, and
	// LastErrorAt when that attempt started.
	LastError   string
	LastErrorAt time.Time
}
