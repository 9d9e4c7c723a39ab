package hooks

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"hash"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The headers of a signed request, in canonical form.
const (
	headerID        = "Webhook-Id"
	headerTimestamp = "Webhook-Timestamp"
	headerSignature = "Webhook-Signature"
)

// The starts of the two kinds of signature; base64 follows.
const (
	symmetricVersion  = "v1,"
	asymmetricVersion = "v1a,"
)

// A signer makes the webhook-signature header for one hook. It may be used
// concurrently.
type signer struct{ keys []signingKey }

type signingKey struct {
	key
	expires time.Time // zero: never
}

// newSigner prepares the secrets. The error is an [InvalidError] whose field is
// an element of the given one, for example "secrets[1]".
func newSigner(field string, secrets []SigningSecret) (*signer, error) {
	s := &signer{keys: make([]signingKey, len(secrets))}
	for i, secret := range secrets {
		element := fmt.Sprintf("%s[%d]", field, i)
		k, err := parseKey(element, secret.Secret)
		if err != nil {
			return nil, err
		}
		if !k.signs() {
			return nil, &InvalidError{Field: element, Reason: `must not be a public key: "whsk_" signs`}
		}
		s.keys[i] = signingKey{k, secret.ExpiresAt}
	}
	return s, nil
}

// sign returns the value of the webhook-signature header of a request that
// carries this id and body, and now as its timestamp: a signature of each
// secret that has not expired, in their order. It is empty if there is none.
func (s *signer) sign(id string, now time.Time, body []byte) string {
	var onStack [192]byte // room for three symmetric signatures
	list := onStack[:0]
	for i := range s.keys {
		k := &s.keys[i]
		if !k.expires.IsZero() && !now.Before(k.expires) {
			continue
		}
		if len(list) > 0 {
			list = append(list, ' ')
		}
		list = k.appendSignature(list, id, now.Unix(), body)
	}
	return string(list)
}

// A key is a parsed secret: symmetric if macs is set, else asymmetric, and
// without private only to verify with. It may be used concurrently.
type key struct {
	macs    *sync.Pool // of *mac
	private ed25519.PrivateKey
	public  ed25519.PublicKey
}

func (k *key) signs() bool { return k.macs != nil || k.private != nil }

// appendSignature appends "v1,<base64>" or "v1a,<base64>" to dst. The key must
// be one that signs.
func (k *key) appendSignature(dst []byte, id string, unix int64, body []byte) []byte {
	if k.macs == nil {
		signature := ed25519.Sign(k.private, signedContent(id, unix, body))
		return base64.StdEncoding.AppendEncode(append(dst, asymmetricVersion...), signature)
	}
	m := k.macs.Get().(*mac)
	dst = base64.StdEncoding.AppendEncode(append(dst, symmetricVersion...), m.sum(id, unix, body))
	k.macs.Put(m)
	return dst
}

// verifies reports whether one of the signatures is the key's.
func (k *key) verifies(signatures []string, id string, unix int64, body []byte) bool {
	if k.macs != nil {
		want := k.appendSignature(nil, id, unix, body)
		for _, s := range signatures {
			if subtle.ConstantTimeCompare([]byte(s), want) == 1 {
				return true
			}
		}
		return false
	}
	content := signedContent(id, unix, body)
	for _, s := range signatures {
		encoded, ok := strings.CutPrefix(s, asymmetricVersion)
		if !ok {
			continue
		}
		signature, err := base64.StdEncoding.Strict().DecodeString(encoded)
		if err == nil && ed25519.Verify(k.public, content, signature) {
			return true
		}
	}
	return false
}

// A mac computes the HMAC-SHA256 of one message at a time. Resetting one is
// cheaper than making one, which hashes the key anew.
type mac struct {
	hash hash.Hash
	buf  []byte
}

func newMACs(secret []byte) *sync.Pool {
	return &sync.Pool{New: func() any { return &mac{hash: hmac.New(sha256.New, secret)} }}
}

// sum returns the HMAC of the signed content, valid until the next call.
func (m *mac) sum(id string, unix int64, body []byte) []byte {
	m.hash.Reset()
	m.buf = appendHead(m.buf[:0], id, unix)
	m.hash.Write(m.buf)
	m.hash.Write(body)
	m.buf = m.hash.Sum(m.buf[:0])
	return m.buf
}

// signedContent returns "{id}.{timestamp}.{body}".
func signedContent(id string, unix int64, body []byte) []byte {
	return append(appendHead(nil, id, unix), body...)
}

// appendHead appends what precedes the body in the signed content.
func appendHead(dst []byte, id string, unix int64) []byte {
	dst = append(dst, id...)
	dst = append(dst, '.')
	dst = strconv.AppendInt(dst, unix, 10)
	return append(dst, '.')
}
