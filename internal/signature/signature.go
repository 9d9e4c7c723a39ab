// Package signature has what senders and receivers of Standard Webhooks 1.0.0 have
// in common: the names of headers, the textual form of secrets, and signatures.
package signature

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strings"
)

// The headers of a signed request, in canonical form.
const (
	HeaderID        = "Webhook-Id"
	HeaderTimestamp = "Webhook-Timestamp"
	HeaderSignature = "Webhook-Signature"
)

// VerificationType is the type of the event by which a sender asks an endpoint
// whether it wants a hook's traffic.
const VerificationType = "hook.verification"

// The prefixes of secrets (Standard Webhooks 1.0.0, "Signature scheme").
const (
	SymmetricPrefix = "whsec_"
	PrivatePrefix   = "whsk_"
	PublicPrefix    = "whpk_"
)

// The sizes of a symmetric key in bytes, of the same section.
const (
	minSymmetric = 24
	maxSymmetric = 64
)

// NewSecret makes a symmetric secret: the prefix and the base64 of 32 random bytes.
func NewSecret() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails, by its contract
	return SymmetricPrefix + base64.StdEncoding.EncodeToString(key)
}

// NewKeyPair makes an ed25519 key pair: the private key, which has seed and public
// key, and the public key, both with their prefixes.
func NewKeyPair() (private, public string) {
	seed := make([]byte, ed25519.SeedSize)
	_, _ = rand.Read(seed) // never fails, by its contract
	key := ed25519.NewKeyFromSeed(seed)
	return PrivatePrefix + base64.StdEncoding.EncodeToString(key),
		PublicPrefix + base64.StdEncoding.EncodeToString(key[ed25519.SeedSize:])
}

// ParseKey reads a secret. Its error is the rule that the secret breaks, as the end of
// a sentence ("must ..."), and never holds the secret.
func ParseKey(secret string) (Key, error) {
	start := strings.IndexByte(secret, '_') + 1
	prefix := secret[:start]
	raw, err := base64.StdEncoding.DecodeString(secret[start:])
	size := len(raw)
	switch {
	case prefix != SymmetricPrefix && prefix != PrivatePrefix && prefix != PublicPrefix:
		return Key{}, errors.New(`must start with "whsec_", "whsk_" or "whpk_"`)
	case err != nil:
		return Key{}, errors.New("must be padded standard base64 after its prefix")
	case prefix == SymmetricPrefix && (size < minSymmetric || size > maxSymmetric):
		return Key{}, errors.New("must hold a key of 24 to 64 bytes")
	case prefix == PrivatePrefix && size != ed25519.PrivateKeySize && size != ed25519.SeedSize:
		return Key{}, errors.New("must hold an ed25519 private key of 64 bytes, or its seed of 32")
	case prefix == PublicPrefix && size != ed25519.PublicKeySize:
		return Key{}, errors.New("must hold an ed25519 public key of 32 bytes")
	case prefix == SymmetricPrefix:
		return Key{macs: newMACs(raw)}, nil
	case prefix == PublicPrefix:
		return Key{public: raw}, nil
	}
	private := ed25519.NewKeyFromSeed(raw[:ed25519.SeedSize])
	// Signing under a public key of another seed would give the seed away.
	if size == ed25519.PrivateKeySize && !private.Equal(ed25519.PrivateKey(raw)) {
		return Key{}, errors.New("must hold the public key that belongs to its seed")
	}
	return Key{private: private, public: private.Public().(ed25519.PublicKey)}, nil
}

// ForReceiver returns the secret that verifies what the given one signs: the public key
// of a private one, else the same secret.
func ForReceiver(secret string) string {
	k, err := ParseKey(secret)
	if err != nil || !k.IsPrivate() {
		return secret
	}
	return PublicPrefix + base64.StdEncoding.EncodeToString(k.public)
}
