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
		err := s.reads(ctx, func(r *reader) (err error) {
			e := &export{reader: r, yield: yield}
			defer func() { err = errors.Join(err, e.deliveries.close(), e.attempts.close()) }() // yield may panic.
			return e.run()
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
	deliveries, attempts parts
}

// Parts are rows that belong to others: deliveries to events, attempts to deliveries. They are
// in the order of what they belong to.
type parts struct {
	*cursor
	table, whole string
	of           func(row) int64 // the n of what a row belongs to
}

// each calls visit with the next rows, which are those that belong to n. It fails if there are
// rows before these: what they belong to is missing.
func (p *parts) each(n int64, visit func(row) error) error {
	for p.more {
		switch of := p.of(p.row); {
		case of > n:
			return nil
		case of < n:
			return &rowError{p.table, p.row.values[0], "is of no " + p.whole + " that exists"}
		}
		if err := visit(p.row); err != nil {
			return err
		}
		if err := p.next(); err != nil {
			return err
		}
	}
	return nil
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
	e.deliveries = parts{table: "hooks_deliveries", whole: "event", of: func(r row) int64 { return r.int(exportedEvent) }}
	if e.deliveries.cursor, err = e.open(sqlExportDeliveries); err != nil {
		return err
	}
	e.attempts = parts{table: "hooks_attempts", whole: "delivery", of: func(r row) int64 { return r.int(attemptN) >> attemptBits }}
	if e.attempts.cursor, err = e.open(sqlExportAttempts); err != nil {
		return err
	}
	if err := e.query(sqlExportEvents, e.event); err != nil {
		return err
	}
	return errors.Join(e.deliveries.each(never, nil), e.attempts.each(never, nil)) // None is left.
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
	err := e.deliveries.each(n, func(r row) error {
		found++
		return e.delivery(r, record.Event)
	})
	if err != nil {
		return err
	}
	if found != expected {
		return &rowError{"hooks_events", n, fmt.Sprintf("has %d deliveries, and %d that first and deliveries name", found, expected)}
	}
	return nil
}

// delivery sends a delivery of the event, and its attempts.
func (e *export) delivery(r row, of *hooks.Event) error {
	n, d := r.int(deliveryN), delivery(r, hooks.Ref{Tenant: r.text(exportedHookTenant), ID: r.text(exportedHookID)})
	d.EventID, d.EventType = of.ID, of.Type
	if d.Tenant != of.Tenant {
		r.damaged(errors.New("its hook is of another tenant than its event"))
	}
	record := store.Record{Delivery: &d}
	err := e.attempts.each(n, func(r row) error {
		a := unpackAttempt(r)
		a.DeliveryID, a.Tenant, a.HookID, a.EventID, a.EventType = d.ID, d.Tenant, d.HookID, d.EventID, d.EventType
		record.Attempts = append(record.Attempts, a)
		return nil
	})
	if err != nil {
		return err
	}
	return e.send(record)
}
