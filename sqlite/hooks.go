//go:build cgo

package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/internal/pack"
)

// packHook returns the document of a hook, after as many spaces as a page has bytes. So
// secrets are on pages that hold nothing else, and SQLite overwrites these pages when the
// hook is changed or deleted (PRAGMA secure_delete). Where rows share a page, it may leave
// copies of them behind when it moves rows from page to page.
func (s *Store) packHook(h *hooks.Hook) (string, error) {
	packed, err := pack.Hook(h)
	return strings.Repeat(" ", s.pageSize) + packed, err
}

// allHookColumns are what unpackHook reads: hookColumns and those of the constants that
// follow.
const allHookColumns = hookColumns + ", created_at, name, protocol, disabled, document, settings, version"

const (
	hookColCreatedAt = afterHook + iota
	hookColName
	hookColProtocol
	hookColDisabled
	hookColDocument
	hookColSettings
	hookColVersion
	hookColRevision // of stmtChangedSince
)

// unpackHook makes a hook of allHookColumns.
func unpackHook(r row) hooks.Hook {
	h := hooks.Hook{
		Tenant: r.text(hookColTenant), ID: r.text(hookColID), Name: r.maybeText(hookColName), Protocol: r.maybeText(hookColProtocol), Disabled: r.bool(hookColDisabled),
		Settings: r.maybeBytes(hookColSettings), Version: int64(r.count(hookColVersion)), CreatedAt: r.time(hookColCreatedAt), Health: r.health(hookColFailures),
	}
	if err := pack.UnpackHook(strings.TrimLeft(r.text(hookColDocument), " "), &h); err != nil {
		r.wrong(hookColDocument, "the JSON of a hook")
	}
	return h
}

var (
	// stmtNextRevision returns the revision of the next change of a hook.
	stmtNextRevision = newStatement("UPDATE hooks_revision SET last = last + 1 WHERE typeof(last) = 'integer' AND last >= 0 RETURNING last")
	// stmtHookState reads what a change of a hook depends on.
	stmtHookState = newStatement("SELECT n, version, disabled FROM hooks_hooks WHERE n = ?")
	// stmtPutHook stores a new hook.
	stmtPutHook = newStatement(`UPDATE hooks_hooks SET revision = ?, deleted_at = NULL, version = ?, created_at = ?, name = ?,
		protocol = ?, disabled = ?, document = ?, settings = ?, failures = ?, failing_since = ?, throttled_until = ? WHERE n = ?`)
	// stmtChangeHook stores a changed hook.
	stmtChangeHook = newStatement(`UPDATE hooks_hooks SET revision = ?, version = ?, name = ?,
		protocol = ?, disabled = ?, document = ?, settings = ? WHERE n = ?`)
	// stmtRemoveHook makes the row that of a deleted hook.
	stmtRemoveHook = newStatement(`UPDATE hooks_hooks SET revision = ?, deleted_at = ?, version = NULL, created_at = NULL, name = NULL,
		protocol = NULL, disabled = NULL, document = NULL, settings = NULL, failures = 0, failing_since = NULL, throttled_until = NULL
		WHERE n = ?`)
	// stmtHookAt finds out whether a tenant has more hooks than a number.
	stmtHookAt = newStatement("SELECT 1 FROM hooks_hooks WHERE tenant = ? AND created_at IS NOT NULL ORDER BY created_at, id LIMIT 1 OFFSET ? + 0")
	// stmtHeldOf finds the held deliveries of a hook.
	stmtHeldOf = newStatement("SELECT n, ordering_key FROM hooks_deliveries WHERE hook = ? AND held = 1")
	// stmtLetGo ends the hold of a delivery.
	stmtLetGo = newStatement("UPDATE hooks_deliveries SET held = NULL WHERE n = ?")
)

// The columns of stmtHookState.
const (
	_ = iota // n
	stateVersion
	stateDisabled
)

// The columns of stmtHeldOf.
const (
	heldN = iota
	heldOrderingKey
)

