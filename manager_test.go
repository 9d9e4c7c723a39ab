package hooks_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
	"github.com/seed-2c6e3a5a/hooks/memory"
	"github.com/seed-2c6e3a5a/hooks/receive"
)

// A harness is an application under test: a Manager on a store in memory that
// reaches nothing but the application's own network. Its methods end the test when
// something fails that should not.
type harness struct {
	*hooks.Manager
	t         testing.TB
	check     require.TestingT // t, or that of a property
	store     *memory.Store
	network   *hookstest.Network
	receivers int
}

// newHarness returns a harness whose Manager does not run yet.
func newHarness(t testing.TB, adjust ...func(*hooks.Config)) *harness {
	h := &harness{t: t, check: t, store: memory.New(memory.Options{}), network: new(hookstest.Network)}
	h.Manager = h.manager(h.store, adjust...)
	return h
}

// runningHarness returns a host, in a bubble, whose Manager runs until the test
// ends.
func runningHarness(t testing.TB, adjust ...func(*hooks.Config)) *harness {
	h := newHarness(t, adjust...)
	h.run(h.Manager)
	return h
}

// manager returns another Manager.
func (h *harness) manager(store hooks.Store, adjust ...func(*hooks.Config)) *hooks.Manager {
	cfg := hooks.Config{Dial: h.network.Dial, AllowHTTP: true, Logger: slog.New(slog.DiscardHandler)}
	for _, change := range adjust {
		change(&cfg)
	}
	m, err := hooks.New(store, cfg)
	require.NoError(h.check, err)
	return m
}

// run runs a Manager, in a bubble, until stop is called or the test ends. It
// returns when the Manager is ready to take deliveries over from triggers.
func (h *harness) run(m *hooks.Manager) (stop func()) {
	ctx, cancel := context.WithCancel(h.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		assert.NoError(h.check, <-ended)
	})
	h.t.Cleanup(stop)
	synctest.Wait()
	return stop
}

// receiver returns a receiver at an address of its own.
func (h *harness) receiver(responses ...hookstest.Response) *hookstest.Receiver {
	h.receivers++
	return h.network.Receiver(h.t, fmt.Sprintf("receiver-%d.example", h.receivers), responses...)
}

// endpoint registers a hook at a receiver of its own.
func (h *harness) endpoint(hook hooks.Hook, responses ...hookstest.Response) (*hookstest.Receiver, hooks.Hook) {
	r := h.receiver(responses...)
	hook.URL = r.URL
	return r, h.register(hook)
}

func (h *harness) register(hook hooks.Hook) hooks.Hook {
	hook, err := h.Register(h.t.Context(), hook)
	require.NoError(h.check, err)
	return hook
}

// hook returns a hook as it is stored.
func (h *harness) hook(ref hooks.Ref) hooks.Hook {
	hook, err := h.Hook(h.t.Context(), ref.Tenant, ref.ID)
	require.NoError(h.check, err)
	return hook
}

func (h *harness) update(ref hooks.Ref, change func(*hooks.Hook)) hooks.Hook {
	hook, err := h.Update(h.t.Context(), ref.Tenant, ref.ID, func(hook *hooks.Hook) error {
		change(hook)
		return nil
	})
	require.NoError(h.check, err)
	return hook
}

func (h *harness) trigger(e hooks.Event) hooks.Receipt {
	receipt, err := h.Trigger(h.t.Context(), e)
	require.NoError(h.check, err)
	return receipt
}

// deliveries returns all deliveries that match, newest first.
func (h *harness) deliveries(q hooks.LogQuery) []hooks.Delivery {
	var all []hooks.Delivery
	for d, err := range h.AllDeliveries(h.t.Context(), q) {
		require.NoError(h.check, err)
		all = append(all, d)
	}
	return all
}

// delivery returns the only delivery of an event.
func (h *harness) delivery(tenant, eventID string) hooks.Delivery {
	all := h.deliveries(hooks.LogQuery{Tenant: tenant, EventID: eventID})
	require.Len(h.check, all, 1)
	return all[0]
}

// attempts returns all attempts that match, newest first.
func (h *harness) attempts(q hooks.LogQuery) []hooks.Attempt {
	var all []hooks.Attempt
	for a, err := range h.AllLogs(h.t.Context(), q) {
		require.NoError(h.check, err)
		all = append(all, a)
	}
	return all
}

// inBubble runs one check of a property in a bubble of its own. What a check
// draws, skips and fails within counts.
func inBubble(t *testing.T, f func(t *testing.T)) {
	var fault any
	synctest.Test(t, func(t *testing.T) {
		defer func() { fault = recover() }()
		f(t)
	})
	if fault != nil {
		panic(fault)
	}
}

// A record is a list that goroutines may add to while the test reads it.
type record[T any] struct {
	mu   sync.Mutex
	list []T
}

func (r *record[T]) add(v T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, v)
}

func (r *record[T]) all() []T {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.list)
}

// pass lets time pass in a bubble, and waits for all that happens then.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func hookIDs(list []hooks.Hook) []string {
	ids := make([]string, len(list))
	for i, h := range list {
		ids[i] = h.ID
	}
	return ids
}

func eventIDs(list []hooks.Delivery) []string {
	ids := make([]string, len(list))
	for i, d := range list {
		ids[i] = d.EventID
	}
	return ids
}

func receivedIDs(r *hookstest.Receiver) []string {
	var ids []string
	for _, request := range r.Requests() {
		ids = append(ids, request.ID)
	}
	return ids
}

func deliveryIDs(list []hooks.Delivery) []string {
	ids := make([]string, len(list))
	for i, d := range list {
		ids[i] = d.ID
	}
	return ids
}

// attemptIDs names attempts by delivery and number.
func attemptIDs(list []hooks.Attempt) []string {
	ids := make([]string, len(list))
	for i, a := range list {
		ids[i] = fmt.Sprint(a.DeliveryID, " ", a.Number)
	}
	return ids
}

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

