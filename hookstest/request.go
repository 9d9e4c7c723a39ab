package hookstest

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/seed-2c6e3a5a/hooks/receive"
)

// A Request is a request that a [Receiver] has received. Its slices and maps are shared
// with the receiver and must not be changed.
type Request struct {
	// ReceivedAt is when the last byte of the request had arrived.
	ReceivedAt time.Time
	Method     string
	// URL is absolute.
	URL    *url.URL
	Header http.Header
	Body   []byte

	// ID is the webhook-id, or the svix-id if there is none. It stays the same
	// when an event is sent again.
	ID string
	// Type, Timestamp and Data are those of the Standard Webhooks envelope,
	// Data byte for byte. They are zero if the body is not such an envelope.
	Type      string
	Timestamp time.Time
	Data      json.RawMessage

	// SignatureErr is nil if the request was signed with one of the secrets given to
	// [Receiver.Verify] and its timestamp was within the tolerance of
	// [receive.Verifier]. Otherwise it says what is wrong. If Verify has not been
	// called, it is not nil either.
	SignatureErr error
}

// errNoSecrets is the SignatureErr of requests to a receiver without secrets.
var errNoSecrets = errors.New("not verified: the receiver was given no secrets")

func newRequest(r *http.Request, body []byte, v *receive.Verifier) Request {
	u := *r.URL
	u.Scheme, u.Host = "http", r.Host
	if r.TLS != nil {
		u.Scheme = "https"
	}
	got := Request{
		ReceivedAt:   time.Now(),
		Method:       r.Method,
		URL:          &u,
		Header:       r.Header,
		Body:         body,
		ID:           cmp.Or(r.Header.Get("webhook-id"), r.Header.Get("svix-id")),
		SignatureErr: errNoSecrets,
	}
	if v != nil {
		got.SignatureErr = v.Verify(r.Header, body)
	}
	var envelope struct {
		Type      string
		Timestamp time.Time
		Data      json.RawMessage
	}
	if json.Unmarshal(body, &envelope) == nil {
		got.Type, got.Timestamp, got.Data = envelope.Type, envelope.Timestamp, envelope.Data
	}
	return got
}

// Requests returns what has been received so far, in the order of arrival.
func (r *Receiver) Requests() []Request {
	requests, _ := r.snapshot()
	return requests
}

// Wait waits until n requests have been received since the receiver was made,
// and returns all that have been. It ends the test if that takes longer than
// r.Patience.
func (r *Receiver) Wait(n int) []Request {
	r.t.Helper()
	timer := time.NewTimer(r.Patience)
	defer timer.Stop()
	for {
		requests, arrived := r.snapshot()
		if len(requests) >= n {
			return requests
		}
		select {
		case <-arrived:
		case <-timer.C:
			r.t.Fatalf("hookstest: waited %v for %d requests to %s, got %d%s", r.Patience, n, r.URL, len(requests), list(requests))
		}
	}
}

// Next returns the first request that no call of Next has returned yet. It
// waits for it as Wait does.
func (r *Receiver) Next() Request {
	r.t.Helper()
	r.mu.Lock()
	i := r.returned
	r.returned++
	r.mu.Unlock()
	return r.Wait(i + 1)[i]
}

// snapshot returns what has been received, and a channel that is closed when
// there is more.
func (r *Receiver) snapshot() ([]Request, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.requests), r.arrived
}

// list describes requests, one on each line.
func list(requests []Request) string {
	var b strings.Builder
	for _, q := range requests {
		fmt.Fprintf(&b, "\n\t%s %s at %s", q.Method, q.URL, q.ReceivedAt.Format(time.StampMilli))
		if q.ID != "" {
			fmt.Fprintf(&b, ": %s %s", q.Type, q.ID)
		}
	}
	return b.String()
}

// patience is how long to wait for what should happen. In a synctest bubble waiting
// costs nothing, and retries may take days.
func patience() time.Duration {
	if inBubble() {
		return 7 * 24 * time.Hour
	}
	return 10 * time.Second
}

// inBubble reports whether time is that of a synctest bubble, which starts in the
// year 2000.
func inBubble() bool { return time.Now().Year() < 2020 }
