package hookstest_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
	"github.com/seed-2c6e3a5a/hooks/memory"
)

// Shop stands for the application under test.
type Shop struct{ Hooks *hooks.Manager }

// ServeHTTP takes a payment: POST /pay?order=42.
func (s *Shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	data, err := json.Marshal(map[string]string{"order": r.FormValue("order")})
	if err == nil {
		_, err = s.Hooks.Trigger(r.Context(), hooks.Event{Type: "order.paid", Data: data})
	}
	if err != nil {
		http.Error(w, "please try again", http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func TestPayingTellsThePartner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		harness := hookstest.New(t)
		partner := harness.Endpoint("order.paid")
		shop := &Shop{Hooks: harness.Manager}
		shop.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/pay?order=42", nil))
		if got := partner.Next(); got.SignatureErr != nil || string(got.Data) != `{"order":"42"}` {
			t.Errorf("got %s: %v", got.Body, got.SignatureErr)
		}
	})
}

func TestAPartnerThatIsDownGetsTheEventLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		harness := hookstest.New(t)
		partner := harness.Endpoint("order.paid")
		partner.Respond(
			hookstest.Reset(), hookstest.Reset(), // a request is repeated once if its connection is lost
			hookstest.Hang(), hookstest.Status(503), hookstest.Status(200))
		shop := &Shop{Hooks: harness.Manager}
		shop.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/pay?order=42", nil))
		if got := partner.Settle(); len(got) != 1 || got[0].State != hooks.Succeeded || got[0].Attempts != 4 {
			t.Errorf("got %+v", got)
		}
	})
}

// Without a bubble, time is real: retries have to come soon, and the endpoint waits
// for what ought to happen.
func TestARetryInRealTime(t *testing.T) {
	harness := hookstest.New(t, func(c *hooks.Config) {
		c.Schedule = hooks.Retries(time.Millisecond, time.Millisecond) // three attempts
	})
	partner := harness.Endpoint("order.paid")
	partner.Respond(hookstest.Status(503), hookstest.Status(200))
	shop := &Shop{Hooks: harness.Manager}
	shop.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/pay?order=42", nil))
	first, second := partner.Next(), partner.Next() // each waits for partner.Patience at most
	if first.ID != second.ID {
		t.Errorf("%s was sent, and then %s", first.ID, second.ID)
	}
}

// The Manager of the application, and an endpoint at a TCP port.
func TestARealEndpoint(t *testing.T) {
	partner := hookstest.NewReceiver(t, hookstest.Status(200))
	m, err := hooks.New(memory.New(memory.Options{}), hooks.Config{
		AllowHTTP: true, AllowNetworks: []string{"127.0.0.1"},
		PollInterval: 10 * time.Millisecond, // for a store that does not notify, such as SQLite
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- m.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
	hook, err := m.Register(ctx, hooks.Hook{URL: partner.URL, Events: []string{"order.paid"}})
	if err != nil {
		t.Fatal(err)
	}
	partner.Verify(hook.Secrets[0].Secret)
	shop := &Shop{Hooks: m}
	shop.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/pay?order=42", nil))
	if got := partner.Next(); got.SignatureErr != nil || got.Type != "order.paid" {
		t.Errorf("got %s: %v", got.Body, got.SignatureErr)
	}
}

// refund is code under test that records an event in a transaction. The memory
// store's stands in for the database's.
func refund(ctx context.Context, m *hooks.Manager, tx hooks.Tx, order string) error {
	if order == "" {
		return errors.New("no order")
	}
	data, err := json.Marshal(map[string]string{"order": order})
	if err != nil {
		return err
	}
	_, err = m.TriggerTx(ctx, tx, hooks.Event{ID: order + "-refunded", Type: "order.refunded", Data: data})
	return err
}

func TestARefundIsSentWhenItIsCommitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		harness := hookstest.New(t)
		partner := harness.Endpoint("order.refunded")
		lost, kept := harness.Store.Begin(), harness.Store.Begin()
		err := errors.Join(
			refund(t.Context(), harness.Manager, lost, "41"), lost.Rollback(),
			refund(t.Context(), harness.Manager, kept, "42"), kept.Commit(),
		)
		if err != nil {
			t.Fatal(err)
		}
		if got := partner.Settle(); len(got) != 1 || got[0].EventID != "42-refunded" {
			t.Errorf("got %+v", got)
		}
	})
}
