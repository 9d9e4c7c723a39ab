package hooks_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/memory"
	"github.com/seed-2c6e3a5a/hooks/receive"
)

// key returns a key whose bytes are all the same.
func key(id string, b byte) hooks.Key {
	return hooks.Key{ID: id, Secret: bytes.Repeat([]byte{b}, 32)}
}

var oldKey, newKey = key("2026-01", 1), key("2026-02", 2)

func withKeys(keys ...hooks.Key) func(*hooks.Config) {
	return func(c *hooks.Config) { c.Keys = keys }
}

// secretive is a hook with all that is encrypted.
func secretive(id string) hooks.Hook {
	return hooks.Hook{
		ID: id, URL: "http://receiver.example/", Events: []string{"*"}, Protocol: "lenient",
		Headers:  map[string]string{"Authorization": "Bearer header-value", "X-Empty": ""},
		Secrets:  []hooks.SigningSecret{{Secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}, {Secret: "other", ExpiresAt: time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)}},
		Settings: json.RawMessage("{ \"token\" : \"settings-value\" }"),
	}
}

// sealing returns a harness with keys whose Manager does not run.
func sealing(t *testing.T, keys ...hooks.Key) *harness {
	return newHarness(t, speaks(&testProtocol{name: "lenient"}), withKeys(keys...))
}

// stored returns a hook as the store keeps it.
func (h *harness) stored(ref hooks.Ref) hooks.Hook {
	page, err := h.store.Hooks(h.t.Context(), hooks.HookQuery{Tenant: ref.Tenant, IDs: []string{ref.ID}})
	require.NoError(h.t, err)
	require.Len(h.t, page.Items, 1)
	return page.Items[0]
}

func TestTheStoreGetsNoSecretsInClear(t *testing.T) {
	h := sealing(t, newKey)
	want := secretive("a")
	registered := h.register(want)
	assert.Equal(t, want.Headers, registered.Headers)
	assert.Equal(t, want.Secrets, registered.Secrets)
	assert.Equal(t, want.Settings, registered.Settings)
	assert.Equal(t, registered, h.hook(registered.Ref()), "as it is read back")

	updated := h.update(registered.Ref(), func(h *hooks.Hook) {
		h.Headers["Authorization"] = "Bearer header-value-2"
		h.Sealed = []byte("is not the caller's")
	})
	assert.Empty(t, updated.Sealed)
	assert.Equal(t, updated, h.hook(registered.Ref()), "as it is read back")

	stored := h.stored(registered.Ref())
	assert.Empty(t, stored.Headers)
	assert.Empty(t, stored.Secrets)
	assert.Empty(t, stored.Settings)
	for _, secret := range []string{"header-value", "MfKQ9r8G", "other", "settings-value", "Authorization"} {
		assert.NotContains(t, string(stored.Sealed), secret)
	}
}

// A change of a hook that changes nothing secret gives another ciphertext.
func TestCiphertextsDiffer(t *testing.T) {
	h := sealing(t, newKey)
	a := h.register(secretive("a"))
	first := h.stored(a.Ref()).Sealed
	h.update(a.Ref(), func(h *hooks.Hook) { h.Name = "new" })
	assert.NotEqual(t, first, h.stored(a.Ref()).Sealed)
}

func TestEncryptedHooksAreDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := runningHarness(t, withKeys(newKey))
		receiver, hook := h.endpoint(hooks.Hook{Events: []string{"*"}, Headers: map[string]string{"X-Token": "header-value"}})
		other := h.manager(h.store, withKeys(newKey)) // which has to read the hook
		_, err := other.Trigger(t.Context(), hooks.Event{Type: "order.paid"})
		require.NoError(t, err)
		got := receiver.Next()
		assert.Equal(t, "header-value", got.Header.Get("X-Token"))
		verifier, err := receive.NewVerifier(string(hook.Secrets[0].Secret))
		require.NoError(t, err)
		assert.NoError(t, verifier.Verify(got.Header, got.Body))
	})
}

