package storetest

import (
	"fmt"
	"maps"

	"github.com/seed-2c6e3a5a/hooks"
)

var turnRules = []rule{
	{"even", "While others have due deliveries, a tenant gets no more of a claim than they do, however many hooks it has.", func(c *check) {
		c.manyHooks(40, 3)
		c.createFor(away, "a")
		c.fillLike(40, job{n: 200, tenant: away})
		c.tenants(map[string]int{home: 10, away: 10}, hooks.ClaimRequest{Limit: upTo(20)})
		c.tenants(map[string]int{home: 25, away: 25}, hooks.ClaimRequest{Limit: upTo(50)})
	}},
	{"uneven", "Capacity for which a tenant has no deliveries, or that exceeds its own, goes to the others.", func(c *check) {
		c.manyHooks(10, 5)
		c.createFor(away, "a")
		c.fillLike(3, job{n: 200, tenant: away})
		c.createFor("third", "a")
		c.fillLike(30, job{n: 300, tenant: "third"})
		capacity := map[string]hooks.Capacity{"third": upTo(4)}
		c.tenants(map[string]int{home: 13, away: 3, "third": 4}, hooks.ClaimRequest{Limit: upTo(20), Tenants: capacity})
		c.tenants(map[string]int{home: 10, "third": 10}, hooks.ClaimRequest{Limit: upTo(20)})
	}},
	{"backlog", "A tenant gets no more because it was due earlier, has retries or has more waiting.", func(c *check) {
		c.create("a")
		c.fill("a", 0, 100, 0)
		c.fill("a", 100, 100, 1)
		c.createFor(away, "a")
		c.enqueue(ms, job{n: 200, tenant: away, due: ms}, job{n: 201, tenant: away, due: ms}, job{n: 202, tenant: away, due: ms})
		claimed, _ := c.request(hooks.ClaimRequest{Now: at(2 * ms), Limit: upTo(6)})
		c.equal("deliveries claimed of each tenant", count(claimed, tenantOf), map[string]int{home: 3, away: 3})
	}},
	{"turns", "From one claim to the next, of two tenants that have due deliveries neither gets two before the other gets one.", func(c *check) {
		c.manyHooks(20, 5)
		c.createFor(away, "a", "b")
		c.fillLike(20, job{n: 200, tenant: away})
		c.fillLike(20, job{n: 250, tenant: away, hook: "b"})
		c.createFor("third", "a")
		c.fillLike(40, job{n: 300, tenant: "third"})
		t := turnsOf(c, tenantOf, home, away, "third")
		for _, limit := range []int{1, 1, 1, 1, 2, 2, 2, 1, 4, 5, 1, 7, 2, 3, 1, 1, 4} {
			t.claim(limit)
		}
	}},
	{"lanes", "Within a tenant lanes take turns from one claim to the next, whatever other tenants get meanwhile.", func(c *check) {
		c.create("a", "b")
		c.fill("a", 0, 30, 0)
		c.fill("a", 30, 30, 1)
		c.fill("b", 60, 30, 0)
		c.createFor(away, "x")
		c.fillLike(60, job{n: 100, tenant: away, hook: "x"})
		t := turnsOf(c, laneOf, "a/first", "a/retry", "b/first")
		for _, limit := range []int{2, 1, 1, 1, 4, 5, 1, 7, 2, 3, 1, 1, 4} {
			t.claim(limit)
		}
	}},
	{"newcomer", "A tenant that has become due since the last claim comes after those that have waited, also if it has waited or been served before.", func(c *check) {
		c.manyHooks(5, 4)
		for i, tenant := range []string{away, "third"} {
			c.createFor(tenant, "a")
			c.fillLike(20, job{n: 200 + 100*i, tenant: tenant})
		}
		t := turnsOf(c, tenantOf, home, away, "third")
		t.claim(4)
		c.createFor("fourth", "a")
		for n := range 3 {
			c.enqueue(0, job{n: 500 + n, tenant: "fourth"})
			t.join("fourth")
			for t.claim(1)["fourth"] == 0 {
				if c.Failed() {
					return
				}
			}
			t.leave("fourth")
		}
		c.enqueue(0, job{n: 600, tenant: "fourth"})
		t.claim(1) // From here on the tenant has a turn.
		_, err := c.Cancel(c.Context(), start, "fourth", id(600), "")
		c.ok(err)
		c.enqueue(0, job{n: 601, tenant: "fourth"})
		t.join("fourth")
		for range 4 {
			t.claim(1)
		}
	}},
}

