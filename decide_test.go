package hooks_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
)

// What is undecided is stored: another Manager decides it, with the hook as it is
// then.
func TestAnotherManagerDecides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, ponders(hooks.Traits{}))
		r, hook := h.endpoint(pondering{Takes: 500 * time.Millisecond}.hook("h"))
		first := h.trigger(hooks.Event{Type: "a"})
		assert.Equal(t, 1, first.Undecided)
		stop := h.run(h.manager(h.store, ponders(hooks.Traits{})))
		pass(time.Second)
		assert.Equal(t, hooks.Cancelled, h.delivery("", first.EventID).State)
		stop()

		second := h.trigger(hooks.Event{Type: "a"})
		h.update(hook.Ref(), func(hook *hooks.Hook) { hook.Settings = pondering{Wants: true}.hook("h").Settings })
		h.run(h.manager(h.store, ponders(hooks.Traits{})))
		pass(time.Second)
		assert.Equal(t, hooks.Succeeded, h.delivery("", second.EventID).State)

		// A redelivery is filtered again.
		redeliver := func(receipt hooks.Receipt) {
			d := h.delivery("", receipt.EventID)
			_, err := h.Redeliver(t.Context(), "", d.ID)
			require.NoError(t, err)
			pass(10 * time.Second)
		}
		redeliver(first)
		assert.Equal(t, hooks.Succeeded, h.delivery("", first.EventID).State)
		h.update(hook.Ref(), func(hook *hooks.Hook) { hook.Settings = pondering{}.hook("h").Settings })
		redeliver(first)
		assert.Equal(t, hooks.Succeeded, h.delivery("", first.EventID).State, "it has been let through once")
		assert.Len(t, r.Requests(), 3)
	})
}

// A decision is made once: retries do not evaluate the filter again.
func TestRetriesAreDecided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := runningHarness(t, ponders(hooks.Traits{Schedule: []time.Duration{0, time.Minute}}))
		_, hook := h.endpoint(pondering{Takes: 500 * time.Millisecond, Wants: true}.hook("h"), hookstest.Status(500), hookstest.Status(200))
		receipt := h.trigger(hooks.Event{Type: "a"})
		pass(time.Second)
		d := h.delivery("", receipt.EventID)
		assert.Equal(t, hooks.Pending, d.State)
		assert.False(t, d.Undecided)
		h.update(hook.Ref(), func(hook *hooks.Hook) { hook.Settings = pondering{}.hook("h").Settings })
		pass(2 * time.Minute)
		assert.Equal(t, hooks.Succeeded, h.delivery("", receipt.EventID).State)
	})
}

// A filter that is too slow for Run, too, is a failed attempt, and disables its
// hook in the end. The endpoint is not to blame.
func TestAFilterThatIsTooSlow(t *testing.T) {
	schedule := []time.Duration{0, 10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second, 160 * time.Second}
	tests := map[string]struct {
		event    string // triggered each minute
		disabled bool
	}{
		"always":             {``, true},
		"for some events":    {`"small"`, false},
		"for all the events": {`"large"`, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var disabled record[hooks.Hook]
				h := runningHarness(t, ponders(hooks.Traits{Schedule: schedule}), func(c *hooks.Config) { c.Observer.HookDisabled = disabled.add })
				r, hook := h.endpoint(pondering{Takes: 200 * time.Millisecond, Large: time.Hour, Wants: true}.hook("h"))
				receipt := h.trigger(hooks.Event{Type: "a", Data: json.RawMessage(`"large"`)})
				pass(1500 * time.Millisecond)
				d := h.delivery("", receipt.EventID)
				assert.Equal(t, hooks.Pending, d.State)
				assert.True(t, d.Undecided)
				assert.Equal(t, "the hook's filter could not be evaluated in 1s", d.Reason)
				a := h.attempts(hooks.LogQuery{})[0]
				assert.Equal(t, hooks.ClassFilter, a.Class)
				assert.Equal(t, hooks.AttemptRequest{}, a.Request)
				assert.InDelta(t, time.Second, a.Duration, float64(10*time.Millisecond))
				assert.Zero(t, h.hook(hook.Ref()).Health)
				for range 14 {
					if test.event != "" && !h.hook(hook.Ref()).Disabled {
						h.trigger(hooks.Event{Type: "a", Data: json.RawMessage(test.event)})
					}
					pass(30 * time.Second)
				}
				assert.Equal(t, test.disabled, h.hook(hook.Ref()).Disabled)
				if test.disabled {
					assert.Len(t, disabled.all(), 1)
					assert.Regexp(t, `^its filter could not be evaluated in time, \d+ times in a row since 20`, h.hook(hook.Ref()).DisabledReason)
					assert.Empty(t, r.Requests())
				} else {
					assert.Equal(t, hooks.Dead, h.delivery("", receipt.EventID).State, "after the whole schedule")
					assert.Len(t, h.attempts(hooks.LogQuery{EventID: receipt.EventID}), len(schedule))
				}
			})
		})
	}
}

// A machine that is slow for a moment disables no hook.
func TestManySlowFiltersAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := runningHarness(t, ponders(hooks.Traits{Schedule: []time.Duration{0, time.Hour}}))
		hook := h.register(pondering{Takes: time.Hour}.hook("h"))
		for range 20 {
			h.trigger(hooks.Event{Type: "a"})
		}
		pass(55 * time.Second)
		assert.Greater(t, len(h.attempts(hooks.LogQuery{})), 5)
		assert.False(t, h.hook(hook.Ref()).Disabled)
	})
}

