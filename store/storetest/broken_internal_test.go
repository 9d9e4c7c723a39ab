package storetest

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

// stored reads a hook, or the zero Hook.
func stored(ctx context.Context, s hooks.Store, ref hooks.Ref) hooks.Hook {
	page, err := s.Hooks(ctx, hooks.HookQuery{Tenant: ref.Tenant, IDs: []string{ref.ID}})
	if err != nil || len(page.Items) == 0 {
		return hooks.Hook{}
	}
	return page.Items[0]
}

// lookup reads a delivery of any tenant of the suite, or the zero Delivery.
func lookup(ctx context.Context, s hooks.Store, id string) hooks.Delivery {
	for _, tenant := range []string{home, away} {
		page, err := s.Deliveries(ctx, hooks.LogQuery{Tenant: tenant, DeliveryIDs: []string{id}})
		if err == nil && len(page.Items) > 0 {
			return page.Items[0]
		}
	}
	return hooks.Delivery{}
}

type anyVersion struct{ hooks.Store }

func (s anyVersion) UpdateHook(ctx context.Context, h hooks.Hook) error {
	h.Version = stored(ctx, s.Store, h.Ref()).Version
	return s.Store.UpdateHook(ctx, h)
}

type replaces struct{ hooks.Store }

func (s replaces) UpdateHook(ctx context.Context, h hooks.Hook) error {
	if old := stored(ctx, s.Store, h.Ref()); old.Version != h.Version {
		return s.Store.UpdateHook(ctx, h)
	}
	h.Version++
	return errors.Join(s.DeleteHook(ctx, h.Ref(), start), s.CreateHook(ctx, h, 0))
}

type keepsHealth struct{ hooks.Store }

func (s keepsHealth) UpdateHook(ctx context.Context, h hooks.Hook) error {
	old := stored(ctx, s.Store, h.Ref())
	if old.Version != h.Version || !old.Disabled || h.Disabled {
		return s.Store.UpdateHook(ctx, h)
	}
	h.Version, h.Health = h.Version+1, old.Health
	return errors.Join(s.DeleteHook(ctx, h.Ref(), start), s.CreateHook(ctx, h, 0))
}

type overwrites struct{ hooks.Store }

func (s overwrites) CreateHook(ctx context.Context, h hooks.Hook, limit int) error {
	if old := stored(ctx, s.Store, h.Ref()); old.ID != "" {
		_ = s.DeleteHook(ctx, h.Ref(), start)
	}
	return s.Store.CreateHook(ctx, h, limit)
}

type upserts struct{ hooks.Store }

func (s upserts) UpdateHook(ctx context.Context, h hooks.Hook) error {
	err := s.Store.UpdateHook(ctx, h)
	if errors.Is(err, hooks.ErrNotFound) {
		return s.CreateHook(ctx, h, 0)
	}
	return err
}

// burnsIDs never gives an ID to a second hook, or with logs, forgets what
// deleted hooks were sent.
type burnsIDs struct {
	hooks.Store
	logs    bool
	deleted sync.Map
}

func (s *burnsIDs) DeleteHook(ctx context.Context, ref hooks.Ref, now time.Time) error {
	s.deleted.Store(ref, true)
	return s.Store.DeleteHook(ctx, ref, now)
}

func (s *burnsIDs) CreateHook(ctx context.Context, h hooks.Hook, limit int) error {
	if _, burnt := s.deleted.Load(h.Ref()); burnt && !s.logs {
		return hooks.ErrDuplicate
	}
	return s.Store.CreateHook(ctx, h, limit)
}

func (s *burnsIDs) Deliveries(ctx context.Context, q hooks.LogQuery) (hooks.Page[hooks.Delivery], error) {
	page, err := s.Store.Deliveries(ctx, q)
	page.Items = slices.DeleteFunc(page.Items, func(d hooks.Delivery) bool {
		_, gone := s.deleted.Load(d.HookRef())
		return gone && s.logs
	})
	return page, err
}

// lateChanges returns every third change only to those who begin anew.
type lateChanges struct{ hooks.Store }

func (s lateChanges) HookChanges(ctx context.Context, after int64, limit int) ([]hooks.HookChange, error) {
	list, err := s.Store.HookChanges(ctx, after, limit)
	if after > 0 {
		list = slices.DeleteFunc(list, func(c hooks.HookChange) bool { return c.Revision%3 == 0 })
	}
	return list, err
}

type touches struct{ hooks.Store }

func (s touches) Settle(ctx context.Context, now time.Time, list []hooks.Settlement) ([]hooks.Settled, error) {
	settled, err := s.Store.Settle(ctx, now, list)
	for _, st := range list {
		if d := lookup(ctx, s.Store, st.DeliveryID); d.ID != "" {
			_ = s.UpdateHook(ctx, stored(ctx, s.Store, d.HookRef()))
		}
	}
	return settled, err
}

