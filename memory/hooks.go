package memory

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

// A change is a change of a hook. It counts as long as it is the hook's last.
type change struct {
	revision int64
	ref      hooks.Ref
	deleted  time.Time // zero: it was not
}

// CreateHook implements [hooks.Store].
func (s *Store) CreateHook(ctx context.Context, h hooks.Hook, limit int) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if s.hooks[h.Ref()] != nil {
		return fmt.Errorf("hook %q: %w", h.ID, hooks.ErrDuplicate)
	}
	if limit > 0 && s.owned[h.Tenant] >= limit {
		return fmt.Errorf("hook %q: %w: the tenant has %d or more", h.ID, hooks.ErrTooManyHooks, limit)
	}
	s.owned[h.Tenant]++
	s.put(h.Clone())
	return nil
}

// UpdateHook implements [hooks.Store].
func (s *Store) UpdateHook(ctx context.Context, h hooks.Hook) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	old := s.hooks[h.Ref()]
	switch {
	case old == nil:
		return fmt.Errorf("hook %q: %w", h.ID, hooks.ErrNotFound)
	case old.Version != h.Version:
		return fmt.Errorf("hook %q has version %d, not %d: %w", h.ID, old.Version, h.Version, hooks.ErrConflict)
	}
	updated := h.Clone()
	updated.Version++
	updated.CreatedAt, updated.Health = old.CreatedAt, old.Health
	if old.Disabled && !h.Disabled {
		updated.Health = hooks.Health{}
	}
	s.put(updated)
	return nil
}

// DeleteHook implements [hooks.Store].
func (s *Store) DeleteHook(ctx context.Context, ref hooks.Ref, now time.Time) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if s.hooks[ref] == nil {
		return fmt.Errorf("hook %q: %w", ref.ID, hooks.ErrNotFound)
	}
	delete(s.hooks, ref)
	if s.owned[ref.Tenant]--; s.owned[ref.Tenant] == 0 {
		delete(s.owned, ref.Tenant)
	}
	if q := s.queues[ref]; q != nil {
		for d := q.all.first; d != nil; d = d.ofHook.after {
			if d.Held {
				s.letGo(d, now)
			}
		}
		s.trim()
	}
	s.changed(ref, now)
	return nil
}

func (s *Store) put(h hooks.Hook) {
	s.hooks[h.Ref()] = &h
	s.changed(h.Ref(), time.Time{})
}

// changed notes a change. When half of the notes are out of date, they go.
func (s *Store) changed(ref hooks.Ref, deleted time.Time) {
	s.revision++
	s.latest[ref] = s.revision
	s.changes = append(s.changes, change{s.revision, ref, deleted})
	if len(s.changes) > 2*len(s.latest)+100 {
		s.changes = slices.DeleteFunc(s.changes, func(c change) bool { return s.latest[c.ref] != c.revision })
	}
	if q := s.queues[ref]; q != nil {
		q.hook = s.hooks[ref]
		s.replace(q)
	}
	s.notify()
}

// forget drops at most limit traces of hooks deleted before then.
func (s *Store) forget(before time.Time, limit int) int {
	n := 0
	s.changes = slices.DeleteFunc(s.changes, func(c change) bool {
		current := s.latest[c.ref] == c.revision
		if !current || c.deleted.IsZero() || !c.deleted.Before(before) || n == limit {
			return !current
		}
		delete(s.latest, c.ref)
		n++
		return true
	})
	return n
}

// HookChanges implements [hooks.Store].
func (s *Store) HookChanges(ctx context.Context, after int64, limit int) ([]hooks.HookChange, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	start, _ := slices.BinarySearchFunc(s.changes, after+1, func(c change, r int64) int { return cmp.Compare(c.revision, r) })
	var found []hooks.HookChange
	for _, c := range s.changes[start:] {
		if len(found) == limit {
			break
		}
		if s.latest[c.ref] != c.revision {
			continue
		}
		changed := hooks.HookChange{Revision: c.revision}
		if h := s.hooks[c.ref]; h != nil {
			changed.Hook = h.Clone()
		} else {
			changed.Deleted, changed.Hook = true, hooks.Hook{Tenant: c.ref.Tenant, ID: c.ref.ID}
		}
		found = append(found, changed)
	}
	return found, nil
}

// Hooks implements [hooks.Store].
func (s *Store) Hooks(ctx context.Context, q hooks.HookQuery) (hooks.Page[hooks.Hook], error) {
	if err := s.lock(ctx); err != nil {
		return hooks.Page[hooks.Hook]{}, err
	}
	defer s.mu.Unlock()
	var found []*hooks.Hook
	if len(q.IDs) > 0 {
		for _, id := range slices.Compact(slices.Sorted(slices.Values(q.IDs))) {
			if h := s.hooks[hooks.Ref{Tenant: q.Tenant, ID: id}]; h != nil && matches(h, q) {
				found = append(found, h)
			}
		}
	} else {
		for _, h := range s.hooks {
			if h.Tenant == q.Tenant && matches(h, q) {
				found = append(found, h)
			}
		}
	}
	page := pageOf(found, q.PageQuery, func(h *hooks.Hook) hooks.Cursor { return hooks.Cursor{Time: h.CreatedAt, ID: h.ID} })
	return mapPage(page, func(h *hooks.Hook) hooks.Hook { return h.Clone() }), nil
}

func matches(h *hooks.Hook, q hooks.HookQuery) bool {
	return (q.Protocol == "" || h.Protocol == q.Protocol) && (q.Name == "" || h.Name == q.Name) &&
		(q.Disabled == nil || h.Disabled == *q.Disabled)
}
