package hooks_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed-2c6e3a5a/hooks"
)

const (
	testSecret  = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	otherSecret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
)

// referenceSignature is what the reference library signs.
func referenceSignature(t require.TestingT, secret, id string, at time.Time, body string) string {
	wh, err := standardwebhooks.NewWebhook(secret)
	require.NoError(t, err)
	signature, err := wh.Sign(id, at, []byte(body))
	require.NoError(t, err)
	return signature
}

// asymmetricSignature is a v1a signature by the letter of the specification.
func asymmetricSignature(key ed25519.PrivateKey, id string, at time.Time, body string) string {
	content := fmt.Sprintf("%s.%d.%s", id, at.Unix(), body)
	return "v1a," + base64.StdEncoding.EncodeToString(ed25519.Sign(key, []byte(content)))
}

func headerOf(id, timestamp, signature string) http.Header {
	h := http.Header{}
	h.Set("webhook-id", id)
	h.Set("webhook-timestamp", timestamp)
	h.Set("webhook-signature", signature)
	return h
}

// signedHeader is the header of a request signed now with testSecret.
func signedHeader(t require.TestingT, id, body string) http.Header {
	now := time.Now()
	return headerOf(id, unix(now), referenceSignature(t, testSecret, id, now, body))
}

func unix(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

func newVerifier(t require.TestingT, secrets ...hooks.Secret) *hooks.Verifier {
	v, err := hooks.NewVerifier(secrets...)
	require.NoError(t, err)
	return v
}

func TestVerifyAcceptsPublishedSignatures(t *testing.T) {
	raw, err := os.ReadFile("testdata/signatures.json")
	require.NoError(t, err)
	var vectors []struct {
		Source, Secret, Verify, ID, Body, Signature string
		Timestamp                                   int64
	}
	require.NoError(t, json.Unmarshal(raw, &vectors))
	require.NotEmpty(t, vectors)
	for _, v := range vectors {
		t.Run(v.Source, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(time.Until(time.Unix(v.Timestamp, 0))) // virtual
				header := headerOf(v.ID, strconv.FormatInt(v.Timestamp, 10), v.Signature)
				for _, secret := range []string{v.Secret, v.Verify} {
					verifier := newVerifier(t, hooks.Secret(secret))
					assert.NoError(t, verifier.Verify(header, []byte(v.Body)))
					assert.ErrorIs(t, verifier.Verify(header, []byte(v.Body+" ")), hooks.ErrSignature)
				}
			})
		})
	}
}

func TestVerifyAcceptsWhatTheReferenceLibrarySigns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), 24, 64).Draw(t, "key")
		id := rapid.StringN(1, 100, -1).Draw(t, "id")
		body := rapid.String().Draw(t, "body")
		at := time.Now().Add(time.Duration(rapid.IntRange(-290, 290).Draw(t, "offset")) * time.Second)

		secret := "whsec_" + base64.StdEncoding.EncodeToString(key)
		header := headerOf(id, unix(at), referenceSignature(t, secret, id, at, body))
		assert.NoError(t, newVerifier(t, hooks.Secret(secret)).Verify(header, []byte(body)))
		assert.ErrorIs(t, newVerifier(t, hooks.NewSecret()).Verify(header, []byte(body)), hooks.ErrSignature)
	})
}

