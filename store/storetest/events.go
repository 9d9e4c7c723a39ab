package storetest

import (
	"slices"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

var eventRules = []rule{
	{"stored", "Enqueue stores events with their deliveries.", func(c *check) {
		keyed := fullEvent("order-1")
		keyed.OrderingKey = "order-17 ☃"
		list := []hooks.Entry{
			entry(0, keyed, job{n: 1, due: time.Second, step: 2}, job{n: 2, hook: "b"}),
			entry(0, fullEvent("order-2"), job{n: 3, leased: time.Minute}, job{n: 4, hook: "b", due: time.Hour}),
		}
		want := slices.Concat(list[0].Deliveries, list[1].Deliveries)
		c.ok(c.Enqueue(c.Context(), start, list))
		wantKeyed := *fullEvent("order-1")
		wantKeyed.OrderingKey = "order-17 ☃"
		c.equal("events", c.events(home, "order-1", "order-2"), []hooks.Event{wantKeyed, *fullEvent("order-2")})
		got := c.deliveries(home)
		slices.Reverse(got)
		c.equal("deliveries", got, want)
		c.equal("attempts", c.attempts(home), []hooks.Attempt{})
	}},
	{"alone", "An event without deliveries is stored too.", func(c *check) {
		event := fullEvent("lonely")
		c.ok(c.Enqueue(c.Context(), start, []hooks.Entry{{Event: event}}))
		c.equal("events", c.events(home, "lonely"), []hooks.Event{*fullEvent("lonely")})
		c.ok(c.Enqueue(c.Context(), start, nil))
	}},
	{"ids", "Events returns the events of the tenant with these IDs that exist.", func(c *check) {
		c.enqueue(0, job{n: 1}, job{n: 2}, job{n: 3})
		c.equal("two of three", eventIDs(c.events(home, eventID(3), "none", eventID(1))), []string{eventID(1), eventID(3)})
		c.equal("unknown", c.events(home, "none", "EVENT-01"), []hooks.Event{})
		c.equal("no IDs", c.events(home), []hooks.Event{})
	}},
	{"duplicate", "An event whose ID the tenant has used already makes Enqueue return an error that wraps ErrDuplicate, and nothing is stored.", func(c *check) {
		c.create("a")
		c.enqueue(0, job{n: 1, leased: time.Minute})
		c.end(0, 1, succeeded)
		before := c.snapshot()
		err := c.Enqueue(c.Context(), at(ms), entries(ms, job{n: 2}, job{n: 3, event: eventID(1)}, job{n: 4}))
		c.is("Enqueue", err, hooks.ErrDuplicate)
		c.unchanged("refused Enqueue", before)
		c.enqueue(2*ms, job{n: 2}, job{n: 4})
		c.equal("claimed after a second try", c.take(2*ms, many), []int{2, 4})
	}},
	{"duplicate_within", "An event whose ID has been used within the call makes Enqueue return an error that wraps ErrDuplicate, and nothing is stored.", func(c *check) {
		before := c.snapshot()
		err := c.Enqueue(c.Context(), start, entries(0, job{n: 1}, job{n: 2}, job{n: 3, event: eventID(1)}))
		c.is("Enqueue", err, hooks.ErrDuplicate)
		c.unchanged("refused Enqueue", before)
		c.equal("claimed", c.take(0, many), []int{})
	}},
	{"duplicate_key", "A refused Enqueue does not change who waits for its ordering keys.", func(c *check) {
		c.enqueue(0, job{n: 1})
		err := c.Enqueue(c.Context(), start, entries(0, job{n: 2, key: "k"}, job{n: 3, event: eventID(1)}))
		c.is("Enqueue", err, hooks.ErrDuplicate)
		c.enqueue(0, job{n: 2, key: "k"})
		c.equal("states", c.states(2), []hooks.State{pending})
	}},
	{"leased", "A delivery may be enqueued as leased with Token 1: it is leased until its lease ends, and then it is due.", func(c *check) {
		c.enqueue(0, job{n: 1, leased: time.Second}, job{n: 2, leased: time.Second})
		c.equal("claimed at once", c.take(0, many), []int{})
		c.end(500*ms, 2, succeeded)
		c.equal("claimed a millisecond early", c.take(time.Second-ms, many), []int{})
		claimed := c.claim(time.Second, many)
		c.equal("claimed in the end", numbers(claimed), []int{1})
		c.equal("lease", c.delivery(1).Lease, hooks.Lease{Owner: "manager", Token: 2, Until: at(time.Second + leaseTime)})
	}},
	{"no_hook", "A delivery may be enqueued for a hook that has been deleted meanwhile: it is stored, claimed and settled like any other.", func(c *check) {
		c.create("a")
		c.enqueue(0, job{n: 1, key: "k"})
		c.ok(c.DeleteHook(c.Context(), hooks.Ref{Tenant: home, ID: "a"}, at(ms)))
		c.enqueue(2*ms, job{n: 2, key: "k"}, job{n: 3, leased: time.Minute})
		c.equal("claimed first", c.take(3*ms, many), []int{1})
		c.end(4*ms, 1, cancelled)
		c.equal("claimed second", c.take(5*ms, many), []int{2})
		c.end(6*ms, 2, dead)
		c.end(6*ms, 3, succeeded)
		c.equal("states", c.states(1, 2, 3), []hooks.State{cancelled, dead, succeeded})
		c.equal("attempts", len(c.attempts(home)), 2)
		c.equal("hooks", c.hooksOf(home), []hooks.Hook{})
	}},
}

func eventIDs(events []hooks.Event) []string {
	ids := make([]string, len(events))
	for i, e := range events {
		ids[i] = e.ID
	}
	return ids
}