type oneAfterOther struct{ hooks.Store }

func (s oneAfterOther) Enqueue(ctx context.Context, now time.Time, entries []hooks.Entry) error {
	for _, e := range entries {
		if err := s.Store.Enqueue(ctx, now, []hooks.Entry{e}); err != nil {
			return err
		}
	}
	return ctx.Err()
}

type needsHooks struct{ hooks.Store }

func (s needsHooks) Enqueue(ctx context.Context, now time.Time, entries []hooks.Entry) error {
	for _, e := range entries {
		for _, d := range e.Deliveries {
			if stored(ctx, s.Store, d.HookRef()).ID == "" {
				return hooks.ErrNotFound
			}
		}
	}
	return s.Store.Enqueue(ctx, now, entries)
}

type keepsKeys struct{ hooks.Store }

func (s keepsKeys) Enqueue(ctx context.Context, now time.Time, entries []hooks.Entry) error {
	err := s.Store.Enqueue(ctx, now, entries)
	if errors.Is(err, hooks.ErrDuplicate) {
		for _, e := range entries {
			for _, d := range e.Deliveries {
				ghost := *e.Event
				ghost.ID = "ghost-" + d.ID
				d.ID, d.EventID = id(1000+number(d.ID)), ghost.ID
				_ = s.Store.Enqueue(ctx, now, []hooks.Entry{{Event: &ghost, Deliveries: []hooks.Delivery{d}}})
			}
		}
	}
	return err
}

type anyToken struct{ hooks.Store }

func (s anyToken) Settle(ctx context.Context, now time.Time, list []hooks.Settlement) ([]hooks.Settled, error) {
	list = slices.Clone(list)
	for i := range list {
		list[i].Token = lookup(ctx, s.Store, list[i].DeliveryID).Lease.Token
	}
	return s.Store.Settle(ctx, now, list)
}

type sameToken struct{ hooks.Store }

func (s sameToken) Claim(ctx context.Context, r hooks.ClaimRequest) ([]hooks.Claimed, time.Time, error) {
	claimed, next, err := s.Store.Claim(ctx, r)
	for i := range claimed {
		claimed[i].Delivery.Lease.Token = 1
	}
	return claimed, next, err
}

func (s sameToken) Deliveries(ctx context.Context, q hooks.LogQuery) (hooks.Page[hooks.Delivery], error) {
	page, err := s.Store.Deliveries(ctx, q)
	for i := range page.Items {
		page.Items[i].Lease.Token = min(1, page.Items[i].Lease.Token)
	}
	return page, err
}

type allOrNothing struct{ hooks.Store }

func (s allOrNothing) Settle(ctx context.Context, now time.Time, list []hooks.Settlement) ([]hooks.Settled, error) {
	settled := make([]hooks.Settled, len(list))
	for _, st := range list {
		if d := lookup(ctx, s.Store, st.DeliveryID); d.State != leased || d.Lease.Token != st.Token {
			for i := range settled {
				settled[i].LeaseLost = true
			}
			return settled, nil
		}
	}
	return s.Store.Settle(ctx, now, list)
}

type punctual struct{ hooks.Store }

func (s punctual) Settle(ctx context.Context, now time.Time, list []hooks.Settlement) ([]hooks.Settled, error) {
	list = slices.Clone(list)
	for i := range list {
		if !lookup(ctx, s.Store, list[i].DeliveryID).Lease.Until.After(now) {
			list[i].Token = -1
		}
	}
	return s.Store.Settle(ctx, now, list)
}

// stuck leaves in place what becomes pending after it was blocked.
type stuck struct{ hooks.Store }

func (s stuck) Settle(ctx context.Context, now time.Time, list []hooks.Settlement) ([]hooks.Settled, error) {
	before, _ := s.Deliveries(ctx, hooks.LogQuery{Tenant: home, States: []hooks.State{blocked}, PageQuery: all})
	settled, err := s.Store.Settle(ctx, now, list)
	for _, d := range before.Items {
		if d = lookup(ctx, s.Store, d.ID); d.State == pending {
			_, _ = s.Cancel(ctx, now, home, d.ID, "")
		}
	}
	return settled, err
}

// hasty releases the next of a key after each attempt, by cancelling the
// delivery that should be tried again.
type hasty struct{ hooks.Store }

