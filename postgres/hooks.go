package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/internal/pack"
)

const (
	sqlNextRevision = "UPDATE {schema}.hooks_revision SET last = last + 1 RETURNING last"
	sqlHookState    = "SELECT n, version, disabled FROM {schema}.hooks_hooks WHERE tenant = $1::text AND id = $2::text FOR UPDATE"
	sqlCountHooks   = `SELECT count(*) FROM
		(SELECT FROM {schema}.hooks_hooks WHERE tenant = $1::text AND version IS NOT NULL LIMIT $2::bigint) AS counted`
	sqlPutHook = `INSERT INTO {schema}.hooks_hooks AS h (tenant, id, revision, version, created_at, name, protocol, disabled, document, settings,
			failures, failing_since, throttled_until)
		VALUES ($1::text, $2::text, $3::bigint, $4::bigint, $5::bigint, $6::text, $7::text, $8::boolean, $9::text, $10::bytea, $11::integer, $12::bigint, $13::bigint)
		ON CONFLICT (tenant, id) DO UPDATE SET revision = excluded.revision, deleted_at = NULL, version = excluded.version,
			created_at = excluded.created_at, name = excluded.name, protocol = excluded.protocol, disabled = excluded.disabled,
			document = excluded.document, settings = excluded.settings, failures = excluded.failures,
			failing_since = excluded.failing_since, throttled_until = excluded.throttled_until`
	sqlChangeHook = `UPDATE {schema}.hooks_hooks SET revision = $2::bigint, version = $3::bigint, name = $4::text, protocol = $5::text,
			disabled = $6::boolean, document = $7::text, settings = $8::bytea WHERE n = $1::bigint`
	sqlClearHealth = "UPDATE {schema}.hooks_hooks SET failures = 0, failing_since = NULL, throttled_until = NULL WHERE n = $1::bigint"
	sqlRemoveHook  = `UPDATE {schema}.hooks_hooks SET revision = $2::bigint, deleted_at = $3::bigint, version = NULL, created_at = NULL,
			name = NULL, protocol = NULL, disabled = NULL, document = NULL, settings = NULL,
			failures = 0, failing_since = NULL, throttled_until = NULL WHERE n = $1::bigint`
	sqlHeldKeys = "SELECT DISTINCT ordering_key FROM {schema}.hooks_log WHERE hook = $1::bigint AND held"
	sqlLetGo    = "UPDATE {schema}.hooks_log SET held = false WHERE hook = $1::bigint AND held"
)

// CreateHook implements [hooks.Store].
func (s *Store) CreateHook(ctx context.Context, h hooks.Hook, limit int) error {
	err := s.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		revision, err := s.nextRevision(ctx, tx)
		if err != nil {
			return err
		}
		switch state, err := s.hookState(ctx, tx, h.Ref()); {
		case err == nil && state.version.Valid:
			return fmt.Errorf("hook %q: %w", h.ID, hooks.ErrDuplicate)
		case err != nil && !errors.Is(err, hooks.ErrNotFound):
			return err
		}
		if err := s.checkLimit(ctx, tx, h.Ref(), limit); err != nil {
			return err
		}
		return s.putHook(ctx, tx, &h, revision)
	})
	return s.changedHooks(err)
}

// putHook stores a hook with a new revision.
func (s *Store) putHook(ctx context.Context, tx pgx.Tx, h *hooks.Hook, revision int64) error {
	document, err := pack.Hook(h)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, s.sql(sqlPutHook), h.Tenant, h.ID, revision, h.Version, h.CreatedAt.UnixMilli(), packText(h.Name), packText(h.Protocol),
		h.Disabled, document, nonEmpty(h.Settings), h.Health.Failures, packTime(h.Health.FailingSince), packTime(h.Health.ThrottledUntil))
	return err
}

// changedHooks tells the listeners after a change of hooks that has succeeded.
func (s *Store) changedHooks(err error) error {
	if err == nil {
		s.announce()
	}
	return err
}

// nextRevision counts one more change of hooks. No other hook changes until the
// transaction ends.
func (s *Store) nextRevision(ctx context.Context, tx pgx.Tx) (revision int64, err error) {
	err = tx.QueryRow(ctx, s.sql(sqlNextRevision)).Scan(&revision)
	return revision, err
}

// A hookState is what a change of a hook depends on.
type hookState struct {
	n        int64
	version  pgtype.Int8 // NULL: there is no such hook.
	disabled pgtype.Bool
}

// hookState reads and locks a hook's row. A row that is missing is hooks.ErrNotFound.
func (s *Store) hookState(ctx context.Context, tx pgx.Tx, ref hooks.Ref) (state hookState, err error) {
	if !allStorable(ref.Tenant, ref.ID) {
		return state, hooks.ErrNotFound
	}
	err = tx.QueryRow(ctx, s.sql(sqlHookState), ref.Tenant, ref.ID).Scan(&state.n, &state.version, &state.disabled)
	if errors.Is(err, pgx.ErrNoRows) {
		err = hooks.ErrNotFound
	}
	return state, err
}

