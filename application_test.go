package hooks_test

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
)

// What becomes of a protocol that panics is in protocol_test.go, but for its
// Judge, which has a response to lose.

func TestAPanicInJudgeKeepsTheResponse(t *testing.T) {
	for name, judge := range map[string]func(hooks.Response) hooks.Verdict{
		"a panic":        func(hooks.Response) hooks.Verdict { panic("boom") },
		"runtime.Goexit": func(hooks.Response) hooks.Verdict { runtime.Goexit(); return hooks.Verdict{} },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, speaks(&testProtocol{name: "fragile", judge: judge}))
			r := h.receiver(hookstest.Status(202).Header("X-Seen", "1").Body("well"))
			hook := hooks.Hook{URL: r.URL, Events: []string{"*"}, Protocol: "fragile"}
			attempts, err := h.Test(t.Context(), hook, hooks.Event{Type: "a"})
			require.NoError(t, err)
			a := attempts[0]
			assert.Equal(t, hooks.Dead, a.State)
			assert.Equal(t, hooks.ClassRequest, a.Class)
			assert.Regexp(t, "boom|Goexit", a.Error)
			assert.Equal(t, 202, a.Response.Status)
			assert.Equal(t, "1", a.Response.Header.Get("X-Seen"))
			assert.Equal(t, "well", string(a.Response.Body))
			assert.Equal(t, "POST", a.Request.Method)

			r.Respond(hookstest.Status(200).Body("we").ThenReset())
			attempts, err = h.Test(t.Context(), hook, hooks.Event{Type: "a"})
			require.NoError(t, err)
			assert.Equal(t, hooks.ClassBody, attempts[0].Class, "why there is no complete response matters more")
			assert.Equal(t, "we", string(attempts[0].Response.Body))
		})
	}
}

// exiting is a protocol whose method of this name ends the goroutine while armed.
func exiting(where string, armed *atomic.Bool) *testProtocol {
	exit := func(here string) {
		if armed.Load() && here == where {
			runtime.Goexit()
		}
	}
	return &testProtocol{
		name:    "fragile",
		secret:  func() (hooks.Secret, error) { exit("secret"); return "", nil },
		compile: func(hooks.Hook) error { exit("compile"); return nil },
		accepts: func(_ context.Context, _ hooks.Hook, e *hooks.Event) (bool, error) {
			if e.Type == "fatal" {
				exit("accepts")
			}
			return true, nil
		},
		request: func(_ context.Context, _ hooks.Send, h hooks.Hook, msgs []hooks.Message) (hooks.Request, error) {
			exit("request")
			return post(h, msgs[0])
		},
		judge:  func(r hooks.Response) hooks.Verdict { exit("judge"); return hooks.Verdict{Success: r.Status == 200} },
		verify: func(context.Context, hooks.Send, hooks.Hook) error { exit("verify"); return nil },
	}
}

// Calls of the Manager return although the protocol ends its goroutine.
func TestAProtocolThatEndsItsGoroutine(t *testing.T) {
	calls := map[string]func(*harness, hooks.Hook) error{
		"secret": func(h *harness, hook hooks.Hook) error {
			hook.ID = ""
			_, err := h.Register(h.t.Context(), hook)
			return err
		},
		"compile": func(h *harness, hook hooks.Hook) error {
			_, err := h.Update(h.t.Context(), "", hook.ID, func(hook *hooks.Hook) error { hook.Name = "x"; return nil })
			return err
		},
		"verify": func(h *harness, hook hooks.Hook) error {
			_, err := h.Verify(h.t.Context(), "", hook.ID)
			return err
		},
	}
	for where, call := range calls {
		t.Run(where, func(t *testing.T) {
			var armed atomic.Bool
			h := newHarness(t, speaks(exiting(where, &armed)))
			_, hook := h.endpoint(hooks.Hook{Events: []string{"*"}, Protocol: "fragile"})
			armed.Store(true)
			returned := false
			var err error
			var calls sync.WaitGroup
			calls.Go(func() { err = call(h, hook); returned = true })
			calls.Wait()
			assert.True(t, returned)
			assert.ErrorContains(t, err, "Goexit")
			assert.Equal(t, hook, h.hook(hook.Ref()))
			armed.Store(false)
			assert.NoError(t, call(h, hook))
		})
	}
}

