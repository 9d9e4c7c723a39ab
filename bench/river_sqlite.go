package main

import (
	"context"
	"database/sql"
	"path/filepath"

	"github.com/riverqueue/river/riverdriver/riversqlite"
)

var riverSQLiteEntry = entry{
	name: "River on SQLite", keeps: "all", backlog: 0.1, triggered: 0.06,
	configuration: riverConfiguration + ". One connection, as its documentation advises; WAL, synchronous FULL, and `mattn/go-sqlite3`, with which it is quicker than with `modernc.org/sqlite`.",
	open: func(ctx context.Context, s setting) (contender, error) {
		db, err := sql.Open("sqlite3", filepath.Join(s.dir, "river.db")+"?_journal=WAL&_synchronous=FULL&_timeout=5000")
		if err != nil {
			return nil, err
		}
		db.SetMaxOpenConns(1)
		return newRiverQueue(ctx, s, riversqlite.New(db), func(context.Context) (int64, error) {
			if err := db.Close(); err != nil {
				return 0, err
			}
			return sizeOf(s.dir)
		})
	},
}