// existingHook is hookState for a hook that exists.
func (s *Store) existingHook(ctx context.Context, tx pgx.Tx, ref hooks.Ref) (hookState, error) {
	state, err := s.hookState(ctx, tx, ref)
	if err == nil && !state.version.Valid {
		err = hooks.ErrNotFound
	}
	if errors.Is(err, hooks.ErrNotFound) {
		err = fmt.Errorf("hook %q: %w", ref.ID, err)
	}
	return state, err
}

// checkLimit refuses one more hook if the tenant has too many.
func (s *Store) checkLimit(ctx context.Context, tx pgx.Tx, ref hooks.Ref, limit int) error {
	if limit <= 0 {
		return nil
	}
	var n int
	err := tx.QueryRow(ctx, s.sql(sqlCountHooks), ref.Tenant, limit).Scan(&n)
	if err == nil && n >= limit {
		err = fmt.Errorf("hook %q: %w: the tenant has %d or more", ref.ID, hooks.ErrTooManyHooks, limit)
	}
	return err
}

// UpdateHook implements [hooks.Store].
func (s *Store) UpdateHook(ctx context.Context, h hooks.Hook) error {
	document, err := pack.Hook(&h)
	if err != nil {
		return err
	}
	err = s.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		revision, err := s.nextRevision(ctx, tx)
		if err != nil {
			return err
		}
		state, err := s.existingHook(ctx, tx, h.Ref())
		if err != nil {
			return err
		}
		if state.version.Int64 != h.Version {
			return fmt.Errorf("hook %q has version %d, not %d: %w", h.ID, state.version.Int64, h.Version, hooks.ErrConflict)
		}
		_, err = tx.Exec(ctx, s.sql(sqlChangeHook), state.n, revision, h.Version+1, packText(h.Name), packText(h.Protocol), h.Disabled, document, nonEmpty(h.Settings))
		if err != nil || !state.disabled.Bool || h.Disabled {
			return err
		}
		if _, err := tx.Exec(ctx, s.sql(sqlClearHealth), state.n); err != nil {
			return err
		}
		return s.signal(ctx, tx, throttleEnded(state.n)) // The hook may have been throttled.
	})
	return s.changedHooks(err)
}

// DeleteHook implements [hooks.Store].
func (s *Store) DeleteHook(ctx context.Context, ref hooks.Ref, now time.Time) error {
	err := s.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		revision, err := s.nextRevision(ctx, tx)
		if err != nil {
			return err
		}
		state, err := s.existingHook(ctx, tx, ref)
		if err != nil {
			return err
		}
		rows, err := tx.Query(ctx, s.sql(sqlHeldKeys), state.n)
		if err != nil {
			return err
		}
		held, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (orderingKey, error) {
			key := orderingKey{hook: state.n}
			err := r.Scan(&key.key)
			return key, err
		})
		if err != nil {
			return err
		}
		keys := newKeySet(held)
		if err := s.lockKeys(ctx, tx, keys); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, s.sql(sqlLetGo), state.n); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, s.sql(sqlRemoveHook), state.n, revision, now.UnixMilli()); err != nil {
			return err
		}
		if err := s.release(ctx, tx, keys, now); err != nil {
			return err
		}
		return s.signal(ctx, tx, throttleEnded(state.n))
	})
	return s.changedHooks(err)
}

// hookColumns are what scanHook reads.
const hookColumns = `h.n, h.tenant, h.id, h.name, h.protocol, h.disabled, h.document, h.settings, h.version, h.created_at,
	h.failures, h.failing_since, h.throttled_until`

// A hookRow is a row of hookColumns.
type hookRow struct {
	n                            int64
	tenant, id                   string
	name, protocol, document     pgtype.Text
	disabled                     pgtype.Bool
	settings                     []byte
	version, createdAt           pgtype.Int8
	failures                     int
	failingSince, throttledUntil pgtype.Int8
	revision                     int64 // of sqlChangedSince
}

func (r *hookRow) fields() []any {
	return []any{
		&r.n, &r.tenant, &r.id, &r.name, &r.protocol, &r.disabled, &r.document, &r.settings, &r.version, &r.createdAt,
		&r.failures, &r.failingSince, &r.throttledUntil,
	}
}

// hook makes a hook of the row. If the document cannot be read, the hook has nothing but its
// name.
func (r *hookRow) hook() (hooks.Hook, error) {
	h := hooks.Hook{
		Tenant: r.tenant, ID: r.id, Name: r.name.String, Protocol: r.protocol.String, Disabled: r.disabled.Bool, Settings: r.settings,
		Version: r.version.Int64, CreatedAt: unpackTime(r.createdAt), Health: unpackHealth(r.failures, r.failingSince, r.throttledUntil),
	}
	if err := pack.UnpackHook(r.document.String, &h); err != nil {
		return hooks.Hook{Tenant: r.tenant, ID: r.id}, fmt.Errorf("postgres: hooks_hooks, n %d: document is not the JSON of a hook: %w", r.n, err)
	}
	return h, nil
}

