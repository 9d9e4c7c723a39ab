package hooks

import (
	"context"
	"errors"
	"log/slog"
	"sync"
)

// A sealedHooks is a Store over that of the application. It encrypts the secret part
// of hooks before they reach the store, and decrypts it when they leave it. So all
// stores keep secrets in the same way, and none knows a key.
type sealedHooks struct {
	Store
	keys           []sealingKey // the first is the current one
	seal, open     sealFunc     // of the application
	log            *slog.Logger
	logUnencrypted sync.Once

	// unopened has the changes of hooks that open has failed for. Only HookChanges
	// uses it.
	unopened map[Ref]HookChange
	// resealed has the hooks that reseal has stored. Only reseal uses it.
	resealed map[Ref]bool

	mu sync.Mutex
	// stale has the hooks that are not encrypted with the current key, or may not be.
	// It is guarded by mu.
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
	o := opener{sealedHooks: s}
	var changes []HookChange
	for ref, c := range s.unopened {
		c.Revision = after
		if c = o.open(ctx, c); o.failed(c) {
			continue
		}
		delete(s.unopened, ref)
		changes = append(changes, c)
	}
	for _, c := range stored {
		opened := o.open(ctx, c)
		if ctx.Err() != nil {
			return changes, ctx.Err()
		}
		if o.failed(opened) {
			s.unopened[c.Hook.Ref()] = c
		}
		changes = append(changes, opened)
	}
	return changes, nil
}

// An opener decrypts the hooks of one call of HookChanges.
type opener struct {
	*sealedHooks
	failures int
	err      error // the last failure of Config.Open
}

// maxFailures is how often Config.Open may fail in one call of HookChanges. The next
// call tries the remaining hooks, so that no call waits long for a service that is
// down.
const maxFailures = 10

// open returns the change as the Manager wants it.
func (o *opener) open(ctx context.Context, c HookChange) HookChange {
	if c.Err != nil {
		return c
	}
	ref, stale := c.Hook.Ref(), !o.current(c.Hook)
	if len(c.Hook.Sealed) > 0 && o.failures >= maxFailures {
		c.Err = &unopenedError{cause: o.err, untried: true}
	} else if h, err := o.opened(ctx, c.Hook); err == nil {
		o.note(ref, stale)
		c.Hook = h
		return c
	} else if errors.Is(err, ErrSealed) {
		c.Err = err
	} else {
		o.failures, o.err = o.failures+1, err
		c.Err = &unopenedError{cause: err}
	}
	o.note(ref, o.failed(c)) // It may be stale.
	c.Hook = Hook{Tenant: ref.Tenant, ID: ref.ID}
	return c
}

func (*opener) failed(c HookChange) bool { return errors.As(c.Err, new(*unopenedError)) }

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
