//go:build cgo

package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

// Claim implements [hooks.Store].
func (s *Store) Claim(ctx context.Context, r hooks.ClaimRequest) (claimed []hooks.Claimed, next time.Time, err error) {
	if err := s.damagedRows.takeUnreported(); err != nil {
		return nil, time.Time{}, err
	}
	for range maxAside {
		var delivery int64
		err = s.writer.doRelaxed(ctx, 0, func(t *tx) error {
			c := newClaim(t, r)
			claimed, next, err = c.run()
			delivery = c.delivery
			return err
		})
		if err == nil {
			break
		}
		if done, failure := s.setAside(ctx, err, delivery); !done || failure != nil {
			return nil, time.Time{}, errors.Join(s.damagedRows.takeUnreported(), err, failure)
		}
		s.damagedRows.add(err)
	}
	if err != nil || len(claimed) == 0 {
		if err := s.damagedRows.takeUnreported(); err != nil {
			return nil, time.Time{}, err
		}
	}
	return claimed, next, nil
}

// A claim is a call of Claim under way. The tenants in line take turns: the claim takes one
// delivery of the first tenant, from the lane of the tenant whose turn it is, and moves both
// to the ends of their lines. Tenants and lanes without a delivery that it may take are
// passed over.
type claim struct {
	*tx
	r              hooks.ClaimRequest
	capacity       hooks.Capacity
	hookCapacities map[int64]int // what capacity is left, by the n of the hook
	tenants        line[tenantInLine]
	// read are the tenants that were read, and lastTenant is the last of them.
	// tenantPassed says that some were passed over because they had no capacity.
	read         []*tenantInLine
	lastTenant   tenantTurn
	maxTurn      int64 // of all tenants
	tenantPassed bool
	claimed      []hooks.Claimed
	events       map[int64]*hooks.Event // by n
	// delivery is the n of the delivery that is being claimed.
	delivery int64
}

func newClaim(t *tx, r hooks.ClaimRequest) *claim {
	c := &claim{tx: t, r: r, capacity: r.Limit, hookCapacities: map[int64]int{}, events: map[int64]*hooks.Event{}}
	c.lastTenant.turn = math.MinInt64
	c.tenants.read = c.readTenants
	return c
}

// run makes the claim. It returns what was claimed, and when more will be due.
func (c *claim) run() ([]hooks.Claimed, time.Time, error) {
	for _, step := range []func() error{c.expire, c.joinLines, c.takeTurns, c.finish} {
		if err := step(); err != nil {
			return nil, time.Time{}, err
		}
	}
	next, err := c.next()
	return c.claimed, next, err
}

// takeTurns takes deliveries until the capacity of the claim is used up, or no tenant has a
// delivery that it may take.
func (c *claim) takeTurns() error {
	for c.capacity.Deliveries > 0 {
		t, err := c.tenants.next()
		if err != nil || t == nil {
			return err
		}
		served, err := c.serve(t)
		if err != nil {
			return err
		}
		if served {
			c.tenants.push(t)
		}
	}
	return nil
}

// serve takes one delivery of the tenant. It returns false if there is none that the claim
// may take.
func (c *claim) serve(t *tenantInLine) (served bool, err error) {
	for t.capacity.Deliveries > 0 {
		l, err := t.lanes.next()
		if err != nil || l == nil {
			return false, err
		}
		if c.hookCapacity(l.hook) <= 0 {
			t.lanePassed = t.lanePassed || !l.touched
			continue
		}
		found, err := c.fill(t, l)
		if err != nil {
			return false, err
		}
		if found {
			t.lanes.push(l)
			return true, c.takeNext(t, l)
		}
	}
	return false, nil
}

// deliveryColumns are what delivery reads, in the order of the constants that follow.
const deliveryColumns = "d.n, d.id, d.state, d.attempts, d.step, d.due, d.owner, d.token, d.until, d.held, d.reason, d.created_at, d.ended_at, d.ordering_key, d.undecided"

const (
	deliveryN = iota
	deliveryID
	deliveryState
	deliveryAttempts
	deliveryStep
	deliveryDue
	deliveryOwner
	deliveryToken
	deliveryUntil
	deliveryHeld
	deliveryReason
	deliveryCreatedAt
	deliveryEndedAt
	deliveryOrderingKey
	deliveryUndecided
	afterDelivery // the first column behind them
)

