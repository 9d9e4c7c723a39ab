package hooks

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/seed-2c6e3a5a/hooks/internal/backoff"
)

// resealInterval is how often Run looks for hooks that it must encrypt again. It
// grows while another process encrypts them with another key again and again.
var resealInterval = backoff.Exponential{First: time.Minute, Max: time.Hour}

// reseal encrypts each hook with the current key, one after the other, until ctx ends.
// It does not touch a hook that has that key already, so it does not matter where an
// earlier Run was cut off.
func (e *engine) reseal(ctx context.Context) {
	s, inVain := e.m.hooks, 0 // how often in a row hooks had to be encrypted again
	for logged := false; s.seals() && sleep(ctx, resealInterval.Delay(inVain)); {
		n, again, err := s.reseal(ctx)
		if inVain++; again == 0 {
			inVain = 0
		}
		if n > 0 {
			e.m.index.invalidate()
		}
		if err == nil {
			err = e.m.index.refresh(ctx)
		}
		switch {
		case ctx.Err() != nil:
		case err != nil:
			e.m.report("encrypt hooks with the current key", err)
		case again > 0:
			logged = false
			e.m.log.Warn("hooks: hooks were encrypted with the current key again: another process had stored them with another current key", "hooks", again)
		case n > 0, len(s.outdated()) > 0:
			logged = false
		case !logged:
			logged = true
			e.m.log.Info("hooks: all hooks that can be read are encrypted with the current key")
		}
	}
}

// reseal stores the hooks that are stale. It returns how many, and how many of them
// it had stored before. It gives up after maxFailures. The hooks come in random order,
// so that the same few failures do not stop it each time.
func (s *sealedHooks) reseal(ctx context.Context) (n, again int, err error) {
	var failures []error
	for _, ref := range s.outdated() {
		page, err := s.Hooks(ctx, HookQuery{Tenant: ref.Tenant, IDs: []string{ref.ID}})
		switch {
		case err == nil && len(page.Items) == 0:
			err = ErrNotFound
		case err == nil:
			err = s.UpdateHook(ctx, page.Items[0])
		}
		switch {
		case errors.Is(err, ErrConflict), errors.Is(err, ErrNotFound): // The next HookChanges says whether the hook is stale.
		case err == nil:
			n++
			if s.resealed[ref] {
				again++
			}
			s.resealed[ref] = true
		default:
			if failures = append(failures, err); len(failures) == maxFailures {
				return n, again, errors.Join(failures...)
			}
		}
	}
	return n, again, errors.Join(failures...)
}

func (s *sealedHooks) outdated() []Ref {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.stale))
}

// note remembers whether a hook is stale.
func (s *sealedHooks) note(ref Ref, stale bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if stale {
		s.stale[ref] = true
	} else {
		delete(s.stale, ref)
	}
}

// current reports whether a hook is stored in the form in which it would be stored
// now.
func (s *sealedHooks) current(h Hook) bool {
	switch {
	case !s.seals():
		return true
	case len(h.Sealed) == 0:
		return len(h.Headers) == 0 && len(h.Secrets) == 0 && len(h.Settings) == 0
	case s.seal != nil:
		return h.Sealed[0] == sealedByApplication
	}
	id, _, ok := ofKey(h.Sealed)
	return ok && id == s.keys[0].id
}
