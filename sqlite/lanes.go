//go:build cgo

package sqlite

import (
	"errors"
	"math"
	"time"
)

// A lane is the deliveries of one hook that wait for their first attempt, or
// those that wait for another. It has a row in hooks_lanes for as long as
// something is queued in it. The row's due is when the first of these is due and
// the hook's throttle is over, or earlier. The lanes that are due stand in line
// within their tenant, and the tenants that have such lanes stand in line in
// hooks_tenants: a claim puts them there, and gives those that it has served a
// later turn.

// A lane is one of a hook's two: 0 is for first attempts, 1 for retries.
type lane struct {
	hook  *hookRow
	retry int
}

// never is the due of a lane without a row.
const never = math.MaxInt64

func retry(step int64) int {
	if step > 0 {
		return 1
	}
	return 0
}

var (
	stmtLowerLane = newStatement(`INSERT INTO hooks_lanes (hook, retry, tenant, due) VALUES (?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET due = excluded.due WHERE due > excluded.due`)
	stmtSetLane    = newStatement("INSERT OR REPLACE INTO hooks_lanes (hook, retry, tenant, due, turn) VALUES (?, ?, ?, ?, ?)")
	stmtDeleteLane = newStatement("DELETE FROM hooks_lanes WHERE hook = ? AND retry = ?")
	stmtFirstOf    = newStatement(`SELECT n, queued FROM hooks_deliveries
		WHERE hook = ? + 0 AND retry = ? + 0 AND queued IS NOT NULL ORDER BY queued LIMIT 1`)
)

// The columns of stmtFirstOf.
const (
	_ = iota // n
	firstQueued
)

// queue takes note that a delivery was queued.
func (t *tx) queue(h *hookRow, step int64, queued int64) error {
	r := retry(step)
	due := max(queued, h.throttled())
	if h.due[r] <= due {
		return nil
	}
	h.due[r] = due
	return run(t, stmtLowerLane, h.n, int64(r), h.ref.Tenant, due)
}

// dueOf returns when the lane is due, by what is queued in it.
func (t *tx) dueOf(l lane) (int64, error) {
	found, err := first(t, stmtFirstOf, l.hook.n, int64(l.retry))
	if err != nil {
		return 0, err
	}
	l.hook.due[l.retry] = never
	if found != nil {
		l.hook.due[l.retry] = max(found.time(firstQueued).UnixMilli(), l.hook.throttled())
	}
	return l.hook.due[l.retry], nil
}

// recheck puts a lane right after something in it was taken out otherwise than
// by a claim, or its hook's throttle has changed. One that is due keeps its turn.
func (t *tx) recheck(l lane, now time.Time) error {
	due, err := t.dueOf(l)
	switch {
	case err != nil:
		return err
	case due == never:
		return run(t, stmtDeleteLane, l.hook.n, int64(l.retry))
	case due > now.UnixMilli():
		return run(t, stmtSetLane, l.hook.n, int64(l.retry), l.hook.ref.Tenant, due, nil)
	}
	return run(t, stmtLowerLane, l.hook.n, int64(l.retry), l.hook.ref.Tenant, due)
}

// recheckBoth is recheck for the lanes of a hook.
func (t *tx) recheckBoth(h *hookRow, now time.Time) error {
	return errors.Join(t.recheck(lane{h, 0}, now), t.recheck(lane{h, 1}, now))
}

// requeue is recheckBoth for a hook that was changed. Its lanes lose their turn.
func (t *tx) requeue(h *hookRow) error {
	for r := range h.due {
		due, err := t.dueOf(lane{h, r})
		if err == nil && due != never {
			err = run(t, stmtSetLane, h.n, int64(r), h.ref.Tenant, due, nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
