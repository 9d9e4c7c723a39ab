package hooks_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
	"github.com/seed-2c6e3a5a/hooks/receive"
)

func TestRegisterFillsInTheDefaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		pass(1500 * time.Microsecond)
		got, err := h.Register(t.Context(), hooks.Hook{URL: "https://example.com/a", Events: []string{"order.paid"}})
		require.NoError(t, err)

		id, err := uuid.Parse(got.ID)
		require.NoError(t, err)
		assert.EqualValues(t, 7, id.Version())
		require.Len(t, got.Secrets, 1)
		_, err = receive.NewVerifier(string(got.Secrets[0].Secret))
		require.NoError(t, err)
		at := time.Now().UTC().Truncate(time.Millisecond)
		assert.Equal(t, hooks.Hook{
			ID: got.ID, URL: "https://example.com/a", Events: []string{"order.paid"}, Protocol: hooks.StandardWebhooks,
			Secrets: []hooks.SigningSecret{{Secret: got.Secrets[0].Secret}},
			Version: 1, CreatedAt: at, UpdatedAt: at,
		}, got)
		assert.Equal(t, got, h.hook(got.Ref()))
		assert.NotEqual(t, got.Secrets, h.register(hooks.Hook{URL: got.URL, Events: got.Events}).Secrets, "two hooks share a secret")
	})
}

// full is a hook with all that an application can set.
func full() hooks.Hook {
	return hooks.Hook{
		ID: "A-z_09", Tenant: "acme", Name: "näme", Description: "all of it", Disabled: true, DisabledReason: "holidays",
		Verified: true, Events: []string{"order.*", "user.created", "*"}, Filter: `data.total > 100 && metadata.region == "eu"`,
		URL: "https://example.com:8443/a?b=c", Method: "POST", Headers: map[string]string{"X-Key": "1", "User-Agent": "shop"},
		Secrets:  []hooks.SigningSecret{{Secret: hooks.NewSecret()}, {Secret: hooks.NewSecret(), ExpiresAt: time.Date(2100, 1, 2, 3, 4, 5, 6e6, time.UTC)}},
		Schedule: []time.Duration{0, time.Second}, Timeout: time.Second, RateLimit: 0.5, MaxInFlight: 3, HoldDead: true,
		Protocol: hooks.StandardWebhooks, Settings: json.RawMessage(`{}`), Metadata: map[string]string{"team": "billing", "": "\t"},
	}
}

func TestRegisterKeepsWhatTheHostChose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		given := full()
		// These are the Manager's.
		given.Version, given.CreatedAt, given.UpdatedAt = 41, time.Unix(1, 0), time.Unix(2, 0)
		given.Health = hooks.Health{Failures: 3, FailingSince: time.Unix(3, 0), ThrottledUntil: time.Unix(4, 0)}
		got := h.register(given)

		want := given
		want.Version, want.Health = 1, hooks.Health{}
		want.CreatedAt = time.Now().UTC()
		want.UpdatedAt = want.CreatedAt
		assert.Equal(t, want, got)
		assert.Equal(t, want, h.hook(got.Ref()))

		// Neither what was given nor what was returned is tied to the store.
		for _, hook := range []hooks.Hook{given, got} {
			hook.Events[0], hook.Headers["X-Key"], hook.Metadata["team"] = "user.created", "2", "sales"
			hook.Secrets[0].Secret, hook.Schedule[0], hook.Settings[0] = "whsec_", time.Hour, '['
		}
		want = full()
		stored := h.hook(got.Ref())
		want.Secrets[0].Secret, want.Secrets[1].Secret = stored.Secrets[0].Secret, stored.Secrets[1].Secret
		want.Version, want.CreatedAt, want.UpdatedAt = stored.Version, stored.CreatedAt, stored.UpdatedAt
		assert.Equal(t, want, stored)
		assert.Len(t, stored.Secrets[0].Secret, len(hooks.NewSecret()))
	})
}