func TestTestOfAProtocolThatEndsItsGoroutine(t *testing.T) {
	var armed atomic.Bool
	armed.Store(true)
	h := newHarness(t, speaks(exiting("request", &armed)))
	r := h.receiver()
	attempts, err := h.Test(t.Context(), hooks.Hook{URL: r.URL, Events: []string{"*"}, Protocol: "fragile"}, hooks.Event{ID: "e1", Type: "a"})
	require.NoError(t, err)
	require.Len(t, attempts, 1)
	a := attempts[0]
	assert.Equal(t, "e1", a.EventID)
	assert.Equal(t, hooks.Dead, a.State)
	assert.Equal(t, hooks.ClassRequest, a.Class)
	assert.Contains(t, a.Error, "Goexit")
	assert.Zero(t, a.Request)
	assert.Zero(t, a.Response)
	assert.False(t, a.StartedAt.IsZero())
	assert.Empty(t, r.Requests())
}

// A hook whose Compile ends its goroutine was stored by another release.
func TestAStoredHookWhoseCompileEndsItsGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var armed atomic.Bool
		h := newHarness(t, speaks(exiting("compile", &armed)))
		r, hook := h.endpoint(hooks.Hook{Events: []string{"*"}, Protocol: "fragile"})
		plain, _ := h.endpoint(hooks.Hook{Events: []string{"*"}})
		h.trigger(hooks.Event{ID: "e1", Type: "a"})
		armed.Store(true)
		other := h.manager(h.store, speaks(exiting("compile", &armed)))
		h.run(other)
		_, err := other.Trigger(t.Context(), hooks.Event{ID: "e2", Type: "a"})
		require.NoError(t, err)
		time.Sleep(time.Minute)
		assert.Len(t, plain.Requests(), 2)
		assert.Empty(t, r.Requests())
		log, err := other.Logs(t.Context(), hooks.LogQuery{HookID: hook.ID})
		require.NoError(t, err)
		require.NotEmpty(t, log.Items)
		assert.Contains(t, log.Items[0].Error, "Goexit")
	})
}

// An Accepts that ends the goroutine ends the caller's, and takes nothing along.
func TestATriggerWhoseGoroutineEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var armed atomic.Bool
		armed.Store(true)
		h := runningHarness(t, speaks(exiting("accepts", &armed)), func(c *hooks.Config) { c.MaxInFlight = 4 })
		_, _ = h.endpoint(hooks.Hook{Events: []string{"*"}, Protocol: "fragile"})
		plain, _ := h.endpoint(hooks.Hook{Events: []string{"fine"}})
		for range 100 {
			go func() {
				_, _ = h.TriggerBatch(t.Context(), hooks.Event{Type: "fine"}, hooks.Event{Type: "fatal"})
				t.Error("returned")
			}()
			synctest.Wait()
		}
		assert.Empty(t, plain.Requests(), "nothing was stored")
		h.trigger(hooks.Event{Type: "fine"})
		synctest.Wait()
		assert.Len(t, plain.Requests(), 1)
	})
}

// An application that calls the Manager with a panicking store keeps what room there is.
func TestATriggerWhoseStorePanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		s := &panickingStore{Store: h.store}
		h.Manager = h.manager(s, func(c *hooks.Config) { c.MaxInFlight = 4 })
		h.run(h.Manager)
		r, _ := h.endpoint(hooks.Hook{Events: []string{"*"}})
		s.armed = true
		for range 100 {
			assert.Panics(t, func() { _, _ = h.Trigger(t.Context(), hooks.Event{Type: "a"}) })
		}
		s.armed = false
		h.trigger(hooks.Event{Type: "a"})
		synctest.Wait()
		assert.Len(t, r.Requests(), 1)
	})
}

type panickingStore struct {
	hooks.Store
	armed bool
}

func (s *panickingStore) Enqueue(ctx context.Context, now time.Time, entries []hooks.Entry) error {
	if s.armed {
		panic(http.ErrAbortHandler)
	}
	return s.Store.Enqueue(ctx, now, entries)
}

