package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// A process knows the lanes from signals. Each minute it also looks through the queue, in
// the background: a claim passes over deliveries that another process has locked, and if
// that process dies before its commit, nobody signals that they are still due.

// scanInterval is the time between two scans.
const scanInterval = time.Minute

// A scanner scans the queue in the background.
type scanner struct {
	mu    sync.Mutex
	last  time.Time // when the last scan began
	busy  bool
	found *scanned // the result, which the next claim applies
	// seen are the snapshots of the last two scans. Signals that the older one showed are
	// deleted.
	seen [2]snapshot
}

// scanned is the result of a scan.
type scanned struct {
	seen  snapshot
	lanes []scannedLane
	keys  []orderingKey
}

type scannedLane struct {
	laneKey
	first, last    int64 // when the first and the last is queued
	throttledUntil pgtype.Int8
}

const (
	// sqlScan finds the lanes, from one to the next in the index, and with each when its first and
	// its last is queued. There is at least one row.
	sqlScan = `WITH RECURSIVE lane(hook, retry) AS (
			(SELECT hook, retry FROM {schema}.hooks_queue WHERE queued IS NOT NULL ORDER BY hook, retry LIMIT 1)
			UNION ALL
			SELECT next.hook, next.retry FROM lane CROSS JOIN LATERAL (
				SELECT q.hook, q.retry FROM {schema}.hooks_queue q
				WHERE q.queued IS NOT NULL AND (q.hook, q.retry) > (lane.hook, lane.retry) ORDER BY q.hook, q.retry LIMIT 1) next
		)
		SELECT pg_current_snapshot()::text, l.hook, l.retry, l.first, l.last, l.throttled_until FROM (SELECT) one LEFT JOIN (
			SELECT lane.hook, lane.retry, first.queued AS first, last.queued AS last, h.throttled_until FROM lane
			JOIN {schema}.hooks_hooks h ON h.n = lane.hook
			CROSS JOIN LATERAL (SELECT q.queued FROM {schema}.hooks_queue q WHERE q.queued IS NOT NULL AND q.hook = lane.hook AND q.retry = lane.retry
				ORDER BY q.queued LIMIT 1) first
			CROSS JOIN LATERAL (SELECT q.queued FROM {schema}.hooks_queue q WHERE q.queued IS NOT NULL AND q.hook = lane.hook AND q.retry = lane.retry
				ORDER BY q.queued DESC LIMIT 1) last
		) l ON true`
	// sqlScanKeys finds the ordering keys that have blocked deliveries and no head, from one
	// to the next in the index.
	sqlScanKeys = `WITH RECURSIVE k(hook, key) AS (
			(SELECT hook, ordering_key FROM {schema}.hooks_queue WHERE state = 1 ORDER BY hook, ordering_key LIMIT 1)
			UNION ALL
			SELECT next.hook, next.ordering_key FROM k CROSS JOIN LATERAL (
				SELECT q.hook, q.ordering_key FROM {schema}.hooks_queue q
				WHERE q.state = 1 AND (q.hook, q.ordering_key) > (k.hook, k.key) ORDER BY q.hook, q.ordering_key LIMIT 1) next
		)
		SELECT k.hook, k.key FROM k WHERE ` + withoutHead
	// sqlDeleteSignals deletes the signals of transactions before one, and says so. One
	// process does that at a time.
	sqlDeleteSignals = `WITH alone AS MATERIALIZED (SELECT pg_try_advisory_xact_lock($2::bigint) AS yes),
		deleted AS (DELETE FROM {schema}.hooks_signals WHERE xid < $1::text::xid8 AND (SELECT yes FROM alone))
		UPDATE {schema}.hooks_signals_deleted SET below = $1::text::xid8 WHERE below < $1::text::xid8 AND (SELECT yes FROM alone)`
	// sqlFutureSignals deletes the signals of transactions that do not exist, because the
	// data was restored into a new cluster, whose transaction ids begin anew.
	sqlFutureSignals = `DELETE FROM {schema}.hooks_signals WHERE xid >= pg_snapshot_xmax(pg_current_snapshot())`
	sqlFutureDeleted = `UPDATE {schema}.hooks_signals_deleted SET below = pg_snapshot_xmin(pg_current_snapshot())
		WHERE below > pg_snapshot_xmax(pg_current_snapshot())`
)

