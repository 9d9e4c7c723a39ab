package hooks_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/internal/signature"
	"github.com/seed-2c6e3a5a/hooks/receive"
)

// What tests need to sign requests and to check signatures.

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

func unix(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

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
