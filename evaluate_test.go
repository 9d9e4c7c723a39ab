package hooks_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
)

// A pondering filter takes its time before it says whether it wants the event.
type pondering struct {
	Takes time.Duration
	Wants bool
	// Large is how long it takes for events whose data is "large". Default: Takes.
	Large time.Duration
}

func (p pondering) hook(id string) hooks.Hook {
	settings, err := json.Marshal(p)
	if err != nil {
		panic(err)
	}
	return hooks.Hook{ID: id, URL: "https://example.com", Events: []string{"*"}, Protocol: "pondering", Settings: settings}
}

// ponders has a Manager speak the protocol whose filters are pondering.
func ponders(traits hooks.Traits) func(*hooks.Config) {
	return speaks(&testProtocol{name: "pondering", traits: traits, accepts: func(ctx context.Context, h hooks.Hook, e *hooks.Event) (bool, error) {
		var p pondering
		if err := json.Unmarshal(h.Settings, &p); err != nil {
			return false, err
		}
		if p.Large > 0 && string(e.Data) == `"large"` {
			p.Takes = p.Large
		}
		if p.Takes == 0 {
			return p.Wants, nil
		}
		select {
		case <-ctx.Done():
			return false, fmt.Errorf("interrupted: %w", ctx.Err())
		case <-time.After(p.Takes):
			return p.Wants, nil
		}
	}})
}

// Benign filters are decided at once, however many others are not, and those are
// decided before anything is sent.
func TestFiltersShareTheTimeOfATrigger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, ponders(hooks.Traits{}))
		r := h.receiver()
		for i := range 1000 {
			p := pondering{Wants: i%2 == 0}
			if i%4 > 1 {
				p.Takes = 20 * time.Millisecond
			}
			hook := p.hook(fmt.Sprint("h", i))
			hook.URL = r.URL
			h.register(hook)
		}
		stop := h.run(h.Manager)
		began := time.Now()
		receipt := h.trigger(hooks.Event{Type: "a"})
		assert.LessOrEqual(t, time.Since(began), 101*time.Millisecond)
		assert.Equal(t, hooks.Receipt{EventID: receipt.EventID, Deliveries: 750, Undecided: 500}, receipt)
		began = time.Now()
		assert.Equal(t, 500, h.trigger(hooks.Event{Type: "a"}).Undecided)
		assert.Zero(t, time.Since(began), "what took too long is left to Run for a while")
		stop() // Some are decided, and stay so.

		h.run(h.Manager)
		pass(10 * time.Minute)
		got := map[string]int{}
		for _, d := range h.deliveries(hooks.LogQuery{}) {
			got[fmt.Sprint(d.State, " ", d.Attempts, " ", d.Undecided, " ", d.Reason)]++
		}
		assert.Equal(t, map[string]int{
			"succeeded 1 false ": 1000, "cancelled 0 true the hook's filter did not let the event through": 500,
		}, got)
		assert.Len(t, r.Requests(), 1000)
	})
}

// A trigger ends with its context, between filters and within one, and leaves
// nothing behind.
func TestATriggerEndsWithItsContext(t *testing.T) {
	for _, way := range []string{"Trigger", "TriggerBatch", "TriggerTx"} {
		for name, cause := range map[string]error{"deadline": context.DeadlineExceeded, "cancel": context.Canceled} {
			t.Run(way+", "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := runningHarness(t, ponders(hooks.Traits{}))
					for i := range 40 {
						h.register(pondering{Takes: time.Hour}.hook(fmt.Sprint("h", i)))
					}
					h.register(hooks.Hook{URL: "https://example.com", Events: []string{"*"}})
					ctx, cancel := context.WithCancel(t.Context())
					if name == "deadline" {
						ctx, cancel = context.WithTimeout(t.Context(), 7*time.Millisecond)
					}
					defer cancel()
					if name == "cancel" {
						time.AfterFunc(7*time.Millisecond, cancel)
					}
					began := time.Now()
					events := []hooks.Event{{Type: "a"}, {Type: "a"}}
					var err error
					switch way {
					case "Trigger":
						_, err = h.Trigger(ctx, events[0])
					case "TriggerBatch":
						_, err = h.TriggerBatch(ctx, events...)
					case "TriggerTx":
						tx := h.store.Begin()
						_, err = h.TriggerTx(ctx, tx, events...)
						require.NoError(t, tx.Commit())
					}
					assert.ErrorIs(t, err, cause)
					assert.Equal(t, 7*time.Millisecond, time.Since(began))
					pass(time.Minute)
					assert.Empty(t, h.deliveries(hooks.LogQuery{}))
				})
			})
		}
	}
}

