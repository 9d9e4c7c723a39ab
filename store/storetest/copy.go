package storetest

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/store"
)

var copyRules = []rule{
	{"whole", "A copy has the hooks, events, deliveries and attempts of the source, each as it is there.", func(c *check) {
		c.variety()
		before := c.snapshot()
		target := c.copied()
		want := c.snapshot()
		c.equal("source", want, before)
		got := target.snapshot()
		got.Changes, want.Changes = nil, nil // They have revisions of their own.
		c.equal("target", got, want)
		c.equal("stats", target.stats(0, time.Hour, "a", "full"), c.stats(0, time.Hour, "a", "full"))
	}},
	{"export", "Export returns the hooks in the order of their revisions, then each event, in the order of Enqueue, with its deliveries behind it.", func(c *check) {
		c.create("b", "c", "a", "gone")
		c.ok(c.UpdateHook(c.Context(), plainHook(home, "b")))
		c.ok(c.DeleteHook(c.Context(), hooks.Ref{Tenant: home, ID: "gone"}, start))
		c.enqueue(ms, job{n: 5, event: "y"}, job{n: 3, event: "y", hook: "gone"}, job{n: 4, event: "x"})
		c.ok(c.Enqueue(c.Context(), at(2*ms), []hooks.Entry{entry(0, fullEvent("alone"))}))
		c.enqueue(0, job{n: 2}, job{n: 1})
		var got []string
		for _, r := range c.export() {
			switch {
			case r.Hook != nil:
				got = append(got, "hook "+r.Hook.ID)
			case r.Event != nil:
				got = append(got, fmt.Sprintf("event %s of %d, %v", r.Event.ID, r.Deliveries, r.TriggeredAt.Sub(start)))
			case r.Delivery != nil:
				got = append(got, fmt.Sprintf("delivery %d", number(r.Delivery.ID)))
			}
		}
		c.equal("records", got, []string{
			"hook c", "hook a", "hook b", "event y of 2, 1ms", "delivery 5", "delivery 3", "event x of 1, 1ms", "delivery 4",
			"event alone of 0, 2ms", "event event-02 of 1, 0s", "delivery 2", "event event-01 of 1, 0s", "delivery 1",
		})
	}},
	{"export_stopped", "The records of Export may be read in part, also until a panic, and the store be used meanwhile.", func(c *check) {
		c.variety()
		read := func(panics bool) {
			defer func() { _ = recover() }()
			for r, err := range c.copyable().Export(c.Context()) {
				c.ok(err)
				if r.Event != nil {
					c.equal("hooks meanwhile", len(c.hooksOf(home)), 2)
					if panics {
						panic("stop")
					}
					break
				}
			}
		}
		for i := range 20 { // as often as there may be connections, and more
			read(i%2 == 0)
		}
		c.create("b")
		c.enqueue(time.Hour, job{n: 19})
	}},
	{"revisions", "Import gives each hook a revision above all earlier ones, in the order of the records.", func(c *check) {
		c.create("b", "c", "a")
		target := c.fresh()
		target.createFor(away, "first")
		last := first(c, target.changes(0)).Revision
		c.copyTo(target)
		var order []string
		for _, change := range target.changes(last) {
			order = append(order, change.Hook.ID)
		}
		c.equal("changed since", order, []string{"b", "c", "a"})
	}},
	{"again", "Import skips what the store has.", func(c *check) {
		c.variety()
		target := c.copied()
		before, counted := target.snapshot(), target.inventory()
		c.ok(store.Copy(c.Context(), c.Store, target.Store))
		target.unchanged("another copy", before)
		c.equal("inventory", target.inventory(), counted)
	}},
	{"resumed", "Import goes on wherever earlier calls have ended, also if it is given what they had.", func(c *check) {
		c.variety()
		records, target := c.export(), c.fresh()
		for n := range records {
			c.ok(target.copyable().Import(c.Context(), records[:n+1]))
		}
		c.equal("inventory", target.inventory(), c.inventory())
		got, want := target.snapshot(), c.snapshot()
		got.Changes, want.Changes = nil, nil
		c.equal("target", got, want)
		target.enqueue(time.Hour, job{n: 19, key: "k"})
		c.equal("state of another", target.states(19), []hooks.State{blocked})
	}},
	{"twice", "Import stores a record once that a call has twice.", func(c *check) {
		c.variety()
		var doubled []store.Record
		for _, r := range c.export() {
			doubled = append(doubled, r, r)
		}
		target := c.fresh()
		c.ok(target.copyable().Import(c.Context(), doubled))
		c.equal("inventory", target.inventory(), c.inventory())
	}},
	{"orphan", "Import refuses a delivery without its event before it, and then stores nothing of the call.", func(c *check) {
		c.variety()
		var orphaned []store.Record
		for _, r := range c.export() {
			if r.Event == nil || r.Event.ID != eventID(9) {
				orphaned = append(orphaned, r)
			}
		}
		target := c.fresh()
		before := target.snapshot()
		if target.copyable().Import(c.Context(), orphaned) == nil {
			c.Errorf("Import of a delivery without its event succeeded")
		}
		target.unchanged("refused Import", before)
		target.create("a")
		target.enqueue(0, job{n: 1})
		c.equal("claimed", target.take(0, many), []int{1})
	}},
	{"contexts", "When the context has ended, Inventory, Export and Import return its error, and Import has written nothing.", func(c *check) {
		c.variety()
		records, target := c.export(), c.fresh()
		before := target.snapshot()
		ctx, cancel := context.WithCancel(c.Context())
		cancel()
		_, err := c.copyable().Inventory(ctx)
		c.is("Inventory", err, context.Canceled)
		exported := 0
		for _, err := range c.copyable().Export(ctx) {
			c.is("Export", err, context.Canceled)
			exported++
		}
		c.equal("what Export returned", exported, 1)
		c.is("Import", target.copyable().Import(ctx, records), context.Canceled)
		target.unchanged("Import", before)
	}},
	{"inventory", "Inventory counts hooks, events, deliveries in each state, held ones and attempts, and sums up versions and tokens.", func(c *check) {
		c.equal("of an empty store", c.inventory(), store.Inventory{Deliveries: map[hooks.State]int{}})
		c.variety()
		c.equal("inventory", c.inventory(), store.Inventory{
			Hooks: 3, Versions: 7 + 1 + 1, Events: 15, Held: 1, Tokens: 5 + 1 + 1 + 4 + 1, Attempts: 3 + 1 + 1 + 4,
			Deliveries: map[hooks.State]int{blocked: 1, pending: 7, leased: 2, succeeded: 1, dead: 3, cancelled: 1},
		})
		c.take(48*time.Hour, 1)
		c.ok(c.UpdateHook(c.Context(), plainHook(home, "a")))
		got := c.inventory()
		c.equal("sums after a change and a claim", []int64{got.Versions, got.Tokens}, []int64{10, 13})
	}},
	{"ordering", "In a copy, ordering keys are released in the same order as in the source, and held ones hold.", func(c *check) {
		c.create("a")
		c.enqueue(0, job{n: 3, key: "k"}, job{n: 2, key: "k"}, job{n: 5, key: "l"}, job{n: 4, key: "l"}, job{n: 6, key: "m"}, job{n: 1, key: "k"})
		c.equal("claimed", sorted(c.take(0, many)), []int{3, 5, 6})
		c.end(0, 3, dead)
		c.redeliver(0, 3) // is blocked by 2, and ahead of 1
		c.hold(0, 5)
		c.end(0, 6, succeeded)
		target := c.copied()
		target.expect("copied", []int{3, 2, 1, 5, 4, 6}, blocked, pending, blocked, dead, blocked, succeeded)
		target.enqueue(0, job{n: 7, key: "k"}, job{n: 8, key: "m"})
		for _, n := range []int{2, 3, 1, 7} {
			due := []int{n}
			if n == 2 {
				due = []int{2, 8}
			}
			c.equal("claimed", sorted(target.take(ms, many)), due)
			target.end(ms, n, succeeded)
		}
		target.cancel(ms, 5)
		c.equal("claimed after the hold", target.take(ms, many), []int{4})
	}},
	{"leases", "In a copy, leases end when they would have ended, and stale tokens are refused.", func(c *check) {
		c.create("a")
		c.enqueue(0, job{n: 1}, job{n: 2, step: 1}, job{n: 3, leased: time.Minute})
		c.equal("claimed", sorted(c.take(0, many)), []int{1, 2})
		stale := outcome(c.delivery(1), 0, succeeded)
		c.equal("claimed again", sorted(c.take(leaseTime, many)), []int{1, 2, 3})
		target := c.copied()
		c.equal("claimed while leased", target.take(2*leaseTime-ms, many), []int{})
		target.next("while leased", 2*leaseTime-ms, at(2*leaseTime))
		c.is("stale settlement", refusal(target.settle(leaseTime, stale)[0]), errLeaseLost)
		target.end(leaseTime, 1, succeeded)
		claimed := target.claim(2*leaseTime, many)
		c.equal("claimed after the lease", sorted(numbers(claimed)), []int{2, 3})
		c.equal("Token", target.delivery(2).Lease.Token, int64(3))
	}},
	{"queue", "In a copy, what was due, throttled or counted in the source still is.", func(c *check) {
		c.create("a", "b")
		c.enqueue(0, job{n: 1, leased: time.Minute}, job{n: 2}, job{n: 3, hook: "b", due: time.Second}, job{n: 4, hook: "b", due: 2 * time.Second, step: 1})
		c.throttle(0, 1, time.Minute)
		target := c.copied()
		target.next("copied", 0, at(time.Second))
		c.equal("claimed", target.take(time.Second, many), []int{3})
		c.equal("health", target.end(time.Second, 3, dead).Failures, 1)
		c.equal("claimed next", target.take(2*time.Second, many), []int{4})
		c.equal("claimed after the throttle", target.take(time.Minute, many), []int{2})
		c.equal("health of the throttled", target.end(time.Minute, 2, dead).Failures, 2)
	}},
	{"duplicates", "In a copy, the IDs of the source's hooks and events are taken, also of events without deliveries.", func(c *check) {
		c.create("a")
		c.ok(c.Enqueue(c.Context(), start, []hooks.Entry{entry(0, fullEvent("alone"))}))
		c.enqueue(0, job{n: 1})
		target := c.copied()
		c.is("CreateHook", target.CreateHook(c.Context(), plainHook(home, "a"), 0), hooks.ErrDuplicate)
		c.is("CreateHook above the limit", target.CreateHook(c.Context(), plainHook(home, "b"), 1), hooks.ErrTooManyHooks)
		for _, id := range []string{"alone", eventID(1)} {
			c.is("Enqueue", target.Enqueue(c.Context(), start, entries(0, job{n: 2, event: id})), hooks.ErrDuplicate)
		}
	}},
	{"purge", "In a copy, Purge removes what it would have removed in the source.", func(c *check) {
		c.create("a")
		c.enqueue(0, job{n: 1}, job{n: 2}, job{n: 3, event: "x"}, job{n: 4, event: "x"})
		c.take(0, many)
		for i, n := range []int{4, 2, 3, 1} { // not in the order in which they were triggered
			c.end(time.Duration(i)*time.Minute, n, succeeded)
		}
		c.ok(c.Enqueue(c.Context(), at(time.Minute), []hooks.Entry{entry(0, fullEvent("alone"))}))
		records, target := c.export(), c.fresh()
		c.ok(target.copyable().Import(c.Context(), records[:3]))
		_, err := target.Purge(c.Context(), hooks.PurgeRequest{KeepPerHook: 2, Limit: many}) // counts what there is
		c.ok(err)
		c.ok(target.copyable().Import(c.Context(), records))
		_, err = target.Purge(c.Context(), hooks.PurgeRequest{KeepPerHook: 2, Limit: many})
		c.ok(err)
		c.equal("kept", target.deliveryNumbers(hooks.LogQuery{}), []int{3, 1})
		target.purge(2*time.Minute+ms, many)
		c.equal("left", target.deliveryNumbers(hooks.LogQuery{}), []int{1})
		c.equal("events left", len(target.events(home, "x", "alone", eventID(1), eventID(2))), 1)
		target.purge(time.Hour, many)
		c.equal("inventory of hooks only", target.inventory(), store.Inventory{Hooks: 1, Versions: 1, Deliveries: map[hooks.State]int{}})
	}},
	{"durable", "What Import has written outlives the process.", func(c *check) {
		c.variety()
		target := c.copied()
		before := target.snapshot()
		target.reopen()
		target.unchanged("reopening", before)
	}},
	{"power", "What Import has written outlives a loss of power.", func(c *check) {
		c.variety()
		target := c.copied()
		before := target.snapshot()
		target.losePower()
		target.unchanged("a loss of power", before)
	}},
}

