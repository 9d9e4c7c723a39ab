//go:build cgo

package store_test

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/memory"
	"github.com/seed-2c6e3a5a/hooks/sqlite"
	"github.com/seed-2c6e3a5a/hooks/store"
)

// A walk does the same random things to all of its stores, and compares what they answer. It
// begins with one store; the others are copies.
type walk struct {
	stores []store.Copyable
	now    time.Time
	events int
	ids    []string
	leases []hooks.Delivery // also those that have ended
}

var (
	tenants = []string{"", "t"}
	hookIDs = []string{"a", "b", "c"}
)

// each does something to each store, and fails if the answers differ.
func (w *walk) each(t *rapid.T, do func(s hooks.Store) any) any {
	var first any
	for i, s := range w.stores {
		answer := do(s)
		if i == 0 {
			first = answer
			continue
		}
		require.Equal(t, first, answer)
	}
	return first
}

// kind returns what kind of an error it is, since the texts of stores differ.
func kind(t *rapid.T, err error) error {
	for _, known := range []error{hooks.ErrDuplicate, hooks.ErrNotFound, hooks.ErrConflict} {
		if errors.Is(err, known) {
			return known
		}
	}
	require.NoError(t, err)
	return nil
}

func drawRef(t *rapid.T) hooks.Ref {
	return hooks.Ref{Tenant: rapid.SampledFrom(tenants).Draw(t, "tenant"), ID: rapid.SampledFrom(hookIDs).Draw(t, "hook")}
}

func (w *walk) create(t *rapid.T) {
	ref := drawRef(t)
	h := hooks.Hook{Tenant: ref.Tenant, ID: ref.ID, Version: 1, CreatedAt: w.now, UpdatedAt: w.now, Headers: map[string]string{"A": "b"}, Sealed: []byte{0, 1}}
	w.each(t, func(s hooks.Store) any { return kind(t, s.CreateHook(t.Context(), h, 0)) })
}

func (w *walk) update(t *rapid.T) {
	ref, disabled := drawRef(t), rapid.Bool().Draw(t, "disabled")
	w.each(t, func(s hooks.Store) any {
		page, err := s.Hooks(t.Context(), hooks.HookQuery{Tenant: ref.Tenant, IDs: []string{ref.ID}})
		require.NoError(t, err)
		for _, h := range page.Items {
			h.Disabled = disabled
			return kind(t, s.UpdateHook(t.Context(), h))
		}
		return nil
	})
}

func (w *walk) remove(t *rapid.T) {
	ref := drawRef(t)
	w.each(t, func(s hooks.Store) any { return kind(t, s.DeleteHook(t.Context(), ref, w.now)) })
}

func (w *walk) enqueue(t *rapid.T) {
	w.events++
	ref, n := drawRef(t), rapid.IntRange(0, 3).Draw(t, "deliveries")
	e := &hooks.Event{
		ID: fmt.Sprint("e", rapid.IntRange(max(1, w.events-1), w.events).Draw(t, "event")), Tenant: ref.Tenant, Type: "a", Time: w.now,
		OrderingKey: rapid.SampledFrom([]string{"", "k", "l"}).Draw(t, "key"), Data: []byte(`{"a": 1}`), Metadata: map[string]string{"a": "b"},
	}
	entry := hooks.Entry{Event: e}
	for i := range n {
		d := hooks.Delivery{
			ID: fmt.Sprintf("%08x-0000-7000-8000-%08x%04x", slices.Index(tenants, ref.Tenant), w.events, i), Tenant: ref.Tenant, HookID: hookIDs[i], EventID: e.ID, EventType: e.Type,
			OrderingKey: e.OrderingKey, State: hooks.Pending, CreatedAt: w.now, Undecided: rapid.Bool().Draw(t, "undecided"),
			Due: w.now.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "due")) * time.Second),
		}
		if e.OrderingKey == "" && rapid.Bool().Draw(t, "leased") {
			d.State, d.Lease = hooks.Leased, hooks.Lease{Owner: "o", Token: 1, Until: w.now.Add(2 * time.Second)}
		}
		entry.Deliveries = append(entry.Deliveries, d)
	}
	stored := w.each(t, func(s hooks.Store) any { return kind(t, s.Enqueue(t.Context(), w.now, []hooks.Entry{entry})) })
	if stored != nil {
		return
	}
	for _, d := range entry.Deliveries {
		w.ids = append(w.ids, d.ID)
		if d.State == hooks.Leased {
			w.leases = append(w.leases, d)
		}
	}
}

