package hooks_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
)

// An ending is what Observer.Ended is called with.
type ending struct {
	delivery hooks.Delivery
	event    hooks.Event
}

// endings has the observer record every end, and checks that it is stored by
// then.
func endings(t *testing.T, h **harness, ends *record[ending]) func(*hooks.Config) {
	return func(c *hooks.Config) {
		c.Observer.Ended = func(d hooks.Delivery, e *hooks.Event) {
			assert.Contains(t, (*h).deliveries(hooks.LogQuery{Tenant: d.Tenant, DeliveryIDs: []string{d.ID}}), d, "as it is stored")
			ends.add(ending{d, *e})
		}
	}
}

// Whatever ends a delivery, the observer is called once, with the event.
func TestTheObserverIsToldOfEnds(t *testing.T) {
	once, twice := hooks.Retries(), hooks.Retries(time.Minute)
	event := hooks.Event{ID: "e", Tenant: "acme", Type: "order.paid", OrderingKey: "key", Data: []byte(`{"x":1}`), Metadata: map[string]string{"a": "b"}}
	tests := map[string]struct {
		hook      hooks.Hook
		responses []hookstest.Response
		// do is done a second after the trigger.
		do   func(h *harness, hook hooks.Hook, deliveryID string)
		want []hooks.State
	}{
		"succeeded":               {hook: hooks.Hook{Schedule: once}, want: []hooks.State{hooks.Succeeded}},
		"succeeded after a retry": {hook: hooks.Hook{Schedule: twice}, responses: []hookstest.Response{hookstest.Status(500), hookstest.Status(200)}, want: []hooks.State{hooks.Succeeded}},
		"dead":                    {hook: hooks.Hook{Schedule: twice}, responses: []hookstest.Response{hookstest.Status(500)}, want: []hooks.State{hooks.Dead}},
		"gone":                    {hook: hooks.Hook{Schedule: twice}, responses: []hookstest.Response{hookstest.Status(410)}, want: []hooks.State{hooks.Dead}},
		"dead and redelivered": {
			hook: hooks.Hook{Schedule: once}, responses: []hookstest.Response{hookstest.Status(500), hookstest.Status(200)},
			do: func(h *harness, _ hooks.Hook, id string) {
				_, err := h.Redeliver(h.t.Context(), "acme", id)
				assert.NoError(h.t, err)
			},
			want: []hooks.State{hooks.Dead, hooks.Succeeded},
		},
		"held and cancelled": {
			hook: hooks.Hook{Schedule: once, HoldDead: true}, responses: []hookstest.Response{hookstest.Status(500)},
			do: cancel, want: []hooks.State{hooks.Dead, hooks.Cancelled},
		},
		"cancelled before a retry": {
			hook: hooks.Hook{Schedule: twice}, responses: []hookstest.Response{hookstest.Status(500)},
			do: cancel, want: []hooks.State{hooks.Cancelled},
		},
		"disabled": {
			hook: hooks.Hook{Schedule: []time.Duration{time.Minute}},
			do: func(h *harness, hook hooks.Hook, _ string) {
				h.update(hook.Ref(), func(hook *hooks.Hook) { hook.Disabled = true })
			},
			want: []hooks.State{hooks.Cancelled},
		},
		"deleted": {
			hook: hooks.Hook{Schedule: []time.Duration{time.Minute}},
			do: func(h *harness, hook hooks.Hook, _ string) {
				assert.NoError(h.t, h.Delete(h.t.Context(), "acme", hook.ID))
			},
			want: []hooks.State{hooks.Cancelled},
		},
		"dead after its hook was deleted": {
			hook: hooks.Hook{Schedule: once, HoldDead: true, Timeout: 10 * time.Second}, responses: []hookstest.Response{hookstest.Hang()},
			do: func(h *harness, hook hooks.Hook, _ string) {
				assert.NoError(h.t, h.Delete(h.t.Context(), "acme", hook.ID))
			},
			want: []hooks.State{hooks.Dead},
		},
		"not verified": {
			hook: hooks.Hook{Schedule: []time.Duration{time.Minute}, Protocol: "verifying", Verified: true},
			do: func(h *harness, hook hooks.Hook, _ string) {
				h.update(hook.Ref(), func(hook *hooks.Hook) { hook.Verified = false })
			},
			want: []hooks.State{hooks.Cancelled},
		},
		"filtered by Trigger": {hook: hooks.Hook{Filter: "data.x > 1"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ends record[ending]
				var h *harness
				h = newHarness(t, endings(t, &h, &ends), speaks(verifying()))
				h.run(h.Manager)
				tt.hook.Tenant, tt.hook.Events = "acme", []string{"*"}
				_, hook := h.endpoint(tt.hook, tt.responses...)
				h.trigger(event)
				pass(time.Second)
				if tt.do != nil {
					tt.do(h, hook, h.delivery("acme", "e").ID)
				}
				pass(24 * time.Hour)

				stored, err := h.Event(t.Context(), "acme", "e")
				require.NoError(t, err)
				var states []hooks.State
				for _, end := range ends.all() {
					states = append(states, end.delivery.State)
					assert.Equal(t, stored, end.event)
				}
				assert.Equal(t, tt.want, states)
			})
		})
	}
}

