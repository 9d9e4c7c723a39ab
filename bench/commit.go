package main

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"time"
)

// measureCommits measures what a durable commit costs at least: one row of
// 1 KiB, by a prepared statement, from one goroutine, in WAL mode, synchronous
// FULL.
func measureCommits(ctx context.Context, t task) (r result, err error) {
	db, err := sql.Open("sqlite3", filepath.Join(t.Dir, "commits.db")+"?_journal=WAL&_synchronous=FULL")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(ctx, "CREATE TABLE rows (id INTEGER PRIMARY KEY, body BLOB NOT NULL)"); err != nil {
		return r, err
	}
	insert, err := db.PrepareContext(ctx, "INSERT INTO rows (body) VALUES (?)")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, insert.Close()) }()
	body, took := newBody(newData()), make([]time.Duration, t.Events)
	for i := range took {
		start := time.Now()
		if _, err := insert.ExecContext(ctx, body); err != nil {
			return r, err
		}
		took[i] = time.Since(start)
		r.Took += took[i]
	}
	r.Deliveries, r.Trigger = t.Events, quantilesOf(took)
	return r, nil
}