func TestVerifySignatureLists(t *testing.T) {
	const id, body = "msg_1", `{"n":1}`
	now := time.Now()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	v1 := referenceSignature(t, testSecret, id, now, body)
	v1old := referenceSignature(t, otherSecret, id, now, body)
	v1a := asymmetricSignature(private, id, now, body)
	const wrong = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc="
	wrongA := "v1a," + base64.StdEncoding.EncodeToString(make([]byte, ed25519.SignatureSize))
	digits := strings.TrimPrefix(v1, "v1,")

	symmetric := []hooks.Secret{testSecret}
	asymmetric := []hooks.Secret{hooks.Secret("whpk_" + base64.StdEncoding.EncodeToString(public))}
	seed := []hooks.Secret{hooks.Secret("whsk_" + base64.StdEncoding.EncodeToString(private.Seed()))}
	both := slices.Concat(symmetric, asymmetric)
	rotating := []hooks.Secret{testSecret, otherSecret}

	tests := []struct {
		name    string
		secrets []hooks.Secret
		list    string
		ok      bool
	}{
		{"one", symmetric, v1, true},
		{"last of several", symmetric, wrong + " " + v1old + " " + v1, true},
		{"first of several", symmetric, v1 + " " + v1old + " " + wrong, true},
		{"duplicated", symmetric, v1 + " " + v1, true},
		{"spaces around", symmetric, "  " + v1 + "   " + wrong + " ", true},
		{"beside unknown versions", symmetric, "v2,abc v1b," + digits + " v1a, " + v1, true},
		{"after junk", symmetric, ", ,, v1 v1, " + v1, true},
		{"at the end of what is tried", symmetric, strings.Repeat(wrong+" ", 19) + v1, true},
		{"rotation, only the new", rotating, v1, true},
		{"rotation, only the old", rotating, v1old, true},
		{"rotation, both reordered", rotating, v1old + " " + v1, true},
		{"asymmetric", asymmetric, v1a, true},
		{"asymmetric among others", asymmetric, v1 + " " + wrongA + " " + v1a, true},
		{"by the seed", seed, v1a, true},
		{"either of both kinds: v1", both, v1 + " " + wrongA, true},
		{"either of both kinds: v1a", both, wrong + " " + v1a, true},

		{"of another secret", symmetric, v1old, false},
		{"only wrong ones", symmetric, wrong + " " + v1old, false},
		{"only spaces", symmetric, "   ", false},
		{"no version", symmetric, digits, false},
		{"empty version", symmetric, "," + digits, false},
		{"unknown version", symmetric, "v2," + digits, false},
		{"version in upper case", symmetric, "V1," + digits, false},
		{"empty signature", symmetric, "v1,", false},
		{"no comma", symmetric, "v1", false},
		{"short", symmetric, v1[:len(v1)-1], false},
		{"first bytes only", symmetric, v1[:8], false},
		{"long", symmetric, v1 + "A", false},
		{"more after it", symmetric, v1 + ",x", false},
		{"separated by commas", symmetric, wrong + "," + v1, false},
		{"beyond what is tried", symmetric, strings.Repeat(wrong+" ", 20) + v1, false},
		{"v1 signature as v1a", asymmetric, "v1a," + digits, false},
		{"v1a signature as v1", both, "v1," + strings.TrimPrefix(v1a, "v1a,"), false},
		{"v1 for an asymmetric secret", asymmetric, v1, false},
		{"v1a for a symmetric secret", symmetric, v1a, false},
		{"v1a wrong", asymmetric, wrongA, false},
		{"v1a short", asymmetric, v1a[:len(v1a)-8], false},
		{"v1a long", asymmetric, v1a + "AAAA", false},
		{"v1a in another encoding", asymmetric, v1a[:len(v1a)-3] + string(v1a[len(v1a)-3]+1) + "==", false},
		{"v1a not base64", asymmetric, "v1a,%%%", false},
		{"v1a empty", asymmetric, "v1a,", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := newVerifier(t, tt.secrets...).Verify(headerOf(id, unix(now), tt.list), []byte(body))
			if tt.ok {
				assert.NoError(t, err)
			} else {
				assert.ErrorIs(t, err, hooks.ErrSignature)
			}
		})
	}
}

func TestVerifyCoversIDTimestampAndBody(t *testing.T) {
	const body = `{"n":1}`
	now := time.Now()
	signature := referenceSignature(t, testSecret, "msg_1", now, body)
	v := newVerifier(t, testSecret)
	require.NoError(t, v.Verify(headerOf("msg_1", unix(now), signature), []byte(body)))

	assert.ErrorIs(t, v.Verify(headerOf("msg_2", unix(now), signature), []byte(body)), hooks.ErrSignature)
	assert.ErrorIs(t, v.Verify(headerOf("msg_1", unix(now.Add(time.Second)), signature), []byte(body)), hooks.ErrSignature)
	assert.ErrorIs(t, v.Verify(headerOf("msg_1", unix(now), signature), []byte(`{"n":2}`)), hooks.ErrSignature)
	assert.ErrorIs(t, v.Verify(headerOf("msg_1", unix(now), signature), nil), hooks.ErrSignature)
}

