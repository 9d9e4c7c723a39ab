package sqlite

import "time"

// WriterStats counts what a Store has written. Nothing in it ever decreases, so the difference
// between two of them says what has happened in between. If Busy grows nearly as fast as time
// does, the file limits how fast events are stored and delivered.
type WriterStats struct {
	// Transactions is how many were committed.
	Transactions int64
	// Operations is how many calls of the Store they have served. Calls that are made at
	// the same time share a transaction.
	Operations int64
	// Unsynced is how many of the transactions did not wait for the disk: those of nothing
	// but claims and results of deliveries, those that wrote nothing and, with [Normal],
	// all of them.
	Unsynced int64
	// Busy is how long the transactions have taken together, and Commits how much of that
	// their commits have taken, which write to the disk and wait for it.
	Busy, Commits time.Duration
}
