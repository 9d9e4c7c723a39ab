package hooks

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"time"
)

// keySize is that of AES-256.
const keySize = 32

// A Key encrypts the secret part of hooks, with AES-256-GCM (NIST SP 800-38D). See
// [Config].Keys. It prints and marshals without its Secret.
type Key struct {
	// ID names the key in what was encrypted with it, and is no secret. 1 to
	// 128 of the characters a-z, A-Z, 0-9, "_" and "-".
	ID string
	// Secret is 32 random bytes. Make a new key before it has encrypted 2^32
	// changes of hooks (SP 800-38D, section 8.3).
	Secret []byte
}

// String names the key.
func (k Key) String() string { return "key " + k.ID }

// Format writes String for every verb.
func (k Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

// MarshalText returns String.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// LogValue is String, for log/slog.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// A sealingKey encrypts with one key.
type sealingKey struct {
	id   string
	aead cipher.AEAD
}

// A sealFunc is [Config].Seal or Open.
type sealFunc = func(ctx context.Context, place string, data []byte) ([]byte, error)

// The first byte of Hook.Sealed says who can open the rest.
const (
	sealedByKey         = 'k' // the key's ID, a byte of 0, and the output of AES-256-GCM
	sealedByApplication = 'h' // the output of Config.Seal
)

func newSealedHooks(store Store, cfg Config) (*sealedHooks, error) {
	s := &sealedHooks{Store: store, seal: cfg.Seal, open: cfg.Open, log: cfg.Logger, unopened: map[Ref]HookChange{}, resealed: map[Ref]bool{}, stale: map[Ref]bool{}}
	for i, k := range cfg.Keys {
		field := fmt.Sprintf("config.keys[%d]", i)
		if err := checkID(field+".id", k.ID); err != nil {
			return nil, err
		}
		if len(k.Secret) != keySize {
			return nil, &InvalidError{Field: field + ".secret", Reason: fmt.Sprintf("must have %d bytes, not %d", keySize, len(k.Secret))}
		}
		if s.key(k.ID) != nil {
			return nil, &InvalidError{Field: field + ".id", Reason: fmt.Sprintf("%q is there twice", k.ID)}
		}
		block, err := aes.NewCipher(k.Secret)
		if err != nil {
			return nil, err
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, err
		}
		s.keys = append(s.keys, sealingKey{k.ID, aead})
	}
	if cfg.Seal != nil && cfg.Open == nil {
		return nil, &InvalidError{Field: "config.open", Reason: "must be set with config.seal, because nothing else can decrypt its output"}
	}
	return s, nil
}

func (s *sealedHooks) key(id string) *sealingKey {
	for i := range s.keys {
		if s.keys[i].id == id {
			return &s.keys[i]
		}
	}
	return nil
}

// seals reports whether it encrypts.
func (s *sealedHooks) seals() bool { return s.seal != nil || len(s.keys) > 0 }

// A secretPart is the part of a hook that is encrypted, as JSON.
type secretPart struct {
	Headers  map[string]string `json:"headers,omitempty"`
	Secrets  []sealedSecret    `json:"secrets,omitempty"`
	Settings []byte            `json:"settings,omitempty"` // not RawMessage, so that each byte is kept
}

type sealedSecret struct {
	Secret    string    `json:"secret"`
	ExpiresAt time.Time `json:"expiresAt,omitzero"`
}

// sealed returns the hook as the store gets it.
func (s *sealedHooks) sealed(ctx context.Context, h Hook) (Hook, error) {
	h.Sealed = nil
	if len(h.Headers) == 0 && len(h.Secrets) == 0 && len(h.Settings) == 0 {
		return h, nil
	}
	if !s.seals() {
		s.logUnencrypted.Do(s.warnUnencrypted)
		return h, nil
	}
	part := secretPart{Headers: h.Headers, Settings: h.Settings}
	for _, x := range h.Secrets {
		part.Secrets = append(part.Secrets, sealedSecret{string(x.Secret), x.ExpiresAt})
	}
	plain, err := json.Marshal(part)
	if err != nil {
		return Hook{}, err
	}
	if h.Sealed, err = s.encrypt(ctx, placeOf(h.Ref()), plain); err != nil {
		return Hook{}, fmt.Errorf("encrypt the hook: %w", err)
	}
	h.Headers, h.Secrets, h.Settings = nil, nil, nil
	return h, nil
}

func (s *sealedHooks) warnUnencrypted() {
	if _, ok := s.Store.(interface{ Volatile() }); !ok {
		s.log.Info("hooks: secrets, header values and settings of hooks are stored unencrypted, because Config.Keys is not set")
	}
}

func (s *sealedHooks) encrypt(ctx context.Context, place string, plain []byte) ([]byte, error) {
	if s.seal != nil {
		sealed, err := callSeal(ctx, s.seal, place, plain)
		if err == nil && len(sealed) == 0 {
			err = errors.New("Config.Seal returned nothing")
		}
		return append([]byte{sealedByApplication}, sealed...), err
	}
	k := s.keys[0]
	header := append([]byte{sealedByKey}, k.id+"\x00"...)
	return k.aead.Seal(header, nil, plain, []byte(place)), nil //nolint:gosec // G407: the AEAD makes a random nonce.
}

// opened returns the hook that the store keeps as h.
func (s *sealedHooks) opened(ctx context.Context, h Hook) (Hook, error) {
	if len(h.Sealed) == 0 {
		return h, nil
	}
	plain, err := s.decrypt(ctx, placeOf(h.Ref()), h.Sealed)
	if err != nil {
		return Hook{}, fmt.Errorf("hook %q: %w", h.ID, err)
	}
	var part secretPart
	err = json.Unmarshal(plain, &part)
	if err != nil || len(part.Headers) == 0 && len(part.Secrets) == 0 && len(part.Settings) == 0 {
		return Hook{}, fmt.Errorf("hook %q: %w: the plaintext is not what was encrypted", h.ID, ErrSealed)
	}
	h.Sealed, h.Headers, h.Settings = nil, part.Headers, part.Settings
	for _, x := range part.Secrets {
		h.Secrets = append(h.Secrets, SigningSecret{Secret(x.Secret), x.ExpiresAt})
	}
	return h, nil
}

func (s *sealedHooks) decrypt(ctx context.Context, place string, sealed []byte) ([]byte, error) {
	if sealed[0] == sealedByApplication {
		if s.open == nil {
			return nil, fmt.Errorf("%w: Config.Seal has encrypted it, and Config.Open is not set", ErrSealed)
		}
		return callSeal(ctx, s.open, place, sealed[1:])
	}
	id, data, ok := ofKey(sealed)
	if !ok {
		return nil, fmt.Errorf("%w: what is stored has no known form", ErrSealed)
	}
	k := s.key(id)
	if k == nil {
		return nil, fmt.Errorf("%w: it was encrypted with the key %q, which Config.Keys lacks", ErrSealed, id)
	}
	plain, err := k.aead.Open(nil, nil, data, []byte(place))
	if err != nil {
		return nil, fmt.Errorf("%w: what is stored was altered, belongs to another hook, or was encrypted with another key %q", ErrSealed, id)
	}
	return plain, nil
}

// ofKey returns the ID of the key that has encrypted this, if one has, and what it
// has made.
func ofKey(sealed []byte) (id string, data []byte, ok bool) {
	if sealed[0] != sealedByKey {
		return "", nil, false
	}
	name, data, ok := bytes.Cut(sealed[1:], []byte{0})
	return string(name), data, ok
}

// placeOf returns the associated data that binds a ciphertext to its hook, so that
// ciphertexts in the store cannot be exchanged.
func placeOf(ref Ref) string { return "hooks/" + url.PathEscape(ref.Tenant) + "/" + ref.ID }

// callSeal calls code of the application.
func callSeal(ctx context.Context, call sealFunc, place string, data []byte) (result []byte, err error) {
	err = isolate(func() (err error) {
		result, err = call(ctx, place, data)
		return err
	})
	return result, err
}
