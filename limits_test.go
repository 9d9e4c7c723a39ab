package hooks_test

import (
	"encoding/json"
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

// Bounds of what one tenant can have a Manager do and keep.

// No schedule turns one event into a flood of requests.
func TestRetriesAfterTheSecondHaveALeastDelay(t *testing.T) {
	const s, ms = time.Second, time.Millisecond
	for name, tt := range map[string]struct{ schedule, pauses []time.Duration }{
		"at once":           {make([]time.Duration, 101), []time.Duration{0, 0, s, 2 * s, 4 * s, 8 * s, 16 * s, 32 * s, 60 * s, 60 * s, 60 * s}},
		"of a moment":       {[]time.Duration{0, 1, ms, 999 * ms, ms}, []time.Duration{1, ms, s, 2 * s}},
		"a second":          {[]time.Duration{0, s, s, s, s, s}, []time.Duration{s, s, s, s, s}},
		"now and then":      {[]time.Duration{0, 0, 0, 5 * s, 0, 5 * s, 0}, []time.Duration{0, 0, 5 * s, s, 5 * s, 2 * s}},
		"two retries":       {[]time.Duration{0, 0, 0}, []time.Duration{0, 0}},
		"of another system": {[]time.Duration{0, 300 * ms, 600 * ms, 1200 * ms}, []time.Duration{300 * ms, 600 * ms, 1200 * ms}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				harness := hookstest.New(t, seldom, neverDisable)
				e := harness.EndpointFor(hooks.Hook{Events: []string{"*"}, Schedule: tt.schedule})
				e.Respond(hookstest.Status(500))
				triggerIDs(t, harness.Manager, "e1")
				e.Settle()
				requests := e.Requests()
				require.Len(t, requests, len(tt.schedule))
				for i, want := range tt.pauses {
					checkPause(t, i+2, want, requests[i+1].ReceivedAt.Sub(requests[i].ReceivedAt))
				}
				stored, err := harness.Manager.Hook(t.Context(), "", e.Hook.ID)
				require.NoError(t, err)
				assert.Equal(t, tt.schedule, stored.Schedule, "the hook keeps what it says")
			})
		})
	}
}

// The schedule of a protocol is bounded as that of a hook.
func TestAProtocolsScheduleIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, speaks(&testProtocol{name: "eager", traits: hooks.Traits{Schedule: make([]time.Duration, 20)}}))
		r, _ := h.endpoint(hooks.Hook{Events: []string{"*"}, Protocol: "eager"}, hookstest.Status(500))
		defer h.run(h.Manager)()
		h.trigger(hooks.Event{Type: "a"})
		time.Sleep(10 * time.Second)
		assert.Len(t, r.Requests(), 6, "at 0, 0, 0, 1, 3 and 7 s, and up to a fifth later")
	})
}

func events(n int) []hooks.Event {
	list := make([]hooks.Event, n)
	for i := range list {
		list[i] = hooks.Event{ID: fmt.Sprint("e", i), Type: "a"}
	}
	return list
}

func TestHooksOfATenantAreBounded(t *testing.T) {
	h := newHarness(t, func(c *hooks.Config) { c.MaxHooks = 3 })
	hook := hooks.Hook{Tenant: "a", URL: "https://example.com/", Events: []string{"*"}}
	for range 3 {
		h.register(hook)
	}
	_, err := h.Register(t.Context(), hook)
	require.ErrorIs(t, err, hooks.ErrTooManyHooks)
	hook.Tenant = "b"
	hook = h.register(hook)
	hook.Tenant, hook.ID = "a", ""
	require.NoError(t, h.Delete(t.Context(), "a", h.hooks("a")[0].ID))
	h.register(hook)

	byDefault, all := newHarness(t), newHarness(t, func(c *hooks.Config) { c.MaxHooks = -1 })
	for range 1000 {
		byDefault.register(hook)
		all.register(hook)
	}
	_, err = byDefault.Register(t.Context(), hook)
	require.ErrorIs(t, err, hooks.ErrTooManyHooks)
	all.register(hook)
}

func (h *harness) hooks(tenant string) (all []hooks.Hook) {
	for hook, err := range h.AllHooks(h.t.Context(), hooks.HookQuery{Tenant: tenant}) {
		require.NoError(h.check, err)
		all = append(all, hook)
	}
	return all
}

