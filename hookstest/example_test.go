package hookstest_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
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
		rig := hookstest.New(t)
		partner := rig.Endpoint("order.paid")
		shop := &Shop{Hooks: rig.Manager}
		shop.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/pay?order=42", nil))
		if got := partner.Next(); got.Verified != nil || string(got.Data) != `{"order":"42"}` {
			t.Errorf("got %s: %v", got.Body, got.Verified)
		}
	})
}

func TestAPartnerThatIsDownIsToldLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rig := hookstest.New(t)
		partner := rig.Endpoint("order.paid")
		partner.Answer(
			hookstest.Reset(), hookstest.Reset(), // a lost connection is made anew, once in an attempt
			hookstest.Hang(), hookstest.Status(503), hookstest.Status(200))
		shop := &Shop{Hooks: rig.Manager}
		shop.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/pay?order=42", nil))
		if got := partner.Settle(); len(got) != 1 || got[0].State != hooks.Succeeded || got[0].Attempts != 4 {
			t.Errorf("got %+v", got)
		}
	})
}
