package main

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
)

var riverPostgresEntry = entry{
	name: "River on PostgreSQL", keeps: "all", backlog: 0.3, triggered: 0.08,
	configuration: riverConfiguration + ". A pool of 32 connections to a server on the same machine, which has its default configuration. The server's processor time is told after the sender's, its memory is not counted; on disk are the table and its indexes, before any vacuum.",
	open:          openRiverPostgres,
}

func openRiverPostgres(ctx context.Context, s setting) (contender, error) {
	config, err := pgxpool.ParseConfig(s.postgres)
	if err != nil {
		return nil, err
	}
	config.MaxConns = 32
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	if _, err := pool.Exec(ctx, "DROP SCHEMA public CASCADE; CREATE SCHEMA public"); err != nil {
		return nil, err
	}
	return newRiverQueue(ctx, s, riverpgxv5.New(pool), func(ctx context.Context) (size int64, err error) {
		defer pool.Close()
		return size, pool.QueryRow(ctx, "SELECT pg_total_relation_size('river_job')").Scan(&size)
	})
}
