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
	"sync"
	"time"
)

// ErrSealed says that the secret part of a hook cannot be decrypted: its key is
// missing, or what is stored has been altered or belongs to another hook.
var ErrSealed = errors.New("the hook cannot be decrypted")

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

// A vault is the HookStore of a Manager: it encrypts the secret part of hooks
// before they reach the store below, and decrypts it when they leave it. So all
// stores keep secrets in the same way, and none knows a key.
type vault struct {
	HookStore
	keys       []sealer // the first is the current one
	seal, open sealFunc // of the host
	log        *slog.Logger
	tell       sync.Once

	// unopened are the changes of hooks that open has failed for.
	unopened map[Ref]HookChange
	// resealed are the hooks that reseal has stored.
	resealed map[Ref]bool

	mu sync.Mutex
	// stale are the hooks that are not stored as the current key would have it, or
	// may not be.
	stale map[Ref]bool
}

// A sealer encrypts with one key.
type sealer struct {
	id   string
	aead cipher.AEAD
}

// A sealFunc is [Config].Seal or Open.
type sealFunc = func(ctx context.Context, place string, data []byte) ([]byte, error)

// The first byte of Hook.Sealed says who can open the rest.
const (
	sealedByKey  = 'k' // the key's ID, a byte of 0, and the output of AES-256-GCM
	sealedByHost = 'h' // the output of Config.Seal
)

