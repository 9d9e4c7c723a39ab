package hooks_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
	"github.com/seed-2c6e3a5a/hooks/memory"
)

func TestEventsReachTheHooksThatWantThem(t *testing.T) {
	tests := map[string]struct {
		events []string
		want   []string // of the types below
	}{
		"all":                       {[]string{"*"}, []string{"order", "order.paid", "order.paid.late", "orders.paid", "Order.paid", "user.created"}},
		"exact":                     {[]string{"order.paid"}, []string{"order.paid"}},
		"exact, one segment":        {[]string{"order"}, []string{"order"}},
		"prefix":                    {[]string{"order.*"}, []string{"order.paid", "order.paid.late"}},
		"long prefix":               {[]string{"order.paid.*"}, []string{"order.paid.late"}},
		"several":                   {[]string{"order.paid", "user.created"}, []string{"order.paid", "user.created"}},
		"several that match":        {[]string{"*", "order.*", "order.paid.*", "order.paid", "order.paid.late"}, []string{"order", "order.paid", "order.paid.late", "orders.paid", "Order.paid", "user.created"}},
		"several prefixes":          {[]string{"order.paid.*", "order.*"}, []string{"order.paid", "order.paid.late"}},
		"the prefix as a type":      {[]string{"order", "order.*"}, []string{"order", "order.paid", "order.paid.late"}},
		"something else":            {[]string{"invoice.*", "paid", "order.pai", "order.paid.later"}, nil},
		"the letters in upper case": {[]string{"ORDER.*", "Order.paid"}, []string{"Order.paid"}},
	}
	h := newHarness(t)
	for name, tt := range tests {
		h.register(hooks.Hook{Tenant: "acme", Name: name, URL: "https://example.com", Events: tt.events})
		h.register(hooks.Hook{Tenant: "acme", Name: name, URL: "https://example.com", Events: tt.events, Disabled: true})
		h.register(hooks.Hook{Tenant: "other", Name: name, URL: "https://example.com", Events: tt.events})
	}
	names := map[string]string{}
	page, err := h.Hooks(t.Context(), hooks.HookQuery{Tenant: "acme", PageQuery: hooks.PageQuery{Limit: 1000}})
	require.NoError(t, err)
	for _, hook := range page.Items {
		if !hook.Disabled {
			names[hook.ID] = hook.Name
		}
	}
	for _, eventType := range []string{"order", "order.paid", "order.paid.late", "orders.paid", "Order.paid", "user.created"} {
		receipt := h.trigger(hooks.Event{Tenant: "acme", Type: eventType})
		var want, got []string
		for name, tt := range tests {
			if slices.Contains(tt.want, eventType) {
				want = append(want, name)
			}
		}
		for _, d := range h.deliveries(hooks.LogQuery{Tenant: "acme", EventID: receipt.EventID}) {
			got = append(got, names[d.HookID])
		}
		assert.ElementsMatch(t, want, got, eventType)
		assert.Equal(t, len(want), receipt.Deliveries, eventType)
	}
	assert.Zero(t, h.trigger(hooks.Event{Type: "order.paid"}).Deliveries, "the tenant \"\" is one like any other")
}

