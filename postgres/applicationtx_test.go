package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/internal/crashtest"
	"github.com/seed-2c6e3a5a/hooks/store/storetest"
)

// The contract holds for transactions of database/sql, too.
func TestTransactionsOfDatabaseSQL(t *testing.T) {
	h := harness()
	open := h.Open
	h.Open = func(t testing.TB) hooks.Store {
		if !strings.Contains(t.Name(), "/transactions/") && !strings.Contains(t.Name(), "/identity/") {
			t.Skip("the rule is not about transactions")
		}
		return open(t)
	}
	h.Begin = func(t testing.TB, s hooks.Store) (hooks.Tx, func(bool)) {
		of := s.(tested)
		db := stdlib.OpenDBFromPool(of.db.Pool)
		tx, err := db.BeginTx(context.WithoutCancel(t.Context()), &sql.TxOptions{Isolation: sql.LevelSerializable})
		require.NoError(t, err)
		return of.SQLTx(tx), func(commit bool) {
			end := tx.Rollback
			if commit {
				end = tx.Commit
			}
			require.NoError(t, end())
			require.NoError(t, db.Close())
		}
	}
	storetest.Run(t, h)
}

func newManager(t *testing.T, s hooks.Store) *hooks.Manager {
	t.Helper()
	m, err := crashtest.NewManager(s, "", slog.New(slog.DiscardHandler), hooks.Observer{})
	require.NoError(t, err)
	return m
}

func TestTxIsRefused(t *testing.T) {
	t.Parallel()
	d, other := newDatabase(t), newDatabase(t)
	s, stranger := d.open(t), other.open(t)
	m := newManager(t, s)
	event := hooks.Event{ID: "e", Type: "order.paid"}

	for name, tx := range map[string]hooks.Tx{"pgx": s.Tx(nil), "database/sql": s.SQLTx(nil)} {
		_, err := m.TriggerTx(t.Context(), tx, event)
		var invalid *hooks.InvalidError
		require.ErrorAs(t, err, &invalid, name)
		assert.Equal(t, "tx", invalid.Field, name)
	}
	require.NoError(t, pgx.BeginFunc(t.Context(), d.Pool, func(tx pgx.Tx) error {
		_, err := m.TriggerTx(t.Context(), stranger.Tx(tx), event)
		require.ErrorIs(t, err, hooks.ErrForeignTx, "the Tx of another store")
		_, err = m.TriggerTx(t.Context(), s.Tx(tx), event)
		return err
	}))
	_, err := m.Event(t.Context(), "", "e")
	require.NoError(t, err)

	// A transaction in a database without the tables.
	_, err = d.Exec(t.Context(), "ALTER SCHEMA "+pgx.Identifier{d.schema}.Sanitize()+" RENAME TO "+pgx.Identifier{d.schema + " moved"}.Sanitize())
	require.NoError(t, err)
	require.NoError(t, pgx.BeginFunc(t.Context(), d.Pool, func(tx pgx.Tx) error {
		err := s.Tx(tx).Enqueue(t.Context(), time.Now(), []hooks.Entry{{Event: &event}})
		require.ErrorIs(t, err, hooks.ErrForeignTx)
		_, err = tx.Exec(t.Context(), "SELECT 1")
		return err
	}))
	_, err = d.Exec(t.Context(), "ALTER SCHEMA "+pgx.Identifier{d.schema + " moved"}.Sanitize()+" RENAME TO "+pgx.Identifier{d.schema}.Sanitize())
	require.NoError(t, err)
}

// Transactions that trigger events with one ordering key do not wait for each other, nor
// does anybody wait for them.
func TestTriggerTxHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	l := crashtest.NewLedger(t)
	d, s := prepare(t, l)
	m := newManager(t, s)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()

	event := func(id string) hooks.Event {
		return hooks.Event{ID: id, Type: "order.paid", Data: crashtest.Payload, OrderingKey: "k"}
	}
	var open []pgx.Tx
	for i := range 3 {
		tx, err := d.Begin(t.Context())
		require.NoError(t, err)
		_, err = m.TriggerTx(t.Context(), s.Tx(tx), event(fmt.Sprintf("tx-%d", i)))
		require.NoError(t, err)
		open = append(open, tx)
	}
	_, err := m.Trigger(t.Context(), event("alone"))
	require.NoError(t, err)
	received := func(n int) {
		t.Helper()
		l.WaitFor(t, func(_ map[string]int, events int) bool { return events == n })
	}
	received(1)
	for i, tx := range open {
		require.NoError(t, tx.Commit(t.Context()))
		m.Wake()
		received(2 + i)
	}
	stop()
	require.NoError(t, <-ended)
	l.Close()
	assert.Equal(t, []string{"alone", "tx-0", "tx-1", "tx-2"}, l.Order)
}

// Of two transactions with one event ID, the second waits for the first, as long as its
// context allows. Nobody else waits.
func TestSameEventIDInTwoTransactions(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	s := d.open(t)
	m := newManager(t, s)
	first, err := d.Begin(t.Context())
	require.NoError(t, err)
	_, err = m.TriggerTx(t.Context(), s.Tx(first), hooks.Event{ID: "e", Type: "order.paid"})
	require.NoError(t, err)

	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	var callers sync.WaitGroup
	results := make([]error, 3)
	for i := range results {
		callers.Go(func() { _, results[i] = m.Trigger(ctx, hooks.Event{ID: "e", Type: "order.paid"}) })
	}
	for i := range 50 {
		_, err := m.Trigger(t.Context(), hooks.Event{ID: fmt.Sprintf("other-%d", i), Type: "order.paid"})
		require.NoError(t, err)
	}
	callers.Wait()
	for _, err := range results {
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}
	done := make(chan error, 1)
	go func() {
		_, err := m.Trigger(t.Context(), hooks.Event{ID: "e", Type: "order.paid"})
		done <- err
	}()
	require.NoError(t, first.Commit(t.Context()))
	require.ErrorIs(t, <-done, hooks.ErrDuplicate)
}

// A rolled back transaction leaves nothing, also of a hook that it had named first.
func TestTransactionWithAnUnknownHookIsRolledBack(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	s := d.open(t)
	enqueue := func(tx hooks.Tx, event, delivery string) error {
		return tx.Enqueue(t.Context(), time.Now(), []hooks.Entry{{
			Event: &hooks.Event{ID: event, Type: "t"},
			Deliveries: []hooks.Delivery{{
				ID: delivery, HookID: "gone", EventID: event, EventType: "t", State: hooks.Pending, Due: time.Now(), CreatedAt: time.Now(),
			}},
		}})
	}
	undone := errors.New("undone")
	require.ErrorIs(t, pgx.BeginFunc(t.Context(), d.Pool, func(tx pgx.Tx) error {
		require.NoError(t, enqueue(s.Tx(tx), "one", "018df2a0-0000-7000-8000-000000000001"))
		return undone
	}), undone)
	require.NoError(t, enqueue(s, "two", "018df2a0-0000-7000-8000-000000000002"))
	claimed, _, err := s.Claim(t.Context(), hooks.ClaimRequest{
		Owner: "m", Now: time.Now().Add(time.Second), Until: time.Now().Add(time.Minute), Limit: hooks.Capacity{Deliveries: 10},
	})
	require.NoError(t, err)
	require.Len(t, claimed, 1)
	assert.Equal(t, "two", claimed[0].Event.ID)
}
