package hooks

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A State is where a delivery stands.
//
//	blocked → pending → leased → succeeded
//	             ↑         ├───→ dead
//	             └─────────┘     cancelled (from any but leased, or instead of an attempt)
//
// Succeeded, dead and cancelled are ends; [Manager.Redeliver] leads from them
// back to pending.
type State string

// The states of a delivery.
const (
	// Blocked waits for an earlier delivery of the same hook and ordering key.
	Blocked State = "blocked"
	// Pending waits for its due time, or for a Manager to take it.
	Pending State = "pending"
	// Leased is held by one Manager, which is sending it or about to.
	Leased State = "leased"
	// Succeeded was accepted by the endpoint.
	Succeeded State = "succeeded"
	// Dead has used up its attempts, or was refused for good.
	Dead State = "dead"
	// Cancelled ended without a last attempt: by hand, because its hook was
	// deleted, disabled or no longer verified when it fell due, or because the
	// hook's filter, evaluated only then, did not let the event through.
	Cancelled State = "cancelled"
)

// Ended reports whether s is succeeded, dead or cancelled.
func (s State) Ended() bool { return s == Succeeded || s == Dead || s == Cancelled }

// A Delivery is one event on its way to one hook.
type Delivery struct {
	// ID is a UUIDv7, unique among all deliveries.
	ID        string
	Tenant    string
	HookID    string
	EventID   string
	EventType string
	// OrderingKey is the event's, empty for none.
	OrderingKey string

	State State
	// Undecided says that the hook's filter has not let the event through yet,
	// because there was no time for it when the event was triggered. Run
	// evaluates it before the next attempt, and cancels the delivery if it
	// does not let the event through. So it does after a redelivery.
	Undecided bool
	// Attempts counts the attempts made, over all redeliveries.
	Attempts int
	// Step is the index of the next attempt in the schedule. A redelivery
	// starts at 0 again.
	Step int
	// Due is when the next attempt may start. Set while blocked, pending or
	// leased.
	Due time.Time
	// Lease says who holds the delivery. Owner and Until are set while
	// leased; Token only ever grows.
	Lease Lease
	// Held marks a dead delivery that holds its ordering key back.
	Held bool
	// Reason says in words why the delivery failed last or was cancelled.
	Reason string

	// CreatedAt is when the event was triggered.
	CreatedAt time.Time
	// EndedAt is when the delivery ended. Zero while it has not.
	EndedAt time.Time
}

// HookRef returns the name of the delivery's hook.
func (d Delivery) HookRef() Ref { return Ref{d.Tenant, d.HookID} }

// A Lease is the right to send a delivery and to settle it.
type Lease struct {
	// Owner is the Manager that holds the lease.
	Owner string
	// Token is the fence: it grows by one with each lease of the delivery,
	// and a settlement that carries an older one is refused.
	Token int64
	// Until is when the lease ends and others may take the delivery.
	Until time.Time
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
	m.claimNow()
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
	m.claimNow()
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
func (m *Manager) claimNow() {
	if e := m.engine.Load(); e != nil {
		e.claimAt(now())
	}
}
