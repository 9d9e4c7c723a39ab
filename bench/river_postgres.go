package main

import (
	"context"

	"github.com/riverqueue/river/riverdriver/riverpgxv5"
)

var riverPostgresEntry = entry{
	name: "River on PostgreSQL", keeps: "all", backlog: 0.3, triggered: 0.08,
	configuration: riverConfiguration + ". " + onServer,
	open:          openRiverPostgres,
}

func openRiverPostgres(ctx context.Context, s setting) (contender, error) {
	pool, err := emptyDatabase(ctx, s.postgres)
	if err != nil {
		return nil, err
	}
	return newRiverQueue(ctx, s, riverpgxv5.New(pool), func(ctx context.Context) (size int64, err error) {
		defer pool.Close()
		return size, pool.QueryRow(ctx, "SELECT pg_total_relation_size('river_job')").Scan(&size)
	})
}