func TestWhatIsEncryptedBelongsToItsHook(t *testing.T) {
	ref := hooks.Ref{Tenant: "t", ID: "a"}
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, h *harness, stored *hooks.Hook)
		says   string
	}{
		{"another hook's", func(_ *testing.T, h *harness, stored *hooks.Hook) {
			stored.Sealed = h.stored(hooks.Ref{Tenant: "t", ID: "b"}).Sealed
		}, "belongs to another hook"},
		{"another tenant's", func(_ *testing.T, h *harness, stored *hooks.Hook) {
			stored.Sealed = h.stored(hooks.Ref{Tenant: "u", ID: "a"}).Sealed
		}, "belongs to another hook"},
		{"another key's name", func(_ *testing.T, _ *harness, stored *hooks.Hook) {
			stored.Sealed = bytes.Replace(stored.Sealed, []byte(newKey.ID), []byte(oldKey.ID), 1)
		}, `another key "2026-01"`},
		{"a bit", func(_ *testing.T, _ *harness, stored *hooks.Hook) { stored.Sealed[len(stored.Sealed)-1] ^= 1 }, "was altered"},
		{"cut", func(_ *testing.T, _ *harness, stored *hooks.Hook) { stored.Sealed = stored.Sealed[:12] }, "was altered"},
		{"one byte", func(_ *testing.T, _ *harness, stored *hooks.Hook) { stored.Sealed = stored.Sealed[:1] }, "no known form"},
		{"no ID", func(_ *testing.T, _ *harness, stored *hooks.Hook) { stored.Sealed = []byte("kshort") }, "no known form"},
		{"unknown form", func(_ *testing.T, _ *harness, stored *hooks.Hook) { stored.Sealed[0] = 'x' }, "no known form"},
		{"unknown key", func(_ *testing.T, _ *harness, stored *hooks.Hook) { stored.Sealed[1] = '3' }, `the key "3026-02", which Config.Keys lacks`},
		{"a host's", func(_ *testing.T, _ *harness, stored *hooks.Hook) { stored.Sealed[0] = 'h' }, "Config.Open is not set"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := sealing(t, newKey, oldKey)
			for _, ref := range []hooks.Ref{ref, {Tenant: "t", ID: "b"}, {Tenant: "u", ID: "a"}} {
				hook := secretive(ref.ID)
				hook.Tenant = ref.Tenant
				h.register(hook)
			}
			stored := h.stored(ref)
			tt.change(t, h, &stored)
			require.NoError(t, h.store.UpdateHook(t.Context(), stored))

			_, err := h.Hook(t.Context(), ref.Tenant, ref.ID)
			require.ErrorIs(t, err, hooks.ErrSealed)
			assert.ErrorContains(t, err, tt.says)
			_, err = h.Hooks(t.Context(), hooks.HookQuery{Tenant: "t"})
			require.ErrorIs(t, err, hooks.ErrSealed)

			m := h.manager(h.store, speaks(&testProtocol{name: "lenient"}), withKeys(newKey, oldKey))
			_, err = m.Trigger(t.Context(), hooks.Event{Tenant: "t", Type: "x"})
			require.ErrorIs(t, err, hooks.ErrSealed, "nobody knows what the hook wants")
			_, err = m.Trigger(t.Context(), hooks.Event{Tenant: "u", Type: "x"})
			require.NoError(t, err, "other tenants are not affected")
			require.NoError(t, m.Delete(t.Context(), ref.Tenant, ref.ID))
			_, err = m.Trigger(t.Context(), hooks.Event{Tenant: "t", Type: "x"})
			require.NoError(t, err)
		})
	}
}

// A failingStore refuses updates of hooks after the first few.
type failingStore struct {
	*memory.Store
	updates atomic.Int64 // how many it still takes
}

func (s *failingStore) UpdateHook(ctx context.Context, h hooks.Hook) error {
	if s.updates.Add(-1) < 0 {
		return errors.New("the disk is full")
	}
	return s.Store.UpdateHook(ctx, h)
}

