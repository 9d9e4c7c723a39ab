package okta_test

import (
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/okta"
	"github.com/seed-2c6e3a5a/hooks/memory"
)

// An application that serves the API to those who have a token of Okta's form, and sends
// events that happen within a second in one request.
func ExampleNew() {
	m, err := hooks.New(memory.New(memory.Options{}), hooks.Config{
		Protocols: []hooks.Protocol{&okta.Protocol{MaxBatch: 100, BatchWindow: time.Second}},
	})
	if err != nil {
		log.Fatal(err)
	}
	api, err := okta.New(m, okta.Config{
		Config: httpadapter.Config{
			Authenticate: func(r *http.Request) (httpadapter.Identity, error) {
				if subtle.ConstantTimeCompare([]byte(httpadapter.Token(r)), []byte("a long secret")) == 0 {
					return httpadapter.Identity{}, httpadapter.ErrUnauthenticated
				}
				return httpadapter.Identity{Tenant: "default", Actor: "00uada", Read: true, Write: true}, nil
			},
			Logger: slog.New(slog.DiscardHandler),
		},
		RateLimit: 100,
	})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	httpadapter.Mount(mux, api)

	// The last is what Okta's SDK for Python sends.
	for _, authorization := range []string{"SSWS a guess", "SSWS a long secret", "SSWSa long secret"} {
		r := httptest.NewRequest(http.MethodGet, "/api/v1/eventHooks/unknown", nil)
		r.Header.Set("Authorization", authorization)
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		var failure struct{ ErrorCode, ErrorSummary string }
		if err := json.Unmarshal(w.Body.Bytes(), &failure); err != nil {
			log.Fatal(err)
		}
		fmt.Println(w.Code, failure.ErrorCode, failure.ErrorSummary)
	}
	// Output:
	// 401 E0000011 Invalid token provided
	// 404 E0000007 Not found: Resource not found: unknown (Webhook)
	// 404 E0000007 Not found: Resource not found: unknown (Webhook)
}

// An endpoint that can be verified.
func ExampleChallengeHandler() {
	mux := http.NewServeMux()
	mux.Handle("/webhooks", okta.ChallengeHandler(http.HandlerFunc(receive)))

	challenge := httptest.NewRequest(http.MethodGet, "/webhooks", nil)
	challenge.Header.Set("X-Okta-Verification-Challenge", "a-random-text")
	delivery := httptest.NewRequest(http.MethodPost, "/webhooks", strings.NewReader(`{"data":{"events":[{"eventType":"user.create"}]}}`))
	delivery.Header.Set("Authorization", "the secret of the hook")
	for _, r := range []*http.Request{challenge, delivery} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Body)
	}
	// Output:
	// 200 {"verification":"a-random-text"}
	// received user.create
	// 204
}

// receive is what an endpoint does with a delivery.
func receive(w http.ResponseWriter, r *http.Request) {
	if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("the secret of the hook")) == 0 {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	var body struct {
		Data struct {
			Events []struct{ EventType string }
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	for _, event := range body.Data.Events {
		fmt.Println("received", event.EventType)
	}
	w.WriteHeader(http.StatusNoContent)
}
