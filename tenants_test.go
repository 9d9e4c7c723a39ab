package hooks_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
)

// A tenantModel is what one tenant should see.
type tenantModel struct {
	receiver   *hookstest.Receiver
	hooks      map[string]string // ID to name
	events     map[string]string // ID to data
	deliveries int
}

// Whatever three tenants do, with the same IDs, none sees what is another's.
func TestTenantsAreApart(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		inBubble(t, func(t *testing.T) {
			h := newHarness(t)
			h.check = rt
			h.run(h.Manager)
			tenants := map[string]*tenantModel{}
			for _, name := range []string{"", "a", "a/b"} {
				// Half of the requests fail, so that there is something to send again.
				responses := slices.Repeat([]hookstest.Response{hookstest.Status(200), hookstest.Status(500)}, 50)
				tenants[name] = &tenantModel{receiver: h.receiver(responses...), hooks: map[string]string{}, events: map[string]string{}}
			}
			name := rapid.SampledFrom(slices.Sorted(maps.Keys(tenants)))
			id := rapid.SampledFrom([]string{"1", "2", "3"})
			step := 0
			rt.Repeat(map[string]func(*rapid.T){
				"": func(*rapid.T) {
					synctest.Wait()
					for name, model := range tenants {
						model.compare(h, name)
					}
				},
				"register": func(rt *rapid.T) {
					step++
					tenant, id := name.Draw(rt, "tenant"), id.Draw(rt, "hook")
					model := tenants[tenant]
					label := fmt.Sprintf("hook %d of %q", step, tenant)
					_, err := h.Register(t.Context(), hooks.Hook{
						ID: id, Tenant: tenant, Name: label, URL: model.receiver.URL, Events: []string{"*"},
						Schedule: []time.Duration{0, time.Minute}[:1+step%2],
					})
					if model.hooks[id] != "" {
						require.ErrorIs(rt, err, hooks.ErrDuplicate)
						return
					}
					require.NoError(rt, err)
					model.hooks[id] = label
				},
				"update": func(rt *rapid.T) {
					step++
					tenant, id := name.Draw(rt, "tenant"), id.Draw(rt, "hook")
					label := fmt.Sprintf("hook %d of %q", step, tenant)
					_, err := h.Update(t.Context(), tenant, id, func(hook *hooks.Hook) error {
						hook.Name = label
						return nil
					})
					tenants[tenant].changed(rt, id, label, err)
				},
				"rotate": func(rt *rapid.T) {
					tenant, id := name.Draw(rt, "tenant"), id.Draw(rt, "hook")
					_, err := h.RotateSecret(t.Context(), tenant, id, hooks.Rotation{Overlap: -1})
					tenants[tenant].changed(rt, id, tenants[tenant].hooks[id], err)
				},
				"delete": func(rt *rapid.T) {
					tenant, id := name.Draw(rt, "tenant"), id.Draw(rt, "hook")
					tenants[tenant].changed(rt, id, "", h.Delete(t.Context(), tenant, id))
				},
				"trigger": func(rt *rapid.T) {
					step++
					tenant, id := name.Draw(rt, "tenant"), rapid.SampledFrom([]string{"1", "2", "3", "4", "5", "6"}).Draw(rt, "event")
					model := tenants[tenant]
					data := fmt.Sprintf(`"event %d of %s"`, step, tenant)
					receipt, err := h.Trigger(t.Context(), hooks.Event{
						ID: id, Tenant: tenant, Type: "a", Data: json.RawMessage(data), OrderingKey: rapid.SampledFrom([]string{"", "key"}).Draw(rt, "key"),
					})
					if model.events[id] != "" {
						require.ErrorIs(rt, err, hooks.ErrDuplicate)
						return
					}
					require.NoError(rt, err)
					require.Equal(rt, len(model.hooks), receipt.Deliveries)
					model.events[id] = data
					model.deliveries += receipt.Deliveries
				},
				"send again or cancel": func(rt *rapid.T) {
					owner, tenant := name.Draw(rt, "owner"), name.Draw(rt, "tenant")
					all := h.deliveries(hooks.LogQuery{Tenant: owner})
					if len(all) == 0 {
						rt.Skip()
					}
					slices.SortFunc(all, func(a, b hooks.Delivery) int { return strings.Compare(a.ID, b.ID) })
					d := rapid.SampledFrom(all).Draw(rt, "delivery")
					_, err := h.Redeliver(t.Context(), tenant, d.ID)
					if err != nil && tenant == owner {
						_, err = h.Cancel(t.Context(), tenant, d.ID)
					}
					if tenant != owner {
						require.ErrorIs(rt, err, hooks.ErrNotFound)
						_, err = h.Cancel(t.Context(), tenant, d.ID)
						require.ErrorIs(rt, err, hooks.ErrNotFound)
					}
				},
				"replay": func(rt *rapid.T) {
					_, err := h.Replay(t.Context(), hooks.LogQuery{Tenant: name.Draw(rt, "tenant"), States: []hooks.State{hooks.Dead}})
					require.NoError(rt, err)
				},
				"wait": func(*rapid.T) { pass(2 * time.Minute) },
			})
		})
	})
}

// changed notes a change of a hook: its new name, or "" if it was deleted.
func (m *tenantModel) changed(t require.TestingT, id, label string, err error) {
	switch {
	case m.hooks[id] == "":
		require.ErrorIs(t, err, hooks.ErrNotFound)
	case label == "":
		require.NoError(t, err)
		delete(m.hooks, id)
	default:
		require.NoError(t, err)
		m.hooks[id] = label
	}
}

// compare compares the model with what the tenant sees.
func (m *tenantModel) compare(h *harness, tenant string) {
	ctx := h.t.Context()
	page, err := h.Hooks(ctx, hooks.HookQuery{Tenant: tenant})
	require.NoError(h.check, err)
	names := map[string]string{}
	for _, hook := range page.Items {
		require.Equal(h.check, tenant, hook.Tenant)
		names[hook.ID] = hook.Name
	}
	require.Equal(h.check, m.hooks, names)

	own := map[string]bool{}
	all := h.deliveries(hooks.LogQuery{Tenant: tenant})
	require.Len(h.check, all, m.deliveries)
	ended := 0
	for _, d := range all {
		require.Equal(h.check, tenant, d.Tenant)
		require.Contains(h.check, m.events, d.EventID)
		own[d.ID] = true
		if d.State == hooks.Succeeded || d.State == hooks.Dead {
			ended++
		}
	}
	for _, a := range h.attempts(hooks.LogQuery{Tenant: tenant}) {
		require.Equal(h.check, tenant, a.Tenant)
		require.True(h.check, own[a.DeliveryID], "an attempt of another tenant's delivery")
	}
	stats, err := h.Stats(ctx, tenant, time.Time{}.Add(1), time.Time{}, "1", "2", "3")
	require.NoError(h.check, err)
	sum := 0
	for _, s := range stats {
		sum += s.Deliveries
	}
	require.Equal(h.check, ended, sum)
	for _, id := range []string{"1", "2", "3", "4", "5", "6"} {
		e, err := h.Event(ctx, tenant, id)
		if m.events[id] == "" {
			require.ErrorIs(h.check, err, hooks.ErrNotFound)
			continue
		}
		require.NoError(h.check, err)
		require.Equal(h.check, tenant, e.Tenant)
		require.Equal(h.check, m.events[id], string(e.Data))
	}
	for _, r := range m.receiver.Requests() {
		require.Equal(h.check, m.events[r.ID], string(r.Data), "a request with another's event")
	}
}
