package hooks

import (
	"context"
	"errors"
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

// Events returns those of the events that are stored, by ID. At most [MaxLimit]
// IDs.
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

// Stats sums up what became of the hooks' deliveries at since or later and before
// until. A zero since means 24 hours before until, a zero until means now. Each of
// the hookIDs, at most [MaxLimit], is in the result, with zeros if it is unknown.
// Without hookIDs, the result has all hooks of the tenant, however many, except
// deleted ones: name those.
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

// Redeliver sends an ended delivery again, at once and with the whole schedule
// before it. The receiver sees the same idempotency key. One whose event the
// hook's filter has not let through ([Delivery].Undecided) is filtered again.
// [ErrNotFound] when the tenant has no such delivery, [ErrConflict] when it has
// not ended.
func (m *Manager) Redeliver(ctx context.Context, tenant, deliveryID string) (Delivery, error) {
	d, err := m.store.Redeliver(ctx, now(), tenant, deliveryID)
	if err != nil {
		return Delivery{}, fmt.Errorf("redeliver %q: %w", deliveryID, err)
	}
	m.claimSoon()
	return d, nil
}

// Replay redelivers every delivery that matches q, has ended, and was created
// before the call, and returns how many. For a range of time that an endpoint
// missed, ask for Since, Until and States. The oldest go first, whatever q says,
// so that ordering keys keep their order.
func (m *Manager) Replay(ctx context.Context, q LogQuery) (int, error) {
	if q.Until.IsZero() {
		q.Until = now().Add(time.Millisecond)
	}
	q.OldestFirst = true
	n := 0
	for d, err := range m.AllDeliveries(ctx, q) {
		if err != nil {
			return n, err
		}
		if !d.State.Ended() {
			continue
		}
		_, err := m.Redeliver(ctx, q.Tenant, d.ID)
		switch {
		case err == nil:
			n++
		case !errors.Is(err, ErrConflict) && !errors.Is(err, ErrNotFound):
			return n, err
		}
	}
	return n, nil
}

// Cancel ends a delivery that waits, or one that is dead and holds its ordering
// key back, and lets the next of its key go. [ErrNotFound] when the tenant has
// no such delivery, [ErrConflict] when it is being sent or has ended.
func (m *Manager) Cancel(ctx context.Context, tenant, deliveryID string) (Delivery, error) {
	d, err := m.store.Cancel(ctx, now(), tenant, deliveryID, "cancelled by hand")
	if err != nil {
		return Delivery{}, fmt.Errorf("cancel %q: %w", deliveryID, err)
	}
	m.claimSoon()
	if m.cfg.Observer.Ended != nil {
		e := m.eventOf(context.WithoutCancel(ctx), d)
		m.observe(func() { m.cfg.Observer.Ended(d, e) })
	}
	return d, nil
}

// eventOf returns the event of a delivery for the observer: what the delivery
// tells of it, if it cannot be read.
func (m *Manager) eventOf(ctx context.Context, d Delivery) *Event {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	e, err := m.Event(ctx, d.Tenant, d.EventID)
	if err != nil {
		m.report("read the event of a cancelled delivery", err)
		return &Event{ID: d.EventID, Tenant: d.Tenant, Type: d.EventType, OrderingKey: d.OrderingKey}
	}
	return &e
}

// claimSoon has the engine look for what a change has made due.
func (m *Manager) claimSoon() {
	if e := m.engine.Load(); e != nil {
		e.dueAt(now())
	}
}
