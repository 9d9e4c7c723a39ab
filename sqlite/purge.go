package sqlite

import (
	"context"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

// purgeStep is how many rows Purge removes in one transaction, so that nobody
// waits for long.
const purgeStep = 50

var (
	// endedFrom goes through the logs of the hooks in the order of their n.
	endedFrom = newStatement(`SELECT h.n, l.delivery FROM hooks_hooks h CROSS JOIN hooks_log l ON l.hook = h.n
		CROSS JOIN hooks_deliveries d ON d.n = l.delivery
		WHERE h.n >= ? AND h.n < ? AND l.at < ? AND l.entry IN (1, 2, 3) AND d.held IS NULL AND d.ended_at = l.at LIMIT ?`)
	bareEvents = newStatement("SELECT n FROM hooks_events WHERE deliveries = 0 AND triggered_at < ? LIMIT ?")
	traces     = newStatement("SELECT n FROM hooks_hooks WHERE deleted_at < ? LIMIT ?")
)

// Purge implements [hooks.LogStore]. It finds out what to remove before it holds
// others up, and then removes it in steps.
func (s *Store) Purge(ctx context.Context, before time.Time, limit int) (removed int, err error) {
	s.purging.Lock()
	defer s.purging.Unlock()
	for removed < limit {
		found, err := s.old(ctx, before, limit-removed)
		if err != nil || found.empty() {
			return removed, err
		}
		for !found.empty() && removed < limit {
			var n int
			step := found.cut(purgeStep)
			err := s.writer.do(ctx, func(t *tx) (err error) {
				n, err = t.purge(before, step, min(purgeStep, limit-removed))
				return err
			})
			if err != nil {
				return removed, err
			}
			removed += n
		}
	}
	return removed, nil
}

// Old is what may be removed, by n.
type old struct{ deliveries, events, hooks []int64 }

func (o *old) empty() bool { return len(o.deliveries)+len(o.events)+len(o.hooks) == 0 }

// cut takes n off the front.
func (o *old) cut(n int) (step old) {
	for _, part := range [][2]*[]int64{{&o.deliveries, &step.deliveries}, {&o.events, &step.events}, {&o.hooks, &step.hooks}} {
		from, to := part[0], part[1]
		k := min(n, len(*from))
		*to, *from = (*from)[:k], (*from)[k:]
		n -= k
	}
	return step
}

// old finds at most limit of what is older than before, of each kind.
func (s *Store) old(ctx context.Context, before time.Time, limit int) (o old, err error) {
	err = s.reads(ctx, func(r *reader) error {
		at := before.UnixMilli()
		// Where it stopped before, there is more to find.
		start := s.purged
		for _, part := range [][2]int64{{start, never}, {0, start}} {
			err := r.each(endedFrom, func(r row) error {
				s.purged = r.int(0)
				o.deliveries = append(o.deliveries, r.int(1))
				return nil
			}, part[0], part[1], at, int64(limit-len(o.deliveries)))
			if err != nil {
				return err
			}
		}
		if err := r.each(bareEvents, collect(&o.events), at, int64(limit)); err != nil {
			return err
		}
		return r.each(traces, collect(&o.hooks), at, int64(limit))
	})
	return o, err
}

func collect(ns *[]int64) func(row) error {
	return func(r row) error {
		*ns = append(*ns, r.int(0))
		return nil
	}
}

var (
	oldDelivery = newStatement(`SELECT d.hook, d.created_at, d.ended_at, d.state, d.event, e.first, e.deliveries, e.triggered_at
		FROM hooks_deliveries d JOIN hooks_events e ON e.n = d.event WHERE d.n = ? AND d.ended_at < ? AND d.held IS NULL`)
	deleteAttempts = newStatement(`DELETE FROM hooks_attempts WHERE n > ?1 << 16 AND n < ?1 + 1 << 16
		RETURNING started_at, n & 65535, class IS NOT NULL`)
	deleteDelivery = newStatement("DELETE FROM hooks_deliveries WHERE n = ?")
	hasDelivery    = newStatement("SELECT 1 FROM hooks_deliveries WHERE n >= ? AND n < ? AND event = ? LIMIT 1")
	makeBare       = newStatement("UPDATE hooks_events SET deliveries = 0 WHERE n = ?")
	deleteEvent    = newStatement("DELETE FROM hooks_events WHERE n = ?")
	forgetHook     = newStatement("UPDATE hooks_hooks SET revision = NULL, deleted_at = NULL WHERE n = ? AND deleted_at < ? RETURNING n")
	deleteHook     = newStatement(`DELETE FROM hooks_hooks WHERE n = ?1 AND version IS NULL AND revision IS NULL
		AND NOT EXISTS (SELECT 1 FROM hooks_log WHERE hook = ?1)
		AND NOT EXISTS (SELECT 1 FROM hooks_deliveries WHERE until IS NOT NULL AND queued IS NULL AND hook = ?1) RETURNING tenant, id`)
	// Requests of which no attempt is left: the generations before that of
	// the oldest attempt.
	deleteRequests = newStatement(`DELETE FROM hooks_requests WHERE n < (SELECT coalesce(min(n), 1 << 62) >> 32 << 32 FROM hooks_attempts)
		AND n < (SELECT coalesce(min(n), 1 << 46) << 16 >> 32 << 32 FROM hooks_deliveries)`)
)

// purge removes what was found, as far as it is still old, and returns how many
// deliveries, events and traces of hooks that were.
func (t *tx) purge(before time.Time, o old, limit int) (removed int, err error) {
	owners := map[int64]bool{}
	for _, n := range o.deliveries {
		if removed == limit {
			break
		}
		count, hook, err := t.purgeDelivery(n, before, limit-removed)
		if err != nil {
			return 0, err
		}
		removed += count
		owners[hook] = true
	}
	for _, n := range o.events {
		if removed == limit {
			break
		}
		if err := run(t, deleteEvent, n); err != nil {
			return 0, err
		}
		removed++
	}
	for _, n := range o.hooks {
		if removed == limit {
			break
		}
		r, err := first(t, forgetHook, n, before.UnixMilli())
		if err != nil {
			return 0, err
		}
		if r != nil {
			removed++
			owners[n] = true
		}
	}
	for n := range owners {
		r, err := first(t, deleteHook, n)
		if err != nil {
			return 0, err
		}
		if r != nil {
			t.forget(hooks.Ref{Tenant: r.text(0), ID: r.text(1)})
		}
	}
	return removed, run(t, deleteRequests)
}

// purgeDelivery removes a delivery, its attempts, and its event if that has no
// other and the limit permits.
func (t *tx) purgeDelivery(n int64, before time.Time, limit int) (removed int, hook int64, err error) {
	d, err := first(t, oldDelivery, n, before.UnixMilli())
	if err != nil || d == nil {
		return 0, 0, err
	}
	hook = d.int(0)
	told := []entry{{d.int(1), entryCreated}, {d.int(2), entryOfEnd(d.int(3))}}
	err = t.each(deleteAttempts, func(r row) error {
		kind := entryAttempt
		if r.bool(2) {
			kind = entryFailedAttempt
		}
		told = append(told, entry{r.int(0), r.int(1)<<entryBits + kind})
		return nil
	}, n)
	if err != nil {
		return 0, 0, err
	}
	if err := t.untell(hook, n, told...); err != nil {
		return 0, 0, err
	}
	if err := run(t, deleteDelivery, n); err != nil {
		return 0, 0, err
	}
	event := d.int(4)
	left, err := first(t, hasDelivery, d.int(5), d.int(5)+d.int(6), event)
	if err != nil || left != nil {
		return 1, hook, err
	}
	if limit < 2 || d.int(7) >= before.UnixMilli() {
		return 1, hook, run(t, makeBare, event)
	}
	return 2, hook, run(t, deleteEvent, event)
}