func (s hasty) Settle(ctx context.Context, now time.Time, list []hooks.Settlement) ([]hooks.Settled, error) {
	settled, err := s.Store.Settle(ctx, now, list)
	for _, st := range list {
		if d := lookup(ctx, s.Store, st.DeliveryID); d.OrderingKey != "" && d.State == pending {
			_, _ = s.Cancel(ctx, now, d.Tenant, d.ID, "")
		}
	}
	return settled, err
}

type rushes struct{ hooks.Store }

func (s rushes) Redeliver(ctx context.Context, now time.Time, tenant, id string) (hooks.Delivery, error) {
	d, err := s.Store.Redeliver(ctx, now, tenant, id)
	if d.State == blocked {
		d.State = pending
	}
	return d, err
}

// forgetful hides the attempts of deliveries that have been redelivered.
type forgetful struct {
	hooks.Store
	redelivered sync.Map
}

func (s *forgetful) Redeliver(ctx context.Context, now time.Time, tenant, id string) (hooks.Delivery, error) {
	s.redelivered.Store(id, true)
	return s.Store.Redeliver(ctx, now, tenant, id)
}

func (s *forgetful) Attempts(ctx context.Context, q hooks.LogQuery) (hooks.Page[hooks.Attempt], error) {
	page, err := s.Store.Attempts(ctx, q)
	page.Items = slices.DeleteFunc(page.Items, func(a hooks.Attempt) bool {
		_, hidden := s.redelivered.Load(a.DeliveryID)
		return hidden
	})
	return page, err
}

type purgesHeld struct{ hooks.Store }

func (s purgesHeld) Purge(ctx context.Context, r hooks.PurgeRequest) (int, error) {
	page, err := s.Deliveries(ctx, hooks.LogQuery{Tenant: home, States: []hooks.State{dead}, PageQuery: all})
	for _, d := range page.Items {
		_, _ = s.Cancel(ctx, d.EndedAt, home, d.ID, "")
	}
	if err != nil {
		return 0, err
	}
	return s.Store.Purge(ctx, r)
}

// numbered takes a cursor for the number of elements before it.
type numbered struct{ hooks.Store }

func turn[T any](q *hooks.PageQuery) func(*hooks.Page[T]) {
	before := 0
	if !q.After.IsZero() {
		before, _ = strconv.Atoi(q.After.ID)
	}
	q.Offset += before
	q.After = hooks.Cursor{}
	offset := q.Offset
	return func(p *hooks.Page[T]) {
		if !p.Next.IsZero() {
			p.Next = hooks.Cursor{Time: start, ID: strconv.Itoa(offset + len(p.Items))}
		}
	}
}

func (s numbered) Hooks(ctx context.Context, q hooks.HookQuery) (hooks.Page[hooks.Hook], error) {
	next := turn[hooks.Hook](&q.PageQuery)
	page, err := s.Store.Hooks(ctx, q)
	next(&page)
	return page, err
}

func (s numbered) Deliveries(ctx context.Context, q hooks.LogQuery) (hooks.Page[hooks.Delivery], error) {
	next := turn[hooks.Delivery](&q.PageQuery)
	page, err := s.Store.Deliveries(ctx, q)
	next(&page)
	return page, err
}

func (s numbered) Attempts(ctx context.Context, q hooks.LogQuery) (hooks.Page[hooks.Attempt], error) {
	next := turn[hooks.Attempt](&q.PageQuery)
	page, err := s.Store.Attempts(ctx, q)
	next(&page)
	return page, err
}

// sharesHooks returns the hooks that it was given, with all that they refer to.
type sharesHooks struct {
	hooks.Store
	given sync.Map
}

func (s *sharesHooks) CreateHook(ctx context.Context, h hooks.Hook, limit int) error {
	s.given.Store(h.Ref(), h)
	return s.Store.CreateHook(ctx, h, limit)
}

func (s *sharesHooks) Hooks(ctx context.Context, q hooks.HookQuery) (hooks.Page[hooks.Hook], error) {
	page, err := s.Store.Hooks(ctx, q)
	for i, h := range page.Items {
		if given, ok := s.given.Load(h.Ref()); ok && h.Version == given.(hooks.Hook).Version {
			page.Items[i].Headers = given.(hooks.Hook).Headers
		}
	}
	return page, err
}

type needsValues struct{ hooks.Store }

func (s needsValues) CreateHook(ctx context.Context, h hooks.Hook, limit int) error {
	if h.Settings != nil && len(h.Settings) == 0 {
		return &hooks.InvalidError{Field: "settings", Reason: "must be JSON"}
	}
	return s.Store.CreateHook(ctx, h, limit)
}

type oneTenant struct{ hooks.Store }

func (s oneTenant) CreateHook(ctx context.Context, h hooks.Hook, limit int) error {
	h.Tenant = home
	return s.Store.CreateHook(ctx, h, limit)
}

