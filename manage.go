package hooks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
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
	h = h.clone()
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

// Update reads a hook, lets change change it, and stores the result; it returns
// the hook as stored. When another writer comes between, it starts over, so
// change may be called several times and nobody's update is lost. An error of
// change is returned and leaves the hook as it was. ID and Tenant cannot
// change; Version, CreatedAt, UpdatedAt and Health are the Manager's.
func (m *Manager) Update(ctx context.Context, tenant, id string, change func(*Hook) error) (Hook, error) {
	for {
		old, err := m.Hook(ctx, tenant, id)
		if err != nil {
			return Hook{}, err
		}
		h := old.clone()
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
		// A hook that is no longer valid, for the configuration was another
		// when it was stored, can still be disabled.
		check := m.checkHook
		if onlyDisables(old, h) {
			check = checkDisabledReason
		}
		if err := check(&h); err != nil {
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
			h.Health = Health{}
		}
		return h, nil
	}
}

// onlyDisables reports whether the change from old to h is that h is disabled.
func onlyDisables(old, h Hook) bool {
	old.Disabled, old.DisabledReason, old.UpdatedAt = true, h.DisabledReason, h.UpdatedAt
	return reflect.DeepEqual(old, h)
}

// Delete removes a hook, or returns [ErrNotFound]. Deliveries that are waiting
// for it are cancelled when they fall due, dead ones no longer hold their
// ordering keys back; its log stays.
func (m *Manager) Delete(ctx context.Context, tenant, id string) error {
	if err := m.store.DeleteHook(ctx, Ref{tenant, id}, now()); err != nil {
		return fmt.Errorf("delete hook %q: %w", id, err)
	}
	m.hooksChanged(ctx)
	return nil
}

// hooksChanged brings the index up to date after a change that is stored, so
// that whatever comes next sees it. A failure is no reason to call the change
// failed: the next use of the index tries again.
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

// RotateSecret gives the hook a new secret and returns the hook, whose first
// secret is the new one. Secrets that have expired are dropped. Those of another
// kind go on signing, as long as they did before: an ed25519 key does not end a
// symmetric secret. [Manager.Update] ends one at once, by removing it from Secrets.
func (m *Manager) RotateSecret(ctx context.Context, tenant, id string, r Rotation) (Hook, error) {
	overlap := max(0, cmp.Or(r.Overlap, 24*time.Hour))
	return m.Update(ctx, tenant, id, func(h *Hook) error {
		secret := r.Secret
		if secret == "" {
			p, ok := m.protocols[h.Protocol]
			if !ok {
				return unknownProtocol(h.Protocol)
			}
			var err error
			if secret, err = newSecret(p); err != nil {
				return err
			}
			if secret == "" {
				return &InvalidError{Field: "secret", Reason: fmt.Sprintf("must be given, for the protocol %q makes none", h.Protocol)}
			}
		}
		if slices.ContainsFunc(h.Secrets, func(s SigningSecret) bool { return s.Secret == secret }) {
			return &InvalidError{Field: "secret", Reason: "is one that the hook has already"}
		}
		at := now()
		end := at.Add(overlap)
		rotated := []SigningSecret{{Secret: secret}}
		for _, old := range h.Secrets {
			expires := !old.ExpiresAt.IsZero()
			if secretKind(old.Secret) == secretKind(secret) && (!expires || old.ExpiresAt.After(end)) {
				old.ExpiresAt, expires = end, true
			}
			if !expires || old.ExpiresAt.After(at) {
				rotated = append(rotated, old)
			}
		}
		h.Secrets = rotated
		return nil
	})
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

// clone returns a copy that shares nothing with h.
func (h Hook) clone() Hook {
	h.Events = slices.Clone(h.Events)
	h.Headers = maps.Clone(h.Headers)
	h.Secrets = slices.Clone(h.Secrets)
	h.Schedule = slices.Clone(h.Schedule)
	h.Settings = slices.Clone(h.Settings)
	h.Sealed = nil // the store's affair
	h.Metadata = maps.Clone(h.Metadata)
	return h
}

func unknownProtocol(name string) error {
	return &InvalidError{Field: "protocol", Reason: fmt.Sprintf("%q is not one that this application speaks", name)}
}