// Whatever hooks were stored with, Run stores them with the current key, goes on
// where it was cut off, and says when it is done.
func TestHooksAreEncryptedAnew(t *testing.T) {
	const n = 10
	host := func(c *hooks.Config) {
		c.Seal, c.Open = reverse, reverse
	}
	for _, tt := range []struct {
		name          string
		before, after func(*hooks.Config)
		then          func(*hooks.Config) // reads all
	}{
		{"from plain text", withKeys(), withKeys(newKey), withKeys(newKey)},
		{"from an older key", withKeys(oldKey), withKeys(newKey, oldKey), withKeys(newKey)},
		{"to a service", withKeys(oldKey), func(c *hooks.Config) { withKeys(oldKey)(c); host(c) }, host},
		{"from a service", host, func(c *hooks.Config) { withKeys(newKey)(c); c.Open = reverse }, withKeys(newKey)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				protocol := speaks(&testProtocol{name: "lenient"})
				h := newHarness(t, protocol, tt.before)
				want := map[string]hooks.Hook{}
				for i := range n {
					hook := h.register(secretive(fmt.Sprint(i)))
					want[hook.ID] = hook
				}
				bare := h.register(hooks.Hook{ID: "bare", URL: "http://receiver.example/", Events: []string{"*"}, Protocol: "lenient"})

				var log bytes.Buffer
				logs := func(c *hooks.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) }
				store := &failingStore{Store: h.store}
				store.updates.Store(n / 2)
				m := h.manager(store, protocol, tt.after, logs)
				stop := h.run(m)
				time.Sleep(90 * time.Second)
				stop()
				assert.Contains(t, log.String(), "the disk is full")
				assert.NotContains(t, log.String(), "all hooks that can be read are encrypted")

				store.updates.Store(n) // more than are left
				stop = h.run(h.manager(store, protocol, tt.after, logs))
				time.Sleep(3 * time.Minute)
				stop()
				assert.EqualValues(t, n/2, store.updates.Load(), "each hook was stored anew once")
				assert.Equal(t, 1, strings.Count(log.String(), "all hooks that can be read are encrypted"))

				reader := h.manager(h.store, protocol, tt.then)
				for id, hook := range want {
					got, err := reader.Hook(t.Context(), "", id)
					require.NoError(t, err)
					assert.Greater(t, got.Version, hook.Version)
					got.Version = hook.Version
					assert.Equal(t, hook, got)
					assert.Empty(t, h.stored(got.Ref()).Secrets)
				}
				assert.Equal(t, bare, h.stored(bare.Ref()), "there is nothing to encrypt")
			})
		})
	}
}

func TestHooksOfTheCurrentKeyAreNotStoredAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, speaks(&testProtocol{name: "lenient"}), withKeys(newKey, oldKey))
		hook := h.register(secretive("a"))
		h.run(h.Manager)
		time.Sleep(10 * time.Minute)
		assert.Equal(t, hook, h.hook(hook.Ref()))
	})
}

// reverse stands for a service that encrypts and decrypts. It binds the place.
func reverse(_ context.Context, place string, data []byte) ([]byte, error) {
	turned := bytes.Clone(data)
	for i := range turned {
		turned[i] ^= place[i%len(place)]
	}
	return turned, nil
}

func TestSealAndOpen(t *testing.T) {
	type ctxKey struct{}
	var places []string
	see := func(ctx context.Context, place string, data []byte) ([]byte, error) {
		assert.Equal(t, "the caller's", ctx.Value(ctxKey{}))
		places = append(places, place)
		return reverse(ctx, place, data)
	}
	h := newHarness(t, speaks(&testProtocol{name: "lenient"}), func(c *hooks.Config) { c.Seal, c.Open = see, see })
	ctx := context.WithValue(t.Context(), ctxKey{}, "the caller's")
	hook := secretive("a")
	hook.Tenant = "of/x y"
	hook, err := h.Register(ctx, hook)
	require.NoError(t, err)
	got, err := h.Hook(ctx, hook.Tenant, hook.ID)
	require.NoError(t, err)
	assert.Equal(t, hook, got)
	require.NotEmpty(t, places)
	for _, place := range places {
		assert.Equal(t, "hooks/of%2Fx%20y/a", place)
	}
	assert.NotContains(t, string(h.stored(hook.Ref()).Sealed), "header-value")
}