// scanLanes scans the queue and applies the result at once.
func (s *Store) scanLanes(ctx context.Context) error {
	err := s.send(ctx, func(b *pgx.Batch) {
		b.Queue(s.sql(sqlFutureSignals))
		b.Queue(s.sql(sqlFutureDeleted))
	})
	if err != nil {
		return err
	}
	found, err := s.scanQueue(ctx)
	if err != nil {
		return err
	}
	s.claimer.seen = found.seen
	return s.apply(ctx, found, true)
}

// scanQueue scans the queue.
func (s *Store) scanQueue(ctx context.Context) (*scanned, error) {
	found := &scanned{}
	err := s.read(ctx, func(rows pgx.Rows) error {
		var text string
		var hook, first, last, throttledUntil pgtype.Int8
		var kind pgtype.Int2
		_, err := pgx.ForEachRow(rows, []any{&text, &hook, &kind, &first, &last, &throttledUntil}, func() error {
			if hook.Valid {
				found.lanes = append(found.lanes, scannedLane{laneKey{hook.Int64, kind.Int16}, first.Int64, last.Int64, throttledUntil})
			}
			return nil
		})
		found.seen, _ = parseSnapshot(text)
		return err
	}, sqlScan)
	if err != nil {
		return nil, err
	}
	found.keys, err = readAll(ctx, s, func(row pgx.CollectableRow) (key orderingKey, err error) {
		err = row.Scan(&key.hook, &key.key)
		return key, err
	}, sqlScanKeys)
	return found, err
}

// apply applies the result of a scan to the lanes. If they are incomplete, more than the scan
// has found may be due later, and it is not known which hooks are throttled. Else the lanes
// may know more than the scan, which may be some time ago.
func (s *Store) apply(ctx context.Context, found *scanned, incomplete bool) error {
	c := &s.claimer
	ns := make([]int64, len(found.lanes))
	for i, l := range found.lanes {
		ns[i] = l.hook
	}
	if err := s.nameNumbered(ctx, distinct(ns)); err != nil {
		return err
	}
	for _, f := range found.lanes {
		if ref, known := s.hooks.ref(f.hook); known {
			l := c.lanes.lane(f.laneKey, ref)
			if incomplete {
				l.horizon, l.throttledUntil = max(l.horizon, f.last), earliest
				if f.throttledUntil.Valid {
					l.throttledUntil = f.throttledUntil.Int64
				}
			}
			c.lanes.becomesDue(l, f.first)
		}
	}
	for _, key := range found.keys {
		c.keys[key] = true
	}
	return nil
}

// scanNow applies the result of a scan in the background, if there is one, and begins the
// next if it is time.
func (s *Store) scanNow() {
	c := &s.claimer
	c.scan.mu.Lock()
	defer c.scan.mu.Unlock()
	if found := c.scan.found; found != nil {
		c.scan.found = nil
		if err := s.apply(s.ctx, found, false); err != nil {
			c.news.unknown()
		}
	}
	if c.scan.last.IsZero() {
		c.scan.last = time.Now()
	}
	if c.scan.busy || time.Since(c.scan.last) < scanInterval {
		return
	}
	c.scan.last = time.Now()
	c.scan.busy = s.background(func() {
		err := s.scanInBackground()
		c.scan.mu.Lock()
		defer c.scan.mu.Unlock()
		c.scan.busy = false
		if err != nil {
			c.news.unknown()
		}
	})
}

// scanInBackground scans the queue, deletes old signals, and forgets old leases.
func (s *Store) scanInBackground() error {
	c := &s.claimer
	found, err := s.scanQueue(s.ctx)
	if err != nil {
		return err
	}
	c.scan.mu.Lock()
	c.scan.found = found
	old := c.scan.seen[0]
	c.scan.seen = [2]snapshot{c.scan.seen[1], found.seen}
	c.scan.mu.Unlock()
	s.leases.forget(time.Now().Add(-time.Hour).UnixMilli())
	if old.min == "" {
		return nil
	}
	return s.send(s.ctx, func(b *pgx.Batch) { b.Queue(s.sql(sqlDeleteSignals), old.min, lockOf("signals", s.id)) })
}
