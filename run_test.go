package hooks_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
	"github.com/seed-2c6e3a5a/hooks/memory"
)

// newManager returns a Manager on the store that reaches the network alone.
func newManager(t *testing.T, store hooks.Store, network *hookstest.Network, adjust ...func(*hooks.Config)) *hooks.Manager {
	t.Helper()
	cfg := hooks.Config{Dial: network.Dial, AllowHTTP: true, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}
	for _, change := range adjust {
		change(&cfg)
	}
	m, err := hooks.New(store, cfg)
	require.NoError(t, err)
	return m
}

// start runs the Manager until stop is called, which waits for its end.
func start(t *testing.T, m *hooks.Manager) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		assert.NoError(t, <-ended)
	})
	t.Cleanup(stop)
	return stop
}

func register(t *testing.T, m *hooks.Manager, h hooks.Hook) hooks.Hook {
	t.Helper()
	h, err := m.Register(t.Context(), h)
	require.NoError(t, err)
	return h
}

func trigger(t *testing.T, m *hooks.Manager, n int) {
	t.Helper()
	events := make([]hooks.Event, n)
	for i := range events {
		events[i].Type = "order.paid"
	}
	_, err := m.TriggerBatch(t.Context(), events...)
	require.NoError(t, err)
}

func deliveries(t *testing.T, m *hooks.Manager, q hooks.LogQuery) []hooks.Delivery {
	t.Helper()
	var all []hooks.Delivery
	for d, err := range m.AllDeliveries(t.Context(), q) {
		require.NoError(t, err)
		all = append(all, d)
	}
	return all
}

func TestRunStopsAtAnyMomentAndLosesNothing(t *testing.T) {
	t.Parallel()
	const events = 40
	for _, grace := range []time.Duration{-1, 700 * time.Millisecond, time.Minute} {
		for at := time.Duration(0); at <= 4*time.Second; at += 333 * time.Millisecond {
			t.Run(fmt.Sprintf("grace %v, stop at %v", grace, at), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					network := new(hookstest.Network)
					store := memory.New(memory.Options{})
					m := newManager(t, store, network, func(c *hooks.Config) { c.Grace = grace })
					slow := network.Receiver(t, "slow.example.com", hookstest.Status(200).After(time.Second))
					register(t, m, hooks.Hook{URL: slow.URL, Events: []string{"*"}, MaxInFlight: 10})

					stop := start(t, m)
					trigger(t, m, events/2)
					time.Sleep(at)
					trigger(t, m, events/2)
					began := time.Now()
					stop()
					assert.LessOrEqual(t, time.Since(began), max(0, grace), "the stop took longer than its grace")
					for _, d := range deliveries(t, m, hooks.LogQuery{}) {
						assert.Contains(t, []hooks.State{hooks.Pending, hooks.Succeeded}, d.State, "after the stop")
					}

					again := start(t, m)
					time.Sleep(time.Minute)
					again()
					ended := deliveries(t, m, hooks.LogQuery{States: []hooks.State{hooks.Succeeded}})
					assert.Len(t, ended, events)
					seen := map[string]bool{}
					for _, r := range slow.Requests() {
						seen[r.ID] = true
					}
					assert.Len(t, seen, events, "events received")
				})
			})
		}
	}
}

func TestTriggersDuringTheStopAreNotLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		network := new(hookstest.Network)
		m := newManager(t, memory.New(memory.Options{}), network)
		receiver := network.Receiver(t, "a.example.com", hookstest.Status(200).After(time.Millisecond))
		register(t, m, hooks.Hook{URL: receiver.URL, Events: []string{"*"}})
		var triggers sync.WaitGroup
		for range 5 {
			stop := start(t, m)
			for range 8 {
				triggers.Go(func() {
					for range 25 {
						trigger(t, m, 1)
						time.Sleep(time.Millisecond)
					}
				})
			}
			time.Sleep(10 * time.Millisecond)
			stop()
		}
		triggers.Wait()
		for _, d := range deliveries(t, m, hooks.LogQuery{}) {
			assert.NotEqual(t, hooks.Leased, d.State, "after the stop")
		}
		start(t, m)
		time.Sleep(time.Minute)
		assert.Len(t, deliveries(t, m, hooks.LogQuery{States: []hooks.State{hooks.Succeeded}}), 5*8*25)
	})
}

func TestRunRefusesToRunTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t, memory.New(memory.Options{}), new(hookstest.Network))
		stop := start(t, m)
		synctest.Wait()
		assert.ErrorIs(t, m.Run(t.Context()), hooks.ErrRunning)
		stop()
		stop = start(t, m)
		synctest.Wait()
		assert.ErrorIs(t, m.Run(t.Context()), hooks.ErrRunning)
		stop()
	})
}

// faultyStore lets a test come between a Manager and its store.
type faultyStore struct {
	*memory.Store
	claim, settle func(ctx context.Context) error
}

func (s *faultyStore) Claim(ctx context.Context, r hooks.ClaimRequest) ([]hooks.Claimed, time.Time, error) {
	if s.claim != nil {
		if err := s.claim(ctx); err != nil {
			return nil, time.Time{}, err
		}
	}
	return s.Store.Claim(ctx, r)
}

func (s *faultyStore) Settle(ctx context.Context, now time.Time, st []hooks.Settlement) ([]hooks.Settled, error) {
	if s.settle != nil {
		if err := s.settle(ctx); err != nil {
			return nil, err
		}
	}
	return s.Store.Settle(ctx, now, st)
}

func TestALostLeaseIsTakenOverAndTheLateSettlementRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		network := new(hookstest.Network)
		shared := memory.New(memory.Options{})
		var log bytes.Buffer
		stuck := make(chan struct{})
		first := newManager(t, &faultyStore{Store: shared, settle: func(context.Context) error { <-stuck; return nil }}, network,
			func(c *hooks.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		second := newManager(t, shared, network)
		receiver := network.Receiver(t, "a.example.com")
		register(t, first, hooks.Hook{URL: receiver.URL, Events: []string{"*"}})

		stop := start(t, first)
		synctest.Wait()
		trigger(t, first, 1)
		receiver.Wait(1)
		start(t, second)
		time.Sleep(59 * time.Second)
		assert.Len(t, receiver.Requests(), 1, "the lease of a minute is good yet")
		time.Sleep(2 * time.Second)
		requests := receiver.Requests()
		require.Len(t, requests, 2, "the other Manager takes the delivery over")
		assert.Equal(t, requests[0].ID, requests[1].ID)

		close(stuck)
		stop()
		all := deliveries(t, second, hooks.LogQuery{})
		require.Len(t, all, 1)
		assert.Equal(t, hooks.Succeeded, all[0].State)
		assert.Equal(t, 1, all[0].Attempts, "the refused settlement logged nothing")
		assert.Equal(t, int64(2), all[0].Lease.Token)
		assert.Contains(t, log.String(), "lease")
	})
}

func TestACrashedManagersDeliveriesAreTakenOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		network := new(hookstest.Network)
		store := memory.New(memory.Options{})
		m := newManager(t, store, network)
		receiver := network.Receiver(t, "a.example.com")
		register(t, m, hooks.Hook{URL: receiver.URL, Events: []string{"*"}})
		trigger(t, m, 3)
		// A Manager that claims and is never heard of again.
		at := time.Now().UTC().Truncate(time.Millisecond)
		claimed, _, err := store.Claim(t.Context(), hooks.ClaimRequest{Owner: "gone", Now: at, Until: at.Add(time.Minute), Limit: hooks.Capacity{Deliveries: 10}})
		require.NoError(t, err)
		require.Len(t, claimed, 3)

		start(t, m)
		time.Sleep(time.Minute - time.Millisecond)
		assert.Empty(t, receiver.Requests())
		time.Sleep(2 * time.Millisecond)
		assert.Len(t, receiver.Requests(), 3)
	})
}

func TestTwoManagersShareTheWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		network := new(hookstest.Network)
		store := memory.New(memory.Options{})
		small := func(c *hooks.Config) { c.MaxInFlight = 4 }
		a, b := newManager(t, store, network, small), newManager(t, store, network, small)
		receiver := network.Receiver(t, "a.example.com", hookstest.Status(200).After(time.Second))
		register(t, a, hooks.Hook{URL: receiver.URL, Events: []string{"*"}})
		start(t, a)
		start(t, b)
		trigger(t, a, 80)
		time.Sleep(15 * time.Second)
		assert.Len(t, receiver.Requests(), 80, "each once, at eight a second")
		assert.Len(t, deliveries(t, b, hooks.LogQuery{States: []hooks.State{hooks.Succeeded}}), 80)
	})
}

func TestAStoreThatFailsIsAskedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		network := new(hookstest.Network)
		var down atomic.Bool
		var failures atomic.Int64
		fail := func(context.Context) error {
			if down.Load() {
				return errors.New("the disk is full")
			}
			return nil
		}
		m := newManager(t, &faultyStore{Store: memory.New(memory.Options{}), claim: fail, settle: fail}, network, func(c *hooks.Config) {
			c.Observer.Failure = func(err error) {
				assert.ErrorContains(t, err, "the disk is full")
				failures.Add(1)
			}
		})
		receiver := network.Receiver(t, "a.example.com", hookstest.Status(503), hookstest.Status(200))
		register(t, m, hooks.Hook{URL: receiver.URL, Events: []string{"*"}})
		start(t, m)
		synctest.Wait()
		down.Store(true)
		trigger(t, m, 1)
		time.Sleep(20 * time.Second)
		assert.Len(t, receiver.Requests(), 1, "a result that is not stored leads to nothing")
		assert.Greater(t, failures.Load(), int64(1))
		assert.Less(t, failures.Load(), int64(40), "the store is asked with growing pauses")
		down.Store(false)
		time.Sleep(20 * time.Second)
		all := deliveries(t, m, hooks.LogQuery{})
		require.Len(t, all, 1)
		assert.Equal(t, hooks.Succeeded, all[0].State)
		assert.Equal(t, 2, all[0].Attempts)
	})
}

func TestRunSaysWhatItCouldNotStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		network := new(hookstest.Network)
		broken := errors.New("the disk is full")
		m := newManager(t, &faultyStore{Store: memory.New(memory.Options{}), settle: func(context.Context) error { return broken }}, network)
		receiver := network.Receiver(t, "a.example.com")
		register(t, m, hooks.Hook{URL: receiver.URL, Events: []string{"*"}})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- m.Run(ctx) }()
		synctest.Wait()
		trigger(t, m, 1)
		receiver.Wait(1)
		cancel()
		err := <-ended
		require.ErrorIs(t, err, broken)
		assert.ErrorContains(t, err, "1 results could not be stored")
	})
}

// healthyWaits delivers a hundred events to each of 20 healthy endpoints, beside
// one that hangs with 10,000 due deliveries if hanging is set, and returns how
// long each delivery took, sorted.
func healthyWaits(t *testing.T, hanging bool) (waits []time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		network := new(hookstest.Network)
		m := newManager(t, memory.New(memory.Options{}), network)
		for i := range 20 {
			r := network.Receiver(t, fmt.Sprintf("healthy-%d.example.com", i), hookstest.Status(200).After(20*time.Millisecond))
			register(t, m, hooks.Hook{URL: r.URL, Events: []string{"order.paid"}})
		}
		hung := network.Receiver(t, "hung.example.com", hookstest.Hang())
		register(t, m, hooks.Hook{URL: hung.URL, Events: []string{"backlog"}})
		if hanging {
			_, err := m.TriggerBatch(t.Context(), slices.Repeat([]hooks.Event{{Type: "backlog"}}, 10_000)...)
			require.NoError(t, err)
		}
		start(t, m)
		synctest.Wait()
		for range 100 {
			trigger(t, m, 1)
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute)
		for a, err := range m.AllLogs(t.Context(), hooks.LogQuery{EventType: "order.paid", PageQuery: hooks.PageQuery{Limit: 5000}}) {
			require.NoError(t, err)
			require.Equal(t, hooks.Succeeded, a.State)
			event, err := m.Event(t.Context(), "", a.EventID)
			require.NoError(t, err)
			waits = append(waits, a.StartedAt.Add(a.Duration).Sub(event.Time))
		}
		assert.Equal(t, hanging, len(hung.Requests()) > 0)
	})
	slices.Sort(waits)
	return waits
}

