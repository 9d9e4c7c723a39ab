// Package store is for those who write a backend for hooks: it explains in
// prose what the comments of [hooks.Store] lay down sentence by sentence. Where
// the two differ, the comments are right. Package storetest checks a backend
// against them.
//
// A store is dumb on purpose. It knows nothing of URLs, schedules or
// signatures; it keeps rows, hands out those that are due, and takes back what
// became of them. All policy is the Manager's, and reaches the store as plain
// values: when the next attempt is due, whether a key is held, until when an
// endpoint wants to be left alone.
//
// # The life of a delivery
//
// [hooks.Tx].Enqueue stores an event once and its deliveries beside it. A
// delivery is then in one of six states:
//
//	blocked    waits for an earlier one of its ordering key
//	pending    waits for its Due, or to be claimed
//	leased     is held by one Manager, until Lease.Until
//	succeeded  }
//	dead       } has ended, at EndedAt
//	cancelled  }
//
// Claim leads from pending to leased, and from leased to leased when the lease
// has run out. Settle leads from leased to pending (another attempt follows) or
// to an end. Cancel leads from blocked, pending and held to cancelled,
// Redeliver from an end back to pending, or to blocked if the key is in use.
// Every other step is refused: by Settle with [hooks.ErrLeaseLost] for that
// settlement alone, by Redeliver and Cancel with [hooks.ErrConflict].
//
// Some fields belong to states. Lease.Owner and Lease.Until are empty unless
// the delivery is leased; EndedAt is zero unless it has ended; Due is zero once
// it has. Due of a blocked delivery means nothing yet, for a release overwrites
// it, and Step of an ended one means nothing any more. Attempts and Lease.Token
// never go back, not even when a delivery is redelivered.
//
// A Manager that records events while it has workers free stores their
// deliveries as leased from the start, with Token 1, and sends them without
// asking for them. If it then crashes they are claimed like any other whose
// lease has run out.
//
// A delivery does not need its hook. Hooks are deleted while deliveries wait,
// and an Enqueue that is under way at that moment must not fail: such
// deliveries are stored, claimed and settled as usual, and stay in the log. So
// a foreign key from deliveries to hooks would be wrong.
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
// after Lease.Until, when nobody has taken the delivery in between, is as good
// as any. To the claim, a lease is over when its Until is not after now: at the
// very millisecond.
//
// # Lanes
//
// The deliveries of one hook that wait for their first attempt (Step 0) are a
// lane, its retries a second one. Lanes are what a claim is fair to: an
// endpoint that hangs with a million deliveries behind it gets its share and no
// more, and new deliveries do not starve behind retries.
//
// Picture the lanes that have something due standing in a line. A claim takes
// one delivery from the first, sends it to the end of the line, and goes on
// until it has Limit deliveries or nobody left to ask. It passes over hooks
// that are throttled, and those of which it has PerHook or Room deliveries. A
// lane that becomes due joins at the end of the line. Any way to the same
// result will do: each of the lanes gets as much of a claim as the others, give
// or take one and as far as it has anything, and none has a second turn in a
// later claim before all that stood in line with it have had theirs. Within its
// lane a delivery goes by its Due, or by the end of its lease if it is leased,
// and by the order of the triggers where these are equal.
//
// A claim that returns fewer than Limit deliveries has left none behind that it
// was allowed to take. The Manager relies on that: it then waits for next, for
// a wake, or for its poll.
//
// The cost must not grow with the backlog, nor with what hooks without room
// have waiting. A table of lanes with their earliest due time and their turn
// does it, or an index that is led by the lane; a scan over all due deliveries
// in the order of Due does not.
//
// # Ordering keys
//
// Of the deliveries of one hook and one ordering key at most one is pending,
// leased or held at a time. The others are blocked, so that a claim needs no
// look at predecessors. Enqueue decides which: a delivery with a key is stored
// as blocked when the same hook and key has another that is blocked, pending,
// leased or held, and as pending otherwise. Whenever the one in front ends
// without hold, or is cancelled, the blocked one that was triggered first
// becomes pending, due now. A retry, a lost lease or the end of a lease
// releases nothing.
//
// Triggered first means enqueued first. Neither CreatedAt nor the IDs tell:
// many events fall into one millisecond. A store needs a sequence of its own.
//
// A dead delivery that is settled with Hold stays in front of its key, with
// Held set, until it is redelivered (then it is pending again, and the others
// go on waiting) or cancelled (then the next goes). Its EndedAt is then the
// time of the cancellation. Other ended deliveries may be redelivered while
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
// collations, and the empty tenant is one like any other.
//
// Claim, Settle, HookChanges and Purge serve all tenants at once. The names of
// deliveries are unique among all.
//
// # Revisions
//
// Managers keep the hooks in memory and follow HookChanges from the revision
// that they saw last. That only works if nothing appears later below a revision
// that has been returned. A sequence that is drawn before the commit breaks
// this, for transactions commit in another order than they draw: either let one
// writer at a time draw revisions, or hold back what is above the lowest
// revision that is still under way. Revisions go on rising after deletions,
// purges and restarts.
//
// Health is not part of it. It changes with every settlement, and only Settle
// and the enabling of a hook change it; UpdateHook must therefore not write
// back the Health that it was given, or it undoes a settlement.
//
// # Pages
//
// Lists are ordered by time and ID, and by the Number for attempts. A
// [hooks.Cursor] is the place behind an element, not the element: it stays good
// when that has been removed, and when others have come in before it. For hooks
// and deliveries it holds the time and ID of the last element; what a store
// puts into the ID for attempts is its own business, but has to sort Number 10
// behind 9. A page has a Next only if another element follows, so ask for one
// more than Limit.
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
//     blocking. In a transaction of the host's it is refused as a whole too,
//     and leaves the transaction usable: a savepoint, or a check beforehand.
//   - Claim: choosing the deliveries and leasing them, so that no two claims
//     return the same.
//   - Settle: for each settlement, the state, the attempt, the hook's health and
//     the release of the next of the key. A lost lease is the answer to one
//     settlement, not an error of the call; the others are written.
//   - Redeliver, Cancel: the state, and the blocking or the release.
//   - Purge: each delivery with its attempts. The limit is there so that a large
//     purge is many short transactions. Whether the attempts count as rows is
//     the store's choice, as long as the result stays within the limit.
//
// # Optional abilities
//
// A store that can tell when it has been written to, by whichever process,
// implements [hooks.Notifier]. It saves polls; nothing depends on it. The
// function to call returns at once and does not call the store back. One that
// lives in a database that hosts use too offers a function from their
// transaction to a [hooks.Tx], for [hooks.Manager.TriggerTx].
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
// When a rule fails, the sentence of the contract that it stands for is
// printed, and for the random walks the seed and a journal of all steps. The
// suite drives the store as a Manager would, but does not crash it: kill a
// process in tests of your own.
package store

import "github.com/seed-2c6e3a5a/hooks"

// Store is what a backend implements.
type Store = hooks.Store