// A refusal lets the next of an ordering key go.
func TestUndecidedWithAnOrderingKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := runningHarness(t, ponders(hooks.Traits{}))
		hook := pondering{Takes: time.Hour, Large: 200 * time.Millisecond}
		_, registered := h.endpoint(hook.hook("h"))
		first := h.trigger(hooks.Event{Type: "a", OrderingKey: "k", Data: json.RawMessage(`"large"`)})
		second := h.trigger(hooks.Event{Type: "a", OrderingKey: "k", Data: json.RawMessage(`"large"`)})
		assert.Equal(t, hooks.Blocked, h.delivery("", second.EventID).State)
		assert.True(t, h.delivery("", second.EventID).Undecided)
		pass(time.Second)
		assert.Equal(t, hooks.Cancelled, h.delivery("", first.EventID).State)
		pass(10 * time.Second)
		assert.Equal(t, hooks.Cancelled, h.delivery("", second.EventID).State)
		assert.Zero(t, h.hook(registered.Ref()).Health)
	})
}

// A batch is sent without what the filter refuses, and each of it gets all of the
// time that a filter has.
func TestUndecidedInABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizes record[int]
		traits := hooks.Traits{MaxBatch: 10}
		h := newHarness(t, speaks(&testProtocol{
			name: "pondering", traits: traits,
			accepts: func(ctx context.Context, _ hooks.Hook, e *hooks.Event) (bool, error) {
				select {
				case <-ctx.Done():
					return false, ctx.Err()
				case <-time.After(700 * time.Millisecond): // each needs most of what one has
				}
				if string(e.Data) == "2" {
					return false, errors.New("an odd number\x00of twos")
				}
				return string(e.Data) != "1", nil
			},
			request: func(_ context.Context, _ hooks.Send, hook hooks.Hook, msgs []hooks.Message) (hooks.Request, error) {
				sizes.add(len(msgs))
				return post(hook, msgs[0])
			},
		}))
		hook := pondering{}.hook("h")
		hook.MaxBatch = 10
		_, _ = h.endpoint(hook)
		var ids []string
		for i := range 4 {
			receipt := h.trigger(hooks.Event{Type: "a", Data: json.RawMessage(fmt.Sprint(i))})
			assert.Equal(t, 1, receipt.Undecided)
			ids = append(ids, receipt.EventID)
		}
		h.run(h.Manager)
		pass(time.Minute)
		var got []string
		for _, id := range ids {
			d := h.delivery("", id)
			got = append(got, fmt.Sprint(d.State, d.Reason))
		}
		assert.Equal(t, []string{"succeeded", "cancelledthe hook's filter did not let the event through", "cancelledan odd number\\x00of twos", "succeeded"}, got)
		assert.Equal(t, []int{1, 1}, sizes.all(), "the rest is decided in later goes")
	})
}

// Run interrupts a filter when it has to stop, and what it was for is undecided
// as before.
func TestStoppingInterruptsFilters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, ponders(hooks.Traits{}), func(c *hooks.Config) { c.Grace = 100 * time.Millisecond })
		_, hook := h.endpoint(pondering{Takes: 900 * time.Millisecond, Wants: true}.hook("h"))
		receipt := h.trigger(hooks.Event{Type: "a"})
		stop := h.run(h.Manager)
		pass(200 * time.Millisecond)
		began := time.Now()
		stop()
		assert.Equal(t, 100*time.Millisecond, time.Since(began))
		d := h.delivery("", receipt.EventID)
		assert.Equal(t, hooks.Pending, d.State)
		assert.True(t, d.Undecided)
		assert.Zero(t, d.Attempts)
		h.run(h.Manager)
		pass(5 * time.Second)
		assert.Equal(t, hooks.Succeeded, h.delivery("", receipt.EventID).State)
		assert.Zero(t, h.hook(hook.Ref()).Health)
	})
}

// However many workers are free, a tenant's filters do not use more than one
// processor.
func TestRunEvaluatesOneFilterOfATenantAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var filters counter
		h := newHarness(t, speaks(&testProtocol{name: "counting", accepts: func(context.Context, hooks.Hook, *hooks.Event) (bool, error) {
			defer filters.begin()()
			time.Sleep(2 * time.Millisecond)
			return true, nil
		}}))
		r := h.receiver()
		for range 200 {
			h.register(hooks.Hook{URL: r.URL, Events: []string{"*"}, Protocol: "counting"})
		}
		assert.Greater(t, h.trigger(hooks.Event{Type: "a"}).Undecided, 100)
		filters.most = 0
		h.run(h.Manager)
		pass(time.Minute)
		assert.Len(t, r.Requests(), 200)
		assert.Equal(t, 1, filters.most)
	})
}

// Short leases leave less time for a filter, but some.
func TestFiltersWithinAShortLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, ponders(hooks.Traits{}), func(c *hooks.Config) { c.Lease = time.Second })
		r, _ := h.endpoint(pondering{Takes: 50 * time.Millisecond, Wants: true}.hook("h"))
		h.register(pondering{Takes: 70 * time.Millisecond, Wants: true}.hook("slow"))
		assert.Equal(t, 2, h.trigger(hooks.Event{Type: "a"}).Undecided)
		h.run(h.Manager)
		pass(time.Minute)
		assert.Len(t, r.Requests(), 1)
		assert.Equal(t, "the hook's filter could not be evaluated in 62.5ms", h.deliveries(hooks.LogQuery{HookID: "slow"})[0].Reason)
	})
}
