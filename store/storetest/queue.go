package storetest

import (
	"slices"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

var queueRules = []rule{
	{"due", "A pending delivery is due when its Due is not after now.", func(c *check) {
		c.create("a", "b")
		c.enqueue(0, job{n: 1, due: time.Second}, job{n: 2, due: time.Second + ms}, job{n: 3, hook: "b", step: 1, due: time.Second - ms})
		c.equal("a millisecond early", c.take(time.Second-2*ms, many), []int{})
		c.equal("in time", sorted(c.take(time.Second, many)), []int{1, 3})
		c.equal("a millisecond later", c.take(time.Second+ms, many), []int{2})
	}},
	{"lease", "Claim leases deliveries to the owner until the given time, with a Token one higher, and changes nothing else.", func(c *check) {
		c.create("a")
		c.enqueue(0, job{n: 1, step: 3, due: time.Second})
		for token := range int64(3) {
			now := time.Hour * time.Duration(token+1)
			r := hooks.ClaimRequest{Owner: string('x' + rune(token)), Now: at(now), Until: at(now + 7*time.Second), Limit: upTo(many)}
			claimed, _ := c.request(r)
			want := job{n: 1, step: 3, due: time.Second}.delivery(0)
			want.State, want.Lease = leased, hooks.Lease{Owner: r.Owner, Token: token + 1, Until: r.Until}
			c.equal("claimed", deliveriesOf(claimed), []hooks.Delivery{want})
			c.equal("stored", c.deliveries(home), []hooks.Delivery{want})
		}
	}},
	{"event", "Claim returns the deliveries with their events.", func(c *check) {
		c.create("a", "b", "c")
		c.ok(c.Enqueue(c.Context(), start, []hooks.Entry{
			entry(0, fullEvent("order-1"), job{n: 0}, job{n: 1, hook: "b"}, job{n: 2, hook: "c"}),
		}))
		c.enqueue(0, job{n: 9, hook: "b"})
		claimed := c.claim(0, many)
		c.equal("claimed", sorted(numbers(claimed)), []int{0, 1, 2, 9})
		for _, cl := range claimed {
			want := *fullEvent("order-1")
			if cl.Delivery.ID == id(9) {
				want = *entries(0, job{n: 9})[0].Event
			}
			c.equal("event of "+cl.Delivery.ID, *cl.Event, want)
		}
	}},
	{"only_due", "Claim leases no delivery that is blocked, leased or has ended.", func(c *check) {
		c.create("a")
		c.enqueue(0, job{n: 1}, job{n: 2}, job{n: 3}, job{n: 4, key: "k"}, job{n: 5, key: "k"})
		c.equal("claimed", sorted(c.take(0, many)), []int{1, 2, 3, 4})
		c.end(ms, 1, succeeded)
		c.end(ms, 2, dead)
		c.end(ms, 3, cancelled)
		c.equal("claimed later", c.take(2*ms, many), []int{})
		c.equal("claimed after the lease", c.take(time.Hour, many), []int{4})
	}},
	{"throttle", "A claim returns no delivery of a hook whose Health.ThrottledUntil is after now.", func(c *check) {
		c.create("a", "b")
		c.enqueue(0, job{n: 1, leased: time.Second}, job{n: 2}, job{n: 3, step: 1}, job{n: 4, hook: "b"})
		c.throttle(0, 1, time.Second)
		c.equal("throttled", c.take(0, many), []int{4})
		c.equal("a millisecond before the end", c.take(time.Second-ms, many), []int{})
		c.equal("at the end", sorted(c.take(time.Second, many)), []int{2, 3})
	}},
	{"throttle_over", "A throttle outlasts a success, and is over as soon as the hook is enabled or deleted.", func(c *check) {
		c.create("a", "b", "c")
		for i, hook := range []string{"a", "b", "c"} {
			c.enqueue(0, job{n: i, hook: hook, leased: time.Hour}, job{n: 10 + i, hook: hook, leased: time.Hour}, job{n: 20 + i, hook: hook, due: ms})
			c.throttle(0, i, time.Hour)
		}
		c.equal("claimed while throttled", c.take(time.Second, many), []int{})
		c.end(time.Second, 10, succeeded)
		c.equal("claimed after a success", c.take(time.Second, many), []int{})
		h := c.hook(home, "b")
		h.Disabled = true
		c.ok(c.UpdateHook(c.Context(), h))
		c.equal("claimed after disabling", c.take(time.Second, many), []int{})
		h.Disabled, h.Version = false, h.Version+1
		c.ok(c.UpdateHook(c.Context(), h))
		c.equal("claimed after enabling", c.take(time.Second, many), []int{21})
		c.ok(c.DeleteHook(c.Context(), hooks.Ref{Tenant: home, ID: "c"}, at(time.Second)))
		c.equal("claimed after deleting", c.take(time.Second, many), []int{22})
	}},
	{"earliest", "Within a lane the earliest Due comes first.", func(c *check) {
		c.create("a")
		c.enqueue(0, job{n: 1, due: 30 * ms}, job{n: 2, due: 10 * ms}, job{n: 3, due: 20 * ms}, job{n: 4, due: 40 * ms})
		c.enqueue(5*ms, job{n: 5}, job{n: 6, due: 20 * ms})
		c.equal("claimed one by one", c.oneByOne(time.Second), []int{5, 2, 3, 6, 1, 4})
	}},
	{"first_triggered", "Of the deliveries of a lane with the same Due, the first triggered comes first.", func(c *check) {
		c.create("a")
		c.enqueue(0, job{n: 9, due: 5 * ms})
		c.enqueue(ms, job{n: 4, due: 4 * ms}, job{n: 6, due: 4 * ms}, job{n: 2, due: 4 * ms})
		c.enqueue(ms, job{n: 5, due: 4 * ms})
		c.enqueue(2*ms, job{n: 3, due: 3 * ms}, job{n: 1, due: 3 * ms})
		c.equal("claimed one by one", c.oneByOne(time.Second), []int{9, 4, 6, 2, 5, 3, 1})
	}},
	{"expired_first", "Within a lane, the end of a lease that has ended counts as the delivery's Due.", func(c *check) {
		c.create("a")
		c.enqueue(0, job{n: 1, leased: 20 * ms}, job{n: 2, leased: 40 * ms}, job{n: 3, due: 10 * ms}, job{n: 4, due: 30 * ms})
		c.equal("claimed one by one", c.oneByOne(time.Second), []int{3, 1, 4, 2})
	}},
	{"next_none", "Claim returns a zero next when no lane will have something due.", func(c *check) {
		c.create("a")
		c.next("empty store", 0, time.Time{})
		c.enqueue(0, job{n: 1, leased: time.Second}, job{n: 2, leased: time.Second})
		c.end(0, 1, succeeded)
		c.end(0, 2, dead)
		c.next("all ended", time.Minute, time.Time{})
	}},
	{"next_due", "Claim returns a next that is after now and not after the earliest Due of a lane that has nothing due.", func(c *check) {
		c.create("a", "b")
		c.enqueue(0, job{n: 1, due: time.Hour}, job{n: 2, due: time.Minute, hook: "b"}, job{n: 3, due: 2 * time.Minute, step: 1})
		c.next("before all", 0, at(time.Minute))
		c.next("when one is due", time.Minute, at(2*time.Minute))
		c.next("when two are due", 2*time.Minute, at(time.Hour))
	}},
	{"next_lease", "Claim returns a next that is not after the earliest end of a lease.", func(c *check) {
		c.create("a")
		c.enqueue(0, job{n: 1, leased: time.Hour}, job{n: 2, leased: 30 * time.Minute}, job{n: 3, due: 2 * time.Hour})
		c.next("two leases", 0, at(30*time.Minute))
		c.end(time.Second, 2, pending)
		c.next("a lease given back", 2*time.Second, at(11*time.Second))
	}},
	{"next_throttle", "Claim returns a next that is not after the end of a throttle of a hook that has due deliveries.", func(c *check) {
		c.create("a")
		c.enqueue(0, job{n: 1, leased: time.Hour}, job{n: 2}, job{n: 3, due: time.Hour})
		c.throttle(0, 1, 10*time.Minute)
		c.next("throttled", time.Second, at(10*time.Minute))
		c.equal("claimed then", c.take(10*time.Minute, many), []int{2})
	}},
	{"next_changed", "Claim returns a next that is not late for a lane whose due deliveries have been throttled, settled or cancelled since an earlier claim that did not return them.", func(c *check) {
		c.create("a", "b")
		c.enqueue(0, job{n: 1, leased: time.Hour}, job{n: 2}, job{n: 3})
		c.equal("claimed", len(c.take(0, 1)), 1)
		c.throttle(ms, 1, 10*time.Minute)
		c.next("throttled", 2*ms, at(10*time.Minute))

		c.enqueue(2*ms, job{n: 4, hook: "b"}, job{n: 5, hook: "b"}, job{n: 6, hook: "b", due: time.Minute})
		c.equal("claimed", c.take(2*ms, 1), []int{4})
		c.end(3*ms, 4, succeeded)
		c.cancel(3*ms, 5)
		c.next("cancelled", 4*ms, at(time.Minute+2*ms))
	}},
	{"next_later", "The bounds of a claim do not make next late for the lanes that have nothing due.", func(c *check) {
		c.create("a", "b")
		c.fill("a", 0, 5, 0)
		c.enqueue(0, job{n: 8, due: 2 * time.Second}, job{n: 9, due: time.Second, hook: "b"}, job{n: 7, step: 1, due: time.Second + ms})
		for _, r := range []hooks.ClaimRequest{
			{Limit: upTo(1)}, {Limit: upTo(many), PerHook: 1}, {Limit: upTo(many), PerTenant: upTo(1)},
			{Limit: upTo(many), Hooks: map[hooks.Ref]int{{Tenant: home, ID: "a"}: 0}}, {Limit: upTo(many), Tenants: map[string]hooks.Capacity{home: {}}},
		} {
			r.Now = start
			_, next := c.request(r)
			c.notLate("next", next, start, at(time.Second))
		}
	}},
}

// next claims and fails unless next is want, if that is zero, or else between
// now and want.
func (c *check) next(what string, now time.Duration, want time.Time) {
	c.Helper()
	_, next := c.request(hooks.ClaimRequest{Now: at(now), Limit: upTo(many), Until: at(24 * time.Hour)})
	if want.IsZero() {
		c.equal("next, "+what, next, want)
		return
	}
	c.notLate("next, "+what, next, at(now), want)
}

// notLate fails unless next is after now and not after latest.
func (c *check) notLate(what string, next, now, latest time.Time) {
	c.Helper()
	if !next.After(now) || next.After(latest) {
		c.Errorf("%s: got %v, want a time after %v and not after %v", what, next, now, latest)
	}
}

// fill enqueues that many deliveries for the hook, numbered from n.
func (c *check) fill(hook string, n, count, step int) {
	c.Helper()
	c.fillLike(count, job{n: n, hook: hook, step: step})
}

// fillLike enqueues that many deliveries like j, numbered from its n.
func (c *check) fillLike(count int, j job) {
	c.Helper()
	jobs := make([]job, count)
	for i := range jobs {
		jobs[i] = j
		jobs[i].n += i
	}
	c.enqueue(0, jobs...)
}

// throttle settles a leased delivery as dead, its hook throttled until then.
func (c *check) throttle(now time.Duration, n int, until time.Duration) {
	c.Helper()
	s := outcome(c.delivery(n), now, dead)
	s.ThrottleUntil = at(until)
	c.endWith(now, s)
}

// oneByOne claims one delivery at a time until none is due.
func (c *check) oneByOne(now time.Duration) []int {
	c.Helper()
	var got []int
	for range 100 {
		ns := c.take(now, 1)
		if len(ns) == 0 {
			break
		}
		got = append(got, ns...)
	}
	return got
}

func deliveriesOf(claimed []hooks.Claimed) []hooks.Delivery {
	list := make([]hooks.Delivery, len(claimed))
	for i, cl := range claimed {
		list[i] = cl.Delivery
	}
	return list
}

func perHook(claimed []hooks.Claimed) map[hooks.Ref]int {
	count := map[hooks.Ref]int{}
	for _, cl := range claimed {
		count[cl.Delivery.HookRef()]++
	}
	return count
}

func sorted(ns []int) []int { return slices.Sorted(slices.Values(ns)) }
