// Package store is for those who write a backend for hooks: it explains in
// prose what the comments of [hooks.Store] lay down sentence by sentence. Where
// the two differ, the comments are right. Package storetest checks a backend
// against them.
//
// A store is simple on purpose. It knows nothing of URLs, schedules or
// signatures; it keeps rows, returns those that are due, and stores what became of
// them. All policy is the Manager's, and reaches the store as plain values: when
// the next attempt is due, whether a key is held, until when a hook is throttled.
//
// # The life of a delivery
//
// [hooks.Tx].Enqueue stores an event once and its deliveries beside it. A
// delivery is then in one of six states:
//
//	blocked    waits for an earlier one of its ordering key
//	pending    waits for its Due, or to be claimed
//	leased     belongs to one Manager, until Lease.Until
//	succeeded  }
//	dead       } has ended, at EndedAt
//	cancelled  }
//
// Claim leads from pending to leased, and from leased to leased when the lease
// has ended. Settle leads from leased to pending (another attempt follows) or
// to an end. Cancel leads from blocked, pending and held to cancelled,
// Redeliver from an end back to pending, or to blocked if the key is in use.
// Every other step is refused: by Settle with [hooks.Settled].LeaseLost for that
// settlement alone, by Redeliver and Cancel with [hooks.ErrConflict].
//
// Some fields belong to states. Lease.Owner and Lease.Until are empty unless
// the delivery is leased; EndedAt is zero unless it has ended; Due is zero once
// it has. Due of a blocked delivery means nothing yet, because a release
// overwrites it, and Step of an ended one means nothing any more. Attempts and
// Lease.Token never decrease, not even when a delivery is redelivered.
//
// A Manager that records events while it has free workers stores their
// deliveries as leased from the start, with Token 1, and sends them without a
// claim. If it then crashes they are claimed like any other whose lease has
// ended.
//
// A delivery does not need its hook. Hooks are deleted while deliveries wait,
// and an Enqueue that is under way at that moment must not fail: such
// deliveries are stored, claimed and settled as usual, and stay in the log. So
// a foreign key from deliveries to hooks would be wrong.
//
// # Attempts and their responses
//
// An endpoint chooses how long its responses are, and a delivery may be retried a
// hundred times and redelivered without end. So the log keeps the responses to few
// of the attempts of a delivery: when Settle stores attempt n, it drops header and
// body of the response to attempt n-1, unless [KeepsResponse] keeps it, and marks
// it as dropped. That costs the first attempt nothing, and each later one an update
// of one row at most.
//
// # Leases and tokens
//
// No transaction stays open while a request is on its way. Claim writes owner,
// token and end into the row and returns. The token is the fence: each claim
// adds one to it, and Settle applies only if the row is leased with exactly the
// token that the settlement carries. A Manager that was slow or cut off
// therefore cannot overwrite what its successor did; its settlement changes
// neither the delivery nor the log nor the hook's health.
//
// The clock does not end a lease, the next claim does. A settlement that comes
// after Lease.Until is accepted like any other, unless the delivery has been
// claimed since. To a claim, a lease has ended when its Until is not after now.
//
// # Turns
//
// Claims are fair to tenants first, and within a tenant to the lanes of its
// hooks. The deliveries of one hook that wait for their first attempt (Step 0)
// are a lane, its retries a second one. So a tenant with ten thousand hooks gets
// what a tenant with one gets, an endpoint that hangs with a million deliveries
// waiting gets its share and no more, and new deliveries do not starve behind
// retries.
//
// One way to do it is a round robin. The tenants that have something due are in a
// queue, and the lanes of each tenant that have something due are in a queue of the
// tenant. A claim takes one delivery from the first lane of the first tenant, moves
// the lane to the end of the tenant's queue and the tenant to the end of the tenants'
// queue, and goes on until the claim's Limit is used up or no delivery is left. It
// skips what has no capacity, and hooks that are throttled; these keep their place.
// The next claim goes on where the last one ended. A lane that has become due, and a
// tenant that had none, join at the end.
//
// Any other way to the same result is allowed: of two tenants, or of two lanes of a
// tenant, that have something due and capacity for it, neither gets two deliveries
// before the other gets one, however claims and their limits fall. Where several
// have become due since the last claim, their order among each other is free.
// Within its lane a delivery goes by its Due, or by the end of its lease if it is
// leased, and by the order of the triggers where these are equal.
//
// # Capacity
//
// A claim says how much the Manager has capacity for: in all (Limit), for each
// tenant (PerTenant, Tenants) and for each hook (PerHook, Hooks), in deliveries
// and, except for hooks, in bytes of their events' data. An event counts for each of
// its deliveries. Bytes bound what is read, so read event after event and stop
// when the capacity is used up. That is as soon as the bytes are reached, and the
// last event may exceed them. Otherwise an event that is larger than the capacity
// would never be delivered.
//
// As long as Limit has capacity left, a claim must not skip a delivery that it may
// return. The Manager relies on that: after such a claim it waits for next, for a
// wake, or for its poll.
//
// The cost must not grow with the backlog, nor with the number of hooks and
// tenants that have one, nor with what waits for those without capacity; a claim may
// skip those that it names as full one by one. A table of lanes with their earliest
// due time and their turn, and one of tenants with theirs, make that possible. A scan
// over all due deliveries in the order of Due does not, nor does one over all lanes
// in the order of their turns: the tenant with ten thousand hooks would have most of
// them.
//
// # Ordering keys
//
// Of the deliveries of one hook and one ordering key at most one is pending,
// leased or held at a time. The others are blocked, so that a claim need not
// look for predecessors. Enqueue decides which: a delivery with a key is stored
// as blocked when the same hook and key has another that is blocked, pending,
// leased or held, and as pending otherwise. Whenever the one in front ends
// without hold, or is cancelled, the blocked one that was triggered first
// becomes pending, due now. A retry, a lost lease or the end of a lease
// releases nothing.
//
// Triggered first means enqueued first. Neither CreatedAt nor the IDs show that,
// because many events fall into one millisecond. A store needs a sequence of its own.
//
// A dead delivery that is settled with Hold stays in front of its key, with
// Held set, until it is redelivered (then it is pending again, and the others
// go on waiting) or cancelled (then the next becomes pending). Its EndedAt is
// then the time of the cancellation. Other ended deliveries may be redelivered while
// their key is in use: they become blocked, and have their turn by the order of
// the triggers, ahead of those that came after them.
//
// The race to get right is that of Enqueue against Settle. If one looks for
// something to wait for while the other looks for something to release, and
// neither sees the other, a delivery is blocked for ever. Lock the hook and key
// in both, or have one writer.
//
// # Time
//
// The store has no clock. Every method that needs the time is given it, so that
// all stores agree and tests run on virtual time; a now() in the SQL of a store
// is a mistake. Times are UTC in whole milliseconds. The zero time is stored as
// what it is, no time; it is not 1 January 1970, which is a time like any
// other. Durations are kept to the nanosecond.
//
// # Tenants
//
// The key of a hook is its tenant and ID, the key of an event likewise. The
// same ID in two tenants names two things. A method that takes a tenant behaves
// as if the others did not exist: it returns [hooks.ErrNotFound] for what is
// theirs, not [hooks.ErrConflict]. Strings are compared byte by byte, so mind
// collations, and the empty tenant is a tenant like any other.
//
// Claim, Settle, HookChanges and Purge serve all tenants at once. The names of
// deliveries are unique among all.
//
// # Revisions
//
// Managers keep the hooks in memory and follow HookChanges from the revision
// that they saw last. That only works if nothing appears later below a revision
// that has been returned. A sequence that is drawn before the commit breaks
// this, because transactions commit in another order than they draw. Either let one
// writer at a time draw revisions, or return nothing above the lowest revision that
// is not committed yet. Revisions go on rising after deletions, purges and restarts.
//
// Health has no revisions. It changes with every settlement, and only Settle
// and the enabling of a hook change it; UpdateHook must therefore not write
// back the Health that it was given, or it undoes a settlement.
//
// # Pages
//
// Lists are ordered by time and ID, and by the Number for attempts. A
// [hooks.Cursor] is the place behind an element, not the element: it stays valid
// when that has been removed, and when others have come in before it. For hooks
// and deliveries it has the time and ID of the last element; a store may put into
// the ID for attempts what it likes, but must sort Number 10 behind 9. A page has a
// Next only if another element follows, so read one more than PageSize.
//
// # What belongs into one transaction
//
// Each call is one: it writes everything or, if it returns an error or its
// context ends first, nothing.
//
//   - CreateHook, UpdateHook, DeleteHook: the row and its revision. The check
//     of the version, or the count of the tenant's hooks, and the write are one
//     step.
//   - Enqueue: all events, all deliveries, the check for duplicates, and the
//     blocking. In a transaction of the application it is refused as a whole too,
//     and leaves the transaction usable: a savepoint, or a check beforehand.
//   - Claim: choosing the deliveries and leasing them, so that no two claims
//     return the same.
//   - Settle: for each settlement, the state, the attempt, the hook's health and
//     the release of the next of the key. A lost lease is the result of one
//     settlement, not an error of the call; the others are written.
//   - Redeliver, Cancel: the state, and the blocking or the release.
//   - Purge: each delivery with its attempts and, if that goes too, its event. The
//     limit makes a large purge many short transactions. Whether attempts and
//     events that go with a delivery count as rows is the store's choice, as long as
//     the result stays within the limit. A Manager purges each minute, so the cost
//     of a purge with nothing to remove should not grow with the logs, also not for
//     KeepPerHook: that is why a store may wait until there is an eighth more.
//
// # What outlives what
//
// What a method has written outlives the process as soon as the method returns, whatever
// kills that: the disk need not have it, but the operating system must. What Enqueue and
// the methods that people call have written outlives a loss of power as well, if the store
// promises that at all. Claims and settlements need not: a store may let the disk have
// them with whatever it writes next, but not later than a second. It must not be able to
// lose a claim and keep the settlement of that claim, nor keep what was written after
// something that is lost.
//
// # Optional abilities
//
// A store that can report when it has been written to, by whichever process,
// implements [hooks.Notifier]. It saves polls; nothing depends on it. The
// function to call returns at once and does not call the store. A store in a
// database that applications use too offers a method that makes a [hooks.Tx] of
// their transaction, for [hooks.Manager.TriggerTx]. One that can be copied implements
// [Copyable].
//
// # The identity
//
// StoreID names the database, not the store: keep a random ID in it, made with
// the tables, and read it when the store is opened. A Manager compares it with
// that of the transaction that it is given, because nobody delivers an event that is
// recorded in another database. Enqueue checks what the store can only see inside the
// transaction: that its database has the tables, and the same ID.
//
// # Copying
//
// [Copy] moves all data to another store, while no Manager runs on either. It reads records
// with Export and writes them with Import, in batches, and finally compares what both stores
// count with Inventory. A record is a hook, an event, or a delivery with its attempts. So no
// record is large, although an event may have ten thousand deliveries.
//
// Export is best made of one transaction that reads a snapshot, and of queries in the order of
// the sequence that ordering keys need anyway. Hooks come in the order of their revisions.
//
// Import is not Enqueue. It writes rows as they are: a delivery keeps its state, Due, Step,
// lease, EndedAt and so on, and nothing is blocked, released or dropped. What the store
// derives from the rows it has to derive here too: the next of the sequence, a new revision
// for each hook, the lanes of what is pending, the index of the log, and sums that it keeps. It
// must not take for granted that what it is given is newer than what it has: deliveries come in
// the order of the triggers, not in that in which they ended, and a delivery that is blocked
// may come before the one that it waits for.
//
// A copy that failed begins again with the first record. So most of what Import is given may be
// there already: INSERT … ON CONFLICT DO NOTHING, by the tenant and ID of hooks and events and
// by the ID of deliveries. Attempts need no check of their own, because they are always stored in
// the transaction that stores their delivery. The event of a delivery may have come in an
// earlier call.
//
// # Running the suite
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, storetest.Harness{Open: open, Reopen: reopen})
//	}
//
//	func BenchmarkStore(b *testing.B) {
//		storetest.Bench(b, storetest.Harness{Open: open})
//	}
//
// Every rule gets a store of its own and runs in parallel with the others, in a
// bubble of virtual time if [testing/synctest.Test] is the harness's Around.
// When a rule fails, the suite prints the sentence of the contract that it checks,
// and for the random walks the seed and a journal of all steps. The suite calls the
// store as a Manager would, but does not crash it: kill a process in tests of your
// own.
package store

import "github.com/seed-2c6e3a5a/hooks"

// Store is what a backend implements.
type Store = hooks.Store
