package main

import (
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// An endpoint is what a partner runs, usually elsewhere: an HTTP server that
// takes webhooks. It checks their signatures with a library that is not ours.
type endpoint struct {
	url       string
	verifier  *standardwebhooks.Webhook
	responses []int // to the first, second, … request for a webhook; 0: none

	mu       sync.Mutex
	requests map[string]int // for each webhook
	verified int            // in all
}

func startEndpoint(secret string, responses []int) (*endpoint, error) {
	verifier, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	e := &endpoint{url: "http://" + l.Addr().String(), verifier: verifier, responses: responses, requests: map[string]int{}}
	server := &http.Server{Handler: e, ReadHeaderTimeout: time.Second}
	go func() { _ = server.Serve(l) }() // until the program ends
	return e, nil
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = e.verifier.Verify(body, r.Header)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	if status := e.response(r.Header.Get("webhook-id")); status != 0 {
		w.WriteHeader(status)
		return
	}
	<-r.Context().Done() // The sender has given up.
}

// response returns the next response for a webhook, whose id stays the same.
func (e *endpoint) response(id string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.verified++
	e.requests[id]++
	return e.responses[min(e.requests[id], len(e.responses))-1]
}

func (e *endpoint) signatures() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.verified
}