func TestAServiceThatFails(t *testing.T) {
	var failure error
	open := func(ctx context.Context, place string, data []byte) ([]byte, error) {
		if failure != nil {
			return nil, failure
		}
		return reverse(ctx, place, data)
	}
	setUp := func(t *testing.T) (*harness, *hooks.Manager, hooks.Hook) {
		failure = nil
		service := func(c *hooks.Config) { c.Seal, c.Open = reverse, open }
		h := newHarness(t, speaks(&testProtocol{name: "lenient"}), service)
		hook := h.register(secretive("a"))
		m := h.manager(h.store, speaks(&testProtocol{name: "lenient"}), service)
		return h, m, hook
	}
	event := hooks.Event{Type: "x"}
	t.Run("for a while", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, m, hook := setUp(t)
			failure = errors.New("the service is away")
			_, err := m.Trigger(t.Context(), event)
			require.ErrorIs(t, err, failure)
			_, err = m.Trigger(t.Context(), hooks.Event{Tenant: "other", Type: "x"})
			require.NoError(t, err, "other tenants are not affected")
			_, err = m.Hook(t.Context(), "", hook.ID)
			require.ErrorIs(t, err, failure)
			failure = nil
			time.Sleep(time.Second)
			receipt, err := m.Trigger(t.Context(), event)
			require.NoError(t, err)
			assert.Equal(t, 1, receipt.Deliveries)
		})
	})
	t.Run("for one hook", func(t *testing.T) {
		_, m, _ := setUp(t)
		failure = fmt.Errorf("the key is gone: %w", hooks.ErrSealed)
		_, err := m.Trigger(t.Context(), event)
		require.ErrorIs(t, err, failure)
		_, err = m.Trigger(t.Context(), hooks.Event{Tenant: "other", Type: "x"})
		require.NoError(t, err)
	})
	for name, tt := range map[string]struct {
		seal func(context.Context, string, []byte) ([]byte, error)
		says string
	}{
		"by a panic":    {func(context.Context, string, []byte) ([]byte, error) { panic("oops") }, "panic: oops"},
		"by Goexit":     {func(context.Context, string, []byte) ([]byte, error) { runtime.Goexit(); return nil, nil }, "the call ended its goroutine"},
		"with nothing":  {func(context.Context, string, []byte) ([]byte, error) { return nil, nil }, "Config.Seal returned nothing"},
		"with an error": {func(context.Context, string, []byte) ([]byte, error) { return []byte("x"), errors.New("denied") }, "denied"},
	} {
		t.Run(name, func(t *testing.T) {
			h, _, hook := setUp(t)
			m := h.manager(h.store, speaks(&testProtocol{name: "lenient"}), func(c *hooks.Config) { c.Seal, c.Open = tt.seal, reverse })
			_, err := m.Update(t.Context(), "", hook.ID, func(h *hooks.Hook) error { h.Name = "new"; return nil })
			require.ErrorContains(t, err, tt.says)
			assert.Equal(t, hook, h.hook(hook.Ref()))
		})
	}
	for _, plain := range []string{"", "{}", "null", "[]", `{"unknown":1}`} {
		t.Run("and decrypts to "+plain, func(t *testing.T) {
			h, _, hook := setUp(t)
			m := h.manager(h.store, func(c *hooks.Config) {
				c.Open = func(context.Context, string, []byte) ([]byte, error) { return []byte(plain), nil }
			})
			_, err := m.Hook(t.Context(), "", hook.ID)
			require.ErrorIs(t, err, hooks.ErrSealed)
		})
	}
}

