package hooks_test

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/memory"
)

func TestTriggerSaysWhereTheEventGoes(t *testing.T) {
	h := newHarness(t)
	for id, events := range map[string][]string{"all": {"*"}, "orders": {"order.*", "order.paid"}, "users": {"user.created"}} {
		h.register(hooks.Hook{ID: id, URL: "https://example.com", Events: events})
	}
	h.register(hooks.Hook{Tenant: "acme", URL: "https://example.com", Events: []string{"order.paid"}})

	data := []byte(" {\"total\": 1e2}\n")
	metadata := map[string]string{"region": "eu"}
	at := time.Date(2024, 2, 29, 12, 0, 0, 123_456_789, time.FixedZone("", -3600))
	given := hooks.Event{ID: "e1", Type: "order.paid", Time: at, Data: data, OrderingKey: "key", Metadata: metadata}
	assert.Equal(t, hooks.Receipt{EventID: "e1", Deliveries: 2}, h.trigger(given))
	data[0], metadata["region"] = 'x', "us"
	got, err := h.Event(t.Context(), "", "e1")
	require.NoError(t, err)
	assert.Equal(t, hooks.Event{
		ID: "e1", Type: "order.paid", Time: time.Date(2024, 2, 29, 13, 0, 0, 123e6, time.UTC),
		Data: json.RawMessage(" {\"total\": 1e2}\n"), OrderingKey: "key", Metadata: map[string]string{"region": "eu"},
	}, got)
	for _, d := range h.deliveries(hooks.LogQuery{EventID: "e1"}) {
		assert.Contains(t, []string{"all", "orders"}, d.HookID)
		assert.Equal(t, "order.paid", d.EventType)
		assert.Equal(t, "key", d.OrderingKey)
		assert.Equal(t, hooks.Pending, d.State)
		assert.Zero(t, d.Attempts)
	}

	receipt := h.trigger(hooks.Event{Type: "user.deleted"})
	assert.Equal(t, 1, receipt.Deliveries)
	got, err = h.Event(t.Context(), "", receipt.EventID)
	require.NoError(t, err)
	assert.Equal(t, "{}", string(got.Data))
	assert.WithinDuration(t, time.Now(), got.Time, time.Minute)

	assert.Zero(t, h.trigger(hooks.Event{Tenant: "acme", Type: "user.created"}).Deliveries)
	_, err = h.Event(t.Context(), "acme", "e1")
	assert.ErrorIs(t, err, hooks.ErrNotFound)
}

func TestTriggerBatchIsAllOrNone(t *testing.T) {
	h := newHarness(t)
	h.register(hooks.Hook{URL: "https://example.com", Events: []string{"*"}})
	h.trigger(hooks.Event{ID: "taken", Type: "a"})

	receipts, err := h.TriggerBatch(t.Context(), hooks.Event{ID: "b1", Type: "a"}, hooks.Event{Type: "a"}, hooks.Event{ID: "b1", Tenant: "acme", Type: "a"})
	require.NoError(t, err)
	require.Len(t, receipts, 3)
	assert.Equal(t, hooks.Receipt{EventID: "b1", Deliveries: 1}, receipts[0])
	assert.NotEmpty(t, receipts[1].EventID)
	assert.Equal(t, hooks.Receipt{EventID: "b1"}, receipts[2], "nobody of that tenant")

	receipts, err = h.TriggerBatch(t.Context())
	require.NoError(t, err)
	assert.Empty(t, receipts)

	for name, events := range map[string][]hooks.Event{
		"a stored ID":          {{ID: "n1", Type: "a"}, {ID: "taken", Type: "a"}, {ID: "n2", Type: "a"}},
		"one ID twice":         {{ID: "n1", Type: "a"}, {ID: "n2", Type: "a"}, {ID: "n1", Type: "a"}},
		"a stored ID, keyed":   {{ID: "n1", Type: "a", OrderingKey: "k"}, {ID: "taken", Type: "a", OrderingKey: "k"}},
		"nothing but a double": {{ID: "taken", Type: "other"}},
	} {
		_, err := h.TriggerBatch(t.Context(), events...)
		assert.ErrorIs(t, err, hooks.ErrDuplicate, name)
		for _, id := range []string{"n1", "n2"} {
			_, err := h.Event(t.Context(), "", id)
			assert.ErrorIs(t, err, hooks.ErrNotFound, "%s: %s was stored", name, id)
		}
		assert.Len(t, h.deliveries(hooks.LogQuery{}), 3, name)
	}
}

func TestARefusedTriggerIsNotDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := runningHarness(t)
		r, _ := h.endpoint(hooks.Hook{Events: []string{"*"}})
		for range 100 { // more than any buffer of one hook holds
			_, err := h.TriggerBatch(t.Context(), hooks.Event{ID: "n", Type: "a"}, hooks.Event{ID: "n", Type: "a"})
			require.ErrorIs(t, err, hooks.ErrDuplicate)
		}
		h.trigger(hooks.Event{ID: "good", Type: "a"})
		pass(time.Hour)
		assert.Equal(t, []string{"good"}, receivedIDs(r))
	})
}

