package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/seed-2c6e3a5a/hooks"
)

// A claimer makes the claims of a Store, one at a time.
type claimer struct {
	mu sync.Mutex
	// What follows is guarded by mu.
	lanes  lanes
	seen   snapshot // of the signals that were read last; none: the lanes are not known
	keys   map[orderingKey]bool
	claims uint64

	news newsBox
	scan scanner
}

func (c *claimer) init() {
	c.lanes = newLanes()
	c.keys = map[orderingKey]bool{}
}

// Claim implements [hooks.Store].
func (s *Store) Claim(ctx context.Context, r hooks.ClaimRequest) (claimed []hooks.Claimed, next time.Time, err error) {
	if err := s.check(ctx); err != nil {
		return nil, time.Time{}, err
	}
	c := &s.claimer
	c.mu.Lock()
	defer c.mu.Unlock()
	for range maxTries {
		if claimed, err = s.claimOnce(ctx, r); !isConflict(err) {
			break
		}
	}
	if err != nil {
		return nil, time.Time{}, s.readFailed(ctx, err)
	}
	if l := c.lanes.upcoming.First(); l != nil {
		next = time.UnixMilli(l.due).UTC()
	}
	return claimed, next, nil
}

func (s *Store) claimOnce(ctx context.Context, r hooks.ClaimRequest) (claimed []hooks.Claimed, err error) {
	c := &s.claimer
	if err := s.learn(ctx, r.Now); err != nil {
		return nil, err
	}
	c.claims++
	c.lanes.join(r.Now.UnixMilli())
	if c.lanes.ready.Len() == 0 || r.Limit.Deliveries <= 0 {
		return nil, nil
	}
	claim := claim{Store: s, lanes: &c.lanes, number: c.claims, r: r, now: r.Now.UnixMilli(), capacity: r.Limit, hookCapacities: map[int64]int{}}
	if claimed, err = claim.run(ctx); err != nil {
		c.seen = snapshot{} // The lanes have changed as if it had succeeded.
	}
	return claimed, err
}

// learn brings the lanes up to date.
func (s *Store) learn(ctx context.Context, now time.Time) error {
	c := &s.claimer
	if c.news.take(c, s) {
		c.seen = snapshot{}
	}
	complete, err := s.readSignals(ctx)
	if err != nil {
		return err
	}
	if !complete {
		if err := s.scanLanes(ctx); err != nil {
			return err
		}
	}
	s.scanNow()
	return s.releaseSignalled(ctx, now)
}

// releaseSignalled releases the blocked deliveries of ordering keys that may have no head.
func (s *Store) releaseSignalled(ctx context.Context, now time.Time) error {
	c := &s.claimer
	if len(c.keys) == 0 {
		return nil
	}
	all := make([]orderingKey, 0, len(c.keys))
	for key := range c.keys {
		all = append(all, key)
	}
	if err := s.send(ctx, func(b *pgx.Batch) { s.queueRelease(b, newKeySet(all), now, true) }); err != nil {
		return err
	}
	clear(c.keys)
	_, err := s.readSignals(ctx) // The release has signalled.
	return err
}

// hear applies signals to the lanes. The names of the hooks are known.
func (c *claimer) hear(s *Store, g signals) {
	for i, hook := range g.hooks {
		if g.kinds[i] == kindKey {
			c.keys[orderingKey{hook, g.keys[i].String}] = true
			continue
		}
		if ref, known := s.hooks.ref(hook); known {
			c.lanes.becomesDue(c.lanes.lane(laneKey{hook, g.kinds[i]}, ref), g.dues[i])
		}
	}
}

// A claim is a call of Claim under way. It goes through the tenants that have a turn: it
// takes a delivery of each, from the lane whose turn it is, and moves tenant and lane to
// the end of their lists. It skips what has no delivery that it may take. What lanes have is
// found for all together, as much as they may give if all have enough.
type claim struct {
	*Store
	*lanes
	number         uint64
	r              hooks.ClaimRequest
	now            int64
	tx             pgx.Tx
	capacity       hooks.Capacity
	hookCapacities map[int64]int // what is left, by the hook's n
	touched        []*lane
	taken          []candidate
}