// What waits for a hook that cannot be decrypted for a while is sent when it can be,
// without an attempt that has failed.
func TestDeliveriesWaitForTheService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		service := func(c *hooks.Config) {
			c.Seal = reverse
			c.Open = func(ctx context.Context, place string, data []byte) ([]byte, error) {
				if away.Load() {
					return nil, errors.New("the service is away")
				}
				return reverse(ctx, place, data)
			}
			c.Schedule = hooks.Retries(time.Second)
		}
		h := newHarness(t, service)
		receiver, _ := h.endpoint(hooks.Hook{Events: []string{"*"}})
		h.trigger(hooks.Event{ID: "e", Type: "x"})
		away.Store(true)
		h.run(h.manager(h.store, service))
		time.Sleep(time.Minute)
		away.Store(false)
		time.Sleep(10 * time.Second)
		receiver.Next()
		attempts := h.attempts(hooks.LogQuery{})
		require.Len(t, attempts, 1)
		assert.Equal(t, hooks.Succeeded, attempts[0].State)
	})
}

// However often the service fails, and however soon callers give up, all hooks are
// read in the end, and a service that is away is not asked for each of them.
func TestManyHooksAndAServiceThatFails(t *testing.T) {
	const n = 1500
	for _, tt := range []struct {
		name string
		open func(ctx context.Context, call int) error
		most int // calls in a look
	}{
		{"every third call", func(_ context.Context, call int) error {
			if call%3 == 0 {
				return errors.New("overloaded")
			}
			return nil
		}, n + 20},
		{"it is slow", func(ctx context.Context, _ int) error {
			time.Sleep(10 * time.Millisecond)
			return ctx.Err()
		}, 101},
		{"away at first", func(_ context.Context, call int) error {
			if call < 100 {
				return errors.New("away")
			}
			return nil
		}, n + 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls, failed := 0, 0
				var log bytes.Buffer
				h := newHarness(t)
				for i := range n {
					require.NoError(t, h.store.CreateHook(t.Context(), hooks.Hook{
						ID: fmt.Sprint(i), URL: "http://receiver.example/", Events: []string{"*"}, Protocol: "lenient", Sealed: sealedBy(t, fmt.Sprint(i)),
					}, 0))
				}
				m := h.manager(h.store, speaks(&testProtocol{name: "lenient"}), func(c *hooks.Config) {
					c.Logger = slog.New(slog.NewTextHandler(&log, nil))
					c.Seal, c.Open = reverse, func(ctx context.Context, place string, data []byte) ([]byte, error) {
						calls++
						if err := tt.open(ctx, calls); err != nil {
							failed++
							return nil, err
						}
						return reverse(ctx, place, data)
					}
				})
				for range 200 {
					calledBefore, failedBefore := calls, failed
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					receipt, err := m.Trigger(ctx, hooks.Event{Type: "x"})
					cancel()
					require.LessOrEqual(t, calls-calledBefore, tt.most)
					require.LessOrEqual(t, failed-failedBefore, 20)
					if err == nil {
						assert.Equal(t, n, receipt.Deliveries)
						assert.Less(t, strings.Count(log.String(), "level=ERROR"), 50)
						return
					}
					time.Sleep(time.Second)
				}
				assert.Fail(t, "not all hooks were read")
			})
		})
	}
}

// sealedBy returns what reverse has encrypted, as a Manager stores it.
func sealedBy(t *testing.T, id string) []byte {
	sealed, err := reverse(t.Context(), "hooks//"+id, []byte(`{"headers":{"X-A":"b"}}`))
	require.NoError(t, err)
	return append([]byte("h"), sealed...)
}

// Two Managers that disagree about the current key do not write all the time, nor
// does anything get lost.
func TestTwoCurrentKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		logs := func(c *hooks.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) }
		protocol := speaks(&testProtocol{name: "lenient"})
		h := newHarness(t, protocol, withKeys(oldKey, newKey))
		hook := h.register(secretive("a"))
		h.run(h.Manager)
		time.Sleep(10 * time.Second)
		stop := h.run(h.manager(h.store, protocol, withKeys(newKey, oldKey), logs))
		time.Sleep(24 * time.Hour)
		stop()
		got := h.hook(hook.Ref())
		assert.Less(t, got.Version, int64(80))
		assert.Greater(t, got.Version, int64(2))
		got.Version = hook.Version
		assert.Equal(t, hook, got)
		assert.Contains(t, log.String(), "another process had stored them with another current key")
	})
}

