package hooks

import (
	"fmt"
	"io"

	"github.com/seed-2c6e3a5a/hooks/internal/signature"
)

// A Secret is a signing secret in its textual form. Other protocols may have forms of
// their own. For Standard Webhooks it is one of
//
//   - "whsec_" and the base64 of a symmetric key of 24 to 64 bytes,
//   - "whsk_" and the base64 of an ed25519 private key: the 32 bytes of the
//     seed (RFC 8032, section 5.1.5) followed by the 32 bytes of the public
//     key, or the seed alone,
//   - "whpk_" and the base64 of an ed25519 public key of 32 bytes, which
//     verifies but does not sign and need not be kept secret.
//
// It prints, logs and marshals as "[redacted]"; string(secret) is the secret
// itself. Two habits of the standard library get past that: fmt looks into the
// unexported fields of a struct without asking their types, and encoding/json
// writes the keys of a map as they are.
type Secret string

const redacted = "[redacted]"

// String returns "[redacted]".
func (Secret) String() string { return redacted }

// Format writes "[redacted]" for every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText returns "[redacted]".
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// NewSecret makes a symmetric signing secret: "whsec_" and the base64 of 32
// random bytes.
func NewSecret() Secret { return Secret(signature.NewSecret()) }

// NewKeyPair makes an ed25519 key pair. The private key, "whsk_" and the base64 of
// seed and public key, signs as one of [Hook].Secrets. The public key, "whpk_" and
// base64, is for the receiver, who needs package receive or another implementation of
// "v1a" signatures: many libraries for Standard Webhooks know symmetric secrets only.
func NewKeyPair() (private Secret, public string) {
	key, public := signature.NewKeyPair()
	return Secret(key), public
}

// newSigner returns a signer with these secrets. The error is an [InvalidError] whose
// field is an element of "secrets", for example "secrets[1]".
func newSigner(secrets []SigningSecret) (*signature.Signer, error) {
	s := new(signature.Signer)
	for i, secret := range secrets {
		field := fmt.Sprintf("secrets[%d]", i)
		k, err := signature.ParseKey(string(secret.Secret))
		if err != nil {
			return nil, &InvalidError{Field: field, Reason: err.Error()}
		}
		if !k.CanSign() {
			return nil, &InvalidError{Field: field, Reason: `must not be a public key: "whsk_" signs`}
		}
		s.Add(k, secret.ExpiresAt)
	}
	return s, nil
}
