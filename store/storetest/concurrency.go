package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

// crowd is how many calls a race has.
const crowd = 50

var concurrencyRules = []rule{
	{"create", "Of concurrent CreateHook calls for one ID exactly one succeeds.", func(c *check) {
		errs := c.race(crowd, func(_ int, s hooks.Store) error { return s.CreateHook(c.Context(), plainHook(home, "a"), 0) })
		c.oneWins("CreateHook", errs, hooks.ErrDuplicate)
		c.equal("hooks", len(c.hooksOf(home)), 1)
	}},
	{"create_limit", "Of concurrent CreateHook calls of a tenant as many succeed as the limit says.", func(c *check) {
		const limit = 7
		created := 0
		for _, err := range c.race(crowd, func(i int, s hooks.Store) error {
			return s.CreateHook(c.Context(), plainHook(home, fmt.Sprint(i)), limit)
		}) {
			if err == nil {
				created++
				continue
			}
			c.is("CreateHook", err, hooks.ErrTooManyHooks)
		}
		c.equal("calls that succeeded", created, limit)
		c.equal("hooks", len(c.hooksOf(home)), limit)
	}},
	{"update", "Of concurrent UpdateHook calls with one Version exactly one succeeds.", func(c *check) {
		c.create("a")
		errs := c.race(crowd, func(i int, s hooks.Store) error {
			h := plainHook(home, "a")
			h.Name = fmt.Sprint(i)
			return s.UpdateHook(c.Context(), h)
		})
		c.oneWins("UpdateHook", errs, hooks.ErrConflict)
		h := c.hook(home, "a")
		c.equal("Version", h.Version, int64(2))
		for i, err := range errs {
			if err == nil {
				c.equal("Name", h.Name, fmt.Sprint(i))
			}
		}
	}},
	{"delete", "Of concurrent DeleteHook calls for one hook exactly one succeeds.", func(c *check) {
		c.create("a")
		errs := c.race(crowd, func(_ int, s hooks.Store) error {
			return s.DeleteHook(c.Context(), hooks.Ref{Tenant: home, ID: "a"}, start)
		})
		c.oneWins("DeleteHook", errs, hooks.ErrNotFound)
	}},
	{"enqueue", "Of concurrent Enqueue calls with one event ID exactly one succeeds, and the others leave nothing.", func(c *check) {
		errs := c.race(crowd, func(i int, s hooks.Store) error {
			return s.Enqueue(c.Context(), start, entries(0, job{n: 2 * i, event: fmt.Sprint("x", i)}, job{n: 2*i + 1, event: "same"}))
		})
		c.oneWins("Enqueue", errs, hooks.ErrDuplicate)
		ids := []string{"same"}
		for i := range crowd {
			ids = append(ids, fmt.Sprint("x", i))
		}
		c.equal("events stored", len(c.events(home, ids...)), 2)
		c.equal("deliveries claimed", len(c.claim(0, many)), 2)
	}},
	{"claim", "Concurrent claims return different deliveries.", func(c *check) {
		c.create("a", "b", "c", "d")
		const total = 200
		for n := range total {
			c.enqueue(0, job{n: n, hook: string('a' + rune(n%4)), step: n / 4 % 2})
		}
		claimed := make([][]hooks.Claimed, 8)
		for _, err := range c.race(len(claimed), func(i int, s hooks.Store) error {
			for range total {
				list, _, err := s.Claim(c.Context(), hooks.ClaimRequest{Owner: fmt.Sprint(i), Now: start, Until: at(leaseTime), Limit: upTo(7)})
				if err != nil || len(list) == 0 {
					return err
				}
				claimed[i] = append(claimed[i], list...)
			}
			return nil
		}) {
			c.ok(err)
		}
		claimed = append(claimed, c.claim(0, many))
		seen := map[string]bool{}
		for _, list := range claimed {
			for _, cl := range list {
				if seen[cl.Delivery.ID] || cl.Delivery.Lease.Token != 1 {
					c.Errorf("delivery %s was claimed twice", cl.Delivery.ID)
				}
				seen[cl.Delivery.ID] = true
			}
		}
		c.equal("claimed deliveries", len(seen), total)
	}},
	{"settle", "Of concurrent settlements with one Token exactly one is accepted.", func(c *check) {
		c.create("a")
		c.enqueue(0, job{n: 1, leased: time.Minute})
		s := outcome(c.delivery(1), 0, dead)
		errs := c.race(crowd, func(_ int, store hooks.Store) error {
			return settleOne(c.Context(), store, s)
		})
		c.oneWins("Settle", errs, errLeaseLost)
		c.equal("attempts", attemptNames(c.attempts(home)), []string{"1#1"})
		c.equal("failures", c.hook(home, "a").Health.Failures, 1)
	}},
	{"health", "Concurrent settlements and updates of one hook lose no change of its health.", func(c *check) {
		c.create("a")
		var batch []hooks.Settlement
		for n := range crowd {
			c.enqueue(0, job{n: n, leased: time.Minute})
			batch = append(batch, outcome(job{n: n, leased: time.Minute}.delivery(0), 0, dead))
		}
		var updates atomic.Int64
		for _, err := range c.race(crowd+10, func(i int, s hooks.Store) error {
			if i >= crowd {
				err := s.UpdateHook(c.Context(), withVersion(plainHook(home, "a"), int64(i-crowd+1)))
				if err == nil {
					updates.Add(1)
				} else if errors.Is(err, hooks.ErrConflict) {
					err = nil
				}
				return err
			}
			return settleOne(c.Context(), s, batch[i])
		}) {
			c.ok(err)
		}
		h := c.hook(home, "a")
		c.equal("failures", h.Health.Failures, crowd)
		c.equal("Version", h.Version, 1+updates.Load())
	}},
	{"redeliver", "Of concurrent Redeliver calls for one delivery exactly one succeeds.", func(c *check) {
		c.create("a")
		c.enqueue(0, job{n: 1, leased: time.Minute})
		c.end(0, 1, dead)
		errs := c.race(crowd, func(_ int, s hooks.Store) error {
			_, err := s.Redeliver(c.Context(), start, home, id(1))
			return err
		})
		c.oneWins("Redeliver", errs, hooks.ErrConflict)
	}},
	{"cancel", "A delivery is either cancelled or claimed, if both are tried at once.", func(c *check) {
		c.create("a")
		for n := range 10 {
			c.enqueue(0, job{n: n})
			errs := c.race(6, func(i int, s hooks.Store) error {
				if i%2 == 0 {
					_, err := s.Cancel(c.Context(), start, home, id(n), "")
					return err
				}
				claimed, _, err := s.Claim(c.Context(), hooks.ClaimRequest{Owner: "manager", Now: start, Until: at(leaseTime), Limit: upTo(many)})
				if err == nil && len(claimed) == 0 {
					err = hooks.ErrConflict
				}
				return err
			})
			c.oneWins("Cancel or Claim", errs, hooks.ErrConflict)
		}
	}},
	{"keys", "Concurrent triggers and settlements keep a key's order: one delivery at a time is leased, and all are claimed in the end.", concurrentKeys},
	{"changes", "Once HookChanges has returned a revision, no change with a lower one appears.", concurrentChanges},
}

