package receive_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed-2c6e3a5a/hooks/internal/signature/signaturetest"
	"github.com/seed-2c6e3a5a/hooks/receive"
)

const (
	testSecret  = signaturetest.Secret
	otherSecret = signaturetest.Other
)

// signedHeader is the header of a request signed now with testSecret.
func signedHeader(t require.TestingT, id, body string) http.Header {
	now := time.Now()
	return signaturetest.Header(id, signaturetest.Unix(now), signaturetest.Reference(t, testSecret, id, now, body))
}

func newVerifier(t require.TestingT, secrets ...string) *receive.Verifier {
	v, err := receive.NewVerifier(secrets...)
	require.NoError(t, err)
	return v
}

func TestVerifyAcceptsPublishedSignatures(t *testing.T) {
	raw, err := os.ReadFile("../internal/signature/testdata/signatures.json")
	require.NoError(t, err)
	var vectors []struct {
		Source, Verify, ID, Body, Signature string
		Timestamp                           int64
	}
	require.NoError(t, json.Unmarshal(raw, &vectors))
	require.NotEmpty(t, vectors)
	for _, v := range vectors {
		t.Run(v.Source, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(time.Until(time.Unix(v.Timestamp, 0))) // virtual
				header := signaturetest.Header(v.ID, strconv.FormatInt(v.Timestamp, 10), v.Signature)
				verifier := newVerifier(t, v.Verify)
				assert.NoError(t, verifier.Verify(header, []byte(v.Body)))
				assert.ErrorIs(t, verifier.Verify(header, []byte(v.Body+" ")), receive.ErrSignature)
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
		header := signaturetest.Header(id, signaturetest.Unix(at), signaturetest.Reference(t, secret, id, at, body))
		assert.NoError(t, newVerifier(t, secret).Verify(header, []byte(body)))
		assert.ErrorIs(t, newVerifier(t, otherSecret).Verify(header, []byte(body)), receive.ErrSignature)
	})
}

func TestVerifySignatureLists(t *testing.T) {
	const id, body = "msg_1", `{"n":1}`
	now := time.Now()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	v1 := signaturetest.Reference(t, testSecret, id, now, body)
	v1old := signaturetest.Reference(t, otherSecret, id, now, body)
	v1a := signaturetest.Asymmetric(private, id, now, body)
	const wrong = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc="
	wrongA := "v1a," + base64.StdEncoding.EncodeToString(make([]byte, ed25519.SignatureSize))
	digits := strings.TrimPrefix(v1, "v1,")

	symmetric := []string{testSecret}
	asymmetric := []string{"whpk_" + base64.StdEncoding.EncodeToString(public)}
	both := slices.Concat(symmetric, asymmetric)
	rotating := []string{testSecret, otherSecret}

	tests := []struct {
		name    string
		secrets []string
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
			err := newVerifier(t, tt.secrets...).Verify(signaturetest.Header(id, signaturetest.Unix(now), tt.list), []byte(body))
			if tt.ok {
				assert.NoError(t, err)
			} else {
				assert.ErrorIs(t, err, receive.ErrSignature)
			}
		})
	}
}

