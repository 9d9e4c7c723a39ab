package hooks

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-2c6e3a5a/hooks/internal/dispatch"
)

// A Receipt says what Trigger has stored.
type Receipt struct {
	// EventID is the ID of the stored event.
	EventID string
	// Deliveries is how many hooks the event goes to, the Undecided included.
	Deliveries int
	// Undecided is how many of these hooks have a filter for which there was no time.
	// Run evaluates it before it sends anything. See [Manager.Trigger].
	Undecided int
}

// Trigger records an event and returns when it is stored. From then on it is delivered,
// by this Manager or another on the same store, at least once to each hook that wanted
// it at this moment. The error is an [InvalidError] for bad input, and [ErrDuplicate]
// for an ID that was used. After any error, nothing is stored.
//
// The filters of the hooks are evaluated here, for at most a tenth of a second in total,
// and for a few milliseconds if the filters of other tenants keep the processors busy.
// What is not decided by then is stored as [Delivery].Undecided, and Run decides it. If
// ctx ends, Trigger returns its error.
func (m *Manager) Trigger(ctx context.Context, e Event) (Receipt, error) {
	receipts, err := m.TriggerBatch(ctx, e)
	if err != nil {
		return Receipt{}, err
	}
	return receipts[0], nil
}

// TriggerBatch records events in one commit, all or none, in this order. It is
// otherwise like [Manager.Trigger], but filters have a tenth of a second more each time
// that the number of events doubles. A call takes at most 10,000 events, which have at
// most 64 MiB of data and metadata and make at most 100,000 deliveries. A single event
// may make more.
func (m *Manager) TriggerBatch(ctx context.Context, events ...Event) ([]Receipt, error) {
	t, err := m.prepareTrigger(ctx, events, m.engine.Load())
	if err != nil {
		return nil, err
	}
	if len(events) == 0 {
		return nil, nil
	}
	stored := false
	defer func() { t.handOver(stored) }() // also when the store panics
	if err = m.store.Enqueue(ctx, t.now, t.entries); err != nil {
		return nil, fmt.Errorf("trigger: %w", err)
	}
	stored = true
	return t.receipts(), nil
}

// TriggerTx records events in a transaction of the application. The package of the
// store makes a [Tx] of that transaction. The events are delivered if the transaction
// commits, and never if it rolls back. Which hooks they go to is decided now, not at
// the commit. Call [Manager.Wake] after the commit if they should not wait for the next
// poll. The bounds are those of [Manager.TriggerBatch].
//
// A transaction of another database than that of the Manager's store is refused with
// [ErrForeignTx], and a nil tx with an [InvalidError].
func (m *Manager) TriggerTx(ctx context.Context, tx Tx, events ...Event) ([]Receipt, error) {
	if isNil(tx) {
		return nil, &InvalidError{Field: "tx", Reason: "must not be nil"}
	}
	if tx.StoreID() != m.store.StoreID() {
		return nil, fmt.Errorf("trigger in a transaction: %w", ErrForeignTx)
	}
	t, err := m.prepareTrigger(ctx, events, nil)
	if err != nil {
		return nil, err
	}
	if err := tx.Enqueue(ctx, t.now, t.entries); err != nil {
		return nil, fmt.Errorf("trigger in a transaction: %w", err)
	}
	return t.receipts(), nil
}

// A trigger is a call of Trigger, TriggerBatch or TriggerTx under way.
type trigger struct {
	now     time.Time
	entries []Entry
	engine  *engine
	// handedOver are the deliveries for which the engine has reserved capacity, so that
	// it can send them without reading them from the store. queues has their queues.
	handedOver []dispatch.Item[item]
	queues     []*dispatch.Queue[Ref, item]
}