// The time for the filters of a batch grows more slowly than the batch.
func TestTheFiltersOfABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, ponders(hooks.Traits{}))
		for i := range 5 {
			h.register(pondering{Takes: time.Hour}.hook(fmt.Sprint("h", i)))
		}
		h.register(pondering{Wants: true}.hook("benign"))
		var events []hooks.Event
		for range 1000 {
			events = append(events, hooks.Event{Type: "a"})
		}
		began := time.Now()
		receipts, err := h.TriggerBatch(t.Context(), events...)
		require.NoError(t, err)
		assert.LessOrEqual(t, time.Since(began), 1010*time.Millisecond)
		for _, r := range receipts {
			require.Equal(t, hooks.Receipt{EventID: r.EventID, Deliveries: 6, Undecided: 5}, r)
		}
		tx := h.store.Begin()
		began = time.Now()
		receipts, err = h.TriggerTx(t.Context(), tx, events...)
		require.NoError(t, err)
		assert.LessOrEqual(t, time.Since(began), 1010*time.Millisecond)
		assert.Equal(t, 5, receipts[999].Undecided)
		require.NoError(t, tx.Rollback())
	})
}

// One tenant's filters hold up neither another's triggers nor its deliveries.
func TestTheFiltersOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := runningHarness(t, ponders(hooks.Traits{}))
		for tenant := range 20 {
			for i := range 10 {
				hook := pondering{Takes: time.Hour}.hook(fmt.Sprint("h", i))
				hook.Tenant = fmt.Sprint("hostile", tenant)
				h.register(hook)
			}
		}
		r, _ := h.endpoint(hooks.Hook{Tenant: "benign", Events: []string{"*"}, Filter: `type == "a"`})
		for range 50 {
			for tenant := range 20 {
				go func() { _, _ = h.Trigger(t.Context(), hooks.Event{Tenant: fmt.Sprint("hostile", tenant), Type: "a"}) }()
			}
			began := time.Now()
			receipt := h.trigger(hooks.Event{Tenant: "benign", Type: "a"})
			assert.Zero(t, time.Since(began))
			assert.Zero(t, receipt.Undecided)
			pass(100 * time.Millisecond)
		}
		pass(time.Second)
		assert.Len(t, r.Requests(), 50)
	})
}

// Filters that fail are reported now and then.
func TestFiltersThatFailAreToldOfNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines bytes.Buffer
		reported := map[string]int{}
		h := newHarness(t, func(c *hooks.Config) {
			c.Logger = slog.New(slog.NewTextHandler(&lines, nil))
			c.Observer.FilterFailed = func(h hooks.Hook, _ hooks.Event, _ error) { reported[h.Tenant]++ }
		})
		for _, tenant := range []string{"noisy", "quiet"} {
			for i := range 100 {
				h.register(hooks.Hook{ID: fmt.Sprint("h", i), Tenant: tenant, URL: "https://example.com", Events: []string{"*"}, Filter: `data > 1`})
			}
		}
		for range 10 {
			h.trigger(hooks.Event{Tenant: "noisy", Type: "a"})
		}
		assert.Equal(t, map[string]int{"noisy": 10}, reported)
		h.trigger(hooks.Event{Tenant: "quiet", Type: "a"})
		assert.Equal(t, map[string]int{"noisy": 10, "quiet": 10}, reported)
		pass(10 * time.Second)
		lines.Reset()
		h.trigger(hooks.Event{Tenant: "noisy", Type: "a"})
		assert.Equal(t, 11, reported["noisy"])
		assert.Equal(t, 1, strings.Count(lines.String(), "\n"))
		assert.Contains(t, lines.String(), "left_out=990")
		pass(time.Hour)
		h.trigger(hooks.Event{Tenant: "noisy", Type: "a"})
		assert.Equal(t, 21, reported["noisy"])
	})
}

// Hooks that were not needed yet and are costly to compile are left to Run.
func TestACostlyHookIsCompiledByRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		compiled := 0
		protocol := &testProtocol{name: "costly", compile: func(hooks.Hook) error { compiled++; return nil }}
		h := newHarness(t, speaks(protocol))
		r, _ := h.endpoint(hooks.Hook{
			Events: []string{"*"}, Protocol: "costly", Settings: json.RawMessage(`"` + strings.Repeat("x", 5000) + `"`),
		})
		compiled = 0
		assert.Equal(t, 1, h.trigger(hooks.Event{Type: "a"}).Undecided)
		assert.Zero(t, compiled)
		h.run(h.Manager)
		pass(time.Second)
		assert.Equal(t, 1, compiled)
		assert.Zero(t, h.trigger(hooks.Event{Type: "a"}).Undecided)
		pass(time.Second)
		assert.Equal(t, 1, compiled)
		assert.Len(t, r.Requests(), 2)
	})
}