func TestRegisterTidiesUp(t *testing.T) {
	h := newHarness(t)
	got := h.register(hooks.Hook{
		URL: "https://example.com", Events: []string{"*"}, DisabledReason: "an enabled hook has none",
		Secrets: []hooks.SigningSecret{{Secret: hooks.NewSecret(), ExpiresAt: time.Date(2100, 1, 1, 2, 0, 0, 1_999_999, time.FixedZone("CET", 3600))}},
	})
	assert.Empty(t, got.DisabledReason)
	assert.Equal(t, time.Date(2100, 1, 1, 1, 0, 0, 1e6, time.UTC), got.Secrets[0].ExpiresAt, "UTC milliseconds")
	assert.Equal(t, got, h.hook(got.Ref()))
}

func TestRegisterRefusesATakenID(t *testing.T) {
	h := newHarness(t)
	first := h.register(hooks.Hook{ID: "a", Tenant: "acme", Name: "first", URL: "https://example.com", Events: []string{"*"}})
	again := hooks.Hook{ID: "a", Tenant: "acme", Name: "second", URL: "https://example.com", Events: []string{"*"}}
	_, err := h.Register(t.Context(), again)
	require.ErrorIs(t, err, hooks.ErrDuplicate)
	assert.Equal(t, first, h.hook(first.Ref()))

	again.Tenant = ""
	other := h.register(again)
	assert.Equal(t, "first", h.hook(first.Ref()).Name)
	assert.Equal(t, "second", h.hook(other.Ref()).Name)

	require.NoError(t, h.Delete(t.Context(), "acme", "a"))
	again.Tenant = "acme"
	h.register(again)
}

func TestHookIsNotFound(t *testing.T) {
	h := newHarness(t)
	h.register(hooks.Hook{ID: "a", Tenant: "acme", URL: "https://example.com", Events: []string{"*"}})
	for _, ref := range []hooks.Ref{{Tenant: "acme", ID: "b"}, {Tenant: "", ID: "a"}, {Tenant: "acme", ID: ""}, {Tenant: "ACME", ID: "a"}} {
		_, err := h.Hook(t.Context(), ref.Tenant, ref.ID)
		assert.ErrorIs(t, err, hooks.ErrNotFound, ref)
		_, err = h.Update(t.Context(), ref.Tenant, ref.ID, func(*hooks.Hook) error { panic("there is nothing to change") })
		assert.ErrorIs(t, err, hooks.ErrNotFound, ref)
		_, err = h.RotateSecret(t.Context(), ref.Tenant, ref.ID, hooks.Rotation{})
		assert.ErrorIs(t, err, hooks.ErrNotFound, ref)
		_, err = h.Verify(t.Context(), ref.Tenant, ref.ID)
		assert.ErrorIs(t, err, hooks.ErrNotFound, ref)
		assert.ErrorIs(t, h.Delete(t.Context(), ref.Tenant, ref.ID), hooks.ErrNotFound, ref)
	}
}

func TestHooksFilter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, speaks(&testProtocol{name: "other"}))
		for i, hook := range []hooks.Hook{
			{ID: "a", Name: "one"},
			{ID: "c", Name: "two", Disabled: true},
			{ID: "b", Name: "one", Disabled: true, Protocol: "other"}, // at the same time as c
			{ID: "d", Name: "One", Protocol: "other"},
			{ID: "e", Tenant: "acme", Name: "one"},
		} {
			if i != 2 {
				pass(time.Millisecond)
			}
			hook.URL, hook.Events = "https://example.com", []string{"*"}
			h.register(hook)
		}
		yes, no := true, false
		tests := map[string]struct {
			q    hooks.HookQuery
			want []string
		}{
			"all of the tenant":    {hooks.HookQuery{}, []string{"d", "c", "b", "a"}},
			"oldest first":         {hooks.HookQuery{PageQuery: hooks.PageQuery{OldestFirst: true}}, []string{"a", "b", "c", "d"}},
			"another tenant":       {hooks.HookQuery{Tenant: "acme"}, []string{"e"}},
			"no such tenant":       {hooks.HookQuery{Tenant: "Acme"}, []string{}},
			"IDs":                  {hooks.HookQuery{IDs: []string{"b", "a", "b", "nobody", "e"}}, []string{"b", "a"}},
			"IDs, none known":      {hooks.HookQuery{IDs: []string{"nobody"}}, []string{}},
			"name":                 {hooks.HookQuery{Name: "one"}, []string{"b", "a"}},
			"protocol":             {hooks.HookQuery{Protocol: "other"}, []string{"d", "b"}},
			"the default protocol": {hooks.HookQuery{Protocol: hooks.StandardWebhooks}, []string{"c", "a"}},
			"disabled":             {hooks.HookQuery{Disabled: &yes}, []string{"c", "b"}},
			"enabled":              {hooks.HookQuery{Disabled: &no}, []string{"d", "a"}},
			"everything at once": {hooks.HookQuery{
				IDs: []string{"a", "b", "c"}, Name: "one", Protocol: "other", Disabled: &yes, PageQuery: hooks.PageQuery{OldestFirst: true},
			}, []string{"b"}},
		}
		for name, tt := range tests {
			page, err := h.Hooks(t.Context(), tt.q)
			require.NoError(t, err, name)
			assert.Equal(t, tt.want, hookIDs(page.Items), name)
			assert.True(t, page.Next.IsZero(), name)
			assert.Zero(t, page.Total, "%s: not asked for", name)
		}
	})
}

