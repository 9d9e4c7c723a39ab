package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/store"
)

// Settle implements [hooks.Store].
func (s *Store) Settle(ctx context.Context, now time.Time, list []hooks.Settlement) ([]hooks.Settled, error) {
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return []hooks.Settled{}, nil
	}
	b := &settling{Store: s, now: now, list: list, result: make([]hooks.Settled, len(list))}
	b.sort()
	err := s.retry(ctx, func() error { return b.run(ctx) })
	if err != nil {
		s.uncertain(err)
		return nil, err
	}
	b.stored()
	return b.result, nil
}

// A settling is a call of Settle.
type settling struct {
	*Store
	now    time.Time
	list   []hooks.Settlement
	result []hooks.Settled
	// ended and again are the settlements, by their place in list, after which the
	// delivery has ended, and those after which it is pending again.
	ended, again []int
	known        map[int]lease // of this process, by the place in list
	careful      bool          // The rows of the hooks have to be locked.
	applied      map[int]int64 // the hook's n for each settlement that was stored
	missing      []int         // in known
}

// sort sorts the settlements into ended and again. The second settlement with one token
// has lost its lease to the first.
func (b *settling) sort() {
	type name struct {
		delivery string
		token    int64
	}
	seen := make(map[name]bool, len(b.list))
	b.known = make(map[int]lease, len(b.list))
	for i := range b.list {
		st := &b.list[i]
		_, isID := packID(st.DeliveryID)
		n := name{st.DeliveryID, st.Token}
		if !isID || seen[n] {
			b.result[i].LeaseLost = true
			continue
		}
		seen[n] = true
		if st.State == hooks.Pending {
			b.again = append(b.again, i)
		} else {
			b.ended = append(b.ended, i)
		}
		if held, ok := b.leases.get(st.DeliveryID, st.Token); ok {
			b.known[i] = held
		} else {
			b.missing = append(b.missing, i)
		}
		b.careful = b.careful || st.Hold || st.State != hooks.Succeeded && changesHealth(st, b.now)
	}
}

// changesHealth reports whether a settlement other than a success may change the health of
// the hook.
func changesHealth(st *hooks.Settlement, now time.Time) bool {
	return hooks.Health{}.After(*st, now) != hooks.Health{}
}

