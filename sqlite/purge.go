//go:build cgo

package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

// purgeStep is how many deliveries, each with its attempts and often its event, Purge removes
// in one transaction, so that other writers do not wait for long.
const purgeStep = 25

var (
	// stmtEndedFrom reads the logs of the hooks in the order of their n.
	stmtEndedFrom = newStatement(`SELECT h.n, l.delivery FROM hooks_hooks h CROSS JOIN hooks_log l ON l.hook = h.n
		CROSS JOIN hooks_deliveries d ON d.n = l.delivery
		WHERE h.n >= ? AND h.n < ? AND l.at < ? AND l.entry IN ({entrySucceeded}, {entryDead}, {entryCancelled}) AND d.held IS NULL AND d.ended_at = l.at LIMIT ?`)
	// stmtBareEvents finds old events that have no deliveries.
	stmtBareEvents = newStatement("SELECT n FROM hooks_events WHERE deliveries = 0 AND triggered_at < ? LIMIT ?")
	// stmtTraces finds hooks that were deleted long ago.
	stmtTraces = newStatement("SELECT n FROM hooks_hooks WHERE deleted_at < ? LIMIT ?")
)

// The columns of stmtEndedFrom.
const (
	endedFromHook = iota
	endedFromDelivery
)

// Purge implements [hooks.Store]. It first reads what it may remove, without a
// lock, and then removes it in steps. Damaged rows stay, and are reported once.
func (s *Store) Purge(ctx context.Context, r hooks.PurgeRequest) (removed int, err error) {
	s.purging.Lock()
	defer s.purging.Unlock()
	var damaged []error
	for removed < r.Limit {
		found, err := s.old(ctx, r, r.Limit-removed)
		if err != nil || found.empty() {
			return removed, errors.Join(append(damaged, err)...)
		}
		before := removed
		for !found.empty() && removed < r.Limit {
			var done purged
			step := found.cut(min(purgeStep, r.Limit-removed))
			err := s.writer.do(ctx, func(t *tx) (err error) {
				done, err = t.purge(r.Before, step)
				return err
			})
			if err != nil {
				return removed, errors.Join(append(damaged, err)...)
			}
			s.endCounts.removed(done)
			removed += done.rows
			for n, err := range done.damaged {
				s.unpurged[n] = true
				damaged = append(damaged, fmt.Errorf("sqlite: %w", err))
			}
		}
		if removed == before { // Another process has removed it, or it is damaged.
			break
		}
	}
	return removed, errors.Join(damaged...)
}

// old has what may be removed. Events and hooks are given by their n.
type old struct {
	deliveries    []endedDelivery
	events, hooks []int64
}

// An endedDelivery is removed if it ended before that time. If its hook has too many, its
// event is removed as well, whenever that was triggered.
type endedDelivery struct {
	n, before int64
	tooMuch   bool
}

func (o *old) empty() bool { return len(o.deliveries)+len(o.events)+len(o.hooks) == 0 }

// cut removes n elements and returns them.
func (o *old) cut(n int) (step old) {
	step.deliveries, o.deliveries = split(o.deliveries, n)
	step.events, o.events = split(o.events, n-len(step.deliveries))
	step.hooks, o.hooks = split(o.hooks, n-len(step.deliveries)-len(step.events))
	return step
}

// split returns the first n elements, and the others.
func split[T any](all []T, n int) (front, rest []T) {
	n = min(n, len(all))
	return all[:n], all[n:]
}

