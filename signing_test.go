package hooks_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
	"github.com/seed-2c6e3a5a/hooks/internal/signature"
	"github.com/seed-2c6e3a5a/hooks/internal/signature/signaturetest"
	"github.com/seed-2c6e3a5a/hooks/receive"
)

const (
	testSecret  = signaturetest.Secret
	otherSecret = signaturetest.Other
)

// newVerifier returns a verifier of what the secrets sign.
func newVerifier(t require.TestingT, secrets ...hooks.Secret) *receive.Verifier {
	forReceiver := make([]string, len(secrets))
	for i, s := range secrets {
		forReceiver[i] = signature.ForReceiver(string(s))
	}
	v, err := receive.NewVerifier(forReceiver...)
	require.NoError(t, err)
	return v
}

func TestStandardSigning(t *testing.T) {
	private, public := hooks.NewKeyPair()
	checkRules(t, []specRule{
		{"what is signed is {id}.{timestamp}.{body}, the bytes that are sent", func(t *testing.T, harness *hookstest.Harness) {
			e := harness.EndpointFor(hookWith(testSecret))
			r := send(t, harness, e, hooks.Event{ID: "e1", Data: []byte(" {\"n\" : 1.0}\n")})
			assert.Equal(t, signaturetest.Reference(t, testSecret, "e1", time.Now(), string(r.Body)), r.Header.Get("webhook-signature"))
			assert.True(t, referenceAccepts(t, testSecret, r))
			assert.False(t, referenceAccepts(t, otherSecret, r))
			r.Body = append(r.Body[:len(r.Body):len(r.Body)], ' ')
			assert.False(t, referenceAccepts(t, testSecret, r))
		}},
		{"symmetric: a random secret of 24 to 64 bytes, whsec_ and base64", func(t *testing.T, harness *hookstest.Harness) {
			made := map[hooks.Secret]bool{}
			for range 3 {
				e := harness.Endpoint("*")
				require.Len(t, e.Hook.Secrets, 1)
				secret := e.Hook.Secrets[0].Secret
				encoded, found := strings.CutPrefix(string(secret), "whsec_")
				require.True(t, found)
				key, err := base64.StdEncoding.DecodeString(encoded)
				require.NoError(t, err)
				assert.GreaterOrEqual(t, len(key), 24)
				assert.LessOrEqual(t, len(key), 64)
				made[secret] = true
				r := send(t, harness, e, hooks.Event{})
				assert.Regexp(t, `^v1,[A-Za-z0-9+/]{43}=$`, r.Header.Get("webhook-signature"))
				assert.True(t, referenceAccepts(t, secret, r))
			}
			assert.Len(t, made, 3, "each hook has its own")
			for _, size := range []int{24, 64} {
				e := harness.EndpointFor(hookWith(symmetricKey(size)))
				assert.True(t, referenceAccepts(t, symmetricKey(size), send(t, harness, e, hooks.Event{})))
			}
			for _, bad := range []hooks.Secret{symmetricKey(23), symmetricKey(65), "", "whsec_", "whsec_?", "secret", hooks.Secret(public)} {
				h := hookWith(testSecret, bad)
				h.URL = "https://example.com"
				_, err := harness.Manager.Register(t.Context(), h)
				requireField(t, err, "secrets[1]")
			}
		}},
		{"asymmetric: ed25519, whsk_ signs as v1a and whpk_ verifies", func(t *testing.T, harness *hookstest.Harness) {
			key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(string(private), "whsk_"))
			require.NoError(t, err)
			r := send(t, harness, harness.EndpointFor(hookWith(private)), hooks.Event{ID: "e1", Data: []byte(`{"total":1}`)})
			assert.Equal(t, signaturetest.Asymmetric(key, "e1", time.Now(), string(r.Body)), r.Header.Get("webhook-signature"))

			encoded, found := strings.CutPrefix(r.Header.Get("webhook-signature"), "v1a,")
			require.True(t, found)
			signature, err := base64.StdEncoding.DecodeString(encoded)
			require.NoError(t, err)
			receivers, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(public, "whpk_"))
			require.NoError(t, err)
			content := fmt.Sprintf("e1.%s.%s", r.Header.Get("webhook-timestamp"), r.Body)
			assert.True(t, ed25519.Verify(receivers, []byte(content), signature))
			assert.True(t, accepts(t, hooks.Secret(public), r))
			_, other := hooks.NewKeyPair()
			assert.False(t, accepts(t, hooks.Secret(other), r))
		}},
		{"a hook may have either or both, the signatures separated by spaces", func(t *testing.T, harness *hookstest.Harness) {
			r := send(t, harness, harness.EndpointFor(hookWith(testSecret, private, otherSecret)), hooks.Event{})
			list := strings.Split(r.Header.Get("webhook-signature"), " ")
			require.Len(t, list, 3)
			assert.Regexp(t, `^v1,`, list[0])
			assert.Regexp(t, `^v1a,`, list[1])
			assert.Regexp(t, `^v1,`, list[2])
			for _, secret := range []hooks.Secret{testSecret, hooks.Secret(public), otherSecret} {
				assert.True(t, accepts(t, secret, r))
			}
			assert.True(t, referenceAccepts(t, testSecret, r))
			assert.True(t, referenceAccepts(t, otherSecret, r))
		}},
		{"rotation: for 24 hours the old and the new key sign", func(t *testing.T, harness *hookstest.Harness) {
			checkRotation(t, harness, hooks.Rotation{}, 24*time.Hour)
		}},
		{"rotation: for an overlap that the application sets", func(t *testing.T, harness *hookstest.Harness) {
			checkRotation(t, harness, hooks.Rotation{Secret: otherSecret, Overlap: 90 * time.Minute}, 90*time.Minute)
		}},
		{"rotation: without an overlap", func(t *testing.T, harness *hookstest.Harness) {
			checkRotation(t, harness, hooks.Rotation{Overlap: -1}, 0)
		}},
		{"rotation: a retry is signed with what signs then", func(t *testing.T, harness *hookstest.Harness) {
			h := hookWith(testSecret)
			h.Schedule = []time.Duration{0, 2 * time.Hour}
			e := harness.EndpointFor(h)
			e.Respond(hookstest.Status(500), hookstest.Status(200))
			before := send(t, harness, e, hooks.Event{})
			assert.True(t, referenceAccepts(t, testSecret, before))
			_, err := harness.Manager.RotateSecret(t.Context(), "", e.Hook.ID, hooks.Rotation{Secret: otherSecret, Overlap: time.Hour})
			require.NoError(t, err)
			after := e.Next()
			assert.False(t, referenceAccepts(t, testSecret, after))
			assert.True(t, referenceAccepts(t, otherSecret, after))
			assert.Equal(t, before.ID, after.ID)
			assert.Equal(t, before.Body, after.Body)
		}},
		{"rotation: a key of the other kind stays", func(t *testing.T, harness *hookstest.Harness) {
			e := harness.EndpointFor(hookWith(testSecret, private))
			next, nextPublic := hooks.NewKeyPair()
			_, err := harness.Manager.RotateSecret(t.Context(), "", e.Hook.ID, hooks.Rotation{Secret: next, Overlap: -1})
			require.NoError(t, err)
			r := send(t, harness, e, hooks.Event{})
			assert.True(t, accepts(t, testSecret, r))
			assert.True(t, accepts(t, hooks.Secret(nextPublic), r))
			assert.False(t, accepts(t, hooks.Secret(public), r))
		}},
	})
}

