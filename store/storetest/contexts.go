package storetest

import (
	"context"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

var contextRules = []rule{
	{"cancelled", "A context that has been cancelled makes every method return context.Canceled, having written nothing.", func(c *check) {
		ctx, cancel := context.WithCancel(c.Context())
		cancel()
		c.refusesAll(ctx, context.Canceled)
	}},
	{"deadline", "A context whose deadline has passed makes every method return context.DeadlineExceeded, having written nothing.", func(c *check) {
		ctx, cancel := context.WithDeadline(c.Context(), time.Unix(0, 0))
		defer cancel()
		c.refusesAll(ctx, context.DeadlineExceeded)
	}},
	{"meanwhile", "A context that ends during a call makes it return the context's error, having written nothing, or does nothing to it.", func(c *check) {
		for n := range 20 {
			event := eventID(n)
			list := entries(0, job{n: 2 * n, event: event}, job{n: 2*n + 1, event: event + "-too"})
			ctx, cancel := context.WithCancel(c.Context())
			go cancel()
			err := c.Enqueue(ctx, start, list)
			cancel()
			want := 2
			if err != nil {
				c.is("Enqueue", err, context.Canceled)
				want = 0
			}
			c.equal("events stored", len(c.events(home, event, event+"-too")), want)
			c.equal("deliveries claimed", len(c.claim(0, many)), want)
		}
	}},
}

// refusesAll calls every method with a context that has ended.
func (c *check) refusesAll(ctx context.Context, want error) {
	c.Helper()
	c.create("a")
	c.everyState()
	before := c.snapshot()
	h := plainHook(home, "a")
	for _, call := range []struct {
		name string
		call func() error
	}{
		{"CreateHook", func() error { return c.CreateHook(ctx, plainHook(home, "b")) }},
		{"UpdateHook", func() error { return c.UpdateHook(ctx, h) }},
		{"DeleteHook", func() error { return c.DeleteHook(ctx, h.Ref(), start) }},
		{"Hooks", func() error { _, err := c.Hooks(ctx, hooks.HookQuery{Tenant: home}); return err }},
		{"HookChanges", func() error { _, err := c.HookChanges(ctx, 0, many); return err }},
		{"Enqueue", func() error { return c.Enqueue(ctx, start, entries(0, job{n: 9})) }},
		{"Claim", func() error {
			_, _, err := c.Claim(ctx, hooks.ClaimRequest{Owner: "manager", Now: at(24 * time.Hour), Until: at(25 * time.Hour), Limit: many})
			return err
		}},
		{"Settle", func() error {
			_, err := c.Settle(ctx, at(time.Second), []hooks.Settlement{{DeliveryID: id(3), Token: 1, State: succeeded}})
			return err
		}},
		{"Redeliver", func() error { _, err := c.Redeliver(ctx, at(time.Second), home, id(4)); return err }},
		{"Cancel", func() error { _, err := c.Cancel(ctx, at(time.Second), home, id(2), ""); return err }},
		{"Events", func() error { _, err := c.Events(ctx, home, []string{eventID(1)}); return err }},
		{"Deliveries", func() error { _, err := c.Deliveries(ctx, hooks.LogQuery{Tenant: home}); return err }},
		{"Attempts", func() error { _, err := c.Attempts(ctx, hooks.LogQuery{Tenant: home}); return err }},
		{"Stats", func() error { _, err := c.Stats(ctx, home, []string{"a"}, start, at(time.Hour)); return err }},
		{"Purge", func() error { _, err := c.Purge(ctx, at(24*time.Hour), many); return err }},
	} {
		c.is(call.name, call.call(), want)
		c.unchanged(call.name+" with a context that has ended", before)
	}
}
