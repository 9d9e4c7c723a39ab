// Package signaturetest has signatures of others than this project, to compare with.
package signaturetest

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"
)

// Two symmetric secrets.
const (
	Secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" //nolint:gosec // G101: it is published.
	Other  = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD" //nolint:gosec // G101: as above.
)

// Reference returns the signature that the reference library makes.
func Reference(t require.TestingT, secret, id string, at time.Time, body string) string {
	wh, err := standardwebhooks.NewWebhook(secret)
	require.NoError(t, err)
	signature, err := wh.Sign(id, at, []byte(body))
	require.NoError(t, err)
	return signature
}

// Asymmetric returns a v1a signature by the letter of the specification.
func Asymmetric(key ed25519.PrivateKey, id string, at time.Time, body string) string {
	content := fmt.Sprintf("%s.%d.%s", id, at.Unix(), body)
	return "v1a," + base64.StdEncoding.EncodeToString(ed25519.Sign(key, []byte(content)))
}

// Header returns the three headers of a webhook.
func Header(id, timestamp, signatures string) http.Header {
	h := http.Header{}
	h.Set("webhook-id", id)
	h.Set("webhook-timestamp", timestamp)
	h.Set("webhook-signature", signatures)
	return h
}

// Unix returns the value of webhook-timestamp for a time.
func Unix(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }
