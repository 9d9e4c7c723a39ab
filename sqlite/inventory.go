//go:build cgo

package sqlite

import (
	"context"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/store"
)

// The queries of Inventory. They read whole tables, which no registered statement may. A value
// that is damaged counts as some number: Export says which row has it.
const (
	sqlCountHooks = `SELECT count(*), coalesce(sum(CASE typeof(version) WHEN 'integer' THEN max(0, version) END), 0)
		FROM hooks_hooks WHERE version IS NOT NULL`
	sqlCountEvents     = "SELECT count(*) FROM hooks_events"
	sqlCountDeliveries = `SELECT min(n), state, count(*), count(held), coalesce(sum(CASE typeof(token) WHEN 'integer' THEN max(0, token) END), 0)
		FROM hooks_deliveries GROUP BY state`
	sqlCountAttempts = "SELECT count(*) FROM hooks_attempts"
)

// The columns of sqlCountDeliveries.
const (
	_ = iota // the first n
	countState
	countAll
	countHeld
	countTokens
)

// Inventory implements [store.Copyable].
func (s *Store) Inventory(ctx context.Context) (store.Inventory, error) {
	inventory := store.Inventory{Deliveries: map[hooks.State]int{}}
	err := s.reads(ctx, func(r *reader) error {
		for _, q := range []struct {
			sql  string
			read func(row) error
		}{
			{sqlCountHooks, func(r row) error {
				inventory.Hooks, inventory.Versions = r.count(0), r.int(1)
				return nil
			}},
			{sqlCountEvents, func(r row) error {
				inventory.Events = r.count(0)
				return nil
			}},
			{sqlCountDeliveries, func(r row) error {
				inventory.Deliveries[r.state(countState)] = r.count(countAll)
				inventory.Held += r.count(countHeld)
				inventory.Tokens += r.int(countTokens)
				return nil
			}},
			{sqlCountAttempts, func(r row) error {
				inventory.Attempts = r.count(0)
				return nil
			}},
		} {
			if err := r.query(q.sql, q.read); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return store.Inventory{}, err
	}
	return inventory, nil
}
