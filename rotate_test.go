package hooks_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
)

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

func TestSecretsOfAnotherForm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const first, second = "0wnS3cretOfTheProtocol", "an0therOne"
		var made atomic.Int32
		var log bytes.Buffer
		sign := func(secret hooks.Secret, body []byte) string {
			mac := hmac.New(sha256.New, []byte(string(secret)))
			mac.Write(body)
			return hex.EncodeToString(mac.Sum(nil))
		}
		h := newHarness(t, func(c *hooks.Config) {
			c.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		}, speaks(&testProtocol{
			name:   "hex",
			secret: func() (hooks.Secret, error) { return []hooks.Secret{first, second}[made.Add(1)-1], nil },
			compile: func(h hooks.Hook) error {
				if len(h.Secrets) == 0 {
					return &hooks.InvalidError{Field: "secrets", Reason: "must not be empty"}
				}
				return nil
			},
			request: func(_ context.Context, _ hooks.Send, h hooks.Hook, msgs []hooks.Message) (hooks.Request, error) {
				req, err := post(h, msgs[0])
				req.Header.Set("X-Signature", sign(h.Secrets[0].Secret, req.Body))
				return req, err
			},
			judge: func(r hooks.Response) hooks.Verdict {
				if r.Status == 410 {
					return hooks.Verdict{Disable: "gone"}
				}
				return hooks.Verdict{Success: r.Status == 200}
			},
		}))
		h.run(h.Manager)
		r, hook := h.endpoint(hooks.Hook{Events: []string{"*"}, Protocol: "hex"}, hookstest.Status(200), hookstest.Status(200), hookstest.Status(410))
		require.Equal(t, []hooks.SigningSecret{{Secret: first}}, hook.Secrets)
		h.trigger(hooks.Event{Type: "a"})
		synctest.Wait()
		rotated, err := h.RotateSecret(t.Context(), "", hook.ID, hooks.Rotation{Overlap: time.Hour})
		require.NoError(t, err)
		assert.Equal(t, []hooks.SigningSecret{{Secret: second}, {Secret: first, ExpiresAt: time.Now().UTC().Add(time.Hour)}}, rotated.Secrets)
		h.trigger(hooks.Event{Type: "a"})
		synctest.Wait()
		h.trigger(hooks.Event{Type: "a"})
		synctest.Wait()
		require.Len(t, r.Requests(), 3)
		assert.Equal(t, sign(first, []byte("{}")), r.Requests()[0].Header.Get("X-Signature"))
		assert.Equal(t, sign(second, []byte("{}")), r.Requests()[1].Header.Get("X-Signature"))

		slog.New(slog.NewTextHandler(&log, nil)).Info("an application may log it", "hook", rotated)
		for _, v := range []any{rotated, &rotated, rotated.Secrets, h.attempts(hooks.LogQuery{}), h.deliveries(hooks.LogQuery{})} {
			_, _ = fmt.Fprintf(&log, "%v %+v %#v %s %q\n", v, v, v, v, v)
			text, err := json.Marshal(v)
			require.NoError(t, err)
			log.Write(text)
		}
		assert.Contains(t, log.String(), hook.ID)
		for _, secret := range []string{first, second} {
			assert.NotContains(t, log.String(), secret)
			assert.NotContains(t, log.String(), hex.EncodeToString([]byte(secret)))
		}
	})
}

// "whsec_" and "whsk_" are kinds of Standard Webhooks. What looks like a prefix
// in a secret of another form is chance, and no reason to go on signing with it.
func TestRotationReplacesSecretsOfAnotherForm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, speaks(&testProtocol{name: "own", secret: func() (hooks.Secret, error) { return "x9_kQ2mB7vLr", nil }}))
		hook := h.register(hooks.Hook{
			URL: "https://example.com", Events: []string{"*"}, Protocol: "own",
			Secrets: []hooks.SigningSecret{{Secret: "f4_Zt81pWcAe"}, {Secret: "plain"}},
		})
		rotated, err := h.RotateSecret(t.Context(), "", hook.ID, hooks.Rotation{Overlap: time.Hour})
		require.NoError(t, err)
		end := time.Now().UTC().Add(time.Hour)
		assert.Equal(t, []hooks.SigningSecret{
			{Secret: "x9_kQ2mB7vLr"}, {Secret: "f4_Zt81pWcAe", ExpiresAt: end}, {Secret: "plain", ExpiresAt: end},
		}, rotated.Secrets)
	})
}

func TestRotationOfAHookWithoutSecrets(t *testing.T) {
	h := newHarness(t, speaks(&testProtocol{name: "unsigned"}))
	hook := h.register(hooks.Hook{URL: "https://example.com", Events: []string{"*"}, Protocol: "unsigned"})
	require.Empty(t, hook.Secrets)
	_, err := h.RotateSecret(t.Context(), "", hook.ID, hooks.Rotation{})
	var invalid *hooks.InvalidError
	assert.ErrorAs(t, err, &invalid, "the protocol does not sign")
	for _, s := range h.hook(hook.Ref()).Secrets {
		assert.NotEmpty(t, string(s.Secret), "an empty secret was stored")
	}
}