func TestAnEndpointThatHangsDelaysNoOther(t *testing.T) {
	t.Parallel()
	without := healthyWaits(t, false)
	require.Len(t, without, 2000)
	assert.Equal(t, without, healthyWaits(t, true))
}

func TestManyEndpointsThatHangLeaveHalfOfTheWorkers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		network := new(hookstest.Network)
		m := newManager(t, memory.New(memory.Options{}), network, func(c *hooks.Config) { c.MaxInFlight = 16 })
		for i := range 40 {
			r := network.Receiver(t, fmt.Sprintf("hung-%d.example.com", i), hookstest.Hang())
			register(t, m, hooks.Hook{URL: r.URL, Events: []string{"backlog"}, Schedule: slices.Repeat([]time.Duration{0}, 100)})
		}
		healthy := network.Receiver(t, "healthy.example.com")
		register(t, m, hooks.Hook{URL: healthy.URL, Events: []string{"order.paid"}})
		start(t, m)
		_, err := m.Trigger(t.Context(), hooks.Event{Type: "backlog"})
		require.NoError(t, err)
		// Once each has hung for its timeout, it is known to hang.
		time.Sleep(2 * time.Minute)
		for range 100 {
			before := len(healthy.Requests())
			trigger(t, m, 1)
			synctest.Wait()
			assert.Len(t, healthy.Requests(), before+1, "sent at once")
			time.Sleep(100 * time.Millisecond)
		}
	})
}

// gauge is a response that keeps count of the requests under way.
type gauge struct {
	now, most atomic.Int64
	takes     time.Duration
}

func (g *gauge) ServeHTTP(_ http.ResponseWriter, _ *http.Request) {
	n := g.now.Add(1)
	defer g.now.Add(-1)
	for most := g.most.Load(); n > most && !g.most.CompareAndSwap(most, n); most = g.most.Load() {
	}
	time.Sleep(g.takes)
}

func TestRequestsUnderWayAreBounded(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name               string
		all, perHook, hook int
		hooks              int
		most               int64
	}{
		{"in all", 8, 32, 0, 4, 8},
		{"for each hook by the configuration", 100, 5, 0, 1, 5},
		{"for a hook by itself", 100, 5, 9, 1, 9},
		{"one at a time", 100, 32, 1, 1, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				harness := hookstest.New(t, func(c *hooks.Config) {
					c.MaxInFlight, c.MaxInFlightPerHook = test.all, test.perHook
				})
				g := &gauge{takes: time.Second}
				for range test.hooks {
					harness.EndpointFor(hooks.Hook{Events: []string{"*"}, MaxInFlight: test.hook}).Respond(g.ServeHTTP)
				}
				trigger(t, harness.Manager, 200)
				time.Sleep(10 * time.Minute)
				assert.Len(t, deliveries(t, harness.Manager, hooks.LogQuery{States: []hooks.State{hooks.Succeeded}}), 200*test.hooks)
				assert.Equal(t, test.most, g.most.Load(), "requests under way at a time")
			})
		})
	}
}

func TestARateLimitSpacesTheAttempts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		harness := hookstest.New(t)
		limited := harness.EndpointFor(hooks.Hook{Events: []string{"*"}, RateLimit: 4})
		free := harness.Endpoint("*")
		trigger(t, harness.Manager, 100)
		free.Wait(100)
		requests := limited.Wait(100)
		for i := range requests[1:] {
			assert.GreaterOrEqual(t, requests[i+1].ReceivedAt.Sub(requests[i].ReceivedAt), 250*time.Millisecond)
		}
		assert.Less(t, requests[99].ReceivedAt.Sub(requests[0].ReceivedAt), 26*time.Second)
	})
}

func TestRetriesDoNotStarveFirstAttempts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		harness := hookstest.New(t)
		busy := harness.EndpointFor(hooks.Hook{
			Events: []string{"*"}, MaxInFlight: 1, Schedule: []time.Duration{0, time.Hour},
		})
		busy.Respond(hookstest.Status(500))
		trigger(t, harness.Manager, 1000)
		busy.Wait(1000)
		busy.Respond(hookstest.Status(200).After(time.Second))
		time.Sleep(75 * time.Minute) // All are due again, and are sent one a second.
		sent := len(busy.Requests())
		require.Greater(t, sent, 1100)
		require.Less(t, sent, 1990)
		receipt, err := harness.Manager.Trigger(t.Context(), hooks.Event{Type: "order.new"})
		require.NoError(t, err)
		time.Sleep(10 * time.Second)
		assert.True(t, slices.ContainsFunc(busy.Requests(), func(r hookstest.Request) bool { return r.ID == receipt.EventID }),
			"a new event waits for a few retries at most")
		assert.Greater(t, len(busy.Requests()), sent+8, "while retries go on")
	})
}

