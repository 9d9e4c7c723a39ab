package hooks_test

import (
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
)

func TestEnablingStartsAfresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := runningHarness(t)
		gone, hook := h.endpoint(hooks.Hook{Events: []string{"*"}}, hookstest.Status(410), hookstest.Status(200))
		h.trigger(hooks.Event{Type: "a"})
		synctest.Wait()
		disabled := h.hook(hook.Ref())
		require.True(t, disabled.Disabled)
		assert.Contains(t, disabled.DisabledReason, "410")
		assert.Equal(t, 1, disabled.Health.Failures)
		assert.Equal(t, time.Now().UTC(), disabled.Health.FailingSince)

		renamed := h.update(hook.Ref(), func(hook *hooks.Hook) { hook.Name = "still off" })
		assert.Equal(t, disabled.DisabledReason, renamed.DisabledReason)
		assert.Equal(t, disabled.Health, h.hook(hook.Ref()).Health)
		assert.Zero(t, h.trigger(hooks.Event{Type: "a"}).Deliveries)

		enabled := h.update(hook.Ref(), func(hook *hooks.Hook) { hook.Disabled = false })
		assert.Empty(t, enabled.DisabledReason)
		assert.Zero(t, enabled.Health)
		assert.Equal(t, enabled, h.hook(hook.Ref()))
		assert.Equal(t, 1, h.trigger(hooks.Event{Type: "a"}).Deliveries)
		gone.Wait(2)
	})
}

// What waits for a hook that takes nothing any more ends when it falls due, and
// says why.
func TestWaitingDeliveriesOfAHookThatTakesNothing(t *testing.T) {
	ends := map[string]struct {
		end    func(h *harness, ref hooks.Ref)
		reason string
	}{
		"deleted":    {func(h *harness, ref hooks.Ref) { require.NoError(h.t, h.Delete(h.t.Context(), ref.Tenant, ref.ID)) }, "deleted"},
		"disabled":   {func(h *harness, ref hooks.Ref) { h.update(ref, func(hook *hooks.Hook) { hook.Disabled = true }) }, "disabled"},
		"unverified": {func(h *harness, ref hooks.Ref) { h.update(ref, func(hook *hooks.Hook) { hook.Verified = false }) }, "not verified"},
	}
	for name, tt := range ends {
		for _, key := range []string{"", "key"} {
			t.Run(name+key, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := newHarness(t, speaks(&testProtocol{name: "strict", traits: hooks.Traits{RequireVerified: true}}))
					stop := h.run(h.Manager)
					r, hook := h.endpoint(hooks.Hook{
						Tenant: "acme", Events: []string{"*"}, Protocol: "strict", Verified: true, Schedule: []time.Duration{0, time.Hour},
					}, hookstest.Status(500))
					h.trigger(hooks.Event{ID: "tried", Tenant: "acme", Type: "a", OrderingKey: key})
					synctest.Wait()
					stop()
					h.trigger(hooks.Event{ID: "new", Tenant: "acme", Type: "a", OrderingKey: key})
					tt.end(h, hook.Ref())
					for _, d := range h.deliveries(hooks.LogQuery{Tenant: "acme"}) {
						assert.False(t, d.State.Ended(), "it is not due yet")
					}
					h.run(h.Manager)
					synctest.Wait()
					assert.Equal(t, hooks.Pending, h.delivery("acme", "tried").State, "it is not due yet")
					pass(2 * time.Hour)
					for _, d := range h.deliveries(hooks.LogQuery{Tenant: "acme"}) {
						assert.Equal(t, hooks.Cancelled, d.State, d.EventID)
						assert.Contains(t, d.Reason, tt.reason, d.EventID)
						assert.False(t, d.EndedAt.IsZero(), d.EventID)
					}
					assert.Len(t, r.Requests(), 1)
					assert.Zero(t, h.trigger(hooks.Event{Tenant: "acme", Type: "a"}).Deliveries)

					log := h.attempts(hooks.LogQuery{Tenant: "acme", HookID: hook.ID})
					require.Len(t, log, 1, "the log stays")
					assert.Equal(t, "tried", log[0].EventID)
				})
			})
		}
	}
}

