package signature_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed-2c6e3a5a/hooks/internal/signature"
)

// A secret is one that signs, until it expires.
type secret struct {
	text    string
	expires time.Time
}

func newSigner(t require.TestingT, secrets ...secret) *signature.Signer {
	s := new(signature.Signer)
	for _, x := range secrets {
		k, err := signature.ParseKey(x.text)
		require.NoError(t, err)
		require.True(t, k.CanSign())
		s.Add(k, x.expires)
	}
	return s
}

func TestSignerGivesPublishedSignatures(t *testing.T) {
	raw, err := os.ReadFile("testdata/signatures.json")
	require.NoError(t, err)
	var vectors []struct {
		Source, Secret, ID, Body, Signature string
		Timestamp                           int64
	}
	require.NoError(t, json.Unmarshal(raw, &vectors))
	require.NotEmpty(t, vectors)
	for _, v := range vectors {
		t.Run(v.Source, func(t *testing.T) {
			s := newSigner(t, secret{text: v.Secret})
			assert.Equal(t, v.Signature, s.Sign(v.ID, time.Unix(v.Timestamp, 0), []byte(v.Body)))
		})
	}
}

// Every symmetric secret that is accepted makes signatures that the reference
// library accepts, for any id and body and however often the signer is used.
func TestReferenceLibraryAcceptsOurSignatures(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), 24, 64).Draw(t, "key")
		text := "whsec_" + base64.StdEncoding.EncodeToString(key)
		s := newSigner(t, secret{text: signature.NewSecret()}, secret{text: text})
		reference, err := standardwebhooks.NewWebhook(text)
		require.NoError(t, err)
		for range 3 {
			id := rapid.StringN(1, 200, -1).Draw(t, "id")
			body := rapid.SliceOf(rapid.Byte()).Draw(t, "body")
			now := time.Now()
			err := reference.Verify(body, http.Header{
				signature.HeaderID:        {id},
				signature.HeaderTimestamp: {strconv.FormatInt(now.Unix(), 10)},
				signature.HeaderSignature: {s.Sign(id, now, body)},
			})
			require.NoError(t, err)
		}
	})
}

func TestSignerLeavesOutExpiredSecrets(t *testing.T) {
	end := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	private, _ := signature.NewKeyPair()
	current := secret{text: signature.NewSecret()}
	rotated := secret{signature.NewSecret(), end}
	asymmetric := secret{private, end}

	one := func(x secret, now time.Time) string {
		return newSigner(t, secret{text: x.text}).Sign("id", now, nil)
	}
	tests := []struct {
		name    string
		secrets []secret
		now     time.Time
		signed  []secret
	}{
		{"no secrets", nil, end, nil},
		{"all before the end, in order", []secret{current, rotated, asymmetric}, end.Add(-time.Nanosecond), []secret{current, rotated, asymmetric}},
		{"another order", []secret{asymmetric, current}, end.Add(-time.Second), []secret{asymmetric, current}},
		{"only the lasting one at the end", []secret{rotated, current, asymmetric}, end, []secret{current}},
		{"none left", []secret{rotated, asymmetric}, end.Add(time.Hour), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var want []string
			for _, secret := range tt.signed {
				want = append(want, one(secret, tt.now))
			}
			got := newSigner(t, tt.secrets...).Sign("id", tt.now, nil)
			assert.Equal(t, strings.Join(want, " "), got)
		})
	}
}

func TestSignerIsSafeForConcurrentUse(t *testing.T) {
	private, _ := signature.NewKeyPair()
	s := newSigner(t, secret{text: signature.NewSecret()}, secret{text: private})
	now := time.Now()
	var wg sync.WaitGroup
	for i := range 8 {
		id, body := strconv.Itoa(i), bytes.Repeat([]byte{byte(i)}, 100*i)
		want := s.Sign(id, now, body)
		wg.Go(func() {
			for range 50 {
				assert.Equal(t, want, s.Sign(id, now, body))
			}
		})
	}
	wg.Wait()
}

func TestPublicKeysDoNotSign(t *testing.T) {
	private, public := signature.NewKeyPair()
	for text, canSign := range map[string]bool{private: true, public: false, signature.NewSecret(): true} {
		k, err := signature.ParseKey(text)
		require.NoError(t, err)
		assert.Equal(t, canSign, k.CanSign())
	}
	assert.Equal(t, public, signature.ForReceiver(private))
	assert.Equal(t, public, signature.ForReceiver(public))
}

func BenchmarkSign(b *testing.B) {
	private, _ := signature.NewKeyPair()
	symmetric, asymmetric := secret{text: signature.NewSecret()}, secret{text: private}
	body := bytes.Repeat([]byte("x"), 1024)
	now := time.Now()
	for _, bb := range []struct {
		name    string
		secrets []secret
	}{
		{"v1", []secret{symmetric}},
		{"v1-rotation", []secret{symmetric, {text: signature.NewSecret()}}},
		{"v1a", []secret{asymmetric}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			s := newSigner(b, bb.secrets...)
			b.ReportAllocs()
			for b.Loop() {
				s.Sign("0197f1c2-5a7e-7c3d-9b1e-2f8d6a4c0e5b", now, body)
			}
		})
	}
}
