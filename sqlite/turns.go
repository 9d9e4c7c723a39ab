//go:build cgo

package sqlite

import (
	"errors"
	"math"

	"github.com/seed-2c6e3a5a/hooks"
)

// A line has the tenants, or the lanes of a tenant, in the order in which a claim serves
// them: first those that it has not served yet, then the others in the order in which it
// served them.
type line[T any] struct {
	waiting, served []*T
	// read reads the next that wait from the database. It is nil when all were read.
	read func() ([]*T, error)
}

// next removes the first from the line and returns it, or nil if the line is empty.
func (l *line[T]) next() (next *T, err error) {
	if len(l.waiting) == 0 && l.read != nil {
		if l.waiting, err = l.read(); err != nil {
			return nil, err
		}
	}
	from := &l.waiting
	if len(*from) == 0 {
		from = &l.served
	}
	if len(*from) == 0 {
		return nil, nil
	}
	next, *from = (*from)[0], (*from)[1:]
	return next, nil
}

// push adds one that was served at the end.
func (l *line[T]) push(x *T) { l.served = append(l.served, x) }

// unread reports whether the claim has not come to all that are in line.
func (l *line[T]) unread() bool { return l.read != nil || len(l.waiting) > 0 }

// A tenantInLine is a tenant that a claim serves.
type tenantInLine struct {
	tenant     string
	capacity   hooks.Capacity
	share      int // about how many deliveries it may give
	lanes      line[laneInLine]
	last       laneTurn      // of the lanes that were read
	maxTurn    int64         // of all its lanes
	touched    []*laneInLine // the lanes that were looked into
	lanePassed bool          // others were passed over because they had no capacity
	served     int64         // when, for the last time: after so many deliveries; 0: never
}

// A laneInLine is a lane that a claim serves.
type laneInLine struct {
	lane
	share       int // about how many deliveries it may give
	touched     bool
	queued      []queued // due, and not taken yet
	readAhead   int      // How many were read at last.
	mayHaveMore bool     // There may be more that are due.
	last        place    // of those taken
	served      int64    // as in tenantInLine
}

type (
	tenantTurn struct {
		turn   int64
		tenant string
	}
	laneTurn struct{ turn, hook, retry int64 }
)

// readAtOnce is how many tenants, lanes, or first deliveries of a lane a claim
// reads at once at most.
const readAtOnce = 100

var (
	// stmtLineUpTenants comes before stmtLineUpLanes. Tenants may be in line without a
	// lane that is due, for example because all their deliveries were cancelled.
	stmtLineUpTenants = newStatement(`INSERT INTO hooks_tenants (tenant, turn)
		SELECT DISTINCT tenant, (SELECT coalesce(max(turn), 0) + 1 FROM hooks_tenants) FROM hooks_lanes WHERE turn IS NULL AND due <= ?
		ON CONFLICT DO UPDATE SET turn = excluded.turn
			WHERE NOT EXISTS (SELECT 1 FROM hooks_lanes WHERE tenant = excluded.tenant AND turn IS NOT NULL)`)
	// stmtLineUpLanes gives a turn to the lanes that have become due.
	stmtLineUpLanes = newStatement(`UPDATE hooks_lanes AS l SET turn =
		(SELECT coalesce(max(turn), 0) + 1 FROM hooks_lanes WHERE tenant = l.tenant AND turn IS NOT NULL)
		WHERE turn IS NULL AND due <= ?`)
	// stmtTenantsAfter reads the next tenants in line.
	stmtTenantsAfter = newStatement(`SELECT tenant, turn, (SELECT max(turn) FROM hooks_tenants) FROM hooks_tenants
		WHERE (turn, tenant) > (? + 0, ? || '') ORDER BY turn, tenant`)
	// stmtLanesAfter reads the next lanes of a tenant in line.
	stmtLanesAfter = newStatement(`SELECT hook, retry, turn, (SELECT max(turn) FROM hooks_lanes WHERE tenant = ?1 || '' AND turn IS NOT NULL)
		FROM hooks_lanes WHERE tenant = ?1 || '' AND turn IS NOT NULL AND (turn, hook, retry) > (?2 + 0, ?3 + 0, ?4 + 0)
		ORDER BY turn, hook, retry`)
)

// The columns of stmtTenantsAfter.
const (
	tenantName = iota
	tenantPlace
	tenantLastPlace
)

// The columns of stmtLanesAfter.
const (
	laneHook = iota
	laneRetry
	lanePlace
	laneLastPlace
)

// turn returns a place in line.
func (r row) turn(i int) int64 {
	turn := r.int(i)
	if turn < 0 || turn > never/2 {
		r.wrong(i, "a turn")
	}
	return turn
}