// eventColumns are what event reads, in the order of the constants that follow.
const eventColumns = "n, tenant, id, type, time, ordering_key, metadata, data"

const (
	eventN = iota
	eventTenant
	eventID
	eventType
	eventTime
	eventOrderingKey
	eventMetadata
	eventData
	afterEvent // the first column behind them
)

var (
	// stmtQueuedAfter reads the next deliveries of a lane that are due.
	stmtQueuedAfter = newStatement("SELECT " + deliveryColumns + `, d.event, d.queued FROM hooks_deliveries d
		WHERE d.hook = ? + 0 AND d.retry = ? + 0 AND d.queued <= ? AND (d.queued, d.n) > (? + 0, ? + 0) ORDER BY d.queued, d.n LIMIT ? + 0`)
	// stmtLease leases a delivery. To lease those of a lane together would make SQLite collect
	// them in a temporary table first, because the statement changes the index in which it
	// finds them.
	stmtLease = newStatement("UPDATE hooks_deliveries SET state = {leased}, queued = NULL, token = token + 1, until = ?, owner = ? WHERE n = ?")
	// stmtFindEvent reads an event.
	stmtFindEvent = newStatement("SELECT " + eventColumns + " FROM hooks_events WHERE n = ?")
)

// The further columns of stmtQueuedAfter.
const (
	queuedEvent = afterDelivery + iota
	queuedSince
)

// A queued delivery waits in a lane and is due.
type queued struct {
	hooks.Delivery
	place
	event int64
}

// A place is where a delivery stands in its lane: by time, then by n.
type place struct{ queued, n int64 }

// hookCapacity returns how many more deliveries of the hook the claim may take.
func (c *claim) hookCapacity(h *hookRow) int {
	left, known := c.hookCapacities[h.n]
	if !known {
		left = c.r.HookCapacity(h.ref)
		c.hookCapacities[h.n] = left
	}
	return left
}

// fill reads the next deliveries of the lane that are due, if none are left of those read
// before. It returns false if there are no more.
func (c *claim) fill(t *tenantInLine, l *laneInLine) (found bool, err error) {
	if !l.touched {
		l.touched = true
		t.touched = append(t.touched, l)
		l.mayHaveMore = l.hook.throttled() <= c.r.Now.UnixMilli()
	}
	if len(l.queued) == 0 && l.mayHaveMore {
		l.readAhead = min(l.share, c.hookCapacity(l.hook), max(2*l.readAhead, readAtOnce))
		l.queued = slices.Grow(l.queued, l.readAhead)
		err = c.each(stmtQueuedAfter, func(r row) error {
			l.queued = append(l.queued, queued{delivery(r, l.hook.ref), place{r.int(queuedSince), r.int(deliveryN)}, r.int(queuedEvent)})
			return nil
		}, l.hook.n, int64(l.retry), c.r.Now.UnixMilli(), l.last.queued, l.last.n, int64(l.readAhead))
		l.mayHaveMore = len(l.queued) == l.readAhead
	}
	return len(l.queued) > 0, err
}

// takeNext claims the first delivery of the lane.
func (c *claim) takeNext(t *tenantInLine, l *laneInLine) error {
	q := &l.queued[0]
	c.delivery = q.n
	e, err := c.event(q.event)
	if err != nil {
		return err
	}
	d := q.Delivery
	d.EventID, d.EventType = e.ID, e.Type
	d.State = hooks.Leased
	d.Lease = hooks.Lease{Owner: c.r.Owner, Token: d.Lease.Token + 1, Until: c.r.Until}
	if err := run(c, stmtLease, packTime(d.Lease.Until), packID(d.Lease.Owner), q.n); err != nil {
		return err
	}
	c.claimed = append(c.claimed, hooks.Claimed{Delivery: d, Event: e})
	c.leases[d.ID] = &lease{n: q.n, token: d.Lease.Token, hook: l.hook.n, key: d.OrderingKey, created: d.CreatedAt.UnixMilli(), logged: true}
	l.last, l.queued = q.place, l.queued[1:]
	c.capacity.Take(e.Data)
	t.capacity.Take(e.Data)
	c.hookCapacities[l.hook.n]--
	t.served = int64(len(c.claimed))
	l.served = t.served
	return nil
}

