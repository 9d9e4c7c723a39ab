package hookstest_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
	"github.com/seed-2c6e3a5a/hooks/memory"
)

func trigger(t *testing.T, harness *hookstest.Harness, e hooks.Event) {
	t.Helper()
	_, err := harness.Manager.Trigger(t.Context(), e)
	require.NoError(t, err)
}

// inAndOut runs a test in a bubble and outside.
func inAndOut(t *testing.T, f func(t *testing.T)) {
	t.Run("bubble", func(t *testing.T) { synctest.Test(t, f) })
	t.Run("real time", f)
}

func TestEndpointsGetTheirEventsSigned(t *testing.T) {
	inAndOut(t, func(t *testing.T) {
		harness := hookstest.New(t)
		orders, all := harness.Endpoint("order.*"), harness.Endpoint("*")
		assert.NotEqual(t, orders.URL, all.URL)
		trigger(t, harness, hooks.Event{Type: "order.paid", Data: []byte(`{"order":42}`)})
		trigger(t, harness, hooks.Event{Type: "user.created"})

		got := orders.Next()
		assert.NoError(t, got.SignatureErr)
		assert.Equal(t, "order.paid", got.Type)
		assert.Equal(t, `{"order":42}`, string(got.Data))
		assert.NotEmpty(t, got.ID)

		assert.Len(t, all.Settle(), 2)
		assert.Len(t, all.Requests(), 2)
		assert.Len(t, orders.Settle(), 1)
		assert.Len(t, orders.Requests(), 1)
	})
}

func TestAHookWithSettingsOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		harness := hookstest.New(t)
		e := harness.EndpointFor(hooks.Hook{
			Tenant:   "acme",
			Events:   []string{"order.paid"},
			Headers:  map[string]string{"X-Shop": "1"},
			Schedule: []time.Duration{0, time.Hour},
		})
		e.Respond(hookstest.Status(500))
		trigger(t, harness, hooks.Event{Tenant: "acme", Type: "order.paid"})
		start := time.Now()
		got := e.Settle()
		require.Len(t, got, 1)
		assert.Equal(t, hooks.Dead, got[0].State)
		assert.Equal(t, 2, got[0].Attempts)
		assert.GreaterOrEqual(t, time.Since(start), time.Hour)
		requests := e.Requests()
		require.Len(t, requests, 2)
		assert.Equal(t, requests[0].ID, requests[1].ID)
		assert.Equal(t, "1", requests[1].Header.Get("X-Shop"))
		assert.NoError(t, requests[1].SignatureErr)
		assert.Equal(t, "acme", e.Hook.Tenant)
	})
}

func TestSettleReturnsAllDeliveries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		harness := hookstest.New(t)
		e := harness.Endpoint("order.paid")
		assert.Empty(t, e.Settle(), "nothing to wait for")
		n := 2*50 + 1 // Pages have 50.
		for i := range n {
			trigger(t, harness, hooks.Event{ID: fmt.Sprint(i), Type: "order.paid"})
		}
		ids := map[string]bool{}
		for _, d := range e.Settle() {
			assert.Equal(t, hooks.Succeeded, d.State)
			ids[d.EventID] = true
		}
		assert.Len(t, ids, n)
	})
}

func TestSettleGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		message := fails(t, func(t testing.TB) {
			harness := hookstest.New(t)
			e := harness.Endpoint("order.paid")
			e.Respond(hookstest.Status(503).Body("closed"))
			e.Patience = 10 * time.Minute
			_, err := harness.Manager.Trigger(t.Context(), hooks.Event{Type: "order.paid"})
			require.NoError(t, err)
			e.Settle()
		})
		assert.Contains(t, message, "of order.paid to http://endpoint-1.example.com is pending, with 3 attempts")
	})
}

