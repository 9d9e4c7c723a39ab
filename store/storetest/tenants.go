package storetest

import (
	"fmt"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

var tenantRules = []rule{
	{"hooks", "The hooks of one tenant are not seen, changed or deleted by way of another, whatever their IDs.", func(c *check) {
		c.create("a", "mine")
		theirs := fullHook("a")
		theirs.Tenant = away
		c.ok(c.CreateHook(c.Context(), theirs, 0))
		mine := []hooks.Hook{plainHook(home, "mine"), plainHook(home, "a")}
		c.equal("mine", c.hooksOf(home), mine)
		c.equal("theirs", c.hooksOf(away), []hooks.Hook{theirs})

		before := c.snapshot()
		c.is("UpdateHook", c.UpdateHook(c.Context(), plainHook(away, "mine")), hooks.ErrNotFound)
		c.is("DeleteHook", c.DeleteHook(c.Context(), hooks.Ref{Tenant: away, ID: "mine"}, start), hooks.ErrNotFound)
		c.unchanged("refused call", before)
		page, err := c.Hooks(c.Context(), hooks.HookQuery{Tenant: away, IDs: []string{"mine", "a"}, PageQuery: hooks.PageQuery{CountTo: many}})
		c.ok(err)
		c.equal("theirs by ID", page, hooks.Page[hooks.Hook]{Items: []hooks.Hook{theirs}, Total: 1})

		theirs.Name = "changed"
		c.ok(c.UpdateHook(c.Context(), theirs))
		c.equal("mine after an update of theirs", c.hooksOf(home), mine)
		c.ok(c.DeleteHook(c.Context(), theirs.Ref(), start))
		c.equal("mine after theirs was deleted", c.hooksOf(home), mine)
		c.equal("theirs in the end", c.hooksOf(away), []hooks.Hook{})
	}},
	{"events", "Each tenant has event IDs of its own.", func(c *check) {
		c.enqueue(0, job{n: 1, event: "x"}, job{n: 2, event: "x", tenant: away}, job{n: 3, event: "mine"})
		c.is("Enqueue", c.Enqueue(c.Context(), start, entries(0, job{n: 4, event: "x", tenant: away})), hooks.ErrDuplicate)
		mine, theirs := c.events(home, "x", "mine"), c.events(away, "x", "mine")
		c.equal("mine", mine, []hooks.Event{*entries(0, job{n: 3, event: "mine"})[0].Event, *entries(0, job{n: 1, event: "x"})[0].Event})
		c.equal("theirs", theirs, []hooks.Event{*entries(0, job{n: 2, event: "x", tenant: away})[0].Event})
		for _, cl := range c.claim(0, many) {
			c.equal("tenant of the event of "+cl.Delivery.ID, cl.Event.Tenant, cl.Delivery.Tenant)
		}
	}},
	{"logs", "Deliveries, Attempts and Stats see what belongs to the tenant, and nothing else.", func(c *check) {
		for n, tenant := range []string{home, away, home} {
			c.enqueue(0, job{n: n, tenant: tenant, event: fmt.Sprint("x", n/2), leased: time.Hour})
		}
		c.settle(time.Second, outcome(c.delivery(0), 0, succeeded), outcome(first(c, c.deliveries(away)), 0, dead), outcome(c.delivery(2), 0, succeeded))
		narrow := hooks.LogQuery{Tenant: away, HookID: "a", EventID: "x0", DeliveryIDs: []string{id(0), id(1), id(2)}, PageQuery: hooks.PageQuery{CountTo: many}}
		for _, q := range []hooks.LogQuery{narrow, {Tenant: away, PageQuery: narrow.PageQuery}} {
			deliveries, err := c.Deliveries(c.Context(), q)
			c.ok(err)
			c.equal("deliveries", deliveries, hooks.Page[hooks.Delivery]{Items: c.deliveries(away), Total: 1})
			attempts, err := c.Attempts(c.Context(), q)
			c.ok(err)
			c.equal("attempts", attempts, hooks.Page[hooks.Attempt]{Items: c.attempts(away), Total: 1})
		}
		c.equal("deliveries of mine", c.deliveryNumbers(hooks.LogQuery{}), []int{2, 0})
		c.equal("attempts of mine", attemptNames(c.attempts(home)), []string{"2#1", "0#1"})
		c.equal("stats of mine", c.stats(0, time.Hour, "a"), map[string]hooks.Stats{"a": {Deliveries: 2, Successes: 2}})
		theirs, err := c.Stats(c.Context(), away, []string{"a"}, start, at(time.Hour))
		c.ok(err)
		c.equal("stats of theirs", counts(theirs["a"]), [3]int{1, 0, 1})
		none, err := c.Stats(c.Context(), "", []string{"a"}, start, at(time.Hour))
		c.ok(err)
		c.equal("stats of nobody", none, map[string]hooks.Stats{"a": {}})
	}},
	{"states", "Redeliver and Cancel return ErrNotFound for another tenant's delivery, whatever its state.", func(c *check) {
		c.create("a")
		c.everyState()
		before := c.snapshot()
		for n := 1; n <= 7; n++ {
			_, err := c.Redeliver(c.Context(), at(time.Second), away, id(n))
			c.is(fmt.Sprintf("Redeliver of delivery %d", n), err, hooks.ErrNotFound)
			_, err = c.Cancel(c.Context(), at(time.Second), away, id(n), "")
			c.is(fmt.Sprintf("Cancel of delivery %d", n), err, hooks.ErrNotFound)
		}
		c.unchanged("refused call", before)
	}},
	{"health", "A settlement changes the health of its own tenant's hook.", func(c *check) {
		c.create("a")
		c.ok(c.CreateHook(c.Context(), plainHook(away, "a"), 0))
		c.enqueue(0, job{n: 1, leased: time.Hour}, job{n: 2, tenant: away}, job{n: 3})
		c.throttle(time.Second, 1, time.Hour)
		c.equal("failures of mine", c.hook(home, "a").Health.Failures, 1)
		c.equal("health of theirs", c.hook(away, "a").Health, hooks.Health{})
		c.equal("claimed", c.take(time.Minute, many), []int{2})
	}},
	{"ordering", "Ordering keys of hooks of two tenants have nothing to do with each other.", func(c *check) {
		c.create("a")
		c.ok(c.CreateHook(c.Context(), plainHook(away, "a"), 0))
		c.enqueue(0, job{n: 1, key: "k"}, job{n: 2, key: "k", tenant: away}, job{n: 3, key: "k", tenant: away}, job{n: 4, key: "k"})
		c.equal("claimed", sorted(c.take(0, many)), []int{1, 2})
		c.end(0, 1, succeeded)
		c.equal("claimed next", c.take(ms, many), []int{4})
	}},
	{"limits", "PerHook and Hooks count the hooks of two tenants apart.", func(c *check) {
		c.create("a")
		c.ok(c.CreateHook(c.Context(), plainHook(away, "a"), 0))
		for n := range 12 {
			c.enqueue(0, job{n: n, tenant: []string{home, away}[n%2]})
		}
		mine, theirs := hooks.Ref{Tenant: home, ID: "a"}, hooks.Ref{Tenant: away, ID: "a"}
		claimed, _ := c.request(hooks.ClaimRequest{Now: start, Limit: upTo(many), PerHook: 2})
		c.equal("claimed by PerHook", perHook(claimed), map[hooks.Ref]int{mine: 2, theirs: 2})
		claimed, _ = c.request(hooks.ClaimRequest{Now: start, Limit: upTo(many), PerHook: 2, Hooks: map[hooks.Ref]int{mine: 3}})
		c.equal("claimed by Hooks", perHook(claimed), map[hooks.Ref]int{mine: 3, theirs: 2})
	}},
	{"names", "Tenants and IDs are compared byte for byte, and each by itself.", func(c *check) {
		refs := []hooks.Ref{
			{ID: "a"}, {Tenant: "a", ID: "a"}, {Tenant: "A", ID: "a"}, {Tenant: "a", ID: "A"}, {Tenant: "a ", ID: "a"},
			{Tenant: "a-b", ID: "c"}, {Tenant: "a", ID: "b-c"}, {Tenant: "a_b", ID: "c"}, {Tenant: "a%", ID: "c"}, {Tenant: "a:b", ID: "c"},
			{Tenant: "\u00e4", ID: "a"}, {Tenant: "a\u0308", ID: "a"}, {Tenant: `a"b'\`, ID: "a"}, {Tenant: "a,b", ID: "c"}, {Tenant: "a|b", ID: "c"},
		}
		for n, ref := range refs {
			c.ok(c.CreateHook(c.Context(), plainHook(ref.Tenant, ref.ID), 0))
			d := job{n: n, hook: ref.ID, event: "x-" + ref.ID, key: "k"}.delivery(0)
			d.Tenant = ref.Tenant
			event := &hooks.Event{ID: d.EventID, Tenant: ref.Tenant, Type: d.EventType, OrderingKey: "k", Time: start}
			c.ok(c.Enqueue(c.Context(), start, []hooks.Entry{{Event: event, Deliveries: []hooks.Delivery{d}}}))
		}
		c.equal("claimed", len(c.claim(0, many)), len(refs))
		for n, ref := range refs {
			page, err := c.Hooks(c.Context(), hooks.HookQuery{Tenant: ref.Tenant, IDs: []string{ref.ID}})
			c.ok(err)
			c.equal(fmt.Sprintf("hooks of %+v", ref), page.Items, []hooks.Hook{plainHook(ref.Tenant, ref.ID)})
			deliveries, err := c.Deliveries(c.Context(), hooks.LogQuery{Tenant: ref.Tenant, HookID: ref.ID})
			c.ok(err)
			if len(deliveries.Items) != 1 || deliveries.Items[0].ID != id(n) {
				c.Errorf("deliveries of %+v: got %+v, want delivery %d", ref, deliveries.Items, n)
			}
			c.equal(fmt.Sprintf("events of %+v", ref), eventIDs(c.events(ref.Tenant, "x-"+ref.ID)), []string{"x-" + ref.ID})
		}
		c.ok(c.DeleteHook(c.Context(), refs[1], start))
		c.equal("changes", len(c.changed(0)), len(refs))
	}},
}
