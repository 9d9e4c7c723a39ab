package main

import (
	"context"
	"fmt"
)

// A contender does the work in its own way: it keeps events, posts them to the
// receiver, and tells the tally of each that it has marked done.
type contender interface {
	// Store keeps n events until Start. It is called while nothing runs.
	Store(ctx context.Context, n int) error
	// Start begins to deliver, what waits and what is triggered.
	Start(ctx context.Context) error
	// Trigger takes on an event with this data, and returns when it is as safe
	// as it will be. It may be called concurrently.
	Trigger(ctx context.Context, data []byte) error
	// Stop ends what Start began. Start may be called again.
	Stop(ctx context.Context) error
	// Close frees everything, and returns how many bytes are left on the disk.
	Close(ctx context.Context) (disk int64, err error)
}

// A setting is what a contender is given.
type setting struct {
	url      string // to post to
	hooks    int    // that each event goes to, for those who have hooks
	dir      string // for files, empty
	postgres string // how to connect to an empty database
	tally    *tally
}

// An entry describes a contender.
type entry struct {
	name string
	// keeps says what outlives a crash.
	keeps string
	// configuration is printed under the tables.
	configuration string
	// backlog and triggered are rates to expect, in rates of the bare loop;
	// they decide how many events are measured.
	backlog, triggered float64
	open               func(context.Context, setting) (contender, error)
}

// The names that the plan knows.
const (
	bareLoop   = "bare loop"
	bareClient = "bare loop with http.Client"
	onFull     = "hooks on SQLite FULL"
	onNormal   = "hooks on SQLite NORMAL"
	onMemory   = "hooks on memory"
	onPostgres = "hooks on PostgreSQL"
)

// contenders are all, in the order of the tables.
var contenders = []entry{
	bareLoopEntry, bareClientEntry,
	sqliteFullEntry, sqliteNormalEntry, postgresEntry, memoryEntry,
	riverSQLiteEntry, riverPostgresEntry, backliteEntry,
	defaultGoroutinesEntry, tunedGoroutinesEntry,
}

func findContender(name string) (entry, error) {
	for _, e := range contenders {
		if e.name == name {
			return e, nil
		}
	}
	return entry{}, fmt.Errorf("there is no contender %q", name)
}

// inFlight is how many requests are under way at a time, where a contender lets
// it be chosen and does not do better with more.
const inFlight = 64
