package hooks

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A State is the state of a delivery.
//
//	blocked → pending → leased → succeeded
//	             ↑         ├───→ dead
//	             └─────────┘     cancelled (from any but leased, or instead of an attempt)
//
// Succeeded, dead and cancelled deliveries have ended. [Manager.Redeliver] makes them
// pending again.
type State string

// The states of a delivery.
const (
	// Blocked waits for an earlier delivery of the same hook and ordering key.
	Blocked State = "blocked"
	// Pending waits for its due time, or for a Manager to take it.
	Pending State = "pending"
	// Leased belongs to one Manager, which is sending it or is about to.
	Leased State = "leased"
	// Succeeded was accepted by the endpoint.
	Succeeded State = "succeeded"
	// Dead has used up its attempts, or was refused for good.
	Dead State = "dead"
	// Cancelled ended without a last attempt: [Manager.Cancel] was called; or the hook
	// was deleted, disabled or no longer verified when the delivery fell due; or the
	// hook's filter, which was evaluated only then, did not let the event through.
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
	// Undecided says that the hook's filter has not been evaluated yet, because there
	// was no time for it when the event was triggered. Run evaluates it before the next
	// attempt, also after a redelivery. It cancels the delivery if the filter does not
	// let the event through.
	Undecided bool
	// Attempts counts the attempts made, over all redeliveries.
	Attempts int
	// Step is the index of the next attempt in the schedule. A redelivery
	// starts at 0 again.
	Step int
	// Due is when the next attempt may start. Set while blocked, pending or
	// leased.
	Due time.Time
	// Lease says which Manager the delivery belongs to. Owner and Until are set while
	// it is leased. Token only grows.
	Lease Lease
	// Held says that the delivery is dead and holds its ordering key: later deliveries
	// with the key stay blocked.
	Held bool
	// Reason says why the delivery failed last or was cancelled.
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
	// Owner identifies the Manager.
	Owner string
	// Token is the fence token. It grows by one with each lease of the delivery, and a
	// settlement with an older one is refused.
	Token int64
	// Until is when the lease ends and others may take the delivery.
	Until time.Time
}

// Redeliver sends an ended delivery again, at once and with a whole schedule. The
// receiver sees the same idempotency key. If the hook's filter has not let the event
// through yet ([Delivery].Undecided), it is evaluated again. The error is [ErrNotFound]
// if the tenant has no such delivery, and [ErrConflict] if the delivery has not ended.
func (m *Manager) Redeliver(ctx context.Context, tenant, deliveryID string) (Delivery, error) {
	d, err := m.store.Redeliver(ctx, now(), tenant, deliveryID)
	if err != nil {
		return Delivery{}, fmt.Errorf("redeliver %q: %w", deliveryID, err)
	}
	m.claimNow()
	return d, nil
}

// Replay redelivers every delivery that matches q, has ended, and was created before
// the call. It returns how many. To replay a range of time that an endpoint missed, set
// Since, Until and States. The oldest go first, whatever q says, so that ordering keys
// keep their order.
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

// Cancel ends a delivery that waits, or one that is dead and holds its ordering key,
// and unblocks the next delivery of the key. The error is [ErrNotFound] if the tenant
// has no such delivery, and [ErrConflict] if the delivery is being sent or has ended.
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

// eventOf returns the event of a delivery for the observer. If it cannot be read, it
// has only what the delivery says about it.
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

// claimNow wakes the claim loop after a change that may have made deliveries due.
func (m *Manager) claimNow() {
	if e := m.engine.Load(); e != nil {
		e.claimAt(now())
	}
}