func TestVerifyTimestamp(t *testing.T) {
	tests := []struct {
		name      string
		tolerance time.Duration
		offset    time.Duration
		want      error
	}{
		{"now", 0, 0, nil},
		{"5 minutes old", 0, -5 * time.Minute, nil},
		{"older", 0, -5*time.Minute - time.Second, hooks.ErrTimestamp},
		{"5 minutes ahead", 0, 5 * time.Minute, nil},
		{"further ahead", 0, 5*time.Minute + time.Second, hooks.ErrTimestamp},
		{"in the own tolerance", time.Hour, -time.Hour, nil},
		{"out of the own tolerance", time.Second, 2 * time.Second, hooks.ErrTimestamp},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				at := time.Now().Add(tt.offset)
				v := newVerifier(t, testSecret)
				v.Tolerance = tt.tolerance
				err := v.Verify(headerOf("id", unix(at), referenceSignature(t, testSecret, "id", at, "")), nil)
				assert.ErrorIs(t, err, tt.want)
			})
		})
	}
}

func TestVerifyRefusesMalformedHeaders(t *testing.T) {
	good := signedHeader(t, "msg_1", "body")
	v := newVerifier(t, testSecret)
	require.NoError(t, v.Verify(good, []byte("body")))

	for _, name := range []string{"Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"} {
		t.Run("no "+name, func(t *testing.T) {
			header := good.Clone()
			header.Del(name)
			err := v.Verify(header, []byte("body"))
			assert.ErrorIs(t, err, hooks.ErrSignature)
			assert.ErrorContains(t, err, strings.ToLower(name))
		})
	}
	now := good.Get("webhook-timestamp")
	for _, timestamp := range []string{
		"abc", "+" + now, "-" + now, now + ".0", " " + now, now + " ", "0x10", "1e9",
		"2026-01-01T00:00:00Z", "9223372036854775807", "99999999999999999999999",
	} {
		t.Run("timestamp "+timestamp, func(t *testing.T) {
			header := good.Clone()
			header.Set("webhook-timestamp", timestamp)
			err := v.Verify(header, []byte("body"))
			assert.ErrorIs(t, err, hooks.ErrSignature)
			assert.ErrorContains(t, err, "webhook-timestamp")
		})
	}
	t.Run("milliseconds", func(t *testing.T) {
		header := good.Clone()
		header.Set("webhook-timestamp", now+"000")
		assert.ErrorIs(t, v.Verify(header, []byte("body")), hooks.ErrTimestamp)
	})
	t.Run("zero Verifier", func(t *testing.T) {
		assert.ErrorIs(t, new(hooks.Verifier).Verify(good, []byte("body")), hooks.ErrSignature)
	})
}

// svixHeader has the values of header under the names of Svix.
func svixHeader(header http.Header) http.Header {
	h := http.Header{}
	for name, values := range header {
		h[strings.Replace(name, "Webhook-", "Svix-", 1)] = slices.Clone(values)
	}
	return h
}

