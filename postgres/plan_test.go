package postgres_test

import (
	"context"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
)

// rowsVariable is the environment variable with the number of ended deliveries that tests
// with many rows make. There is a fifth of that due, and up to 10,000 hooks.
const rowsVariable = "HOOKS_POSTGRES_ROWS"

func manyRows(t testing.TB) int {
	text := os.Getenv(rowsVariable)
	if text == "" {
		return 100_000
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err)
	return n
}

func hookCount(rows int) int { return min(rows/20, 10_000) }

// fillStart is when the deliveries of fill were triggered, one each millisecond.
var fillStart = time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC)

// fill fills the tables as years of use would: half of the hooks are of the tenant "big", the
// others have a tenant each. It returns the number of ended deliveries.
func (d *database) fill(t testing.TB) int {
	t.Helper()
	rows := manyRows(t)
	for _, statement := range []string{
		`INSERT INTO {schema}.hooks_hooks (tenant, id, revision, version, created_at, disabled, document)
			SELECT CASE WHEN i % 2 = 0 THEN 'big' ELSE 'tenant-' || i END, 'h' || i, i, 1, {start}, false,
				'{"events":["*"],"url":"https://example.com/"}' FROM generate_series(1, {hooks}) i`,
		`UPDATE {schema}.hooks_revision SET last = {hooks}`,
		`INSERT INTO {schema}.hooks_events (n, time, triggered_at, bare, tenant, id, type, deliveries, data)
			SELECT i, {start} + i, {start} + i, false, CASE WHEN (1 + i % {hooks}) % 2 = 0 THEN 'big' ELSE 'tenant-' || (1 + i % {hooks}) END,
				'e' || i, 'order.paid', ARRAY[lpad(to_hex(i), 32, '0')::uuid], '{"n":1}' FROM generate_series(1, {rows} + {due}) i`,
		`INSERT INTO {schema}.hooks_log (id, n, event, hook, created_at, ended_at, token, started_at, duration, size, step, attempts, body_size, state,
				attempt_state, status, lacks, undecided, held, class)
			SELECT lpad(to_hex(i), 32, '0')::uuid, i, i, 1 + i % {hooks}, {start} + i, {start} + i + 5, 1, {start} + i + 1, 1000, 7, 0, 1, 7,
				CASE WHEN i % 50 = 0 THEN 5 ELSE 4 END, CASE WHEN i % 50 = 0 THEN 5 ELSE 4 END, 200, 0, false, false, CASE WHEN i % 50 = 0 THEN 'status' END
			FROM generate_series(1, {rows}) i`,
		`INSERT INTO {schema}.hooks_attempts (delivery, event, hook, started_at, duration, number, body_size, attempt_state, status, lacks, class)
			SELECT lpad(to_hex(i), 32, '0')::uuid, i, 1 + i % {hooks}, {start} + i, 1000, 1, 7, 2, 500, 0, 'status' FROM generate_series(1, {rows}, 20) i`,
		`INSERT INTO {schema}.hooks_queue (id, n, event, hook, created_at, due, queued, token, size, step, attempts, state, retry, undecided)
			SELECT lpad(to_hex(i), 32, '0')::uuid, i, i, 1 + i % {hooks}, {start} + i, {start} + i, {start} + i, 0, 7, 0, 0, 2, (i % 7 = 0)::integer, false
			FROM generate_series({rows} + 1, {rows} + {due}) i`,
		`INSERT INTO {schema}.hooks_signals (process, hooks, kinds, dues) SELECT 1, '{}', '{}', '{}' FROM generate_series(1, 10000)`,
		`SELECT setval('{schema}.hooks_sequence', {rows} * 10)`,
		`ANALYZE {schema}.hooks_hooks, {schema}.hooks_events, {schema}.hooks_log, {schema}.hooks_attempts, {schema}.hooks_queue, {schema}.hooks_signals`,
	} {
		statement = strings.NewReplacer(
			"{schema}", pgx.Identifier{d.schema}.Sanitize(), "{rows}", strconv.Itoa(rows), "{due}", strconv.Itoa(rows/5),
			"{hooks}", strconv.Itoa(hookCount(rows)), "{start}", strconv.FormatInt(fillStart.UnixMilli(), 10),
		).Replace(statement)
		_, err := d.Exec(t.Context(), statement)
		require.NoError(t, err, statement)
	}
	_, err := d.Exec(t.Context(), "VACUUM "+pgx.Identifier{d.schema, "hooks_log"}.Sanitize())
	require.NoError(t, err)
	return rows
}

