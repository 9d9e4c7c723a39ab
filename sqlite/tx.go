//go:build cgo

package sqlite

import (
	"errors"
	"math"

	"github.com/seed-2c6e3a5a/hooks"
)

// A tx is a transaction that writes, with what is known of the data.
type tx struct {
	session
	*cache
}

// A cache is what the writer knows of the data without reading it. It is valid until another
// process or connection writes.
type cache struct {
	version int64 // PRAGMA data_version, which changes when others write
	hooks   map[hooks.Ref]*hookRow
	byN     map[int64]*hookRow
	// The last n of these tables, if they are known.
	numbered                bool
	lastEvent, lastDelivery int64
	leases                  map[string]*lease // by the delivery's ID; some of them
	requests                map[request]int64
	lastRequest             map[int64]int64 // by generation
}

const maxCached = 20_000

func newCache(version int64) *cache {
	return &cache{
		version: version, hooks: map[hooks.Ref]*hookRow{}, byN: map[int64]*hookRow{},
		leases: map[string]*lease{}, requests: map[request]int64{}, lastRequest: map[int64]int64{},
	}
}

// A hookRow has the columns of hooks_hooks that queues need.
type hookRow struct {
	n      int64
	ref    hooks.Ref
	exists bool
	health hooks.Health
	sent   sentRequest
	// due is when its two lanes are due. never: not known, or nothing is queued.
	due [2]int64
}

// hookColumns are the columns that remember reads, in the order of the constants that
// follow.
const hookColumns = "n, tenant, id, version IS NOT NULL, failures, failing_since, throttled_until"

const (
	hookColN = iota
	hookColTenant
	hookColID
	hookColExists
	hookColFailures
	hookColFailingSince
	hookColThrottledUntil
	afterHook // the first column behind them
)

var (
	// stmtFindHook finds the row of a hook by tenant and ID.
	stmtFindHook = newStatement("SELECT " + hookColumns + " FROM hooks_hooks WHERE tenant = ? AND id = ?")
	// stmtFindHookN finds it by its n.
	stmtFindHookN = newStatement("SELECT " + hookColumns + " FROM hooks_hooks WHERE n = ?")
	// stmtAddHook adds a row for a hook that need not exist.
	stmtAddHook = newStatement("INSERT INTO hooks_hooks (tenant, id) VALUES (?, ?) RETURNING " + hookColumns)
)

// hook returns the row of a hook, which is added if there is none.
func (t *tx) hook(ref hooks.Ref) (*hookRow, error) {
	if h := t.hooks[ref]; h != nil {
		return h, nil
	}
	r, err := first(t, stmtFindHook, ref.Tenant, ref.ID)
	if err == nil && r == nil {
		r, err = first(t, stmtAddHook, ref.Tenant, ref.ID)
	}
	if err != nil {
		return nil, err
	}
	return t.remember(r), nil
}

// hookN returns the row of the hook with this n.
func (t *tx) hookN(n int64) (*hookRow, error) {
	if h := t.byN[n]; h != nil {
		return h, nil
	}
	r, err := first(t, stmtFindHookN, n)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, &rowError{"hooks_hooks", n, isMissing}
	}
	return t.remember(r), nil
}

// remember adds a row to the cache.
func (t *tx) remember(r *row) *hookRow {
	if len(t.hooks) >= maxCached { // Which of them will be needed again is not known.
		clear(t.hooks)
		clear(t.byN)
	}
	h := &hookRow{
		n: r.int(hookColN), ref: hooks.Ref{Tenant: r.text(hookColTenant), ID: r.text(hookColID)}, exists: r.bool(hookColExists),
		health: r.health(hookColFailures),
		due:    [2]int64{never, never},
	}
	t.hooks[h.ref], t.byN[h.n] = h, h
	return h
}

// health makes a Health of three columns from the i-th.
func (r row) health(i int) hooks.Health {
	return hooks.Health{Failures: r.count(i), FailingSince: r.maybeTime(i + 1), ThrottledUntil: r.maybeTime(i + 2)}
}

// throttled returns until when the hook is throttled.
func (h *hookRow) throttled() int64 {
	if h.health.ThrottledUntil.IsZero() {
		return math.MinInt64
	}
	return h.health.ThrottledUntil.UnixMilli()
}

// forget removes the row from the cache, so that it is read again when it is needed.
func (t *tx) forget(n int64) {
	if h := t.byN[n]; h != nil {
		delete(t.hooks, h.ref)
		delete(t.byN, n)
	}
}

// apart calls do in a savepoint. If do fails or meets damage, what it has written is undone,
// and the cache is emptied.
func (t *tx) apart(do func() error) error {
	if err := run(t, stmtSavepoint); err != nil {
		return err
	}
	err := do()
	if damage := t.damaged(); damage != nil {
		err = damage
	}
	if err == nil {
		return run(t, stmtRelease)
	}
	*t.cache = *newCache(t.version)
	if failure := errors.Join(run(t, stmtRollbackTo), run(t, stmtRelease)); failure != nil {
		return failure
	}
	return err
}

var (
	// stmtMaxEvent returns the last n of events.
	stmtMaxEvent = newStatement("SELECT coalesce(max(n), 0) FROM hooks_events")
	// stmtMaxDelivery returns the last n of deliveries.
	stmtMaxDelivery = newStatement("SELECT coalesce(max(n), 0) FROM hooks_deliveries")
)

// number reads the last n of events and deliveries, unless they are known.
func (t *tx) number() error {
	if t.numbered {
		return nil
	}
	for s, last := range map[*statement]*int64{stmtMaxEvent: &t.lastEvent, stmtMaxDelivery: &t.lastDelivery} {
		r, err := first(t, s)
		if err != nil {
			return err
		}
		*last = r.int(0)
	}
	t.numbered = true
	return nil
}
