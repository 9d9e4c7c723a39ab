package hooks

import (
	"context"
	"errors"
	"log/slog"
	"sync"
)

// A sealedHooks is the Store of a Manager: it encrypts the secret part of hooks
// before they reach the store below, and decrypts it when they leave it. So all
// stores keep secrets in the same way, and none knows a key.
type sealedHooks struct {
	Store
	keys       []sealingKey // the first is the current one
	seal, open sealFunc     // of the application
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

// CreateHook implements Store.
func (s *sealedHooks) CreateHook(ctx context.Context, h Hook, limit int) error {
	h, err := s.sealed(ctx, h)
	if err != nil {
		return err
	}
	return s.Store.CreateHook(ctx, h, limit)
}

// UpdateHook implements Store.
func (s *sealedHooks) UpdateHook(ctx context.Context, h Hook) error {
	h, err := s.sealed(ctx, h)
	if err != nil {
		return err
	}
	return s.Store.UpdateHook(ctx, h)
}

// Hooks implements Store.
func (s *sealedHooks) Hooks(ctx context.Context, q HookQuery) (Page[Hook], error) {
	page, err := s.Store.Hooks(ctx, q)
	if err != nil {
		return page, err
	}
	for i := range page.Items {
		if page.Items[i], err = s.opened(ctx, page.Items[i]); err != nil {
			return Page[Hook]{}, err
		}
	}
	return page, nil
}

// HookChanges implements Store. A hook that nothing can open is damaged. One
// that Config.Open has failed for comes with an unopenedError, and once more as soon
// as it can be opened. When ctx ends, what was opened is returned with its error.
// Only one call may be under way at a time.
func (s *sealedHooks) HookChanges(ctx context.Context, after int64, limit int) ([]HookChange, error) {
	stored, err := s.Store.HookChanges(ctx, after, limit)
	if err != nil {
		return nil, err
	}
	for _, c := range stored {
		delete(s.unopened, c.Hook.Ref())
	}
	l := look{sealedHooks: s}
	var changes []HookChange
	for ref, c := range s.unopened {
		c.Revision = after
		if c = l.open(ctx, c); l.failed(c) {
			continue
		}
		delete(s.unopened, ref)
		changes = append(changes, c)
	}
	for _, c := range stored {
		opened := l.open(ctx, c)
		if ctx.Err() != nil {
			return changes, ctx.Err()
		}
		if l.failed(opened) {
			s.unopened[c.Hook.Ref()] = c
		}
		changes = append(changes, opened)
	}
	return changes, nil
}

// A look opens the hooks of one call of HookChanges.
type look struct {
	*sealedHooks
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
