package storetest

import (
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

var laneRules = []rule{
	{"even", "While others have due deliveries, a lane gets no more of a claim than they do.", func(c *check) {
		c.create("a", "b", "c")
		c.fill("a", 0, 50, 0)
		c.fill("b", 50, 50, 0)
		c.fill("c", 100, 50, 0)
		c.share(9, map[string]int{"a/first": 3, "b/first": 3, "c/first": 3})
	}},
	{"uneven", "Capacity for which a lane has no deliveries goes to the others.", func(c *check) {
		c.create("a", "b", "c")
		c.fill("a", 0, 50, 0)
		c.fill("b", 50, 1, 0)
		c.fill("c", 51, 50, 0)
		c.share(9, map[string]int{"a/first": 4, "b/first": 1, "c/first": 4})
	}},
	{"retries", "A hook's first attempts are one lane, its retries another: neither starves the other.", func(c *check) {
		c.create("a", "b")
		c.enqueue(0, job{n: 1000}, job{n: 1001}, job{n: 1002})
		c.fill("a", 0, 30, 1)
		c.fill("a", 30, 30, 4)
		c.fill("b", 60, 30, 0)
		c.share(9, map[string]int{"a/first": 3, "a/retry": 3, "b/first": 3})
		c.share(6, map[string]int{"a/retry": 3, "b/first": 3})
	}},
	{"backlog", "A lane gets no more because it was due earlier and is longer.", func(c *check) {
		c.create("a", "b")
		c.fill("a", 0, 200, 0)
		c.enqueue(time.Second, job{n: 200, hook: "b"}, job{n: 201, hook: "b"})
		claimed := c.claim(time.Second, 4)
		c.equal("share of a claim", count(claimed, laneOf), map[string]int{"a/first": 2, "b/first": 2})
	}},
	{"turns", "From one claim to the next, of two lanes that have due deliveries neither gets two before the other gets one.", func(c *check) {
		c.create("a", "b", "c")
		c.fill("a", 0, 40, 0)
		c.fill("b", 40, 40, 0)
		c.fill("b", 80, 40, 2)
		c.fill("c", 120, 40, 0)
		t := turnsOf(c, laneOf, "a/first", "b/first", "b/retry", "c/first")
		for _, limit := range []int{1, 1, 1, 1, 1, 1, 2, 1, 2, 2, 3, 3, 1, 3, 4, 1, 2, 3, 5, 6, 7, 5} {
			t.claim(limit)
		}
	}},
	{"newcomer", "A lane that has become due since the last claim comes after those that have waited.", func(c *check) {
		c.create("a", "b", "c", "d")
		c.fill("a", 0, 20, 0)
		c.fill("b", 20, 20, 0)
		t := turnsOf(c, laneOf, "a/first", "b/first")
		for range 3 {
			t.claim(1)
		}
		c.enqueue(0, job{n: 40, hook: "c"}, job{n: 41, hook: "c"}, job{n: 42, hook: "c"})
		t.join("c/first")
		for range 2 {
			t.claim(1)
		}
		c.enqueue(0, job{n: 50, hook: "d"}, job{n: 51, hook: "d"})
		t.join("d/first")
		for range 5 {
			t.claim(1)
		}
	}},
	{"tenants", "Hooks of two tenants have lanes of their own, also if they have the same ID.", func(c *check) {
		c.create("a")
		c.createFor(away, "a")
		c.fill("a", 0, 20, 0)
		c.fillLike(5, job{n: 100, tenant: away})
		claimed := c.claim(0, 6)
		c.equal("share of a claim", perHook(claimed), map[hooks.Ref]int{{Tenant: home, ID: "a"}: 3, {Tenant: away, ID: "a"}: 3})
	}},
}

// share claims and fails unless the lanes get what they should.
func (c *check) share(limit int, want map[string]int) {
	c.Helper()
	c.equal("share of a claim", count(c.claim(0, limit), laneOf), want)
}
