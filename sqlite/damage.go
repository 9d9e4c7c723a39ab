//go:build cgo

package sqlite

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

// damagedRows are the errors of damaged rows that no caller has been told of yet.
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

// takeUnreported returns the errors that no caller has got yet, joined.
func (a *damagedRows) takeUnreported() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	err := errors.Join(a.unreported...)
	a.unreported = nil
	return err
}

// Claim implements [hooks.Store].
func (s *Store) Claim(ctx context.Context, r hooks.ClaimRequest) (claimed []hooks.Claimed, next time.Time, err error) {
	if err := s.damagedRows.takeUnreported(); err != nil {
		return nil, time.Time{}, err
	}
	for range maxAside {
		var delivery int64
		err = s.writer.do(ctx, func(t *tx) error {
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
	// stmtAsideDelivery sets a delivery aside.
	stmtAsideDelivery = newRemoval(sqlUnqueued, "n = ?")
	// stmtAsideEvent sets the deliveries of an event aside.
	stmtAsideEvent = newRemoval(sqlUnqueued, `n >= (SELECT first FROM hooks_events WHERE n = ?1)
		AND n < (SELECT first + deliveries FROM hooks_events WHERE n = ?1) AND event = ?1`)
	// stmtAsideQueued sets the queued deliveries of a hook aside.
	stmtAsideQueued = newRemoval(sqlUnqueued, "queued IS NOT NULL AND hook = ?")
	// stmtAsideLeased makes the leased deliveries of a hook queued.
	stmtAsideLeased = newRemoval("queued = until", "until IS NOT NULL AND queued IS NULL AND hook = ?")
	// stmtAsideLanes removes the lanes of a hook.
	stmtAsideLanes = newStatement("DELETE FROM hooks_lanes WHERE hook = ?")
	// The condition of each deletion is true for all rows.
	stmtDeleteTenants = newStatement("DELETE FROM hooks_tenants WHERE tenant >= ''")
	stmtDeleteLanes   = newStatement("DELETE FROM hooks_lanes WHERE hook >= -9e999")
	// stmtMakeLanes makes a lane for each hook with queued deliveries, of first attempts and of retries.
	stmtMakeLanes = newStatement(`INSERT INTO hooks_lanes (hook, retry, tenant, due)
		SELECT d.hook, d.retry, CASE typeof(h.tenant) WHEN 'text' THEN h.tenant ELSE '' END, 0
		FROM hooks_deliveries d LEFT JOIN hooks_hooks h ON h.n = d.hook WHERE d.hook > 0 AND typeof(d.hook) = 'integer'
		AND d.retry IN (0, 1) AND d.queued IS NOT NULL GROUP BY d.hook, d.retry`)
)

// makeLanesAnew replaces all lanes by those of the deliveries that are queued. None has a
// turn. All are due, so that the next claim reads each and finds out when it is due.
func (t *tx) makeLanesAnew() error {
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
			return stmtAsideDelivery.run(t, d.row)
		case "hooks_attempts":
			return stmtAsideDelivery.run(t, d.n()>>attemptBits)
		case "hooks_events":
			return errors.Join(stmtAsideEvent.run(t, d.row), stmtAsideDelivery.run(t, delivery))
		case "hooks_hooks":
			if d.fault == isMissing {
				return errors.Join(stmtAsideLeased.run(t, d.row), stmtAsideQueued.run(t, d.row), t.makeLanesAnew())
			}
			// Its deliveries are queued, but it has no lanes until it is enabled again.
			return errors.Join(stmtAsideLeased.run(t, d.row), run(t, stmtAsideLanes, d.row))
		case "hooks_lanes", "hooks_tenants":
			return t.makeLanesAnew()
		}
		done = false
		return nil
	})
	return done, failure
}
