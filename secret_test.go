package hooks_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/internal/signature/signaturetest"
	"github.com/seed-2c6e3a5a/hooks/receive"
)

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
	header := signaturetest.Header("id", signaturetest.Unix(now), signaturetest.Asymmetric(key, "id", now, "body"))
	assert.NoError(t, newVerifier(t, hooks.Secret(public)).Verify(header, []byte("body")))
	_, other := hooks.NewKeyPair()
	assert.ErrorIs(t, newVerifier(t, hooks.Secret(other)).Verify(header, []byte("body")), receive.ErrSignature)
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

	values := map[string]any{
		"itself":  secret,
		"pointer": &secret,
		"slice":   []hooks.Secret{secret},
		"map":     map[string]hooks.Secret{"k": secret},
		"struct":  struct{ S hooks.Secret }{secret},
		"hook":    hooks.Hook{ID: "h", Secrets: []hooks.SigningSecret{{Secret: secret}}},
	}
	for name, value := range values {
		t.Run(name, func(t *testing.T) {
			var shown strings.Builder
			for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t"} {
				fmt.Fprintf(&shown, format+"\n", value)
			}
			text, err := json.Marshal(value)
			require.NoError(t, err)
			shown.Write(text)
			assert.Contains(t, string(text), "[redacted]")
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
