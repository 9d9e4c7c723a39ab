package postgres_test

import (
	"context"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/internal/crashtest"
	"github.com/seed-2c6e3a5a/hooks/internal/pgtest"
	"github.com/seed-2c6e3a5a/hooks/postgres"
)

// loadVariable is the environment variable with how long BenchmarkSteadyLoad goes on, such as
// 3m.
const loadVariable = "HOOKS_POSTGRES_LOAD"

func loadTime(b *testing.B) time.Duration {
	text := os.Getenv(loadVariable)
	if text == "" {
		return 3 * time.Second
	}
	d, err := time.ParseDuration(text)
	require.NoError(b, err)
	return d
}

// BenchmarkSteadyLoad puts 2,000 deliveries a second through a store, of 20 hooks, and keeps the
// last 20,000. It reports how long a claim takes at the beginning and in the end (medians of
// a tenth of the time), how much is due in the end, and the size of the tables after a third,
// after two, and in the end: alone; while another transaction is open all the time; and while
// nobody reads a replication slot.
func BenchmarkSteadyLoad(b *testing.B) {
	for name, disturb := range map[string]func(*testing.B, *database){
		"alone":            func(*testing.B, *database) {},
		"open transaction": openTransaction,
		"unread slot": func(b *testing.B, d *database) {
			_, err := d.Exec(b.Context(), "SELECT pg_create_logical_replication_slot('unread', 'pgoutput')")
			require.NoError(b, err)
		},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				d := &database{url: pgtest.New(b, "wal_level=logical").URL(), schema: "hooks"}
				d.Pool = d.connect(b)
				require.NoError(b, postgres.Migrate(b.Context(), d.Pool, d.schema))
				l := &steadyLoad{B: b, db: d, store: d.open(b)}
				l.run(loadTime(b) / 10)
				disturb(b, d)
				l.claims = nil
				var sizes [3]float64
				for i := range sizes {
					l.run(loadTime(b) / 3)
					sizes[i] = float64(d.size(b)) / (1 << 20)
				}
				tenth := len(l.claims) / 10
				b.ReportMetric(median(l.claims[:tenth]).Seconds()*1e3, "ms/claim-at-first")
				b.ReportMetric(median(l.claims[len(l.claims)-tenth:]).Seconds()*1e3, "ms/claim-in-the-end")
				b.ReportMetric(float64(l.waiting()), "due-in-the-end")
				b.ReportMetric(sizes[0], "MiB-after-a-third")
				b.ReportMetric(sizes[1], "MiB-after-two")
				b.ReportMetric(sizes[2], "MiB-in-the-end")
			}
		})
	}
}

// openTransaction opens a transaction that sees what is there now, until the benchmark ends.
func openTransaction(b *testing.B, d *database) {
	tx, err := d.BeginTx(b.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	require.NoError(b, err)
	var n int
	require.NoError(b, tx.QueryRow(b.Context(), "SELECT count(*) FROM pg_class").Scan(&n))
	b.Cleanup(func() { _ = tx.Rollback(context.Background()) })
}

// size is the size of the tables with their indexes.
func (d *database) size(b *testing.B) (size int64) {
	b.Helper()
	err := d.QueryRow(b.Context(), "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND relnamespace = $1::regnamespace", d.schema).Scan(&size)
	require.NoError(b, err)
	return size
}

// A steadyLoad enqueues, claims and settles.
type steadyLoad struct {
	*testing.B
	db     *database
	store  *postgres.Store
	events int
	claims []time.Duration
	ended  []time.Time // when each thousand had ended
}

// run runs the load for so long.
func (l *steadyLoad) run(lasts time.Duration) {
	const batch, each = 20, 10 * time.Millisecond
	start := time.Now()
	ticker := time.NewTicker(each)
	defer ticker.Stop()
	for time.Since(start) < lasts {
		<-ticker.C
		now := time.Now().UTC().Truncate(time.Millisecond)
		require.NoError(l, l.store.Enqueue(l.Context(), now, l.entries(now, batch)))
		began := time.Now()
		claimed, _, err := l.store.Claim(l.Context(), hooks.ClaimRequest{Owner: "o", Now: now, Until: now.Add(time.Minute), Limit: hooks.Capacity{Deliveries: 64}})
		l.claims = append(l.claims, time.Since(began))
		require.NoError(l, err)
		l.settle(now, claimed)
		if l.events%1000 == 0 {
			l.purge(now)
		}
	}
}

func (l *steadyLoad) entries(now time.Time, n int) []hooks.Entry {
	list := make([]hooks.Entry, n)
	for i := range list {
		l.events++
		e := &hooks.Event{ID: uuid.NewString(), Type: "order.paid", Time: now, Data: crashtest.Payload}
		list[i] = hooks.Entry{Event: e, Deliveries: []hooks.Delivery{{
			ID: uuid.Must(uuid.NewV7()).String(), HookID: string('a' + rune(l.events%20)), EventID: e.ID, State: hooks.Pending, Due: now, CreatedAt: now,
		}}}
	}
	return list
}

func (l *steadyLoad) settle(now time.Time, claimed []hooks.Claimed) {
	list := make([]hooks.Settlement, len(claimed))
	for i, c := range claimed {
		list[i] = hooks.Settlement{
			DeliveryID: c.Delivery.ID, Token: c.Delivery.Lease.Token, State: hooks.Succeeded,
			Attempt: &hooks.Attempt{DeliveryID: c.Delivery.ID, Number: 1, StartedAt: now, State: hooks.Succeeded, Response: hooks.AttemptResponse{Status: 200}},
		}
	}
	_, err := l.store.Settle(l.Context(), now, list)
	require.NoError(l, err)
}

// purge keeps the last 20,000 deliveries.
func (l *steadyLoad) purge(now time.Time) {
	const kept = 20
	l.ended = append(l.ended, now)
	if len(l.ended) > kept {
		_, err := l.store.Purge(l.Context(), hooks.PurgeRequest{Before: l.ended[len(l.ended)-1-kept], Limit: 2000})
		require.NoError(l, err)
	}
}

// waiting is how many deliveries have not ended.
func (l *steadyLoad) waiting() int {
	inventory, err := l.store.Inventory(l.Context())
	require.NoError(l, err)
	return inventory.Deliveries[hooks.Pending] + inventory.Deliveries[hooks.Leased]
}

func median(list []time.Duration) time.Duration {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}
