package postgres

import (
	"context"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/seed-2c6e3a5a/hooks"
)

// hookNames know the number n that a hook has in the tables, and the hook of a number. A
// row of hooks_hooks is never deleted, so they stay right. They may be used concurrently.
type hookNames struct {
	mu   sync.RWMutex
	ns   map[hooks.Ref]int64
	refs map[int64]hooks.Ref
}

func (h *hookNames) init() { h.ns, h.refs = map[hooks.Ref]int64{}, map[int64]hooks.Ref{} }

func (h *hookNames) add(n int64, ref hooks.Ref) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ns[ref], h.refs[n] = n, ref
}

func (h *hookNames) n(ref hooks.Ref) (n int64, known bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	n, known = h.ns[ref]
	return n, known
}

func (h *hookNames) ref(n int64) (ref hooks.Ref, known bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	ref, known = h.refs[n]
	return ref, known
}

const (
	sqlHooksNamed = `SELECT h.n, h.tenant, h.id FROM unnest($1::text[], $2::text[]) AS u(tenant, id)
		JOIN {schema}.hooks_hooks h ON h.tenant = u.tenant AND h.id = u.id`
	sqlHooksNumbered = "SELECT n, tenant, id FROM {schema}.hooks_hooks WHERE n = ANY($1::bigint[])"
	sqlNameHooks     = `INSERT INTO {schema}.hooks_hooks (tenant, id)
		SELECT u.tenant, u.id FROM unnest($1::text[], $2::text[]) AS u(tenant, id) ORDER BY 1, 2 ON CONFLICT (tenant, id) DO NOTHING`
)

// nameHooks makes the hooks of the deliveries known that are not yet. One that does not
// exist gets a row that has nothing but its name.
func (s *Store) nameHooks(ctx context.Context, entries []hooks.Entry) error {
	unknown := map[hooks.Ref]bool{}
	for i := range entries {
		for j := range entries[i].Deliveries {
			ref := entries[i].Deliveries[j].HookRef()
			if _, known := s.hooks.n(ref); !known {
				unknown[ref] = true
			}
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	var tenants, ids []string
	for ref := range unknown {
		tenants, ids = append(tenants, ref.Tenant), append(ids, ref.ID)
	}
	found, err := s.readNames(ctx, sqlHooksNamed, tenants, ids)
	if err != nil || found == len(unknown) {
		return err
	}
	if _, err := s.pool.Exec(ctx, s.sql(sqlNameHooks), tenants, ids); err != nil {
		return err
	}
	_, err = s.readNames(ctx, sqlHooksNamed, tenants, ids)
	return err
}

// readNames reads names of hooks that are committed, and returns how many.
func (s *Store) readNames(ctx context.Context, sql string, args ...any) (count int, err error) {
	err = s.read(ctx, func(rows pgx.Rows) error {
		var n int64
		var ref hooks.Ref
		_, err := pgx.ForEachRow(rows, []any{&n, &ref.Tenant, &ref.ID}, func() error {
			s.hooks.add(n, ref)
			count++
			return nil
		})
		return err
	}, sql, args...)
	return count, err
}

// nameNumbered makes the hooks with these numbers known that are not yet.
func (s *Store) nameNumbered(ctx context.Context, ns []int64) error {
	unknown := slices.DeleteFunc(slices.Clone(ns), func(n int64) bool {
		_, known := s.hooks.ref(n)
		return known
	})
	if len(unknown) == 0 {
		return nil
	}
	_, err := s.readNames(ctx, sqlHooksNumbered, unknown)
	return err
}