func cancel(h *harness, _ hooks.Hook, deliveryID string) {
	_, err := h.Cancel(h.t.Context(), "acme", deliveryID)
	assert.NoError(h.t, err)
}

// What a filter refuses only when Run evaluates it ends then, and so does what
// shared a batch with it.
func TestTheObserverIsToldOfWhatAFilterRefusesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ends record[ending]
		var open atomic.Bool
		p := &testProtocol{name: "p", traits: hooks.Traits{MaxBatch: 10}}
		p.accepts = func(ctx context.Context, _ hooks.Hook, e *hooks.Event) (bool, error) {
			if !open.Load() {
				<-ctx.Done()
				return false, ctx.Err()
			}
			return e.Type != "unwanted", nil
		}
		var h *harness
		h = newHarness(t, endings(t, &h, &ends), speaks(p))
		h.endpoint(hooks.Hook{Events: []string{"*"}, Protocol: "p", MaxBatch: 10})
		for i := range 5 {
			assert.Equal(t, 1, h.trigger(hooks.Event{ID: fmt.Sprint(i), Type: []string{"wanted", "unwanted"}[i%2]}).Undecided)
		}
		open.Store(true)
		h.run(h.Manager)
		pass(time.Minute)
		got := map[string]hooks.State{}
		for _, end := range ends.all() {
			assert.Equal(t, end.delivery.EventID, end.event.ID)
			got[end.event.ID] = end.delivery.State
		}
		assert.Len(t, ends.all(), 5)
		assert.Equal(t, map[string]hooks.State{
			"0": hooks.Succeeded, "1": hooks.Cancelled, "2": hooks.Succeeded, "3": hooks.Cancelled, "4": hooks.Succeeded,
		}, got)
	})
}

// An end that was not stored, because the lease was lost, is nobody's news.
func TestTheObserverIsNotToldOfAnEndThatWasRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ends, others record[ending]
		h := newHarness(t)
		slow := h.manager(&faultyStore{Store: h.store, settle: func(context.Context) error {
			time.Sleep(3 * time.Second) // beyond the lease
			return nil
		}}, endings(t, &h, &ends), func(c *hooks.Config) { c.Lease = 2 * time.Second })
		h.endpoint(hooks.Hook{Events: []string{"*"}, Timeout: time.Second})
		h.run(slow)
		_, err := slow.Trigger(t.Context(), hooks.Event{ID: "e", Type: "a"})
		require.NoError(t, err)
		synctest.Wait()
		h.run(h.manager(h.store, endings(t, &h, &others)))
		pass(time.Minute)
		assert.Len(t, others.all(), 1)
		assert.Empty(t, ends.all())
	})
}

