package hooks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/seed-2c6e3a5a/hooks/internal/signature"
)

// Register stores a new hook and returns it as stored, with its ID and its
// Secrets. Bad input is an [InvalidError], an ID that is taken [ErrDuplicate],
// and a hook beyond [Config].MaxHooks [ErrTooManyHooks]. Events triggered by this
// Manager afterwards reach the hook; those of other processes within a second.
func (m *Manager) Register(ctx context.Context, h Hook) (Hook, error) {
	h, err := m.prepare(h)
	if err != nil {
		return Hook{}, err
	}
	h.Version, h.Health = 1, Health{}
	h.CreatedAt = now()
	h.UpdatedAt = h.CreatedAt
	if err := m.hooks.CreateHook(ctx, h, max(0, m.cfg.MaxHooks)); err != nil {
		return Hook{}, fmt.Errorf("register hook %q: %w", h.ID, err)
	}
	m.hooksChanged(ctx)
	return h, nil
}

// prepare fills in what a new hook lacks and checks it.
func (m *Manager) prepare(h Hook) (Hook, error) {
	h = h.Clone()
	h.Sealed = nil // the store's affair
	h.ID = cmp.Or(h.ID, newID())
	h.Protocol = cmp.Or(h.Protocol, StandardWebhooks)
	p, ok := m.protocols[h.Protocol]
	if !ok {
		return Hook{}, unknownProtocol(h.Protocol)
	}
	if len(h.Secrets) == 0 {
		secret, err := newSecret(p)
		if err != nil {
			return Hook{}, err
		}
		if secret != "" {
			h.Secrets = []SigningSecret{{Secret: secret}}
		}
	}
	if err := m.checkHook(&h); err != nil {
		return Hook{}, err
	}
	return h, nil
}

func newSecret(p Protocol) (secret Secret, err error) {
	err = isolate(func() (err error) {
		secret, err = p.NewSecret()
		return err
	})
	if err != nil {
		return "", fmt.Errorf("make a secret: %w", err)
	}
	return secret, nil
}

// Hook returns a hook, or [ErrNotFound].
func (m *Manager) Hook(ctx context.Context, tenant, id string) (Hook, error) {
	page, err := m.hooks.Hooks(ctx, HookQuery{Tenant: tenant, IDs: []string{id}})
	if err != nil {
		return Hook{}, fmt.Errorf("hook %q: %w", id, err)
	}
	if len(page.Items) == 0 {
		return Hook{}, fmt.Errorf("hook %q: %w", id, ErrNotFound)
	}
	return page.Items[0], nil
}

// Hooks returns the hooks that match q, newest first unless q says otherwise.
func (m *Manager) Hooks(ctx context.Context, q HookQuery) (Page[Hook], error) {
	if err := q.check(); err != nil {
		return Page[Hook]{}, err
	}
	return m.hooks.Hooks(ctx, q)
}

// AllHooks returns all hooks that match q, in the order of Hooks, read page by
// page of q.Limit. An error ends them.
func (m *Manager) AllHooks(ctx context.Context, q HookQuery) iter.Seq2[Hook, error] {
	return all(q.PageQuery, func(p PageQuery) (Page[Hook], error) {
		q.PageQuery = p
		return m.Hooks(ctx, q)
	})
}

// Update reads a hook, calls change with it, stores the result, and returns the hook as
// stored. If another writer changes the hook in the meantime, Update starts over: change
// may be called several times, and no update is lost. An error of change is returned
// and leaves the hook as it was. ID and Tenant cannot change. The Manager sets Version,
// CreatedAt, UpdatedAt and Health itself.
func (m *Manager) Update(ctx context.Context, tenant, id string, change func(*Hook) error) (Hook, error) {
	for {
		old, err := m.Hook(ctx, tenant, id)
		if err != nil {
			return Hook{}, err
		}
		h, err := m.changed(old, change)
		if err != nil {
			return Hook{}, err
		}
		err = m.hooks.UpdateHook(ctx, h)
		if errors.Is(err, ErrConflict) {
			continue
		}
		if err != nil {
			return Hook{}, fmt.Errorf("update hook %q: %w", id, err)
		}
		m.hooksChanged(ctx)
		h.Version++
		if old.Disabled && !h.Disabled {
			h.Health = Health{} // as the store does
		}
		return h, nil
	}
}

