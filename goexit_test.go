package hooks_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
)

// A protocol that ends the goroutines of workers fails the attempts, and no worker
// is missing afterwards, however many they were.
func TestWorkersThatAProtocolEndsAreReplaced(t *testing.T) {
	for _, where := range []string{"request", "judge"} {
		t.Run(where, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var armed atomic.Bool
				armed.Store(true)
				h := runningHarness(t, speaks(exiting(where, &armed)), func(c *hooks.Config) { c.MaxInFlight = 4 })
				fragile, _ := h.endpoint(hooks.Hook{Events: []string{"fragile"}, Protocol: "fragile", Schedule: []time.Duration{0, time.Minute}})
				for i := range 20 {
					h.trigger(hooks.Event{ID: fmt.Sprint(i), Type: "fragile"})
				}
				pass(10 * time.Second)
				for _, a := range h.attempts(hooks.LogQuery{}) {
					assert.Equal(t, hooks.ClassRequest, a.Class)
					assert.Contains(t, a.Error, "Goexit")
				}
				armed.Store(false)
				pass(2 * time.Minute)
				assert.Len(t, h.deliveries(hooks.LogQuery{States: []hooks.State{hooks.Succeeded}}), 20, "the retries")
				assert.NotEmpty(t, fragile.Requests())
			})
		})
	}
}

// Whichever function of the observer ends its goroutine or panics: all attempts
// are stored and reported, and Run does not lose what it holds.
func TestAnObserverThatEndsItsGoroutine(t *testing.T) {
	for name, end := range map[string]func(){
		"runtime.Goexit": runtime.Goexit,
		"a panic":        func() { panic(errors.New("boom")) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				reported := map[string]int{}
				tell := func(what string) {
					mu.Lock()
					reported[what]++
					mu.Unlock()
					end()
				}
				store := &panickingStore{}
				h := newHarness(t)
				store.Store = h.store
				failing := &failingClaims{Store: store}
				h.Manager = h.manager(failing, func(c *hooks.Config) {
					c.DisableAfter = time.Minute
					c.Observer = hooks.Observer{
						Attempt:      func(hooks.Delivery, hooks.Attempt, *hooks.Event) { tell("attempt") },
						Ended:        func(hooks.Delivery, *hooks.Event) { tell("ended") },
						HookDisabled: func(hooks.Hook) { tell("disabled") },
						FilterFailed: func(hooks.Hook, hooks.Event, error) { tell("filter") },
						Failure:      func(error) { tell("failure") },
					}
				})
				h.run(h.Manager)
				h.endpoint(hooks.Hook{Events: []string{"a"}})
				h.endpoint(hooks.Hook{Events: []string{"b"}, Filter: "int(data.x) > 1"})
				h.endpoint(hooks.Hook{Events: []string{"a"}, Schedule: []time.Duration{0, 2 * time.Minute}}, hookstest.Status(500))
				for range 10 {
					h.trigger(hooks.Event{Type: "a"})
				}
				h.trigger(hooks.Event{Type: "b", Data: []byte(`{"x":"no"}`)})
				pass(time.Second)
				failing.fail()
				pass(5 * time.Minute)
				for range 10 {
					h.trigger(hooks.Event{Type: "a"})
				}
				pass(time.Minute)
				mu.Lock()
				defer mu.Unlock()
				assert.Equal(t, len(h.attempts(hooks.LogQuery{})), reported["attempt"])
				assert.Len(t, h.deliveries(hooks.LogQuery{States: []hooks.State{hooks.Succeeded}}), 20)
				ends := []hooks.State{hooks.Succeeded, hooks.Dead, hooks.Cancelled}
				assert.Equal(t, len(h.deliveries(hooks.LogQuery{States: ends})), reported["ended"])
				assert.Equal(t, 1, reported["disabled"])
				assert.Equal(t, 1, reported["filter"])
				assert.Positive(t, reported["failure"])
			})
		})
	}
}

// failingClaims is a store whose next claim fails when the test says so.
type failingClaims struct {
	hooks.Store
	mu      sync.Mutex
	failing bool
}

func (s *failingClaims) fail() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failing = true
}

func (s *failingClaims) Claim(ctx context.Context, r hooks.ClaimRequest) ([]hooks.Claimed, time.Time, error) {
	s.mu.Lock()
	failing := s.failing
	s.failing = false
	s.mu.Unlock()
	if failing {
		return nil, time.Time{}, errors.New("no")
	}
	return s.Store.Claim(ctx, r)
}
