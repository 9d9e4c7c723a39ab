package postgres

import (
	"context"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/store"
)

var _ store.Copyable = (*Store)(nil)

// sqlInventory counts everything, in one snapshot: deliveries by state, and as state 0 what has
// none.
const sqlInventory = `SELECT state::integer, count(*), count(*) FILTER (WHERE held), coalesce(sum(token), 0)::bigint,
		count(*) FILTER (WHERE started_at IS NOT NULL) FROM {schema}.hooks_log GROUP BY state
	UNION ALL SELECT state, count(*), 0, sum(token)::bigint, 0 FROM {schema}.hooks_queue GROUP BY state
	UNION ALL SELECT 0, (SELECT count(*) FROM {schema}.hooks_hooks WHERE version IS NOT NULL), (SELECT count(*) FROM {schema}.hooks_events),
		(SELECT coalesce(sum(version), 0)::bigint FROM {schema}.hooks_hooks), (SELECT count(*) FROM {schema}.hooks_attempts)`

// Inventory implements [store.Copyable].
func (s *Store) Inventory(ctx context.Context) (store.Inventory, error) {
	inventory := store.Inventory{Deliveries: map[hooks.State]int{}}
	if err := s.check(ctx); err != nil {
		return store.Inventory{}, err
	}
	rows, err := s.pool.Query(ctx, s.sql(sqlInventory))
	if err != nil {
		return store.Inventory{}, s.readFailed(ctx, err)
	}
	defer rows.Close()
	for rows.Next() {
		var state int16
		var count, second, attempts int
		var sum int64
		if err := rows.Scan(&state, &count, &second, &sum, &attempts); err != nil {
			return store.Inventory{}, err
		}
		inventory.Attempts += attempts
		if state == 0 {
			inventory.Hooks, inventory.Events, inventory.Versions = count, second, sum
			continue
		}
		inventory.Deliveries[unpackState(state)] += count
		inventory.Held += second
		inventory.Tokens += sum
	}
	return inventory, s.readFailed(ctx, rows.Err())
}
