package storetest

import (
	"fmt"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

var stateRules = []rule{
	{"redeliver", "Redeliver makes an ended delivery pending again, due now, at Step 0, with EndedAt, Held and Reason cleared, and returns it.", func(c *check) {
		c.create("a")
		c.everyState()
		for i, n := range []int{4, 5, 7, 6} {
			now := time.Hour + time.Duration(i)*time.Second
			want := c.delivery(n)
			want.State, want.Due, want.Step = pending, at(now), 0
			want.EndedAt, want.Held, want.Reason = time.Time{}, false, ""
			c.equal("returned", c.redeliver(now, n), want)
			c.equal("stored", c.delivery(n), want)
			c.equal("claimed", c.take(now, many), []int{n})
			c.end(now, n, succeeded)
			c.equal("attempts", c.delivery(n).Attempts, want.Attempts+1)
		}
	}},
	{"redeliver_missing", "Redeliver returns ErrNotFound when there is no such delivery.", func(c *check) {
		before := c.snapshot()
		_, err := c.Redeliver(c.Context(), start, home, id(1))
		c.is("Redeliver", err, hooks.ErrNotFound)
		c.unchanged("refused Redeliver", before)
	}},
	{"redeliver_conflict", "Redeliver returns ErrConflict when the delivery has not ended.", func(c *check) {
		c.create("a")
		c.everyState()
		before := c.snapshot()
		for _, n := range []int{1, 2, 3} {
			_, err := c.Redeliver(c.Context(), at(time.Second), home, id(n))
			c.is(string(c.delivery(n).State), err, hooks.ErrConflict)
		}
		c.unchanged("refused Redeliver", before)
	}},
	{"undecided", "Undecided stays as it was stored, also in Redeliver and Cancel, until Settle sets it.", func(c *check) {
		c.create("a")
		c.enqueue(0, job{n: 1, undecided: true}, job{n: 2, undecided: true, leased: ms}, job{n: 3},
			job{n: 4, key: "k"}, job{n: 5, key: "k", undecided: true}, job{n: 6, undecided: true})
		undecided := func(when string, want ...bool) {
			c.Helper()
			for i, want := range want {
				c.equal(fmt.Sprintf("delivery %d %s", i+1, when), c.delivery(i+1).Undecided, want)
			}
		}
		undecided("enqueued", true, true, false, false, true, true)
		c.equal("cancelled", c.cancel(0, 6).Undecided, true)
		for _, cl := range c.claim(ms, many) {
			c.equal("claimed "+cl.Delivery.ID, cl.Delivery.Undecided, c.delivery(number(cl.Delivery.ID)).Undecided)
		}
		undecided("claimed", true, true, false, false, true, true)
		for n, state := range []hooks.State{1: pending, 2: cancelled, 3: pending, 4: succeeded} {
			if n > 0 {
				s := outcome(c.delivery(n), ms, state)
				s.Undecided = n == 2 || n == 3
				c.endWith(ms, s)
			}
		}
		undecided("settled", false, true, true, false, true, true)
		for _, n := range []int{2, 4, 6} {
			c.equal("redelivered", c.redeliver(time.Second, n).Undecided, n != 4)
		}
		undecided("redelivered", false, true, true, false, true, true)
	}},
	{"cancel", "Cancel ends a blocked, pending or held delivery as cancelled, for the given reason, and returns it.", func(c *check) {
		c.create("a")
		c.everyState()
		for _, n := range []int{1, 2, 6} {
			want := c.delivery(n)
			want.State, want.Reason, want.Held = cancelled, "no longer wanted", false
			want.Due, want.EndedAt = time.Time{}, at(time.Second)
			got := c.cancel(time.Second, n)
			c.equal("stored", c.delivery(n), got)
			got.Step = want.Step // Of no meaning in the end.
			c.equal("returned", got, want)
		}
		c.equal("claimed later", c.take(24*time.Hour, many), []int{3})
	}},
	{"cancel_missing", "Cancel returns ErrNotFound when there is no such delivery.", func(c *check) {
		before := c.snapshot()
		_, err := c.Cancel(c.Context(), start, home, id(1), "")
		c.is("Cancel", err, hooks.ErrNotFound)
		c.unchanged("refused Cancel", before)
	}},
	{"cancel_conflict", "Cancel returns ErrConflict when the delivery is leased or has ended and is not held.", func(c *check) {
		c.create("a")
		c.everyState()
		before := c.snapshot()
		for _, n := range []int{3, 4, 5, 7} {
			_, err := c.Cancel(c.Context(), at(time.Second), home, id(n), "no longer wanted")
			c.is(string(c.delivery(n).State), err, hooks.ErrConflict)
		}
		c.unchanged("refused Cancel", before)
	}},
}

// everyState stores a delivery in each state: 1 is blocked by 6, 2 pending
// for a week, 3 leased, 4 succeeded, 5 dead, 6 held and 7 cancelled.
func (c *check) everyState() {
	c.Helper()
	c.enqueue(0, job{n: 2, step: 1, due: 7 * 24 * time.Hour}, job{n: 3, step: 1}, job{n: 4, step: 1}, job{n: 5, step: 1},
		job{n: 6, step: 1, key: "k"}, job{n: 7, step: 1}, job{n: 1, step: 1, key: "k"})
	claimed, _ := c.request(hooks.ClaimRequest{Now: start, Until: at(12 * time.Hour), Limit: upTo(many)})
	c.equal("claimed", sorted(numbers(claimed)), []int{3, 4, 5, 6, 7})
	c.end(ms, 4, succeeded)
	c.end(ms, 5, dead)
	c.hold(ms, 6)
	c.end(ms, 7, cancelled)
}
