package hooks

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"
)

// resealInterval is how often Run looks for hooks that are to be encrypted anew.
const resealInterval = time.Minute

// reseal has each hook encrypted with the current key, one after the other, until
// ctx ends. A hook that is stored so is not touched, so it does not matter where an
// earlier Run was cut off.
func (e *engine) reseal(ctx context.Context) {
	v := e.m.hooks
	for told := false; v.seals() && sleep(ctx, resealInterval); {
		n, err := v.reseal(ctx)
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
		case n > 0, len(v.outdated()) > 0:
			told = false
		case !told:
			told = true
			e.m.log.Info("hooks: all hooks that can be read are encrypted with the current key")
		}
	}
}

// reseal stores the hooks that are stale, and returns how many.
func (v *vault) reseal(ctx context.Context) (n int, err error) {
	for _, ref := range v.outdated() {
		page, err := v.Hooks(ctx, HookQuery{Tenant: ref.Tenant, IDs: []string{ref.ID}})
		if err == nil && len(page.Items) > 0 {
			err = v.UpdateHook(ctx, page.Items[0])
		}
		switch {
		case errors.Is(err, ErrConflict), errors.Is(err, ErrNotFound): // The next look at the changes tells.
		case err != nil:
			return n, err
		default:
			n++
		}
	}
	return n, nil
}

func (v *vault) outdated() []Ref {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Collect(maps.Keys(v.stale))
}

// note remembers whether a hook is stale.
func (v *vault) note(ref Ref, stale bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if stale {
		v.stale[ref] = true
	} else {
		delete(v.stale, ref)
	}
}

// current reports whether the store keeps a hook in this form when it is written
// now.
func (v *vault) current(h Hook) bool {
	switch {
	case !v.seals():
		return true
	case len(h.Sealed) == 0:
		return len(h.Headers) == 0 && len(h.Secrets) == 0 && len(h.Settings) == 0
	case v.seal != nil:
		return h.Sealed[0] == sealedByHost
	}
	id, _, ok := ofKey(h.Sealed)
	return ok && id == v.keys[0].id
}