// The headers are those of Standard Webhooks, or else those of Svix, but never
// some of these and some of those.
func TestVerifyAcceptsTheHeadersOfSvix(t *testing.T) {
	good, other := signedHeader(t, "msg_1", "body"), signedHeader(t, "msg_2", "body")
	both := func(header, svix http.Header, without ...string) http.Header {
		h := header.Clone()
		maps.Copy(h, svixHeader(svix))
		for _, name := range without {
			delete(h, name)
		}
		return h
	}
	bad := good.Clone()
	bad.Set("webhook-signature", "v1,AAAA")
	tests := map[string]struct {
		header http.Header
		fault  string
	}{
		"Svix":                                 {svixHeader(good), ""},
		"both":                                 {both(good, other), ""},
		"both, and Svix's are wrong":           {both(good, bad), ""},
		"both, and Svix's are not complete":    {both(good, other, "Svix-Id"), ""},
		"both, and the others are wrong":       {both(bad, good), "none matches"},
		"the id of another":                    {both(good, good, "Webhook-Id"), "no webhook-id"},
		"the timestamp of another":             {both(good, good, "Webhook-Timestamp"), "no webhook-timestamp"},
		"the signature of another":             {both(good, good, "Webhook-Signature"), "no webhook-signature"},
		"an id beside Svix's":                  {both(good, good, "Webhook-Timestamp", "Webhook-Signature"), "no webhook-timestamp"},
		"a signature beside Svix's":            {both(good, good, "Webhook-Timestamp", "Webhook-Id"), "no webhook-id"},
		"an empty id beside Svix's":            {both(http.Header{"Webhook-Id": {""}}, good), "no webhook-id"},
		"Svix without id":                      {both(http.Header{}, good, "Svix-Id"), "no svix-id"},
		"Svix without timestamp":               {both(http.Header{}, good, "Svix-Timestamp"), "no svix-timestamp"},
		"Svix without signature":               {both(http.Header{}, good, "Svix-Signature"), "no svix-signature"},
		"Svix with a timestamp that is none":   {http.Header{"Svix-Id": {"a"}, "Svix-Timestamp": {"now"}, "Svix-Signature": {"v1,AAAA"}}, "svix-timestamp is not a number"},
		"Svix with a signature for another id": {both(http.Header{}, http.Header{"Webhook-Id": {"msg_2"}, "Webhook-Timestamp": good["Webhook-Timestamp"], "Webhook-Signature": good["Webhook-Signature"]}), "none matches"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := newVerifier(t, testSecret).Verify(tt.header, []byte("body"))
			if tt.fault == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, hooks.ErrSignature)
			assert.ErrorContains(t, err, tt.fault)
		})
	}
	old := time.Now().Add(-time.Hour)
	header := svixHeader(headerOf("a", unix(old), referenceSignature(t, testSecret, "a", old, "body")))
	require.ErrorIs(t, newVerifier(t, testSecret).Verify(header, []byte("body")), hooks.ErrTimestamp)
}

// A handler finds the headers under one name, whoever sent them, and a webhook of
// Svix is handled once as well.
func TestMiddlewareTakesTheHeadersOfSvix(t *testing.T) {
	v := newVerifier(t, testSecret)
	var handled []string
	h := v.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		assert.NoError(t, v.Verify(r.Header, body), "what was verified can be verified again")
		assert.Equal(t, r.Header.Get("svix-id"), r.Header.Get("webhook-id"))
		handled = append(handled, r.Header.Get("webhook-id"))
	}))
	for _, id := range []string{"a", "b", "a"} {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("body"))
		r.Header = svixHeader(signedHeader(t, id, "body"))
		before := r.Header.Clone()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		assert.Equal(t, 200, w.Code)
		assert.Equal(t, before, r.Header, "the caller's request must not change")
	}
	assert.Equal(t, []string{"a", "b"}, handled)
	assert.Equal(t, 401, func() int {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("body"))
		r.Header = svixHeader(signedHeader(t, "c", "another body"))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}())
}

func TestNewVerifierRefusesBadSecrets(t *testing.T) {
	encoded := func(n int) string { return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, n)) }
	tests := map[string]string{
		"empty":                    "",
		"prefix only":              "whsec_",
		"private prefix only":      "whsk_",
		"public prefix only":       "whpk_",
		"no prefix":                encoded(32),
		"unknown prefix":           "whxx_" + encoded(32),
		"prefix in upper case":     "WHSEC_" + encoded(32),
		"not base64":               "whsec_" + strings.Repeat("!", 32),
		"no padding":               "whsec_" + strings.TrimRight(encoded(32), "="),
		"URL base64":               "whsec_" + strings.Repeat("-_", 16),
		"23 bytes":                 "whsec_" + encoded(23),
		"65 bytes":                 "whsec_" + encoded(65),
		"private key of 33 bytes":  "whsk_" + encoded(33),
		"public key of 31 bytes":   "whpk_" + encoded(31),
		"public key of 64 bytes":   "whpk_" + encoded(64),
		"public half of other key": "whsk_" + encoded(64),
	}
	for name, secret := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := hooks.NewVerifier(testSecret, hooks.Secret(secret))
			var invalid *hooks.InvalidError
			require.ErrorAs(t, err, &invalid)
			assert.Equal(t, "secrets[1]", invalid.Field)
			if _, key, _ := strings.Cut(secret, "_"); key != "" {
				assert.NotContains(t, err.Error(), key)
			}
		})
	}
	t.Run("none", func(t *testing.T) {
		_, err := hooks.NewVerifier()
		var invalid *hooks.InvalidError
		require.ErrorAs(t, err, &invalid)
		assert.Equal(t, "secrets", invalid.Field)
	})
	for _, size := range []int{24, 64} {
		_, err := hooks.NewVerifier(hooks.Secret("whsec_" + encoded(size)))
		assert.NoError(t, err, "%d bytes", size)
	}
}

