//go:build cgo

package sqlite

import (
	"math"
	"time"
)

// A hook has two lanes: the deliveries that wait for their first attempt, and those that
// wait for a retry. A lane has a row in hooks_lanes for as long as deliveries are queued in
// it. The row's due is when the first of them is due and the hook is no longer throttled, or
// earlier.
//
// The lanes of a tenant that are due take turns, and so do the tenants that have such lanes,
// which are in hooks_tenants. A claim gives a turn to what has become due, and a later turn
// to what it has served.

// A lane is one of the two of a hook. retry is 0 for first attempts and 1 for retries.
type lane struct {
	hook  *hookRow
	retry int
}

// never is the due of a lane without a row.
const never = math.MaxInt64

// retry returns the lane of a delivery at this step of its schedule.
func retry(step int64) int {
	if step > 0 {
		return 1
	}
	return 0
}

var (
	// stmtLowerLane makes a lane due at a time, unless it is due earlier.
	stmtLowerLane = newStatement(`INSERT INTO hooks_lanes (hook, retry, tenant, due) VALUES (?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET due = excluded.due WHERE due > excluded.due`)
	// stmtSetLane sets when a lane is due, and its turn.
	stmtSetLane = newStatement("INSERT OR REPLACE INTO hooks_lanes (hook, retry, tenant, due, turn) VALUES (?, ?, ?, ?, ?)")
	// stmtDeleteLane removes a lane.
	stmtDeleteLane = newStatement("DELETE FROM hooks_lanes WHERE hook = ? AND retry = ?")
	// stmtFirstOf finds the first delivery that is queued in a lane.
	stmtFirstOf = newStatement(`SELECT n, queued FROM hooks_deliveries
		WHERE hook = ? + 0 AND retry = ? + 0 AND queued IS NOT NULL ORDER BY queued LIMIT 1`)
)

// The columns of stmtFirstOf.
const (
	_ = iota // n
	firstQueued
)

// queue updates the lane of a delivery that was queued.
func (t *tx) queue(h *hookRow, step int64, queued int64) error {
	r := retry(step)
	due := max(queued, h.throttled())
	if h.due[r] <= due {
		return nil
	}
	h.due[r] = due
	return run(t, stmtLowerLane, h.n, int64(r), h.ref.Tenant, due)
}

// dueOf returns when the lane is due, by the deliveries that are queued in it.
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

// endTurn removes a lane with nothing queued, and takes the turn of one that is due later.
// It reports whether the lane is due and thus keeps its turn.
func (t *tx) endTurn(l lane, due int64, now time.Time) (isDue bool, err error) {
	switch {
	case due == never:
		return false, run(t, stmtDeleteLane, l.hook.n, int64(l.retry))
	case due > now.UnixMilli():
		return false, run(t, stmtSetLane, l.hook.n, int64(l.retry), l.hook.ref.Tenant, due, nil)
	}
	return true, nil
}

// updateLanes updates the lanes of a hook after a delivery was removed from one of them
// other than by a claim, or after its throttle has changed. A lane that is due keeps its
// turn.
func (t *tx) updateLanes(h *hookRow, now time.Time) error {
	for r := range h.due {
		l := lane{h, r}
		due, err := t.dueOf(l)
		if err != nil {
			return err
		}
		isDue, err := t.endTurn(l, due, now)
		if err == nil && isDue {
			err = run(t, stmtLowerLane, h.n, int64(r), h.ref.Tenant, due)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// restartLanes updates the lanes of a hook that was changed. They lose their turns.
func (t *tx) restartLanes(h *hookRow) error {
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