// signatures returns how many of the secrets a request is signed with, in all
// and by each.
func signatures(t *testing.T, r hookstest.Request, secrets ...hooks.Secret) (all int, by []bool) {
	t.Helper()
	for _, s := range secrets {
		by = append(by, newVerifier(t, s).Verify(r.Header, r.Body) == nil)
	}
	return len(strings.Fields(r.Header.Get("Webhook-Signature"))), by
}

func TestRotateSecretOverlaps(t *testing.T) {
	tests := map[string]struct {
		rotation hooks.Rotation
		overlap  time.Duration
	}{
		"by default": {hooks.Rotation{}, 24 * time.Hour},
		"shortly":    {hooks.Rotation{Overlap: 1500 * time.Millisecond}, 1500 * time.Millisecond},
		"not at all": {hooks.Rotation{Overlap: -1}, 0},
		"with a given secret": {
			hooks.Rotation{Secret: "whsec_" + "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", Overlap: time.Hour}, time.Hour,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := runningHarness(t)
				r, hook := h.endpoint(hooks.Hook{Events: []string{"*"}})
				old := hook.Secrets[0].Secret
				pass(time.Minute)
				rotated, err := h.RotateSecret(t.Context(), hook.Tenant, hook.ID, tt.rotation)
				require.NoError(t, err)
				assert.Equal(t, rotated, h.hook(hook.Ref()))
				fresh := rotated.Secrets[0].Secret
				assert.NotEqual(t, old, fresh)
				if tt.rotation.Secret != "" {
					assert.Equal(t, tt.rotation.Secret, fresh)
				}
				want := []hooks.SigningSecret{{Secret: fresh}}
				if tt.overlap > 0 {
					want = append(want, hooks.SigningSecret{Secret: old, ExpiresAt: time.Now().UTC().Add(tt.overlap)})
				}
				assert.Equal(t, want, rotated.Secrets)

				if tt.overlap > 0 {
					pass(tt.overlap - time.Millisecond)
					h.trigger(hooks.Event{Type: "a"})
					n, by := signatures(t, r.Next(), fresh, old)
					assert.Equal(t, 2, n)
					assert.Equal(t, []bool{true, true}, by, "until the end of the overlap")
					pass(time.Millisecond)
				}
				h.trigger(hooks.Event{Type: "a"})
				n, by := signatures(t, r.Next(), fresh, old)
				assert.Equal(t, 1, n)
				assert.Equal(t, []bool{true, false}, by, "after it")
			})
		})
	}
}

func TestRotateSecretByKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		in := func(d time.Duration) time.Time { return time.Now().UTC().Add(d) }
		symmetric, expiring, lasting, expired := hooks.NewSecret(), hooks.NewSecret(), hooks.NewSecret(), hooks.NewSecret()
		pair, _ := hooks.NewKeyPair()
		gone, _ := hooks.NewKeyPair()
		hook := h.register(hooks.Hook{URL: "https://example.com", Events: []string{"*"}, Secrets: []hooks.SigningSecret{
			{Secret: pair}, {Secret: symmetric}, {Secret: expiring, ExpiresAt: in(2 * time.Hour)},
			{Secret: lasting, ExpiresAt: in(1000 * time.Hour)}, {Secret: expired, ExpiresAt: in(time.Hour)}, {Secret: gone, ExpiresAt: in(time.Hour)},
		}})
		pass(time.Hour)

		rotated, err := h.RotateSecret(t.Context(), hook.Tenant, hook.ID, hooks.Rotation{})
		require.NoError(t, err)
		fresh := rotated.Secrets[0]
		assert.True(t, strings.HasPrefix(string(fresh.Secret), "whsec_"))
		assert.Equal(t, []hooks.SigningSecret{
			fresh,
			{Secret: pair}, // of another kind
			{Secret: symmetric, ExpiresAt: in(24 * time.Hour)}, // replaced
			{Secret: expiring, ExpiresAt: in(time.Hour)},       // not made to last longer
			{Secret: lasting, ExpiresAt: in(24 * time.Hour)},   // replaced
		}, rotated.Secrets)

		newPair, _ := hooks.NewKeyPair()
		rotated, err = h.RotateSecret(t.Context(), hook.Tenant, hook.ID, hooks.Rotation{Secret: newPair, Overlap: -time.Nanosecond})
		require.NoError(t, err)
		assert.Equal(t, []hooks.SigningSecret{
			{Secret: newPair}, fresh, {Secret: symmetric, ExpiresAt: in(24 * time.Hour)},
			{Secret: expiring, ExpiresAt: in(time.Hour)}, {Secret: lasting, ExpiresAt: in(24 * time.Hour)},
		}, rotated.Secrets)
	})
}