// old finds what may be removed: at most limit of each kind.
func (s *Store) old(ctx context.Context, q hooks.PurgeRequest, limit int) (o old, err error) {
	err = s.reads(ctx, func(r *reader) error {
		at := q.Before.UnixMilli()
		// Begin with the hook at which the last call stopped.
		start := s.purged
		for _, part := range [][2]int64{{start, never}, {0, start}} {
			err := r.each(stmtEndedFrom, func(r row) error {
				s.purged = r.int(endedFromHook)
				if !s.unpurged[r.int(endedFromDelivery)] {
					o.deliveries = append(o.deliveries, endedDelivery{n: r.int(endedFromDelivery), before: at})
				}
				return nil
			}, part[0], part[1], at, int64(limit-len(o.deliveries)+len(s.unpurged)))
			if err != nil {
				return err
			}
		}
		if q.KeepPerHook > 0 {
			if err := s.endCounts.tooMuch(r, q.KeepPerHook, limit, s.unpurged, &o.deliveries); err != nil {
				return err
			}
		}
		if err := r.each(stmtBareEvents, collect(&o.events), at, int64(limit)); err != nil {
			return err
		}
		return r.each(stmtTraces, collect(&o.hooks), at, int64(limit))
	})
	return o, err
}

// collect appends the first column of each row.
func collect(ns *[]int64) func(row) error {
	return func(r row) error {
		*ns = append(*ns, r.int(0))
		return nil
	}
}

var (
	// stmtOldDelivery reads a delivery, with its event, that may be purged.
	stmtOldDelivery = newStatement(`SELECT d.n, d.hook, d.created_at, d.ended_at, d.state, d.event, e.first AS "hooks_events.first",
		e.deliveries AS "hooks_events.deliveries", e.triggered_at AS "hooks_events.triggered_at"
		FROM hooks_deliveries d LEFT JOIN hooks_events e ON e.n = d.event WHERE d.n = ? AND d.ended_at < ? AND d.held IS NULL`)
	// stmtDeleteAttempts deletes the attempts of a delivery.
	stmtDeleteAttempts = newStatement(`DELETE FROM hooks_attempts WHERE n > ?1 << {attemptBits} AND n < ?1 + 1 << {attemptBits}
		RETURNING n, started_at, class IS NOT NULL`)
	// stmtDeleteDelivery deletes a delivery.
	stmtDeleteDelivery = newStatement("DELETE FROM hooks_deliveries WHERE n = ?")
	// stmtHasDelivery finds out whether an event has deliveries left.
	stmtHasDelivery = newStatement("SELECT 1 FROM hooks_deliveries WHERE n >= ? AND n < ? AND event = ? LIMIT 1")
	// stmtMakeBare marks an event as one without deliveries.
	stmtMakeBare = newStatement("UPDATE hooks_events SET deliveries = 0 WHERE n = ?")
	// stmtDeleteEvent deletes an event.
	stmtDeleteEvent = newStatement("DELETE FROM hooks_events WHERE n = ?")
	// stmtForgetHook forgets that a hook was deleted.
	stmtForgetHook = newStatement("UPDATE hooks_hooks SET revision = NULL, deleted_at = NULL WHERE n = ? AND deleted_at < ? RETURNING n")
	// stmtDeleteHook deletes the row of a hook if nothing refers to it.
	stmtDeleteHook = newStatement(`DELETE FROM hooks_hooks WHERE n = ?1 AND version IS NULL AND revision IS NULL
		AND NOT EXISTS (SELECT 1 FROM hooks_log WHERE hook = ?1)
		AND NOT EXISTS (SELECT 1 FROM hooks_deliveries WHERE until IS NOT NULL AND queued IS NULL AND hook = ?1) RETURNING n`)
	// stmtDeleteRequests deletes the generations before that of the oldest attempt,
	// because they have no attempts left.
	stmtDeleteRequests = newStatement(`DELETE FROM hooks_requests WHERE n < (SELECT coalesce(min(n), {farFuture}) >> {generationBits} << {generationBits} FROM hooks_attempts)
		AND n < (SELECT coalesce(min(n), {farFuture} >> {attemptBits}) << {attemptBits} >> {generationBits} << {generationBits} FROM hooks_deliveries) RETURNING n`)
)

// The columns of stmtOldDelivery.
const (
	_ = iota // n
	oldHook
	oldCreatedAt
	oldEndedAt
	oldState
	oldEvent
	oldEventFirst
	oldEventDeliveries
	oldEventTriggeredAt
)

