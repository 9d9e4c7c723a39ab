package storetest

import (
	"context"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

// An edit is a store that changes what goes into another store and what comes
// out of it, as far as its functions are set.
type edit struct {
	hooks.Store

	// What goes in.
	ctx         func(context.Context) context.Context
	hook        func(*hooks.Hook)
	entries     func([]hooks.Entry) []hooks.Entry
	request     func(*hooks.ClaimRequest)
	settlements func([]hooks.Settlement)
	hookQuery   func(*hooks.HookQuery)
	logQuery    func(*hooks.LogQuery)
	window      func(since, until *time.Time)
	purge       func(*hooks.PurgeRequest)

	// What comes out.
	err        func(error) error
	hooksPage  func(*hooks.Page[hooks.Hook])
	changes    func([]hooks.HookChange) []hooks.HookChange
	claimed    func(r hooks.ClaimRequest, claimed *[]hooks.Claimed, next *time.Time)
	settled    func([]hooks.Settled)
	delivery   func(*hooks.Delivery) // Of Redeliver and Cancel.
	events     func([]hooks.Event)
	deliveries func(*hooks.Page[hooks.Delivery])
	attempts   func(*hooks.Page[hooks.Attempt])
	stats      func(map[string]hooks.Stats)
	purged     func(*int)
}

func (e edit) in(ctx context.Context) context.Context {
	if e.ctx != nil {
		return e.ctx(ctx)
	}
	return ctx
}

func (e edit) out(err error) error {
	if e.err != nil {
		return e.err(err)
	}
	return err
}

func apply[T any](f func(T), x T) {
	if f != nil {
		f(x)
	}
}

func (e edit) CreateHook(ctx context.Context, h hooks.Hook, limit int) error {
	apply(e.hook, &h)
	return e.out(e.Store.CreateHook(e.in(ctx), h, limit))
}

func (e edit) UpdateHook(ctx context.Context, h hooks.Hook) error {
	apply(e.hook, &h)
	return e.out(e.Store.UpdateHook(e.in(ctx), h))
}

func (e edit) DeleteHook(ctx context.Context, ref hooks.Ref, now time.Time) error {
	return e.out(e.Store.DeleteHook(e.in(ctx), ref, now))
}

func (e edit) Hooks(ctx context.Context, q hooks.HookQuery) (hooks.Page[hooks.Hook], error) {
	apply(e.hookQuery, &q)
	page, err := e.Store.Hooks(e.in(ctx), q)
	apply(e.hooksPage, &page)
	return page, e.out(err)
}

func (e edit) HookChanges(ctx context.Context, after int64, limit int) ([]hooks.HookChange, error) {
	list, err := e.Store.HookChanges(e.in(ctx), after, limit)
	if e.changes != nil {
		list = e.changes(list)
	}
	return list, e.out(err)
}

func (e edit) Enqueue(ctx context.Context, now time.Time, entries []hooks.Entry) error {
	if e.entries != nil {
		entries = e.entries(entries)
	}
	return e.out(e.Store.Enqueue(e.in(ctx), now, entries))
}

func (e edit) Claim(ctx context.Context, r hooks.ClaimRequest) ([]hooks.Claimed, time.Time, error) {
	asked := r
	apply(e.request, &r)
	claimed, next, err := e.Store.Claim(e.in(ctx), r)
	if e.claimed != nil {
		e.claimed(asked, &claimed, &next)
	}
	return claimed, next, e.out(err)
}

func (e edit) Settle(ctx context.Context, now time.Time, list []hooks.Settlement) ([]hooks.Settled, error) {
	list = append([]hooks.Settlement(nil), list...)
	apply(e.settlements, list)
	settled, err := e.Store.Settle(e.in(ctx), now, list)
	apply(e.settled, settled)
	return settled, e.out(err)
}

func (e edit) Redeliver(ctx context.Context, now time.Time, tenant, id string) (hooks.Delivery, error) {
	d, err := e.Store.Redeliver(e.in(ctx), now, tenant, id)
	apply(e.delivery, &d)
	return d, e.out(err)
}

func (e edit) Cancel(ctx context.Context, now time.Time, tenant, id, reason string) (hooks.Delivery, error) {
	d, err := e.Store.Cancel(e.in(ctx), now, tenant, id, reason)
	apply(e.delivery, &d)
	return d, e.out(err)
}

func (e edit) Events(ctx context.Context, tenant string, ids []string) ([]hooks.Event, error) {
	list, err := e.Store.Events(e.in(ctx), tenant, ids)
	apply(e.events, list)
	return list, e.out(err)
}

func (e edit) Deliveries(ctx context.Context, q hooks.LogQuery) (hooks.Page[hooks.Delivery], error) {
	apply(e.logQuery, &q)
	page, err := e.Store.Deliveries(e.in(ctx), q)
	apply(e.deliveries, &page)
	return page, e.out(err)
}

func (e edit) Attempts(ctx context.Context, q hooks.LogQuery) (hooks.Page[hooks.Attempt], error) {
	apply(e.logQuery, &q)
	page, err := e.Store.Attempts(e.in(ctx), q)
	apply(e.attempts, &page)
	return page, e.out(err)
}

func (e edit) Stats(ctx context.Context, tenant string, ids []string, since, until time.Time) (map[string]hooks.Stats, error) {
	if e.window != nil {
		e.window(&since, &until)
	}
	stats, err := e.Store.Stats(e.in(ctx), tenant, ids, since, until)
	apply(e.stats, stats)
	return stats, e.out(err)
}

func (e edit) Purge(ctx context.Context, r hooks.PurgeRequest) (int, error) {
	apply(e.purge, &r)
	n, err := e.Store.Purge(e.in(ctx), r)
	apply(e.purged, &n)
	return n, e.out(err)
}