// changed returns the hook that change makes of old, checked and ready to be stored.
func (m *Manager) changed(old Hook, change func(*Hook) error) (Hook, error) {
	h := old.Clone()
	if err := change(&h); err != nil {
		return Hook{}, err
	}
	if h.ID != old.ID {
		return Hook{}, &InvalidError{Field: "id", Reason: "cannot be changed"}
	}
	if h.Tenant != old.Tenant {
		return Hook{}, &InvalidError{Field: "tenant", Reason: "cannot be changed"}
	}
	h.Version, h.CreatedAt, h.Health, h.Sealed = old.Version, old.CreatedAt, old.Health, nil
	h.UpdatedAt = now()
	if h.URL != old.URL && old.Verified {
		h.Verified = false
	}
	h.Protocol = cmp.Or(h.Protocol, StandardWebhooks)
	// A hook may be invalid because the configuration was another when it was
	// stored. It can still be disabled.
	check := m.checkHook
	if onlyDisables(old, h) {
		check = checkDisabledReason
	}
	err := check(&h) // which may tidy the hook
	return h, err
}

// onlyDisables reports whether the change from old to h is that h is disabled.
func onlyDisables(old, h Hook) bool {
	old.Disabled, old.DisabledReason, old.UpdatedAt = true, h.DisabledReason, h.UpdatedAt
	return reflect.DeepEqual(old, h)
}

// Delete removes a hook, or returns [ErrNotFound]. Deliveries that wait for it are
// cancelled when they fall due, and dead ones no longer hold their ordering keys. Its log
// stays.
func (m *Manager) Delete(ctx context.Context, tenant, id string) error {
	if err := m.store.DeleteHook(ctx, Ref{tenant, id}, now()); err != nil {
		return fmt.Errorf("delete hook %q: %w", id, err)
	}
	m.hooksChanged(ctx)
	return nil
}

// hooksChanged brings the index up to date after a change that is stored, so that later
// calls see it. If that fails, the change is stored all the same, and the next use of
// the index tries again.
func (m *Manager) hooksChanged(ctx context.Context) {
	m.index.invalidate()
	if err := m.index.refresh(ctx); err != nil && ctx.Err() == nil {
		m.report("read the hooks after a change", err)
	}
}

// A Rotation is a change of a hook's signing secret.
type Rotation struct {
	// Secret is the new one. Default: one that the protocol makes.
	Secret Secret
	// Overlap is how long the secrets of the same kind that it replaces go on
	// signing beside it, so that receivers can change over. Default: 24 h;
	// negative: not at all.
	Overlap time.Duration
}

// RotateSecret gives the hook a new secret and returns the hook, whose first secret is
// the new one. Secrets that have expired are removed. Those of another kind sign as long
// as they did before: an ed25519 key does not end a symmetric secret. To end a secret at
// once, remove it from Secrets with [Manager.Update].
func (m *Manager) RotateSecret(ctx context.Context, tenant, id string, r Rotation) (Hook, error) {
	overlap := max(0, cmp.Or(r.Overlap, 24*time.Hour))
	return m.Update(ctx, tenant, id, func(h *Hook) error {
		secret := r.Secret
		if secret == "" {
			var err error
			if secret, err = m.newSecretFor(h.Protocol); err != nil {
				return err
			}
		}
		if slices.ContainsFunc(h.Secrets, func(s SigningSecret) bool { return s.Secret == secret }) {
			return &InvalidError{Field: "secret", Reason: "is one that the hook has already"}
		}
		h.Secrets = rotated(h.Secrets, secret, now(), overlap)
		return nil
	})
}

// newSecretFor makes a secret for a protocol, which must be one that makes secrets.
func (m *Manager) newSecretFor(protocol string) (Secret, error) {
	p, ok := m.protocols[protocol]
	if !ok {
		return "", unknownProtocol(protocol)
	}
	secret, err := newSecret(p)
	if err == nil && secret == "" {
		err = &InvalidError{Field: "secret", Reason: fmt.Sprintf("must be given, because the protocol %q makes none", protocol)}
	}
	return secret, err
}

// rotated returns the secrets of a hook after a rotation: the new one, and those that
// still sign. The old ones of the same kind end with the overlap at the latest.
func rotated(secrets []SigningSecret, secret Secret, at time.Time, overlap time.Duration) []SigningSecret {
	end := at.Add(overlap)
	after := []SigningSecret{{Secret: secret}}
	for _, old := range secrets {
		if secretKind(old.Secret) == secretKind(secret) && (old.ExpiresAt.IsZero() || old.ExpiresAt.After(end)) {
			old.ExpiresAt = end
		}
		if old.ExpiresAt.IsZero() || old.ExpiresAt.After(at) {
			after = append(after, old)
		}
	}
	return after
}

// secretKind tells which secrets replace each other: those for HMAC, those for
// ed25519, and those of other protocols.
func secretKind(s Secret) string {
	for _, prefix := range []string{signature.SymmetricPrefix, signature.PrivatePrefix} {
		if strings.HasPrefix(string(s), prefix) {
			return prefix
		}
	}
	return ""
}

func unknownProtocol(name string) error {
	return &InvalidError{Field: "protocol", Reason: fmt.Sprintf("%q is not one that this application speaks", name)}
}
