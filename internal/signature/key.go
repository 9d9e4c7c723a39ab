package signature

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"hash"
	"strconv"
	"strings"
	"sync"
)

// The starts of the two kinds of signature; base64 follows.
const (
	symmetricVersion  = "v1,"
	asymmetricVersion = "v1a,"
)

// A Key is a parsed secret: symmetric if macs is set, else asymmetric. Without
// private it can only verify. It may be used concurrently.
type Key struct {
	macs    *sync.Pool // of *mac
	private ed25519.PrivateKey
	public  ed25519.PublicKey
}

// CanSign reports whether the key makes signatures. A public one does not.
func (k *Key) CanSign() bool { return k.macs != nil || k.private != nil }

// IsPrivate reports whether the key is the private one of a pair.
func (k *Key) IsPrivate() bool { return k.private != nil }

// Append appends the signature "v1,<base64>" or "v1a,<base64>" to dst. The key must
// be able to sign.
func (k *Key) Append(dst []byte, id string, unix int64, body []byte) []byte {
	if k.macs == nil {
		signature := ed25519.Sign(k.private, signedContent(id, unix, body))
		return base64.StdEncoding.AppendEncode(append(dst, asymmetricVersion...), signature)
	}
	m := k.macs.Get().(*mac)
	dst = base64.StdEncoding.AppendEncode(append(dst, symmetricVersion...), m.sum(id, unix, body))
	k.macs.Put(m)
	return dst
}

// Verifies reports whether one of the signatures was made with the key, or with the
// private one that belongs to it.
func (k *Key) Verifies(signatures []string, id string, unix int64, body []byte) bool {
	if k.macs != nil {
		want := k.Append(nil, id, unix, body)
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
