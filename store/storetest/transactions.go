package storetest

import (
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

var transactionRules = []rule{
	{"commit", "Events that were recorded in a transaction of the application are there when it has committed.", func(c *check) {
		c.create("a")
		tx, end := c.begin()
		c.ok(tx.Enqueue(c.Context(), start, entries(0, job{n: 1}, job{n: 2, key: "k"})))
		c.ok(tx.Enqueue(c.Context(), start, entries(0, job{n: 3, key: "k"}, job{n: 4, leased: time.Minute})))
		end(true)
		c.expect("after commit", []int{1, 3, 4}, pending, blocked, leased)
		c.equal("events", len(c.snapshot().Tenants[home].Events), 4)
		c.equal("claimed", sorted(c.take(0, many)), []int{1, 2})
		c.expect("after a claim", []int{1, 2, 3, 4}, leased, leased, blocked, leased)
	}},
	{"commit_key", "A delivery with an ordering key that was recorded in a transaction of the application waits for those of its key, and has its turn after them.", func(c *check) {
		c.create("a")
		c.enqueue(0, job{n: 1, key: "k"})
		tx, end := c.begin()
		c.ok(tx.Enqueue(c.Context(), start, entries(0, job{n: 2, key: "k"}, job{n: 3, key: "k"})))
		end(true)
		c.enqueue(0, job{n: 4, key: "k"})
		for n := 1; n <= 4; n++ {
			c.equal("claimed", c.take(0, many), []int{n})
			c.end(0, n, succeeded)
		}
	}},
	{"rollback", "Events that were recorded in a transaction of the application are not there when it was rolled back.", func(c *check) {
		c.create("a")
		before := c.snapshot()
		tx, end := c.begin()
		c.ok(tx.Enqueue(c.Context(), start, entries(0, job{n: 1}, job{n: 2, key: "k"})))
		end(false)
		c.unchanged("rollback", before)
		c.equal("claimed", c.take(time.Hour, many), []int{})
		c.enqueue(time.Hour, job{n: 1}, job{n: 2, key: "k"})
		c.expect("of a second try", []int{1, 2}, pending, pending)
	}},
	{"duplicate", "An Enqueue that is refused in a transaction writes nothing and leaves the transaction usable.", func(c *check) {
		c.create("a")
		c.enqueue(0, job{n: 1})
		tx, end := c.begin()
		c.ok(tx.Enqueue(c.Context(), start, entries(0, job{n: 2})))
		c.is("Enqueue of a stored event", tx.Enqueue(c.Context(), start, entries(0, job{n: 3}, job{n: 4, event: eventID(1)})), hooks.ErrDuplicate)
		c.is("Enqueue of an event of the transaction", tx.Enqueue(c.Context(), start, entries(0, job{n: 5}, job{n: 6, event: eventID(2)})), hooks.ErrDuplicate)
		c.ok(tx.Enqueue(c.Context(), start, entries(0, job{n: 7})))
		end(true)
		c.equal("deliveries", c.deliveryNumbers(hooks.LogQuery{}), []int{7, 2, 1})
		c.equal("events", eventIDs(c.snapshot().Tenants[home].Events), []string{eventID(1), eventID(2), eventID(7)})
	}},
}

// begin begins a transaction of the application.
func (c *check) begin() (hooks.Tx, func(commit bool)) {
	c.Helper()
	if c.h.Begin == nil {
		c.Skip("the store has no transactions for applications")
	}
	return c.h.Begin(c.TB, c.Store)
}
