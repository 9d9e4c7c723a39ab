package postgres

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-2c6e3a5a/hooks"
)

const (
	// sqlTooOld finds deliveries that ended before a time, hook by hook.
	sqlTooOld = `SELECT l.id FROM {schema}.hooks_hooks h CROSS JOIN LATERAL (
			SELECT id FROM {schema}.hooks_log WHERE hook = h.n AND ended_at < $1::bigint AND NOT held
			ORDER BY ended_at LIMIT $2::bigint FOR UPDATE SKIP LOCKED) l LIMIT $2::bigint`
	// sqlTooMany finds the deliveries of a hook that ended first, but for the last $2.
	sqlTooMany = `SELECT id FROM {schema}.hooks_log WHERE hook = $1::bigint AND NOT held AND (ended_at, id) < (
			SELECT ended_at, id FROM {schema}.hooks_log WHERE hook = $1::bigint ORDER BY ended_at DESC, id DESC OFFSET $2::bigint - 1 LIMIT 1)
		ORDER BY ended_at, id LIMIT $3::bigint FOR UPDATE SKIP LOCKED`
	// sqlPurge removes ended deliveries with their attempts. It returns their events and hooks.
	sqlPurge = `WITH ended AS (DELETE FROM {schema}.hooks_log WHERE id = ANY($1::uuid[]) RETURNING id, event, hook),
		attempts AS (DELETE FROM {schema}.hooks_attempts a USING ended WHERE a.delivery = ended.id)
		SELECT event, hook FROM ended`
	// sqlPurgeEvents removes those of the events that have no delivery left and that were
	// triggered before a time, and marks the others that have none.
	sqlPurgeEvents = `WITH without AS (
			SELECT e.n, e.triggered_at FROM {schema}.hooks_events e WHERE e.n = ANY($1::bigint[])
				AND NOT EXISTS (SELECT FROM {schema}.hooks_queue q WHERE q.id = ANY(e.deliveries))
				AND NOT EXISTS (SELECT FROM {schema}.hooks_log l WHERE l.id = ANY(e.deliveries))
		),
		marked AS (UPDATE {schema}.hooks_events e SET bare = true FROM without w WHERE e.n = w.n AND w.triggered_at >= $2::bigint)
		DELETE FROM {schema}.hooks_events e USING without w WHERE e.n = w.n AND w.triggered_at < $2::bigint`
	// sqlPurgeBare removes events without deliveries.
	sqlPurgeBare = `DELETE FROM {schema}.hooks_events WHERE n = ANY(ARRAY(
			SELECT n FROM {schema}.hooks_events WHERE bare AND triggered_at < $1::bigint ORDER BY triggered_at LIMIT $2::bigint FOR UPDATE SKIP LOCKED))`
	// sqlForget forgets that hooks were deleted. Their rows keep nothing but their names.
	sqlForget = `UPDATE {schema}.hooks_hooks SET revision = NULL, deleted_at = NULL WHERE n = ANY(ARRAY(
			SELECT n FROM {schema}.hooks_hooks WHERE deleted_at < $1::bigint ORDER BY deleted_at LIMIT $2::bigint FOR UPDATE SKIP LOCKED))`
	// sqlEndsSince counts, for each hook, the deliveries that ended after a time.
	sqlEndsSince = `SELECT l.hook, count(*), max(l.ended_at) FROM {schema}.hooks_hooks h JOIN {schema}.hooks_log l ON l.hook = h.n
		WHERE l.ended_at > $1::bigint GROUP BY l.hook`
	sqlCountEnded = "SELECT count(*) FROM {schema}.hooks_log WHERE hook = $1::bigint"
)

// Purge implements [hooks.Store].
func (s *Store) Purge(ctx context.Context, r hooks.PurgeRequest) (n int, err error) {
	s.endCounts.mu.Lock()
	defer s.endCounts.mu.Unlock()
	p := purge{Store: s, r: r}
	err = s.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if p.tx != nil { // The first try was rolled back, and its counts are wrong.
			s.endCounts.of = nil
		}
		p.n, p.tx = 0, tx
		return p.run(ctx)
	})
	if err != nil {
		s.endCounts.of = nil
		return 0, err
	}
	return p.n, nil
}