func withVersion(h hooks.Hook, version int64) hooks.Hook {
	h.Version = version
	return h
}

// concurrentKeys lets two goroutines trigger events of two keys each while two
// others deliver them. The numbers of each trigger and key ascend.
func concurrentKeys(c *check) {
	c.create("a")
	const each = 50
	keys := []string{"k", "l"}
	var underWay [2]atomic.Int32
	var delivered [2][]int
	var triggers atomic.Int32
	triggers.Store(2)
	deliver := func(ctx context.Context, s hooks.Store) (int, error) {
		claimed, _, err := s.Claim(ctx, hooks.ClaimRequest{Owner: "manager", Now: start, Until: at(leaseTime), Limit: upTo(3)})
		if err != nil {
			return 0, err
		}
		for _, cl := range claimed {
			k := slices.Index(keys, cl.Delivery.OrderingKey)
			if k < 0 || underWay[k].Add(1) != 1 {
				return 0, fmt.Errorf("a second delivery of key %q is leased", cl.Delivery.OrderingKey)
			}
			delivered[k] = append(delivered[k], number(cl.Delivery.ID))
		}
		for _, cl := range claimed {
			underWay[slices.Index(keys, cl.Delivery.OrderingKey)].Add(-1)
			if err := settleOne(ctx, s, outcome(cl.Delivery, 0, succeeded)); err != nil {
				return 0, err
			}
		}
		return len(claimed), nil
	}
	for _, err := range c.race(4, func(i int, s hooks.Store) error {
		if i < 2 {
			defer triggers.Add(-1)
			for n := range each {
				if err := s.Enqueue(c.Context(), start, entries(0, job{n: each*i + n, key: keys[n%2]})); err != nil {
					return err
				}
			}
			return nil
		}
		for triggers.Load() > 0 {
			if _, err := deliver(c.Context(), s); err != nil {
				return err
			}
		}
		return nil
	}) {
		c.ok(err)
	}
	for range 2 * each {
		n, err := deliver(c.Context(), c.Store)
		c.ok(err)
		if n == 0 {
			break
		}
	}
	total := 0
	for k, ns := range delivered {
		last := [2]int{-1, -1}
		for _, n := range ns {
			if n <= last[n/each] {
				c.Errorf("key %q: delivery %d came after %d", keys[k], n, last[n/each])
			}
			last[n/each] = n
		}
		total += len(ns)
	}
	c.equal("deliveries that came", total, 2*each)
}