func TestTestSendsWhatADeliveryWould(t *testing.T) {
	for _, stored := range []bool{true, false} {
		t.Run(fmt.Sprintf("stored: %v", stored), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				spy := &spyStore{Store: memory.New(memory.Options{})}
				h := newHarness(t)
				var observed record[hooks.Attempt]
				h.Manager = h.manager(spy, func(c *hooks.Config) {
					c.Observer.Attempt = func(_ hooks.Delivery, a hooks.Attempt, _ *hooks.Event) { observed.add(a) }
				})
				h.run(h.Manager)
				// The later ones are answered first.
				r := h.receiver(func(w http.ResponseWriter, r *http.Request) {
					delay := map[string]time.Duration{"e1": 3 * time.Second, "e2": 2 * time.Second, "e3": time.Second}
					hookstest.Status(201).Body("thanks for "+r.Header.Get("Webhook-Id")).After(delay[r.Header.Get("Webhook-Id")])(w, r)
				})
				secret := hooks.NewSecret()
				r.Verify(secret)
				hook := hooks.Hook{
					Tenant: "acme", URL: r.URL, Events: []string{"other"}, Filter: "false", Disabled: true,
					Headers: map[string]string{"X-Key": "s3cr3t"}, Secrets: []hooks.SigningSecret{{Secret: secret}},
				}
				if stored {
					hook = h.register(hook)
				}
				writes := spy.writes()
				attempts, err := h.Test(t.Context(), hook,
					hooks.Event{ID: "e1", Type: "a", Data: json.RawMessage(`[ 1 ]`)},
					hooks.Event{ID: "e2", Type: "b", Tenant: "not acme"},
					hooks.Event{ID: "e3", Type: "c", OrderingKey: "key"})
				require.NoError(t, err)
				require.Len(t, attempts, 3)
				for i, a := range attempts {
					assert.Equal(t, fmt.Sprintf("e%d", i+1), a.EventID, "in the order of the events")
					assert.Equal(t, string(rune('a'+i)), a.EventType)
					assert.Equal(t, "acme", a.Tenant)
					assert.Equal(t, 1, a.Number)
					assert.Equal(t, hooks.Succeeded, a.State)
					assert.Empty(t, a.Class)
					assert.Empty(t, a.Error)
					assert.Equal(t, time.Duration(3-i)*time.Second, a.Duration)
					assert.Equal(t, "POST", a.Request.Method)
					assert.Equal(t, r.URL, a.Request.URL)
					assert.Equal(t, []string{"[redacted]"}, a.Request.Header["X-Key"])
					assert.Equal(t, 201, a.Response.Status)
					assert.Equal(t, "thanks for "+a.EventID, string(a.Response.Body))
					if stored {
						assert.Equal(t, hook.ID, a.HookID)
					}
				}
				for _, request := range r.Requests() {
					assert.NoError(t, request.SignatureErr)
					if request.ID == "e1" {
						assert.Equal(t, `[ 1 ]`, string(request.Data))
					}
				}
				assert.Equal(t, writes, spy.writes(), "something was stored")
				assert.Empty(t, h.deliveries(hooks.LogQuery{Tenant: "acme"}))
				assert.Empty(t, h.attempts(hooks.LogQuery{Tenant: "acme"}))
				assert.Empty(t, observed.all())
			})
		})
	}
}

func TestTestOfAFailingEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		r, hook := h.endpoint(hooks.Hook{Events: []string{"*"}, Timeout: 2 * time.Second},
			hookstest.Status(410).Body("no more"), hookstest.Hang(), hookstest.Reset(), hookstest.Reset(), hookstest.Redirect(302, "http://elsewhere.example"))
		for _, want := range []hooks.ErrorClass{hooks.ClassStatus, hooks.ClassTimeout, hooks.ClassConnect, hooks.ClassRedirect} {
			attempts, err := h.Test(t.Context(), hook, hooks.Event{Type: "a"})
			require.NoError(t, err)
			require.Len(t, attempts, 1)
			assert.Equal(t, hooks.Dead, attempts[0].State, "there is one attempt")
			assert.Equal(t, want, attempts[0].Class)
			assert.NotEmpty(t, attempts[0].Error)
			assert.Zero(t, attempts[0].NextAt)
		}
		assert.Len(t, r.Requests(), 5, "a connection that is lost is made anew")
		assert.Equal(t, hook, h.hook(hook.Ref()), "not even a 410 changes the hook")

		attempts, err := h.Test(t.Context(), hook)
		require.NoError(t, err)
		assert.Empty(t, attempts)
	})
}

func TestTriggerSaysWhereTheEventGoes(t *testing.T) {
	h := newHarness(t)
	for id, events := range map[string][]string{"all": {"*"}, "orders": {"order.*", "order.paid"}, "users": {"user.created"}} {
		h.register(hooks.Hook{ID: id, URL: "https://example.com", Events: events})
	}
	h.register(hooks.Hook{Tenant: "acme", URL: "https://example.com", Events: []string{"order.paid"}})

	data := []byte(" {\"total\": 1e2}\n")
	metadata := map[string]string{"region": "eu"}
	at := time.Date(2024, 2, 29, 12, 0, 0, 123_456_789, time.FixedZone("", -3600))
	given := hooks.Event{ID: "e1", Type: "order.paid", Time: at, Data: data, OrderingKey: "key", Metadata: metadata}
	assert.Equal(t, hooks.Receipt{EventID: "e1", Deliveries: 2}, h.trigger(given))
	data[0], metadata["region"] = 'x', "us"
	got, err := h.Event(t.Context(), "", "e1")
	require.NoError(t, err)
	assert.Equal(t, hooks.Event{
		ID: "e1", Type: "order.paid", Time: time.Date(2024, 2, 29, 13, 0, 0, 123e6, time.UTC),
		Data: json.RawMessage(" {\"total\": 1e2}\n"), OrderingKey: "key", Metadata: map[string]string{"region": "eu"},
	}, got)
	for _, d := range h.deliveries(hooks.LogQuery{EventID: "e1"}) {
		assert.Contains(t, []string{"all", "orders"}, d.HookID)
		assert.Equal(t, "order.paid", d.EventType)
		assert.Equal(t, "key", d.OrderingKey)
		assert.Equal(t, hooks.Pending, d.State)
		assert.Zero(t, d.Attempts)
	}

	receipt := h.trigger(hooks.Event{Type: "user.deleted"})
	assert.Equal(t, 1, receipt.Deliveries)
	got, err = h.Event(t.Context(), "", receipt.EventID)
	require.NoError(t, err)
	assert.Equal(t, "{}", string(got.Data))
	assert.WithinDuration(t, time.Now(), got.Time, time.Minute)

	assert.Zero(t, h.trigger(hooks.Event{Tenant: "acme", Type: "user.created"}).Deliveries)
	_, err = h.Event(t.Context(), "acme", "e1")
	assert.ErrorIs(t, err, hooks.ErrNotFound)
}

func TestEventsAreReadTogether(t *testing.T) {
	h := newHarness(t)
	for _, id := range []string{"a", "b", "c"} {
		h.trigger(hooks.Event{ID: id, Type: "order.paid", Data: []byte(`"` + id + `"`)})
	}
	h.trigger(hooks.Event{ID: "d", Tenant: "acme", Type: "order.paid"})
	got, err := h.Events(t.Context(), "", "a", "c", "d", "e")
	require.NoError(t, err)
	require.Len(t, got, 2)
	assert.Equal(t, `"a"`, string(got["a"].Data))
	assert.Equal(t, `"c"`, string(got["c"].Data))
	got, err = h.Events(t.Context(), "")
	require.NoError(t, err)
	assert.Empty(t, got)
}