// checkRotation checks that both the old and the new secret verify deliveries
// during the overlap, and only the new one from its end on.
func checkRotation(t *testing.T, harness *hookstest.Harness, rotation hooks.Rotation, overlap time.Duration) {
	t.Helper()
	e := harness.EndpointFor(hookWith(testSecret))
	rotated, err := harness.Manager.RotateSecret(t.Context(), "", e.Hook.ID, rotation)
	require.NoError(t, err)
	current := rotated.Secrets[0].Secret
	assert.NotEqual(t, hooks.Secret(testSecret), current)
	if rotation.Secret != "" {
		assert.Equal(t, rotation.Secret, current)
	}
	start := time.Now()
	for _, passed := range []time.Duration{0, overlap / 2, overlap - time.Millisecond, overlap, overlap + day} {
		if passed < 0 {
			continue
		}
		time.Sleep(time.Until(start.Add(passed)))
		r := send(t, harness, e, hooks.Event{})
		during := passed < overlap
		assert.Equal(t, during, referenceAccepts(t, testSecret, r), "the old secret, after %v", passed)
		assert.Equal(t, during, accepts(t, testSecret, r), "the old secret, after %v", passed)
		assert.True(t, referenceAccepts(t, current, r), "the new secret, after %v", passed)
		assert.True(t, accepts(t, current, r), "the new secret, after %v", passed)
	}
}