var (
	// sqlEnd ends deliveries: it moves them from the queue to the log. If $2 is true, it applies
	// successes to the health of their hooks, see [hooks.Health.After].
	sqlEnd = `WITH s AS (SELECT * FROM unnest(` + arrayParams(2, append([]string{"uuid", "bigint", "smallint", "boolean", "boolean", "boolean", "text"}, attemptKinds...)...) + `)
			WITH ORDINALITY AS s(id, token, state, hold, undecided, drops, reason, ` + attemptColumns + `, i)),
		ended AS (
			DELETE FROM {schema}.hooks_queue q USING s WHERE q.id = s.id AND q.token = s.token AND q.state = 3
			RETURNING q.n, q.event, q.hook, q.created_at, q.size, q.step, q.attempts, q.ordering_key, s.*
		),
		logged AS (
			INSERT INTO {schema}.hooks_log (id, n, event, hook, created_at, ended_at, token, size, step, attempts, state, undecided, held, ordering_key, reason, ` + attemptColumns + `)
			SELECT id, n, event, hook, created_at, $1::bigint, token, size, step, attempts + (started_at IS NOT NULL)::integer, state, undecided,
				hold AND ordering_key IS NOT NULL, ordering_key, reason, ` + attemptColumns + ` FROM ended
		),
		dropped AS (
			UPDATE {schema}.hooks_attempts a SET lacks = a.lacks | 4, response_header = NULL, response_body = NULL FROM ended e
			WHERE a.delivery = e.id AND a.number = e.attempts AND e.drops AND (a.response_header IS NOT NULL OR a.response_body IS NOT NULL)
		),
		healed AS (
			UPDATE {schema}.hooks_hooks h SET failures = 0, failing_since = NULL,
				throttled_until = CASE WHEN h.throttled_until > $1::bigint THEN h.throttled_until END
			FROM (SELECT DISTINCT hook FROM ended WHERE state = 4 AND $2::boolean) e
			WHERE h.n = e.hook AND h.version IS NOT NULL AND (h.failures <> 0 OR h.failing_since IS NOT NULL OR h.throttled_until <= $1::bigint)
		)
		SELECT i, hook FROM ended`
	// sqlRetry makes deliveries pending again.
	sqlRetry = `WITH s AS (SELECT * FROM unnest(` + arrayParams(0, append([]string{"uuid", "bigint", "bigint", "integer", "smallint", "boolean", "boolean", "text", "bigint"}, attemptKinds...)...) + `)
			WITH ORDINALITY AS s(id, token, due, step, retry, undecided, drops, reason, next_at, ` + attemptColumns + `, i)),
		again AS (
			UPDATE {schema}.hooks_queue q SET state = 2, due = s.due, queued = s.due, step = s.step, retry = s.retry, owner = NULL,
				undecided = s.undecided, reason = s.reason, attempts = q.attempts + (s.started_at IS NOT NULL)::integer
			FROM s WHERE q.id = s.id AND q.token = s.token AND q.state = 3
			RETURNING q.event, q.hook, q.attempts, s.*
		),
		logged AS (
			INSERT INTO {schema}.hooks_attempts (delivery, event, hook, number, next_at, ` + attemptColumns + `)
			SELECT id, event, hook, attempts, next_at, ` + attemptColumns + ` FROM again WHERE started_at IS NOT NULL
		),
		dropped AS (
			UPDATE {schema}.hooks_attempts a SET lacks = a.lacks | 4, response_header = NULL, response_body = NULL FROM again e
			WHERE a.delivery = e.id AND a.number = e.attempts - 1 AND e.drops AND (a.response_header IS NOT NULL OR a.response_body IS NOT NULL)
		)
		SELECT i, hook FROM again`
)

const (
	// sqlHealth reads the health of hooks that exist.
	sqlHealth = `SELECT n, failures, failing_since, throttled_until FROM {schema}.hooks_hooks
		WHERE n = ANY($1::bigint[]) AND version IS NOT NULL`
	// sqlLockHealth does so and locks the hooks.
	sqlLockHealth = sqlHealth + " ORDER BY n FOR UPDATE"
	sqlSetHealth  = `UPDATE {schema}.hooks_hooks h SET failures = u.failures, failing_since = u.failing_since, throttled_until = u.throttled_until
		FROM unnest($1::bigint[], $2::integer[], $3::bigint[], $4::bigint[]) AS u(n, failures, failing_since, throttled_until) WHERE h.n = u.n`
	// sqlLeases reads what is not known of leases.
	sqlLeases = "SELECT id, hook, retry, coalesce(queued, 0), coalesce(ordering_key, '') FROM {schema}.hooks_queue WHERE id = ANY($1::uuid[]) AND state = 3"
)

// run stores the settlements. Most often nothing has to be known before, and it takes one
// round trip.
func (b *settling) run(ctx context.Context) error {
	b.applied = make(map[int]int64, len(b.list))
	if !b.careful && len(b.missing) == 0 {
		return b.runAtOnce(ctx)
	}
	return b.transactOnce(ctx, b.runCarefully)
}

// runAtOnce is for settlements that are successes or do not matter for the health of hooks,
// and whose leases are known.
func (b *settling) runAtOnce(ctx context.Context) error {
	var health map[int64]hooks.Health
	err := b.sendOnce(ctx, func(batch *pgx.Batch) {
		b.queueSettlements(batch, true, nil)
		b.queueConsequences(batch)
		batch.Queue(b.sql(sqlHealth), b.hookNs()).Query(func(rows pgx.Rows) (err error) {
			health, err = readHealth(rows)
			return err
		})
	})
	for i, hook := range b.applied {
		b.result[i].Health = health[hook]
	}
	return err
}