func newVault(store HookStore, cfg Config) (*vault, error) {
	v := &vault{HookStore: store, seal: cfg.Seal, open: cfg.Open, log: cfg.Logger, unopened: map[Ref]HookChange{}, resealed: map[Ref]bool{}, stale: map[Ref]bool{}}
	for i, k := range cfg.Keys {
		field := fmt.Sprintf("config.keys[%d]", i)
		if err := checkID(field+".id", k.ID); err != nil {
			return nil, err
		}
		if len(k.Secret) != keySize {
			return nil, &InvalidError{Field: field + ".secret", Reason: fmt.Sprintf("must have %d bytes, not %d", keySize, len(k.Secret))}
		}
		if v.sealer(k.ID) != nil {
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
		v.keys = append(v.keys, sealer{k.ID, aead})
	}
	if cfg.Seal != nil && cfg.Open == nil {
		return nil, &InvalidError{Field: "config.open", Reason: "must be set with config.seal, because nothing else can decrypt its output"}
	}
	return v, nil
}

func (v *vault) sealer(id string) *sealer {
	for i := range v.keys {
		if v.keys[i].id == id {
			return &v.keys[i]
		}
	}
	return nil
}

// seals reports whether the vault encrypts.
func (v *vault) seals() bool { return v.seal != nil || len(v.keys) > 0 }

// A secretPart is what of a hook is encrypted, as JSON.
type secretPart struct {
	Headers  map[string]string `json:"headers,omitempty"`
	Secrets  []sealedSecret    `json:"secrets,omitempty"`
	Settings []byte            `json:"settings,omitempty"` // not RawMessage, so that each byte is kept
}

type sealedSecret struct {
	Secret    string    `json:"secret"`
	ExpiresAt time.Time `json:"expiresAt,omitzero"`
}

// closed returns the hook as the store gets it.
func (v *vault) closed(ctx context.Context, h Hook) (Hook, error) {
	h.Sealed = nil
	if len(h.Headers) == 0 && len(h.Secrets) == 0 && len(h.Settings) == 0 {
		return h, nil
	}
	if !v.seals() {
		v.tell.Do(v.tellUnencrypted)
		return h, nil
	}
	part := secretPart{Headers: h.Headers, Settings: h.Settings}
	for _, s := range h.Secrets {
		part.Secrets = append(part.Secrets, sealedSecret{string(s.Secret), s.ExpiresAt})
	}
	plain, err := json.Marshal(part)
	if err != nil {
		return Hook{}, err
	}
	if h.Sealed, err = v.encrypt(ctx, placeOf(h.Ref()), plain); err != nil {
		return Hook{}, fmt.Errorf("encrypt the hook: %w", err)
	}
	h.Headers, h.Secrets, h.Settings = nil, nil, nil
	return h, nil
}

func (v *vault) tellUnencrypted() {
	if _, ok := v.HookStore.(Volatile); !ok {
		v.log.Info("hooks: secrets, header values and settings of hooks are stored unencrypted, because Config.Keys is not set")
	}
}

func (v *vault) encrypt(ctx context.Context, place string, plain []byte) ([]byte, error) {
	if v.seal != nil {
		sealed, err := callSeal(ctx, v.seal, place, plain)
		if err == nil && len(sealed) == 0 {
			err = errors.New("Config.Seal returned nothing")
		}
		return append([]byte{sealedByHost}, sealed...), err
	}
	k := v.keys[0]
	header := append([]byte{sealedByKey}, k.id+"\x00"...)
	return k.aead.Seal(header, nil, plain, []byte(place)), nil //nolint:gosec // G407: the AEAD makes a random nonce.
}

// opened returns the hook that the store keeps as h.
func (v *vault) opened(ctx context.Context, h Hook) (Hook, error) {
	if len(h.Sealed) == 0 {
		return h, nil
	}
	plain, err := v.decrypt(ctx, placeOf(h.Ref()), h.Sealed)
	if err != nil {
		return Hook{}, fmt.Errorf("hook %q: %w", h.ID, err)
	}
	var part secretPart
	err = json.Unmarshal(plain, &part)
	if err != nil || len(part.Headers) == 0 && len(part.Secrets) == 0 && len(part.Settings) == 0 {
		return Hook{}, fmt.Errorf("hook %q: %w: the plaintext is not what was encrypted", h.ID, ErrSealed)
	}
	h.Sealed, h.Headers, h.Settings = nil, part.Headers, part.Settings
	for _, s := range part.Secrets {
		h.Secrets = append(h.Secrets, SigningSecret{Secret(s.Secret), s.ExpiresAt})
	}
	return h, nil
}

func (v *vault) decrypt(ctx context.Context, place string, sealed []byte) ([]byte, error) {
	if sealed[0] == sealedByHost {
		if v.open == nil {
			return nil, fmt.Errorf("%w: Config.Seal has encrypted it, and Config.Open is not set", ErrSealed)
		}
		return callSeal(ctx, v.open, place, sealed[1:])
	}
	id, data, ok := ofKey(sealed)
	if !ok {
		return nil, fmt.Errorf("%w: what is stored has no known form", ErrSealed)
	}
	k := v.sealer(id)
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

// placeOf names a hook where it is bound to its ciphertext, so that rows of the
// store cannot be exchanged.
func placeOf(ref Ref) string { return "hooks/" + url.PathEscape(ref.Tenant) + "/" + ref.ID }

// callSeal calls code of the host.
func callSeal(ctx context.Context, call sealFunc, place string, data []byte) (result []byte, err error) {
	err = isolate(func() (err error) {
		result, err = call(ctx, place, data)
		return err
	})
	return result, err
}

// CreateHook implements HookStore.
func (v *vault) CreateHook(ctx context.Context, h Hook, limit int) error {
	h, err := v.closed(ctx, h)
	if err != nil {
		return err
	}
	return v.HookStore.CreateHook(ctx, h, limit)
}

// UpdateHook implements HookStore.
func (v *vault) UpdateHook(ctx context.Context, h Hook) error {
	h, err := v.closed(ctx, h)
	if err != nil {
		return err
	}
	return v.HookStore.UpdateHook(ctx, h)
}

// Hooks implements HookStore.
func (v *vault) Hooks(ctx context.Context, q HookQuery) (Page[Hook], error) {
	page, err := v.HookStore.Hooks(ctx, q)
	if err != nil {
		return page, err
	}
	for i := range page.Items {
		if page.Items[i], err = v.opened(ctx, page.Items[i]); err != nil {
			return Page[Hook]{}, err
		}
	}
	return page, nil
}

// HookChanges implements HookStore. A hook that nothing can open is damaged. One
// that Config.Open has failed for comes with an unopenedError, and once more as soon
// as it can be opened. When ctx ends, what was opened is returned with its error.
// Only one call may be under way at a time.
func (v *vault) HookChanges(ctx context.Context, after int64, limit int) ([]HookChange, error) {
	stored, err := v.HookStore.HookChanges(ctx, after, limit)
	if err != nil {
		return nil, err
	}
	for _, c := range stored {
		delete(v.unopened, c.Hook.Ref())
	}
	l := look{vault: v}
	var changes []HookChange
	for ref, c := range v.unopened {
		c.Revision = after
		if c = l.open(ctx, c); l.failed(c) {
			continue
		}
		delete(v.unopened, ref)
		changes = append(changes, c)
	}
	for _, c := range stored {
		opened := l.open(ctx, c)
		if ctx.Err() != nil {
			return changes, ctx.Err()
		}
		if l.failed(opened) {
			v.unopened[c.Hook.Ref()] = c
		}
		changes = append(changes, opened)
	}
	return changes, nil
}

// A look opens the hooks of one call of HookChanges.
type look struct {
	*vault
	failures int
	err      error // the last failure of Config.Open
}

// maxFailures is how often Config.Open may fail in one look. The hooks that are left
// then are tried at the next, so that a service that is away does not hold it up.
const maxFailures = 10

// open returns the change as the Manager wants it.
func (l *look) open(ctx context.Context, c HookChange) HookChange {
	if c.Err != nil {
		return c
	}
	ref, stale := c.Hook.Ref(), !l.current(c.Hook)
	if len(c.Hook.Sealed) > 0 && l.failures >= maxFailures {
		c.Err = &unopenedError{cause: l.err, untried: true}
	} else if h, err := l.opened(ctx, c.Hook); err == nil {
		l.note(ref, stale)
		c.Hook = h
		return c
	} else if errors.Is(err, ErrSealed) {
		c.Err = err
	} else {
		l.failures, l.err = l.failures+1, err
		c.Err = &unopenedError{cause: err}
	}
	l.note(ref, l.failed(c)) // It may be stale.
	c.Hook = Hook{Tenant: ref.Tenant, ID: ref.ID}
	return c
}

func (*look) failed(c HookChange) bool { return errors.As(c.Err, new(*unopenedError)) }

// An unopenedError is a failure of Config.Open that is temporary.
type unopenedError struct {
	cause   error
	untried bool // because of the failures for other hooks, such as cause
}

func (e *unopenedError) Error() string {
	if e.untried {
		return "not decrypted after failures for others: " + e.cause.Error()
	}
	return e.cause.Error()
}

func (e *unopenedError) Unwrap() error { return e.cause }
