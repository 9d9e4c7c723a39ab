//go:build cgo

package sqlite

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

// Enqueue implements [hooks.Tx].
func (s *Store) Enqueue(ctx context.Context, now time.Time, entries []hooks.Entry) error {
	if len(entries) == 0 {
		return ctx.Err()
	}
	return s.writer.do(ctx, func(t *tx) error { return t.enqueue(now, entries) })
}

const sqlInsertEvent = `INSERT INTO hooks_events
	(n, tenant, id, type, time, triggered_at, first, deliveries, ordering_key, metadata, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

var (
	// stmtInsertEvent stores an event.
	stmtInsertEvent = newStatement(sqlInsertEvent)
	// stmtDeleteEvents deletes the events that a failed call has stored.
	stmtDeleteEvents = newStatement("DELETE FROM hooks_events WHERE n > ?")
	// stmtInsertDelivery stores a delivery.
	stmtInsertDelivery = newStatement(`INSERT INTO hooks_deliveries
		(n, id, event, hook, state, handed, step, retry, attempts, created_at, due, queued, token, until, owner, ordering_key, undecided)
		VALUES (?, ?, ?, ?, ?, ?, ?7, ?7 > 0, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
	// stmtIsKeyUsed finds out whether a delivery of the hook and ordering key has not ended or is held.
	stmtIsKeyUsed = newStatement(`SELECT 1 FROM hooks_deliveries
		WHERE hook = ? + 0 AND ordering_key = ? || '' AND (ended_at IS NULL OR held = 1) LIMIT 1`)
)

// enqueue stores the events and their deliveries. If the ID of an event is taken, it writes
// nothing.
func (t *tx) enqueue(now time.Time, entries []hooks.Entry) error {
	if err := t.number(); err != nil {
		return err
	}
	before, next := t.lastEvent, t.lastDelivery+1
	for _, entry := range entries {
		e := entry.Event
		metadata, err := packMap(e.Metadata)
		if err != nil {
			return err
		}
		err = run(t, stmtInsertEvent, t.lastEvent+1, e.Tenant, packID(e.ID), e.Type, e.Time.UnixMilli(), now.UnixMilli(),
			next, int64(len(entry.Deliveries)), packText(e.OrderingKey), metadata, packBytes(e.Data))
		switch {
		case isUnique(err):
			err = fmt.Errorf("event %q: %w", e.ID, hooks.ErrDuplicate)
			if t.lastEvent > before {
				if undo := run(t, stmtDeleteEvents, before); undo != nil {
					return undo
				}
				t.lastEvent = before
			}
			return err
		case err != nil:
			return err
		}
		t.lastEvent++
		next += int64(len(entry.Deliveries))
	}
	for i, entry := range entries {
		for j := range entry.Deliveries {
			if err := t.enqueueDelivery(before+int64(i)+1, &entry.Deliveries[j]); err != nil {
				return err
			}
		}
	}
	return nil
}

// enqueueDelivery stores a delivery, and queues it unless it is blocked or leased.
func (t *tx) enqueueDelivery(event int64, d *hooks.Delivery) error {
	h, err := t.hook(d.HookRef())
	if err != nil {
		return err
	}
	t.lastDelivery++
	n, state := t.lastDelivery, packState(d.State)
	due := d.Due.UnixMilli()
	var queued driver.Value
	if d.OrderingKey != "" {
		used, err := first(t, stmtIsKeyUsed, h.n, d.OrderingKey)
		if err != nil {
			return err
		}
		if used != nil {
			state = blocked
		}
	}
	if state == pending {
		queued = due
	}
	err = run(t, stmtInsertDelivery, n, packID(d.ID), event, h.n, state, packBool(state == leased), int64(d.Step), int64(d.Attempts),
		d.CreatedAt.UnixMilli(), due, queued, d.Lease.Token, packTime(d.Lease.Until), packID(d.Lease.Owner), packText(d.OrderingKey), packFlag(d.Undecided))
	if err != nil {
		return err
	}
	if state == leased {
		t.leases[d.ID] = &lease{n: n, token: d.Lease.Token, hook: h.n, created: d.CreatedAt.UnixMilli()}
		return nil
	}
	if err := t.addToLog(h.n, n, logEntry{d.CreatedAt.UnixMilli(), entryCreated}); err != nil {
		return err
	}
	if state == pending {
		return t.queue(h, int64(d.Step), due)
	}
	return nil
}

// packMap returns a map as JSON.
func packMap(m map[string]string) (driver.Value, error) {
	if len(m) == 0 {
		return nil, nil
	}
	packed, err := json.Marshal(m)
	return string(packed), err
}

// texts is the inverse of packMap.
func (r row) texts(i int) (m map[string]string) {
	if packed := r.maybeText(i); packed != "" && json.Unmarshal([]byte(packed), &m) != nil {
		r.wrong(i, "a JSON object of texts")
		return nil
	}
	return m
}