func TestTriggerBatchIsAllOrNone(t *testing.T) {
	h := newHarness(t)
	h.register(hooks.Hook{URL: "https://example.com", Events: []string{"*"}})
	h.trigger(hooks.Event{ID: "taken", Type: "a"})

	receipts, err := h.TriggerBatch(t.Context(), hooks.Event{ID: "b1", Type: "a"}, hooks.Event{Type: "a"}, hooks.Event{ID: "b1", Tenant: "acme", Type: "a"})
	require.NoError(t, err)
	require.Len(t, receipts, 3)
	assert.Equal(t, hooks.Receipt{EventID: "b1", Deliveries: 1}, receipts[0])
	assert.NotEmpty(t, receipts[1].EventID)
	assert.Equal(t, hooks.Receipt{EventID: "b1"}, receipts[2], "nobody of that tenant")

	receipts, err = h.TriggerBatch(t.Context())
	require.NoError(t, err)
	assert.Empty(t, receipts)

	for name, events := range map[string][]hooks.Event{
		"a stored ID":          {{ID: "n1", Type: "a"}, {ID: "taken", Type: "a"}, {ID: "n2", Type: "a"}},
		"one ID twice":         {{ID: "n1", Type: "a"}, {ID: "n2", Type: "a"}, {ID: "n1", Type: "a"}},
		"a stored ID, keyed":   {{ID: "n1", Type: "a", OrderingKey: "k"}, {ID: "taken", Type: "a", OrderingKey: "k"}},
		"nothing but a double": {{ID: "taken", Type: "other"}},
	} {
		_, err := h.TriggerBatch(t.Context(), events...)
		assert.ErrorIs(t, err, hooks.ErrDuplicate, name)
		for _, id := range []string{"n1", "n2"} {
			_, err := h.Event(t.Context(), "", id)
			assert.ErrorIs(t, err, hooks.ErrNotFound, "%s: %s was stored", name, id)
		}
		assert.Len(t, h.deliveries(hooks.LogQuery{}), 3, name)
	}
}

func TestARefusedTriggerIsNotDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := runningHarness(t)
		r, _ := h.endpoint(hooks.Hook{Events: []string{"*"}})
		for range 100 { // more than any buffer of one hook holds
			_, err := h.TriggerBatch(t.Context(), hooks.Event{ID: "n", Type: "a"}, hooks.Event{ID: "n", Type: "a"})
			require.ErrorIs(t, err, hooks.ErrDuplicate)
		}
		h.trigger(hooks.Event{ID: "good", Type: "a"})
		pass(time.Hour)
		assert.Equal(t, []string{"good"}, receivedIDs(r))
	})
}

func TestAContextThatHasEnded(t *testing.T) {
	h := newHarness(t)
	old := h.register(hooks.Hook{ID: "a", URL: "https://example.com", Events: []string{"*"}})
	h.trigger(hooks.Event{Type: "a"}) // the hooks are known
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := h.Trigger(ended, hooks.Event{ID: "e", Type: "a"})
	assert.ErrorIs(t, err, context.Canceled)
	_, err = h.Register(ended, hooks.Hook{ID: "b", URL: "https://example.com", Events: []string{"*"}})
	assert.ErrorIs(t, err, context.Canceled)
	_, err = h.Update(ended, "", "a", func(hook *hooks.Hook) error { hook.Name = "x"; return nil })
	assert.ErrorIs(t, err, context.Canceled)
	assert.ErrorIs(t, h.Delete(ended, "", "a"), context.Canceled)

	_, err = h.Event(t.Context(), "", "e")
	assert.ErrorIs(t, err, hooks.ErrNotFound)
	assert.Len(t, h.deliveries(hooks.LogQuery{}), 1)
	_, err = h.Hook(t.Context(), "", "b")
	assert.ErrorIs(t, err, hooks.ErrNotFound)
	assert.Equal(t, old, h.hook(old.Ref()))
}

func TestTriggerTxRefusesWhatIsNoTransactionOfItsStore(t *testing.T) {
	h, spy := strictHarness(t, func(*hooks.Config) {})
	h.register(hooks.Hook{URL: "https://example.com/", Events: []string{"*"}})
	writes := spy.writes()
	foreign := memory.New(memory.Options{})
	begun := foreign.Begin()
	for name, tx := range map[string]hooks.Tx{"another store": foreign, "a transaction of another store": begun, "an empty one": new(memory.Tx)} {
		_, err := h.TriggerTx(t.Context(), tx, hooks.Event{ID: "e", Type: "a"})
		require.ErrorIs(t, err, hooks.ErrForeignTx, name)
	}
	for name, tx := range map[string]hooks.Tx{"nil": nil, "a nil transaction": (*memory.Tx)(nil), "a nil store": (*memory.Store)(nil)} {
		_, err := h.TriggerTx(t.Context(), tx, hooks.Event{ID: "e", Type: "a"})
		var invalid *hooks.InvalidError
		require.ErrorAs(t, err, &invalid, name)
		assert.Equal(t, hooks.InvalidError{Field: "tx", Reason: "must not be nil"}, *invalid, name)
	}
	require.NoError(t, begun.Commit())
	stored, err := foreign.Events(t.Context(), "", []string{"e"})
	require.NoError(t, err)
	assert.Empty(t, stored)
	assert.Equal(t, writes, spy.writes())
	_, err = h.TriggerTx(t.Context(), h.store.Begin(), hooks.Event{ID: "e", Type: "a"})
	assert.NoError(t, err)
}

