package storetest

import (
	"reflect"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

var timeRules = []rule{
	{"utc", "Times are UTC, and come back as they went in.", func(c *check) {
		c.ok(c.CreateHook(c.Context(), fullHook("a"), 0))
		c.create("b")
		c.ok(c.Enqueue(c.Context(), start, []hooks.Entry{
			entry(0, fullEvent(eventID(1)), job{n: 1, leased: time.Minute}),
			entry(0, fullEvent(eventID(2)), job{n: 2, due: ms}),
			entry(0, fullEvent(eventID(3)), job{n: 3, leased: time.Hour}),
		}))
		s := retry(c.delivery(1))
		s.ThrottleUntil = at(time.Minute)
		health := c.endWith(5*ms, s)
		c.equal("health", health, c.hook(home, "a").Health)
		claimed, next := c.request(hooks.ClaimRequest{Now: at(time.Minute), Until: at(2 * time.Minute), Limit: upTo(many)})
		c.equal("claimed", sorted(numbers(claimed)), []int{1, 2})
		stats := c.stats(0, time.Hour, "a")
		c.equal("LastErrorAt", stats["a"].LastErrorAt, s.Attempt.StartedAt)
		page, err := c.Hooks(c.Context(), hooks.HookQuery{Tenant: home, PageQuery: hooks.PageQuery{Limit: 1}})
		c.ok(err)
		c.utc("read", c.snapshot())
		c.utc("claimed", claimed)
		c.utc("next", next)
		c.utc("health", health)
		c.utc("stats", stats)
		c.utc("page", page)
		c.utc("cancelled", c.cancelled())
		c.utc("redelivered", c.redeliver(time.Minute, 19))
		c.equal("hook b", c.hook(home, "b"), plainHook(home, "b"))
	}},
	{"milliseconds", "Times are kept to the millisecond, whichever it is, also before 1970 and in year 9999.", func(c *check) {
		want := []time.Time{
			time.Date(1, time.January, 1, 0, 0, 0, 1e6, time.UTC),
			time.Date(1969, time.December, 31, 23, 59, 59, 999e6, time.UTC),
			time.UnixMilli(0).UTC(), time.UnixMilli(1).UTC(), time.UnixMilli(1 << 53 / 1000).UTC(),
			time.Date(2024, time.December, 31, 23, 59, 59, 1e6, time.UTC),
			time.Date(9999, time.December, 31, 23, 59, 59, 999e6, time.UTC),
		}
		for n, t := range want {
			event := fullEvent(eventID(n))
			event.Time = t
			c.ok(c.Enqueue(c.Context(), start, []hooks.Entry{{Event: event}}))
			c.equal("time", first(c, c.events(home, eventID(n))).Time, t)
		}
		for i := range 7 {
			h := plainHook(home, string('a'+rune(i)))
			h.CreatedAt, h.UpdatedAt = at(time.Duration(i)*ms), at(-time.Duration(i)*ms)
			c.ok(c.CreateHook(c.Context(), h, 0))
			c.equal("hook", c.hook(home, h.ID), h)
		}
	}},
	{"no_time", "The zero time comes back as the zero time.", func(c *check) {
		h := plainHook(home, "a")
		h.Secrets = []hooks.SigningSecret{{Secret: "s"}}
		c.ok(c.CreateHook(c.Context(), h, 0))
		c.enqueue(0, job{n: 1, leased: time.Minute})
		c.end(0, 1, succeeded)
		h = c.hook(home, "a")
		d, a := c.delivery(1), first(c, c.attempts(home))
		for _, t := range []time.Time{h.Secrets[0].ExpiresAt, h.Health.FailingSince, h.Health.ThrottledUntil, d.Lease.Until, d.Due, a.NextAt} {
			c.equal("zero time", t.IsZero(), true)
		}
	}},
	{"no_clock", "The store has no clock: what is due, expired or old depends on the given time alone.", func(c *check) {
		c.create("a")
		for n, year := range []int{1971, 1999, 2099, 2199} {
			now := time.Date(year, time.July, 1, 12, 0, 0, 0, time.UTC).Sub(start)
			c.enqueue(now, job{n: n, due: time.Hour})
			c.equal("claimed early", c.take(now+time.Hour-ms, many), []int{})
			c.equal("claimed in time", c.take(now+time.Hour, many), []int{n})
			c.equal("claimed while leased", c.take(now+time.Hour+leaseTime-ms, many), []int{})
			c.equal("claimed after the lease", c.take(now+time.Hour+leaseTime, many), []int{n})
			c.throttle(now+2*time.Hour, n, now+3*time.Hour)
			c.equal("ended", c.delivery(n).EndedAt, at(now+2*time.Hour))
			c.enqueue(now, job{n: 10 + n})
			c.equal("claimed while throttled", c.take(now+3*time.Hour-ms, many), []int{})
			c.equal("claimed after the throttle", c.take(now+3*time.Hour, many), []int{10 + n})
			c.end(now+3*time.Hour, 10+n, succeeded)
			c.purge(now+2*time.Hour, many)
			c.equal("deliveries", len(c.deliveries(home)), 2)
			c.purge(now+3*time.Hour+ms, many)
			c.equal("deliveries after Purge", len(c.deliveries(home)), 0)
		}
	}},
}

// cancelled returns a delivery that has been cancelled.
func (c *check) cancelled() hooks.Delivery {
	c.Helper()
	c.enqueue(0, job{n: 19})
	return c.cancel(ms, 19)
}

// utc fails for a time in v that is not UTC.
func (c *check) utc(what string, v any) {
	c.Helper()
	eachTime(reflect.ValueOf(v), func(t time.Time) {
		c.Helper()
		if t.Location() != time.UTC {
			c.Errorf("%s: time %v is not in UTC", what, t)
		}
	})
}

func eachTime(v reflect.Value, f func(time.Time)) {
	switch v.Kind() {
	case reflect.Struct:
		if t, ok := v.Interface().(time.Time); ok {
			f(t)
			return
		}
		for i := range v.NumField() {
			eachTime(v.Field(i), f)
		}
	case reflect.Slice:
		for i := range v.Len() {
			eachTime(v.Index(i), f)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			eachTime(v.MapIndex(key), f)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			eachTime(v.Elem(), f)
		}
	}
}
