package hooks_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
)

func TestEventsAreReadTogether(t *testing.T) {
	h := newHarness(t)
	for _, id := range []string{"a", "b", "c"} {
		h.trigger(hooks.Event{ID: id, Type: "order.paid", Data: []byte(`"` + id + `"`)})
	}
	h.trigger(hooks.Event{ID: "d", Tenant: "acme", Type: "order.paid"})
	got, err := h.Events(t.Context(), "", "a", "c", "d", "e")
	require.NoError(t, err)
	require.Len(t, got, 2)
	assert.Equal(t, `"a"`, string(got["a"].Data))
	assert.Equal(t, `"c"`, string(got["c"].Data))
	got, err = h.Events(t.Context(), "")
	require.NoError(t, err)
	assert.Empty(t, got)
}

// history makes a log of two tenants over three hours: deliveries that
// succeeded, died, were cancelled and still wait, some at the same time.
func history(t *testing.T) *harness {
	h := runningHarness(t)
	_, good := h.endpoint(hooks.Hook{ID: "good", Events: []string{"*"}})
	h.endpoint(hooks.Hook{ID: "bad", Events: []string{"order.*"}, Schedule: []time.Duration{0, time.Minute}}, hookstest.Status(500))
	h.endpoint(hooks.Hook{ID: "slow", Events: []string{"order.paid"}, Schedule: []time.Duration{0, 100 * time.Hour}}, hookstest.Status(500))
	h.endpoint(hooks.Hook{ID: "good", Tenant: "acme", Events: []string{"*"}})
	for i := range 6 {
		kind := []string{"order.paid", "order.sent", "user.created"}[i%3]
		h.trigger(hooks.Event{ID: fmt.Sprintf("e%d", i), Type: kind})
		if i%2 == 0 {
			h.trigger(hooks.Event{ID: fmt.Sprintf("e%d", i), Tenant: "acme", Type: kind})
			pass(30 * time.Minute)
		}
	}
	h.update(good.Ref(), func(hook *hooks.Hook) { hook.Schedule = []time.Duration{50 * time.Hour} })
	h.trigger(hooks.Event{ID: "called-off", Type: "order.paid"})
	for _, d := range h.deliveries(hooks.LogQuery{EventID: "called-off", HookID: "good"}) {
		_, err := h.Cancel(t.Context(), "", d.ID)
		require.NoError(t, err)
	}
	pass(10 * time.Minute)
	return h
}

func TestLogQueriesSelect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := history(t)
		all, log := h.deliveries(hooks.LogQuery{}), h.attempts(hooks.LogQuery{})
		middle, tried := all[len(all)/2], log[len(log)/2]
		ids := []string{all[1].ID, all[4].ID, all[1].ID, "unknown"}

		type row struct {
			hook, event, kind, delivery string
			state                       hooks.State
			at                          time.Time
		}
		tests := map[string]struct {
			q     hooks.LogQuery
			match func(row) bool
		}{
			"everything":      {hooks.LogQuery{}, func(row) bool { return true }},
			"hook":            {hooks.LogQuery{HookID: "bad"}, func(r row) bool { return r.hook == "bad" }},
			"event":           {hooks.LogQuery{EventID: "e0"}, func(r row) bool { return r.event == "e0" }},
			"type":            {hooks.LogQuery{EventType: "order.sent"}, func(r row) bool { return r.kind == "order.sent" }},
			"deliveries":      {hooks.LogQuery{DeliveryIDs: ids}, func(r row) bool { return slices.Contains(ids, r.delivery) }},
			"a state":         {hooks.LogQuery{States: []hooks.State{hooks.Dead}}, func(r row) bool { return r.state == hooks.Dead }},
			"several states":  {hooks.LogQuery{States: []hooks.State{hooks.Pending, hooks.Succeeded}}, func(r row) bool { return r.state == hooks.Pending || r.state == hooks.Succeeded }},
			"no such state":   {hooks.LogQuery{States: []hooks.State{"lost"}}, func(row) bool { return false }},
			"no such hook":    {hooks.LogQuery{HookID: "nobody"}, func(row) bool { return false }},
			"since, triggers": {hooks.LogQuery{Since: middle.CreatedAt}, func(r row) bool { return !r.at.Before(middle.CreatedAt) }},
			"until, triggers": {hooks.LogQuery{Until: middle.CreatedAt}, func(r row) bool { return r.at.Before(middle.CreatedAt) }},
			"since, attempts": {hooks.LogQuery{Since: tried.StartedAt}, func(r row) bool { return !r.at.Before(tried.StartedAt) }},
			"until, attempts": {hooks.LogQuery{Until: tried.StartedAt}, func(r row) bool { return r.at.Before(tried.StartedAt) }},
			"everything at once": {
				hooks.LogQuery{HookID: "bad", EventID: "e0", EventType: "order.paid", Since: all[len(all)-1].CreatedAt, Until: all[0].CreatedAt, States: []hooks.State{hooks.Dead}},
				func(r row) bool { return r.hook == "bad" && r.event == "e0" && r.state == hooks.Dead },
			},
		}
		for name, tt := range tests {
			var want []hooks.Delivery
			for _, d := range all {
				if tt.match(row{d.HookID, d.EventID, d.EventType, d.ID, d.State, d.CreatedAt}) {
					want = append(want, d)
				}
			}
			assert.Equal(t, want, h.deliveries(tt.q), "deliveries: %s", name)
			var tries []hooks.Attempt
			for _, a := range log {
				if tt.match(row{a.HookID, a.EventID, a.EventType, a.DeliveryID, a.State, a.StartedAt}) {
					tries = append(tries, a)
				}
			}
			assert.Equal(t, tries, h.attempts(tt.q), "attempts: %s", name)
		}

		states := map[hooks.State]int{}
		for _, d := range all {
			states[d.State]++
		}
		assert.Equal(t, map[hooks.State]int{hooks.Succeeded: 6, hooks.Dead: 5, hooks.Pending: 3, hooks.Cancelled: 1}, states)
		assert.Len(t, log, 6+2*5+3)
		assert.Len(t, h.deliveries(hooks.LogQuery{Tenant: "acme"}), 3)
		assert.Len(t, h.attempts(hooks.LogQuery{Tenant: "acme"}), 3)
		assert.True(t, slices.IsSortedFunc(all, func(a, b hooks.Delivery) int {
			return compareNewest(a.CreatedAt, b.CreatedAt, a.ID, b.ID)
		}), "newest first")
		assert.True(t, slices.IsSortedFunc(log, func(a, b hooks.Attempt) int {
			return compareNewest(a.StartedAt, b.StartedAt, a.DeliveryID, b.DeliveryID)
		}), "newest first")
	})
}

