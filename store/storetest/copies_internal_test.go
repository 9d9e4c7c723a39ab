package storetest

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync/atomic"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/store"
)

// A copyEdit is a store that changes what is copied out of another store and into it, as far
// as its functions are set.
type copyEdit struct {
	store.Copyable
	ctx       func(context.Context) context.Context
	inventory func(*store.Inventory)
	exported  func([]store.Record) []store.Record
	imported  func(*store.Record)
}

// copied is a fault of what is copied.
func copied(e copyEdit) func(*Harness) {
	return wrapped(func(s hooks.Store) hooks.Store {
		e.Copyable = s.(store.Copyable)
		return e
	})
}

// eachImported edits the records that are imported.
func eachImported(f func(*store.Record)) copyEdit { return copyEdit{imported: f} }

// eachImportedDelivery edits the deliveries that are imported.
func eachImportedDelivery(f func(*hooks.Delivery)) copyEdit {
	return eachImported(func(r *store.Record) {
		if r.Delivery != nil {
			d := *r.Delivery
			f(&d)
			r.Delivery = &d
		}
	})
}

func (e copyEdit) in(ctx context.Context) context.Context {
	if e.ctx != nil {
		return e.ctx(ctx)
	}
	return ctx
}

func (e copyEdit) Inventory(ctx context.Context) (store.Inventory, error) {
	inventory, err := e.Copyable.Inventory(e.in(ctx))
	apply(e.inventory, &inventory)
	return inventory, err
}

func (e copyEdit) Export(ctx context.Context) iter.Seq2[store.Record, error] {
	if e.exported == nil {
		return e.Copyable.Export(e.in(ctx))
	}
	return func(yield func(store.Record, error) bool) {
		for _, r := range e.exported(exportAll(ctx, e.Copyable)) {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func (e copyEdit) Import(ctx context.Context, records []store.Record) error {
	records = slices.Clone(records)
	for i := range records {
		apply(e.imported, &records[i])
	}
	return e.Copyable.Import(e.in(ctx), records)
}

func exportAll(ctx context.Context, s store.Copyable) (records []store.Record) {
	for r, err := range s.Export(ctx) {
		if err == nil {
			records = append(records, r)
		}
	}
	return records
}

// locked lists no hooks from the first record that it exports until it has exported the last.
type locked struct {
	store.Copyable
	exporting atomic.Bool
}

func (s *locked) Export(ctx context.Context) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		s.exporting.Store(true)
		for r, err := range s.Copyable.Export(ctx) {
			if !yield(r, err) {
				return
			}
		}
		s.exporting.Store(false)
	}
}

func (s *locked) Hooks(ctx context.Context, q hooks.HookQuery) (hooks.Page[hooks.Hook], error) {
	if s.exporting.Load() {
		return hooks.Page[hooks.Hook]{}, errors.New("locked")
	}
	return s.Copyable.Hooks(ctx, q)
}

// reimports replaces hooks that it has.
type reimports struct{ store.Copyable }

func (s reimports) Import(ctx context.Context, records []store.Record) error {
	for _, r := range records {
		if r.Hook != nil {
			_ = s.DeleteHook(ctx, r.Hook.Ref(), start)
		}
	}
	return s.Copyable.Import(ctx, records)
}

// skipsEvents skips an event with all its deliveries.
type skipsEvents struct{ store.Copyable }

func (s skipsEvents) Import(ctx context.Context, records []store.Record) error {
	return s.Copyable.Import(ctx, slices.DeleteFunc(slices.Clone(records), func(r store.Record) bool {
		if r.Delivery == nil {
			return false
		}
		known, _ := s.Events(ctx, r.Delivery.Tenant, []string{r.Delivery.EventID})
		return len(known) > 0
	}))
}

type refusesTwice struct{ store.Copyable }

func (s refusesTwice) Import(ctx context.Context, records []store.Record) error {
	seen := map[string]bool{}
	for _, r := range records {
		if r.Delivery != nil && seen[r.Delivery.ID] {
			return hooks.ErrDuplicate
		}
		if r.Delivery != nil {
			seen[r.Delivery.ID] = true
		}
	}
	return s.Copyable.Import(ctx, records)
}

type importsOneByOne struct{ store.Copyable }

func (s importsOneByOne) Import(ctx context.Context, records []store.Record) error {
	for i := range records {
		if err := s.Copyable.Import(ctx, records[i:i+1]); err != nil {
			return err
		}
	}
	return ctx.Err()
}