// claim claims all that is due. The order is free.
func (w *walk) claim(t *rapid.T) {
	claimed := w.each(t, func(s hooks.Store) any {
		claimed, next, err := s.Claim(t.Context(), hooks.ClaimRequest{Owner: "o", Now: w.now, Until: w.now.Add(2 * time.Second), Limit: hooks.Capacity{Deliveries: 1000}})
		require.NoError(t, err)
		if want := w.next(t, s); !want.IsZero() {
			require.False(t, next.IsZero() || next.After(want), "next is %v, want %v at the latest", next, want)
		}
		slices.SortFunc(claimed, func(a, b hooks.Claimed) int { return cmp.Compare(a.Delivery.ID, b.Delivery.ID) })
		return filled(claimed)
	})
	for _, c := range claimed.([]hooks.Claimed) {
		w.leases = append(w.leases, c.Delivery)
	}
}

// next returns when a claim will find something if nothing is due now.
func (w *walk) next(t *rapid.T, s hooks.Store) (next time.Time) {
	for _, tenant := range tenants {
		content := w.read(t, s, tenant)
		for _, d := range content.Deliveries {
			at := d.Due
			switch d.State {
			case hooks.Leased:
				at = d.Lease.Until
			case hooks.Pending:
			default:
				continue
			}
			for _, h := range content.Hooks {
				if h.ID == d.HookID && h.Health.ThrottledUntil.After(at) {
					at = h.Health.ThrottledUntil
				}
			}
			if next.IsZero() || at.Before(next) {
				next = at
			}
		}
	}
	return next
}

func (w *walk) settle(t *rapid.T) {
	if len(w.leases) == 0 {
		return
	}
	d := rapid.SampledFrom(w.leases).Draw(t, "lease")
	state := rapid.SampledFrom([]hooks.State{hooks.Pending, hooks.Pending, hooks.Succeeded, hooks.Dead, hooks.Cancelled}).Draw(t, "state")
	st := hooks.Settlement{
		DeliveryID: d.ID, Token: d.Lease.Token, State: state, Reason: string(state), Hold: state == hooks.Dead && rapid.Bool().Draw(t, "hold"),
		Undecided: rapid.Bool().Draw(t, "undecided"),
	}
	if state == hooks.Pending {
		st.Due, st.Step = w.now.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "due"))*time.Second), d.Step+1
	}
	if state != hooks.Cancelled {
		st.Attempt = &hooks.Attempt{
			DeliveryID: d.ID, Number: d.Attempts + 1, Tenant: d.Tenant, HookID: d.HookID, EventID: d.EventID, EventType: d.EventType, StartedAt: w.now,
			Duration: time.Microsecond, State: state, NextAt: st.Due, Request: hooks.AttemptRequest{Method: "POST", URL: "https://example.com", Header: http.Header{"A": {"b"}}},
			Response: hooks.AttemptResponse{Status: 500, Header: http.Header{"C": {"d"}}, Body: []byte("body")},
		}
		if state != hooks.Succeeded {
			st.Attempt.Class, st.Attempt.Error = hooks.ClassStatus, "500"
			st.ThrottleUntil = w.now.Add(time.Duration(rapid.IntRange(-1, 2).Draw(t, "throttle")) * time.Second)
		}
	}
	w.each(t, func(s hooks.Store) any {
		settled, err := s.Settle(t.Context(), w.now, []hooks.Settlement{st})
		require.NoError(t, err)
		return settled
	})
}

// change redelivers or cancels a delivery, if that is possible.
func (w *walk) change(t *rapid.T) {
	if len(w.ids) == 0 {
		return
	}
	id, redeliver := rapid.SampledFrom(w.ids).Draw(t, "delivery"), rapid.Bool().Draw(t, "redeliver")
	tenant := tenants[id[7]-'0']
	w.each(t, func(s hooks.Store) any {
		var d hooks.Delivery
		var err error
		if redeliver {
			d, err = s.Redeliver(t.Context(), w.now, tenant, id)
		} else {
			d, err = s.Cancel(t.Context(), w.now, tenant, id, "by hand")
		}
		return []any{meaning(d), kind(t, err)}
	})
}

func (w *walk) purge(t *rapid.T) {
	r := hooks.PurgeRequest{
		Before: w.now.Add(-time.Duration(rapid.IntRange(0, 9).Draw(t, "age")) * time.Second), KeepPerHook: rapid.IntRange(0, 4).Draw(t, "keep"), Limit: 1000,
	}
	w.each(t, func(s hooks.Store) any {
		_, err := s.Purge(t.Context(), r) // Which rows count is the store's choice.
		return err
	})
}

// content is all that can be read of a tenant.
type content struct {
	Hooks      []hooks.Hook
	Deliveries []hooks.Delivery
	Attempts   []hooks.Attempt
	Events     []hooks.Event
	Stats      map[string]hooks.Stats
}

