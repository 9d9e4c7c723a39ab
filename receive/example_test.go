package receive_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/memory"
	"github.com/seed-2c6e3a5a/hooks/receive"
)

func ExampleNewVerifier() {
	secret := "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

	verifier, err := receive.NewVerifier(secret)
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("POST /webhooks", verifier.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("webhook", r.Header.Get("webhook-id"))
		w.WriteHeader(http.StatusNoContent)
	})))

	endpoint := httptest.NewServer(mux)
	m, err := hooks.New(memory.New(memory.Options{}), hooks.Config{AllowHTTP: true, AllowNetworks: []string{"127.0.0.0/8"}})
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range []hooks.Secret{hooks.NewSecret(), hooks.Secret(secret)} {
		draft := hooks.Hook{URL: endpoint.URL + "/webhooks", Events: []string{"*"}, Secrets: []hooks.SigningSecret{{Secret: s}}}
		attempts, err := m.Test(context.Background(), draft, hooks.Event{ID: "order-42-paid", Type: "order.paid"})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%d %s\n", attempts[0].Response.Status, attempts[0].Response.Body)
	}
	endpoint.Close()
	// Output:
	// 401 webhook signature not accepted: none matches
	//
	// webhook order-42-paid
	// 204
}