// copyable is the store as one that can be copied.
func (c *check) copyable() store.Copyable {
	c.Helper()
	s, ok := c.Store.(store.Copyable)
	if !ok {
		c.Skip("the store cannot be copied")
	}
	return s
}

// fresh is the same check on another store, which is empty.
func (c *check) fresh() *check {
	c.Helper()
	c.copyable()
	return c.with(c.h.Open(c.TB))
}

// copied is the same check on a copy of the store.
func (c *check) copied() *check {
	c.Helper()
	target := c.fresh()
	c.ok(store.Copy(c.Context(), c.Store, target.Store))
	c.equal("inventory", target.inventory(), c.inventory())
	return target
}

// copyTo imports all that the store has into a target that need not be empty.
func (c *check) copyTo(target *check) {
	c.Helper()
	c.ok(target.copyable().Import(c.Context(), c.export()))
}

// export returns all records of the store.
func (c *check) export() (records []store.Record) {
	c.Helper()
	for r, err := range c.copyable().Export(c.Context()) {
		c.ok(err)
		records = append(records, r)
	}
	return records
}

// inventory returns what the store counts, without zeros for states.
func (c *check) inventory() store.Inventory {
	c.Helper()
	inventory, err := c.copyable().Inventory(c.Context())
	c.ok(err)
	for state, n := range inventory.Deliveries {
		if n == 0 {
			delete(inventory.Deliveries, state)
		}
	}
	return inventory
}

