package memory

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
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
	if limit > 0 && s.hookCounts[h.Tenant] >= limit {
		return fmt.Errorf("hook %q: %w: the tenant has %d or more", h.ID, hooks.ErrTooManyHooks, limit)
	}
	s.hookCounts[h.Tenant]++
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
	if s.hookCounts[ref.Tenant]--; s.hookCounts[ref.Tenant] == 0 {
		delete(s.hookCounts, ref.Tenant)
	}
	if q := s.queues[ref]; q != nil {
		for d := q.all.First(); d != nil; d = q.all.Next(d) {
			if d.Held {
				s.release(d, now)
			}
		}
		s.trim()
	}
	s.noteChange(ref, now)
	return nil
}

func (s *Store) put(h hooks.Hook) {
	s.hooks[h.Ref()] = &h
	s.noteChange(h.Ref(), time.Time{})
}

// noteChange records a change of a hook, and removes outdated changes when they are
// more than half.
func (s *Store) noteChange(ref hooks.Ref, deleted time.Time) {
	s.revision++
	s.lastRevisions[ref] = s.revision
	s.changes = append(s.changes, change{s.revision, ref, deleted})
	if len(s.changes) > 2*len(s.lastRevisions)+100 {
		s.changes = slices.DeleteFunc(s.changes, func(c change) bool { return s.lastRevisions[c.ref] != c.revision })
	}
	if q := s.queues[ref]; q != nil {
		q.hook = s.hooks[ref]
		s.updateLanes(q)
	}
	s.notify()
}

// forgetDeletions removes at most limit changes that are deletions before then.
func (s *Store) forgetDeletions(before time.Time, limit int) int {
	n := 0
	s.changes = slices.DeleteFunc(s.changes, func(c change) bool {
		current := s.lastRevisions[c.ref] == c.revision
		if !current || c.deleted.IsZero() || !c.deleted.Before(before) || n == limit {
			return !current
		}
		delete(s.lastRevisions, c.ref)
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
		if s.lastRevisions[c.ref] != c.revision {
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
	for h := range s.hookCandidates(q) {
		if matches(h, q) {
			found = append(found, h)
		}
	}
	page := pageOf(found, q.PageQuery, func(h *hooks.Hook) hooks.Cursor { return hooks.Cursor{Time: h.CreatedAt, ID: h.ID} })
	return mapPage(page, func(h *hooks.Hook) hooks.Hook { return h.Clone() }), nil
}

// hookCandidates returns hooks among which are all that match q: those with its IDs if
// it has any, or all.
func (s *Store) hookCandidates(q hooks.HookQuery) iter.Seq[*hooks.Hook] {
	if len(q.IDs) == 0 {
		return maps.Values(s.hooks)
	}
	return func(yield func(*hooks.Hook) bool) {
		for _, id := range distinct(q.IDs) {
			if h := s.hooks[hooks.Ref{Tenant: q.Tenant, ID: id}]; h != nil && !yield(h) {
				return
			}
		}
	}
}

// matches reports whether h is of q's tenant and matches its other fields but for IDs.
func matches(h *hooks.Hook, q hooks.HookQuery) bool {
	return h.Tenant == q.Tenant && (q.Protocol == "" || h.Protocol == q.Protocol) && (q.Name == "" || h.Name == q.Name) &&
		(q.Disabled == nil || h.Disabled == *q.Disabled)
}
