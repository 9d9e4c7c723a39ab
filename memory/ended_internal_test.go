package memory

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/store"
)

// A walk does random things to a store.
type walk struct {
	*Store
	now    time.Time
	events int
	leased []hooks.Delivery
	ids    []string
}

// check recomputes what the store keeps account of.
func (w *walk) check(t *rapid.T) {
	bytes, ended := 0, 0
	waiting := map[*event]int{}
	for _, d := range w.deliveries {
		if !d.State.Ended() || d.Held {
			waiting[d.event]++
			continue
		}
		ended++
		bytes += d.size()
	}
	for _, e := range w.Store.events {
		require.Equal(t, waiting[e], e.open, "deliveries of %s that wait", e.ID)
		if waiting[e] == 0 {
			bytes += e.size()
		}
	}
	require.Equal(t, bytes, w.bytes, "bytes")
	require.Equal(t, ended, w.ended.Len(), "ended deliveries")
	require.LessOrEqual(t, bytes, w.maxBytes)
	require.LessOrEqual(t, ended, w.maxEnded)
	for _, q := range w.queues {
		var want, got []string
		for d := q.all.First(); d != nil; d = q.all.Next(d) {
			if d.State.Ended() {
				want = append(want, d.ID)
			}
		}
		for d := q.ended.First(); d != nil; d = q.ended.Next(d) {
			got = append(got, d.ID)
		}
		slices.Sort(got)
		slices.Sort(want)
		require.Equal(t, want, got, "ended deliveries of %v", q.ref)
	}
}

func (w *walk) enqueue(t *rapid.T) {
	w.events++
	e := &hooks.Event{
		ID: fmt.Sprint(w.events), Type: "a", OrderingKey: rapid.SampledFrom([]string{"", "k"}).Draw(t, "key"),
		Data: make([]byte, rapid.IntRange(0, 3000).Draw(t, "data")), Metadata: map[string]string{"a": "b"},
	}
	entry := hooks.Entry{Event: e}
	for i := range rapid.IntRange(0, 3).Draw(t, "deliveries") {
		d := hooks.Delivery{
			ID: fmt.Sprint(w.events, "-", i), HookID: fmt.Sprint(i), EventID: e.ID, OrderingKey: e.OrderingKey,
			State: hooks.Pending, Due: w.now, CreatedAt: w.now,
		}
		entry.Deliveries = append(entry.Deliveries, d)
		w.ids = append(w.ids, d.ID)
	}
	require.NoError(t, w.Enqueue(t.Context(), w.now, []hooks.Entry{entry}))
}

func (w *walk) claim(t *rapid.T) {
	claimed, _, err := w.Claim(t.Context(), hooks.ClaimRequest{Now: w.now, Until: w.now.Add(time.Second), Limit: hooks.Capacity{Deliveries: 5}})
	require.NoError(t, err)
	for _, c := range claimed {
		w.leased = append(w.leased, c.Delivery)
	}
}

func (w *walk) settle(t *rapid.T) {
	if len(w.leased) == 0 {
		return
	}
	i := rapid.IntRange(0, len(w.leased)-1).Draw(t, "lease")
	d := w.leased[i]
	w.leased = slices.Delete(w.leased, i, i+1)
	state := rapid.SampledFrom([]hooks.State{hooks.Pending, hooks.Succeeded, hooks.Dead, hooks.Cancelled}).Draw(t, "state")
	st := hooks.Settlement{
		DeliveryID: d.ID, Token: d.Lease.Token, State: state, Due: w.now, Reason: strings.Repeat("x", rapid.IntRange(0, 50).Draw(t, "reason")),
		Hold: rapid.Bool().Draw(t, "hold"),
	}
	if state != hooks.Cancelled {
		st.Attempt = &hooks.Attempt{
			DeliveryID: d.ID, Number: d.Attempts + 1, StartedAt: w.now, State: state, Error: st.Reason,
			Response: hooks.AttemptResponse{Header: http.Header{"A": {"b", "c"}}, Body: make([]byte, rapid.IntRange(0, 3000).Draw(t, "body"))},
		}
	}
	_, err := w.Settle(t.Context(), w.now, []hooks.Settlement{st})
	require.NoError(t, err)
}

// change redelivers or cancels a delivery, if that is possible.
func (w *walk) change(t *rapid.T) {
	if len(w.ids) == 0 {
		return
	}
	id := rapid.SampledFrom(w.ids).Draw(t, "delivery")
	if rapid.Bool().Draw(t, "redeliver") {
		_, _ = w.Redeliver(t.Context(), w.now, "", id)
	} else {
		_, _ = w.Cancel(t.Context(), w.now, "", id, "cancelled by hand")
	}
}

func (w *walk) recreate(t *rapid.T) {
	ref := hooks.Ref{ID: fmt.Sprint(rapid.IntRange(0, 2).Draw(t, "hook"))}
	require.NoError(t, w.DeleteHook(t.Context(), ref, w.now))
	require.NoError(t, w.CreateHook(t.Context(), hooks.Hook{ID: ref.ID}, 0))
}

func (w *walk) purge(t *rapid.T) {
	_, err := w.Purge(t.Context(), hooks.PurgeRequest{
		Before:      w.now.Add(-time.Duration(rapid.IntRange(0, 20).Draw(t, "age")) * time.Second),
		KeepPerHook: rapid.IntRange(0, 5).Draw(t, "keep"), Limit: rapid.IntRange(1, 10).Draw(t, "limit"),
	})
	require.NoError(t, err)
}

// move goes on with a copy of the store, in which ended deliveries are in the order of their ends.
func (w *walk) move(t *rapid.T) {
	var records []store.Record
	for r, err := range w.Export(t.Context()) {
		require.NoError(t, err)
		records = append(records, r)
	}
	target := New(Options{MaxEnded: w.maxEnded, MaxEndedBytes: w.maxBytes})
	cut := rapid.IntRange(0, len(records)).Draw(t, "cut")
	require.NoError(t, target.Import(t.Context(), records[:cut]))
	require.NoError(t, target.Import(t.Context(), records))
	require.True(t, slices.IsSortedFunc(endedIn(target), time.Time.Compare))
	w.Store = target
}

// endedIn returns when the deliveries have ended that the store may drop.
func endedIn(s *Store) (ends []time.Time) {
	for d := s.ended.First(); d != nil; d = s.ended.Next(d) {
		ends = append(ends, d.EndedAt)
	}
	return ends
}

func TestTheSumOfBytesIsExact(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := &walk{Store: New(Options{
			MaxEnded: rapid.IntRange(1, 20).Draw(t, "most"), MaxEndedBytes: rapid.IntRange(1, 40_000).Draw(t, "most bytes"),
		})}
		for i := range 3 {
			require.NoError(t, w.CreateHook(t.Context(), hooks.Hook{ID: fmt.Sprint(i)}, 0))
		}
		step := func(do func(*rapid.T)) func(*rapid.T) {
			return func(t *rapid.T) {
				w.now = w.now.Add(time.Duration(rapid.IntRange(0, 2).Draw(t, "seconds")) * time.Second)
				do(t)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"enqueue": step(w.enqueue), "claim": step(w.claim), "settle": step(w.settle), "change": step(w.change),
			"recreate": step(w.recreate), "purge": step(w.purge), "move": step(w.move), "": w.check,
		})
	})
}