// nextRevision counts one more change of hooks.
func (t *tx) nextRevision() (int64, error) {
	r, err := first(t, stmtNextRevision)
	if err != nil {
		return 0, err
	}
	if r == nil {
		return 0, &rowError{"hooks_revision", 1, "last is missing, or not an integer of at least 0"}
	}
	return r.int(0), nil
}

// CreateHook implements [hooks.Store].
func (s *Store) CreateHook(ctx context.Context, h hooks.Hook, limit int) error {
	packed, err := s.packHook(&h)
	if err != nil {
		return err
	}
	return s.writer.do(ctx, func(t *tx) error {
		if err := t.checkLimit(h.Ref(), limit); err != nil {
			return err
		}
		known, err := t.hook(h.Ref())
		if err != nil {
			return err
		}
		if known.exists {
			return fmt.Errorf("hook %q: %w", h.ID, hooks.ErrDuplicate)
		}
		return t.putHook(known, &h, packed)
	})
}

// putHook stores a new hook. packed is its document.
func (t *tx) putHook(known *hookRow, h *hooks.Hook, packed string) error {
	revision, err := t.nextRevision()
	if err != nil {
		return err
	}
	if err := run(t, stmtPutHook, revision, h.Version, h.CreatedAt.UnixMilli(), packText(h.Name), packText(h.Protocol),
		packBool(h.Disabled), packed, packBytes(h.Settings), int64(h.Health.Failures),
		packTime(h.Health.FailingSince), packTime(h.Health.ThrottledUntil), known.n); err != nil {
		return err
	}
	return t.hookChanged(known)
}

// checkLimit refuses a hook if its tenant has as many as the limit, unless there is one with
// this ID. It writes nothing.
func (t *tx) checkLimit(ref hooks.Ref, limit int) error {
	if limit <= 0 {
		return nil
	}
	last, err := first(t, stmtHookAt, ref.Tenant, int64(limit-1))
	if err != nil || last == nil {
		return err
	}
	if _, err := t.existing(ref); !errors.Is(err, hooks.ErrNotFound) {
		return err // CreateHook itself refuses a hook that exists.
	}
	return fmt.Errorf("hook %q: %w: the tenant has %d or more", ref.ID, hooks.ErrTooManyHooks, limit)
}

// hookChanged reads the row of a hook again after it was changed, and restarts its lanes.
func (t *tx) hookChanged(h *hookRow) error {
	t.forget(h.n)
	h, err := t.hookN(h.n)
	if err != nil {
		return err
	}
	return t.restartLanes(h)
}

// UpdateHook implements [hooks.Store].
func (s *Store) UpdateHook(ctx context.Context, h hooks.Hook) error {
	packed, err := s.packHook(&h)
	if err != nil {
		return err
	}
	return s.wiping(s.writer.do(ctx, func(t *tx) error {
		known, err := t.existing(h.Ref())
		if err != nil {
			return err
		}
		state, err := first(t, stmtHookState, known.n)
		if err != nil {
			return err
		}
		if stored := int64(state.count(stateVersion)); stored != h.Version {
			return fmt.Errorf("hook %q has version %d, not %d: %w", h.ID, stored, h.Version, hooks.ErrConflict)
		}
		revision, err := t.nextRevision()
		if err != nil {
			return err
		}
		err = run(t, stmtChangeHook, revision, h.Version+1, packText(h.Name), packText(h.Protocol),
			packBool(h.Disabled), packed, packBytes(h.Settings), known.n)
		if err != nil || !state.bool(stateDisabled) || h.Disabled {
			return err
		}
		if err := run(t, stmtSetHealth, int64(0), nil, nil, known.n); err != nil {
			return err
		}
		return t.hookChanged(known)
	}))
}

// existing returns the row of a hook that exists.
func (t *tx) existing(ref hooks.Ref) (*hookRow, error) {
	r, err := first(t, stmtFindHook, ref.Tenant, ref.ID)
	if err != nil {
		return nil, err
	}
	if r == nil || !r.bool(hookColExists) {
		return nil, fmt.Errorf("hook %q: %w", ref.ID, hooks.ErrNotFound)
	}
	return t.hookN(r.int(hookColN))
}