// joinLines gives a turn to lanes that have become due, and to their tenants.
func (c *claim) joinLines() error {
	now := c.r.Now.UnixMilli()
	return errors.Join(run(c, stmtLineUpTenants, now), run(c, stmtLineUpLanes, now))
}

var errEnough = errors.New("enough")

// readTenants reads the next tenants in line that have capacity.
func (c *claim) readTenants() (read []*tenantInLine, err error) {
	err = c.each(stmtTenantsAfter, func(r row) error {
		if len(read) == min(c.capacity.Deliveries, readAtOnce) {
			return errEnough
		}
		c.lastTenant, c.maxTurn = tenantTurn{r.turn(tenantPlace), r.text(tenantName)}, r.turn(tenantLastPlace)
		t := &tenantInLine{tenant: c.lastTenant.tenant, capacity: c.r.TenantCapacity(c.lastTenant.tenant), last: laneTurn{turn: math.MinInt64}}
		if t.capacity.Deliveries <= 0 {
			c.tenantPassed = true
			return nil
		}
		t.lanes.read = func() ([]*laneInLine, error) { return c.readLanes(t) }
		read = append(read, t)
		return nil
	}, c.lastTenant.turn, c.lastTenant.tenant)
	if errors.Is(err, errEnough) {
		err = nil
	} else {
		c.tenants.read = nil
	}
	for _, t := range read {
		t.share = min(shareOf(c.capacity.Deliveries, len(read)), t.capacity.Deliveries)
	}
	c.read = append(c.read, read...)
	return read, err
}

// readLanes reads the tenant's next lanes in line whose hooks have capacity.
func (c *claim) readLanes(t *tenantInLine) (read []*laneInLine, err error) {
	err = c.each(stmtLanesAfter, func(r row) error {
		if len(read) == min(t.share, readAtOnce) {
			return errEnough
		}
		t.last, t.maxTurn = laneTurn{turn: r.turn(lanePlace), hook: r.int(laneHook), retry: packBool(r.bool(laneRetry))}, r.turn(laneLastPlace)
		h, err := c.hookN(t.last.hook)
		if err != nil {
			return err
		}
		if h.ref.Tenant != t.tenant {
			r.damaged(errors.New("tenant is not the hook's"))
			return c.damaged()
		}
		if c.hookCapacity(h) <= 0 {
			t.lanePassed = true
			return nil
		}
		start := place{math.MinInt64, math.MinInt64}
		read = append(read, &laneInLine{lane: lane{h, int(t.last.retry)}, last: start})
		return nil
	}, t.tenant, t.last.turn, t.last.hook, t.last.retry)
	if errors.Is(err, errEnough) {
		err = nil
	} else {
		t.lanes.read = nil
	}
	for _, l := range read {
		l.share = shareOf(t.share, len(read))
	}
	return read, err
}

// shareOf divides among n, and rounds up.
func shareOf(all, n int) int { return (all-1)/n + 1 }

var (
	// stmtSetTenant gives a tenant a new turn.
	stmtSetTenant = newStatement("UPDATE hooks_tenants SET turn = ? WHERE tenant = ?")
	// stmtDeleteTenant removes a tenant that has no lane in line.
	stmtDeleteTenant = newStatement("DELETE FROM hooks_tenants WHERE tenant = ?")
)

// finish gives new turns to the tenants and lanes that were served. One that is alone in its
// line needs no new turn.
func (c *claim) finish() error {
	alone := len(c.read) == 1 && !c.tenantPassed && !c.tenants.unread()
	for _, t := range c.read {
		stays, err := c.finishLanes(t)
		switch {
		case err != nil:
			return err
		case !stays:
			err = run(c, stmtDeleteTenant, t.tenant)
		case t.served > 0 && !alone:
			err = run(c, stmtSetTenant, c.maxTurn+t.served, t.tenant)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// finishLanes is finish for the lanes of a tenant. It reports whether some of them still
// have a turn.
func (c *claim) finishLanes(t *tenantInLine) (stay bool, err error) {
	stay = t.lanePassed || t.lanes.unread()
	alone := len(t.touched) == 1 && !stay
	for _, l := range t.touched {
		due, err := c.dueAfter(l)
		if err != nil {
			return false, err
		}
		isDue, err := c.endTurn(l.lane, due, c.r.Now)
		if err == nil && isDue && l.served > 0 && !alone {
			err = run(c, stmtSetLane, l.hook.n, int64(l.retry), t.tenant, due, t.maxTurn+l.served)
		}
		if err != nil {
			return false, err
		}
		stay = stay || isDue
	}
	return stay, nil
}

// dueAfter returns when the lane is due after the claim.
func (c *claim) dueAfter(l *laneInLine) (int64, error) {
	if len(l.queued) == 0 {
		return c.dueOf(l.lane)
	}
	l.hook.due[l.retry] = l.queued[0].queued // No throttle keeps it.
	return l.hook.due[l.retry], nil
}
