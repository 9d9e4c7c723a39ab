package hooks

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
)

func newTestSigner(t require.TestingT, secrets ...SigningSecret) *signer {
	s, err := newSigner("secrets", secrets)
	require.NoError(t, err)
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
			s := newTestSigner(t, SigningSecret{Secret: Secret(v.Secret)})
			assert.Equal(t, v.Signature, s.sign(v.ID, time.Unix(v.Timestamp, 0), []byte(v.Body)))
		})
	}
}

// Every symmetric secret that is accepted makes signatures that the reference
// library accepts, for any id and body and however often the signer is used.
func TestReferenceLibraryAcceptsOurSignatures(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), minSymmetric, maxSymmetric).Draw(t, "key")
		secret := Secret(symmetricPrefix + base64.StdEncoding.EncodeToString(key))
		s := newTestSigner(t, SigningSecret{Secret: NewSecret()}, SigningSecret{Secret: secret})
		reference, err := standardwebhooks.NewWebhook(string(secret))
		require.NoError(t, err)
		for range 3 {
			id := rapid.StringN(1, 200, -1).Draw(t, "id")
			body := rapid.SliceOf(rapid.Byte()).Draw(t, "body")
			now := time.Now()
			err := reference.Verify(body, http.Header{
				headerID:        {id},
				headerTimestamp: {strconv.FormatInt(now.Unix(), 10)},
				headerSignature: {s.sign(id, now, body)},
			})
			require.NoError(t, err)
		}
	})
}

func TestSignerLeavesOutExpiredSecrets(t *testing.T) {
	end := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	private, _ := NewKeyPair()
	current := SigningSecret{Secret: NewSecret()}
	rotated := SigningSecret{Secret: NewSecret(), ExpiresAt: end}
	asymmetric := SigningSecret{Secret: private, ExpiresAt: end}

	one := func(secret SigningSecret, now time.Time) string {
		return newTestSigner(t, SigningSecret{Secret: secret.Secret}).sign("id", now, nil)
	}
	tests := []struct {
		name    string
		secrets []SigningSecret
		now     time.Time
		signed  []SigningSecret
	}{
		{"no secrets", nil, end, nil},
		{"all before the end, in order", []SigningSecret{current, rotated, asymmetric}, end.Add(-time.Nanosecond), []SigningSecret{current, rotated, asymmetric}},
		{"another order", []SigningSecret{asymmetric, current}, end.Add(-time.Second), []SigningSecret{asymmetric, current}},
		{"only the lasting one at the end", []SigningSecret{rotated, current, asymmetric}, end, []SigningSecret{current}},
		{"none left", []SigningSecret{rotated, asymmetric}, end.Add(time.Hour), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var want []string
			for _, secret := range tt.signed {
				want = append(want, one(secret, tt.now))
			}
			got := newTestSigner(t, tt.secrets...).sign("id", tt.now, nil)
			assert.Equal(t, strings.Join(want, " "), got)
		})
	}
}

func TestSignerIsSafeForConcurrentUse(t *testing.T) {
	private, _ := NewKeyPair()
	s := newTestSigner(t, SigningSecret{Secret: NewSecret()}, SigningSecret{Secret: private})
	now := time.Now()
	var wg sync.WaitGroup
	for i := range 8 {
		id, body := strconv.Itoa(i), bytes.Repeat([]byte{byte(i)}, 100*i)
		want := s.sign(id, now, body)
		wg.Go(func() {
			for range 50 {
				assert.Equal(t, want, s.sign(id, now, body))
			}
		})
	}
	wg.Wait()
}

func TestNewSignerNamesTheFaultySecret(t *testing.T) {
	_, public := NewKeyPair()
	for _, faulty := range []Secret{"", "whsec_AAAA", Secret(public)} {
		_, err := newSigner("hook.secrets", []SigningSecret{{Secret: NewSecret()}, {Secret: faulty}})
		var invalid *InvalidError
		require.ErrorAs(t, err, &invalid)
		assert.Equal(t, "hook.secrets[1]", invalid.Field)
	}
}

func BenchmarkSign(b *testing.B) {
	private, _ := NewKeyPair()
	symmetric, asymmetric := SigningSecret{Secret: NewSecret()}, SigningSecret{Secret: private}
	body := bytes.Repeat([]byte("x"), 1024)
	now := time.Now()
	for _, bb := range []struct {
		name    string
		secrets []SigningSecret
	}{
		{"v1", []SigningSecret{symmetric}},
		{"v1-rotation", []SigningSecret{symmetric, {Secret: NewSecret()}}},
		{"v1a", []SigningSecret{asymmetric}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			s := newTestSigner(b, bb.secrets...)
			b.ReportAllocs()
			for b.Loop() {
				s.sign("0197f1c2-5a7e-7c3d-9b1e-2f8d6a4c0e5b", now, body)
			}
		})
	}
}