func settleOne(ctx context.Context, s hooks.Store, st hooks.Settlement) error {
	settled, err := s.Settle(ctx, start, []hooks.Settlement{st})
	if err != nil {
		return err
	}
	if len(settled) != 1 {
		return fmt.Errorf("Settle returned %d results for 1 settlement", len(settled))
	}
	return refusal(settled[0])
}

// concurrentChanges lets three goroutines change hooks while a fourth follows
// the changes.
func concurrentChanges(c *check) {
	const writers, each = 3, 30
	known := map[string]int64{}
	after := int64(0)
	follow := func(ctx context.Context, s hooks.Store) error {
		list, err := s.HookChanges(ctx, after, many)
		if err != nil {
			return err
		}
		for _, change := range list {
			if change.Revision <= after {
				return fmt.Errorf("revision %d came after %d", change.Revision, after)
			}
			after = change.Revision
			known[change.Hook.ID] = change.Revision
		}
		return nil
	}
	c.create("first")
	c.ok(follow(c.Context(), c.Store))
	var running atomic.Int32
	running.Store(writers)
	for _, err := range c.race(writers+1, func(i int, s hooks.Store) error {
		if i == writers {
			for running.Load() > 0 {
				if err := follow(c.Context(), s); err != nil {
					return err
				}
			}
			return nil
		}
		defer running.Add(-1)
		for n := range each {
			h := plainHook(home, fmt.Sprintf("w%d-%d", i, n%10))
			err := s.CreateHook(c.Context(), h, 0)
			if errors.Is(err, hooks.ErrDuplicate) {
				err = s.UpdateHook(c.Context(), withVersion(h, int64(n/10)))
			}
			if err != nil {
				return err
			}
		}
		return nil
	}) {
		c.ok(err)
	}
	c.ok(follow(c.Context(), c.Store))
	want := map[string]int64{}
	for _, change := range c.changes(0) {
		want[change.Hook.ID] = change.Revision
	}
	c.equal("last revisions of the hooks, as followed", known, want)
}
