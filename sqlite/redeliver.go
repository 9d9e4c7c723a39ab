//go:build cgo

package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

var (
	// stmtFindDelivery reads a delivery of a tenant, with its hook and event.
	stmtFindDelivery = newStatement("SELECT " + deliveryColumns + `, d.hook, d.event, e.id, e.type
		FROM hooks_deliveries d JOIN hooks_events e ON e.n = d.event WHERE d.id = ? AND e.tenant = ?`)
	// stmtIsKeyTaken finds out whether another delivery of the hook and ordering key is pending, leased or held.
	stmtIsKeyTaken = newStatement(`SELECT 1 FROM hooks_deliveries
		WHERE hook = ? + 0 AND ordering_key = ? || '' AND (ended_at IS NULL OR held = 1) AND n <> ? AND state <> {blocked} LIMIT 1`)
	// stmtRedeliver makes a delivery pending or blocked again.
	stmtRedeliver = newStatement(`UPDATE hooks_deliveries SET state = ?, step = 0, retry = 0, due = ?, queued = ?,
		ended_at = NULL, held = NULL, reason = NULL WHERE n = ?`)
	// stmtCancel ends a delivery as cancelled.
	stmtCancel = newStatement(`UPDATE hooks_deliveries SET state = {cancelled}, due = NULL, queued = NULL, ended_at = ?, held = NULL, reason = ?
		WHERE n = ?`)
)

// The further columns of stmtFindDelivery.
const (
	foundHook = afterDelivery + iota
	_         // the n of the event
	foundEventID
	foundEventType
)

// A found delivery is one that a call of Redeliver or Cancel is about to change.
type found struct {
	hooks.Delivery
	n    int64
	hook *hookRow
}

// end is the log entry of the delivery's end.
func (f *found) end() logEntry {
	return logEntry{f.EndedAt.UnixMilli(), entryOfEnd(packState(f.State))}
}

// find returns a delivery of the tenant.
func (t *tx) find(tenant, deliveryID string) (*found, error) {
	r, err := first(t, stmtFindDelivery, packID(deliveryID), tenant)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, fmt.Errorf("delivery %q: %w", deliveryID, hooks.ErrNotFound)
	}
	h, err := t.hookN(r.int(foundHook))
	if err != nil {
		return nil, err
	}
	f := &found{delivery(*r, h.ref), r.int(deliveryN), h}
	f.EventID, f.EventType = r.id(foundEventID), r.text(foundEventType)
	return f, nil
}

// Redeliver implements [hooks.Store].
func (s *Store) Redeliver(ctx context.Context, now time.Time, tenant, deliveryID string) (d hooks.Delivery, err error) {
	err = s.writer.do(ctx, func(t *tx) error {
		f, err := t.find(tenant, deliveryID)
		if err != nil {
			return err
		}
		if !f.State.Ended() {
			return fmt.Errorf("delivery %q is %s: %w", deliveryID, f.State, hooks.ErrConflict)
		}
		d = f.Delivery
		return t.redeliver(now, f, &d)
	})
	return d, err
}

// redeliver stores d, which is what a redelivery makes of f.
func (t *tx) redeliver(now time.Time, f *found, d *hooks.Delivery) error {
	d.State, d.Due, d.Step = hooks.Pending, now, 0
	d.EndedAt, d.Held, d.Reason = time.Time{}, false, ""
	if d.OrderingKey != "" {
		taken, err := first(t, stmtIsKeyTaken, f.hook.n, d.OrderingKey, f.n)
		if err != nil {
			return err
		}
		if taken != nil {
			d.State = hooks.Blocked
		}
	}
	due := now.UnixMilli()
	var queued any
	if d.State == hooks.Pending {
		queued = due
	}
	if err := run(t, stmtRedeliver, packState(d.State), due, queued, f.n); err != nil {
		return err
	}
	if err := t.removeFromLog(f.hook.n, f.n, f.end()); err != nil {
		return err
	}
	if queued == nil {
		return nil
	}
	return t.queue(f.hook, 0, due)
}

// Cancel implements [hooks.Store].
func (s *Store) Cancel(ctx context.Context, now time.Time, tenant, deliveryID, reason string) (d hooks.Delivery, err error) {
	err = s.writer.do(ctx, func(t *tx) error {
		f, err := t.find(tenant, deliveryID)
		if err != nil {
			return err
		}
		if f.State != hooks.Blocked && f.State != hooks.Pending && !f.Held {
			return fmt.Errorf("delivery %q is %s: %w", deliveryID, f.State, hooks.ErrConflict)
		}
		d = f.Delivery
		d.State, d.Due, d.Held, d.EndedAt, d.Reason = hooks.Cancelled, time.Time{}, false, now, reason
		return t.cancel(now, f, reason)
	})
	return d, err
}

// cancel stores that f was cancelled, and unblocks the next delivery of its ordering
// key.
func (t *tx) cancel(now time.Time, f *found, reason string) error {
	if err := run(t, stmtCancel, now.UnixMilli(), packText(reason), f.n); err != nil {
		return err
	}
	if f.Held {
		if err := t.removeFromLog(f.hook.n, f.n, f.end()); err != nil {
			return err
		}
	}
	if err := t.addToLog(f.hook.n, f.n, logEntry{now.UnixMilli(), entryCancelled}); err != nil {
		return err
	}
	if f.State == hooks.Pending {
		if err := t.updateLanes(f.hook, now); err != nil {
			return err
		}
	}
	if f.State == hooks.Blocked || f.OrderingKey == "" {
		return nil
	}
	return t.unblockNext(f.hook, f.OrderingKey, now)
}