// filledID is the ID of delivery i of fill.
func filledID(i int) string {
	return uuid.UUID{12: byte(i >> 24), 13: byte(i >> 16), 14: byte(i >> 8), 15: byte(i)}.String()
}

// A recorder remembers statements with their arguments.
type recorder struct {
	mu    sync.Mutex
	said  []statement
	inTx  bool
	batch bool
}

// A statement was executed, perhaps in a transaction of the store's.
type statement struct {
	sql  string
	args []any
	inTx bool
}

func (r *recorder) add(sql string, args []any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case strings.HasPrefix(sql, "begin"):
		r.inTx = true
	case sql == "commit" || sql == "rollback":
		r.inTx = false
	default:
		r.said = append(r.said, statement{sql, args, r.inTx || r.batch})
	}
}

func (r *recorder) take() []statement {
	r.mu.Lock()
	defer r.mu.Unlock()
	said := r.said
	r.said = nil
	return said
}

func (r *recorder) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	r.add(q.SQL, q.Args)
	return ctx
}

func (r *recorder) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (r *recorder) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	r.batch = true
	return ctx
}

func (r *recorder) TraceBatchQuery(_ context.Context, _ *pgx.Conn, q pgx.TraceBatchQueryData) {
	r.add(q.SQL, q.Args)
}

func (r *recorder) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) { r.batch = false }

// scans finds a plan that reads a whole table.
var scans = regexp.MustCompile(`Seq Scan on hooks_(queue|log|events|attempts|hooks|signals)\b`)