// blindStore is a store that finds no event.
type blindStore struct {
	hooks.Store
	failing atomic.Bool
	// cancelled is called when a delivery has been cancelled.
	cancelled func()
}

func (s *blindStore) Cancel(ctx context.Context, now time.Time, tenant, id, reason string) (hooks.Delivery, error) {
	defer s.cancelled()
	return s.Store.Cancel(ctx, now, tenant, id, reason)
}

func (s *blindStore) Events(ctx context.Context, tenant string, ids []string) ([]hooks.Event, error) {
	if s.failing.Load() {
		return nil, errors.New("down")
	}
	return s.Store.Events(ctx, tenant, ids)
}

// Cancel has ended the delivery, so it says so, whether or not its event can be
// read and its context goes on.
func TestTheObserverIsToldOfWhatIsCancelledWithoutItsEvent(t *testing.T) {
	var ends record[ending]
	var failures record[error]
	h := newHarness(t)
	ctx, cancel := context.WithCancel(t.Context())
	store := &blindStore{Store: h.store, cancelled: cancel}
	h.Manager = h.manager(store, endings(t, &h, &ends), func(c *hooks.Config) { c.Observer.Failure = failures.add })
	h.register(hooks.Hook{URL: "https://example.com", Events: []string{"*"}})
	h.trigger(hooks.Event{ID: "e", Type: "a", OrderingKey: "k", Data: []byte("1")})
	h.trigger(hooks.Event{ID: "f", Type: "a", OrderingKey: "k", Data: []byte("2")})
	blocked := h.delivery("", "f")
	require.Equal(t, hooks.Blocked, blocked.State)
	d, err := h.Cancel(ctx, "", blocked.ID)
	require.NoError(t, err)
	require.Error(t, ctx.Err())
	assert.Empty(t, failures.all())
	event, err := h.Event(t.Context(), "", "f")
	require.NoError(t, err)
	assert.Equal(t, []ending{{d, event}}, ends.all())

	store.failing.Store(true)
	d, err = h.Cancel(t.Context(), "", h.delivery("", "e").ID)
	require.NoError(t, err)
	assert.Equal(t, ending{d, hooks.Event{ID: "e", Type: "a", OrderingKey: "k"}}, ends.all()[1])
	require.Len(t, failures.all(), 1)
	assert.ErrorContains(t, failures.all()[0], "down")
}

func TestTheObserverIsToldOfAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h *harness
		var seen record[hooks.Delivery]
		h = newHarness(t, func(c *hooks.Config) {
			c.Observer.Attempt = func(d hooks.Delivery, a hooks.Attempt, e *hooks.Event) {
				assert.Equal(t, d.ID, a.DeliveryID)
				assert.Equal(t, d.Attempts, a.Number)
				assert.Equal(t, d.State, a.State)
				stored, err := h.Event(t.Context(), d.Tenant, d.EventID)
				assert.NoError(t, err)
				assert.Equal(t, stored, *e)
				assert.Equal(t, d, h.delivery(d.Tenant, d.EventID), "as it is stored")
				assert.Contains(t, h.attempts(hooks.LogQuery{Tenant: d.Tenant, DeliveryIDs: []string{d.ID}}), a, "as it is logged")
				seen.add(d)
			}
		})
		h.run(h.Manager)
		h.endpoint(hooks.Hook{Tenant: "acme", Events: []string{"a"}, Schedule: []time.Duration{0, time.Minute}}, hookstest.Status(500), hookstest.Status(204))
		h.endpoint(hooks.Hook{Tenant: "acme", Events: []string{"b"}, Schedule: []time.Duration{0}, HoldDead: true}, hookstest.Reset())
		h.trigger(hooks.Event{ID: "a", Tenant: "acme", Type: "a"})
		pass(time.Hour)
		h.trigger(hooks.Event{ID: "b", Tenant: "acme", Type: "b", OrderingKey: "key"})
		pass(time.Hour)
		got := seen.all()
		require.Equal(t, []string{"a", "a", "b"}, eventIDs(got))
		assert.Equal(t, []hooks.State{hooks.Pending, hooks.Succeeded, hooks.Dead}, []hooks.State{got[0].State, got[1].State, got[2].State})
		assert.True(t, got[2].Held)
	})
}