// Code of the application that panics costs an attempt, or the call it is part of, and
// nothing else.
func TestPanicsOfAProtocolAreContained(t *testing.T) {
	boom := errors.New("boom")
	newProtocol := func(armed *atomic.Bool, where string) *testProtocol {
		bang := func(here string) {
			if armed.Load() && here == where {
				panic(boom)
			}
		}
		return &testProtocol{
			name:    "fragile",
			traits:  hooks.Traits{Schedule: []time.Duration{0, time.Minute}},
			secret:  func() (hooks.Secret, error) { bang("secret"); return "", nil },
			compile: func(hooks.Hook) error { bang("compile"); return nil },
			accepts: func(context.Context, hooks.Hook, *hooks.Event) (bool, error) { bang("accepts"); return true, nil },
			request: func(_ context.Context, _ hooks.Send, h hooks.Hook, msgs []hooks.Message) (hooks.Request, error) {
				bang("request")
				return post(h, msgs[0])
			},
			judge:  func(r hooks.Response) hooks.Verdict { bang("judge"); return hooks.Verdict{Success: r.Status == 200} },
			verify: func(context.Context, hooks.Send, hooks.Hook) error { bang("verify"); return nil },
		}
	}
	in := func(t *testing.T, where string, f func(h *harness, hook hooks.Hook, r *hookstest.Receiver, armed *atomic.Bool)) {
		t.Run(where, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var armed atomic.Bool
				h := runningHarness(t, speaks(newProtocol(&armed, where)))
				r, hook := h.endpoint(hooks.Hook{Events: []string{"*"}, Protocol: "fragile"})
				plain, _ := h.endpoint(hooks.Hook{Events: []string{"*"}})
				armed.Store(true)
				f(h, hook, r, &armed)
				armed.Store(false)
				before := len(plain.Requests())
				assert.Equal(t, 2, h.trigger(hooks.Event{Type: "after"}).Deliveries)
				plain.Wait(before + 1)
			})
		})
	}

	in(t, "compile", func(h *harness, hook hooks.Hook, _ *hookstest.Receiver, _ *atomic.Bool) {
		again := hook
		again.ID = ""
		_, err := h.Register(h.t.Context(), again)
		assert.ErrorContains(h.t, err, "boom")
		_, err = h.Test(h.t.Context(), again, hooks.Event{Type: "a"})
		assert.ErrorContains(h.t, err, "boom")
		_, err = h.Update(h.t.Context(), "", hook.ID, func(hook *hooks.Hook) error { hook.Name = "x"; return nil })
		assert.ErrorContains(h.t, err, "boom")
		assert.Equal(h.t, hook, h.hook(hook.Ref()))
		page, err := h.Hooks(h.t.Context(), hooks.HookQuery{})
		require.NoError(h.t, err)
		assert.Len(h.t, page.Items, 2)
	})
	in(t, "secret", func(h *harness, hook hooks.Hook, _ *hookstest.Receiver, _ *atomic.Bool) {
		hook.ID = ""
		assert.NotPanics(h.t, func() {
			_, err := h.Register(h.t.Context(), hook)
			assert.ErrorContains(h.t, err, "boom")
		})
	})
	for _, where := range []string{"request", "judge"} {
		in(t, where, func(h *harness, hook hooks.Hook, _ *hookstest.Receiver, armed *atomic.Bool) {
			h.trigger(hooks.Event{ID: "e", Type: "a"})
			synctest.Wait()
			log := h.attempts(hooks.LogQuery{HookID: hook.ID})
			require.Len(h.t, log, 1)
			assert.Equal(h.t, hooks.ClassRequest, log[0].Class)
			assert.Contains(h.t, log[0].Error, "boom")
			assert.NotContains(h.t, log[0].Error, "goroutine")
			assert.Equal(h.t, hooks.Pending, log[0].State, "it is tried again")
			assert.Equal(h.t, 1, h.hook(hook.Ref()).Health.Failures)
			attempts, err := h.Test(h.t.Context(), hook, hooks.Event{Type: "a"})
			require.NoError(h.t, err)
			assert.Equal(h.t, hooks.ClassRequest, attempts[0].Class)
			armed.Store(false)
			pass(time.Hour)
			assert.Equal(h.t, hooks.Succeeded, h.deliveries(hooks.LogQuery{HookID: hook.ID})[0].State)
		})
	}
	in(t, "accepts", func(h *harness, hook hooks.Hook, r *hookstest.Receiver, _ *atomic.Bool) {
		assert.Equal(h.t, 1, h.trigger(hooks.Event{Type: "a"}).Deliveries, "only the other hook's")
		synctest.Wait()
		assert.Empty(h.t, r.Requests())
	})
	in(t, "verify", func(h *harness, hook hooks.Hook, _ *hookstest.Receiver, _ *atomic.Bool) {
		_, err := h.Verify(h.t.Context(), "", hook.ID)
		assert.ErrorContains(h.t, err, "boom")
		assert.False(h.t, h.hook(hook.Ref()).Verified)
	})
}