func (w *walk) read(t *rapid.T, s hooks.Store, tenant string) (c content) {
	page := hooks.PageQuery{Limit: 10_000}
	hookPage, err := s.Hooks(t.Context(), hooks.HookQuery{Tenant: tenant, PageQuery: page})
	require.NoError(t, err)
	deliveries, err := s.Deliveries(t.Context(), hooks.LogQuery{Tenant: tenant, PageQuery: page})
	require.NoError(t, err)
	attempts, err := s.Attempts(t.Context(), hooks.LogQuery{Tenant: tenant, PageQuery: page})
	require.NoError(t, err)
	ids := make([]string, w.events+1)
	for i := range ids {
		ids[i] = fmt.Sprint("e", i)
	}
	events, err := s.Events(t.Context(), tenant, ids)
	require.NoError(t, err)
	slices.SortFunc(events, func(a, b hooks.Event) int { return cmp.Compare(a.ID, b.ID) })
	stats, err := s.Stats(t.Context(), tenant, hookIDs, began, w.now)
	require.NoError(t, err)
	for i := range deliveries.Items {
		deliveries.Items[i] = meaning(deliveries.Items[i])
	}
	return content{filled(hookPage.Items), filled(deliveries.Items), filled(attempts.Items), filled(events), stats}
}

// filled returns the list, which is not nil: a nil and an empty one are the same.
func filled[T any](list []T) []T { return append([]T{}, list...) }

// meaning returns the delivery without what means nothing in its state.
func meaning(d hooks.Delivery) hooks.Delivery {
	if d.State.Ended() {
		d.Step = 0
	}
	if d.State == hooks.Blocked {
		d.Due = time.Time{}
	}
	return d
}

// same fails unless all stores have the same content.
func (w *walk) same(t *rapid.T) {
	for _, tenant := range tenants {
		w.each(t, func(s hooks.Store) any { return w.read(t, s, tenant) })
	}
	w.each(t, func(s hooks.Store) any {
		inventory, err := s.(store.Copyable).Inventory(t.Context())
		require.NoError(t, err)
		return inventory
	})
}

// copy copies the first store into another, interrupted at random.
func (w *walk) copy(t *rapid.T, target store.Copyable) {
	var records []store.Record
	for r, err := range w.stores[0].Export(t.Context()) {
		require.NoError(t, err)
		records = append(records, r)
	}
	cut := rapid.IntRange(0, len(records)).Draw(t, "cut")
	from := rapid.IntRange(0, cut).Draw(t, "from")
	require.NoError(t, target.Import(t.Context(), records[:cut]))
	require.NoError(t, target.Import(t.Context(), records[from:cut]))
	require.NoError(t, store.Copy(t.Context(), w.stores[0], target))
	w.stores = append(w.stores, target)
}

// A store and its copies, of the same and of another kind, answer the same for ever.
func TestCopiesBehaveAlike(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		open := map[string]func() store.Copyable{
			"memory": func() store.Copyable { return memory.New(memory.Options{}) },
			"sqlite": func() store.Copyable {
				s, err := sqlite.Open(r.Context(), filepath.Join(t.TempDir(), "hooks.db"), sqlite.Options{Synchronous: sqlite.Normal})
				require.NoError(r, err)
				r.Cleanup(func() { require.NoError(t, s.Close()) })
				return s
			},
		}
		kinds := []string{"memory", "sqlite"}
		if rapid.IntRange(0, 3).Draw(r, "with postgres") == 0 { // because it is slow
			kinds = append(kinds, "postgres")
		}
		open["postgres"] = func() store.Copyable { return openPostgres(t, r) }
		w := &walk{now: began, stores: []store.Copyable{open[rapid.SampledFrom(kinds).Draw(r, "kind of the source")]()}}
		step := func(do func(*rapid.T)) func(*rapid.T) {
			return func(t *rapid.T) {
				w.now = w.now.Add(time.Duration(rapid.SampledFrom([]int{1, 1, 500, 2000}).Draw(t, "ms")) * time.Millisecond)
				do(t)
			}
		}
		steps := map[string]func(*rapid.T){
			"create": step(w.create), "update": step(w.update), "remove": step(w.remove), "enqueue": step(w.enqueue), "enqueue more": step(w.enqueue),
			"claim": step(w.claim), "settle": step(w.settle), "settle more": step(w.settle), "change": step(w.change), "purge": step(w.purge),
		}
		r.Repeat(steps)
		for _, kind := range kinds {
			w.copy(r, open[kind]())
		}
		w.same(r)
		steps["same"] = w.same
		r.Repeat(steps)
		w.same(r)
	})
}