// manyHooks creates hooks of the tenant home, each with that many deliveries,
// numbered from 0.
func (c *check) manyHooks(hooks, deliveries int) {
	c.Helper()
	for i := range hooks {
		c.create(hookName(i))
		c.fill(hookName(i), i*deliveries, deliveries, 0)
	}
}

// count counts the deliveries of each tenant, or of each lane.
func count(claimed []hooks.Claimed, of func(hooks.Delivery) string) map[string]int {
	count := map[string]int{}
	for _, cl := range claimed {
		count[of(cl.Delivery)]++
	}
	return count
}

func tenantOf(d hooks.Delivery) string { return d.Tenant }

func laneOf(d hooks.Delivery) string {
	if d.Step == 0 {
		return d.HookID + "/first"
	}
	return d.HookID + "/retry"
}

// leads says of two tenants, or two lanes, how many deliveries more the first got
// than the second: the maximum over all series of claims that end with the last one.
// A lead ends when the second has nothing due or no capacity.
type leads map[[2]string]int

// add adds what a claim gave to each. Those that wait have due deliveries and
// capacity even after it. If one has got two before another that waits got one, add
// says which.
func (l leads) add(got map[string]int, waits map[string]bool) (unfair string) {
	l.keep(waits)
	for second := range waits {
		for first := range got {
			l[[2]string{first, second}] += 0
		}
	}
	for pair, lead := range l {
		first, second := pair[0], pair[1]
		l[pair] = max(0, lead) + got[first] - got[second]
		if first != second && l[pair] > 1 {
			unfair = fmt.Sprintf("%s got %d, and has got %d more than %s, which waits all the time and got %d",
				first, got[first], l[pair], second, got[second])
		}
	}
	return unfair
}

// keep ends the leads over those that do not wait.
func (l leads) keep(waits map[string]bool) {
	maps.DeleteFunc(l, func(pair [2]string, _ int) bool { return !waits[pair[1]] })
}

// A turns checks a series of claims for tenants, or lanes, that always have something
// due.
type turns struct {
	c      *check
	of     func(hooks.Delivery) string
	number int             // Counts the claims.
	waits  map[string]bool // Those that have due deliveries.
	leads  leads
}

func turnsOf(c *check, of func(hooks.Delivery) string, waiting ...string) *turns {
	t := &turns{c: c, of: of, waits: map[string]bool{}, leads: leads{}}
	for _, name := range waiting {
		t.waits[name] = true
	}
	return t
}

// join adds one that has become due. It is as if it had just been served.
func (t *turns) join(name string) {
	for other := range t.waits {
		t.leads[[2]string{name, other}] = 1
	}
	t.waits[name] = true
}

// leave takes one out that has nothing due any more.
func (t *turns) leave(name string) {
	delete(t.waits, name)
	t.leads.keep(t.waits)
}

// claim claims up to limit deliveries, fails if a turn was left out, and returns how
// many each of those that wait got.
func (t *turns) claim(limit int) map[string]int {
	t.c.Helper()
	t.number++
	got := count(t.c.claim(0, limit), t.of)
	total := 0
	for _, n := range got {
		total += n
	}
	t.c.equal(fmt.Sprintf("size of claim %d", t.number), total, limit)
	maps.DeleteFunc(got, func(name string, _ int) bool { return !t.waits[name] })
	if unfair := t.leads.add(got, t.waits); unfair != "" {
		t.c.Errorf("claim %d: %s", t.number, unfair)
	}
	return got
}

// next claims one delivery and returns whose it was.
func (t *turns) next(r hooks.ClaimRequest) string {
	t.c.Helper()
	claimed, _ := t.c.request(r)
	return t.of(first(t.c, claimed).Delivery)
}
