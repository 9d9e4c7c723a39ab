package storetest

import (
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

var statsRules = []rule{
	{"counts", "Stats sums up the deliveries that ended: succeeded ones are successes, dead ones failures, cancelled ones are not counted.", func(c *check) {
		c.create("a", "b")
		c.enqueue(0, job{n: 1, leased: time.Hour}, job{n: 2, leased: time.Hour}, job{n: 3, leased: time.Hour}, job{n: 4, leased: time.Hour},
			job{n: 5, leased: time.Hour}, job{n: 6, leased: time.Hour}, job{n: 7}, job{n: 8, hook: "b", leased: time.Hour})
		c.end(ms, 1, succeeded)
		c.end(ms, 2, succeeded)
		c.end(ms, 3, dead)
		c.end(ms, 4, cancelled)
		c.end(ms, 5, pending)
		c.cancel(ms, 7)
		c.end(ms, 8, succeeded)
		s := c.stats(0, time.Hour, "a", "b")
		c.equal("counts of a", counts(s["a"]), [3]int{3, 2, 1})
		c.equal("counts of b", counts(s["b"]), [3]int{1, 1, 0})
	}},
	{"zeros", "Stats has each of the hooks that are asked for, one without any delivery with zeros, and no other.", func(c *check) {
		c.create("a", "b", "idle")
		c.enqueue(0, job{n: 1, leased: time.Hour}, job{n: 2, hook: "b", leased: time.Hour})
		c.end(ms, 1, succeeded)
		c.end(ms, 2, succeeded)
		c.equal("stats", c.stats(0, time.Hour, "a", "idle", "none"), map[string]hooks.Stats{
			"a": {Deliveries: 1, Successes: 1}, "idle": {}, "none": {},
		})
		c.equal("stats of no hook", c.stats(0, time.Hour), map[string]hooks.Stats{})
	}},
	{"range", "Stats counts a delivery that ended at since or later and before until, whenever it was triggered.", func(c *check) {
		c.create("a")
		for n, ended := range []time.Duration{time.Second - ms, time.Second, 2*time.Second - ms, 2 * time.Second} {
			c.enqueue(0, job{n: n, leased: time.Hour})
			c.end(ended, n, succeeded)
		}
		for _, tc := range []struct {
			since, until time.Duration
			want         int
		}{
			{time.Second, 2 * time.Second, 2}, {0, time.Hour, 4}, {0, time.Second, 1}, {0, time.Second - ms, 0},
			{2 * time.Second, 2*time.Second + ms, 1}, {2*time.Second + ms, time.Hour, 0}, {time.Second, time.Second, 0},
		} {
			c.equal("deliveries from "+tc.since.String()+" to "+tc.until.String(), c.stats(tc.since, tc.until, "a")["a"].Deliveries, tc.want)
		}
	}},
	{"last_error", "LastError and LastErrorAt are of the latest failed attempt that started at since or later and before until, whatever became of its delivery.", func(c *check) {
		c.create("a", "b")
		c.enqueue(0, job{n: 1, leased: time.Hour}, job{n: 2, leased: time.Hour}, job{n: 3, leased: time.Hour}, job{n: 4, leased: time.Hour},
			job{n: 5, leased: time.Hour, hook: "b"})
		for _, a := range []struct {
			n       int
			started time.Duration
			state   hooks.State
			text    string
		}{
			{1, 30 * ms, pending, "third"}, {2, 20 * ms, dead, "second"}, {3, 10 * ms, pending, "first"},
			{4, 40 * ms, succeeded, ""}, {5, 35 * ms, dead, "other hook"},
		} {
			s := outcome(c.delivery(a.n), a.started, a.state)
			s.Reason, s.Attempt.Error = "the reason", a.text
			c.endWith(time.Second, s)
		}
		for _, tc := range []struct {
			since, until time.Duration
			text         string
			at           time.Duration
		}{
			{0, time.Hour, "third", 30 * ms}, {30 * ms, 31 * ms, "third", 30 * ms},
			{0, 30 * ms, "second", 20 * ms}, {10 * ms, 20 * ms, "first", 10 * ms},
		} {
			s := c.stats(tc.since, tc.until, "a", "b")["a"]
			c.equal("LastError from "+tc.since.String()+" to "+tc.until.String(), []any{s.LastError, s.LastErrorAt}, []any{tc.text, at(tc.at)})
		}
		for _, tc := range [][2]time.Duration{{0, 10 * ms}, {31 * ms, time.Hour}, {20 * ms, 20 * ms}} {
			s := c.stats(tc[0], tc[1], "a", "b")["a"]
			c.equal("LastError from "+tc[0].String()+" to "+tc[1].String(), []any{s.LastError, s.LastErrorAt}, []any{"", time.Time{}})
		}
	}},
}

// stats sums up the home tenant's hooks in a range of time after the start.
func (c *check) stats(since, until time.Duration, hookIDs ...string) map[string]hooks.Stats {
	c.Helper()
	s, err := c.Stats(c.Context(), home, hookIDs, at(since), at(until))
	c.ok(err)
	return s
}

func counts(s hooks.Stats) [3]int { return [3]int{s.Deliveries, s.Successes, s.Failures} }