func TestTriggerTx(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := runningHarness(t)
		r, _ := h.endpoint(hooks.Hook{Events: []string{"*"}})

		lost := h.store.Begin()
		_, err := h.TriggerTx(t.Context(), lost, hooks.Event{ID: "lost", Type: "a"})
		require.NoError(t, err)
		require.NoError(t, lost.Rollback())

		tx := h.store.Begin()
		receipts, err := h.TriggerTx(t.Context(), tx, hooks.Event{ID: "e1", Type: "a"}, hooks.Event{ID: "e2", Type: "a", Tenant: "acme"})
		require.NoError(t, err)
		assert.Equal(t, []hooks.Receipt{{EventID: "e1", Deliveries: 1}, {EventID: "e2"}}, receipts)
		_, err = h.TriggerTx(t.Context(), tx, hooks.Event{ID: "e3", Type: "a"}, hooks.Event{ID: "e1", Type: "a"})
		require.ErrorIs(t, err, hooks.ErrDuplicate)
		var invalid *hooks.InvalidError
		_, err = h.TriggerTx(t.Context(), tx, hooks.Event{ID: "e3", Type: "a"}, hooks.Event{ID: "e4", Type: ""})
		require.ErrorAs(t, err, &invalid)
		assert.Equal(t, "events[1].type", invalid.Field)
		pass(time.Hour)
		assert.Empty(t, r.Requests(), "the application has not committed")
		_, err = h.Event(t.Context(), "", "e1")
		require.ErrorIs(t, err, hooks.ErrNotFound)

		require.NoError(t, tx.Commit())
		committed := time.Now()
		require.Len(t, r.Wait(1), 1)
		assert.LessOrEqual(t, time.Since(committed), 200*time.Millisecond)
		pass(time.Hour)
		assert.Equal(t, []string{"e1"}, receivedIDs(r))
		for _, id := range []string{"lost", "e3", "e4"} {
			_, err = h.Event(t.Context(), "", id)
			assert.ErrorIs(t, err, hooks.ErrNotFound, id)
		}
	})
}

// history makes a log of two tenants over three hours: deliveries that
// succeeded, died, were cancelled and still wait, some at the same time.
func history(t *testing.T) *harness {
	h := runningHarness(t)
	_, good := h.endpoint(hooks.Hook{ID: "good", Events: []string{"*"}})
	h.endpoint(hooks.Hook{ID: "bad", Events: []string{"order.*"}, Schedule: []time.Duration{0, time.Minute}}, hookstest.Status(500))
	h.endpoint(hooks.Hook{ID: "slow", Events: []string{"order.paid"}, Schedule: []time.Duration{0, 100 * time.Hour}}, hookstest.Status(500))
	h.endpoint(hooks.Hook{ID: "good", Tenant: "acme", Events: []string{"*"}})
	for i := range 6 {
		kind := []string{"order.paid", "order.sent", "user.created"}[i%3]
		h.trigger(hooks.Event{ID: fmt.Sprintf("e%d", i), Type: kind})
		if i%2 == 0 {
			h.trigger(hooks.Event{ID: fmt.Sprintf("e%d", i), Tenant: "acme", Type: kind})
			pass(30 * time.Minute)
		}
	}
	h.update(good.Ref(), func(hook *hooks.Hook) { hook.Schedule = []time.Duration{50 * time.Hour} })
	h.trigger(hooks.Event{ID: "called-off", Type: "order.paid"})
	for _, d := range h.deliveries(hooks.LogQuery{EventID: "called-off", HookID: "good"}) {
		_, err := h.Cancel(t.Context(), "", d.ID)
		require.NoError(t, err)
	}
	pass(10 * time.Minute)
	return h
}

func TestLogQueriesSelect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := history(t)
		all, log := h.deliveries(hooks.LogQuery{}), h.attempts(hooks.LogQuery{})
		middle, tried := all[len(all)/2], log[len(log)/2]
		ids := []string{all[1].ID, all[4].ID, all[1].ID, "unknown"}

		type row struct {
			hook, event, kind, delivery string
			state                       hooks.State
			at                          time.Time
		}
		tests := map[string]struct {
			q     hooks.LogQuery
			match func(row) bool
		}{
			"everything":      {hooks.LogQuery{}, func(row) bool { return true }},
			"hook":            {hooks.LogQuery{HookID: "bad"}, func(r row) bool { return r.hook == "bad" }},
			"event":           {hooks.LogQuery{EventID: "e0"}, func(r row) bool { return r.event == "e0" }},
			"type":            {hooks.LogQuery{EventType: "order.sent"}, func(r row) bool { return r.kind == "order.sent" }},
			"deliveries":      {hooks.LogQuery{DeliveryIDs: ids}, func(r row) bool { return slices.Contains(ids, r.delivery) }},
			"a state":         {hooks.LogQuery{States: []hooks.State{hooks.Dead}}, func(r row) bool { return r.state == hooks.Dead }},
			"several states":  {hooks.LogQuery{States: []hooks.State{hooks.Pending, hooks.Succeeded}}, func(r row) bool { return r.state == hooks.Pending || r.state == hooks.Succeeded }},
			"no such state":   {hooks.LogQuery{States: []hooks.State{"lost"}}, func(row) bool { return false }},
			"no such hook":    {hooks.LogQuery{HookID: "nobody"}, func(row) bool { return false }},
			"since, triggers": {hooks.LogQuery{Since: middle.CreatedAt}, func(r row) bool { return !r.at.Before(middle.CreatedAt) }},
			"until, triggers": {hooks.LogQuery{Until: middle.CreatedAt}, func(r row) bool { return r.at.Before(middle.CreatedAt) }},
			"since, attempts": {hooks.LogQuery{Since: tried.StartedAt}, func(r row) bool { return !r.at.Before(tried.StartedAt) }},
			"until, attempts": {hooks.LogQuery{Until: tried.StartedAt}, func(r row) bool { return r.at.Before(tried.StartedAt) }},
			"everything at once": {
				hooks.LogQuery{HookID: "bad", EventID: "e0", EventType: "order.paid", Since: all[len(all)-1].CreatedAt, Until: all[0].CreatedAt, States: []hooks.State{hooks.Dead}},
				func(r row) bool { return r.hook == "bad" && r.event == "e0" && r.state == hooks.Dead },
			},
		}
		for name, tt := range tests {
			var want []hooks.Delivery
			for _, d := range all {
				if tt.match(row{d.HookID, d.EventID, d.EventType, d.ID, d.State, d.CreatedAt}) {
					want = append(want, d)
				}
			}
			assert.Equal(t, want, h.deliveries(tt.q), "deliveries: %s", name)
			var tries []hooks.Attempt
			for _, a := range log {
				if tt.match(row{a.HookID, a.EventID, a.EventType, a.DeliveryID, a.State, a.StartedAt}) {
					tries = append(tries, a)
				}
			}
			assert.Equal(t, tries, h.attempts(tt.q), "attempts: %s", name)
		}

		states := map[hooks.State]int{}
		for _, d := range all {
			states[d.State]++
		}
		assert.Equal(t, map[hooks.State]int{hooks.Succeeded: 6, hooks.Dead: 5, hooks.Pending: 3, hooks.Cancelled: 1}, states)
		assert.Len(t, log, 6+2*5+3)
		assert.Len(t, h.deliveries(hooks.LogQuery{Tenant: "acme"}), 3)
		assert.Len(t, h.attempts(hooks.LogQuery{Tenant: "acme"}), 3)
		assert.True(t, slices.IsSortedFunc(all, func(a, b hooks.Delivery) int {
			return compareNewest(a.CreatedAt, b.CreatedAt, a.ID, b.ID)
		}), "newest first")
		assert.True(t, slices.IsSortedFunc(log, func(a, b hooks.Attempt) int {
			return compareNewest(a.StartedAt, b.StartedAt, a.DeliveryID, b.DeliveryID)
		}), "newest first")
	})
}

