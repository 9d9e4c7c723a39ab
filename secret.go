package hooks

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
)

// A Secret is a signing secret in its textual form, which for Standard
// Webhooks is one of
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

// The prefixes of Standard Webhooks 1.0.0, "Signature scheme".
const (
	symmetricPrefix = "whsec_"
	privatePrefix   = "whsk_"
	publicPrefix    = "whpk_"
)

// The sizes of a symmetric key in bytes, of the same section.
const (
	minSymmetric = 24
	maxSymmetric = 64
)

// NewSecret makes a symmetric signing secret: "whsec_" and the base64 of 32
// random bytes.
func NewSecret() Secret {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails, by its contract
	return Secret(symmetricPrefix + base64.StdEncoding.EncodeToString(key))
}

// NewKeyPair makes an ed25519 key pair. The private key, "whsk_" and the
// base64 of seed and public key, signs as one of [Hook].Secrets; the public
// key, "whpk_" and base64, is for the receiver.
func NewKeyPair() (private Secret, public string) {
	seed := make([]byte, ed25519.SeedSize)
	_, _ = rand.Read(seed) // never fails, by its contract
	key := ed25519.NewKeyFromSeed(seed)
	private = Secret(privatePrefix + base64.StdEncoding.EncodeToString(key))
	public = publicPrefix + base64.StdEncoding.EncodeToString(key[ed25519.SeedSize:])
	return private, public
}

// parseKey reads a secret. Its error is an [InvalidError] with the given field
// and never holds the secret.
func parseKey(field string, s Secret) (key, error) {
	invalid := func(reason string) (key, error) { return key{}, &InvalidError{Field: field, Reason: reason} }
	start := strings.IndexByte(string(s), '_') + 1
	prefix := string(s[:start])
	raw, err := base64.StdEncoding.DecodeString(string(s[start:]))
	size := len(raw)
	switch {
	case prefix != symmetricPrefix && prefix != privatePrefix && prefix != publicPrefix:
		return invalid(`must start with "whsec_", "whsk_" or "whpk_"`)
	case err != nil:
		return invalid("must be padded standard base64 after its prefix")
	case prefix == symmetricPrefix && (size < minSymmetric || size > maxSymmetric):
		return invalid("must hold a key of 24 to 64 bytes")
	case prefix == privatePrefix && size != ed25519.PrivateKeySize && size != ed25519.SeedSize:
		return invalid("must hold an ed25519 private key of 64 bytes, or its seed of 32")
	case prefix == publicPrefix && size != ed25519.PublicKeySize:
		return invalid("must hold an ed25519 public key of 32 bytes")
	}

	switch prefix {
	case symmetricPrefix:
		return key{macs: newMACs(raw)}, nil
	case publicPrefix:
		return key{public: raw}, nil
	}
	private := ed25519.NewKeyFromSeed(raw[:ed25519.SeedSize])
	// Signing under a public key of another seed would give the seed away.
	if size == ed25519.PrivateKeySize && !private.Equal(ed25519.PrivateKey(raw)) {
		return invalid("must hold the public key that belongs to its seed")
	}
	return key{private: private, public: private.Public().(ed25519.PublicKey)}, nil
}