func TestNewSecret(t *testing.T) {
	secret := hooks.NewSecret()
	encoded, ok := strings.CutPrefix(string(secret), "whsec_")
	require.True(t, ok)
	key, err := base64.StdEncoding.DecodeString(encoded)
	require.NoError(t, err)
	assert.Len(t, key, 32)
	assert.NotEqual(t, string(secret), string(hooks.NewSecret()))
}

func TestNewKeyPair(t *testing.T) {
	private, public := hooks.NewKeyPair()
	encodedPrivate, ok := strings.CutPrefix(string(private), "whsk_")
	require.True(t, ok)
	encodedPublic, ok := strings.CutPrefix(public, "whpk_")
	require.True(t, ok)
	raw, err := base64.StdEncoding.DecodeString(encodedPrivate)
	require.NoError(t, err)
	require.Len(t, raw, ed25519.PrivateKeySize)
	key := ed25519.PrivateKey(raw)
	assert.Equal(t, base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey)), encodedPublic)

	now := time.Now()
	header := headerOf("id", unix(now), asymmetricSignature(key, "id", now, "body"))
	assert.NoError(t, newVerifier(t, hooks.Secret(public)).Verify(header, []byte("body")))
	assert.NoError(t, newVerifier(t, private).Verify(header, []byte("body")))
	_, other := hooks.NewKeyPair()
	assert.ErrorIs(t, newVerifier(t, hooks.Secret(other)).Verify(header, []byte("body")), hooks.ErrSignature)
}

func TestSecretNeverShows(t *testing.T) {
	secret := hooks.Secret(testSecret)
	key := strings.TrimPrefix(testSecret, "whsec_")
	raw, err := base64.StdEncoding.DecodeString(key)
	require.NoError(t, err)
	forbidden := []string{
		key, fmt.Sprintf("%x", testSecret), fmt.Sprintf("%X", testSecret),
		strings.Trim(fmt.Sprint([]byte(testSecret)), "[]"), strings.Trim(fmt.Sprint(raw), "[]"), fmt.Sprintf("%x", raw),
	}

	// A private key that starts with the same bytes.
	seed := append(slices.Clone(raw), raw[:ed25519.SeedSize-len(raw)]...)
	private := hooks.Secret("whsk_" + base64.StdEncoding.EncodeToString(seed))

	values := map[string]any{
		"itself":   secret,
		"pointer":  &secret,
		"slice":    []hooks.Secret{secret},
		"map":      map[string]hooks.Secret{"k": secret},
		"struct":   struct{ S hooks.Secret }{secret},
		"hook":     hooks.Hook{ID: "h", Secrets: []hooks.SigningSecret{{Secret: secret}}},
		"verifier": newVerifier(t, secret, private),
	}
	for name, value := range values {
		t.Run(name, func(t *testing.T) {
			var shown strings.Builder
			for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t"} {
				fmt.Fprintf(&shown, format+"\n", value)
			}
			if name != "verifier" { // its func fields have no JSON
				text, err := json.Marshal(value)
				require.NoError(t, err)
				shown.Write(text)
				assert.Contains(t, string(text), "[redacted]")
			}
			slog.New(slog.NewTextHandler(&shown, nil)).Info("m", "value", value)
			slog.New(slog.NewJSONHandler(&shown, nil)).Info("m", "value", value)
			for _, f := range forbidden {
				assert.NotContains(t, shown.String(), f)
			}
		})
	}
	assert.Equal(t, "[redacted]", secret.String())
	assert.Equal(t, testSecret, string(secret))
}