func compareNewest(at, other time.Time, id, otherID string) int {
	if c := other.Compare(at); c != 0 {
		return c
	}
	return strings.Compare(otherID, id)
}

func TestLogsArePaged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := history(t)
		all, log := h.deliveries(hooks.LogQuery{}), h.attempts(hooks.LogQuery{})
		for _, limit := range []int{1, 2, 5, len(all), len(log), 1000} {
			q := hooks.LogQuery{PageQuery: hooks.PageQuery{Limit: limit, CountTo: 4}}
			var got []hooks.Delivery
			for more := true; more; more = !q.After.IsZero() {
				page, err := h.Deliveries(t.Context(), q)
				require.NoError(t, err)
				assert.Equal(t, 4, page.Total)
				assert.Len(t, page.Items, min(limit, len(all)-len(got)))
				got = append(got, page.Items...)
				q.After = throughText(t, page.Next)
			}
			assert.Equal(t, all, got, "deliveries, limit %d", limit)

			var tries []hooks.Attempt
			for more := true; more; more = !q.After.IsZero() {
				page, err := h.Logs(t.Context(), q)
				require.NoError(t, err)
				assert.Equal(t, 4, page.Total)
				assert.Len(t, page.Items, min(limit, len(log)-len(tries)))
				tries = append(tries, page.Items...)
				q.After = throughText(t, page.Next)
			}
			assert.Equal(t, log, tries, "attempts, limit %d", limit)
		}

		oldest := hooks.LogQuery{PageQuery: hooks.PageQuery{Limit: 2, OldestFirst: true}}
		reversed := h.deliveries(oldest)
		slices.Reverse(reversed)
		assert.Equal(t, deliveryIDs(all), deliveryIDs(reversed))
		tried := h.attempts(oldest)
		slices.Reverse(tried)
		assert.Equal(t, attemptIDs(log), attemptIDs(tried))

		q := hooks.LogQuery{PageQuery: hooks.PageQuery{Limit: 3, Offset: 4, CountTo: 1000}}
		page, err := h.Deliveries(t.Context(), q)
		require.NoError(t, err)
		assert.Equal(t, all[4:7], page.Items)
		assert.Equal(t, len(all), page.Total)
		tries, err := h.Logs(t.Context(), q)
		require.NoError(t, err)
		assert.Equal(t, log[4:7], tries.Items)
		assert.Equal(t, len(log), tries.Total)
	})
}

func TestAllReadsPageByPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := history(t)
		all, log := h.deliveries(hooks.LogQuery{}), h.attempts(hooks.LogQuery{})
		spy := &spyStore{Store: h.store}
		h.Manager = h.manager(spy)

		// An early break reads no further page.
		q := hooks.LogQuery{PageQuery: hooks.PageQuery{Limit: 2}}
		for _, n := range []int{1, 2, 3} {
			spy.reads.Store(0)
			var got []hooks.Delivery
			for d, err := range h.AllDeliveries(t.Context(), q) {
				require.NoError(t, err)
				if got = append(got, d); len(got) == n {
					break
				}
			}
			assert.Equal(t, all[:n], got)
			assert.EqualValues(t, (n+1)/2, spy.reads.Load())

			spy.reads.Store(0)
			var tries []hooks.Attempt
			for a, err := range h.AllLogs(t.Context(), q) {
				require.NoError(t, err)
				if tries = append(tries, a); len(tries) == n {
					break
				}
			}
			assert.Equal(t, log[:n], tries)
			assert.EqualValues(t, (n+1)/2, spy.reads.Load())
		}

		// They begin behind a cursor, and skip an offset once.
		first, err := h.Deliveries(t.Context(), hooks.LogQuery{PageQuery: hooks.PageQuery{Limit: 3}})
		require.NoError(t, err)
		behind := hooks.LogQuery{PageQuery: hooks.PageQuery{Limit: 2, After: first.Next}}
		assert.Equal(t, deliveryIDs(all[3:]), deliveryIDs(h.deliveries(behind)))
		offset := hooks.LogQuery{PageQuery: hooks.PageQuery{Limit: 2, Offset: 3}}
		assert.Equal(t, deliveryIDs(all[3:]), deliveryIDs(h.deliveries(offset)), "all but the first 3")
		assert.Equal(t, attemptIDs(log[3:]), attemptIDs(h.attempts(offset)), "all but the first 3")

		// An iterator can be used again.
		again := h.AllDeliveries(t.Context(), q)
		for range 2 {
			n := 0
			for _, err := range again {
				require.NoError(t, err)
				n++
			}
			assert.Equal(t, len(all), n)
		}

		// An error ends them.
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		n := 0
		for _, err := range h.AllDeliveries(ended, q) {
			require.ErrorIs(t, err, context.Canceled)
			n++
		}
		for _, err := range h.AllLogs(ended, q) {
			require.ErrorIs(t, err, context.Canceled)
			n++
		}
		assert.Equal(t, 2, n)
	})
}

