package storetest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

// otherLimit creates hooks up to another limit than the one that it is given.
type otherLimit struct {
	hooks.Store
	of func(int) int
}

func (s otherLimit) CreateHook(ctx context.Context, h hooks.Hook, limit int) error {
	return s.Store.CreateHook(ctx, h, s.of(limit))
}

// countsFirst counts the hooks before it creates one, in two steps, and if
// eager, looks at their number before the ID.
type countsFirst struct {
	hooks.Store
	eager bool
}

func (s countsFirst) CreateHook(ctx context.Context, h hooks.Hook, limit int) error {
	page, err := s.Hooks(ctx, hooks.HookQuery{Tenant: h.Tenant, PageQuery: hooks.PageQuery{Limit: 1, CountTo: max(limit, 1)}})
	full := limit > 0 && page.Total >= limit
	if err != nil || full && (s.eager || stored(ctx, s.Store, h.Ref()).ID == "") {
		return errors.Join(err, hooks.ErrTooManyHooks)
	}
	time.Sleep(time.Millisecond) // of virtual time: all concurrent calls have counted by then
	return s.Store.CreateHook(ctx, h, 0)
}

// countsAll counts the hooks of all tenants, or with deleted, those of the
// tenant that ever were.
type countsAll struct {
	hooks.Store
	deleted bool
	mu      sync.Mutex
	created map[string]int
}

func (s *countsAll) CreateHook(ctx context.Context, h hooks.Hook, limit int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	tenant := ""
	if s.deleted {
		tenant = h.Tenant
	}
	if limit > 0 && s.created[tenant] >= limit && stored(ctx, s.Store, h.Ref()).ID == "" {
		return hooks.ErrTooManyHooks
	}
	err := s.Store.CreateHook(ctx, h, limit)
	if err == nil {
		s.created[tenant]++
	}
	return err
}