// runCarefully locks the hooks first.
func (b *settling) runCarefully(ctx context.Context, tx pgx.Tx) error {
	if err := b.readLeases(ctx, tx); err != nil {
		return err
	}
	rows, err := tx.Query(ctx, b.sql(sqlLockHealth), b.hookNs())
	if err != nil {
		return err
	}
	health, err := readHealth(rows)
	if err != nil {
		return err
	}
	var batch pgx.Batch
	b.queueSettlements(&batch, false, health)
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return err
	}
	batch = pgx.Batch{}
	b.queueHealth(&batch, health)
	b.queueConsequences(&batch)
	if batch.Len() == 0 {
		return nil
	}
	return tx.SendBatch(ctx, &batch).Close()
}

// readLeases reads the leases that are not known. Those that are still not known then are
// lost.
func (b *settling) readLeases(ctx context.Context, tx pgx.Tx) error {
	if len(b.missing) == 0 {
		return nil
	}
	places, ids := map[id][]int{}, make([]id, 0, len(b.missing))
	for _, i := range b.missing {
		u, _ := packID(b.list[i].DeliveryID)
		places[u], ids = append(places[u], i), append(ids, u)
	}
	rows, err := tx.Query(ctx, b.sql(sqlLeases), ids)
	if err != nil {
		return err
	}
	var u id
	var held lease
	_, err = pgx.ForEachRow(rows, []any{&u, &held.hook, &held.kind, &held.until, &held.key}, func() error {
		for _, i := range places[u] {
			b.known[i] = held
		}
		return nil
	})
	return err
}

// hookNs returns the hooks of the settlements.
func (b *settling) hookNs() []int64 {
	ns := make([]int64, 0, len(b.known))
	for _, held := range b.known {
		ns = append(ns, held.hook)
	}
	return distinct(ns)
}

func readHealth(rows pgx.Rows) (map[int64]hooks.Health, error) {
	health := map[int64]hooks.Health{}
	var n int64
	var failures int
	var since, until pgtype.Int8
	_, err := pgx.ForEachRow(rows, []any{&n, &failures, &since, &until}, func() error {
		health[n] = unpackHealth(failures, since, until)
		return nil
	})
	return health, err
}

// queueSettlements adds to a batch what stores the settlements. Successes heal their hooks if
// heal is set; else existing has the hooks that exist.
func (b *settling) queueSettlements(batch *pgx.Batch, heal bool, existing map[int64]hooks.Health) {
	if len(b.ended) > 0 {
		batch.Queue(b.sql(sqlEnd), b.endArgs(heal, existing)...).Query(b.apply(b.ended))
	}
	if len(b.again) > 0 {
		batch.Queue(b.sql(sqlRetry), b.retryArgs()...).Query(b.apply(b.again))
	}
}

// apply returns what reads which of the settlements were stored.
func (b *settling) apply(places []int) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		var i, hook int64
		_, err := pgx.ForEachRow(rows, []any{&i, &hook}, func() error {
			b.applied[places[i-1]] = hook
			return nil
		})
		return err
	}
}

func (b *settling) endArgs(heal bool, existing map[int64]hooks.Health) []any {
	var ids []id
	var tokens []int64
	var numbers []int16
	var holds, undecided, drops []bool
	var reasons []pgtype.Text
	var attempts attemptArrays
	for _, i := range b.ended {
		st := &b.list[i]
		u, _ := packID(st.DeliveryID)
		_, exists := existing[b.known[i].hook]
		ids, tokens, numbers = append(ids, u), append(tokens, st.Token), append(numbers, packState(st.State))
		holds = append(holds, st.Hold && st.State == hooks.Dead && exists)
		undecided, drops, reasons = append(undecided, st.Undecided), append(drops, dropsResponse(st.Attempt)), append(reasons, packText(st.Reason))
		attempts.add(st.Attempt)
	}
	return append([]any{b.now.UnixMilli(), heal, ids, tokens, numbers, holds, undecided, drops, reasons}, attempts.args()...)
}