// A purge is a call of Purge.
type purge struct {
	*Store
	r  hooks.PurgeRequest
	tx pgx.Tx
	n  int // rows removed
}

func (p *purge) left() int { return p.r.Limit - p.n }

func (p *purge) run(ctx context.Context) error {
	before := int64(earliest)
	if !p.r.Before.IsZero() {
		before = p.r.Before.UnixMilli()
		if err := p.removeFound(ctx, before, sqlTooOld, before, p.left()); err != nil {
			return err
		}
	}
	if p.r.KeepPerHook > 0 {
		if err := p.shorten(ctx); err != nil {
			return err
		}
	}
	for _, statement := range []string{sqlPurgeBare, sqlForget} {
		if p.left() <= 0 || p.r.Before.IsZero() {
			continue
		}
		removed, err := p.tx.Exec(ctx, p.sql(statement), before, p.left())
		if err != nil {
			return err
		}
		p.n += int(removed.RowsAffected())
	}
	return nil
}

// removeFound removes the deliveries that a statement finds, and those of their events that
// have no other and were triggered before a time.
func (p *purge) removeFound(ctx context.Context, before int64, find string, args ...any) error {
	if p.left() <= 0 {
		return nil
	}
	rows, err := p.tx.Query(ctx, p.sql(find), args...)
	if err != nil {
		return err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[id])
	if err != nil || len(ids) == 0 {
		return err
	}
	if rows, err = p.tx.Query(ctx, p.sql(sqlPurge), ids); err != nil {
		return err
	}
	var events []int64
	var event, hook int64
	_, err = pgx.ForEachRow(rows, []any{&event, &hook}, func() error {
		events = append(events, event)
		p.endCounts.removed(hook)
		return nil
	})
	if err != nil {
		return err
	}
	p.n += len(ids)
	_, err = p.tx.Exec(ctx, p.sql(sqlPurgeEvents), distinct(events), before)
	return err
}

// shorten removes deliveries of the hooks that have too many.
func (p *purge) shorten(ctx context.Context) error {
	counts := &p.endCounts
	if err := p.countEnds(ctx); err != nil {
		return err
	}
	most := p.r.KeepPerHook + p.r.KeepPerHook/8
	for hook, n := range counts.of {
		if n <= most || p.left() <= 0 {
			continue
		}
		var exact int
		if err := p.tx.QueryRow(ctx, p.sql(sqlCountEnded), hook).Scan(&exact); err != nil {
			return err
		}
		counts.of[hook] = exact
		if exact <= most {
			continue
		}
		if err := p.removeFound(ctx, math.MaxInt64, sqlTooMany, hook, p.r.KeepPerHook, p.left()); err != nil {
			return err
		}
	}
	return nil
}

// endCounts say which hooks may have too many ended deliveries in the log, so that a purge
// need not read all of it. The count of a hook is at least the number of deliveries that
// have ended. A purge adds those that ended since the last purge, and counts again where
// that may be too many. Counts are not stored: the first purge of a process reads the whole log.
type endCounts struct {
	mu   sync.Mutex    // held during a purge
	upTo int64         // The log was counted up to this time.
	of   map[int64]int // by the hook's n; nil: nothing was counted
}

// endsLate is how much later, in milliseconds, an end may become visible than others that
// are as old, or how far clocks differ. Ends of so long ago are counted again, so that a
// count may be too large, but never too small.
const endsLate = int64(time.Minute / time.Millisecond)

// countEnds adds the ends since the last purge to the counts.
func (p *purge) countEnds(ctx context.Context) error {
	counts := &p.endCounts
	since := int64(earliest)
	if counts.of == nil {
		counts.of, counts.upTo = map[int64]int{}, earliest
	} else {
		since = counts.upTo - endsLate
	}
	rows, err := p.tx.Query(ctx, p.sql(sqlEndsSince), since)
	if err != nil {
		return err
	}
	var hook, last int64
	var n int
	_, err = pgx.ForEachRow(rows, []any{&hook, &n, &last}, func() error {
		counts.of[hook] += n
		counts.upTo = max(counts.upTo, last)
		return nil
	})
	return err
}

// removed subtracts a delivery that was removed.
func (e *endCounts) removed(hook int64) {
	if _, known := e.of[hook]; known {
		e.of[hook]--
	}
}