func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := history(t)
		dead := h.deliveries(hooks.LogQuery{States: []hooks.State{hooks.Dead}})
		failed := h.attempts(hooks.LogQuery{HookID: "bad"})
		stats := func(tenant string, since, until time.Time, ids ...string) map[string]hooks.Stats {
			got, err := h.Stats(t.Context(), tenant, since, until, ids...)
			require.NoError(t, err)
			return got
		}
		last := failed[0]
		bad := hooks.Stats{Deliveries: 5, Failures: 5, LastError: last.Error, LastErrorAt: last.StartedAt}
		got := stats("", time.Time{}, time.Time{}, "good", "bad", "slow", "nobody")
		slow := h.attempts(hooks.LogQuery{HookID: "slow"})[0]
		assert.Equal(t, map[string]hooks.Stats{
			"good":   {Deliveries: 6, Successes: 6},
			"bad":    bad,
			"slow":   {LastError: slow.Error, LastErrorAt: slow.StartedAt},
			"nobody": {},
		}, got)
		assert.Contains(t, last.Error, "500")
		assert.Equal(t, map[string]hooks.Stats{"good": {Deliveries: 3, Successes: 3}, "bad": {}}, stats("acme", time.Time{}, time.Time{}, "good", "bad"))
		assert.Equal(t, stats("", time.Time{}, time.Time{}, "good", "bad", "slow"), stats("", time.Time{}, time.Time{}), "all hooks of the tenant")
		assert.Equal(t, stats("acme", time.Time{}, time.Time{}, "good"), stats("acme", time.Time{}, time.Time{}))
		assert.Empty(t, stats("nobody", time.Time{}, time.Time{}))

		// The window holds its beginning, and not its end.
		ended := func(since, until time.Time) (n int) {
			for _, d := range dead {
				if !d.EndedAt.Before(since) && d.EndedAt.Before(until) {
					n++
				}
			}
			return n
		}
		failures := func(since, until time.Time) int { return stats("", since, until, "bad")["bad"].Failures }
		at := dead[2].EndedAt
		for _, window := range [][2]time.Duration{{0, 1}, {0, time.Millisecond}, {-time.Second, 0}, {1, time.Second}, {-time.Hour, time.Hour}, {0, 0}} {
			since, until := at.Add(window[0]), at.Add(window[1])
			assert.Equal(t, ended(since, until), failures(since, until), window)
		}
		before := stats("", time.Time{}, last.StartedAt, "bad")["bad"]
		assert.True(t, before.LastErrorAt.Before(last.StartedAt))

		// By default it is the last 24 hours.
		day := 24 * time.Hour
		assert.Equal(t, ended(at, at.Add(day)), failures(time.Time{}, at.Add(day)), "24 hours before until")
		pass(time.Until(at.Add(day)))
		assert.Equal(t, ended(at.Add(time.Millisecond), at.Add(day)), failures(time.Time{}, time.Time{}), "up to now")
	})
}

func TestRedeliver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := runningHarness(t)
		r, hook := h.endpoint(hooks.Hook{Events: []string{"*"}, Schedule: []time.Duration{0, time.Minute}}, hookstest.Status(500))
		h.trigger(hooks.Event{ID: "e", Type: "a"})
		synctest.Wait()
		d := h.delivery("", "e")
		_, err := h.Redeliver(t.Context(), "", d.ID)
		require.ErrorIs(t, err, hooks.ErrConflict, "it has not ended")
		pass(2 * time.Minute)
		require.Equal(t, hooks.Dead, h.delivery("", "e").State)

		for _, tenant := range []string{"acme", " "} {
			_, err = h.Redeliver(t.Context(), tenant, d.ID)
			require.ErrorIs(t, err, hooks.ErrNotFound)
		}
		_, err = h.Redeliver(t.Context(), "", "unknown")
		require.ErrorIs(t, err, hooks.ErrNotFound)

		redelivered, err := h.Redeliver(t.Context(), "", d.ID)
		require.NoError(t, err)
		assert.Equal(t, hooks.Pending, redelivered.State)
		assert.Equal(t, time.Now().UTC(), redelivered.Due)
		assert.Zero(t, redelivered.Step)
		assert.Empty(t, redelivered.Reason)
		assert.True(t, redelivered.EndedAt.IsZero())
		synctest.Wait()
		assert.Equal(t, 3, h.delivery("", "e").Attempts, "at once")
		pass(2 * time.Minute)
		assert.Equal(t, 4, h.delivery("", "e").Attempts, "and with the whole schedule before it")
		assert.Equal(t, hooks.Dead, h.delivery("", "e").State)

		// What succeeded or was cancelled can be sent again as well.
		r.Respond(hookstest.Status(200))
		for range 2 {
			_, err = h.Redeliver(t.Context(), "", d.ID)
			require.NoError(t, err)
			synctest.Wait()
			require.Equal(t, hooks.Succeeded, h.delivery("", "e").State)
		}
		h.update(hook.Ref(), func(hook *hooks.Hook) { hook.Schedule = []time.Duration{time.Hour} })
		h.trigger(hooks.Event{ID: "late", Type: "a"})
		late := h.delivery("", "late")
		_, err = h.Cancel(t.Context(), "", late.ID)
		require.NoError(t, err)
		_, err = h.Redeliver(t.Context(), "", late.ID)
		require.NoError(t, err)
		synctest.Wait()
		assert.Equal(t, hooks.Succeeded, h.delivery("", "late").State)

		assert.Equal(t, []string{"e", "e", "e", "e", "e", "e", "late"}, receivedIDs(r), "the idempotency key stays")
		for i, a := range h.attempts(hooks.LogQuery{EventID: "e"}) {
			assert.Equal(t, 6-i, a.Number)
		}
	})
}

func TestReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := history(t)
		var began time.Time
		replay := func(q hooks.LogQuery) (int, []string) {
			pass(5 * time.Minute)
			began = time.Now().UTC()
			n, err := h.Replay(t.Context(), q)
			require.NoError(t, err)
			synctest.Wait()
			var again []string
			for _, a := range h.attempts(hooks.LogQuery{Tenant: q.Tenant, Since: began}) {
				again = append(again, a.EventID+" to "+a.HookID)
			}
			slices.Sort(again)
			return n, again
		}
		e3 := h.deliveries(hooks.LogQuery{EventID: "e3"})[0]
		n, again := replay(hooks.LogQuery{States: []hooks.State{hooks.Dead}, Since: e3.CreatedAt, PageQuery: hooks.PageQuery{Limit: 1}})
		assert.Equal(t, 3, n)
		assert.Equal(t, []string{"called-off to bad", "e3 to bad", "e4 to bad"}, again)
		pass(time.Hour)

		n, again = replay(hooks.LogQuery{EventID: "e0"})
		assert.Equal(t, 2, n, "what waits for its retry is left alone")
		assert.Equal(t, []string{"e0 to bad", "e0 to good"}, again, "at once, whatever the schedule")
		n, again = replay(hooks.LogQuery{EventID: "e0", Until: e3.CreatedAt, HookID: "slow"})
		assert.Zero(t, n)
		assert.Empty(t, again)
		n, again = replay(hooks.LogQuery{Tenant: "acme"})
		assert.Equal(t, 3, n)
		assert.Equal(t, []string{"e0 to good", "e2 to good", "e4 to good"}, again)
		n, again = replay(hooks.LogQuery{Tenant: "nobody"})
		assert.Zero(t, n)
		assert.Empty(t, again)
	})
}

func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := runningHarness(t)
		r, hook := h.endpoint(hooks.Hook{Events: []string{"*"}, Schedule: []time.Duration{time.Hour, time.Hour}}, hookstest.Hang())
		h.trigger(hooks.Event{ID: "waits", Type: "a"})
		d := h.delivery("", "waits")
		_, err := h.Cancel(t.Context(), "acme", d.ID)
		require.ErrorIs(t, err, hooks.ErrNotFound)
		_, err = h.Cancel(t.Context(), "", "unknown")
		require.ErrorIs(t, err, hooks.ErrNotFound)

		cancelled, err := h.Cancel(t.Context(), "", d.ID)
		require.NoError(t, err)
		assert.Equal(t, cancelled, h.delivery("", "waits"))
		assert.Equal(t, hooks.Cancelled, cancelled.State)
		assert.Equal(t, time.Now().UTC(), cancelled.EndedAt)
		assert.NotEmpty(t, cancelled.Reason)
		_, err = h.Cancel(t.Context(), "", d.ID)
		require.ErrorIs(t, err, hooks.ErrConflict, "it has ended")
		pass(3 * time.Hour)
		assert.Empty(t, r.Requests())

		h.trigger(hooks.Event{ID: "under-way", Type: "a"})
		pass(time.Hour + time.Second)
		d = h.delivery("", "under-way")
		_, err = h.Cancel(t.Context(), "", d.ID)
		require.ErrorIs(t, err, hooks.ErrConflict, "it is being sent")
		pass(time.Minute)
		_, err = h.Cancel(t.Context(), "", d.ID)
		require.NoError(t, err, "it waits for its retry")
		pass(3 * time.Hour)
		assert.Len(t, r.Requests(), 1)
		assert.Equal(t, 1, h.hook(hook.Ref()).Health.Failures)
	})
}

func TestCatalogue(t *testing.T) {
	catalogue := []hooks.EventType{
		{Name: "order.paid", Description: "An order was paid.", Example: json.RawMessage(`{"total":1}`)},
		{Name: "order.sent"}, {Name: "ping"},
	}
	want := slices.Clone(catalogue)
	want[0].Example = bytes.Clone(want[0].Example)
	h := newHarness(t, func(c *hooks.Config) { c.Catalogue = catalogue })
	catalogue[0].Name = "changed"
	catalogue[0].Example[0] = '['
	assert.Equal(t, want, h.EventTypes(), "New copies its configuration")
	h.EventTypes()[0].Name = "changed"
	h.EventTypes()[0].Example[0] = '['
	assert.Equal(t, want, h.EventTypes())
	assert.Empty(t, newHarness(t).EventTypes())

	hook := hooks.Hook{URL: "https://example.com", Events: []string{"order.paid", "order.*", "refund.*", "*"}}
	h.register(hook)
	var invalid *hooks.InvalidError
	hook.Events[2] = "refund.paid"
	_, err := h.Register(t.Context(), hook)
	require.ErrorAs(t, err, &invalid)
	assert.Equal(t, "events[2]", invalid.Field)
	assert.Contains(t, invalid.Reason, `"refund.paid" is not in the catalogue`)

	h.trigger(hooks.Event{Type: "ping"})
	_, err = h.Trigger(t.Context(), hooks.Event{ID: "e", Type: "order.piad"})
	require.ErrorAs(t, err, &invalid)
	assert.Equal(t, "type", invalid.Field)
	assert.Contains(t, invalid.Reason, `"order.piad" is not in the catalogue`)
	_, err = h.Test(t.Context(), hook, hooks.Event{Type: "order.paid"}, hooks.Event{Type: "order.piad"})
	require.ErrorAs(t, err, &invalid)
	_, err = h.Event(t.Context(), "", "e")
	require.ErrorIs(t, err, hooks.ErrNotFound)
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
