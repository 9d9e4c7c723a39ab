// Package postgres keeps hooks, events, deliveries and attempts in a PostgreSQL database, for
// applications that run as several processes, on one machine or on many. It needs
// PostgreSQL 14 or later, and no extension.
//
//	pool, err := pgxpool.New(ctx, "postgres://…")
//	err = postgres.Migrate(ctx, pool, "")
//	store, err := postgres.New(ctx, pool, postgres.Options{})
//	manager, err := hooks.New(store, hooks.Config{})
//
// Every process runs a Manager of its own. They share the work: a delivery is leased to one
// of them at a time, and if that one dies, another takes the delivery over when the lease
// has ended. A process finds what others have written at once (LISTEN and NOTIFY), and at
// the latest when its Manager polls.
//
// # What the database is asked to promise
//
// What was acknowledged is committed. With the default settings of PostgreSQL
// (fsync and synchronous_commit on) it outlives a crash of the server. After a failover to a
// replica that lags behind, the last events may be missing, unless the replication is
// synchronous.
//
// If the connection is lost while a transaction commits, nobody knows whether it was
// committed. Then Trigger returns an error, although the event may be stored. Trigger it
// again with the same ID: the result is either success or [hooks.ErrDuplicate].
//
// # What differs from other stores
//
// Turns are even for each process, and not over all of them together. A process finds the
// end of another process's lease up to a second late. If a process dies in the middle of a
// claim, the deliveries that others skipped meanwhile are found within a minute. A deleted
// hook leaves a row with its name. A delivery with an ordering key that was recorded
// with TriggerTx is blocked until a Manager has looked at it.
package postgres
