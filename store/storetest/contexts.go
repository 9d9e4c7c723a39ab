package storetest

import (
	"context"
	"sync/atomic"
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
	{"meanwhile", "A context that ends during a call makes it return the context's error, having written nothing, or comes too late and has no effect.", func(c *check) {
		c.create("a")
		for n := range 19 {
			list := entries(0, job{n: 2 * n, event: eventID(n)}, job{n: 2*n + 1, event: "too-" + eventID(n), leased: time.Minute})
			before := c.snapshot()
			if err := c.Enqueue(endsAfter(c, n), start, list); err != nil {
				c.is("Enqueue", err, context.Canceled)
				c.unchanged("interrupted Enqueue", before)
				c.ok(c.Enqueue(c.Context(), start, list))
			}
			before = c.snapshot()
			s := outcome(c.delivery(2*n+1), 0, dead)
			if settled, err := c.Settle(endsAfter(c, n), start, []hooks.Settlement{s}); err != nil {
				c.is("Settle", err, context.Canceled)
				c.unchanged("interrupted Settle", before)
				c.endWith(0, s)
			} else {
				c.is("settlement", refusal(first(c, settled)), nil)
			}
			c.equal("events", len(c.events(home, eventID(n), "too-"+eventID(n))), 2)
			c.expect("in the end", []int{2 * n, 2*n + 1}, pending, dead)
		}
	}},
}

// An ending context is cancelled after it has been checked a few times, so that it
// ends at each of the places where a store checks it.
type ending struct {
	context.Context
	cancel context.CancelFunc
	looks  atomic.Int64
}

func endsAfter(c *check, looks int) context.Context {
	ctx, cancel := context.WithCancel(c.Context())
	c.Cleanup(cancel)
	e := &ending{Context: ctx, cancel: cancel}
	e.looks.Store(int64(looks))
	return e
}

func (e *ending) look() {
	if e.looks.Add(-1) < 0 {
		e.cancel()
	}
}

func (e *ending) Err() error {
	e.look()
	return e.Context.Err()
}

func (e *ending) Done() <-chan struct{} {
	e.look()
	return e.Context.Done()
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
		{"CreateHook", func() error { return c.CreateHook(ctx, plainHook(home, "b"), 0) }},
		{"UpdateHook", func() error { return c.UpdateHook(ctx, h) }},
		{"DeleteHook", func() error { return c.DeleteHook(ctx, h.Ref(), start) }},
		{"Hooks", func() error { _, err := c.Hooks(ctx, hooks.HookQuery{Tenant: home}); return err }},
		{"HookChanges", func() error { _, err := c.HookChanges(ctx, 0, many); return err }},
		{"Enqueue", func() error { return c.Enqueue(ctx, start, entries(0, job{n: 9})) }},
		{"Claim", func() error {
			_, _, err := c.Claim(ctx, hooks.ClaimRequest{Owner: "manager", Now: at(24 * time.Hour), Until: at(25 * time.Hour), Limit: upTo(many)})
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
		{"Purge", func() error {
			_, err := c.Purge(ctx, hooks.PurgeRequest{Before: at(24 * time.Hour), Limit: many})
			return err
		}},
	} {
		c.is(call.name, call.call(), want)
		c.unchanged(call.name+" with a context that has ended", before)
	}
}
