package main

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/seed-2c6e3a5a/hooks/postgres"
)

// onServer describes the server of those who need one.
const onServer = "A pool of 32 connections to a server on the same machine, which has its default configuration. The server's processor time is told after the sender's, its memory is not counted; on disk are the tables and their indexes, before any vacuum."

var postgresEntry = entry{
	name: onPostgres, keeps: "all", backlog: 0.35, triggered: 0.2,
	configuration: hooksConfiguration + ". " + onServer,
	open:          openPostgres,
}

func openPostgres(ctx context.Context, s setting) (contender, error) {
	store, pool, err := emptyPostgres(ctx, s.postgres)
	if err != nil {
		return nil, err
	}
	e, err := newEngine(ctx, s, store, nil)
	if err != nil {
		return nil, err
	}
	e.close = func(ctx context.Context) (size int64, err error) {
		defer pool.Close()
		if err := store.Close(); err != nil {
			return 0, err
		}
		return size, pool.QueryRow(ctx, "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND relname LIKE 'hooks\\_%'").Scan(&size)
	}
	return e, nil
}

// emptyPostgres returns a store over a database that it empties.
func emptyPostgres(ctx context.Context, dsn string) (*postgres.Store, *pgxpool.Pool, error) {
	pool, err := emptyDatabase(ctx, dsn)
	if err != nil {
		return nil, nil, err
	}
	if err := postgres.Migrate(ctx, pool, ""); err != nil {
		return nil, nil, err
	}
	store, err := postgres.New(ctx, pool, postgres.Options{})
	return store, pool, err
}

// emptyDatabase returns a pool of connections to the server, whose database it empties.
func emptyDatabase(ctx context.Context, dsn string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	config.MaxConns = 32
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	_, err = pool.Exec(ctx, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
	return pool, err
}