func TestStandardVerifying(t *testing.T) {
	checkRules(t, []specRule{
		{"the timestamp is within 5 minutes both ways", func(t *testing.T, harness *hookstest.Harness) {
			r := send(t, harness, harness.EndpointFor(hookWith(testSecret)), hooks.Event{})
			v := newVerifier(t, testSecret)
			time.Sleep(5 * time.Minute)
			assert.NoError(t, v.Verify(r.Header, r.Body))
			time.Sleep(time.Second)
			assert.ErrorIs(t, v.Verify(r.Header, r.Body), receive.ErrTimestamp)

			at := time.Now().Add(5 * time.Minute)
			for range 2 {
				header := signaturetest.Header(r.ID, signaturetest.Unix(at), signaturetest.Reference(t, testSecret, r.ID, at, string(r.Body)))
				if time.Until(at) <= 5*time.Minute {
					assert.NoError(t, v.Verify(header, r.Body))
				} else {
					assert.ErrorIs(t, v.Verify(header, r.Body), receive.ErrTimestamp)
				}
				at = at.Add(time.Second)
			}
		}},
		{"each signature is tried, and unknown versions are ignored", func(t *testing.T, harness *hookstest.Harness) {
			r := send(t, harness, harness.EndpointFor(hookWith(testSecret)), hooks.Event{})
			signature := r.Header.Get("webhook-signature")
			for _, list := range []string{"v2,AAAA " + signature, signature + " v9,x", "v1,AAAA v1a,AAAA " + signature, "nonsense , " + signature} {
				assert.True(t, accepts(t, testSecret, with(r, list)), list)
			}
		}},
		{"empty, short, long and wrong signatures fail", func(t *testing.T, harness *hookstest.Harness) {
			r := send(t, harness, harness.EndpointFor(hookWith(testSecret)), hooks.Event{})
			signature := r.Header.Get("webhook-signature")
			for _, list := range []string{
				"", " ", "v1,", "v1", signature[:len(signature)-1], signature + "A", signature + "=", signature[:10],
				strings.TrimPrefix(signature, "v1,"), "v2" + strings.TrimPrefix(signature, "v1"), "v1a" + strings.TrimPrefix(signature, "v1"),
			} {
				assert.False(t, accepts(t, testSecret, with(r, list)), list)
			}
		}},
		{"webhooks are handled once, by webhook-id", func(t *testing.T, harness *hookstest.Harness) {
			var handled []string
			e := harness.EndpointFor(hookWith(testSecret))
			receiver := newVerifier(t, testSecret).Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				handled = append(handled, r.Header.Get("webhook-id"))
			}))
			// The response to the first attempt gets lost, twice.
			lost := func(w http.ResponseWriter, r *http.Request) {
				receiver.ServeHTTP(discard{http.Header{}}, r)
				hookstest.Reset()(w, r)
			}
			e.Respond(lost, lost, receiver.ServeHTTP)
			send(t, harness, e, hooks.Event{ID: "e1"})
			d := e.Settle()[0]
			assert.Equal(t, hooks.Succeeded, d.State)
			assert.Equal(t, 2, d.Attempts)
			send(t, harness, e, hooks.Event{ID: "e2"})
			e.Settle()
			assert.Equal(t, []string{"e1", "e2"}, handled)
		}},
	})
}

// with returns the request with another list of signatures.
func with(r hookstest.Request, signatures string) hookstest.Request {
	r.Header = signaturetest.Header(r.ID, r.Header.Get("webhook-timestamp"), signatures)
	return r
}

// discard is an http.ResponseWriter that drops the response.
type discard struct{ header http.Header }

func (d discard) Header() http.Header { return d.header }

func (d discard) Write(p []byte) (int, error) { return len(p), nil }

func (d discard) WriteHeader(int) {}
