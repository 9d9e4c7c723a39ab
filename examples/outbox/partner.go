package main

import (
	"io"
	"net/http"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// A partner takes webhooks. It checks their signatures with a library that is
// not ours.
type partner struct {
	verifier *standardwebhooks.Webhook
	received chan string // the webhook-id of each, which is the event's ID
}

func newPartner(secret string) (*partner, error) {
	verifier, err := standardwebhooks.NewWebhook(secret)
	return &partner{verifier: verifier, received: make(chan string, 100)}, err
}

func (p *partner) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = p.verifier.Verify(body, r.Header)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	p.received <- r.Header.Get("webhook-id")
	w.WriteHeader(http.StatusNoContent)
}