func unpackHealth(failures int, failingSince, throttledUntil pgtype.Int8) hooks.Health {
	return hooks.Health{Failures: failures, FailingSince: unpackTime(failingSince), ThrottledUntil: unpackTime(throttledUntil)}
}

const sqlChangedSince = "SELECT " + hookColumns + ", h.revision FROM {schema}.hooks_hooks h WHERE h.revision > $1::bigint ORDER BY h.revision LIMIT $2::bigint"

// HookChanges implements [hooks.Store].
func (s *Store) HookChanges(ctx context.Context, after int64, limit int) (changes []hooks.HookChange, err error) {
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	changes, err = readAll(ctx, s, func(row pgx.CollectableRow) (hooks.HookChange, error) {
		var r hookRow
		if err := row.Scan(append(r.fields(), &r.revision)...); err != nil {
			return hooks.HookChange{}, err
		}
		change := hooks.HookChange{Revision: r.revision, Deleted: !r.version.Valid, Hook: hooks.Hook{Tenant: r.tenant, ID: r.id}}
		if !change.Deleted {
			change.Hook, change.Err = r.hook()
		}
		s.hooks.add(r.n, change.Hook.Ref())
		return change, nil
	}, sqlChangedSince, after, limit)
	return changes, s.readFailed(ctx, err)
}

// readFailed returns the error of a call that reads, if there is one.
func (s *Store) readFailed(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return failed(err)
}

// Hooks implements [hooks.Store].
func (s *Store) Hooks(ctx context.Context, q hooks.HookQuery) (page hooks.Page[hooks.Hook], err error) {
	if err := s.check(ctx); err != nil {
		return page, err
	}
	if !allStorable(q.Tenant, q.Protocol, q.Name, q.After.ID) || !allStorable(q.IDs...) {
		return page, nil
	}
	var c conditions
	c.where = append(c.where, "h.version IS NOT NULL")
	c.and("h.tenant = ?", q.Tenant, "text")
	if len(q.IDs) > 0 {
		c.and("h.id = ANY(?)", q.IDs, "text[]")
	}
	if q.Protocol != "" {
		c.and("h.protocol = ?", q.Protocol, "text")
	}
	if q.Name != "" {
		c.and("h.name = ?", q.Name, "text")
	}
	if q.Disabled != nil {
		c.and("h.disabled = ?", *q.Disabled, "boolean")
	}
	if q.CountTo > 0 {
		counted := conditions{append([]any{}, c.args...), append([]string{}, c.where...)}
		limit := counted.arg(q.CountTo, "bigint")
		sql := "SELECT count(*) FROM (SELECT FROM {schema}.hooks_hooks h WHERE " + counted.sql() + " LIMIT " + limit + ") AS counted"
		if page.Total, err = readOne[int](ctx, s, sql, counted.args...); err != nil {
			return page, s.readFailed(ctx, err)
		}
	}
	direction, behind := directionOf(q.PageQuery)
	if !q.After.IsZero() {
		at, name := c.arg(q.After.Time.UnixMilli(), "bigint"), c.arg(q.After.ID, "text")
		c.where = append(c.where, "(h.created_at, h.id) "+behind+" ("+at+", "+name+")")
	}
	limit := limitOf(q.PageQuery)
	sql := "SELECT " + hookColumns + " FROM {schema}.hooks_hooks h WHERE " + c.sql() + " ORDER BY h.created_at" + direction + ", h.id" + direction +
		" LIMIT " + c.arg(limit+1, "bigint") + " OFFSET " + c.arg(q.Offset, "bigint")
	if page.Items, err = readAll(ctx, s, scanHook, sql, c.args...); err != nil {
		return hooks.Page[hooks.Hook]{}, s.readFailed(ctx, err)
	}
	if len(page.Items) > limit {
		page.Items = page.Items[:limit]
		last := page.Items[limit-1]
		page.Next = hooks.Cursor{Time: last.CreatedAt, ID: last.ID}
	}
	return page, nil
}

func scanHook(row pgx.CollectableRow) (hooks.Hook, error) {
	var r hookRow
	if err := row.Scan(r.fields()...); err != nil {
		return hooks.Hook{}, err
	}
	return r.hook()
}

// directionOf returns the direction of an ORDER BY, and the comparison that is true behind a
// cursor.
func directionOf(q hooks.PageQuery) (direction, behind string) {
	if q.OldestFirst {
		return "", ">"
	}
	return " DESC", "<"
}

// maxPage keeps the size of a page, plus one, in bounds.
const maxPage = 1 << 30

// limitOf returns the size of the page.
func limitOf(q hooks.PageQuery) int { return min(q.PageSize(), maxPage) }