func (b *settling) retryArgs() []any {
	var ids []id
	var tokens, dues []int64
	var steps []int32
	var kinds []int16
	var undecided, drops []bool
	var reasons []pgtype.Text
	var nextAt []pgtype.Int8
	var attempts attemptArrays
	for _, i := range b.again {
		st := &b.list[i]
		u, _ := packID(st.DeliveryID)
		ids, tokens, dues = append(ids, u), append(tokens, st.Token), append(dues, st.Due.UnixMilli())
		steps, kinds = append(steps, int32(st.Step)), append(kinds, kindOf(st.Step)) //nolint:gosec // They are few.
		undecided, drops, reasons = append(undecided, st.Undecided), append(drops, dropsResponse(st.Attempt)), append(reasons, packText(st.Reason))
		next := pgtype.Int8{}
		if st.Attempt != nil {
			next = packTime(st.Attempt.NextAt)
		}
		nextAt = append(nextAt, next)
		attempts.add(st.Attempt)
	}
	return append([]any{ids, tokens, dues, steps, kinds, undecided, drops, reasons, nextAt}, attempts.args()...)
}

// dropsResponse reports whether the log drops the response to the attempt before this one.
func dropsResponse(a *hooks.Attempt) bool {
	return a != nil && a.Number > 1 && !store.KeepsResponse(a.Number-1)
}

// queueHealth applies the settlements that were stored to the health of their hooks, and adds
// to a batch what stores it.
func (b *settling) queueHealth(batch *pgx.Batch, health map[int64]hooks.Health) {
	changed := map[int64]bool{}
	for i := range b.list {
		hook, applied := b.applied[i]
		h, exists := health[hook]
		if !applied || !exists {
			continue
		}
		after := h.After(b.list[i], b.now)
		changed[hook] = changed[hook] || after != h
		health[hook], b.result[i].Health = after, after
	}
	var ns []int64
	var failures []int32
	var since, until []pgtype.Int8
	for hook, is := range changed {
		if h := health[hook]; is {
			ns, failures = append(ns, hook), append(failures, int32(h.Failures)) //nolint:gosec // They are few.
			since, until = append(since, packTime(h.FailingSince)), append(until, packTime(h.ThrottledUntil))
		}
	}
	if len(ns) > 0 {
		batch.Queue(b.sql(sqlSetHealth), ns, failures, since, until)
	}
}

// queueConsequences adds to a batch the signals of the retries, and the release of the next
// deliveries of ordering keys.
func (b *settling) queueConsequences(batch *pgx.Batch) {
	var g signals
	for _, i := range b.again {
		if held, ok := b.known[i]; ok {
			g.add(held.hook, kindOf(b.list[i].Step), b.list[i].Due.UnixMilli())
		}
	}
	b.queueSignal(batch, g)
	var keys []orderingKey
	for _, i := range b.ended {
		if held := b.known[i]; held.key != "" {
			keys = append(keys, orderingKey{held.hook, held.key})
		}
	}
	b.queueRelease(batch, newKeySet(keys), b.now, false)
}

// stored notes what this process has to know of the settlements, which are committed.
func (b *settling) stored() {
	var list []news
	tell := false
	for i := range b.list {
		st := &b.list[i]
		b.leases.remove(st.DeliveryID, st.Token)
		held, known := b.known[i]
		if known && held.own {
			list = append(list, news{held.laneKey, dueNoLonger, held.until})
		}
		hook, applied := b.applied[i]
		if !applied {
			b.result[i] = hooks.Settled{LeaseLost: true}
			continue
		}
		if until := b.result[i].Health.ThrottledUntil; until.After(b.now) {
			list = append(list,
				news{laneKey{hook, kindFirst}, isThrottled, until.UnixMilli()}, news{laneKey{hook, kindRetry}, isThrottled, until.UnixMilli()})
		}
		if st.State == hooks.Pending {
			list = append(list, news{laneKey{held.hook, kindOf(st.Step)}, becomesDue, st.Due.UnixMilli()})
			tell = tell || !st.Due.After(b.now)
		}
		tell = tell || held.key != ""
	}
	b.claimer.news.add(list...)
	if tell {
		b.announce()
	}
}
