package sqlite

import (
	"encoding/json"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

// A claim is a call of Claim under way.
type claim struct {
	*tx
	r       hooks.ClaimRequest
	claimed []hooks.Claimed
	events  map[int64]*hooks.Event // by n
	// delivery is the n of the one that is being taken.
	delivery int64
}

func (c *claim) run() ([]hooks.Claimed, time.Time, error) {
	if err := c.expire(c.r.Now); err != nil {
		return nil, time.Time{}, err
	}
	lanes, room, err := c.choose(c.r)
	if err != nil {
		return nil, time.Time{}, err
	}
	if err := c.takeFrom(lanes, room); err != nil {
		return nil, time.Time{}, err
	}
	if len(lanes) > 0 {
		last, err := first(c, lastTurn)
		if err != nil {
			return nil, time.Time{}, err
		}
		for i, l := range lanes {
			if err := c.served(l, c.r.Now, last.int(0)+1+int64(i)); err != nil {
				return nil, time.Time{}, err
			}
		}
	}
	next, err := c.next()
	return c.claimed, next, err
}

// takeFrom takes from each lane the same, as far as there is something and room,
// round after round, until the limit is reached.
func (c *claim) takeFrom(lanes []lane, room map[*hookRow]int) error {
	for len(lanes) > 0 && len(c.claimed) < c.r.Limit {
		share := max(1, (c.r.Limit-len(c.claimed))/len(lanes))
		left := lanes[:0:0]
		for _, l := range lanes {
			want := min(share, room[l.hook], c.r.Limit-len(c.claimed))
			if want <= 0 {
				continue
			}
			got, err := c.take(l, want)
			if err != nil {
				return err
			}
			if room[l.hook] -= got; got == want && room[l.hook] > 0 {
				left = append(left, l)
			}
		}
		lanes = left
	}
	return nil
}

const (
	deliveryColumns = "d.n, d.id, d.state, d.attempts, d.step, d.due, d.owner, d.token, d.until, d.held, d.reason, d.created_at, d.ended_at, d.key"
	leaseQueued     = `UPDATE hooks_deliveries SET state = 3, queued = NULL, token = token + 1, until = ?, owner = ?
		WHERE hook = ? + 0 AND retry = ? + 0`
	eventColumns = "n, tenant, id, type, time, key, metadata, data"
)

var (
	queuedFirst = newStatement("SELECT " + deliveryColumns + `, d.event, d.queued FROM hooks_deliveries d
		WHERE d.hook = ? + 0 AND d.retry = ? + 0 AND d.queued <= ? ORDER BY d.queued, d.n LIMIT ? + 0`)
	leaseBefore = newStatement(leaseQueued + " AND queued < ?")
	leaseAt     = newStatement(leaseQueued + " AND queued = ? AND n <= ?")
	findEvent   = newStatement("SELECT " + eventColumns + " FROM hooks_events WHERE n = ?")
)

// take leases at most so many deliveries of the lane, the first that are due.
func (c *claim) take(l lane, want int) (got int, err error) {
	var firstQueued, queued, n int64
	err = c.each(queuedFirst, func(r row) error {
		d := delivery(r, l.hook.ref)
		d.State = hooks.Leased
		d.Lease = hooks.Lease{Owner: c.r.Owner, Token: d.Lease.Token + 1, Until: c.r.Until}
		c.delivery = r.int(0)
		e, err := c.event(r.int(14))
		if err != nil {
			return err
		}
		d.EventID, d.EventType = e.ID, e.Type
		c.claimed = append(c.claimed, hooks.Claimed{Delivery: d, Event: e})
		queued, n = r.int(15), r.int(0)
		c.leases[d.ID] = &lease{n: n, token: d.Lease.Token, hook: l.hook.n, key: d.Key, created: d.CreatedAt.UnixMilli(), logged: true}
		if got++; got == 1 {
			firstQueued = queued
		}
		return nil
	}, l.hook.n, int64(l.retry), c.r.Now.UnixMilli(), int64(want))
	if err != nil || got == 0 {
		return 0, err
	}
	until, owner := c.r.Until.UnixMilli(), packID(c.r.Owner)
	if firstQueued < queued {
		if err := run(c, leaseBefore, until, owner, l.hook.n, int64(l.retry), queued); err != nil {
			return 0, err
		}
	}
	return got, run(c, leaseAt, until, owner, l.hook.n, int64(l.retry), queued, n)
}

// event returns an event, the same for all deliveries of the claim.
func (c *claim) event(n int64) (*hooks.Event, error) {
	if e := c.events[n]; e != nil {
		return e, nil
	}
	r, err := first(c, findEvent, n)
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
	ended = newStatement(`SELECT n, hook, step, handed, token, created_at, until, id FROM hooks_deliveries
		WHERE until <= ? AND queued IS NULL`)
	queueAgain = newStatement("UPDATE hooks_deliveries SET queued = until WHERE n = ?")
	nextLease  = newStatement("SELECT n, until FROM hooks_deliveries WHERE until > ? AND queued IS NULL ORDER BY until LIMIT 1")
)

// expire queues the deliveries whose leases have ended, as of their end.
func (t *tx) expire(now time.Time) error {
	var all []row
	if err := t.each(ended, func(r row) error {
		all = append(all, r.copy())
		return nil
	}, now.UnixMilli()); err != nil {
		return err
	}
	for _, r := range all {
		delete(t.leases, r.id(7))
		h, err := t.hookN(r.int(1))
		if err != nil {
			return err
		}
		if err := run(t, queueAgain, r.int(0)); err != nil {
			return err
		}
		if r.bool(3) && r.int(4) == 1 {
			if err := t.tell(h.n, r.int(0), entry{r.int(5), entryCreated}); err != nil {
				return err
			}
		}
		if err := t.queue(h, r.int(2), r.int(6)); err != nil {
			return err
		}
	}
	return nil
}

// next returns the time when a lane or a lease will be due.
func (c *claim) next() (next time.Time, err error) {
	lane, err := first(c, nextLane)
	if err != nil {
		return next, err
	}
	lease, err := first(c, nextLease, c.r.Now.UnixMilli())
	if err != nil {
		return next, err
	}
	if lane != nil {
		next = lane.time(1)
	}
	if lease == nil {
		return next, nil
	}
	if until := lease.time(1); next.IsZero() || until.Before(next) {
		next = until
	}
	return next, nil
}

// delivery makes a delivery of deliveryColumns. Its EventID and EventType are
// missing.
func delivery(r row, hook hooks.Ref) hooks.Delivery {
	if r.count(3) > maxAttempt {
		r.wrong(3, "a number of attempts")
	}
	return hooks.Delivery{
		ID: r.id(1), Tenant: hook.Tenant, HookID: hook.ID, Key: r.maybeText(13),
		State: r.state(2), Attempts: r.count(3), Step: r.count(4), Due: r.maybeTime(5),
		Lease: hooks.Lease{Owner: r.maybeID(6), Token: int64(r.count(7)), Until: r.maybeTime(8)},
		Held:  r.bool(9), Reason: r.maybeText(10), CreatedAt: r.time(11), EndedAt: r.maybeTime(12),
	}
}

// event makes an event of eventColumns.
func event(r row) *hooks.Event {
	return &hooks.Event{
		Tenant: r.text(1), ID: r.id(2), Type: r.text(3), Time: r.time(4), Key: r.maybeText(5),
		Metadata: r.texts(6), Data: json.RawMessage(r.maybeBytes(7)),
	}
}