func TestAHookIsDisabledWhenItsEndpointFailsForTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var disabled record[hooks.Hook]
		h := runningHarness(t, func(c *hooks.Config) {
			c.DisableAfter, c.PollInterval = 2*time.Hour, time.Minute
			c.Observer.HookDisabled = disabled.add
		})
		schedule := slices.Repeat([]time.Duration{10 * time.Minute}, 100)
		r, hook := h.endpoint(hooks.Hook{Events: []string{"*"}, Schedule: schedule}, hookstest.Status(503))
		well, _ := h.endpoint(hooks.Hook{Events: []string{"*"}})
		h.trigger(hooks.Event{Type: "a"})
		pass(90 * time.Minute)
		r.Respond(hookstest.Status(200), hookstest.Status(503)) // one success is a new beginning
		pass(15 * time.Minute)
		h.trigger(hooks.Event{ID: "e", Type: "a"})
		pass(2 * time.Hour)
		assert.Empty(t, disabled.all())
		pass(30 * time.Minute)
		require.Len(t, disabled.all(), 1)
		got := h.hook(hook.Ref())
		assert.Equal(t, got, disabled.all()[0])
		assert.True(t, got.Disabled)
		assert.Contains(t, got.DisabledReason, got.Health.FailingSince.Format(time.RFC3339))
		assert.Contains(t, got.DisabledReason, "503")
		requests := len(r.Requests())
		pass(24 * time.Hour)
		assert.Len(t, r.Requests(), requests)
		assert.Len(t, well.Requests(), 2)
		for _, d := range h.deliveries(hooks.LogQuery{HookID: hook.ID, EventID: "e"}) {
			assert.Equal(t, hooks.Cancelled, d.State)
		}
		assert.Len(t, disabled.all(), 1)
	})
}

// What a Manager stored while its configuration was another can still be
// disabled: by the application, and after it has failed for too long.
func TestAHookThatIsNoLongerValidCanBeDisabled(t *testing.T) {
	tests := map[string]struct {
		stored, now func(*hooks.Config)
		hook        hooks.Hook
	}{
		"protocol": {speaks(&testProtocol{name: "old"}), nil, hooks.Hook{Protocol: "old"}},
		"http":     {nil, func(c *hooks.Config) { c.AllowHTTP = false }, hooks.Hook{}},
		"catalogue": {
			nil, func(c *hooks.Config) { c.Catalogue = []hooks.EventType{{Name: "b"}, {Name: "c"}} },
			hooks.Hook{Events: []string{"a", "b"}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				none := func(*hooks.Config) {}
				if tt.stored == nil {
					tt.stored = none
				}
				if tt.now == nil {
					tt.now = none
				}
				h := newHarness(t, tt.stored)
				hook := tt.hook
				hook.URL, hook.Schedule = "http://nowhere.example", slices.Repeat([]time.Duration{10 * time.Minute}, 100)
				if hook.Events == nil {
					hook.Events = []string{"*"}
				}
				byHand, byItself := h.register(hook), h.register(hook)
				h.trigger(hooks.Event{Type: "b"})
				h.Manager = h.manager(h.store, tt.now, func(c *hooks.Config) { c.DisableAfter, c.PollInterval = time.Hour, time.Minute })
				_, err := h.Update(t.Context(), "", byHand.ID, func(hook *hooks.Hook) error {
					hook.Disabled = true
					return nil
				})
				assert.NoError(t, err)
				h.run(h.Manager)
				pass(3 * time.Hour)
				assert.NotEmpty(t, h.attempts(hooks.LogQuery{HookID: byItself.ID}))
				assert.True(t, h.hook(byItself.Ref()).Disabled, "it has failed for 3 hours")
			})
		})
	}
}