// A candidate is a delivery that the claim has locked.
type candidate struct {
	place
	id    id
	event int64
	size  int
	lane  *lane
}

func (c *claim) run(ctx context.Context) (claimed []hooks.Claimed, err error) {
	err = c.transactOnce(ctx, func(ctx context.Context, tx pgx.Tx) error {
		c.tx = tx
		if err := c.takeTurns(ctx); err != nil {
			return err
		}
		if err := c.leaveTurns(ctx); err != nil {
			return err
		}
		claimed, err = c.lease(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	until := c.r.Until.UnixMilli()
	for i, t := range c.taken {
		d := &claimed[i].Delivery
		c.becomesDue(c.lane(t.lane.laneKey, t.lane.ref), until)
		c.leases.add(d.ID, lease{laneKey: t.lane.laneKey, token: d.Lease.Token, until: until, key: d.OrderingKey})
	}
	return claimed, nil
}

// takeTurns takes deliveries until the capacity of the claim is used up, or no tenant has
// one that it may take.
func (c *claim) takeTurns(ctx context.Context) error {
	for t := c.ready.First(); t != nil && c.capacity.Deliveries > 0; {
		next := c.ready.Next(t)
		served, err := c.serve(ctx, t)
		if err != nil {
			return err
		}
		if served {
			next = c.ready.ToEnd(t)
		}
		t = next
	}
	return nil
}

// visit prepares a tenant for the claim.
func (c *claim) visit(t *tenant) {
	if t.claim != c.number {
		t.claim, t.turn, t.capacity = c.number, t.ready.First(), c.r.TenantCapacity(t.name)
	}
}

// serve takes a delivery of the tenant. It reports whether there was one that the claim may
// take.
func (c *claim) serve(ctx context.Context, t *tenant) (served bool, err error) {
	c.visit(t)
	for l := t.turn; l != nil && t.capacity.Deliveries > 0; l = t.ready.Next(l) {
		if c.hookCapacity(l.hook) <= 0 {
			continue
		}
		if err := c.find(ctx, t, l); err != nil {
			return false, err
		}
		if len(l.found) > 0 {
			c.take(l)
			t.turn = t.ready.ToEnd(l)
			return true, nil
		}
	}
	t.turn = nil
	return false, nil
}

// hookCapacity returns how many more deliveries of the hook the claim may take.
func (c *claim) hookCapacity(hook int64) int {
	left, known := c.hookCapacities[hook]
	if !known {
		ref, _ := c.Store.hooks.ref(hook)
		left = c.r.HookCapacity(ref)
		c.hookCapacities[hook] = left
	}
	return left
}

// take takes the first delivery that was found in the lane.
func (c *claim) take(l *lane) {
	first := l.found[0]
	l.found = l.found[1:]
	l.cursor = first.place
	c.capacity.TakeBytes(first.size)
	l.tenant.capacity.TakeBytes(first.size)
	c.hookCapacities[l.hook]--
	c.taken = append(c.taken, first)
}

// touch prepares a lane for the claim.
func (c *claim) touch(l *lane) {
	if l.claim != c.number {
		l.claim, l.planned, l.found, l.exhausted, l.throttledUntil = c.number, 0, nil, false, earliest
		c.touched = append(c.touched, l)
	}
}

const (
	// sqlFind locks the next deliveries of each lane, unless its hook is throttled. Those
	// that others have locked are skipped. There is at least one row for each lane.
	sqlFind = `SELECT l.i, h.throttled_until, q.id, q.n, q.queued, q.event, q.size
		FROM unnest($1::bigint[], $2::smallint[], $3::bigint[], $4::bigint[], $5::bigint[]) WITH ORDINALITY AS l(hook, retry, queued, n, want, i)
		JOIN {schema}.hooks_hooks h ON h.n = l.hook
		LEFT JOIN LATERAL (
			SELECT q.id, q.n, q.queued, q.event, q.size FROM {schema}.hooks_queue q
			WHERE q.hook = l.hook AND q.retry = l.retry AND q.queued <= $6::bigint AND (q.queued, q.n) > (l.queued, l.n)
			ORDER BY q.queued, q.n LIMIT l.want FOR UPDATE SKIP LOCKED
		) q ON h.throttled_until IS NULL OR h.throttled_until <= $6::bigint
		ORDER BY l.i, q.queued, q.n`
	// sqlFindLater finds when something more is due in each lane, for the next deliveries.
	sqlFindLater = `SELECT l.i, q.queued FROM unnest($1::bigint[], $2::smallint[]) WITH ORDINALITY AS l(hook, retry, i)
		CROSS JOIN LATERAL (SELECT q.queued FROM {schema}.hooks_queue q
			WHERE q.hook = l.hook AND q.retry = l.retry AND q.queued > $3::bigint ORDER BY q.queued LIMIT $4::bigint) q`
	// foundLater is for how many deliveries of a lane.
	foundLater = 100
)

// find sees to it that the next delivery of the lane is found, if there is one. With it, it
// finds those of other lanes that the claim is likely to take.
func (c *claim) find(ctx context.Context, t *tenant, l *lane) error {
	if c.touch(l); len(l.found) > 0 || l.exhausted {
		return nil
	}
	lanes := c.plan(t, l)
	var hookNs, queued, ns, wants []int64
	var kinds []int16
	for _, l := range lanes {
		after := l.cursor
		if len(l.found) > 0 {
			after = l.found[len(l.found)-1].place
		}
		hookNs, kinds, wants = append(hookNs, l.hook), append(kinds, l.kind), append(wants, int64(l.planned-len(l.found)))
		queued, ns = append(queued, after.queued), append(ns, after.n)
	}
	rows, err := c.tx.Query(ctx, c.sql(sqlFind), hookNs, kinds, queued, ns, wants, c.now)
	if err != nil {
		return err
	}
	var i int64
	var q candidate
	var throttledUntil, n, since, event, size pgtype.Int8
	counts := make([]int64, len(lanes))
	_, err = pgx.ForEachRow(rows, []any{&i, &throttledUntil, &q.id, &n, &since, &event, &size}, func() error {
		l := lanes[i-1]
		if !q.id.Valid {
			if throttledUntil.Valid && throttledUntil.Int64 > c.now {
				l.throttledUntil = throttledUntil.Int64
			}
			return nil
		}
		counts[i-1]++
		l.size = int(size.Int64)
		l.found = append(l.found, candidate{place{since.Int64, n.Int64}, q.id, event.Int64, l.size, l})
		return nil
	})
	for i, l := range lanes {
		l.exhausted = l.exhausted || counts[i] < wants[i]
		l.planned = 0
	}
	return err
}

// leaveTurns takes the turns from the lanes in which nothing more is due.
func (c *claim) leaveTurns(ctx context.Context) error {
	var over, incomplete []*lane
	var hookNs []int64
	var kinds []int16
	for _, l := range c.touched {
		if !l.exhausted || len(l.found) > 0 {
			continue
		}
		over = append(over, l)
		if l.horizon > c.now {
			incomplete, hookNs, kinds = append(incomplete, l), append(hookNs, l.hook), append(kinds, l.kind)
		}
	}
	if len(incomplete) > 0 {
		rows, err := c.tx.Query(ctx, c.sql(sqlFindLater), hookNs, kinds, c.now, foundLater)
		if err != nil {
			return err
		}
		var i, queued int64
		counts := make([]int, len(incomplete))
		_, err = pgx.ForEachRow(rows, []any{&i, &queued}, func() error {
			counts[i-1]++
			c.becomesDue(incomplete[i-1], queued)
			return nil
		})
		if err != nil {
			return err
		}
		for i, l := range incomplete {
			if counts[i] < foundLater {
				l.horizon = earliest // From now on, dues has all.
			}
		}
	}
	for _, l := range over {
		if l.throttledUntil > c.now {
			c.throttle(l)
		} else {
			c.exhaust(l, c.now)
		}
	}
	return nil
}
