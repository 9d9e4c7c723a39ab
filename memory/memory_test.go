package memory_test

import (
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
	"github.com/seed-2c6e3a5a/hooks/memory"
)

// The contract of stores is checked on this one in package storetest.

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// live enqueues, claims and settles n deliveries to one hook, with events
// numbered from first.
func live(t *testing.T, s *memory.Store, first, n int) {
	t.Helper()
	const step = 1000
	for ; n > 0; n, first = n-step, first+step {
		entries := make([]hooks.Entry, step)
		for i := range entries {
			id := fmt.Sprintf("%012d", first+i)
			e := &hooks.Event{ID: id, Type: "order.paid", Time: start, Data: make([]byte, 100)}
			d := hooks.Delivery{ID: id, HookID: "hook", EventID: id, EventType: e.Type, State: hooks.Pending, Due: start, CreatedAt: start}
			entries[i] = hooks.Entry{Event: e, Deliveries: []hooks.Delivery{d}}
		}
		require.NoError(t, s.Enqueue(t.Context(), start, entries))
		claimed, _, err := s.Claim(t.Context(), hooks.ClaimRequest{Now: start, Until: start.Add(time.Minute), Limit: hooks.Capacity{Deliveries: step}})
		require.NoError(t, err)
		require.Len(t, claimed, step)
		settlements := make([]hooks.Settlement, step)
		for i, c := range claimed {
			settlements[i] = hooks.Settlement{
				DeliveryID: c.Delivery.ID, Token: c.Delivery.Lease.Token, State: hooks.Succeeded,
				Attempt: &hooks.Attempt{DeliveryID: c.Delivery.ID, Number: 1, HookID: "hook", StartedAt: start, State: hooks.Succeeded},
			}
		}
		_, err = s.Settle(t.Context(), start, settlements)
		require.NoError(t, err)
	}
}

func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

func TestMemoryDoesNotGrowWithWhatHasEnded(t *testing.T) {
	s := memory.New(memory.Options{MaxEnded: 2000})
	live(t, s, 0, 100_000)
	before := heap()
	live(t, s, 100_000, 900_000)
	assert.Less(t, heap(), before+before/2, "after a million deliveries, against a hundred thousand")
	page, err := s.Deliveries(t.Context(), hooks.LogQuery{PageQuery: hooks.PageQuery{Limit: 1, CountTo: 10_000}})
	require.NoError(t, err)
	assert.Equal(t, 2000, page.Total)
}

func TestWhatEndedFirstIsDroppedFirst(t *testing.T) {
	t.Parallel()
	s := memory.New(memory.Options{MaxEnded: 1500})
	live(t, s, 0, 3000)
	for id, kept := range map[string]bool{"000000000000": false, "000000001499": false, "000000001500": true, "000000002999": true} {
		q := hooks.LogQuery{DeliveryIDs: []string{id}}
		page, err := s.Deliveries(t.Context(), q)
		require.NoError(t, err)
		assert.Equal(t, kept, len(page.Items) == 1, id)
		attempts, err := s.Attempts(t.Context(), q)
		require.NoError(t, err)
		assert.Equal(t, kept, len(attempts.Items) == 1, id)
		events, err := s.Events(t.Context(), "", []string{id})
		require.NoError(t, err)
		assert.Equal(t, kept, len(events) == 1, id)
	}
}

func TestEventsWithoutDeliveriesAreBounded(t *testing.T) {
	t.Parallel()
	s := memory.New(memory.Options{MaxEnded: 10})
	for i := range 30 {
		require.NoError(t, s.Enqueue(t.Context(), start, []hooks.Entry{{Event: &hooks.Event{ID: fmt.Sprint(i), Type: "a"}}}))
	}
	events, err := s.Events(t.Context(), "", []string{"0", "19", "20", "29"})
	require.NoError(t, err)
	assert.Len(t, events, 2)
	assert.NoError(t, s.Enqueue(t.Context(), start, []hooks.Entry{{Event: &hooks.Event{ID: "0", Type: "a"}}}), "the ID is free again")
}