// DeleteHook implements [hooks.Store].
func (s *Store) DeleteHook(ctx context.Context, ref hooks.Ref, now time.Time) error {
	return s.wiping(s.writer.do(ctx, func(t *tx) error {
		known, err := t.existing(ref)
		if err != nil {
			return err
		}
		var held []row
		err = t.each(stmtHeldOf, func(r row) error {
			held = append(held, r.copy())
			return nil
		}, known.n)
		if err != nil {
			return err
		}
		for _, r := range held {
			if err := run(t, stmtLetGo, r.int(heldN)); err != nil {
				return err
			}
			if err := t.unblockNext(known, r.text(heldOrderingKey), now); err != nil {
				return err
			}
		}
		revision, err := t.nextRevision()
		if err != nil {
			return err
		}
		if err := run(t, stmtRemoveHook, revision, now.UnixMilli(), known.n); err != nil {
			return err
		}
		return t.hookChanged(known)
	}))
}

// wiping returns err. If it is nil, the write-ahead log is emptied soon, because it may hold
// secrets that the hook no longer has.
func (s *Store) wiping(err error) error {
	if err == nil && s.checkpoints != nil {
		s.checkpoints.wipe()
	}
	return err
}

var stmtChangedSince = newStatement("SELECT " + allHookColumns + ", revision FROM hooks_hooks WHERE revision > ? ORDER BY revision LIMIT ?")

// HookChanges implements [hooks.Store].
func (s *Store) HookChanges(ctx context.Context, after int64, limit int) (changes []hooks.HookChange, err error) {
	err = s.reads(ctx, func(r *reader) error {
		return r.each(stmtChangedSince, func(row row) error {
			change := hooks.HookChange{Revision: row.int(hookColRevision)}
			if row.bool(hookColExists) {
				change.Hook = unpackHook(row)
			} else {
				change.Deleted, change.Hook = true, hooks.Hook{Tenant: row.text(hookColTenant), ID: row.text(hookColID)}
			}
			if damage := r.damaged(); damage != nil { // The other hooks are still read.
				change = hooks.HookChange{Revision: max(change.Revision, after), Err: fmt.Errorf("sqlite: %w", damage)}
				change.Hook.Tenant, _ = row.values[hookColTenant].(string)
				change.Hook.ID, _ = row.values[hookColID].(string)
			}
			after = change.Revision
			changes = append(changes, change)
			return nil
		}, after, int64(limit))
	})
	return changes, err
}

// Hooks implements [hooks.Store].
func (s *Store) Hooks(ctx context.Context, q hooks.HookQuery) (page hooks.Page[hooks.Hook], err error) {
	where := newConditions("tenant = ? AND created_at IS NOT NULL", q.Tenant)
	if len(q.IDs) > 0 {
		where.in("id", len(q.IDs), func(i int) any { return q.IDs[i] })
	}
	if q.Protocol != "" {
		where.and("protocol = ?", q.Protocol)
	}
	if q.Name != "" {
		where.and("name = ?", q.Name)
	}
	if q.Disabled != nil {
		where.and("disabled = ?", packBool(*q.Disabled))
	}
	err = s.reads(ctx, func(r *reader) error {
		if q.CountTo > 0 {
			if page.Total, err = r.count("FROM hooks_hooks", where, q.CountTo); err != nil {
				return err
			}
		}
		compare, order := ">", "created_at, id"
		if !q.OldestFirst {
			compare, order = "<", "created_at DESC, id DESC"
		}
		if !q.After.IsZero() {
			where.and("(created_at, id) "+compare+" (?, ?)", q.After.Time.UnixMilli(), q.After.ID)
		}
		limit := limitOf(q.PageQuery)
		query := strings.Join([]string{"SELECT", allHookColumns, "FROM hooks_hooks WHERE", where.sql, "ORDER BY", order, "LIMIT ? OFFSET ?"}, " ")
		return r.query(query, func(r row) error {
			if len(page.Items) == limit {
				last := page.Items[limit-1]
				page.Next = hooks.Cursor{Time: last.CreatedAt, ID: last.ID}
				return nil
			}
			page.Items = append(page.Items, unpackHook(r))
			return nil
		}, append(where.args, limit+1, q.Offset)...)
	})
	return page, err
}