func TestVerifyCoversIDTimestampAndBody(t *testing.T) {
	const body = `{"n":1}`
	now := time.Now()
	signature := signaturetest.Reference(t, testSecret, "msg_1", now, body)
	v := newVerifier(t, testSecret)
	require.NoError(t, v.Verify(signaturetest.Header("msg_1", signaturetest.Unix(now), signature), []byte(body)))

	assert.ErrorIs(t, v.Verify(signaturetest.Header("msg_2", signaturetest.Unix(now), signature), []byte(body)), receive.ErrSignature)
	assert.ErrorIs(t, v.Verify(signaturetest.Header("msg_1", signaturetest.Unix(now.Add(time.Second)), signature), []byte(body)), receive.ErrSignature)
	assert.ErrorIs(t, v.Verify(signaturetest.Header("msg_1", signaturetest.Unix(now), signature), []byte(`{"n":2}`)), receive.ErrSignature)
	assert.ErrorIs(t, v.Verify(signaturetest.Header("msg_1", signaturetest.Unix(now), signature), nil), receive.ErrSignature)
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
		{"older", 0, -5*time.Minute - time.Second, receive.ErrTimestamp},
		{"5 minutes ahead", 0, 5 * time.Minute, nil},
		{"further ahead", 0, 5*time.Minute + time.Second, receive.ErrTimestamp},
		{"in the own tolerance", time.Hour, -time.Hour, nil},
		{"out of the own tolerance", time.Second, 2 * time.Second, receive.ErrTimestamp},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				at := time.Now().Add(tt.offset)
				v := newVerifier(t, testSecret)
				v.Tolerance = tt.tolerance
				err := v.Verify(signaturetest.Header("id", signaturetest.Unix(at), signaturetest.Reference(t, testSecret, "id", at, "")), nil)
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
			assert.ErrorIs(t, err, receive.ErrSignature)
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
			assert.ErrorIs(t, err, receive.ErrSignature)
			assert.ErrorContains(t, err, "webhook-timestamp")
		})
	}
	t.Run("milliseconds", func(t *testing.T) {
		header := good.Clone()
		header.Set("webhook-timestamp", now+"000")
		assert.ErrorIs(t, v.Verify(header, []byte("body")), receive.ErrTimestamp)
	})
	t.Run("zero Verifier", func(t *testing.T) {
		assert.ErrorIs(t, new(receive.Verifier).Verify(good, []byte("body")), receive.ErrSignature)
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
			require.ErrorIs(t, err, receive.ErrSignature)
			assert.ErrorContains(t, err, tt.fault)
		})
	}
	old := time.Now().Add(-time.Hour)
	header := svixHeader(signaturetest.Header("a", signaturetest.Unix(old), signaturetest.Reference(t, testSecret, "a", old, "body")))
	require.ErrorIs(t, newVerifier(t, testSecret).Verify(header, []byte("body")), receive.ErrTimestamp)
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
			_, err := receive.NewVerifier(testSecret, secret)
			var invalid *receive.InvalidError
			require.ErrorAs(t, err, &invalid)
			assert.Equal(t, "secrets[1]", invalid.Field)
			if _, key, _ := strings.Cut(secret, "_"); key != "" {
				assert.NotContains(t, err.Error(), key)
			}
		})
	}
	t.Run("a private key", func(t *testing.T) {
		_, private, err := ed25519.GenerateKey(rand.Reader)
		require.NoError(t, err)
		for _, raw := range [][]byte{private, private.Seed()} {
			secret := "whsk_" + base64.StdEncoding.EncodeToString(raw)
			_, err = receive.NewVerifier(secret)
			var invalid *receive.InvalidError
			require.ErrorAs(t, err, &invalid)
			assert.Equal(t, "secrets[0]", invalid.Field)
			assert.Contains(t, invalid.Reason, "must not be a private key")
			assert.NotContains(t, err.Error(), secret[5:])
		}
	})
	t.Run("none", func(t *testing.T) {
		_, err := receive.NewVerifier()
		var invalid *receive.InvalidError
		require.ErrorAs(t, err, &invalid)
		assert.Equal(t, "secrets", invalid.Field)
	})
	for _, size := range []int{24, 64} {
		_, err := receive.NewVerifier("whsec_" + encoded(size))
		assert.NoError(t, err, "%d bytes", size)
	}
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
	public := "whpk_" + base64.StdEncoding.EncodeToString(private.Public().(ed25519.PublicKey))
	f.Fuzz(func(t *testing.T, id, timestamp, list string, body []byte, present uint8) {
		// A timestamp that is no number is refused, whatever is signed.
		seconds, _ := strconv.ParseInt(timestamp, 10, 62)
		at := time.Unix(seconds, 0)
		v1 := signaturetest.Reference(t, testSecret, id, at, string(body))
		v1a := signaturetest.Asymmetric(private, id, at, string(body))
		list = strings.NewReplacer("$", v1, "@", v1a).Replace(list)
		header := http.Header{}
		for i, name := range []string{"webhook-id", "webhook-timestamp", "webhook-signature", "svix-id", "svix-timestamp", "svix-signature"} {
			if present&(1<<i) != 0 {
				header.Set(name, []string{id, timestamp, list}[i%3])
			}
		}
		complete := present&standard == standard || present&(standard|svix) == svix

		check := func(secret string, right string) {
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

func TestVerifierPrintsNoKeys(t *testing.T) {
	v := newVerifier(t, testSecret)
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(testSecret, "whsec_"))
	require.NoError(t, err)
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t"} {
		for _, value := range []any{v, *v, []receive.Verifier{*v}} {
			shown := fmt.Sprintf(format, value)
			for _, secret := range []string{testSecret[6:], strings.Trim(fmt.Sprint(raw), "[]"), fmt.Sprintf("%x", raw), fmt.Sprintf("%X", raw)} {
				assert.NotContains(t, shown, secret, format)
			}
		}
	}
	assert.Equal(t, "verifier of 1 secrets", v.String())
}
