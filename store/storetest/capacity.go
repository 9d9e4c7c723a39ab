package storetest

import (
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

var capacityRules = []rule{
	{"limit", "A claim returns at most Limit.Deliveries, and the next claims the rest.", func(c *check) {
		c.create("a", "b")
		c.enqueue(0, job{n: 1}, job{n: 2}, job{n: 3, hook: "b"}, job{n: 4, step: 1}, job{n: 5})
		var got []int
		for _, size := range []int{2, 2, 1, 0} {
			ns := c.take(0, 2)
			c.equal("size of a claim", len(ns), size)
			got = append(got, ns...)
		}
		c.equal("claimed in all", sorted(got), []int{1, 2, 3, 4, 5})
	}},
	{"limit_bytes", "A claim returns deliveries until the data of their events has reached Limit.Bytes, which only the last of them may exceed.", func(c *check) {
		c.create("a", "b")
		c.fillLike(10, job{n: 0, size: 100})
		c.fillLike(10, job{n: 10, hook: "b", size: 100})
		c.fits(3, hooks.ClaimRequest{Limit: hooks.Capacity{Deliveries: many, Bytes: 201}})
		c.fits(3, hooks.ClaimRequest{Limit: hooks.Capacity{Deliveries: many, Bytes: 300}})
		c.fits(1, hooks.ClaimRequest{Limit: hooks.Capacity{Deliveries: many, Bytes: 1}})
		c.fits(2, hooks.ClaimRequest{Limit: hooks.Capacity{Deliveries: 2, Bytes: 1000}})
		c.fits(11, hooks.ClaimRequest{Limit: upTo(many)})
	}},
	{"each", "An event counts for each of its deliveries.", func(c *check) {
		c.create("a", "b", "c", "d")
		c.enqueue(0, job{n: 1, event: "x", size: 100}, job{n: 2, event: "x", hook: "b"}, job{n: 3, event: "x", hook: "c"}, job{n: 4, event: "x", hook: "d"})
		c.fits(3, hooks.ClaimRequest{Limit: hooks.Capacity{Deliveries: many, Bytes: 201}})
	}},
	{"whole", "As long as Limit has capacity left, a claim skips no due delivery for which its tenant and its hook have capacity.", func(c *check) {
		for i, hook := range []string{"a", "b", "c", "d"} {
			c.create(hook)
			c.fill(hook, 100*i, 5, 0)
			c.fill(hook, 100*i+50, 5, 1)
		}
		claimed, _ := c.request(hooks.ClaimRequest{Now: start, Limit: upTo(4), PerHook: 1})
		c.equal("claimed with PerHook 1", len(perHook(claimed)), 4)
		capacity := map[hooks.Ref]int{{Tenant: home, ID: "a"}: 0, {Tenant: home, ID: "b"}: 1}
		claimed, _ = c.request(hooks.ClaimRequest{Now: start, Limit: upTo(9), Hooks: capacity})
		c.equal("claimed with Hooks", len(claimed), 9)
		c.fits(12, hooks.ClaimRequest{Limit: upTo(12), PerTenant: upTo(20)})
		c.fits(15, hooks.ClaimRequest{Limit: hooks.Capacity{Deliveries: many, Bytes: 1 << 20}, Tenants: map[string]hooks.Capacity{away: {}}})
	}},
	{"per_tenant", "A claim returns at most PerTenant.Deliveries of one tenant, whatever their hook; 0 means any number.", func(c *check) {
		c.two(10)
		c.tenants(map[string]int{home: 3, away: 3}, hooks.ClaimRequest{Limit: upTo(many), PerTenant: upTo(3)})
		c.tenants(map[string]int{home: 17, away: 17}, hooks.ClaimRequest{Limit: upTo(many)})
	}},
	{"per_tenant_bytes", "A claim returns deliveries of one tenant until the data of their events has reached PerTenant.Bytes.", func(c *check) {
		c.two(10)
		c.tenants(map[string]int{home: 3, away: 3}, hooks.ClaimRequest{Limit: upTo(many), PerTenant: hooks.Capacity{Bytes: 201}})
		c.tenants(map[string]int{home: 1, away: 1}, hooks.ClaimRequest{Limit: upTo(many), PerTenant: hooks.Capacity{Deliveries: 1, Bytes: 201}})
		c.tenants(map[string]int{home: 16, away: 16}, hooks.ClaimRequest{Limit: upTo(many), PerTenant: hooks.Capacity{Deliveries: 20, Bytes: 1 << 20}})
	}},
	{"tenants", "For a tenant in Tenants, its Capacity there is the bound, whatever PerTenant says.", func(c *check) {
		c.two(20)
		capacity := map[string]hooks.Capacity{home: upTo(5), "nobody": upTo(1)}
		c.tenants(map[string]int{home: 5, away: 2}, hooks.ClaimRequest{Limit: upTo(many), PerTenant: upTo(2), Tenants: capacity})
		c.tenants(map[string]int{away: 2}, hooks.ClaimRequest{Limit: upTo(many), PerTenant: upTo(2), Tenants: map[string]hooks.Capacity{home: {}}})
		c.tenants(map[string]int{away: 2}, hooks.ClaimRequest{Limit: upTo(many), PerTenant: upTo(2), Tenants: map[string]hooks.Capacity{home: {Bytes: 1000}}})
		capacity = map[string]hooks.Capacity{home: {Deliveries: 10, Bytes: 301}, away: {Deliveries: 3, Bytes: 1000}}
		c.tenants(map[string]int{home: 4, away: 3}, hooks.ClaimRequest{Limit: upTo(many), PerTenant: hooks.Capacity{Deliveries: 1, Bytes: 1}, Tenants: capacity})
	}},
	{"per_hook", "A claim returns at most PerHook deliveries of one hook, whatever their lane; 0 means any number.", func(c *check) {
		c.create("a", "b")
		c.fill("a", 0, 6, 0)
		c.fill("a", 6, 6, 1)
		c.fill("b", 12, 1, 0)
		claimed, _ := c.request(hooks.ClaimRequest{Now: start, Limit: upTo(many), PerHook: 3})
		c.equal("claimed with PerHook 3", perHook(claimed), map[hooks.Ref]int{{Tenant: home, ID: "a"}: 3, {Tenant: home, ID: "b"}: 1})
		c.equal("claimed with PerHook 0", len(c.claim(0, many)), 9)
	}},
	{"hooks", "For a hook in Hooks, the number there is the bound, whatever PerHook says.", func(c *check) {
		c.create("a", "b", "c", "d")
		for i, hook := range []string{"a", "b", "c", "d"} {
			c.fill(hook, 10*i, 5, i%2)
		}
		a, b, d := hooks.Ref{Tenant: home, ID: "a"}, hooks.Ref{Tenant: home, ID: "b"}, hooks.Ref{Tenant: home, ID: "c"}
		capacity := map[hooks.Ref]int{a: 0, b: 4, d: 1, {Tenant: home, ID: "none"}: 3}
		claimed, _ := c.request(hooks.ClaimRequest{Now: start, Limit: upTo(many), PerHook: 2, Hooks: capacity})
		c.equal("claimed with PerHook 2", perHook(claimed), map[hooks.Ref]int{b: 4, d: 1, {Tenant: home, ID: "d"}: 2})
		claimed, _ = c.request(hooks.ClaimRequest{Now: start, Limit: upTo(many), Hooks: map[hooks.Ref]int{a: 2}})
		c.equal("claimed with Hooks alone", perHook(claimed), map[hooks.Ref]int{a: 2, b: 1, d: 4, {Tenant: home, ID: "d"}: 3})
	}},
	{"together", "The bounds for all, for a tenant and for a hook hold at the same time.", func(c *check) {
		c.two(20)
		r := hooks.ClaimRequest{Limit: upTo(many), PerTenant: hooks.Capacity{Deliveries: 9, Bytes: 501}, PerHook: 4, Hooks: map[hooks.Ref]int{{Tenant: away, ID: "a"}: 1}}
		c.tenants(map[string]int{home: 6, away: 5}, r)
		r.Limit.Bytes = 301
		c.tenants(map[string]int{home: 2, away: 2}, r)
		r.Limit, r.Tenants = upTo(5), map[string]hooks.Capacity{home: upTo(1)}
		c.tenants(map[string]int{home: 1, away: 4}, r)
	}},
	{"keeps_turn", "A tenant that is skipped for lack of capacity, its own or its hooks', keeps its turn.", func(c *check) {
		c.two(20)
		c.createFor("third", "a")
		c.fillLike(20, job{n: 200, tenant: "third"})
		t := turnsOf(c, tenantOf)
		t.keeps(hooks.ClaimRequest{}, func(r *hooks.ClaimRequest, tenant string) { r.Tenants = map[string]hooks.Capacity{tenant: {}} })
		t.keeps(hooks.ClaimRequest{}, func(r *hooks.ClaimRequest, tenant string) {
			r.Hooks = map[hooks.Ref]int{{Tenant: tenant, ID: "a"}: 0, {Tenant: tenant, ID: "b"}: 0}
		})
	}},
	{"keeps_lane", "A lane that is skipped for lack of capacity keeps its turn.", func(c *check) {
		c.two(20)
		c.create("c")
		c.fill("c", 200, 20, 1)
		alone := hooks.ClaimRequest{Tenants: map[string]hooks.Capacity{away: {}}}
		turnsOf(c, laneOf).keeps(alone, func(r *hooks.ClaimRequest, lane string) {
			r.Hooks = map[hooks.Ref]int{{Tenant: home, ID: lane[:1]}: 0}
		})
	}},
}

// keeps fails unless the one whose turn it is, of three, has its turn after a claim
// that had no capacity for it.
func (t *turns) keeps(r hooks.ClaimRequest, fill func(r *hooks.ClaimRequest, name string)) {
	t.c.Helper()
	r.Now, r.Limit = start, upTo(1)
	order := []string{t.next(r), t.next(r), t.next(r)}
	full := r
	fill(&full, order[0])
	t.c.equal("whose turn it is while "+order[0]+" has no capacity", t.next(full), order[1])
	t.c.equal("whose turn it is then", t.next(r), order[0])
}

// two creates the hooks a and b for each of the tenants home and away, and count
// deliveries with 100 bytes of data for each hook.
func (c *check) two(count int) {
	c.Helper()
	for i, tenant := range []string{home, away} {
		c.createFor(tenant, "a", "b")
		c.fillLike(count, job{n: 100 * i, tenant: tenant, size: 100})
		c.fillLike(count, job{n: 100*i + 50, tenant: tenant, hook: "b", size: 100})
	}
}

// fits fails unless a claim returns as many deliveries as wanted.
func (c *check) fits(want int, r hooks.ClaimRequest) {
	c.Helper()
	r.Now = start
	claimed, _ := c.request(r)
	c.equal("number of deliveries claimed", len(claimed), want)
}

// tenants fails unless a claim returns as many deliveries of each tenant as wanted.
func (c *check) tenants(want map[string]int, r hooks.ClaimRequest) {
	c.Helper()
	r.Now, r.Until = start, at(time.Hour)
	claimed, _ := c.request(r)
	c.equal("deliveries claimed of each tenant", count(claimed, tenantOf), want)
}