func TestTheConfigurationCanBeAdjusted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		harness := hookstest.New(t,
			func(c *hooks.Config) { c.Catalogue = []hooks.EventType{{Name: "order.paid"}} },
			func(c *hooks.Config) { c.UserAgent = "shop/1" })
		_, err := harness.Manager.Trigger(t.Context(), hooks.Event{Type: "order.piad"})
		var invalid *hooks.InvalidError
		require.ErrorAs(t, err, &invalid)

		e := harness.Endpoint("order.paid")
		trigger(t, harness, hooks.Event{Type: "order.paid"})
		assert.Equal(t, "shop/1", e.Next().Header.Get("User-Agent"))
	})
}

func TestTheStoreOfAHarness(t *testing.T) {
	inAndOut(t, func(t *testing.T) {
		store := memory.New(memory.Options{})
		assert.Same(t, store, hookstest.Over(t, store).Store)

		// Two harnesses over one store are like two processes.
		first := hookstest.New(t)
		e := first.Endpoint("order.paid")
		second := hookstest.Over(t, first.Store, func(c *hooks.Config) { c.Dial = first.Network.Dial })
		trigger(t, second, hooks.Event{ID: "1", Type: "order.paid"})
		assert.Equal(t, "1", e.Next().ID)
		tx := second.Store.Begin()
		_, err := second.Manager.TriggerTx(t.Context(), tx, hooks.Event{ID: "2", Type: "order.paid"})
		require.NoError(t, err)
		require.NoError(t, tx.Commit())
		assert.Equal(t, "2", e.Next().ID)
		e.Settle()
	})
}

// A store that does not notify is polled once a minute in a bubble, so that days
// pass quickly, and as often as usual in real time.
func TestAHarnessOverAStoreThatDoesNotNotify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New(memory.Options{})
		harness := hookstest.Over(t, struct{ hooks.Store }{store})
		assert.Nil(t, harness.Store)
		e := harness.Endpoint("order.paid")
		commit := func(id string) {
			tx := store.Begin()
			_, err := harness.Manager.TriggerTx(t.Context(), tx, hooks.Event{ID: id, Type: "order.paid"})
			require.NoError(t, err)
			require.NoError(t, tx.Commit())
		}
		time.Sleep(time.Second)
		start := time.Now()
		commit("1")
		harness.Manager.Wake()
		assert.Equal(t, start, e.Next().ReceivedAt)
		commit("2")
		got := e.Next().ReceivedAt.Sub(start)
		assert.Greater(t, got, 10*time.Second)
		assert.LessOrEqual(t, got, time.Minute)
	})
	t.Run("real time", func(t *testing.T) {
		store := memory.New(memory.Options{})
		harness := hookstest.Over(t, struct{ hooks.Store }{store})
		e := harness.Endpoint("order.paid")
		tx := store.Begin()
		_, err := harness.Manager.TriggerTx(t.Context(), tx, hooks.Event{Type: "order.paid"})
		require.NoError(t, err)
		require.NoError(t, tx.Commit())
		e.Next() // within e.Patience, without a Wake
	})
}

func TestBadInputEndsTheTest(t *testing.T) {
	tests := map[string]func(t testing.TB){
		"maxPayload": func(t testing.TB) {
			hookstest.New(t, func(c *hooks.Config) { c.MaxPayload = -1 })
		},
		"events": func(t testing.TB) { hookstest.New(t).Endpoint() },
	}
	for want, f := range tests {
		assert.Contains(t, fails(t, f), want)
	}
}

// The end of a test stops everything, also while its endpoint hangs. Otherwise the
// bubble would fail.
func TestATestMayEndAtAnyMoment(t *testing.T) {
	responses := map[string]hookstest.Response{
		"hang":    hookstest.Hang(),
		"endless": hookstest.Status(200).EndlessBody(time.Second),
		"retry":   hookstest.Status(503),
	}
	for name, response := range responses {
		t.Run(name, func(t *testing.T) {
			inAndOut(t, func(t *testing.T) {
				harness := hookstest.New(t)
				e := harness.Endpoint("order.paid")
				e.Respond(response)
				trigger(t, harness, hooks.Event{Type: "order.paid"})
				e.Next()
			})
		})
	}
}
