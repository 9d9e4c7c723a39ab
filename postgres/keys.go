package postgres

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// An orderingKey is an ordering key of a hook.
type orderingKey struct {
	hook int64
	key  string
}

// A keySet has each ordering key once, in the order in which they are locked.
type keySet struct {
	hooks []int64
	keys  []string
}

func newKeySet(keys []orderingKey) keySet {
	slices.SortFunc(keys, func(a, b orderingKey) int {
		return cmp.Or(cmp.Compare(a.hook, b.hook), cmp.Compare(a.key, b.key))
	})
	var set keySet
	for _, k := range slices.Compact(keys) {
		set.hooks, set.keys = append(set.hooks, k.hook), append(set.keys, k.key)
	}
	return set
}

func (k *keySet) empty() bool { return len(k.keys) == 0 }

// lockNumbers returns the numbers of the keys' advisory locks.
func (k *keySet) lockNumbers() []int64 {
	numbers := make([]int64, len(k.keys))
	for i, key := range k.keys {
		numbers[i] = lockOf("key", strconv.FormatInt(k.hooks[i], 10), key)
	}
	return numbers
}

const (
	// sqlLockKeys lets one transaction at a time decide which delivery of a key comes next.
	// The locks are taken in the order of their numbers, so that two transactions do not
	// wait for each other.
	sqlLockKeys = "SELECT pg_advisory_xact_lock(l) FROM (SELECT DISTINCT l FROM unnest($1::bigint[]) AS l ORDER BY l) locks"
	// withoutHead is true of a key k that has no delivery that is pending, leased or held.
	withoutHead = `NOT EXISTS (SELECT FROM {schema}.hooks_queue o WHERE o.hook = k.hook AND o.ordering_key = k.key AND o.state <> 1)
		AND NOT EXISTS (SELECT FROM {schema}.hooks_log o WHERE o.hook = k.hook AND o.ordering_key = k.key AND o.held)`
	// sqlRelease makes the first blocked delivery of each key pending, if the key has no
	// head. It is due at $3, or when it says if that is later and $4 is true.
	sqlRelease = `WITH released AS (
			UPDATE {schema}.hooks_queue q SET state = 2, due = due_at, queued = due_at
			FROM (
				SELECT b.id, CASE WHEN $4::boolean THEN greatest(b.due, $3::bigint) ELSE $3::bigint END AS due_at
				FROM unnest($1::bigint[], $2::text[]) AS k(hook, key)
				CROSS JOIN LATERAL (SELECT id, due FROM {schema}.hooks_queue
					WHERE hook = k.hook AND ordering_key = k.key AND state = 1 ORDER BY n LIMIT 1) b
				WHERE ` + withoutHead + `
			) first WHERE q.id = first.id AND q.state = 1
			RETURNING q.hook, q.retry, q.queued
		)
		INSERT INTO {schema}.hooks_signals (process, hooks, kinds, dues)
		SELECT 0, array_agg(hook), array_agg(retry), array_agg(queued) FROM released HAVING count(*) > 0`
)

// lockKeys locks ordering keys until the transaction ends.
func (s *Store) lockKeys(ctx context.Context, tx pgx.Tx, keys keySet) error {
	if keys.empty() {
		return nil
	}
	_, err := tx.Exec(ctx, s.sql(sqlLockKeys), keys.lockNumbers())
	return err
}

// release makes the next delivery of each ordering key pending, due now, whose first has
// ended. The keys are locked.
func (s *Store) release(ctx context.Context, tx pgx.Tx, keys keySet, now time.Time) error {
	if keys.empty() {
		return nil
	}
	_, err := tx.Exec(ctx, s.sql(sqlRelease), keys.hooks, keys.keys, now.UnixMilli(), false)
	return err
}

// queueRelease adds to a batch what locks the keys and releases their next deliveries.
func (s *Store) queueRelease(b *pgx.Batch, keys keySet, now time.Time, keepDue bool) {
	if keys.empty() {
		return
	}
	b.Queue(s.sql(sqlLockKeys), keys.lockNumbers())
	b.Queue(s.sql(sqlRelease), keys.hooks, keys.keys, now.UnixMilli(), keepDue)
}