func TestEndedDeliveriesArePurged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		harness := hookstest.New(t, func(c *hooks.Config) { c.Retention = time.Hour })
		harness.Endpoint("*")
		trigger(t, harness.Manager, 1500)
		time.Sleep(59 * time.Minute)
		require.Len(t, deliveries(t, harness.Manager, hooks.LogQuery{}), 1500)
		time.Sleep(3 * time.Minute)
		assert.Empty(t, deliveries(t, harness.Manager, hooks.LogQuery{}))
	})
}

func TestALogIsBoundedByCount(t *testing.T) {
	t.Parallel()
	for name, retention := range map[string]time.Duration{"for a month": 0, "for ever": -1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				harness := hookstest.New(t, func(c *hooks.Config) { c.MaxLogPerHook, c.Retention = 100, retention })
				harness.Endpoint("*")
				seldom := harness.Endpoint("seldom")
				for range 30 {
					trigger(t, harness.Manager, 50)
					time.Sleep(time.Second)
				}
				_, err := harness.Manager.Trigger(t.Context(), hooks.Event{Type: "seldom"})
				require.NoError(t, err)
				require.Len(t, deliveries(t, harness.Manager, hooks.LogQuery{}), 1502)
				time.Sleep(time.Minute)
				assert.Len(t, deliveries(t, harness.Manager, hooks.LogQuery{}), 101)
				assert.Len(t, deliveries(t, harness.Manager, hooks.LogQuery{HookID: seldom.Hook.ID}), 1, "the log of one hook takes no room from that of another")
			})
		})
	}
}

func TestABacklogIsSentWithoutPause(t *testing.T) {
	t.Parallel()
	for _, count := range []int{1, 3, 40} {
		t.Run(fmt.Sprintf("%d hooks", count), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				network := new(hookstest.Network)
				m := newManager(t, memory.New(memory.Options{}), network)
				var receivers []*hookstest.Receiver
				for i := range count {
					r := network.Receiver(t, fmt.Sprintf("%d.example.com", i))
					register(t, m, hooks.Hook{URL: r.URL, Events: []string{"*"}})
					receivers = append(receivers, r)
				}
				const events = 4000
				for range 10 {
					trigger(t, m, events/count/10)
				}
				began := time.Now()
				start(t, m)
				for _, r := range receivers {
					r.Wait(events / count / 10 * 10)
				}
				assert.Zero(t, time.Since(began), "nobody is slow, so nobody should have waited")
			})
		})
	}
}

func TestWorkThatFindsNoRoomIsNotForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		harness := hookstest.New(t, func(c *hooks.Config) { c.MaxInFlight = 2 })
		var endpoints []*hookstest.Endpoint
		for range 40 {
			e := harness.Endpoint("*")
			e.Respond(hookstest.Status(200).After(time.Second))
			endpoints = append(endpoints, e)
		}
		synctest.Wait()
		trigger(t, harness.Manager, 1)
		time.Sleep(20 * time.Second)
		synctest.Wait()
		for _, e := range endpoints {
			assert.Len(t, e.Requests(), 1, "two a second are done in twenty")
		}
	})
}

func TestEventsForAThrottledEndpointAreSentWhenItEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		harness := hookstest.New(t)
		endpoint := harness.Endpoint("*")
		endpoint.Respond(hookstest.Status(429).Header("Retry-After", "3"), hookstest.Status(200))
		synctest.Wait()
		trigger(t, harness.Manager, 1)
		time.Sleep(time.Second)
		trigger(t, harness.Manager, 1)
		time.Sleep(2*time.Second - time.Millisecond)
		synctest.Wait()
		assert.Len(t, endpoint.Requests(), 1)
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		assert.Len(t, endpoint.Requests(), 2, "the second event, at the end of the throttle")
	})
}