// Whatever a Manager asks, no table is read from one end to the other.
func TestEveryStatementUsesAnIndex(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	rows := d.fill(t)
	r := &recorder{}
	s := d.open(t, func(c *pgxpool.Config) { c.ConnConfig.Tracer = r })
	ctx, now := t.Context(), fillStart.Add(time.Duration(2*rows)*time.Millisecond)
	claim := func() []hooks.Claimed {
		claimed, _, err := s.Claim(ctx, hooks.ClaimRequest{Owner: "o", Now: now, Until: now.Add(time.Minute), Limit: hooks.Capacity{Deliveries: 64, Bytes: 1 << 20}})
		require.NoError(t, err)
		return claimed
	}
	settlements := func(list []hooks.Claimed, state hooks.State) (all []hooks.Settlement) {
		for _, c := range list {
			all = append(all, hooks.Settlement{
				DeliveryID: c.Delivery.ID, Token: c.Delivery.Lease.Token, State: state, Due: now.Add(time.Hour),
				Attempt: &hooks.Attempt{DeliveryID: c.Delivery.ID, Number: 3, StartedAt: now, State: state, Class: hooks.ClassStatus},
			})
		}
		return all
	}
	event := func(id, key string) hooks.Entry {
		return hooks.Entry{
			Event: &hooks.Event{ID: id, Tenant: "big", Type: "t", Time: now, OrderingKey: key},
			Deliveries: []hooks.Delivery{{
				ID: uuid.NewString(), Tenant: "big", HookID: "h2", EventID: id, OrderingKey: key, State: hooks.Pending, Due: now, CreatedAt: now,
			}},
		}
	}
	hook := hooks.Hook{ID: "new", Tenant: "big", URL: "https://example.com/", Version: 1, CreatedAt: now, UpdatedAt: now}
	logs := func(q hooks.LogQuery) func() error {
		return func() error {
			q.CountTo = 100
			_, err := s.Deliveries(ctx, q)
			if err == nil {
				_, err = s.Attempts(ctx, q)
			}
			return err
		}
	}
	middle := fillStart.Add(time.Duration(rows/2) * time.Millisecond)
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"the first claim", func() error { require.Len(t, claim(), 64); return nil }},
		{"a claim", func() error { require.Len(t, claim(), 64); return nil }},
		{"Settle", func() error {
			_, err := s.Settle(ctx, now, append(settlements(claim(), hooks.Succeeded), settlements(claim(), hooks.Pending)...))
			return err
		}},
		{"Enqueue", func() error {
			return s.Enqueue(ctx, now, []hooks.Entry{event("one", ""), event("two", "k"), event("three", "k")})
		}},
		{"Enqueue of a duplicate", func() error {
			require.ErrorIs(t, s.Enqueue(ctx, now, []hooks.Entry{event("one", "")}), hooks.ErrDuplicate)
			return nil
		}},
		{"Redeliver", func() error { _, err := s.Redeliver(ctx, now, "big", filledID(3)); return err }},
		{"Cancel", func() error { _, err := s.Cancel(ctx, now, "big", filledID(3), ""); return err }},
		{"deliveries of a tenant", logs(hooks.LogQuery{Tenant: "big"})},
		{"deliveries of a hook", logs(hooks.LogQuery{Tenant: "big", HookID: "h2"})},
		{"behind a cursor", func() error {
			q := hooks.LogQuery{Tenant: "big", PageQuery: hooks.PageQuery{Limit: 5}}
			page, err := s.Deliveries(ctx, q)
			require.NoError(t, err)
			logs, err := s.Attempts(ctx, q)
			require.NoError(t, err)
			q.After = page.Next
			_, err = s.Deliveries(ctx, q)
			require.NoError(t, err)
			q.After = logs.Next
			_, err = s.Attempts(ctx, q)
			return err
		}},
		{"dead ones", logs(hooks.LogQuery{Tenant: "big", States: []hooks.State{hooks.Dead}})},
		{"of a time", logs(hooks.LogQuery{Tenant: "big", Since: middle, Until: middle.Add(time.Second)})},
		{"of an event", logs(hooks.LogQuery{Tenant: "big", EventID: "e1"})},
		{"of a type", logs(hooks.LogQuery{Tenant: "big", HookID: "h2", EventType: "order.paid"})},
		{"by ID", logs(hooks.LogQuery{Tenant: "big", DeliveryIDs: []string{filledID(1), filledID(rows + 1)}})},
		{"Events", func() error { _, err := s.Events(ctx, "big", []string{"e1", "e2"}); return err }},
		{"Stats", func() error {
			_, err := s.Stats(ctx, "big", []string{"h2"}, middle, middle.Add(time.Second))
			return err
		}},
		{"CreateHook", func() error { return s.CreateHook(ctx, hook, 1_000_000) }},
		{"UpdateHook", func() error { return s.UpdateHook(ctx, hook) }},
		{"Hooks", func() error {
			_, err := s.Hooks(ctx, hooks.HookQuery{Tenant: "big", PageQuery: hooks.PageQuery{CountTo: 100}})
			return err
		}},
		{"HookChanges", func() error { _, err := s.HookChanges(ctx, int64(hookCount(rows)-5), 1000); return err }},
		{"DeleteHook", func() error { return s.DeleteHook(ctx, hook.Ref(), now) }},
		{"Purge", func() error {
			_, err := s.Purge(ctx, hooks.PurgeRequest{Before: fillStart.Add(500 * time.Millisecond), Limit: 100})
			return err
		}},
	} {
		r.take()
		start := time.Now()
		require.NoError(t, step.do(), step.name)
		t.Logf("%-24s %8.2f ms", step.name, time.Since(start).Seconds()*1e3)
		for _, said := range r.take() {
			d.explain(t, step.name, said)
		}
	}
}

// explain fails if the plan of a statement reads a whole table.
func (d *database) explain(t *testing.T, name string, said statement) {
	t.Helper()
	err := pgx.BeginFunc(t.Context(), d.Pool, func(tx pgx.Tx) error {
		settings := "SET LOCAL plan_cache_mode = force_custom_plan"
		if said.inTx {
			settings += "; SET LOCAL enable_seqscan = off; SET LOCAL random_page_cost = 0"
		}
		if _, err := tx.Exec(t.Context(), settings); err != nil {
			return err
		}
		rows, err := tx.Query(t.Context(), "EXPLAIN "+said.sql, said.args...)
		if err != nil {
			return err
		}
		plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
		text := strings.Join(plan, "\n")
		assert.False(t, scans.MatchString(text), "%s:\n%s\n%s", name, said.sql, text)
		return err
	})
	require.NoError(t, err, "%s: %s", name, said.sql)
}
