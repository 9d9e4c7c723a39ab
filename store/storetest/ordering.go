package storetest

import (
	"fmt"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

var orderingRules = []rule{
	{"blocked", "A delivery with an ordering key is stored as blocked when another of the same hook and key is blocked, pending, leased or held.", func(c *check) {
		c.create("a")
		c.enqueue(0, job{n: 1, key: "k"}, job{n: 2, key: "k"})
		c.enqueue(ms, job{n: 3, key: "k"})
		c.expect("behind a pending and a blocked one", []int{1, 2, 3}, pending, blocked, blocked)
		c.cancel(ms, 2)
		c.cancel(ms, 3)
		c.enqueue(ms, job{n: 4, key: "k"})
		c.expect("behind a pending one", []int{1, 4}, pending, blocked)
		c.cancel(ms, 4)
		c.equal("claimed", c.take(ms, many), []int{1})
		c.enqueue(2*ms, job{n: 5, key: "k"})
		c.expect("behind a leased one", []int{1, 5}, leased, blocked)
		c.cancel(2*ms, 5)
		c.hold(3*ms, 1)
		c.enqueue(4*ms, job{n: 6, key: "k"})
		c.expect("behind a held one", []int{1, 6}, dead, blocked)
	}},
	{"free", "A delivery whose hook and key have only deliveries that have ended is stored as pending.", func(c *check) {
		c.create("a")
		for n, state := range []hooks.State{succeeded, dead, cancelled} {
			now := time.Duration(n) * time.Second
			c.enqueue(now, job{n: n, key: "k"})
			c.equal("claimed", c.take(now, many), []int{n})
			c.end(now, n, state)
		}
		c.enqueue(time.Minute, job{n: 4, key: "k"})
		c.expect("state", []int{4}, pending)
	}},
	{"apart", "Only deliveries of the same hook and the same key wait for one another; without a key none does.", func(c *check) {
		c.create("a", "b")
		jobs := []job{{n: 1}, {n: 2}, {n: 3, key: "k"}, {n: 4, key: "k", hook: "b"}}
		for i, key := range []string{"K", "k ", " k", "k%", "k_", "ḱ", "l"} {
			jobs = append(jobs, job{n: 5 + i, key: key})
		}
		c.enqueue(0, jobs...)
		for _, j := range jobs {
			c.equal(fmt.Sprintf("state of a delivery to %s with key %q", j.hook, j.key), c.states(j.n), []hooks.State{pending})
		}
	}},
	{"fan_out", "The deliveries of one event to several hooks wait for their predecessors, each in its own hook.", func(c *check) {
		c.create("a", "b")
		c.enqueue(0, job{n: 1, key: "k"})
		c.enqueue(ms, job{n: 2, key: "k", event: "x"}, job{n: 3, key: "k", event: "x", hook: "b"})
		c.enqueue(2*ms, job{n: 4, key: "k", event: "y"}, job{n: 5, key: "k", event: "y", hook: "b"})
		c.expect("states", []int{1, 2, 3, 4, 5}, pending, blocked, pending, blocked, blocked)
	}},
	{"release", "When a delivery ends without Hold, the earliest triggered blocked one of the same hook and key becomes pending, due now.", func(c *check) {
		c.create("a", "b")
		c.enqueue(0, job{n: 4, key: "k"}, job{n: 9, key: "l"}, job{n: 8, key: "l"}, job{n: 7, key: "k", hook: "b"}, job{n: 6, key: "k", hook: "b"})
		c.enqueue(ms, job{n: 3, key: "k", due: time.Hour}, job{n: 5, key: "k"})
		c.enqueue(ms, job{n: 2, key: "k"}, job{n: 1, key: "k"})
		chain := []int{4, 3, 5, 2, 1}
		c.equal("claimed", sorted(c.take(time.Second, many)), []int{4, 7, 9})
		for i, state := range []hooks.State{succeeded, dead, cancelled, succeeded} {
			now := time.Second * time.Duration(i+2)
			c.end(now, chain[i], state)
			c.expect("next", chain[i+1:i+2], pending)
			c.equal("Due of the next", c.delivery(chain[i+1]).Due, at(now))
			c.equal("claimed", c.take(now, many), chain[i+1:i+2])
		}
		c.expect("other key and other hook", []int{8, 6}, blocked, blocked)
	}},
	{"release_batch", "Each settlement of a call releases the next of its own key.", func(c *check) {
		c.create("a", "b")
		c.enqueue(0, job{n: 1, key: "k"}, job{n: 2, key: "l"}, job{n: 3, key: "k", hook: "b"})
		c.enqueue(ms, job{n: 4, key: "k"}, job{n: 5, key: "l"}, job{n: 6, key: "k", hook: "b"}, job{n: 7, key: "k"})
		c.equal("claimed", sorted(c.take(0, many)), []int{1, 2, 3})
		c.settle(time.Second, outcome(c.delivery(1), 0, succeeded), outcome(c.delivery(2), 0, pending), outcome(c.delivery(3), 0, dead))
		c.expect("states", []int{4, 5, 6, 7}, pending, blocked, pending, blocked)
	}},
	{"kept", "A retry, the end of a lease, a lost lease and a held delivery release nothing.", func(c *check) {
		c.create("a")
		c.enqueue(0, job{n: 1, key: "k"}, job{n: 2, key: "k"})
		c.equal("claimed", c.take(0, many), []int{1})
		old := outcome(c.delivery(1), 0, succeeded)
		c.equal("claimed after the lease", c.take(leaseTime, many), []int{1})
		c.is("stale settlement", refusal(c.settle(leaseTime, old)[0]), errLeaseLost)
		c.expect("after a lost lease", []int{2}, blocked)
		c.end(leaseTime, 1, pending)
		c.expect("after a retry", []int{2}, blocked)
		c.equal("claimed after a retry", c.take(2*leaseTime, many), []int{1})
		c.hold(2*leaseTime, 1)
		c.expect("after a hold", []int{1, 2}, dead, blocked)
		c.equal("held", []bool{c.delivery(1).Held, c.delivery(2).Held}, []bool{true, false})
		c.equal("claimed after a hold", c.take(time.Hour, many), []int{})
	}},
	{"cancel_head", "Cancel makes the next of the ordering key pending if the delivery was pending or held.", func(c *check) {
		c.create("a")
		c.enqueue(0, job{n: 1, key: "k"}, job{n: 2, key: "k"}, job{n: 3, key: "k"})
		c.cancel(time.Second, 1)
		c.expect("after cancelling a pending one", []int{1, 2, 3}, cancelled, pending, blocked)
		c.equal("Due of the next", c.delivery(2).Due, at(time.Second))
		c.equal("claimed", c.take(2*time.Second, many), []int{2})
		c.hold(2*time.Second, 2)
		c.cancel(3*time.Second, 2)
		c.expect("after cancelling a held one", []int{1, 2, 3}, cancelled, cancelled, pending)
		c.equal("Due of the next", c.delivery(3).Due, at(3*time.Second))
	}},
	{"cancel_blocked", "Cancel of a blocked delivery releases no other; its turn is skipped.", func(c *check) {
		c.create("a")
		c.enqueue(0, job{n: 1, key: "k"}, job{n: 2, key: "k"}, job{n: 3, key: "k"})
		c.cancel(ms, 2)
		c.expect("after cancelling a blocked one", []int{1, 2, 3}, pending, cancelled, blocked)
		c.equal("claimed", c.take(ms, many), []int{1})
		c.end(ms, 1, succeeded)
		c.expect("after the end of the head", []int{1, 2, 3}, succeeded, cancelled, pending)
	}},
	{"redeliver_held", "Redeliver of a held delivery makes it pending; the blocked ones go on waiting for it.", func(c *check) {
		c.create("a")
		c.enqueue(0, job{n: 1, key: "k"}, job{n: 2, key: "k"})
		c.equal("claimed", c.take(0, many), []int{1})
		c.hold(0, 1)
		c.equal("returned", c.redeliver(time.Second, 1).State, pending)
		c.expect("after Redeliver", []int{1, 2}, pending, blocked)
		c.equal("held", c.delivery(1).Held, false)
		c.equal("claimed again", c.take(time.Second, many), []int{1})
		c.end(time.Second, 1, succeeded)
		c.expect("after a success", []int{1, 2}, succeeded, pending)
	}},
	{"redeliver_blocked", "Redeliver makes a delivery blocked if another of the same hook and key is pending, leased or held; it becomes pending when it is the earliest triggered.", func(c *check) {
		c.create("a", "b")
		c.enqueue(0, job{n: 1, key: "k"}, job{n: 2, key: "k"}, job{n: 3, key: "k"}, job{n: 4, key: "k"})
		c.enqueue(0, job{n: 5, key: "k", hook: "b"}, job{n: 6, key: "l"})
		again := func(what string, other hooks.State, otherN int) {
			c.Helper()
			d := c.redeliver(time.Second, 1)
			c.expect(what, []int{1, otherN}, blocked, other)
			c.equal("returned", d, c.delivery(1))
			c.equal("EndedAt, Step and Reason", []any{d.EndedAt, d.Step, d.Reason}, []any{time.Time{}, 0, ""})
		}
		c.equal("claimed", sorted(c.take(0, many)), []int{1, 5, 6})
		c.end(0, 1, dead)
		again("behind a pending one", pending, 2)
		c.cancel(time.Second, 1)
		c.equal("claimed", c.take(time.Second, many), []int{2})
		again("behind a leased one", leased, 2)
		c.end(time.Second, 2, succeeded)
		c.expect("after the end of the head", []int{1, 3, 4}, pending, blocked, blocked)
		c.cancel(time.Second, 1)
		c.equal("claimed", c.take(time.Second, many), []int{3})
		c.hold(time.Second, 3)
		again("behind a held one", dead, 3)
		c.cancel(time.Second, 3)
		c.expect("after cancelling the held one", []int{1, 3, 4}, pending, cancelled, blocked)
	}},
	{"redeliver_free", "Redeliver makes a delivery pending if the others of its hook and key have ended or it has no key.", func(c *check) {
		c.create("a", "b")
		c.enqueue(0, job{n: 1, key: "k"}, job{n: 2}, job{n: 3, key: "k", hook: "b"})
		c.equal("claimed", sorted(c.take(0, many)), []int{1, 2, 3})
		c.end(0, 1, dead)
		c.end(0, 2, succeeded)
		c.enqueue(ms, job{n: 4, key: "k"}, job{n: 5, key: "l"}, job{n: 6})
		c.cancel(ms, 4)
		c.redeliver(time.Second, 1)
		c.redeliver(time.Second, 2)
		c.expect("states", []int{1, 2}, pending, pending)
	}},
	{"one_at_a_time", "Of one hook and key only one delivery is claimed at a time, in the order of the triggers, also if several are triggered in the same millisecond.", func(c *check) {
		c.create("a")
		c.enqueue(0, job{n: 5, key: "k"}, job{n: 3, key: "k"}, job{n: 9, key: "k"})
		c.enqueue(0, job{n: 1, key: "k"}, job{n: 2, key: "k"})
		var got []int
		for range 10 {
			ns := c.take(time.Second, many)
			if len(ns) == 0 {
				break
			}
			c.equal("claimed at a time", len(ns), 1)
			c.end(time.Second, ns[0], succeeded)
			got = append(got, ns...)
		}
		c.equal("claimed", got, []int{5, 3, 9, 1, 2})
	}},
}

// expect fails unless the deliveries are in these states.
func (c *check) expect(what string, ns []int, states ...hooks.State) {
	c.Helper()
	c.equal("states "+what, c.states(ns...), states)
}