func TestHooksArePaged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		var oldestFirst []string
		for i := range 50 + 2 {
			if i%3 > 0 { // some at the same time
				pass(time.Millisecond)
			}
			id := fmt.Sprintf("%03d", i)
			h.register(hooks.Hook{ID: id, URL: "https://example.com", Events: []string{"*"}})
			oldestFirst = append(oldestFirst, id)
		}
		newestFirst := slices.Clone(oldestFirst)
		slices.Reverse(newestFirst)
		for _, order := range [][]string{oldestFirst, newestFirst} {
			for _, limit := range []int{0, 1, 7, len(order), len(order) + 1} {
				q := hooks.HookQuery{PageQuery: hooks.PageQuery{OldestFirst: order[0] == oldestFirst[0]}}
				q.Limit, q.CountTo = limit, 20
				size := limit
				if limit == 0 {
					size = 50
				}
				var got []string
				for more := true; more; more = !q.After.IsZero() {
					page, err := h.Hooks(t.Context(), q)
					require.NoError(t, err)
					assert.Len(t, page.Items, min(size, len(order)-len(got)))
					assert.Equal(t, 20, page.Total, "counted no further than asked")
					got = append(got, hookIDs(page.Items)...)
					q.After = throughText(t, page.Next)
				}
				assert.Equal(t, order, got, "limit %d", limit)
				var all []string
				q.After = hooks.Cursor{}
				for hook, err := range h.AllHooks(t.Context(), q) {
					require.NoError(t, err)
					all = append(all, hook.ID)
				}
				assert.Equal(t, order, all, "limit %d", limit)
			}
		}

		q := hooks.HookQuery{PageQuery: hooks.PageQuery{Limit: 2, Offset: 3, CountTo: 1000}}
		page, err := h.Hooks(t.Context(), q)
		require.NoError(t, err)
		assert.Equal(t, newestFirst[3:5], hookIDs(page.Items))
		assert.Equal(t, len(newestFirst), page.Total)
		q.After = page.Next
		page, err = h.Hooks(t.Context(), q)
		require.NoError(t, err)
		assert.Equal(t, newestFirst[8:10], hookIDs(page.Items), "the offset counts from the cursor")
		q.Offset = 1000
		page, err = h.Hooks(t.Context(), q)
		require.NoError(t, err)
		assert.Empty(t, page.Items)
		assert.True(t, page.Next.IsZero())
	})
}

// throughText returns the cursor after a way through a URL.
func throughText(t require.TestingT, c hooks.Cursor) hooks.Cursor {
	text, err := c.MarshalText()
	require.NoError(t, err)
	var got hooks.Cursor
	require.NoError(t, got.UnmarshalText(text))
	require.Equal(t, c, got)
	return got
}

