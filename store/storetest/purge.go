package storetest

import (
	"fmt"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

var purgeRules = []rule{
	{"ended", "Purge removes deliveries that ended before the given time, with their attempts, and not those that ended at it or later.", func(c *check) {
		c.create("a", "b")
		for n, hook := range []string{"a", "b", "a"} {
			c.enqueue(0, job{n: n, hook: hook, leased: time.Hour})
			c.end(time.Minute+time.Duration(n-1)*ms, n, []hooks.State{succeeded, dead, cancelled}[n])
		}
		c.enqueue(0, job{n: 3, tenant: away}, job{n: 4, leased: time.Hour})
		_, err := c.Cancel(c.Context(), at(time.Minute-ms), away, id(3), "")
		c.ok(err)
		c.end(time.Second, 4, dead)
		c.purge(time.Minute, 2)
		c.equal("deliveries", c.deliveryNumbers(hooks.LogQuery{}), []int{2, 1})
		c.equal("attempts", attemptNames(c.attempts(home)), []string{"1#1"})
		c.equal("deliveries of the other tenant", c.deliveries(away), []hooks.Delivery{})
		c.purge(time.Minute+ms, 100)
		c.equal("deliveries in the end", c.deliveryNumbers(hooks.LogQuery{}), []int{2})
		c.equal("attempts in the end", c.attempts(home), []hooks.Attempt{})
	}},
	{"kept", "Purge removes no delivery that has not ended or is held, and no event that has one left.", func(c *check) {
		c.create("a")
		c.enqueue(0, job{n: 1, key: "k"}, job{n: 2, key: "k"}, job{n: 3}, job{n: 4, leased: time.Minute})
		c.enqueue(0, job{n: 5, leased: time.Minute}, job{n: 6, event: eventID(5), hook: "b"})
		c.equal("claimed", len(c.claim(0, many)), 3)
		c.hold(0, 1)
		c.end(0, 3, pending)
		c.enqueue(0, job{n: 7, leased: time.Minute})
		c.end(0, 7, dead)
		c.redeliver(ms, 7)
		before := c.snapshot()
		c.purge(time.Hour, many)
		c.unchanged("Purge", before)
		c.end(time.Second, 5, succeeded)
		c.purge(time.Hour, many)
		c.equal("deliveries", c.deliveryNumbers(hooks.LogQuery{}), []int{7, 6, 4, 3, 2, 1})
		c.equal("event with a delivery left", len(c.events(home, eventID(5))), 1)
		c.cancel(time.Second, 1)
		c.expect("after the held one was cancelled", []int{2}, pending)
		c.purge(time.Hour, many)
		c.equal("deliveries in the end", c.deliveryNumbers(hooks.LogQuery{}), []int{7, 6, 4, 3, 2})
	}},
	{"events", "Purge removes an event that was triggered before the given time, whenever it happened, once it has no delivery left.", func(c *check) {
		c.create("a")
		for i, e := range []struct {
			id               string
			triggered, event time.Duration
		}{{"early", -ms, 0}, {"early-for-later", -ms, time.Hour}, {"late", 0, -ms}, {"late-for-earlier", 0, -time.Hour}} {
			event := fullEvent(e.id)
			event.Time = at(e.event)
			c.ok(c.Enqueue(c.Context(), at(e.triggered), []hooks.Entry{{Event: event}}))
			event = fullEvent(e.id + "-sent")
			event.Time = at(e.event)
			c.ok(c.Enqueue(c.Context(), at(e.triggered), []hooks.Entry{entry(e.triggered, event, job{n: i, leased: time.Hour})}))
		}
		c.end(-ms, 0, succeeded)
		c.end(0, 2, succeeded)
		ids := []string{"early", "early-sent", "early-for-later", "early-for-later-sent", "late", "late-sent", "late-for-earlier", "late-for-earlier-sent"}
		c.purge(0, many)
		c.equal("events", eventIDs(c.events(home, ids...)), []string{"early-for-later-sent", "late", "late-for-earlier", "late-for-earlier-sent", "late-sent"})
		c.end(0, 1, succeeded)
		c.end(0, 3, dead)
		c.purge(ms, many)
		c.equal("events in the end", c.events(home, ids...), []hooks.Event{})
	}},
	{"per_hook", "With KeepPerHook, Purge removes the ended deliveries of each hook except that many that ended last, with attempts and events, and none that has not ended or is held.", func(c *check) {
		c.create("a", "b")
		c.enqueue(0, job{n: 0, key: "k"}, job{n: 1, key: "k"}, job{n: 2, due: time.Hour})
		c.equal("claimed", c.take(0, many), []int{0})
		c.hold(ms, 0)
		for n := 3; n < 12; n++ {
			c.enqueue(0, job{n: n, hook: []string{"a", "b", "a"}[n%3], leased: time.Hour})
		}
		c.enqueue(0, job{n: 12, leased: time.Hour}, job{n: 13, hook: "b", event: eventID(12)}, job{n: 14, tenant: away, leased: time.Hour})
		for i, n := range []int{11, 9, 12, 8, 6, 5, 3, 10, 7, 4} { // 12, 11, 9, 8, 6, 5, 3 are of a.
			c.end(time.Duration(i+2)*ms, n, []hooks.State{succeeded, dead}[i%2])
		}
		before := c.snapshot()
		c.shorten(7+1, many)
		c.unchanged("Purge that keeps all", before)
		c.shorten(3, many)
		c.equal("deliveries", sorted(c.deliveryNumbers(hooks.LogQuery{})), []int{0, 1, 2, 3, 4, 5, 6, 7, 10, 13})
		c.equal("attempts", len(c.attempts(home)), 7)
		c.equal("events that are gone", eventIDs(c.events(home, eventID(8), eventID(9), eventID(11))), []string{})
		c.equal("event that has a delivery left", len(c.events(home, eventID(12))), 1)
		c.equal("deliveries of the other tenant", len(c.deliveries(away)), 1)
		c.ok(c.Enqueue(c.Context(), at(time.Second), entries(time.Second, job{n: 8}))) // The ID of its event is free.

		// What was redelivered ends anew.
		c.redeliver(time.Second, 5)
		c.equal("claimed", len(c.take(time.Second, many)), 3)
		c.end(2*time.Second, 5, succeeded)
		c.shorten(2, 1)
		c.equal("deliveries in the end", sorted(c.deliveryNumbers(hooks.LogQuery{HookID: "a"})), []int{0, 1, 2, 3, 5, 8})
		c.cancel(3*time.Second, 0)
		c.shorten(1, many)
		c.equal("deliveries after the held one was cancelled", sorted(c.deliveryNumbers(hooks.LogQuery{HookID: "a"})), []int{0, 1, 2, 8})
	}},
	{"limit", "Purge removes at most limit rows and returns how many; a result below limit means that nothing is left to remove.", func(c *check) {
		c.create("a")
		for n := range 12 {
			c.enqueue(0, job{n: n, leased: time.Hour})
			c.end(0, n, succeeded)
		}
		var alone []string
		for n := range 12 {
			alone = append(alone, fmt.Sprint("alone-", n))
			c.ok(c.Enqueue(c.Context(), start, []hooks.Entry{{Event: fullEvent(alone[n])}}))
		}
		left := func() int { return len(c.deliveries(home)) + len(c.events(home, alone...)) }
		before := left()
		for range 50 {
			n, err := c.Purge(c.Context(), hooks.PurgeRequest{Before: at(time.Hour), Limit: 5})
			c.ok(err)
			after := left()
			if removed := before - after; n > 5 || removed > n {
				c.Errorf("a call with limit 5 returned %d and removed %d deliveries and lone events", n, removed)
			}
			if before = after; n < 5 {
				break
			}
		}
		c.equal("deliveries and lone events left", before, 0)
		n, err := c.Purge(c.Context(), hooks.PurgeRequest{Before: at(time.Hour), Limit: 5})
		c.ok(err)
		c.equal("result when nothing is left", n, 0)
	}},
	{"hooks", "Purge forgets no hook that exists, and no deletion at the given time or later.", func(c *check) {
		c.create("a", "b", "c")
		c.ok(c.DeleteHook(c.Context(), hooks.Ref{Tenant: home, ID: "b"}, at(time.Minute)))
		c.ok(c.DeleteHook(c.Context(), hooks.Ref{Tenant: home, ID: "c"}, at(time.Minute+ms)))
		before := c.snapshot()
		c.purge(time.Minute, many)
		c.unchanged("Purge", before)
		c.purge(time.Hour, many)
		list := c.changes(0)
		if len(list) == 0 || list[0].Hook.ID != "a" || list[0].Deleted {
			c.Errorf("the first change after Purge is not that of the hook that exists: %+v", list)
		}
		c.equal("hooks", c.hooksOf(home), []hooks.Hook{plainHook(home, "a")})
	}},
}

// purge calls Purge until nothing older is left.
func (c *check) purge(before time.Duration, limit int) {
	c.Helper()
	for range 100 {
		n, err := c.Purge(c.Context(), hooks.PurgeRequest{Before: at(before), Limit: limit})
		c.ok(err)
		if n < limit {
			return
		}
	}
	c.Fatalf("Purge with limit %d still finds something to remove after 100 calls", limit)
}

// shorten calls Purge until no hook has more than keep ended deliveries.
func (c *check) shorten(keep, limit int) {
	c.Helper()
	for range 100 {
		n, err := c.Purge(c.Context(), hooks.PurgeRequest{KeepPerHook: keep, Limit: limit})
		c.ok(err)
		if n < limit {
			return
		}
	}
	c.Fatalf("Purge that keeps %d still finds something to remove after 100 calls", keep)
}
