package hooks_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
)

func TestRetries(t *testing.T) {
	assert.Equal(t, []time.Duration{0}, hooks.Retries(), "one attempt")
	assert.Equal(t, []time.Duration{0, 5 * time.Second, time.Minute}, hooks.Retries(5*time.Second, time.Minute))

	delays := make([]time.Duration, 1, 10)
	schedule := hooks.Retries(delays...)
	schedule[1] = time.Hour
	assert.Zero(t, delays[0], "the delays are the caller's")
}

// The schedule and the timeout of a hook are its own, else those of the
// configuration, if it speaks the default protocol, else those of its protocol.
func TestTheScheduleAndTheTimeoutOfTheConfiguration(t *testing.T) {
	configured := hooks.Retries(10*time.Second, 20*time.Second)
	tests := map[string]struct {
		hook     hooks.Hook
		schedule []time.Duration
		timeout  time.Duration
	}{
		"a hook without":               {hooks.Hook{}, configured, 2 * time.Second},
		"a hook with a schedule":       {hooks.Hook{Schedule: []time.Duration{0, time.Minute}}, []time.Duration{0, time.Minute}, 2 * time.Second},
		"a hook with a delay at first": {hooks.Hook{Schedule: []time.Duration{5 * time.Second, time.Minute}}, []time.Duration{5 * time.Second, time.Minute}, 2 * time.Second},
		"a hook with a timeout":        {hooks.Hook{Timeout: time.Second}, configured, time.Second},
		"another protocol":             {hooks.Hook{Protocol: "other"}, []time.Duration{0, time.Hour}, 5 * time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				given := hooks.Retries(10*time.Second, 20*time.Second)
				h := runningHarness(t, func(c *hooks.Config) {
					c.Schedule, c.Timeout = given, 2*time.Second
					c.Protocols = []hooks.Protocol{&testProtocol{name: "other", traits: hooks.Traits{Schedule: []time.Duration{0, time.Hour}}}}
				})
				given[0] = time.Hour // New has copied it
				tt.hook.Events = []string{"*"}
				r, _ := h.endpoint(tt.hook, hookstest.Hang())
				triggered := time.Now()
				h.trigger(hooks.Event{ID: "e", Type: "a"})
				pass(24 * time.Hour)

				attempts := h.attempts(hooks.LogQuery{PageQuery: hooks.PageQuery{OldestFirst: true}})
				require.Len(t, attempts, len(tt.schedule))
				require.Len(t, r.Requests(), len(tt.schedule))
				before := triggered
				for i, a := range attempts {
					pause := a.StartedAt.Sub(before)
					assert.GreaterOrEqual(t, pause, tt.schedule[i], "before attempt %d", i+1)
					assert.LessOrEqual(t, pause, tt.schedule[i]*6/5+time.Millisecond, "before attempt %d", i+1)
					assert.Equal(t, hooks.ClassTimeout, a.Class)
					assert.Equal(t, tt.timeout, a.Duration)
					before = a.StartedAt.Add(a.Duration)
				}
			})
		})
	}
}

// A hook whose protocol is gone fails on the schedule of the configuration, one that
// its protocol does not accept any more on that of the protocol.
func TestAHookThatIsBrokenHasASchedule(t *testing.T) {
	broken := &testProtocol{name: "other", traits: hooks.Traits{Schedule: hooks.Retries(time.Minute)}}
	broken.compile = func(hooks.Hook) error { return errors.New("no longer") }
	for attempts, protocols := range map[int][]hooks.Protocol{3: nil, 2: {broken}} {
		synctest.Test(t, func(t *testing.T) {
			h := newHarness(t, speaks(&testProtocol{name: "other"}))
			h.register(hooks.Hook{Events: []string{"*"}, URL: "https://example.com", Protocol: "other"})
			h.trigger(hooks.Event{ID: "e", Type: "a"})
			h.Manager = h.manager(h.store, speaks(protocols...), func(c *hooks.Config) {
				c.Schedule = hooks.Retries(time.Minute, time.Minute)
			})
			h.run(h.Manager)
			pass(time.Hour)
			d := h.delivery("", "e")
			assert.Equal(t, attempts, d.Attempts)
			assert.Equal(t, hooks.Dead, d.State)
		})
	}
}

