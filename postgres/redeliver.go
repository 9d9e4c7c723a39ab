package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-2c6e3a5a/hooks"
)

const (
	// sqlWhere finds a delivery of a tenant in the queue or in the log.
	sqlWhere = `SELECT d.hook, d.retry, coalesce(d.ordering_key, ''), d.state, d.held FROM (
			SELECT hook, retry, ordering_key, state, false AS held FROM {schema}.hooks_queue WHERE id = $1::uuid
			UNION ALL
			SELECT hook, 0, ordering_key, state, held FROM {schema}.hooks_log WHERE id = $1::uuid
		) d JOIN {schema}.hooks_hooks h ON h.n = d.hook WHERE h.tenant = $2::text`
	// sqlRequeue moves a delivery from the log back to the queue, and its last attempt to those
	// before it. One with an ordering key is stored as blocked.
	sqlRequeue = `WITH back AS (DELETE FROM {schema}.hooks_log WHERE id = $1::uuid RETURNING *),
		attempt AS (
			INSERT INTO {schema}.hooks_attempts (delivery, event, hook, number, ` + attemptColumns + `)
			SELECT id, event, hook, attempts, ` + attemptColumns + ` FROM back WHERE started_at IS NOT NULL
		)
		INSERT INTO {schema}.hooks_queue (id, n, event, hook, created_at, due, queued, token, size, step, attempts, state, retry, undecided, ordering_key)
		SELECT id, n, event, hook, created_at, $2::bigint, CASE WHEN ordering_key IS NULL THEN $2::bigint END, token, size, 0, attempts,
			CASE WHEN ordering_key IS NULL THEN 2 ELSE 1 END, 0, undecided, ordering_key FROM back`
	// sqlReleaseOne makes a blocked delivery pending if its key has no head.
	sqlReleaseOne = `UPDATE {schema}.hooks_queue q SET state = 2, queued = due
		FROM (SELECT $2::bigint AS hook, $3::text AS key) k WHERE q.id = $1::uuid AND q.state = 1 AND ` + withoutHead
	// sqlCancel moves a delivery that waits to the log.
	sqlCancel = `WITH ended AS (DELETE FROM {schema}.hooks_queue WHERE id = $1::uuid AND state IN (1, 2) RETURNING *)
		INSERT INTO {schema}.hooks_log (id, n, event, hook, created_at, ended_at, token, size, step, attempts, state, undecided, held, ordering_key, reason)
		SELECT id, n, event, hook, created_at, $2::bigint, token, size, step, attempts, 6, undecided, false, ordering_key, $3::text FROM ended`
	// sqlLaneDue finds out whether a lane has something due.
	sqlLaneDue = "SELECT EXISTS (SELECT FROM {schema}.hooks_queue WHERE hook = $1::bigint AND retry = $2::smallint AND queued <= $3::bigint)"
	// sqlCancelHeld cancels a delivery that holds its ordering key.
	sqlCancelHeld = "UPDATE {schema}.hooks_log SET state = 6, held = false, ended_at = $2::bigint, reason = $3::text WHERE id = $1::uuid AND held"
)

// A whereabouts is where a delivery is.
type whereabouts struct {
	laneKey
	key   string
	state int16
	held  bool
}

// where finds a delivery of the tenant.
func (s *Store) where(ctx context.Context, tx pgx.Tx, tenant string, u id) (w whereabouts, err error) {
	err = tx.QueryRow(ctx, s.sql(sqlWhere), u, tenant).Scan(&w.hook, &w.kind, &w.key, &w.state, &w.held)
	if errors.Is(err, pgx.ErrNoRows) {
		err = hooks.ErrNotFound
	}
	return w, err
}

// change calls change, with the ordering key of the delivery locked, and returns the delivery
// afterwards. change returns false if the delivery is in the wrong state.
func (s *Store) change(ctx context.Context, tenant, deliveryID string, change func(context.Context, pgx.Tx, id, whereabouts) (bool, error)) (d hooks.Delivery, err error) {
	u, ok := packID(deliveryID)
	if !ok || !storable(tenant) {
		if err := s.check(ctx); err != nil {
			return d, err
		}
		return d, fmt.Errorf("delivery %q: %w", deliveryID, hooks.ErrNotFound)
	}
	err = s.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		w, err := s.where(ctx, tx, tenant, u)
		if err != nil {
			return fmt.Errorf("delivery %q: %w", deliveryID, err)
		}
		if w.key != "" {
			// Whoever locks a key and a row locks the key first.
			if err := s.lockKeys(ctx, tx, newKeySet([]orderingKey{{w.hook, w.key}})); err != nil {
				return err
			}
			if w, err = s.where(ctx, tx, tenant, u); err != nil {
				return fmt.Errorf("delivery %q: %w", deliveryID, err)
			}
		}
		changed, err := change(ctx, tx, u, w)
		if err == nil && !changed {
			err = fmt.Errorf("delivery %q is %s: %w", deliveryID, unpackState(w.state), hooks.ErrConflict)
		}
		if err != nil {
			return err
		}
		d, err = s.delivery(ctx, tx, u)
		return err
	})
	switch {
	case errors.Is(err, hooks.ErrNotFound) || errors.Is(err, hooks.ErrConflict):
		return hooks.Delivery{}, err
	case err != nil:
		s.uncertain(err)
		return hooks.Delivery{}, err
	}
	s.announce()
	return d, nil
}

// Redeliver implements [hooks.Store].
func (s *Store) Redeliver(ctx context.Context, now time.Time, tenant, deliveryID string) (hooks.Delivery, error) {
	return s.change(ctx, tenant, deliveryID, func(ctx context.Context, tx pgx.Tx, u id, w whereabouts) (bool, error) {
		if w.state == blocked || w.state == pending || w.state == leased {
			return false, nil
		}
		moved, err := tx.Exec(ctx, s.sql(sqlRequeue), u, now.UnixMilli())
		if err != nil || moved.RowsAffected() == 0 { // Another call was quicker.
			return false, err
		}
		if w.key != "" {
			if _, err := tx.Exec(ctx, s.sql(sqlReleaseOne), u, w.hook, w.key); err != nil {
				return false, err
			}
		}
		var g signals
		g.add(w.hook, kindFirst, now.UnixMilli())
		return true, s.signal(ctx, tx, g)
	})
}

// Cancel implements [hooks.Store].
func (s *Store) Cancel(ctx context.Context, now time.Time, tenant, deliveryID, reason string) (hooks.Delivery, error) {
	var emptied []news
	d, err := s.change(ctx, tenant, deliveryID, func(ctx context.Context, tx pgx.Tx, u id, w whereabouts) (bool, error) {
		statement := sqlCancel
		switch {
		case w.held:
			statement = sqlCancelHeld
		case w.state != blocked && w.state != pending:
			return false, nil
		}
		ended, err := tx.Exec(ctx, s.sql(statement), u, now.UnixMilli(), packText(reason))
		if err != nil || ended.RowsAffected() == 0 {
			return false, err
		}
		if w.key != "" && w.state != blocked {
			if err := s.release(ctx, tx, newKeySet([]orderingKey{{w.hook, w.key}}), now); err != nil {
				return false, err
			}
		}
		var due bool
		err = tx.QueryRow(ctx, s.sql(sqlLaneDue), w.hook, w.kind, now.UnixMilli()).Scan(&due)
		if emptied = nil; !due {
			emptied = []news{{w.laneKey, nothingDue, now.UnixMilli()}}
		}
		return true, err
	})
	if err == nil {
		s.claimer.news.add(emptied...)
	}
	return d, err
}