// deliver gives the handler a signed request.
func deliver(t require.TestingT, h http.Handler, id, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header = signedHeader(t, id, body)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestMiddlewareHandsTheBodyOn(t *testing.T) {
	const body = `{"type":"order.paid","timestamp":"2026-01-01T00:00:00Z","data":{}}`
	var got string
	h := newVerifier(t, testSecret).Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		read, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		got = string(read)
		assert.EqualValues(t, len(body), r.ContentLength)
		assert.Equal(t, "msg_1", r.Header.Get("webhook-id"))
		assert.NoError(t, http.NewResponseController(w).Flush())
		w.WriteHeader(http.StatusAccepted)
	}))
	r := httptest.NewRequest(http.MethodPost, "/", io.NopCloser(strings.NewReader(body))) // of unknown length
	r.Header = signedHeader(t, "msg_1", body)
	original := r.Body
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	assert.Equal(t, body, got)
	assert.True(t, w.Flushed)
	assert.Equal(t, original, r.Body, "the caller's request must not change")
}

func TestMiddlewareRefuses(t *testing.T) {
	now := time.Now()
	large := strings.Repeat("x", 1<<20+1)
	old := now.Add(-time.Hour)
	challenge := `{"type":"hook.verification","timestamp":"2026-01-01T00:00:00Z","data":{"challenge":"c"}}`
	tests := []struct {
		name   string
		header http.Header
		body   io.Reader
		status int
		text   string
	}{
		{"unsigned", http.Header{}, strings.NewReader("body"), 401, "no webhook-id"},
		{"signed with another secret", headerOf("a", unix(now), referenceSignature(t, otherSecret, "a", now, "body")), strings.NewReader("body"), 401, "none matches"},
		{"old", headerOf("a", unix(old), referenceSignature(t, testSecret, "a", old, "body")), strings.NewReader("body"), 401, "old"},
		{"unsigned challenge", headerOf("a", unix(now), "v1,c2lnbmVk"), strings.NewReader(challenge), 401, "none matches"},
		{"over 1 MiB", signedHeader(t, "a", large), strings.NewReader(large), 413, "too large"},
		{"broken off", signedHeader(t, "a", "body"), iotest.ErrReader(errors.New("secret cause")), 400, "not complete"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newVerifier(t, testSecret).Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				t.Error("refused requests must not reach the handler")
			}))
			r := httptest.NewRequest(http.MethodPost, "/", tt.body)
			r.Header = tt.header
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			assert.Equal(t, tt.status, w.Code)
			assert.Contains(t, w.Body.String(), tt.text)
			assert.NotContains(t, w.Body.String(), "secret cause")
			assert.NotContains(t, w.Body.String(), "challenge")
		})
	}
}

func TestMiddlewareBoundsTheBody(t *testing.T) {
	v := newVerifier(t, testSecret)
	v.MaxBody = 8
	h := v.Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	assert.Equal(t, 200, deliver(t, h, "a", "12345678").Code)
	assert.Equal(t, 413, deliver(t, h, "b", "123456789").Code)
}

func TestMiddlewareRespondsToTheVerificationQuestion(t *testing.T) {
	reached := 0
	h := newVerifier(t, testSecret).Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached++ }))
	question := `{"type":"hook.verification","timestamp":"2026-01-01T00:00:00Z","data":{"challenge":"a\"<é"}}`
	for range 2 {
		w := deliver(t, h, "msg_1", question)
		assert.Equal(t, 200, w.Code)
		assert.Equal(t, "application/json", w.Header().Get("Content-Type"))
		var response map[string]string
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &response))
		assert.Equal(t, map[string]string{"challenge": `a"<é`}, response)
	}
	assert.Zero(t, reached)

	for i, other := range []string{
		`{"type":"order.paid","data":{"challenge":"hook.verification"}}`,
		`{"type":"hook.verification","data":{}}`,
		`{"type":"hook.verification","data":{"challenge":1}}`,
		`hook.verification`,
	} {
		w := deliver(t, h, strconv.Itoa(i), other)
		assert.Equal(t, 200, w.Code)
		assert.Empty(t, w.Body.String())
		assert.Equal(t, i+1, reached, "%s is for the handler", other)
	}
}