func TestTheObserverIsToldOfFiltersThatFail(t *testing.T) {
	type failure struct {
		hook, event string
		err         error
	}
	var failures []failure
	h := newHarness(t, func(c *hooks.Config) {
		c.Observer.FilterFailed = func(hook hooks.Hook, e hooks.Event, err error) {
			failures = append(failures, failure{hook.ID, e.ID, err})
		}
	})
	for id, filter := range map[string]string{"large": `data.total > 100`, "any": "", "eu": `metadata.region == "eu"`} {
		h.register(hooks.Hook{ID: id, URL: "https://example.com", Events: []string{"*"}, Filter: filter})
	}
	assert.Equal(t, 2, h.trigger(hooks.Event{Type: "a", Data: json.RawMessage(`{"total":101}`)}).Deliveries)
	assert.Equal(t, 2, h.trigger(hooks.Event{Type: "a", Data: json.RawMessage(`{"total":1}`), Metadata: map[string]string{"region": "eu"}}).Deliveries)
	assert.Empty(t, failures)
	assert.Equal(t, 1, h.trigger(hooks.Event{ID: "odd", Type: "a", Data: json.RawMessage(`{"total":"a lot"}`)}).Deliveries)
	require.Len(t, failures, 1)
	assert.Equal(t, "large", failures[0].hook)
	assert.Equal(t, "odd", failures[0].event)
	assert.Error(t, failures[0].err)
}

func TestAnObserverThatPanicsIsContained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls record[string]
		boom := func(name string) {
			calls.add(name)
			panic(name)
		}
		h := newHarness(t)
		broken := &brokenChanges{Store: h.store}
		h.Manager = h.manager(broken, func(c *hooks.Config) {
			c.Observer = hooks.Observer{
				Attempt:      func(hooks.Delivery, hooks.Attempt, *hooks.Event) { boom("attempt") },
				Ended:        func(hooks.Delivery, *hooks.Event) { boom("ended") },
				HookDisabled: func(hooks.Hook) { boom("disabled") },
				FilterFailed: func(hooks.Hook, hooks.Event, error) { boom("filter") },
				Failure:      func(error) { boom("failure") },
			}
		})
		h.run(h.Manager)
		r, _ := h.endpoint(hooks.Hook{Events: []string{"*"}})
		_, gone := h.endpoint(hooks.Hook{Events: []string{"*"}}, hookstest.Status(410))
		h.register(hooks.Hook{URL: "https://example.com", Events: []string{"*"}, Filter: "data > 1"})
		h.trigger(hooks.Event{ID: "e1", Type: "a"})
		pass(time.Minute)
		assert.True(t, h.hook(gone.Ref()).Disabled)

		broken.fail(errors.New("down"))
		pass(time.Minute)
		broken.fail(nil)
		pass(time.Minute)
		h.trigger(hooks.Event{ID: "e2", Type: "a"})
		pass(time.Minute)
		assert.Equal(t, []string{"e1", "e2"}, receivedIDs(r))
		assert.Equal(t, hooks.Succeeded, h.deliveries(hooks.LogQuery{EventID: "e2"})[0].State)
		count := map[string]int{}
		for _, name := range calls.all() {
			count[name]++
		}
		assert.Equal(t, 3, count["attempt"])
		assert.Equal(t, 3, count["ended"])
		assert.Equal(t, 1, count["disabled"])
		assert.Equal(t, 2, count["filter"])
		assert.Positive(t, count["failure"])
	})
}
