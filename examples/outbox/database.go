package main

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/postgres"
	"github.com/seed-2c6e3a5a/hooks/sqlite"
)

// A database has the shop's handle and the library's store.
type database struct {
	*sql.DB
	store hooks.Store
	// tx makes of the shop's transaction one for the store.
	tx    func(*sql.Tx) hooks.Tx
	close func() error
}

// openSQLite makes a file. The shop and the library have a handle each to it.
func openSQLite(ctx context.Context) (*database, error) {
	dir, err := os.MkdirTemp("", "outbox")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "shop.db")
	db, err := sqlite.OpenDB(ctx, file)
	if err != nil {
		return nil, err
	}
	store, err := sqlite.Open(ctx, file, sqlite.Options{})
	if err != nil {
		return nil, err
	}
	return &database{
		DB: db, store: store,
		tx:    func(tx *sql.Tx) hooks.Tx { return store.Tx(tx) },
		close: func() error { return errors.Join(store.Close(), db.Close(), os.RemoveAll(dir)) },
	}, nil
}

// openPostgres connects to a database. The shop and the library share a pool.
func openPostgres(ctx context.Context, url string) (*database, error) {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return nil, err
	}
	if err := postgres.Migrate(ctx, pool, ""); err != nil {
		pool.Close()
		return nil, err
	}
	store, err := postgres.New(ctx, pool, postgres.Options{})
	if err != nil {
		pool.Close()
		return nil, err
	}
	db := stdlib.OpenDBFromPool(pool)
	return &database{
		DB: db, store: store, tx: store.SQLTx,
		close: func() error {
			defer pool.Close()
			return errors.Join(store.Close(), db.Close())
		},
	}, nil
}