func TestMiddlewareHandlesAWebhookOnce(t *testing.T) {
	tests := []struct {
		name     string
		response http.HandlerFunc
		again    bool
	}{
		{"nothing said", func(http.ResponseWriter, *http.Request) {}, false},
		{"200", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) }, false},
		{"204", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, false},
		{"a body", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }, false},
		{"early hints", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103); w.WriteHeader(200) }, false},
		{"early hints, then failure", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103); w.WriteHeader(500) }, true},
		{"failure after success", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200); w.WriteHeader(500) }, false},
		{"failure after a body", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok"); w.WriteHeader(500) }, false},
		{"302", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(302) }, true},
		{"404", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, true},
		{"500", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", 500) }, true},
		{"panic", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := newVerifier(t, testSecret)
			var handled []string
			v.Handled = func(_ context.Context, id string) { handled = append(handled, id) }
			calls := 0
			h := v.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if calls++; calls == 1 {
					tt.response(w, r)
				}
			}))
			func() {
				defer func() { _ = recover() }()
				deliver(t, h, "msg_1", "body")
			}()
			if tt.again {
				assert.Empty(t, handled)
			} else {
				assert.Equal(t, []string{"msg_1"}, handled)
			}
			for range 2 {
				assert.Equal(t, 200, deliver(t, h, "msg_1", "body").Code)
			}
			want := 1
			if tt.again {
				want = 2
			}
			assert.Equal(t, want, calls)
			assert.Equal(t, []string{"msg_1"}, handled)
			deliver(t, h, "msg_2", "body")
			assert.Equal(t, want+1, calls, "another id is another webhook")
		})
	}
}

func TestMiddlewareRemembersTheLast10000(t *testing.T) {
	calls := map[string]int{}
	h := newVerifier(t, testSecret).Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		calls[r.Header.Get("webhook-id")]++
	}))
	for i := range 10_001 {
		deliver(t, h, strconv.Itoa(i), "")
	}
	for _, id := range []string{"10000", "1", "0", "2", "1"} { // "0" was forgotten for "10000", and now takes the place of "1"
		deliver(t, h, id, "")
	}
	assert.Equal(t, []int{2, 2, 1, 1}, []int{calls["0"], calls["1"], calls["2"], calls["10000"]})
}

func TestMiddlewareHandlersRememberOnTheirOwn(t *testing.T) {
	v := newVerifier(t, testSecret)
	calls := 0
	for range 2 {
		h := v.Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls++ }))
		deliver(t, h, "msg_1", "body")
	}
	assert.Equal(t, 2, calls)
}

func TestMiddlewareRefusesWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		h := newVerifier(t, testSecret).Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if r.Header.Get("webhook-id") == "slow" {
				<-release
			}
		}))
		go func() { assert.Equal(t, 200, deliver(t, h, "slow", "body").Code) }()
		synctest.Wait()
		assert.Equal(t, 409, deliver(t, h, "slow", "body").Code)
		assert.Equal(t, 200, deliver(t, h, "other", "body").Code)
		close(release)
		synctest.Wait()
		assert.Equal(t, 200, deliver(t, h, "slow", "body").Code)
	})
}

func TestMiddlewareAsksTheHost(t *testing.T) {
	v := newVerifier(t, testSecret)
	var log bytes.Buffer
	v.Logger = slog.New(slog.NewTextHandler(&log, nil))
	handled := map[string]bool{"before": true}
	v.Seen = func(_ context.Context, id string) (bool, error) {
		if id == "unknown" {
			return false, errors.New("database is down")
		}
		return handled[id], nil
	}
	v.Handled = func(ctx context.Context, id string) {
		assert.NoError(t, ctx.Err(), "a sender that is gone must not stop the record")
		handled[id] = true
	}
	var reached []string
	ctx, cancel := context.WithCancel(t.Context())
	h := v.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached = append(reached, r.Header.Get("webhook-id"))
		cancel()
	}))

	assert.Equal(t, 200, deliver(t, h, "before", "").Code)
	w := deliver(t, h, "unknown", "")
	assert.Equal(t, 503, w.Code)
	assert.NotContains(t, w.Body.String(), "database")
	assert.Empty(t, reached)
	assert.Equal(t, 1, strings.Count(log.String(), "\n"))
	assert.Contains(t, log.String(), `webhook_id=unknown error="database is down"`)

	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", nil)
	r.Header = signedHeader(t, "new", "")
	h.ServeHTTP(httptest.NewRecorder(), r)
	assert.Equal(t, 200, deliver(t, h, "new", "").Code)
	assert.Equal(t, []string{"new"}, reached)

	delete(handled, "new")
	deliver(t, h, "new", "")
	assert.Equal(t, []string{"new", "new"}, reached, "only the application remembers")
}