// variety stores what differs as much as it can: a delivery in every state, with retries, without
// a hook, of two tenants and so on. Nothing that is pending is due before 2 ms.
func (c *check) variety() {
	c.Helper()
	c.copyable()
	c.ok(c.CreateHook(c.Context(), fullHook("full"), 0))
	c.create("a", "gone")
	c.createFor(away, "a")
	// An event whose deliveries are those to a hook that is deleted, to one that never was,
	// and one that is purged.
	c.enqueue(0, job{n: 10, event: eventID(10), hook: "gone", due: time.Hour},
		job{n: 11, event: eventID(10), hook: "never", due: time.Hour}, job{n: 12, event: eventID(10), leased: time.Minute})
	c.ok(c.DeleteHook(c.Context(), hooks.Ref{Tenant: home, ID: "gone"}, start))
	c.end(0, 12, succeeded)
	c.purge(ms, many)
	c.everyState()
	c.ok(c.Enqueue(c.Context(), at(ms), []hooks.Entry{
		entry(0, fullEvent(eventID(9)), job{n: 9, hook: "full", leased: time.Minute}), // has a full attempt
		entry(0, fullEvent(eventID(16))),                                              // alone
	}))
	s := retry(c.delivery(9))
	s.ThrottleUntil = at(time.Hour)
	c.endWith(ms, s)
	c.enqueue(ms, job{n: 13, undecided: true, due: time.Hour}, job{n: 14, tenant: away, event: eventID(2), key: "k", due: time.Hour},
		job{n: 15, leased: time.Minute}, job{n: 17, leased: time.Minute}, job{n: 18, leased: 24 * time.Hour})
	for state := pending; state != dead; { // four attempts, of which the third lost its response
		d := c.delivery(17)
		if d.Attempts == 3 {
			state = dead
		}
		s := outcome(d, ms, state)
		s.Due, s.Attempt.Response = at(ms), hooks.AttemptResponse{Status: 500, Body: []byte("no")}
		c.endWith(ms, s)
		c.take(ms, many)
	}
	c.end(ms, 15, dead)
	c.redeliver(2*ms, 15)
}
