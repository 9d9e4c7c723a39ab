//go:build cgo

package sqlite_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
	"github.com/seed-2c6e3a5a/hooks/internal/crashtest"
)

// A Manager on a file, in virtual time. What it does is tested on the memory
// store; here, that the file keeps it.

const day = 24 * time.Hour

// The delays of Standard Webhooks, "Deliverability and reliability".
var standardSchedule = []time.Duration{
	0, 5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour,
	5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

// scheduled checks that requests came as the standard schedule says, with its
// jitter of a fifth, and that the log has them all.
func scheduled(t *testing.T, h *harness, requests []hookstest.Request) {
	t.Helper()
	require.Len(t, requests, len(standardSchedule))
	for i := 1; i < len(requests); i++ {
		pause := requests[i].ReceivedAt.Sub(requests[i-1].ReceivedAt)
		assert.GreaterOrEqual(t, pause, standardSchedule[i], "before attempt %d", i+1)
		assert.LessOrEqual(t, pause, standardSchedule[i]+standardSchedule[i]/5+time.Millisecond, "before attempt %d", i+1)
	}
	logs, err := h.Logs(t.Context(), hooks.LogQuery{PageQuery: hooks.PageQuery{OldestFirst: true}})
	require.NoError(t, err)
	require.Len(t, logs.Items, len(requests))
	for i, a := range logs.Items {
		assert.Equal(t, i+1, a.Number)
		assert.Equal(t, requests[i].ReceivedAt.UTC(), a.StartedAt)
		if i+1 < len(requests) {
			assert.Equal(t, requests[i+1].ReceivedAt.UTC(), a.NextAt)
		}
	}
}

func TestRetriesOverDays(t *testing.T) {
	for name, restarts := range map[string]bool{"in one run": false, "with a restart after each attempt": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := openHarness(t, seldom)
				r, hook := h.endpoint(hooks.Hook{}, hookstest.Status(500))
				h.trigger(paid("e1"))
				for i := range standardSchedule {
					r.Wait(i + 1)
					pass(time.Second) // the result is stored
					if restarts {
						h = h.restart(seldom)
					}
				}
				pass(2 * day) // and nothing more comes
				scheduled(t, h, r.Requests())
				assert.Empty(t, h.observed())

				last := r.Requests()[len(standardSchedule)-1].ReceivedAt.UTC()
				deliveries := crashtest.Listed(t, h.store)
				require.Len(t, deliveries, 1)
				assert.Equal(t, hooks.Dead, deliveries[0].State)
				assert.Equal(t, len(standardSchedule), deliveries[0].Attempts)
				assert.Equal(t, last, deliveries[0].EndedAt)
				hook, err := h.Hook(t.Context(), "", hook.ID)
				require.NoError(t, err)
				want := hooks.Health{Failures: len(standardSchedule), FailingSince: r.Requests()[0].ReceivedAt.UTC()}
				assert.Equal(t, want, hook.Health)

				r.Respond(hookstest.Status(200))
				_, err = h.Redeliver(t.Context(), "", deliveries[0].ID)
				require.NoError(t, err)
				r.Wait(len(standardSchedule) + 1)
				pass(time.Second)
				deliveries = crashtest.Listed(t, h.store)
				assert.Equal(t, hooks.Succeeded, deliveries[0].State)
				assert.Equal(t, len(standardSchedule)+1, deliveries[0].Attempts)
			})
		})
	}
}

// A key's events come in order and one at a time, whatever fails, and also when
// the Manager restarts in between.
func TestKeysKeepTheirOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const keys, perKey = 3, 6
		var mu sync.Mutex
		failed := map[string]int{}
		h := openHarness(t, seldom)
		// Of each key, the first fails three times and the third once.
		fails := map[string]int{"00": 3, "02": 1}
		r, _ := h.endpoint(hooks.Hook{Schedule: []time.Duration{0, time.Minute, time.Hour, 5 * time.Hour}},
			func(w http.ResponseWriter, r *http.Request) {
				id := r.Header.Get("webhook-id")
				_, number, _ := strings.Cut(id, "-")
				mu.Lock()
				defer mu.Unlock()
				if failed[id] < fails[number] {
					failed[id]++
					w.WriteHeader(500)
				}
			})
		for i := range perKey {
			for k := range keys {
				e := paid(fmt.Sprintf("k%d-%02d", k, i))
				e.OrderingKey = fmt.Sprintf("k%d", k)
				h.trigger(e)
			}
		}
		h.trigger(paid("no-key"))
		for range 10 {
			pass(time.Hour)
			h = h.restart(seldom)
		}
		pass(time.Hour)
		assert.Len(t, r.Requests(), keys*(perKey+3+1)+1)
		last := map[string]string{}
		for _, request := range r.Requests() {
			key, number, _ := strings.Cut(request.ID, "-")
			assert.LessOrEqual(t, last[key], number, "key %s", key)
			last[key] = number
		}
		for _, d := range crashtest.Listed(t, h.store) {
			assert.Equal(t, hooks.Succeeded, d.State, d.EventID)
		}
		assert.Contains(t, receivedIDs(r)[:keys+1], "no-key", "it does not wait for a key")
	})
}