// FuzzVerify gives Verify arbitrary headers, of which the bits of present say
// which there are, and in which "$" and "@" stand for a right v1 and v1a
// signature. What it accepts must hold one of the two, in headers of one family.
func FuzzVerify(f *testing.F) {
	const standard, svix = 0b000_111, 0b111_000
	f.Add("msg_1", "1614265330", "$", []byte(`{"test": 2432232314}`), uint8(standard))
	f.Add("msg.1", "1614265330", "v1,abc @ v2,x", []byte{}, uint8(standard))
	f.Add("", "-1", "$ @", []byte("a.b.c"), uint8(standard))
	f.Add("a.1614265330", "01614265330", "$,x", []byte("x"), uint8(standard|svix))
	f.Add("a", "1614265330", "@v1a,", []byte("x"), uint8(svix))
	f.Add("a", "1614265330", "v1, v1a, v1a,AAAA", []byte("x"), uint8(svix))
	f.Add("a", "1614265330", "$ @", []byte("x"), uint8(svix))
	f.Add("a", "1614265330", "$ @", []byte("x"), uint8(0b110_001))
	f.Add("a", "1614265330", "$ @", []byte("x"), uint8(0b111_010))

	private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	public := hooks.Secret("whpk_" + base64.StdEncoding.EncodeToString(private.Public().(ed25519.PublicKey)))
	f.Fuzz(func(t *testing.T, id, timestamp, list string, body []byte, present uint8) {
		// A timestamp that is no number is refused, whatever is signed.
		seconds, _ := strconv.ParseInt(timestamp, 10, 62)
		at := time.Unix(seconds, 0)
		v1 := referenceSignature(t, testSecret, id, at, string(body))
		v1a := asymmetricSignature(private, id, at, string(body))
		list = strings.NewReplacer("$", v1, "@", v1a).Replace(list)
		header := http.Header{}
		for i, name := range []string{"webhook-id", "webhook-timestamp", "webhook-signature", "svix-id", "svix-timestamp", "svix-signature"} {
			if present&(1<<i) != 0 {
				header.Set(name, []string{id, timestamp, list}[i%3])
			}
		}
		complete := present&standard == standard || present&(standard|svix) == svix

		check := func(secret hooks.Secret, right string) {
			v := newVerifier(t, secret)
			v.Tolerance = 200 * 365 * 24 * time.Hour
			if v.Verify(header, body) == nil {
				// The decoder skips line breaks, which no header has.
				seen := strings.Split(strings.NewReplacer("\r", "", "\n", "").Replace(list), " ")
				assert.Contains(t, seen, right)
				assert.True(t, complete, "the headers are not those of one family")
			}
			v.Tolerance = time.Nanosecond
			assert.Error(t, v.Verify(header, body), "not of this moment")
			assert.Error(t, newVerifier(t, otherSecret).Verify(header, body))
		}
		check(testSecret, v1)
		check(public, v1a)
	})
}

func ExampleVerifier_Middleware() {
	verifier, err := hooks.NewVerifier("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		panic(err)
	}
	endpoint := verifier.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Printf("handled %s: %s\n", r.Header.Get("webhook-id"), body)
	}))

	// A sender: any that keeps to Standard Webhooks.
	sender, err := standardwebhooks.NewWebhook("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		panic(err)
	}
	send := func(signed, sent string) {
		now := time.Now()
		signature, _ := sender.Sign("msg_1", now, []byte(signed))
		r := httptest.NewRequest(http.MethodPost, "/webhooks", strings.NewReader(sent))
		r.Header.Set("webhook-id", "msg_1")
		r.Header.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
		r.Header.Set("webhook-signature", signature)
		w := httptest.NewRecorder()
		endpoint.ServeHTTP(w, r)
		fmt.Println(w.Result().Status)
	}
	send(`{"type":"order.paid"}`, `{"type":"order.lost"}`) // changed on its way
	send(`{"type":"order.paid"}`, `{"type":"order.paid"}`)
	send(`{"type":"order.paid"}`, `{"type":"order.paid"}`) // sent again
	// Output:
	// 401 Unauthorized
	// handled msg_1: {"type":"order.paid"}
	// 200 OK
	// 200 OK
}