// checkBatch returns an error if there are more events than one call takes.
func checkBatch(events []Event) error {
	size := 0
	for i := range events {
		size += len(events[i].Data) + sizeOf(events[i].Metadata)
	}
	if len(events) > maxBatchEvents || size > maxBatchBytes && len(events) > 1 {
		return &InvalidError{Field: "events", Reason: fmt.Sprintf("must be at most %d and have at most %d bytes of data and metadata", maxBatchEvents, maxBatchBytes)}
	}
	return nil
}

// prepareTrigger checks the events and finds the hooks that want them. If eng is not
// nil, trigger.handOver must be called.
func (m *Manager) prepareTrigger(ctx context.Context, events []Event, eng *engine) (*trigger, error) {
	if err := checkBatch(events); err != nil {
		return nil, err
	}
	t := &trigger{now: now(), engine: eng, entries: make([]Entry, len(events))}
	for i := range events {
		e, err := m.prepareEvent(events[i], t.now)
		if err != nil {
			return nil, ofElement("events", i, len(events), err)
		}
		t.entries[i].Event = e
	}
	if err := m.index.refresh(ctx); err != nil {
		return nil, fmt.Errorf("trigger: read the hooks: %w", err)
	}
	for i := range t.entries {
		if err := m.index.checkReadable(t.entries[i].Event.Tenant); err != nil {
			return nil, fmt.Errorf("trigger: read the hooks: %w", err)
		}
	}
	matches, err := m.matchAll(ctx, t.entries)
	if err != nil {
		return nil, fmt.Errorf("trigger: evaluate the filters: %w", err)
	}
	deliveries := 0
	for i := range matches {
		deliveries += len(matches[i])
	}
	if deliveries > maxBatchDeliveries && len(events) > 1 {
		return nil, &InvalidError{Field: "events", Reason: fmt.Sprintf("must make at most %d deliveries together", maxBatchDeliveries)}
	}
	for i := range t.entries {
		m.addDeliveries(t, &t.entries[i], matches[i])
	}
	return t, nil
}

// addDeliveries adds the deliveries of an entry's event to these hooks.
func (m *Manager) addDeliveries(t *trigger, entry *Entry, matches []match) {
	if len(matches) == 0 {
		return
	}
	e := entry.Event
	entry.Deliveries = make([]Delivery, len(matches))
	for i, x := range matches {
		c := x.hook.outline
		d := &entry.Deliveries[i]
		*d = Delivery{
			ID: newID(), Tenant: e.Tenant, HookID: c.hook.ID, EventID: e.ID, EventType: e.Type, OrderingKey: e.OrderingKey,
			State: Pending, Undecided: x.verdict == undecided, Due: stamp(t.now.Add(c.schedule[0])), CreatedAt: t.now,
		}
		if t.engine == nil || e.OrderingKey != "" || d.Due.After(t.now) {
			continue
		}
		if q := t.engine.dispatch.Reserve(d.HookRef(), m.limitsOf(x.hook), len(e.Data)); q != nil {
			d.State = Leased
			d.Lease = Lease{Owner: m.owner, Token: 1, Until: stamp(t.now.Add(m.cfg.Lease))}
			t.queues = append(t.queues, q)
			t.handedOver = append(t.handedOver, item{&Claimed{Delivery: *d, Event: e}, x.hook}.waiting())
		}
	}
}

// handOver passes the deliveries to the engine if they were stored, and otherwise
// cancels the reservations.
func (t *trigger) handOver(stored bool) {
	if t.engine == nil {
		return
	}
	if len(t.handedOver) > 0 {
		t.engine.dispatch.HandOver(t.queues, t.handedOver, stored)
	}
	if !stored {
		return
	}
	for _, entry := range t.entries {
		t.engine.noteStored(entry.Deliveries)
	}
}

func (t *trigger) receipts() []Receipt {
	receipts := make([]Receipt, len(t.entries))
	for i, entry := range t.entries {
		receipts[i] = Receipt{EventID: entry.Event.ID, Deliveries: len(entry.Deliveries)}
		for j := range entry.Deliveries {
			if entry.Deliveries[j].Undecided {
				receipts[i].Undecided++
			}
		}
	}
	return receipts
}
