package hooks_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
	"github.com/seed-2c6e3a5a/hooks/memory"
)

// A timedStore takes its time, as a disk does, and counts what it is given.
type timedStore struct {
	*memory.Store
	takes time.Duration

	mu                         sync.Mutex
	stored, handedOver, claims int
}

func (s *timedStore) Enqueue(ctx context.Context, now time.Time, entries []hooks.Entry) error {
	time.Sleep(s.takes)
	s.mu.Lock()
	for i := range entries {
		for j := range entries[i].Deliveries {
			s.stored++
			if entries[i].Deliveries[j].State == hooks.Leased {
				s.handedOver++
			}
		}
	}
	s.mu.Unlock()
	return s.Store.Enqueue(ctx, now, entries)
}

func (s *timedStore) Claim(ctx context.Context, r hooks.ClaimRequest) ([]hooks.Claimed, time.Time, error) {
	time.Sleep(s.takes)
	s.mu.Lock()
	s.claims++
	s.mu.Unlock()
	return s.Store.Claim(ctx, r)
}

// Callers that trigger one event after another keep the engine busy, and nearly all of their
// deliveries are handed over in memory: also after the start, when nothing is known of the
// endpoint and some have to wait in the store.
func TestDeliveriesAreHandedOverUnderLoad(t *testing.T) {
	for _, tt := range []struct{ callers, hooks int }{{1, 1}, {16, 1}, {64, 1}, {1, 50}, {4, 20}} {
		t.Run(fmt.Sprintf("%d callers, %d hooks", tt.callers, tt.hooks), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				network := new(hookstest.Network)
				s := &timedStore{Store: memory.New(memory.Options{}), takes: 2 * time.Millisecond}
				m := newManager(t, s, network, func(c *hooks.Config) { c.MaxInFlight, c.MaxInFlightPerHook = 64, 64 })
				r := network.Receiver(t, "a.example.com", hookstest.Status(200).After(time.Millisecond))
				for range tt.hooks {
					register(t, m, hooks.Hook{URL: r.URL, Events: []string{"*"}})
				}
				stop := start(t, m)
				synctest.Wait()
				var group sync.WaitGroup
				for i := range tt.callers {
					group.Go(func() {
						for j := range 8000 / tt.callers / tt.hooks {
							_, err := m.Trigger(t.Context(), hooks.Event{ID: fmt.Sprintf("%d-%d", i, j), Type: "order.paid", Data: []byte("{}")})
							assert.NoError(t, err)
						}
					})
				}
				group.Wait()
				time.Sleep(time.Second)
				stop()
				for _, d := range deliveries(t, m, hooks.LogQuery{}) {
					require.Equal(t, hooks.Succeeded, d.State)
					require.Equal(t, 1, d.Attempts)
				}
				t.Logf("%d of %d handed over, %d claims", s.handedOver, s.stored, s.claims)
				assert.GreaterOrEqual(t, s.handedOver, s.stored*97/100)
			})
		})
	}
}

// While the store accepts no results, at most 10 * MaxInFlight requests are made, so that no
// more than that are made again after a crash. The README says so.
func TestFewRequestsAreMadeWhileNoResultIsStored(t *testing.T) {
	for _, maxInFlight := range []int{1, 4, 32} {
		t.Run(fmt.Sprint(maxInFlight), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				network := new(hookstest.Network)
				stuck := make(chan struct{})
				s := &faultyStore{Store: memory.New(memory.Options{}), settle: func(context.Context) error { <-stuck; return nil }}
				m := newManager(t, s, network, func(c *hooks.Config) { c.MaxInFlight = maxInFlight })
				r := network.Receiver(t, "a.example.com", hookstest.Status(200).After(time.Millisecond))
				for range 4 {
					register(t, m, hooks.Hook{URL: r.URL, Events: []string{"*"}})
				}
				stop := start(t, m)
				synctest.Wait()
				trigger(t, m, 10*maxInFlight)
				time.Sleep(5 * time.Second)
				assert.LessOrEqual(t, len(r.Requests()), 10*maxInFlight)
				assert.GreaterOrEqual(t, len(r.Requests()), 8*maxInFlight, "that is what may wait")
				close(stuck)
				time.Sleep(5 * time.Second)
				assert.Len(t, r.Requests(), 40*maxInFlight)
				stop()
			})
		})
	}
}

// After a call of Settle, the engine gives results time to arrive, unless there are many.
func TestResultsShareCallsOfSettle(t *testing.T) {
	const took = 20 * time.Millisecond
	for name, tt := range map[string]struct {
		events int
		gap    time.Duration // between the starts of two calls
	}{
		"few":  {10, 2 * took},
		"many": {1000, took},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := new(hookstest.Network)
				var calls []time.Time
				s := &faultyStore{Store: memory.New(memory.Options{}), settle: func(context.Context) error {
					calls = append(calls, time.Now())
					time.Sleep(took)
					return nil
				}}
				m := newManager(t, s, network, func(c *hooks.Config) { c.MaxInFlight, c.MaxInFlightPerHook = 8, 8 })
				r := network.Receiver(t, "a.example.com", hookstest.Status(200).After(time.Millisecond))
				register(t, m, hooks.Hook{URL: r.URL, Events: []string{"*"}})
				stop := start(t, m)
				synctest.Wait()
				trigger(t, m, 1)
				time.Sleep(took + 2*time.Millisecond) // The first call has just ended.
				trigger(t, m, tt.events)
				time.Sleep(10 * time.Second)
				stop()
				require.GreaterOrEqual(t, len(calls), 2)
				if tt.events < 100 {
					require.Len(t, calls, 2, "all that came while the engine waited")
				}
				middle := len(calls) / 2
				assert.Equal(t, tt.gap, calls[middle].Sub(calls[middle-1]))
			})
		})
	}
}