// A dead delivery that holds its key goes on doing so over a restart, until it
// was redelivered.
func TestAHeldKeyOverARestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := openHarness(t, seldom)
		r, _ := h.endpoint(hooks.Hook{HoldDead: true, Schedule: []time.Duration{0, time.Minute}}, hookstest.Status(500))
		for _, id := range numbered("e", 3) {
			e := paid(id)
			e.OrderingKey = "key"
			h.trigger(e)
		}
		pass(time.Hour)
		h = h.restart(seldom)
		pass(day)
		require.Equal(t, []string{"e00", "e00"}, receivedIDs(r))
		held := crashtest.Listed(t, h.store, hooks.Dead)
		require.Len(t, held, 1)
		assert.True(t, held[0].Held)

		r.Respond(hookstest.Status(200))
		_, err := h.Redeliver(t.Context(), "", held[0].ID)
		require.NoError(t, err)
		pass(time.Minute)
		assert.Equal(t, []string{"e00", "e00", "e00", "e01", "e02"}, receivedIDs(r))
	})
}

// What a Manager that vanished had taken goes to the next when the leases end.
func TestLeasesOfOneThatVanishedRunOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := openHarness(t, seldom)
		r, _ := h.endpoint(hooks.Hook{Timeout: 20 * time.Second})
		claim := hooks.ClaimRequest{Owner: "gone", Limit: hooks.Capacity{Deliveries: 10}}
		other, err := hooks.New(h.store, hooks.Config{AllowHTTP: true})
		require.NoError(t, err)
		h.stop()
		_, err = other.Trigger(t.Context(), paid("e1"))
		require.NoError(t, err)
		claim.Now = time.Now().UTC()
		claim.Until = claim.Now.Add(time.Minute)
		claimed, _, err := h.store.Claim(t.Context(), claim)
		require.NoError(t, err)
		require.Len(t, claimed, 1)

		taken := time.Now()
		h = h.restart(seldom)
		r.Wait(1)
		assert.Equal(t, time.Minute, r.Requests()[0].ReceivedAt.Sub(taken))
		pass(time.Second)
		settled, err := h.store.Settle(t.Context(), time.Now().UTC(), []hooks.Settlement{{
			DeliveryID: claimed[0].Delivery.ID, Token: claimed[0].Delivery.Lease.Token, State: hooks.Dead,
		}})
		require.NoError(t, err)
		assert.Equal(t, hooks.Settled{LeaseLost: true}, settled[0])
		assert.Equal(t, hooks.Succeeded, crashtest.Listed(t, h.store)[0].State)
	})
}

// The log is removed after its time, and the deliveries that wait are not.
func TestRetention(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		retention := func(c *hooks.Config) { c.Retention = day; seldom(c) }
		h := openHarness(t, retention)
		r, _ := h.endpoint(hooks.Hook{Schedule: []time.Duration{0, 3 * day}}, hookstest.Status(500), hookstest.Status(200))
		h.trigger(paid("waits"))
		r.Wait(1)
		for _, id := range numbered("e", 50) {
			h.trigger(paid(id))
		}
		r.Wait(51)
		pass(day - time.Minute)
		assert.Len(t, crashtest.Listed(t, h.store), 51)
		pass(3 * time.Minute)
		left := crashtest.Listed(t, h.store)
		require.Len(t, left, 1)
		assert.Equal(t, "waits", left[0].EventID)
		r.Wait(52)
		pass(2 * day)
		assert.Empty(t, crashtest.Listed(t, h.store))
		_, err := h.Event(t.Context(), "", "waits")
		assert.ErrorIs(t, err, hooks.ErrNotFound)
		h.trigger(paid("waits")) // the ID is free again
	})
}

// The observer is called with what the file has.
func TestTheObserverIsToldOfEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		ended := map[string]hooks.Delivery{}
		events := map[string]hooks.Event{}
		h := openHarness(t, seldom, func(c *hooks.Config) {
			c.Observer.Ended = func(d hooks.Delivery, e *hooks.Event) {
				mu.Lock()
				defer mu.Unlock()
				ended[d.EventID], events[e.ID] = d, *e
			}
		})
		_, hook := h.endpoint(hooks.Hook{Schedule: hooks.Retries()}, hookstest.Status(200), hookstest.Status(500))
		h.trigger(paid("succeeded"))
		pass(time.Second)
		h.trigger(paid("dead"))
		pass(time.Second)
		_, err := h.Update(t.Context(), "", hook.ID, func(hook *hooks.Hook) error {
			hook.Schedule = []time.Duration{time.Hour}
			return nil
		})
		require.NoError(t, err)
		h.trigger(paid("cancelled"))
		h.trigger(paid("disabled"))
		for _, d := range crashtest.Listed(t, h.store) {
			if d.EventID == "cancelled" {
				_, err = h.Cancel(t.Context(), "", d.ID)
				require.NoError(t, err)
			}
		}
		_, err = h.Update(t.Context(), "", hook.ID, func(hook *hooks.Hook) error {
			hook.Disabled = true
			return nil
		})
		require.NoError(t, err)
		pass(2 * time.Hour)

		stored := map[string]hooks.Delivery{}
		for _, d := range crashtest.Listed(t, h.store) {
			stored[d.EventID] = d
			event, err := h.Event(t.Context(), "", d.EventID)
			require.NoError(t, err)
			assert.Equal(t, event, events[d.EventID])
		}
		assert.Len(t, stored, 4)
		assert.Equal(t, stored, ended)
	})
}