// The columns of stmtDeleteAttempts.
const (
	attemptedN = iota
	attemptedAt
	attemptedInVain
)

// purged is what a step has removed.
type purged struct {
	rows       int             // deliveries, events and hooks
	deliveries map[int64]int   // how many, by the n of the hook
	hooks      []int64         // the n of hooks of which nothing is left
	damaged    map[int64]error // by the n of the delivery
}

// purge removes what was found, unless it was changed or removed since.
func (t *tx) purge(before time.Time, o old) (done purged, err error) {
	done.deliveries, done.damaged = map[int64]int{}, map[int64]error{}
	if err := t.purgeDeliveries(before, o.deliveries, &done); err != nil {
		return done, err
	}
	for _, n := range o.events {
		if err := run(t, stmtDeleteEvent, n); err != nil {
			return done, err
		}
		done.rows++
	}
	if err := t.purgeHooks(before, o.hooks, &done); err != nil {
		return done, err
	}
	deleted, err := first(t, stmtDeleteRequests)
	if err == nil && deleted != nil {
		t.forgetRequests()
	}
	return done, err
}

// purgeDeliveries removes ended deliveries. Damage concerns one of them only.
func (t *tx) purgeDeliveries(before time.Time, ended []endedDelivery, done *purged) error {
	for _, d := range ended {
		var hook int64
		err := t.apart(func() (err error) {
			hook, err = t.purgeDelivery(before, d)
			return err
		})
		switch {
		case errors.As(err, new(*rowError)):
			done.damaged[d.n] = err
		case err != nil:
			return err
		case hook != 0:
			done.rows++
			done.deliveries[hook]++
		}
	}
	return nil
}

// purgeHooks forgets that these hooks were deleted. It removes the rows of those, and of the
// hooks whose deliveries were removed, of which nothing else is left.
func (t *tx) purgeHooks(before time.Time, deleted []int64, done *purged) error {
	for _, n := range deleted {
		r, err := first(t, stmtForgetHook, n, before.UnixMilli())
		if err != nil {
			return err
		}
		if r != nil {
			done.rows++
			done.deliveries[n] += 0
		}
	}
	for n := range done.deliveries {
		r, err := first(t, stmtDeleteHook, n)
		if err != nil {
			return err
		}
		if r != nil {
			t.forget(n)
			done.hooks = append(done.hooks, n)
		}
	}
	return nil
}

// purgeDelivery removes a delivery, its attempts, and its event if that has no other
// delivery. It returns the n of the hook, or 0 if there was nothing to remove.
func (t *tx) purgeDelivery(before time.Time, e endedDelivery) (hook int64, err error) {
	d, err := first(t, stmtOldDelivery, e.n, e.before)
	if err != nil || d == nil {
		return 0, err
	}
	hook = d.int(oldHook)
	entries := []logEntry{{d.int(oldCreatedAt), entryCreated}, {d.int(oldEndedAt), entryOfEnd(packState(d.state(oldState)))}}
	err = t.each(stmtDeleteAttempts, func(r row) error {
		kind := entryAttempt
		if r.bool(attemptedInVain) {
			kind = entryFailedAttempt
		}
		entries = append(entries, logEntry{r.int(attemptedAt), r.int(attemptedN)&maxAttempt<<entryBits + kind})
		return nil
	}, e.n)
	if err != nil {
		return 0, err
	}
	if err := t.removeFromLog(hook, e.n, entries...); err != nil {
		return 0, err
	}
	if err := run(t, stmtDeleteDelivery, e.n); err != nil {
		return 0, err
	}
	event := d.int(oldEvent)
	left, err := first(t, stmtHasDelivery, d.int(oldEventFirst), d.int(oldEventFirst)+int64(d.count(oldEventDeliveries)), event)
	if err != nil || left != nil {
		return hook, err
	}
	if !e.tooMuch && d.int(oldEventTriggeredAt) >= before.UnixMilli() {
		return hook, run(t, stmtMakeBare, event)
	}
	return hook, run(t, stmtDeleteEvent, event)
}