func TestTransactions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := memory.New(memory.Options{})
		network := new(hookstest.Network)
		m, err := hooks.New(s, hooks.Config{Dial: network.Dial, AllowHTTP: true})
		require.NoError(t, err)
		receiver := network.Receiver(t, "a.example.com")
		_, err = m.Register(t.Context(), hooks.Hook{URL: receiver.URL, Events: []string{"*"}})
		require.NoError(t, err)
		go func() { assert.NoError(t, m.Run(t.Context())) }()
		enqueue := func(tx *memory.Tx, ids ...string) error {
			for _, id := range ids {
				if _, err := m.TriggerTx(t.Context(), tx, hooks.Event{ID: id, Type: "order.paid"}); err != nil {
					return err
				}
			}
			return nil
		}

		rolledBack, committed := s.Begin(), s.Begin()
		require.NoError(t, enqueue(rolledBack, "never"))
		require.NoError(t, enqueue(committed, "one", "two"))
		time.Sleep(time.Hour)
		assert.Empty(t, receiver.Requests(), "nothing is sent before the commit")
		assert.ErrorIs(t, enqueue(committed, "one"), hooks.ErrDuplicate)

		require.NoError(t, rolledBack.Rollback())
		require.NoError(t, committed.Commit())
		time.Sleep(200 * time.Millisecond)
		assert.Len(t, receiver.Requests(), 2, "sent within 200 ms of the commit")
		time.Sleep(time.Hour)
		assert.Len(t, receiver.Requests(), 2)

		for _, tx := range []*memory.Tx{rolledBack, committed} {
			assert.ErrorIs(t, tx.Commit(), memory.ErrTxDone)
			assert.ErrorIs(t, tx.Rollback(), memory.ErrTxDone)
			assert.ErrorIs(t, enqueue(tx, "late"), memory.ErrTxDone)
		}
		late := s.Begin()
		require.NoError(t, enqueue(late, "three", "four"))
		_, err = m.Trigger(t.Context(), hooks.Event{ID: "four", Type: "order.paid"})
		require.NoError(t, err)
		assert.ErrorIs(t, late.Commit(), hooks.ErrDuplicate, "the ID was taken meanwhile")
		events, err := s.Events(t.Context(), "", []string{"never", "three"})
		require.NoError(t, err)
		assert.Empty(t, events)
	})
}

// response stores a delivery with this ID that has succeeded, with a response of so
// many bytes.
func response(t *testing.T, s *memory.Store, id string, bytes int) {
	t.Helper()
	e := &hooks.Event{ID: id, Type: "order.paid", Time: start}
	d := hooks.Delivery{
		ID: id, HookID: "hook", EventID: id, State: hooks.Leased, CreatedAt: start,
		Lease: hooks.Lease{Token: 1, Until: start.Add(time.Minute)},
	}
	require.NoError(t, s.Enqueue(t.Context(), start, []hooks.Entry{{Event: e, Deliveries: []hooks.Delivery{d}}}))
	_, err := s.Settle(t.Context(), start, []hooks.Settlement{{
		DeliveryID: id, Token: 1, State: hooks.Succeeded,
		Attempt: &hooks.Attempt{DeliveryID: id, Number: 1, Response: hooks.AttemptResponse{Body: make([]byte, bytes)}},
	}})
	require.NoError(t, err)
}

func TestWhatHasEndedIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	s := memory.New(memory.Options{MaxEndedBytes: 100_000})
	kept := func() (ids []string) {
		page, err := s.Deliveries(t.Context(), hooks.LogQuery{PageQuery: hooks.PageQuery{OldestFirst: true}})
		require.NoError(t, err)
		for _, d := range page.Items {
			events, err := s.Events(t.Context(), "", []string{d.ID})
			require.NoError(t, err)
			assert.Len(t, events, 1, d.ID)
			ids = append(ids, d.ID)
		}
		return ids
	}
	for i := range 9 {
		response(t, s, fmt.Sprint(i), 20_000)
	}
	assert.Equal(t, []string{"5", "6", "7", "8"}, kept())
	response(t, s, "large", 70_000)
	assert.Equal(t, []string{"8", "large"}, kept(), "what ended first goes first")
	response(t, s, "too large", 200_000)
	assert.Empty(t, kept())

	big := &hooks.Event{ID: "waits", Type: "a", Data: make([]byte, 150_000)}
	d := hooks.Delivery{ID: "waits", HookID: "hook", EventID: "waits", State: hooks.Pending, Due: start, CreatedAt: start}
	require.NoError(t, s.Enqueue(t.Context(), start, []hooks.Entry{{Event: big, Deliveries: []hooks.Delivery{d}}}))
	response(t, s, "small", 10)
	assert.ElementsMatch(t, []string{"small", "waits"}, kept(), "what waits is neither dropped nor counted")
	_, err := s.Cancel(t.Context(), start.Add(time.Second), "", "waits", "")
	require.NoError(t, err)
	assert.Empty(t, kept(), "now it counts")

	for i := range 9 {
		e := &hooks.Event{ID: fmt.Sprint("bare ", i), Type: "a", Data: make([]byte, 30_000)}
		require.NoError(t, s.Enqueue(t.Context(), start, []hooks.Entry{{Event: e}}))
	}
	events, err := s.Events(t.Context(), "", []string{"bare 0", "bare 5", "bare 6", "bare 8"})
	require.NoError(t, err)
	assert.Len(t, events, 2)
}
