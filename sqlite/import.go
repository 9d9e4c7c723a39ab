//go:build cgo

package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"slices"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/store"
)

// Import implements [store.Copyable].
func (s *Store) Import(ctx context.Context, records []store.Record) error {
	if len(records) == 0 {
		return ctx.Err()
	}
	s.purging.Lock()
	defer s.purging.Unlock()
	s.endCounts = endCounts{} // Deliveries come that ended long ago.
	return s.writer.do(ctx, func(t *tx) error {
		return t.apart(func() error { // What is refused leaves nothing behind.
			i := importing{tx: t, pack: s.packHook}
			for n, r := range records {
				if err := i.add(n, r); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// An importing is a call of Import under way.
type importing struct {
	*tx
	pack  func(*hooks.Hook) (string, error)
	event importedEvent // the last one
}

// An importedEvent is an event whose deliveries come.
type importedEvent struct {
	tenant, id string
	n          int64
	first, end int64 // the n of its deliveries: first, first+1, …, end-1
}

func (i *importing) add(n int, r store.Record) error {
	switch {
	case r.Hook != nil:
		return i.addHook(r.Hook)
	case r.Event != nil:
		return i.addEvent(r)
	case r.Delivery != nil:
		return i.addDelivery(n, r)
	}
	return nil
}

func (i *importing) addHook(h *hooks.Hook) error {
	known, err := i.hook(h.Ref())
	if err != nil || known.exists {
		return err
	}
	packed, err := i.pack(h)
	if err != nil {
		return err
	}
	return i.putHook(known, h, packed)
}

var (
	// stmtImportEvent stores an event, unless it is there.
	stmtImportEvent = newStatement(sqlInsertEvent + " ON CONFLICT (tenant, id) DO NOTHING RETURNING n")
	// stmtImportDelivery stores a delivery as it is, unless it is there.
	stmtImportDelivery = newStatement(`INSERT INTO hooks_deliveries
		(n, id, event, hook, state, handed, step, retry, attempts, created_at, due, queued, token, until, owner, ended_at, held, ordering_key, reason, undecided)
		VALUES (?, ?, ?, ?, ?, 0, ?6, ?6 > 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING RETURNING n`)
	// stmtDeliveriesOf finds the deliveries of an event.
	stmtDeliveriesOf = newStatement("SELECT n, first, deliveries FROM hooks_events WHERE tenant = ? AND id = ?")
	// stmtHasID finds out whether there is a delivery.
	stmtHasID = newStatement("SELECT n FROM hooks_deliveries WHERE id = ?")
)

// The columns of stmtDeliveriesOf.
const (
	ofEventN = iota
	ofEventFirst
	ofEventDeliveries
)

func (i *importing) addEvent(r store.Record) error {
	if err := i.number(); err != nil {
		return err
	}
	e := r.Event
	metadata, err := packMap(e.Metadata)
	if err != nil {
		return err
	}
	n, next := i.lastEvent+1, i.lastDelivery+1
	stored, err := first(i, stmtImportEvent, n, e.Tenant, packID(e.ID), e.Type, e.Time.UnixMilli(), r.TriggeredAt.UnixMilli(),
		next, int64(r.Deliveries), packText(e.OrderingKey), metadata, packBytes(e.Data))
	if err != nil || stored == nil {
		return err
	}
	i.lastEvent = n
	i.event = importedEvent{e.Tenant, e.ID, n, next, next + int64(r.Deliveries)}
	return nil
}

// eventOf makes the event of a delivery the last one. It returns false if there is none.
func (i *importing) eventOf(d *hooks.Delivery) (bool, error) {
	if i.event.n != 0 && i.event.tenant == d.Tenant && i.event.id == d.EventID {
		return true, nil
	}
	r, err := first(i, stmtDeliveriesOf, d.Tenant, packID(d.EventID))
	if err != nil || r == nil {
		return false, err
	}
	from := r.int(ofEventFirst)
	i.event = importedEvent{d.Tenant, d.EventID, r.int(ofEventN), from, from + int64(r.count(ofEventDeliveries))}
	return true, nil
}

func (i *importing) addDelivery(place int, r store.Record) error {
	if err := i.number(); err != nil {
		return err
	}
	d, n := r.Delivery, i.lastDelivery+1
	found, err := i.eventOf(d)
	if err != nil {
		return err
	}
	if !found || n < i.event.first || n >= i.event.end {
		known, err := first(i, stmtHasID, packID(d.ID))
		if err == nil && known == nil {
			err = &hooks.InvalidError{Field: fmt.Sprintf("records[%d].delivery", place), Reason: "must follow its event, which must have so many deliveries"}
		}
		return err
	}
	h, err := i.hook(d.HookRef())
	if err != nil {
		return err
	}
	var queued driver.Value
	if d.State == hooks.Pending {
		queued = d.Due.UnixMilli()
	}
	stored, err := first(i, stmtImportDelivery, n, packID(d.ID), i.event.n, h.n, packState(d.State), int64(d.Step), int64(d.Attempts), d.CreatedAt.UnixMilli(),
		packTime(d.Due), queued, d.Lease.Token, packTime(d.Lease.Until), packID(d.Lease.Owner), packTime(d.EndedAt), packFlag(d.Held),
		packText(d.OrderingKey), packText(d.Reason), packFlag(d.Undecided))
	if err != nil || stored == nil {
		return err
	}
	i.lastDelivery = n
	if err := i.addLog(h, n, r); err != nil || queued == nil {
		return err
	}
	return i.queue(h, int64(d.Step), d.Due.UnixMilli())
}

// addLog stores the attempts of a delivery, and adds to the log what has happened to it.
func (i *importing) addLog(h *hookRow, n int64, r store.Record) error {
	d := r.Delivery
	entries := append(make([]logEntry, 0, 3), logEntry{d.CreatedAt.UnixMilli(), entryCreated})
	for j := range r.Attempts {
		a := &r.Attempts[j]
		if err := i.storeAttempt(h, n, a); err != nil {
			return err
		}
		entries = append(entries, entryOf(a))
	}
	if d.State.Ended() {
		entries = append(entries, logEntry{d.EndedAt.UnixMilli(), entryOfEnd(packState(d.State))})
	}
	for some := range slices.Chunk(entries, len(stmtAddToLog)-1) {
		if err := i.addToLog(h.n, n, some...); err != nil {
			return err
		}
	}
	return nil
}