func compareNewest(at, other time.Time, id, otherID string) int {
	if c := other.Compare(at); c != 0 {
		return c
	}
	return strings.Compare(otherID, id)
}

func TestLogsArePaged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := history(t)
		all, log := h.deliveries(hooks.LogQuery{}), h.attempts(hooks.LogQuery{})
		for _, limit := range []int{1, 2, 5, len(all), len(log), 1000} {
			q := hooks.LogQuery{PageQuery: hooks.PageQuery{Limit: limit, CountTo: 4}}
			var got []hooks.Delivery
			for more := true; more; more = !q.After.IsZero() {
				page, err := h.Deliveries(t.Context(), q)
				require.NoError(t, err)
				assert.Equal(t, 4, page.Total)
				assert.Len(t, page.Items, min(limit, len(all)-len(got)))
				got = append(got, page.Items...)
				q.After = throughText(t, page.Next)
			}
			assert.Equal(t, all, got, "deliveries, limit %d", limit)

			var tries []hooks.Attempt
			for more := true; more; more = !q.After.IsZero() {
				page, err := h.Logs(t.Context(), q)
				require.NoError(t, err)
				assert.Equal(t, 4, page.Total)
				assert.Len(t, page.Items, min(limit, len(log)-len(tries)))
				tries = append(tries, page.Items...)
				q.After = throughText(t, page.Next)
			}
			assert.Equal(t, log, tries, "attempts, limit %d", limit)
		}

		oldest := hooks.LogQuery{PageQuery: hooks.PageQuery{Limit: 2, OldestFirst: true}}
		reversed := h.deliveries(oldest)
		slices.Reverse(reversed)
		assert.Equal(t, deliveryIDs(all), deliveryIDs(reversed))
		tried := h.attempts(oldest)
		slices.Reverse(tried)
		assert.Equal(t, attemptIDs(log), attemptIDs(tried))

		q := hooks.LogQuery{PageQuery: hooks.PageQuery{Limit: 3, Offset: 4, CountTo: 1000}}
		page, err := h.Deliveries(t.Context(), q)
		require.NoError(t, err)
		assert.Equal(t, all[4:7], page.Items)
		assert.Equal(t, len(all), page.Total)
		tries, err := h.Logs(t.Context(), q)
		require.NoError(t, err)
		assert.Equal(t, log[4:7], tries.Items)
		assert.Equal(t, len(log), tries.Total)
	})
}

func TestAllReadsPageByPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := history(t)
		all, log := h.deliveries(hooks.LogQuery{}), h.attempts(hooks.LogQuery{})
		spy := &spyStore{Store: h.store}
		h.Manager = h.manager(spy)

		// An early break reads no further page.
		q := hooks.LogQuery{PageQuery: hooks.PageQuery{Limit: 2}}
		for _, n := range []int{1, 2, 3} {
			spy.reads.Store(0)
			var got []hooks.Delivery
			for d, err := range h.AllDeliveries(t.Context(), q) {
				require.NoError(t, err)
				if got = append(got, d); len(got) == n {
					break
				}
			}
			assert.Equal(t, all[:n], got)
			assert.EqualValues(t, (n+1)/2, spy.reads.Load())

			spy.reads.Store(0)
			var tries []hooks.Attempt
			for a, err := range h.AllLogs(t.Context(), q) {
				require.NoError(t, err)
				if tries = append(tries, a); len(tries) == n {
					break
				}
			}
			assert.Equal(t, log[:n], tries)
			assert.EqualValues(t, (n+1)/2, spy.reads.Load())
		}

		// They begin behind a cursor, and skip an offset once.
		first, err := h.Deliveries(t.Context(), hooks.LogQuery{PageQuery: hooks.PageQuery{Limit: 3}})
		require.NoError(t, err)
		behind := hooks.LogQuery{PageQuery: hooks.PageQuery{Limit: 2, After: first.Next}}
		assert.Equal(t, deliveryIDs(all[3:]), deliveryIDs(h.deliveries(behind)))
		offset := hooks.LogQuery{PageQuery: hooks.PageQuery{Limit: 2, Offset: 3}}
		assert.Equal(t, deliveryIDs(all[3:]), deliveryIDs(h.deliveries(offset)), "all but the first 3")
		assert.Equal(t, attemptIDs(log[3:]), attemptIDs(h.attempts(offset)), "all but the first 3")

		// An iterator can be used again.
		again := h.AllDeliveries(t.Context(), q)
		for range 2 {
			n := 0
			for _, err := range again {
				require.NoError(t, err)
				n++
			}
			assert.Equal(t, len(all), n)
		}

		// An error ends them.
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		n := 0
		for _, err := range h.AllDeliveries(ended, q) {
			require.ErrorIs(t, err, context.Canceled)
			n++
		}
		for _, err := range h.AllLogs(ended, q) {
			require.ErrorIs(t, err, context.Canceled)
			n++
		}
		assert.Equal(t, 2, n)
	})
}

func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := history(t)
		dead := h.deliveries(hooks.LogQuery{States: []hooks.State{hooks.Dead}})
		failed := h.attempts(hooks.LogQuery{HookID: "bad"})
		stats := func(tenant string, since, until time.Time, ids ...string) map[string]hooks.Stats {
			got, err := h.Stats(t.Context(), tenant, since, until, ids...)
			require.NoError(t, err)
			return got
		}
		last := failed[0]
		bad := hooks.Stats{Deliveries: 5, Failures: 5, LastError: last.Error, LastErrorAt: last.StartedAt}
		got := stats("", time.Time{}, time.Time{}, "good", "bad", "slow", "nobody")
		slow := h.attempts(hooks.LogQuery{HookID: "slow"})[0]
		assert.Equal(t, map[string]hooks.Stats{
			"good":   {Deliveries: 6, Successes: 6},
			"bad":    bad,
			"slow":   {LastError: slow.Error, LastErrorAt: slow.StartedAt},
			"nobody": {},
		}, got)
		assert.Contains(t, last.Error, "500")
		assert.Equal(t, map[string]hooks.Stats{"good": {Deliveries: 3, Successes: 3}, "bad": {}}, stats("acme", time.Time{}, time.Time{}, "good", "bad"))
		assert.Equal(t, stats("", time.Time{}, time.Time{}, "good", "bad", "slow"), stats("", time.Time{}, time.Time{}), "all hooks of the tenant")
		assert.Equal(t, stats("acme", time.Time{}, time.Time{}, "good"), stats("acme", time.Time{}, time.Time{}))
		assert.Empty(t, stats("nobody", time.Time{}, time.Time{}))

		// The window holds its beginning, and not its end.
		ended := func(since, until time.Time) (n int) {
			for _, d := range dead {
				if !d.EndedAt.Before(since) && d.EndedAt.Before(until) {
					n++
				}
			}
			return n
		}
		failures := func(since, until time.Time) int { return stats("", since, until, "bad")["bad"].Failures }
		at := dead[2].EndedAt
		for _, window := range [][2]time.Duration{{0, 1}, {0, time.Millisecond}, {-time.Second, 0}, {1, time.Second}, {-time.Hour, time.Hour}, {0, 0}} {
			since, until := at.Add(window[0]), at.Add(window[1])
			assert.Equal(t, ended(since, until), failures(since, until), window)
		}
		before := stats("", time.Time{}, last.StartedAt, "bad")["bad"]
		assert.True(t, before.LastErrorAt.Before(last.StartedAt))

		// By default it is the last 24 hours.
		day := 24 * time.Hour
		assert.Equal(t, ended(at, at.Add(day)), failures(time.Time{}, at.Add(day)), "24 hours before until")
		pass(time.Until(at.Add(day)))
		assert.Equal(t, ended(at.Add(time.Millisecond), at.Add(day)), failures(time.Time{}, time.Time{}), "up to now")
	})
}
