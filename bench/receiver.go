package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"
)

// The paths of the receiver. All responses to posts are 200 with a small body.
const (
	pathPlain     = "/plain"
	pathTimed     = "/timed"     // takes the time of receipt
	pathLatencies = "/latencies" // tells and forgets what it took
)

const response = `{"ok":true}`

// receive is the receiver's process. It tells its URL and serves until its
// input ends.
func receive() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode("http://" + l.Addr().String()); err != nil {
		return err
	}
	go untilInputEnds()
	r := &receiver{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+pathPlain, r.plain)
	mux.HandleFunc("POST "+pathTimed, r.timed)
	mux.HandleFunc("GET "+pathLatencies, r.tell)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	return server.Serve(l)
}

// A receiver is an endpoint for webhooks.
type receiver struct {
	mu        sync.Mutex
	latencies []time.Duration // from trigger to receipt
}

func (r *receiver) plain(w http.ResponseWriter, req *http.Request) {
	if _, err := io.Copy(io.Discard, req.Body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_, _ = io.WriteString(w, response) // The sender notices if it fails.
}

func (r *receiver) timed(w http.ResponseWriter, req *http.Request) {
	now := time.Now()
	body, err := io.ReadAll(req.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	at, err := triggeredAt(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	r.latencies = append(r.latencies, now.Sub(at))
	r.mu.Unlock()
	_, _ = io.WriteString(w, response)
}

func (r *receiver) tell(w http.ResponseWriter, _ *http.Request) {
	r.mu.Lock()
	told := slices.Clone(r.latencies)
	r.latencies = nil
	r.mu.Unlock()
	_ = json.NewEncoder(w).Encode(told)
}

// triggeredAt finds the time that newData has put into a body.
func triggeredAt(body []byte) (time.Time, error) {
	_, rest, _ := bytes.Cut(body, []byte(`"at":`))
	digits, _, found := bytes.Cut(rest, []byte(","))
	if !found {
		return time.Time{}, fmt.Errorf("no time in %q", body)
	}
	at, err := strconv.ParseInt(string(digits), 10, 64)
	return time.Unix(0, at), err
}

// askLatencies returns the latencies that the receiver took since it was last
// asked.
func askLatencies(ctx context.Context, receiver string) (took []time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, receiver+pathLatencies, http.NoBody)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	return took, json.NewDecoder(res.Body).Decode(&took)
}
