package storetest

import (
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

var durabilityRules = []rule{
	{"all", "When a method has returned nil, what it wrote outlives the process.", func(c *check) {
		c.ok(c.CreateHook(c.Context(), fullHook("full"), 0))
		c.create("a", "b", "gone")
		c.ok(c.UpdateHook(c.Context(), plainHook(home, "b")))
		c.ok(c.DeleteHook(c.Context(), hooks.Ref{Tenant: home, ID: "gone"}, at(ms)))
		c.everyState()
		c.ok(c.Enqueue(c.Context(), start, []hooks.Entry{entry(0, fullEvent(eventID(9)), job{n: 9, leased: time.Minute})}))
		s := retry(c.delivery(9))
		s.ThrottleUntil = at(time.Hour)
		c.endWith(ms, s)
		before := c.snapshot()
		c.reopen()
		c.unchanged("reopening", before)
		c.reopen()
		c.unchanged("reopening twice", before)
	}},
	{"refused", "What a method refused is not there in the next process either.", func(c *check) {
		c.create("a")
		c.everyState()
		before := c.snapshot()
		c.is("CreateHook", c.CreateHook(c.Context(), fullHook("a"), 0), hooks.ErrDuplicate)
		c.is("UpdateHook", c.UpdateHook(c.Context(), fullHook("a")), hooks.ErrConflict)
		c.is("Enqueue", c.Enqueue(c.Context(), start, entries(0, job{n: 10}, job{n: 11, event: eventID(2)})), hooks.ErrDuplicate)
		c.is("Settle", refusal(c.settle(ms, outcome(c.delivery(2), 0, dead))[0]), errLeaseLost)
		c.reopen()
		c.unchanged("reopening", before)
	}},
	{"revisions", "Revisions go on rising in the next process.", func(c *check) {
		c.create("a", "b")
		c.ok(c.DeleteHook(c.Context(), hooks.Ref{Tenant: home, ID: "b"}, start))
		last := int64(0)
		for _, change := range c.changes(0) {
			last = change.Revision
		}
		c.reopen()
		c.create("c")
		list := c.changes(last)
		if len(list) != 1 || list[0].Hook.ID != "c" {
			c.Errorf("changes after revision %d: got %+v, want that of hook c", last, list)
		}
	}},
	{"leases", "Leases stay and Tokens go on growing in the next process.", func(c *check) {
		c.create("a")
		c.enqueue(0, job{n: 1}, job{n: 2})
		c.equal("claimed", c.take(0, many), []int{1, 2})
		old := outcome(c.delivery(2), 0, succeeded)
		c.reopen()
		c.equal("claimed while leased", c.take(leaseTime-ms, many), []int{})
		c.end(leaseTime-ms, 1, succeeded)
		claimed := c.claim(leaseTime, many)
		c.equal("claimed after the lease", numbers(claimed), []int{2})
		c.equal("Token", c.delivery(2).Lease.Token, int64(2))
		c.is("stale settlement", refusal(c.settle(leaseTime, old)[0]), errLeaseLost)
	}},
	{"keys", "Ordering keys keep their order in the next process.", func(c *check) {
		c.create("a")
		c.enqueue(0, job{n: 3, key: "k"}, job{n: 2, key: "k"}, job{n: 5, key: "l"})
		c.reopen()
		c.enqueue(0, job{n: 1, key: "k"}, job{n: 4, key: "l"})
		c.expect("after reopening", []int{3, 2, 1, 5, 4}, pending, blocked, blocked, pending, blocked)
		c.equal("claimed", sorted(c.take(0, many)), []int{3, 5})
		c.hold(0, 3)
		c.reopen()
		c.equal("claimed while held", c.take(0, many), []int{})
		c.cancel(0, 3)
		c.equal("claimed", c.take(0, many), []int{2})
		c.reopen()
		c.end(0, 2, dead)
		c.equal("claimed next", c.take(0, many), []int{1})
	}},
	{"queue", "What was due, throttled or counted in one process is so in the next.", func(c *check) {
		c.create("a", "b")
		c.enqueue(0, job{n: 1, leased: time.Minute}, job{n: 2}, job{n: 3, hook: "b", due: time.Second}, job{n: 4, hook: "b", due: 2 * time.Second})
		c.throttle(0, 1, time.Minute)
		c.reopen()
		c.next("after reopening", 0, at(time.Second))
		c.equal("claimed", c.take(time.Second, many), []int{3})
		c.end(time.Second, 3, succeeded)
		c.reopen()
		c.equal("claimed next", sorted(c.take(time.Minute, many)), []int{2, 4})
		c.equal("stats", counts(c.stats(0, time.Hour, "b")["b"]), [3]int{1, 1, 0})
		c.is("Enqueue", c.Enqueue(c.Context(), start, entries(0, job{n: 9, event: eventID(3)})), hooks.ErrDuplicate)
	}},
	{"power", "When a method other than Claim and Settle has returned nil, what was written until then outlives a loss of power.", func(c *check) {
		c.create("a", "b")
		c.enqueue(0, job{n: 1}, job{n: 2}, job{n: 3, leased: time.Minute}, job{n: 4})
		for _, step := range []func(){
			func() { c.ok(c.CreateHook(c.Context(), fullHook("full"), 0)) },
			func() {
				c.equal("claimed", c.take(0, 1), []int{1})
				c.ok(c.UpdateHook(c.Context(), plainHook(home, "b")))
			},
			func() { c.end(ms, 1, succeeded); c.cancel(ms, 2) },
			func() { c.end(ms, 3, dead); c.redeliver(ms, 2) },
			func() { c.equal("claimed", c.take(ms, 1), []int{4}); c.enqueue(ms, job{n: 5}) },
			func() { c.ok(c.DeleteHook(c.Context(), hooks.Ref{Tenant: home, ID: "b"}, at(ms))) },
		} {
			step()
			before := c.snapshot()
			c.losePower()
			c.unchanged("a loss of power", before)
		}
	}},
	{"power_settled", "A store that promises so keeps claims and settlements over a loss of power.", func(c *check) {
		if c.h.Relaxed {
			c.Skip("the store promises less")
		}
		c.create("a")
		c.enqueue(0, job{n: 1}, job{n: 2})
		c.equal("claimed", c.take(0, many), []int{1, 2})
		c.losePower()
		c.equal("claimed while leased", c.take(ms, many), []int{})
		c.end(ms, 1, succeeded)
		before := c.snapshot()
		c.losePower()
		c.unchanged("a loss of power", before)
	}},
	{"power_undone", "A settlement that a loss of power has undone can be made again.", func(c *check) {
		c.create("a")
		c.enqueue(0, job{n: 1, leased: time.Minute})
		s := outcome(c.delivery(1), ms, succeeded)
		for range 2 {
			if c.delivery(1).State == leased {
				c.endWith(ms, s)
			}
			c.losePower()
			c.is("Enqueue", c.Enqueue(c.Context(), start, entries(0, job{n: 2, event: eventID(1)})), hooks.ErrDuplicate)
		}
		if c.delivery(1).State == leased {
			c.endWith(ms, s)
		}
		c.create("b") // The disk has all that was before it.
		c.losePower()
		c.expect("at the end", []int{1}, succeeded)
		c.equal("attempts", len(c.attempts(home)), 1)
	}},
}
