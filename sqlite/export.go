//go:build cgo

package sqlite

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/store"
)

// Export implements [store.Copyable]. It reads a snapshot of the data, which nobody who writes
// waits for.
func (s *Store) Export(ctx context.Context) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		err := s.reads(ctx, func(r *reader) error {
			e := &export{reader: r, yield: yield}
			return errors.Join(e.run(), e.deliveries.close(), e.attempts.close())
		})
		if err != nil && !errors.Is(err, errEnough) {
			yield(store.Record{}, err)
		}
	}
}

// An export is a call of Export under way. It reads events, deliveries and attempts side by
// side, each in the order of their n, so that those that belong together meet.
type export struct {
	*reader
	yield                func(store.Record, error) bool
	deliveries, attempts *cursor
}

// These queries read whole tables, which no registered statement may.
const (
	sqlExportHooks      = "SELECT " + allHookColumns + ", revision FROM hooks_hooks WHERE version IS NOT NULL ORDER BY revision"
	sqlExportDeliveries = "SELECT " + deliveryColumns + `, d.event, h.tenant AS "hooks_hooks.tenant", h.id AS "hooks_hooks.id"
		FROM hooks_deliveries d LEFT JOIN hooks_hooks h ON h.n = d.hook ORDER BY d.n`
)

var (
	sqlExportEvents = "SELECT " + eventColumns + `, triggered_at, (SELECT count(*) FROM hooks_deliveries d
		WHERE d.n >= e.first AND d.n < e.first + e.deliveries AND d.event = e.n) FROM hooks_events e ORDER BY n`
	sqlExportAttempts = "SELECT " + attemptColumns + " FROM hooks_attempts a" + joinRequest + " ORDER BY a.n"
)

// The further columns of sqlExportDeliveries.
const (
	exportedEvent = afterDelivery + iota
	exportedHookTenant
	exportedHookID
)

// The further columns of sqlExportEvents.
const (
	exportedTriggeredAt = afterEvent + iota
	exportedDeliveries
)

func (e *export) run() (err error) {
	err = e.query(sqlExportHooks, func(r row) error {
		r.int(hookColRevision) // checks it
		h := unpackHook(r)
		return e.send(store.Record{Hook: &h})
	})
	if err != nil {
		return err
	}
	if e.deliveries, err = e.open(sqlExportDeliveries); err != nil {
		return err
	}
	if e.attempts, err = e.open(sqlExportAttempts); err != nil {
		return err
	}
	if err := e.query(sqlExportEvents, e.event); err != nil {
		return err
	}
	return errors.Join(e.left(e.deliveries, "hooks_deliveries", "event"), e.left(e.attempts, "hooks_attempts", "delivery"))
}

// send passes a record on, unless what it was made of is damaged.
func (e *export) send(r store.Record) error {
	if err := e.damaged(); err != nil {
		return err
	}
	if !e.yield(r, nil) {
		return errEnough
	}
	return nil
}

// event sends an event and its deliveries.
func (e *export) event(r row) error {
	n, expected := r.int(eventN), r.count(exportedDeliveries)
	record := store.Record{Event: event(r), TriggeredAt: r.time(exportedTriggeredAt), Deliveries: expected}
	if err := e.send(record); err != nil {
		return err
	}
	found := 0
	for ; e.deliveries.more && e.deliveries.row.int(exportedEvent) == n; found++ {
		if err := e.delivery(record.Event); err != nil {
			return err
		}
	}
	if found != expected {
		return &rowError{"hooks_events", n, fmt.Sprintf("has %d deliveries, and %d that first and deliveries name", found, expected)}
	}
	return nil
}

// delivery sends the next delivery, which is one of the event, and its attempts.
func (e *export) delivery(of *hooks.Event) error {
	r := e.deliveries.row
	n, d := r.int(deliveryN), delivery(r, hooks.Ref{Tenant: r.text(exportedHookTenant), ID: r.text(exportedHookID)})
	d.EventID, d.EventType = of.ID, of.Type
	if d.Tenant != of.Tenant {
		r.damaged(errors.New("its hook is of another tenant than its event"))
	}
	record := store.Record{Delivery: &d}
	for e.attempts.more && e.attempts.row.int(attemptN)>>attemptBits == n {
		a := unpackAttempt(e.attempts.row)
		a.DeliveryID, a.Tenant, a.HookID, a.EventID, a.EventType = d.ID, d.Tenant, d.HookID, d.EventID, d.EventType
		record.Attempts = append(record.Attempts, a)
		if err := e.attempts.next(); err != nil {
			return err
		}
	}
	if err := e.send(record); err != nil {
		return err
	}
	return e.deliveries.next()
}

// left returns an error if the cursor has a row left, because nothing it belongs to has come.
func (e *export) left(c *cursor, table, of string) error {
	if !c.more {
		return e.damaged()
	}
	return &rowError{table, c.row.values[0], "is of no " + of + " that exists"}
}
