package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"log"
	"os"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/postgres"
)

// Each process of the application does this. The examples need a server, so they are
// compiled and not run.
func ExampleNew() { //nolint:testableexamples // It needs a server.
	ctx := context.Background()

	pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL")) // with sslmode=verify-full
	if err != nil {
		log.Fatal(err)
	}
	if err := postgres.Migrate(ctx, pool, ""); err != nil {
		log.Fatal(err)
	}
	store, err := postgres.New(ctx, pool, postgres.Options{})
	if err != nil {
		log.Fatal(err)
	}
	m, err := hooks.New(store, hooks.Config{})
	if err != nil {
		log.Fatal(err)
	}

	err = m.Run(ctx) // until ctx ends
	err = errors.Join(err, store.Close())
	pool.Close()
	if err != nil {
		log.Fatal(err)
	}
}

// The application has its tables in the same database.
func ExampleStore_Tx() { //nolint:testableexamples // It needs a server.
	var ( // as in the example of New
		pool  *pgxpool.Pool
		store *postgres.Store
		m     *hooks.Manager
	)
	place := func(ctx context.Context, order string) error {
		tx, err := pool.Begin(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // does nothing after a commit
		if _, err := tx.Exec(ctx, "INSERT INTO orders (id) VALUES ($1)", order); err != nil {
			return err
		}
		if _, err := m.TriggerTx(ctx, store.Tx(tx), hooks.Event{ID: order + "-paid", Type: "order.paid"}); err != nil {
			return err
		}
		if err := tx.Commit(ctx); err != nil {
			return err
		}
		m.Wake() // or the next poll finds it, see Config.PollInterval
		return nil
	}
	if err := place(context.Background(), "order-1"); err != nil {
		log.Fatal(err)
	}
}

// The driver of database/sql must be that of pgx.
func ExampleStore_SQLTx() { //nolint:testableexamples // It needs a server.
	var (
		db    *sql.DB // of stdlib.OpenDBFromPool, or of sql.Open("pgx", …)
		store *postgres.Store
		m     *hooks.Manager
	)
	place := func(ctx context.Context, order string) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }() // does nothing after a commit
		if _, err := tx.ExecContext(ctx, "INSERT INTO orders (id) VALUES ($1)", order); err != nil {
			return err
		}
		if _, err := m.TriggerTx(ctx, store.SQLTx(tx), hooks.Event{ID: order + "-paid", Type: "order.paid"}); err != nil {
			return err
		}
		if err := tx.Commit(); err != nil {
			return err
		}
		m.Wake()
		return nil
	}
	if err := place(context.Background(), "order-1"); err != nil {
		log.Fatal(err)
	}
}