func TestAContextThatHasEnded(t *testing.T) {
	h := newHarness(t)
	old := h.register(hooks.Hook{ID: "a", URL: "https://example.com", Events: []string{"*"}})
	h.trigger(hooks.Event{Type: "a"}) // the hooks are known
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := h.Trigger(ended, hooks.Event{ID: "e", Type: "a"})
	assert.ErrorIs(t, err, context.Canceled)
	_, err = h.Register(ended, hooks.Hook{ID: "b", URL: "https://example.com", Events: []string{"*"}})
	assert.ErrorIs(t, err, context.Canceled)
	_, err = h.Update(ended, "", "a", func(hook *hooks.Hook) error { hook.Name = "x"; return nil })
	assert.ErrorIs(t, err, context.Canceled)
	assert.ErrorIs(t, h.Delete(ended, "", "a"), context.Canceled)

	_, err = h.Event(t.Context(), "", "e")
	assert.ErrorIs(t, err, hooks.ErrNotFound)
	assert.Len(t, h.deliveries(hooks.LogQuery{}), 1)
	_, err = h.Hook(t.Context(), "", "b")
	assert.ErrorIs(t, err, hooks.ErrNotFound)
	assert.Equal(t, old, h.hook(old.Ref()))
}

func TestTriggerTxRefusesWhatIsNoTransactionOfItsStore(t *testing.T) {
	h, spy := strictHarness(t, func(*hooks.Config) {})
	h.register(hooks.Hook{URL: "https://example.com/", Events: []string{"*"}})
	writes := spy.writes()
	foreign := memory.New(memory.Options{})
	begun := foreign.Begin()
	for name, tx := range map[string]hooks.Tx{"another store": foreign, "a transaction of another store": begun, "an empty one": new(memory.Tx)} {
		_, err := h.TriggerTx(t.Context(), tx, hooks.Event{ID: "e", Type: "a"})
		require.ErrorIs(t, err, hooks.ErrForeignTx, name)
	}
	for name, tx := range map[string]hooks.Tx{"nil": nil, "a nil transaction": (*memory.Tx)(nil), "a nil store": (*memory.Store)(nil)} {
		_, err := h.TriggerTx(t.Context(), tx, hooks.Event{ID: "e", Type: "a"})
		var invalid *hooks.InvalidError
		require.ErrorAs(t, err, &invalid, name)
		assert.Equal(t, hooks.InvalidError{Field: "tx", Reason: "must not be nil"}, *invalid, name)
	}
	require.NoError(t, begun.Commit())
	stored, err := foreign.Events(t.Context(), "", []string{"e"})
	require.NoError(t, err)
	assert.Empty(t, stored)
	assert.Equal(t, writes, spy.writes())
	_, err = h.TriggerTx(t.Context(), h.store.Begin(), hooks.Event{ID: "e", Type: "a"})
	assert.NoError(t, err)
}

func TestTriggerTx(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := runningHarness(t)
		r, _ := h.endpoint(hooks.Hook{Events: []string{"*"}})

		lost := h.store.Begin()
		_, err := h.TriggerTx(t.Context(), lost, hooks.Event{ID: "lost", Type: "a"})
		require.NoError(t, err)
		require.NoError(t, lost.Rollback())

		tx := h.store.Begin()
		receipts, err := h.TriggerTx(t.Context(), tx, hooks.Event{ID: "e1", Type: "a"}, hooks.Event{ID: "e2", Type: "a", Tenant: "acme"})
		require.NoError(t, err)
		assert.Equal(t, []hooks.Receipt{{EventID: "e1", Deliveries: 1}, {EventID: "e2"}}, receipts)
		_, err = h.TriggerTx(t.Context(), tx, hooks.Event{ID: "e3", Type: "a"}, hooks.Event{ID: "e1", Type: "a"})
		require.ErrorIs(t, err, hooks.ErrDuplicate)
		var invalid *hooks.InvalidError
		_, err = h.TriggerTx(t.Context(), tx, hooks.Event{ID: "e3", Type: "a"}, hooks.Event{ID: "e4", Type: ""})
		require.ErrorAs(t, err, &invalid)
		assert.Equal(t, "events[1].type", invalid.Field)
		pass(time.Hour)
		assert.Empty(t, r.Requests(), "the application has not committed")
		_, err = h.Event(t.Context(), "", "e1")
		require.ErrorIs(t, err, hooks.ErrNotFound)

		require.NoError(t, tx.Commit())
		committed := time.Now()
		require.Len(t, r.Wait(1), 1)
		assert.LessOrEqual(t, time.Since(committed), 200*time.Millisecond)
		pass(time.Hour)
		assert.Equal(t, []string{"e1"}, receivedIDs(r))
		for _, id := range []string{"lost", "e3", "e4"} {
			_, err = h.Event(t.Context(), "", id)
			assert.ErrorIs(t, err, hooks.ErrNotFound, id)
		}
	})
}