// However hooks come, change and go, a trigger reaches those of this moment.
func TestTheIndexFollowsTheHooks(t *testing.T) {
	matches := func(pattern, eventType string) bool {
		if pattern == "*" || pattern == eventType {
			return true
		}
		n := len(pattern) - 1
		return n > 0 && pattern[n] == '*' && len(eventType) > n && eventType[:n] == pattern[:n]
	}
	type model struct {
		events   []string
		disabled bool
	}
	ctx := t.Context()
	rapid.Check(t, func(t *rapid.T) {
		m, err := hooks.New(memory.New(memory.Options{}), hooks.Config{})
		require.NoError(t, err)
		stored := map[hooks.Ref]model{}
		ref := func(t *rapid.T) hooks.Ref {
			return hooks.Ref{Tenant: rapid.SampledFrom([]string{"", "acme"}).Draw(t, "tenant"), ID: rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "hook")}
		}
		draw := func(t *rapid.T) model {
			events := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"*", "a", "a.*", "a.b", "a.b.*", "a.b.c", "b"}), 1, 4, rapid.ID[string]).Draw(t, "events")
			return model{events, rapid.Bool().Draw(t, "disabled")}
		}
		t.Repeat(map[string]func(*rapid.T){
			"register": func(t *rapid.T) {
				ref, want := ref(t), draw(t)
				_, err := m.Register(ctx, hooks.Hook{ID: ref.ID, Tenant: ref.Tenant, URL: "https://example.com", Events: want.events, Disabled: want.disabled})
				if _, taken := stored[ref]; taken {
					require.ErrorIs(t, err, hooks.ErrDuplicate)
					return
				}
				require.NoError(t, err)
				stored[ref] = want
			},
			"update": func(t *rapid.T) {
				ref, want := ref(t), draw(t)
				_, err := m.Update(ctx, ref.Tenant, ref.ID, func(h *hooks.Hook) error {
					h.Events, h.Disabled = want.events, want.disabled
					return nil
				})
				if _, there := stored[ref]; !there {
					require.ErrorIs(t, err, hooks.ErrNotFound)
					return
				}
				require.NoError(t, err)
				stored[ref] = want
			},
			"delete": func(t *rapid.T) {
				ref := ref(t)
				err := m.Delete(ctx, ref.Tenant, ref.ID)
				if _, there := stored[ref]; !there {
					require.ErrorIs(t, err, hooks.ErrNotFound)
					return
				}
				require.NoError(t, err)
				delete(stored, ref)
			},
			"trigger": func(t *rapid.T) {
				tenant, eventType := ref(t).Tenant, rapid.SampledFrom([]string{"a", "b", "a.b", "a.b.c", "a.b.c.d", "ab"}).Draw(t, "type")
				want := 0
				for ref, h := range stored {
					wants := slices.ContainsFunc(h.events, func(pattern string) bool { return matches(pattern, eventType) })
					if ref.Tenant == tenant && !h.disabled && wants {
						want++
					}
				}
				receipt, err := m.Trigger(ctx, hooks.Event{Tenant: tenant, Type: eventType})
				require.NoError(t, err)
				require.Equal(t, want, receipt.Deliveries)
			},
		})
	})
}

// A change that another Manager made on the same store counts within a second,
// also where nothing runs.
func TestChangesOfOthersAreSeenWithinASecond(t *testing.T) {
	changes := map[string]struct {
		change func(other *harness, ref hooks.Ref)
		want   int
	}{
		"registered": {func(other *harness, _ hooks.Ref) {
			other.register(hooks.Hook{URL: "https://example.com", Events: []string{"a"}})
		}, 2},
		"subscribed": {func(other *harness, ref hooks.Ref) {
			other.update(ref, func(h *hooks.Hook) { h.Events = []string{"b"} })
		}, 0},
		"filtered": {func(other *harness, ref hooks.Ref) {
			other.update(ref, func(h *hooks.Hook) { h.Filter = `data.a == 1` })
		}, 0},
		"disabled": {func(other *harness, ref hooks.Ref) {
			other.update(ref, func(h *hooks.Hook) { h.Disabled = true })
		}, 0},
		"deleted": {func(other *harness, ref hooks.Ref) {
			require.NoError(other.t, other.Delete(other.t.Context(), ref.Tenant, ref.ID))
		}, 0},
	}
	for name, tt := range changes {
		for _, running := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, running: %v", name, running), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := newHarness(t)
					if running {
						h.run(h.Manager)
					}
					other := *h
					other.Manager = h.manager(h.store)
					hook := h.register(hooks.Hook{URL: "https://example.com", Events: []string{"a"}})
					require.Equal(t, 1, h.trigger(hooks.Event{Type: "a"}).Deliveries)
					tt.change(&other, hook.Ref())
					assert.Equal(t, tt.want, other.trigger(hooks.Event{Type: "a"}).Deliveries, "at once where it was made")
					pass(time.Second)
					assert.Equal(t, tt.want, h.trigger(hooks.Event{Type: "a"}).Deliveries, "a second later elsewhere")
				})
			})
		}
	}
}

// What another Manager changes is heeded by deliveries on their way, too.
func TestADeliveryGoesToTheHookAsItIsNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := runningHarness(t)
		old, hook := h.endpoint(hooks.Hook{Events: []string{"*"}, Schedule: []time.Duration{0, time.Minute}}, hookstest.Status(500))
		h.trigger(hooks.Event{ID: "e", Type: "a"})
		synctest.Wait()
		moved := h.receiver()
		other := *h
		other.Manager = h.manager(h.store)
		other.update(hook.Ref(), func(hook *hooks.Hook) { hook.URL = moved.URL + "/new" })
		pass(time.Hour)
		assert.Len(t, old.Requests(), 1)
		require.Len(t, moved.Requests(), 1)
		assert.Equal(t, "/new", moved.Requests()[0].URL.Path)
		assert.Equal(t, hooks.Succeeded, h.delivery("", "e").State)
	})
}

// brokenChanges is a store whose HookChanges may fail.
type brokenChanges struct {
	*memory.Store
	mu  sync.Mutex
	err error
}

