package sqlite

import (
	"errors"
	"math"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

// A lane is the deliveries of one hook that wait for their first attempt, or
// those that wait for another. It has a row in hooks_lanes for as long as
// something is queued in it. The row's due is when the first of these is due and
// the hook's throttle is over. The lanes that are due stand in line: a claim puts
// them there, and gives those that it has served a later turn.

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
	lowerLane = newStatement(`INSERT INTO hooks_lanes (hook, retry, due) VALUES (?, ?, ?)
		ON CONFLICT DO UPDATE SET due = excluded.due WHERE due > excluded.due`)
	setLane    = newStatement("INSERT OR REPLACE INTO hooks_lanes (hook, retry, due, turn) VALUES (?, ?, ?, ?)")
	deleteLane = newStatement("DELETE FROM hooks_lanes WHERE hook = ? AND retry = ?")
	firstOf    = newStatement(`SELECT n, queued FROM hooks_deliveries
		WHERE hook = ? + 0 AND retry = ? + 0 AND queued IS NOT NULL ORDER BY queued LIMIT 1`)
)

// queue takes note that a delivery was queued.
func (t *tx) queue(h *hookRow, step int64, queued int64) error {
	r := retry(step)
	due := max(queued, h.throttled())
	if h.due[r] <= due {
		return nil
	}
	h.due[r] = due
	return run(t, lowerLane, h.n, int64(r), due)
}

// dueOf returns when the lane is due, by what is queued in it.
func (t *tx) dueOf(l lane) (int64, error) {
	found, err := first(t, firstOf, l.hook.n, int64(l.retry))
	if err != nil {
		return 0, err
	}
	l.hook.due[l.retry] = never
	if found != nil {
		l.hook.due[l.retry] = max(found.time(1).UnixMilli(), l.hook.throttled())
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
		return run(t, deleteLane, l.hook.n, int64(l.retry))
	case due > now.UnixMilli():
		return run(t, setLane, l.hook.n, int64(l.retry), due, nil)
	}
	return run(t, lowerLane, l.hook.n, int64(l.retry), due)
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
			err = run(t, setLane, h.n, int64(r), due, nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// served puts a lane where it belongs after a claim: back into line at this turn,
// or out of it.
func (t *tx) served(l lane, now time.Time, turn int64) error {
	due, err := t.dueOf(l)
	switch {
	case err != nil:
		return err
	case due == never:
		return run(t, deleteLane, l.hook.n, int64(l.retry))
	case due > now.UnixMilli():
		return run(t, setLane, l.hook.n, int64(l.retry), due, nil)
	}
	return run(t, setLane, l.hook.n, int64(l.retry), due, turn)
}

var (
	lineUp = newStatement(`UPDATE hooks_lanes SET turn = (SELECT coalesce(max(turn), 0) + 1 FROM hooks_lanes WHERE turn IS NOT NULL)
		WHERE turn IS NULL AND due <= ?`)
	line     = newStatement("SELECT hook, retry FROM hooks_lanes WHERE turn IS NOT NULL ORDER BY turn")
	lastTurn = newStatement("SELECT coalesce(max(turn), 0) FROM hooks_lanes WHERE turn IS NOT NULL")
	nextLane = newStatement("SELECT hook, due FROM hooks_lanes WHERE turn IS NULL AND due > -(1 << 62) ORDER BY due LIMIT 1")
)

// choose returns the lanes that the claim serves, in turn, and what room the
// hooks have. Those without room keep their turn.
func (t *tx) choose(r hooks.ClaimRequest) (lanes []lane, room map[*hookRow]int, err error) {
	if err := run(t, lineUp, r.Now.UnixMilli()); err != nil {
		return nil, nil, err
	}
	room, chosen := map[*hookRow]int{}, map[*hookRow]int{}
	err = t.each(line, func(found row) error {
		h, err := t.hookN(found.int(0))
		if err != nil {
			return err
		}
		if _, known := room[h]; !known {
			room[h] = roomOf(h, r)
		}
		if chosen[h] < room[h] {
			chosen[h]++
			lanes = append(lanes, lane{h, retry(packBool(found.bool(1)))})
		}
		if len(lanes) == r.Limit {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return lanes, room, err
}

var errEnough = errors.New("enough")

func roomOf(h *hookRow, r hooks.ClaimRequest) int {
	if n, ok := r.Room[h.ref]; ok {
		return n
	}
	if r.PerHook > 0 {
		return r.PerHook
	}
	return r.Limit
}