func TestAHookIsBoundedInAll(t *testing.T) {
	h, spy := strictHarness(t)
	hook := hooks.Hook{URL: "https://example.com/", Protocol: "lenient", Settings: json.RawMessage(`"` + strings.Repeat("x", 64<<10-2) + `"`)}
	for i := range 260 {
		hook.Events = append(hook.Events, fmt.Sprintf("%0256d", i))
	}
	writes := spy.writes()
	_, err := h.Register(t.Context(), hook)
	refused(t, err, "hook", "at most 131072 bytes in all")
	assert.Equal(t, writes, spy.writes())

	more := hook.Events[200:]
	hook.Events = hook.Events[:200]
	stored := h.register(hook)
	for name, grow := range map[string]func(*hooks.Hook){
		"headers":  func(h *hooks.Hook) { h.Headers = map[string]string{"X-A": strings.Repeat("x", 15<<10)} },
		"metadata": func(h *hooks.Hook) { h.Metadata = map[string]string{"a": strings.Repeat("x", 15<<10)} },
		"events": func(h *hooks.Hook) {
			h.Events = append(h.Events, more...)
		},
	} {
		_, err := h.Update(t.Context(), "", stored.ID, func(h *hooks.Hook) error {
			h.Description = strings.Repeat("x", 4096)
			h.Name = strings.Repeat("x", 1024)
			h.Filter = strings.Repeat(" ", 4000) + "true"
			h.Secrets = []hooks.SigningSecret{{Secret: hooks.Secret(strings.Repeat("x", 4096))}}
			grow(h)
			return nil
		})
		refused(t, err, "hook", "at most 131072 bytes in all")
		assert.Equal(t, stored, h.hook(stored.Ref()), name)
	}
	_, err = h.Update(t.Context(), "", stored.ID, func(h *hooks.Hook) error {
		h.Secrets = []hooks.SigningSecret{{Secret: hooks.Secret(strings.Repeat("x", 4097))}}
		return nil
	})
	refused(t, err, "secrets[0]", "at most 4096 bytes")
}

func TestACallTakesSoManyEvents(t *testing.T) {
	h, spy := strictHarness(t, func(c *hooks.Config) { c.MaxPayload = 16 << 20 })
	hook := h.register(hooks.Hook{URL: "https://example.com/", Events: []string{"*"}})
	large := events(5)
	for i := range large {
		large[i].Data = json.RawMessage(`"` + strings.Repeat("x", 14<<20) + `"`)
	}
	writes := spy.writes()
	for _, list := range [][]hooks.Event{make([]hooks.Event, 10_001), large} {
		_, err := h.TriggerBatch(t.Context(), list...)
		refused(t, err, "events", "at most 10000 and have at most 67108864 bytes")
		_, err = h.TriggerTx(t.Context(), spy, list...)
		refused(t, err, "events", "at most 10000 and have at most 67108864 bytes")
		_, err = h.Test(t.Context(), hook, list...)
		refused(t, err, "events", "at most 10000 and have at most 67108864 bytes")
	}
	assert.Equal(t, writes, spy.writes())
	_, err := h.TriggerBatch(t.Context(), large[:4]...)
	require.NoError(t, err)
}

func TestACallMakesSoManyDeliveries(t *testing.T) {
	h, spy := strictHarness(t)
	for range 101 {
		h.register(hooks.Hook{URL: "https://example.com/", Events: []string{"*"}})
	}
	writes := spy.writes()
	_, err := h.TriggerBatch(t.Context(), events(1000)...)
	refused(t, err, "events", "must make at most 100000 deliveries")
	assert.Equal(t, writes, spy.writes())
	receipts, err := h.TriggerBatch(t.Context(), events(990)...)
	require.NoError(t, err)
	assert.Equal(t, 101, receipts[989].Deliveries)
}

func TestPagesAndListsAreBounded(t *testing.T) {
	h, _ := strictHarness(t)
	ctx, long, tooMany := t.Context(), make([]string, 1000), make([]string, 1001)
	page := func(limit int) hooks.PageQuery { return hooks.PageQuery{Limit: limit} }
	for field, call := range map[string]func(list []string, limit int) error{
		"limit": func(_ []string, limit int) error {
			_, err := h.Hooks(ctx, hooks.HookQuery{PageQuery: page(limit)})
			_, err2 := h.Deliveries(ctx, hooks.LogQuery{PageQuery: page(limit)})
			_, err3 := h.Logs(ctx, hooks.LogQuery{PageQuery: page(limit)})
			return firstUnless(err, err2, err3)
		},
		"ids": func(list []string, _ int) error {
			_, err := h.Hooks(ctx, hooks.HookQuery{IDs: list})
			_, err2 := h.Events(ctx, "", list...)
			return firstUnless(err, err2)
		},
		"deliveryIDs": func(list []string, _ int) error {
			_, err := h.Deliveries(ctx, hooks.LogQuery{DeliveryIDs: list})
			_, err2 := h.Logs(ctx, hooks.LogQuery{DeliveryIDs: list})
			return firstUnless(err, err2)
		},
		"states": func(list []string, _ int) error {
			_, err := h.Deliveries(ctx, hooks.LogQuery{States: make([]hooks.State, len(list))})
			_, err2 := h.Logs(ctx, hooks.LogQuery{States: make([]hooks.State, len(list))})
			return firstUnless(err, err2)
		},
		"hookIDs": func(list []string, _ int) error {
			_, err := h.Stats(ctx, "", time.Time{}, time.Time{}, list...)
			return err
		},
	} {
		require.NoError(t, call(long, 1000), field)
		refused(t, call(tooMany, 1001), field, "1000")
	}
	for _, err := range h.AllHooks(ctx, hooks.HookQuery{PageQuery: page(1_000_000)}) {
		require.NoError(t, err, "all pages are read anyway")
	}
}

// firstUnless returns the first error if all are errors, and nil if none is.
func firstUnless(errs ...error) error {
	for _, err := range errs {
		if (err == nil) != (errs[0] == nil) {
			return fmt.Errorf("only some were refused: %v", errs)
		}
	}
	return errs[0]
}