func TestUpdateLosesNothing(t *testing.T) {
	h := newHarness(t)
	hook := h.register(hooks.Hook{URL: "https://example.com", Events: []string{"*"}})
	const writers = 50
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			_, err := h.Update(t.Context(), hook.Tenant, hook.ID, func(hook *hooks.Hook) error {
				if hook.Metadata == nil {
					hook.Metadata = map[string]string{}
				}
				hook.Metadata[fmt.Sprint(i)] = "was here"
				return nil
			})
			assert.NoError(t, err)
		})
	}
	group.Wait()
	got := h.hook(hook.Ref())
	assert.Len(t, got.Metadata, writers)
	assert.EqualValues(t, 1+writers, got.Version)
}

func TestUpdateReturnsTheHookAsStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		old := h.register(hooks.Hook{URL: "https://example.com", Events: []string{"order.paid"}, Verified: true})
		pass(time.Second)
		want := full()
		got := h.update(old.Ref(), func(hook *hooks.Hook) {
			assert.Equal(t, old, *hook)
			*hook = want
			hook.ID, hook.Tenant = old.ID, old.Tenant
			hook.Version, hook.CreatedAt, hook.UpdatedAt = 17, time.Time{}, time.Time{}
			hook.Health = hooks.Health{Failures: 7}
		})
		want.ID, want.Tenant, want.Version = old.ID, old.Tenant, 2
		want.CreatedAt, want.UpdatedAt = old.CreatedAt, time.Now().UTC()
		want.Verified = false // that was another URL
		assert.Equal(t, want, got)
		assert.Equal(t, want, h.hook(old.Ref()))
	})
}

func TestAnErrorOfTheChangeChangesNothing(t *testing.T) {
	h := newHarness(t)
	hook := full()
	stored := h.register(hook)
	refused := errors.New("not today")
	for _, fault := range []error{refused, hooks.ErrConflict} {
		calls := 0
		_, err := h.Update(t.Context(), hook.Tenant, hook.ID, func(hook *hooks.Hook) error {
			calls++
			hook.Name, hook.Metadata["team"], hook.Headers["X-Key"], hook.Events[0] = "x", "x", "x", "x"
			hook.Secrets[0].Secret, hook.Settings[0] = "x", '['
			return fault
		})
		assert.ErrorIs(t, err, fault)
		assert.Equal(t, 1, calls)
		assert.Equal(t, stored, h.hook(stored.Ref()))
	}
}

func TestVerifiedGoesWithTheURL(t *testing.T) {
	h := newHarness(t)
	hook := h.register(hooks.Hook{URL: "https://example.com", Events: []string{"*"}})
	assert.False(t, hook.Verified)
	verify := func(hook *hooks.Hook) { hook.Verified = true }
	assert.True(t, h.update(hook.Ref(), verify).Verified)
	assert.True(t, h.update(hook.Ref(), func(hook *hooks.Hook) { hook.Name = "x" }).Verified)
	assert.False(t, h.update(hook.Ref(), func(hook *hooks.Hook) { hook.URL += "/a" }).Verified)
	got := h.update(hook.Ref(), func(hook *hooks.Hook) { hook.URL, hook.Verified = "https://example.com/b", true })
	assert.True(t, got.Verified, "an application may say that it knows the new endpoint")
}

// Nobody is left who could want to send the dead delivery of a deleted hook
// again, so it must not hold back, and keep, what is behind it.
func TestALineThatADeletedHookHeldBackEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := runningHarness(t)
		_, hook := h.endpoint(hooks.Hook{Events: []string{"*"}, HoldDead: true, Schedule: []time.Duration{0}}, hookstest.Status(500))
		for _, id := range []string{"1", "2", "3"} {
			h.trigger(hooks.Event{ID: id, Type: "a", OrderingKey: "key"})
		}
		pass(time.Minute)
		require.Equal(t, hooks.Dead, h.delivery("", "1").State)
		require.NoError(t, h.Delete(t.Context(), "", hook.ID))
		pass(time.Hour)
		for _, id := range []string{"2", "3"} {
			assert.Equal(t, hooks.Cancelled, h.delivery("", id).State)
			assert.Contains(t, h.delivery("", id).Reason, "deleted")
		}
	})
}
