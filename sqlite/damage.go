//go:build cgo

package sqlite

import (
	"context"
	"errors"
	"sync"
)

// damagedRows are the errors of damaged rows that no call of Claim has returned yet.
//
// A damaged row must not keep others waiting. One that a claim meets is set aside: it is no
// longer queued, and stays as it is, so that it can be repaired. The claim goes on without
// it. A later claim fails once with the error, so that the Manager reports it.
type damagedRows struct {
	mu         sync.Mutex
	unreported []error
}

// maxAside is how many rows a claim sets aside at most.
const maxAside = 100

// add records the error of a row that was set aside.
func (a *damagedRows) add(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unreported = append(a.unreported, err)
}

// takeUnreported returns the errors that no call has returned yet, joined.
func (a *damagedRows) takeUnreported() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	err := errors.Join(a.unreported...)
	a.unreported = nil
	return err
}

// A removal removes deliveries from their queues. Before that, it logs those that were
// stored as leased and are not in the log yet.
type removal struct{ log, update *statement }

// newRemoval returns a removal of the deliveries for which the condition holds.
func newRemoval(set, where string) removal {
	return removal{
		newStatement(`INSERT OR IGNORE INTO hooks_log SELECT hook, created_at, n, {entryCreated} FROM hooks_deliveries
			WHERE typeof(hook) = 'integer' AND typeof(created_at) = 'integer' AND ` + where),
		newStatement("UPDATE hooks_deliveries SET " + set + " WHERE " + where),
	}
}

func (r removal) run(t *tx, arg any) error {
	return errors.Join(run(t, r.log, arg), run(t, r.update, arg))
}

// sqlUnqueued sets the columns of a delivery that is in no lane. If its lease has ended, it
// is pending.
const sqlUnqueued = "queued = NULL, until = NULL, state = CASE state WHEN {leased} THEN {pending} ELSE state END"

var (
	// stmtRemoveDelivery removes a delivery from its queue.
	stmtRemoveDelivery = newRemoval(sqlUnqueued, "n = ?")
	// stmtRemoveEvent removes the deliveries of an event from their queues.
	stmtRemoveEvent = newRemoval(sqlUnqueued, `n >= (SELECT first FROM hooks_events WHERE n = ?1)
		AND n < (SELECT first + deliveries FROM hooks_events WHERE n = ?1) AND event = ?1`)
	// stmtRemoveQueued removes the queued deliveries of a hook.
	stmtRemoveQueued = newRemoval(sqlUnqueued, "queued IS NOT NULL AND hook = ?")
	// stmtRemoveLeased makes the leased deliveries of a hook queued.
	stmtRemoveLeased = newRemoval("queued = until", "until IS NOT NULL AND queued IS NULL AND hook = ?")
	// stmtRemoveLanes removes the lanes of a hook.
	stmtRemoveLanes = newStatement("DELETE FROM hooks_lanes WHERE hook = ?")
	// The condition of each deletion is true for all rows.
	stmtDeleteTenants = newStatement("DELETE FROM hooks_tenants WHERE tenant >= ''")
	stmtDeleteLanes   = newStatement("DELETE FROM hooks_lanes WHERE hook >= -9e999")
	// stmtMakeLanes makes a lane for each hook with queued deliveries, of first attempts and of retries.
	stmtMakeLanes = newStatement(`INSERT INTO hooks_lanes (hook, retry, tenant, due)
		SELECT d.hook, d.retry, CASE typeof(h.tenant) WHEN 'text' THEN h.tenant ELSE '' END, 0
		FROM hooks_deliveries d LEFT JOIN hooks_hooks h ON h.n = d.hook WHERE d.hook > 0 AND typeof(d.hook) = 'integer'
		AND d.retry IN (0, 1) AND d.queued IS NOT NULL GROUP BY d.hook, d.retry`)
)

// rebuildLanes replaces all lanes by those of the deliveries that are queued. None has a
// turn. All are due, so that the next claim reads each and finds out when it is due.
func (t *tx) rebuildLanes() error {
	return errors.Join(run(t, stmtDeleteTenants), run(t, stmtDeleteLanes), run(t, stmtMakeLanes))
}

// setAside sets aside the row that err says is damaged. It returns false if err is about no
// such row. delivery is the n of the delivery that was read last.
func (s *Store) setAside(ctx context.Context, err error, delivery int64) (done bool, failure error) {
	var d *rowError
	if !errors.As(err, &d) {
		return false, nil
	}
	done = true
	failure = s.writer.do(ctx, func(t *tx) error {
		switch d.table {
		case "hooks_deliveries":
			return stmtRemoveDelivery.run(t, d.row)
		case "hooks_attempts":
			return stmtRemoveDelivery.run(t, d.n()>>attemptBits)
		case "hooks_events":
			return errors.Join(stmtRemoveEvent.run(t, d.row), stmtRemoveDelivery.run(t, delivery))
		case "hooks_hooks":
			if d.fault == isMissing {
				return errors.Join(stmtRemoveLeased.run(t, d.row), stmtRemoveQueued.run(t, d.row), t.rebuildLanes())
			}
			// Its deliveries are queued, but it has no lanes until it is enabled again.
			return errors.Join(stmtRemoveLeased.run(t, d.row), run(t, stmtRemoveLanes, d.row))
		case "hooks_lanes", "hooks_tenants":
			return t.rebuildLanes()
		}
		done = false
		return nil
	})
	return done, failure
}