// A watcher records which hooks were disabled, and when. It is read after
// synctest.Wait.
type watcher struct {
	disabled []hooks.Hook
	at       []time.Time
}

func (w *watcher) watch(c *hooks.Config) {
	c.Observer.HookDisabled = func(h hooks.Hook) {
		w.disabled = append(w.disabled, h)
		w.at = append(w.at, time.Now())
	}
}

// failFor triggers a batch of events every 12 hours for so long, the first and
// the last included.
func failFor(t *testing.T, m *hooks.Manager, name string, d time.Duration) {
	t.Helper()
	for passed := time.Duration(0); ; passed += 12 * time.Hour {
		triggerIDs(t, m, numbered(name+strconv.Itoa(int(passed.Hours()))+"-", 10)...)
		synctest.Wait()
		if passed >= d {
			return
		}
		time.Sleep(12 * time.Hour)
	}
}

func TestAHookIsDisabledAfterALongFailure(t *testing.T) {
	tests := map[string]struct {
		disableAfter time.Duration // the configuration's
		failing      time.Duration
		want         time.Duration // from the first failure; 0: not disabled
	}{
		"by default after 5 days":         {0, 5*day + 12*time.Hour, 5 * day},
		"as configured":                   {day, 2 * day, day},
		"as configured, at the next then": {day + time.Hour, 2 * day, day + 12*time.Hour},
		"never":                           {-1, 5*day + 12*time.Hour, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var w watcher
				harness := hookstest.New(t, seldom, w.watch, func(c *hooks.Config) { c.DisableAfter = tt.disableAfter })
				e := harness.EndpointFor(hooks.Hook{Events: []string{"*"}, Schedule: []time.Duration{0}})
				e.Respond(hookstest.Status(500))
				start := time.Now()
				failFor(t, harness.Manager, "e", tt.failing)

				h := stored(t, harness.Manager, e.Hook)
				assert.Equal(t, start.UTC(), h.Health.FailingSince)
				if tt.want == 0 {
					assert.False(t, h.Disabled)
					assert.Empty(t, w.disabled)
					return
				}
				assert.True(t, h.Disabled)
				assert.NotEmpty(t, h.DisabledReason)
				require.Len(t, w.disabled, 1, "though ten attempts failed at that moment")
				assert.Equal(t, h.ID, w.disabled[0].ID)
				assert.Equal(t, h.DisabledReason, w.disabled[0].DisabledReason)
				assert.Equal(t, tt.want, w.at[0].Sub(start))
				requests := e.Requests()
				assert.Equal(t, tt.want, requests[len(requests)-1].ReceivedAt.Sub(start))
			})
		})
	}
}

func TestASuccessEndsALongFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w watcher
		harness := hookstest.New(t, seldom, w.watch, func(c *hooks.Config) { c.DisableAfter = day })
		e := harness.EndpointFor(hooks.Hook{Events: []string{"*"}, Schedule: []time.Duration{0}})
		e.Respond(hookstest.Status(500))
		failFor(t, harness.Manager, "a", 12*time.Hour)
		e.Respond(hookstest.Status(200))
		triggerIDs(t, harness.Manager, "good")
		synctest.Wait()
		assert.Equal(t, hooks.Health{}, stored(t, harness.Manager, e.Hook).Health)
		e.Respond(hookstest.Status(500))
		time.Sleep(12 * time.Hour)
		failFor(t, harness.Manager, "b", 12*time.Hour)
		assert.False(t, stored(t, harness.Manager, e.Hook).Disabled)
		failFor(t, harness.Manager, "c", 12*time.Hour)
		assert.True(t, stored(t, harness.Manager, e.Hook).Disabled)
		assert.Len(t, w.disabled, 1)
	})
}