func (s *brokenChanges) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *brokenChanges) HookChanges(ctx context.Context, after int64, limit int) ([]hooks.HookChange, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	return s.Store.HookChanges(ctx, after, limit)
}

func TestATriggerThatCannotReadTheHooksFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		store := &brokenChanges{Store: h.store}
		var failures []error
		h.Manager = h.manager(store, func(c *hooks.Config) {
			c.Observer.Failure = func(err error) { failures = append(failures, err) }
		})
		down := errors.New("the database is down")
		store.fail(down)
		_, err := h.Trigger(t.Context(), hooks.Event{ID: "e1", Type: "a"})
		require.ErrorIs(t, err, down)
		_, err = h.TriggerBatch(t.Context(), hooks.Event{ID: "e1", Type: "a"})
		require.ErrorIs(t, err, down)
		tx := h.store.Begin()
		_, err = h.TriggerTx(t.Context(), tx, hooks.Event{ID: "e1", Type: "a"})
		require.ErrorIs(t, err, down)
		require.NoError(t, tx.Commit())
		_, err = h.Event(t.Context(), "", "e1")
		require.ErrorIs(t, err, hooks.ErrNotFound, "nothing is stored")

		// A change is stored all the same, and told of. What was known
		// before is not enough then.
		hook := h.register(hooks.Hook{URL: "https://example.com", Events: []string{"*"}})
		require.Len(t, failures, 1)
		assert.ErrorIs(t, failures[0], down)
		_, err = h.Trigger(t.Context(), hooks.Event{ID: "e1", Type: "a"})
		require.ErrorIs(t, err, down)

		store.fail(nil)
		assert.Equal(t, 1, h.trigger(hooks.Event{ID: "e1", Type: "a"}).Deliveries)
		store.fail(down)
		require.NoError(t, h.Delete(t.Context(), "", hook.ID))
		_, err = h.Trigger(t.Context(), hooks.Event{Type: "a"})
		require.ErrorIs(t, err, down)
		store.fail(nil)
		assert.Zero(t, h.trigger(hooks.Event{Type: "a"}).Deliveries)
	})
}

// slowChanges is a store whose HookChanges waits, once it has begun, for
// release or for the end of its context.
type slowChanges struct {
	*memory.Store
	begun   chan struct{}
	release chan struct{}
}

func newSlowChanges(store *memory.Store) *slowChanges {
	return &slowChanges{Store: store, begun: make(chan struct{}, 1), release: make(chan struct{})}
}

func (s *slowChanges) HookChanges(ctx context.Context, after int64, limit int) ([]hooks.HookChange, error) {
	select {
	case s.begun <- struct{}{}:
	default:
	}
	select {
	case <-s.release:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return s.Store.HookChanges(ctx, after, limit)
}

// A store that hangs does not make a call outlast its context: not one that
// waits while another looks at the store.
func TestATriggerDoesNotWaitForTheLookOfAnother(t *testing.T) {
	h := newHarness(t)
	store := newSlowChanges(h.store)
	h.Manager = h.manager(store)
	var calls sync.WaitGroup
	defer calls.Wait()
	defer close(store.release)
	calls.Go(func() {
		_, err := h.Trigger(t.Context(), hooks.Event{Type: "a"})
		assert.NoError(t, err)
	})
	<-store.begun
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	second := make(chan error, 1)
	calls.Go(func() {
		_, err := h.Trigger(ended, hooks.Event{Type: "a"})
		second <- err
	})
	select {
	case err := <-second:
		assert.ErrorIs(t, err, context.Canceled)
	case <-time.After(time.Second):
		t.Error("a trigger whose context has ended does not return")
	}
}

// Nor one that looks at the store after its change.
func TestAChangeDoesNotHangInTheLookAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		store := newSlowChanges(h.store)
		h.Manager = h.manager(store)
		var registered atomic.Bool
		var call sync.WaitGroup
		defer call.Wait()
		defer close(store.release)
		call.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := h.Register(ctx, hooks.Hook{URL: "https://example.com", Events: []string{"*"}})
			assert.NoError(t, err, "it is stored")
			registered.Store(true)
		})
		pass(time.Hour)
		assert.True(t, registered.Load(), "the call had a second")
	})
}

func TestTheIndexReadsManyHooks(t *testing.T) {
	h := newHarness(t, func(c *hooks.Config) { c.MaxHooks = -1 })
	const n = 2500 // more than one look brings
	for i := range n {
		h.register(hooks.Hook{ID: fmt.Sprint(i), URL: "https://example.com", Events: []string{fmt.Sprintf("type.%d", i)}})
	}
	fresh := *h
	fresh.Manager = h.manager(h.store)
	for _, i := range []int{0, 999, 1000, 1001, n - 1} {
		receipt := fresh.trigger(hooks.Event{Type: fmt.Sprintf("type.%d", i)})
		assert.Equal(t, fmt.Sprint(i), fresh.delivery("", receipt.EventID).HookID)
	}
}