func TestTestSendsTheExampleOfTheType(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, func(c *hooks.Config) {
			c.Catalogue = []hooks.EventType{{Name: "order.paid", Example: json.RawMessage(`{ "total": 1 }`)}, {Name: "order.sent"}}
		})
		r, hook := h.endpoint(hooks.Hook{Events: []string{"*"}})
		tests := []struct {
			event hooks.Event
			want  string
		}{
			{hooks.Event{Type: "order.paid"}, `{ "total": 1 }`},
			{hooks.Event{Type: "order.paid", Data: json.RawMessage{}}, `{ "total": 1 }`},
			{hooks.Event{Type: "order.paid", Data: json.RawMessage(`{}`)}, `{}`},
			{hooks.Event{Type: "order.sent"}, `{}`},
		}
		for _, tt := range tests {
			_, err := h.Test(t.Context(), hook, tt.event)
			require.NoError(t, err)
			assert.Equal(t, tt.want, string(r.Next().Data))
		}
		given := []hooks.Event{{Type: "order.paid"}}
		_, err := h.Test(t.Context(), hook, given...)
		require.NoError(t, err)
		assert.Equal(t, []hooks.Event{{Type: "order.paid"}}, given, "the events are the caller's")
		h.trigger(hooks.Event{ID: "e", Type: "order.paid"})
		stored, err := h.Event(t.Context(), "", "e")
		require.NoError(t, err)
		assert.Equal(t, `{}`, string(stored.Data), "what is triggered is real, and never an example")
	})
}

// Examples count like the data that they stand for.
func TestExamplesAreBounded(t *testing.T) {
	h := newHarness(t, func(c *hooks.Config) {
		c.MaxPayload = 16 << 20
		c.Catalogue = []hooks.EventType{{Name: "a", Example: json.RawMessage(`"` + strings.Repeat("x", 16<<20-2) + `"`)}}
	})
	events := make([]hooks.Event, 5)
	for i := range events {
		events[i].Type = "a"
	}
	_, err := h.Test(t.Context(), hooks.Hook{URL: "https://example.com", Events: []string{"*"}}, events...)
	refused(t, err, "events", "bytes of data")
}

// Stats of a tenant with more hooks than a page has are those of all that exist.
func TestStatsOfAllHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := runningHarness(t, func(c *hooks.Config) { c.MaxHooks = -1 })
		r := h.receiver()
		n := 2*hooks.MaxLimit + 1
		for i := range n {
			h.register(hooks.Hook{ID: fmt.Sprint(i), URL: r.URL, Events: []string{fmt.Sprintf("order.%d", i)}})
		}
		for _, i := range []int{0, hooks.MaxLimit, n - 1} {
			h.trigger(hooks.Event{Type: fmt.Sprintf("order.%d", i)})
		}
		synctest.Wait()
		require.NoError(t, h.Delete(t.Context(), "", fmt.Sprint(hooks.MaxLimit)))

		got, err := h.Stats(t.Context(), "", time.Time{}, time.Time{})
		require.NoError(t, err)
		assert.Len(t, got, n-1)
		for id, stats := range got {
			want := hooks.Stats{}
			if id == "0" || id == fmt.Sprint(n-1) {
				want = hooks.Stats{Deliveries: 1, Successes: 1}
			}
			assert.Equal(t, want, stats, id)
		}
		deleted := fmt.Sprint(hooks.MaxLimit)
		got, err = h.Stats(t.Context(), "", time.Time{}, time.Time{}, deleted)
		require.NoError(t, err)
		assert.Equal(t, map[string]hooks.Stats{deleted: {Deliveries: 1, Successes: 1}}, got, "one that was deleted can be named")
	})
}

func TestStatsOfAllHooksOfAStoreThatFails(t *testing.T) {
	h := newHarness(t)
	h.register(hooks.Hook{URL: "https://example.com", Events: []string{"*"}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := h.Stats(ctx, "", time.Time{}, time.Time{})
	require.ErrorIs(t, err, context.Canceled)
}