func (s oneTenant) UpdateHook(ctx context.Context, h hooks.Hook) error {
	h.Tenant = home
	return s.Store.UpdateHook(ctx, h)
}

func (s oneTenant) Hooks(ctx context.Context, q hooks.HookQuery) (hooks.Page[hooks.Hook], error) {
	q.Tenant = home
	return s.Store.Hooks(ctx, q)
}

func (s oneTenant) Enqueue(ctx context.Context, now time.Time, entries []hooks.Entry) error {
	for i := range entries {
		entries[i].Event.Tenant = home
		for j := range entries[i].Deliveries {
			entries[i].Deliveries[j].Tenant = home
		}
	}
	return s.Store.Enqueue(ctx, now, entries)
}

// talkative has different errors for what is another tenant's and what does not exist.
type talkative struct{ hooks.Store }

func (s talkative) Redeliver(ctx context.Context, now time.Time, tenant, id string) (hooks.Delivery, error) {
	d, err := s.Store.Redeliver(ctx, now, tenant, id)
	if errors.Is(err, hooks.ErrNotFound) && lookup(ctx, s.Store, id).ID != "" {
		err = hooks.ErrConflict
	}
	return d, err
}

type readsEvents struct{ hooks.Store }

func (s readsEvents) Events(ctx context.Context, tenant string, ids []string) ([]hooks.Event, error) {
	list, err := s.Store.Events(ctx, tenant, ids)
	if len(list) < len(ids) {
		others, _ := s.Store.Events(ctx, home, ids)
		list = append(list, others...)
	}
	return list, err
}

type readsLogs struct{ hooks.Store }

func (s readsLogs) Deliveries(ctx context.Context, q hooks.LogQuery) (hooks.Page[hooks.Delivery], error) {
	if len(q.DeliveryIDs) > 0 {
		q.Tenant = home
	}
	return s.Store.Deliveries(ctx, q)
}

type lateContext struct{ hooks.Store }

func (s lateContext) Enqueue(ctx context.Context, now time.Time, entries []hooks.Entry) error {
	if err := s.Store.Enqueue(context.WithoutCancel(ctx), now, entries); err != nil {
		return err
	}
	return ctx.Err()
}

type mute struct{ hooks.Store }

func (mute) Notify(func()) (stop func()) { return func() {} }

type insistent struct {
	hooks.Store
	hooks.Notifier
}

func (s insistent) Notify(wake func()) (stop func()) {
	s.Notifier.Notify(wake)
	return func() {}
}

// A named store has another identity.
type named struct {
	hooks.Store
	id func() string
}

func (s named) StoreID() string { return s.id() }

// idle is a store that does nothing.
type idle struct{}

func (idle) CreateHook(context.Context, hooks.Hook, int) error               { return nil }
func (idle) UpdateHook(context.Context, hooks.Hook) error                    { return nil }
func (idle) DeleteHook(context.Context, hooks.Ref, time.Time) error          { return nil }
func (idle) Enqueue(context.Context, time.Time, []hooks.Entry) error         { return nil }
func (idle) StoreID() string                                                 { return "idle" }
func (idle) Purge(context.Context, hooks.PurgeRequest) (int, error)          { return 0, nil }
func (idle) Events(context.Context, string, []string) ([]hooks.Event, error) { return nil, nil }

func (idle) Hooks(context.Context, hooks.HookQuery) (hooks.Page[hooks.Hook], error) {
	return hooks.Page[hooks.Hook]{}, nil
}

func (idle) HookChanges(context.Context, int64, int) ([]hooks.HookChange, error) { return nil, nil }

func (idle) Claim(context.Context, hooks.ClaimRequest) ([]hooks.Claimed, time.Time, error) {
	return nil, time.Time{}, nil
}

func (idle) Settle(_ context.Context, _ time.Time, list []hooks.Settlement) ([]hooks.Settled, error) {
	return make([]hooks.Settled, len(list)), nil
}

func (idle) Redeliver(context.Context, time.Time, string, string) (hooks.Delivery, error) {
	return hooks.Delivery{}, nil
}

func (idle) Cancel(context.Context, time.Time, string, string, string) (hooks.Delivery, error) {
	return hooks.Delivery{}, nil
}

func (idle) Deliveries(context.Context, hooks.LogQuery) (hooks.Page[hooks.Delivery], error) {
	return hooks.Page[hooks.Delivery]{}, nil
}

func (idle) Attempts(context.Context, hooks.LogQuery) (hooks.Page[hooks.Attempt], error) {
	return hooks.Page[hooks.Attempt]{}, nil
}

func (idle) Stats(context.Context, string, []string, time.Time, time.Time) (map[string]hooks.Stats, error) {
	return nil, nil
}