// A hook may have been stored by another release, whose Compile panics here.
func TestAStoredHookThatDoesNotCompile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fragile := &testProtocol{name: "fragile", traits: hooks.Traits{Schedule: []time.Duration{0, time.Minute, time.Minute}}}
		h := newHarness(t, speaks(fragile))
		r, hook := h.endpoint(hooks.Hook{Events: []string{"*"}, Protocol: "fragile"})
		plain, _ := h.endpoint(hooks.Hook{Events: []string{"*"}})
		h.trigger(hooks.Event{ID: "e1", Type: "a"})

		var failed []string
		broken := &testProtocol{name: "fragile", compile: func(hooks.Hook) error { panic("boom") }}
		h.Manager = h.manager(h.store, speaks(broken), func(c *hooks.Config) {
			c.Observer.FilterFailed = func(h hooks.Hook, e hooks.Event, err error) { failed = append(failed, h.ID) }
		})
		h.run(h.Manager)
		synctest.Wait()
		h.trigger(hooks.Event{ID: "e2", Type: "a"})
		pass(time.Minute)
		log := h.attempts(hooks.LogQuery{HookID: hook.ID, EventID: "e1"})
		require.NotEmpty(t, log)
		assert.Equal(t, hooks.ClassRequest, log[0].Class)
		assert.Contains(t, log[0].Error, "boom")
		assert.Empty(t, r.Requests())
		assert.Equal(t, []string{"e1", "e2"}, receivedIDs(plain))
		if len(h.deliveries(hooks.LogQuery{HookID: hook.ID, EventID: "e2"})) == 0 {
			assert.Equal(t, []string{hook.ID}, failed, "an event that is not delivered is reported")
		}
	})
}

func TestAProtocolThatIsNoLongerSpoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old := speaks(&testProtocol{name: "old"})
		h := newHarness(t, old)
		stop := h.run(h.Manager)
		r, hook := h.endpoint(hooks.Hook{Events: []string{"*"}, Protocol: "old", Schedule: []time.Duration{0, time.Hour}}, hookstest.Status(500), hookstest.Status(200))
		plain, _ := h.endpoint(hooks.Hook{Events: []string{"*"}})
		h.trigger(hooks.Event{ID: "tried", Type: "a"})
		synctest.Wait()
		stop()
		h.trigger(hooks.Event{ID: "new", Type: "a"})

		var failed []string
		h.Manager = h.manager(h.store, func(c *hooks.Config) {
			c.Observer.FilterFailed = func(h hooks.Hook, _ hooks.Event, err error) { failed = append(failed, h.ID) }
		})
		stop = h.run(h.Manager)
		synctest.Wait()
		log := h.attempts(hooks.LogQuery{HookID: hook.ID, EventID: "new"})
		require.Len(t, log, 1)
		assert.Equal(t, hooks.ClassRequest, log[0].Class)
		assert.Contains(t, log[0].Error, `"old"`)
		d := h.deliveries(hooks.LogQuery{HookID: hook.ID, EventID: "new"})[0]
		assert.Equal(t, hooks.Pending, d.State)
		assert.Equal(t, log[0].Error, d.Reason)

		h.trigger(hooks.Event{ID: "later", Type: "a"})
		assert.Equal(t, []string{"tried", "new", "later"}, requestIDs(plain.Wait(3)), "the others go on")
		if len(h.deliveries(hooks.LogQuery{HookID: hook.ID, EventID: "later"})) == 0 {
			assert.Equal(t, []string{hook.ID}, failed, "an event that is not delivered is reported")
		}
		_, err := h.Test(t.Context(), h.hook(hook.Ref()), hooks.Event{Type: "a"})
		var invalid *hooks.InvalidError
		require.ErrorAs(t, err, &invalid)
		assert.Equal(t, "protocol", invalid.Field)
		_, err = h.Verify(t.Context(), "", hook.ID)
		require.ErrorAs(t, err, &invalid)
		_, err = h.RotateSecret(t.Context(), "", hook.ID, hooks.Rotation{})
		require.ErrorAs(t, err, &invalid)

		// With the protocol back, what waits is delivered.
		stop()
		h.run(h.manager(h.store, old))
		pass(3 * time.Hour)
		assert.Equal(t, hooks.Succeeded, h.deliveries(hooks.LogQuery{HookID: hook.ID, EventID: "new"})[0].State)
		assert.Contains(t, receivedIDs(r), "new")
	})
}