func TestKeysThatAreRefused(t *testing.T) {
	for _, tt := range []struct {
		name, field, rule string
		cfg               hooks.Config
	}{
		{"no ID", "config.keys[0].id", "must", hooks.Config{Keys: []hooks.Key{key("", 1)}}},
		{"a bad ID", "config.keys[1].id", "must", hooks.Config{Keys: []hooks.Key{newKey, key("a b", 1)}}},
		{"an ID twice", "config.keys[1].id", "twice", hooks.Config{Keys: []hooks.Key{newKey, newKey}}},
		{"short", "config.keys[0].secret", "must have 32 bytes, not 31", hooks.Config{Keys: []hooks.Key{{ID: "a", Secret: make([]byte, 31)}}}},
		{"long", "config.keys[0].secret", "must have 32 bytes, not 33", hooks.Config{Keys: []hooks.Key{{ID: "a", Secret: make([]byte, 33)}}}},
		{"Seal without Open", "config.open", "must be set with config.seal", hooks.Config{Seal: reverse}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := hooks.New(memory.New(memory.Options{}), tt.cfg)
			refused(t, err, tt.field, tt.rule)
		})
	}
}

func TestKeysDoNotPrintTheirSecret(t *testing.T) {
	k := hooks.Key{ID: "2026", Secret: []byte(strings.Repeat("k", 32))}
	cfg := hooks.Config{Keys: []hooks.Key{k}}
	var shown bytes.Buffer
	for _, value := range []any{k, &k, cfg, &cfg, []hooks.Key{k}, map[string]hooks.Key{"k": k}} {
		fmt.Fprintf(&shown, "%v %+v %#v %s %q %x %d\n", value, value, value, value, value, value, value)
		slog.New(slog.NewTextHandler(&shown, nil)).Info("m", "value", value)
	}
	slog.New(slog.NewJSONHandler(&shown, nil)).Info("m", "value", k, "values", []hooks.Key{k})
	require.NoError(t, json.NewEncoder(&shown).Encode(k))
	assert.Contains(t, shown.String(), "key 2026")
	for _, secret := range []string{"kkk", "107 107", "0x6b", "6b6b"} {
		assert.NotContains(t, shown.String(), secret)
	}
}

func TestWithoutKeysTheLogSaysSoOnce(t *testing.T) {
	var log bytes.Buffer
	protocol, logs := speaks(&testProtocol{name: "lenient"}), func(c *hooks.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) }
	h := newHarness(t, protocol, logs)
	h.register(secretive("c"))
	assert.Empty(t, log.String(), "nothing is on a disk")
	h.Manager = h.manager(struct{ hooks.Store }{h.store}, protocol, logs)
	h.register(hooks.Hook{URL: "http://receiver.example/", Events: []string{"*"}, Protocol: "lenient"})
	assert.Empty(t, log.String(), "there was nothing to encrypt")
	h.register(secretive("a"))
	h.register(secretive("b"))
	assert.Equal(t, 1, strings.Count(log.String(), "stored unencrypted"), log.String())
}

func FuzzSealed(f *testing.F) {
	f.Add([]byte("k"))
	f.Add([]byte("k2026-02\x00"))
	f.Add([]byte("k2026-02\x00123456789012abcdefghijklmnop"))
	f.Add([]byte("h{}"))
	f.Add([]byte("\x00"))
	f.Fuzz(func(t *testing.T, sealed []byte) {
		h := newHarness(t, withKeys(newKey))
		hook := hooks.Hook{ID: "a", URL: "https://receiver.example/", Events: []string{"*"}, Protocol: hooks.StandardWebhooks, Sealed: sealed}
		require.NoError(t, h.store.CreateHook(t.Context(), hook, 0))
		_, err := h.Hook(t.Context(), "", "a")
		if len(sealed) == 0 {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, hooks.ErrSealed)
		}
	})
}
