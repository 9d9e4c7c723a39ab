package storetest

import (
	"fmt"
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
	{"uneven", "What a lane has no deliveries for goes to the others.", func(c *check) {
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
	{"backlog", "A lane that is due earlier and is longer gets no more for it.", func(c *check) {
		c.create("a", "b")
		c.fill("a", 0, 200, 0)
		c.enqueue(time.Second, job{n: 200, hook: "b"}, job{n: 201, hook: "b"})
		claimed := c.claim(time.Second, 4)
		c.equal("share of a claim", lanes(claimed), map[string]int{"a/first": 2, "b/first": 2})
	}},
	{"turns", "A lane is not served by a later claim before each of the others that have due deliveries has been.", func(c *check) {
		c.create("a", "b", "c")
		c.fill("a", 0, 40, 0)
		c.fill("b", 40, 40, 0)
		c.fill("b", 80, 40, 2)
		c.fill("c", 120, 40, 0)
		t := newTurns(c, "a/first", "b/first", "b/retry", "c/first")
		for _, limit := range []int{1, 1, 1, 1, 1, 1, 2, 1, 2, 2, 3, 3, 1, 3, 4, 1, 2, 3} {
			t.claim(0, limit)
		}
	}},
	{"newcomer", "A lane that becomes due has its turn before another has two.", func(c *check) {
		c.create("a", "b", "c", "d")
		c.fill("a", 0, 20, 0)
		c.fill("b", 20, 20, 0)
		t := newTurns(c, "a/first", "b/first")
		for range 3 {
			t.claim(0, 1)
		}
		c.enqueue(0, job{n: 40, hook: "c"}, job{n: 41, hook: "c"}, job{n: 42, hook: "c"})
		t.join("c/first")
		for range 2 {
			t.claim(0, 1)
		}
		c.enqueue(0, job{n: 50, hook: "d"}, job{n: 51, hook: "d"})
		t.join("d/first")
		for range 5 {
			t.claim(0, 1)
		}
	}},
	{"tenants", "Hooks of two tenants have lanes of their own, also if they have the same ID.", func(c *check) {
		c.create("a")
		c.ok(c.CreateHook(c.Context(), plainHook(away, "a"), 0))
		c.fill("a", 0, 20, 0)
		for n := range 5 {
			c.enqueue(0, job{n: 100 + n, tenant: away})
		}
		claimed := c.claim(0, 6)
		c.equal("share of a claim", perHook(claimed), map[hooks.Ref]int{{Tenant: home, ID: "a"}: 3, {Tenant: away, ID: "a"}: 3})
	}},
}

// share claims and fails unless the lanes get what they should.
func (c *check) share(limit int, want map[string]int) {
	c.Helper()
	c.equal("share of a claim", lanes(c.claim(0, limit)), want)
}

// lanes counts the deliveries of each lane.
func lanes(claimed []hooks.Claimed) map[string]int {
	count := map[string]int{}
	for _, cl := range claimed {
		count[lane(cl.Delivery)]++
	}
	return count
}

func lane(d hooks.Delivery) string {
	if d.Step == 0 {
		return d.HookID + "/first"
	}
	return d.HookID + "/retry"
}

// turns watches a series of claims of lanes that do not run dry.
type turns struct {
	c      *check
	number int            // Counts the claims.
	joined map[string]int // The lanes, and after which claim each became due.
	served map[string]int // The claim that last served each.
}

func newTurns(c *check, lanes ...string) *turns {
	t := &turns{c, 0, map[string]int{}, map[string]int{}}
	for _, l := range lanes {
		t.join(l)
	}
	return t
}

func (t *turns) join(lane string) { t.joined[lane] = t.number }

// claim claims, and fails if a lane is served again although another, which had
// been due since before its last turn, has not been served since, or if it gets
// two more than another.
func (t *turns) claim(now time.Duration, limit int) {
	t.c.Helper()
	t.number++
	got := lanes(t.c.claim(now, limit))
	total := 0
	for l, n := range got {
		total += n
		for other := range t.joined {
			if n > got[other]+1 {
				t.c.Errorf("claim %d gave %d to lane %s and %d to %s", t.number, n, l, got[other], other)
			}
			last := t.served[l]
			if got[other] == 0 && last > t.joined[other] && t.served[other] < last {
				t.c.Errorf("claim %d served lane %s, last served by claim %d, before %s, last served by claim %d (claim 0: never)",
					t.number, l, last, other, t.served[other])
			}
		}
	}
	t.c.equal(fmt.Sprintf("size of claim %d", t.number), total, limit)
	for l := range got {
		t.served[l] = t.number
	}
}