// event returns an event. All deliveries of the claim share it.
func (c *claim) event(n int64) (*hooks.Event, error) {
	if e := c.events[n]; e != nil {
		return e, nil
	}
	r, err := first(c, stmtFindEvent, n)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, &rowError{"hooks_events", n, isMissing}
	}
	e := event(*r)
	c.events[n] = e
	return e, c.damaged()
}

var (
	// stmtEnded finds the deliveries whose leases have ended.
	stmtEnded = newStatement(`SELECT n, hook, step, handed, token, created_at, until, id FROM hooks_deliveries
		WHERE until <= ? AND queued IS NULL`)
	// stmtQueueAgain queues such a delivery in its lane.
	stmtQueueAgain = newStatement("UPDATE hooks_deliveries SET queued = until WHERE n = ?")
	// stmtNextLane finds the lane without a turn that is due first.
	stmtNextLane = newStatement("SELECT hook, due FROM hooks_lanes WHERE turn IS NULL AND due > -{farFuture} ORDER BY due LIMIT 1")
	// stmtNextLease finds the lease that ends first.
	stmtNextLease = newStatement("SELECT n, until FROM hooks_deliveries WHERE until > ? AND queued IS NULL ORDER BY until LIMIT 1")
)

// The columns of stmtEnded.
const (
	endedN = iota
	endedHook
	endedStep
	endedHandedOver
	endedToken
	endedCreatedAt
	endedUntil
	endedID
)

// The columns of stmtNextLane and stmtNextLease: what is due, and when.
const (
	_ = iota // its name
	nextDue
)

// expire queues the deliveries whose leases have ended, at the time of that end.
func (c *claim) expire() error {
	var all []row
	if err := c.each(stmtEnded, func(r row) error {
		all = append(all, r.copy())
		return nil
	}, c.r.Now.UnixMilli()); err != nil {
		return err
	}
	for _, r := range all {
		delete(c.leases, r.id(endedID))
		h, err := c.hookN(r.int(endedHook))
		if err != nil {
			return err
		}
		if err := run(c, stmtQueueAgain, r.int(endedN)); err != nil {
			return err
		}
		if r.bool(endedHandedOver) && r.int(endedToken) == 1 {
			if err := c.addToLog(h.n, r.int(endedN), logEntry{r.int(endedCreatedAt), entryCreated}); err != nil {
				return err
			}
		}
		if err := c.queue(h, r.int(endedStep), r.int(endedUntil)); err != nil {
			return err
		}
	}
	return nil
}

// next returns the earliest time at which a lane becomes due or a lease ends.
func (c *claim) next() (next time.Time, err error) {
	lane, err := first(c, stmtNextLane)
	if err != nil {
		return next, err
	}
	lease, err := first(c, stmtNextLease, c.r.Now.UnixMilli())
	if err != nil {
		return next, err
	}
	if lane != nil {
		next = lane.time(nextDue)
	}
	if lease == nil {
		return next, nil
	}
	if until := lease.time(nextDue); next.IsZero() || until.Before(next) {
		next = until
	}
	return next, nil
}

// delivery reads deliveryColumns. EventID and EventType are not among them.
func delivery(r row, hook hooks.Ref) hooks.Delivery {
	if r.count(deliveryAttempts) > maxAttempt {
		r.wrong(deliveryAttempts, "a number of attempts")
	}
	return hooks.Delivery{
		ID: r.id(deliveryID), Tenant: hook.Tenant, HookID: hook.ID, OrderingKey: r.maybeText(deliveryOrderingKey),
		State: r.state(deliveryState), Attempts: r.count(deliveryAttempts), Step: r.count(deliveryStep), Due: r.maybeTime(deliveryDue),
		Lease: hooks.Lease{Owner: r.maybeID(deliveryOwner), Token: int64(r.count(deliveryToken)), Until: r.maybeTime(deliveryUntil)},
		Held:  r.bool(deliveryHeld), Reason: r.maybeText(deliveryReason), CreatedAt: r.time(deliveryCreatedAt), EndedAt: r.maybeTime(deliveryEndedAt), Undecided: r.bool(deliveryUndecided),
	}
}

// event reads eventColumns.
func event(r row) *hooks.Event {
	return &hooks.Event{
		Tenant: r.text(eventTenant), ID: r.id(eventID), Type: r.text(eventType), Time: r.time(eventTime), OrderingKey: r.maybeText(eventOrderingKey),
		Metadata: r.texts(eventMetadata), Data: json.RawMessage(r.maybeBytes(eventData)),
	}
}