// Enabling the hook is a new beginning for its endpoint.
func TestEnablingClearsWhatWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w watcher
		harness := hookstest.New(t, seldom, w.watch, func(c *hooks.Config) { c.DisableAfter = day })
		e := harness.EndpointFor(hooks.Hook{Events: []string{"*"}, Schedule: []time.Duration{0}})
		e.Respond(hookstest.Status(500))
		failFor(t, harness.Manager, "a", day)
		require.True(t, stored(t, harness.Manager, e.Hook).Disabled)

		enabled, err := harness.Manager.Update(t.Context(), "", e.Hook.ID, func(h *hooks.Hook) error {
			h.Disabled = false
			return nil
		})
		require.NoError(t, err)
		for _, h := range []hooks.Hook{enabled, stored(t, harness.Manager, e.Hook)} {
			assert.False(t, h.Disabled)
			assert.Empty(t, h.DisabledReason)
			assert.Equal(t, hooks.Health{}, h.Health)
		}

		triggerIDs(t, harness.Manager, "still-bad")
		synctest.Wait()
		h := stored(t, harness.Manager, e.Hook)
		assert.False(t, h.Disabled, "the failure has just begun")
		assert.Equal(t, 1, h.Health.Failures)
		e.Respond(hookstest.Status(200))
		triggerIDs(t, harness.Manager, "good")
		synctest.Wait()
		requests := e.Requests()
		assert.Equal(t, "good", requests[len(requests)-1].ID)
		assert.Equal(t, hooks.Health{}, stored(t, harness.Manager, e.Hook).Health)
		assert.Len(t, w.disabled, 1)
	})
}

// Health.ThrottledUntil is cleared too, so the endpoint may be asked at once.
func TestEnablingEndsTheThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		harness := hookstest.New(t)
		e := harness.Endpoint("*")
		e.Respond(hookstest.Status(429).Header("Retry-After", "86400"), hookstest.Status(200))
		triggerIDs(t, harness.Manager, "throttling")
		synctest.Wait()
		for _, disabled := range []bool{true, false} {
			_, err := harness.Manager.Update(t.Context(), "", e.Hook.ID, func(h *hooks.Hook) error {
				h.Disabled = disabled
				return nil
			})
			require.NoError(t, err)
		}
		require.Equal(t, hooks.Health{}, stored(t, harness.Manager, e.Hook).Health)
		triggerIDs(t, harness.Manager, "afterwards")
		time.Sleep(time.Minute)
		synctest.Wait()
		if requests := e.Requests(); assert.Len(t, requests, 2) {
			assert.Equal(t, "afterwards", requests[1].ID)
		}
	})
}

// An endpoint cannot keep its hook enabled by what it responds.
func TestAHookIsDisabledWhateverItsEndpointResponds(t *testing.T) {
	tests := map[string]string{
		"nothing":       "",
		"a long line":   strings.Repeat("x", 32<<10) + "\r\n",
		"control bytes": "HTTP/1.1 200 OK\r\n\x00\xff\x1b: \x00\r\n\r\n",
		"not UTF-8":     "\xff\xfe\r\n\r\n",
	}
	for name, response := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var w watcher
				harness := hookstest.New(t, seldom, w.watch, func(c *hooks.Config) { c.DisableAfter = time.Hour })
				e := harness.EndpointFor(hooks.Hook{Events: []string{"*"}, Schedule: []time.Duration{0, time.Hour}})
				e.Close()
				serveRaw(t, harness.Network.Listen(strings.TrimPrefix(e.URL, "http://")), func(c net.Conn) {
					readRequest(c)
					_, _ = io.WriteString(c, response)
					_ = c.Close()
				})
				triggerIDs(t, harness.Manager, "e1")
				e.Settle()
				synctest.Wait()
				assert.True(t, stored(t, harness.Manager, e.Hook).Disabled)
				assert.Len(t, w.disabled, 1)
			})
		})
	}
}
