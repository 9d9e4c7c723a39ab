package hooks

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/seed-2c6e3a5a/hooks/internal/egress"
)

// A sender makes requests under the egress policy.
type sender struct {
	// transport makes the first try of a request. fresh, which makes a connection for
	// each, makes the second.
	transport, fresh *http.Transport
	// maxResponse bounds a response's body if the request does not.
	maxResponse int
	policy      *egress.Policy
	// turn, if set, has capacity for one: there is one request at a time.
	turn chan struct{}
}

// newSender returns a sender that keeps connections for later requests.
func newSender(cfg Config, p *egress.Policy) *sender {
	c := egress.TransportConfig{
		Dial: cfg.Dial, TLS: cfg.TLS, KeepAlive: true, MaxIdlePerHost: cfg.MaxInFlight, MaxHeaderBytes: maxResponseHeader,
	}
	s := &sender{transport: p.NewTransport(c), maxResponse: max(maxResponse, cfg.MaxResponse), policy: p}
	c.KeepAlive = false
	s.fresh = p.NewTransport(c)
	return s
}

// once returns a sender that keeps no connections.
func (s *sender) once() *sender {
	once := *s
	once.transport = s.fresh
	return &once
}

// do makes one request; it is a [Send]. If the connection fails before a response
// begins, for example because the endpoint closes an idle one, the request is made once
// more, on a fresh connection.
func (s *sender) do(ctx context.Context, r Request) Response {
	if s.turn != nil {
		s.turn <- struct{}{} // The requests before have the time of a context, too.
		defer func() { <-s.turn }()
	}
	if r.URL == nil || r.URL.Scheme != "http" && r.URL.Scheme != "https" || r.URL.Host == "" || r.URL.User != nil {
		return failed(ClassRequest, errors.New("the URL is not an absolute http or https URL without userinfo"))
	}
	if err := s.policy.CheckRequest(r.URL); err != nil {
		return failed(ClassForbidden, plain(err))
	}
	r.MaxResponse = cmp.Or(r.MaxResponse, s.maxResponse)
	response, lost := roundTrip(ctx, s.transport, r)
	if lost {
		response, _ = roundTrip(ctx, s.fresh, r)
	}
	if r.URL.Scheme == "http" && response.Err == nil && asksForTLS(response) {
		response = response.failedWith(ClassStatus, fmt.Errorf("%w (it responded with 400 Bad Request)", egress.ErrExpectsTLS))
	}
	return response
}

// asksForTLS reports whether the response is what servers that expect TLS send for a
// request without: those of net/http, nginx and Apache, in this order.
func asksForTLS(response Response) bool {
	return response.Status == http.StatusBadRequest &&
		slices.ContainsFunc([]string{"HTTP request to an HTTPS server", "HTTP request was sent to HTTPS port", "speaking plain HTTP to an SSL-enabled server port"},
			func(text string) bool { return bytes.Contains(response.Body, []byte(text)) })
}

func failed(class ErrorClass, err error) Response {
	return Response{Err: &AttemptError{Class: class, Err: err}}
}

// failedWith returns the response as a failure of that class.
func (r Response) failedWith(class ErrorClass, err error) Response {
	whole := r
	r.Err = &AttemptError{Class: class, Err: err, Response: &whole}
	return r
}

// class is the class of the response if it counts as a failure.
func (r Response) class() ErrorClass {
	switch {
	case r.Err != nil:
		return r.Err.Class
	case r.Status >= 300 && r.Status <= 399:
		return ClassRedirect
	}
	return ClassStatus
}
