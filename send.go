package hooks

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/seed-2c6e3a5a/hooks/internal/header"
)

// A sender makes requests under the egress policy.
type sender struct {
	// transport makes the first try of a request, and fresh, which makes a
	// connection for each, the second.
	transport, fresh *http.Transport
	// maxResponse bounds a response's body if the request does not.
	maxResponse int
	guard       *guard
	// turn, if set, has room for one: there is one request at a time.
	turn chan struct{}
}

// newSender returns a sender that keeps connections for the requests that
// follow.
func newSender(cfg Config, g *guard) *sender {
	return &sender{
		transport: newTransport(cfg, g, true), fresh: newTransport(cfg, g, false),
		maxResponse: max(maxResponse, cfg.MaxResponse), guard: g,
	}
}

func newTransport(cfg Config, g *guard, keepAlive bool) *http.Transport {
	dial := cfg.Dial
	if dial == nil {
		dial = newDialer(cfg.Resolver, g).DialContext
	}
	tlsConfig := cfg.TLS.Clone()
	if tlsConfig == nil {
		tlsConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	for _, protocol := range []string{"h2", "http/1.1"} {
		if !slices.Contains(tlsConfig.NextProtos, protocol) {
			tlsConfig.NextProtos = append(slices.Clip(tlsConfig.NextProtos), protocol)
		}
	}
	connect := &connector{dial, tlsConfig.Clone(), g.log}
	return &http.Transport{
		Proxy:                  nil, // The policy is about what we dial.
		DialContext:            connect.DialContext,
		DialTLSContext:         connect.DialTLSContext,
		TLSClientConfig:        tlsConfig,
		ForceAttemptHTTP2:      true,
		DisableKeepAlives:      !keepAlive,
		DisableCompression:     true, // Responses are bounded as they come.
		MaxIdleConns:           2 * cfg.MaxInFlight,
		MaxIdleConnsPerHost:    cfg.MaxInFlight,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: maxResponseHeader,
	}
}

// once returns a sender that keeps no connections.
func (s *sender) once() *sender {
	once := *s
	once.transport = s.fresh
	return &once
}

// do makes one request; it is a [Send]. If the connection fails before a response
// begins, as one does that the endpoint closes while it is idle, the request is
// made once more, on a fresh connection.
func (s *sender) do(ctx context.Context, r Request) Response {
	if s.turn != nil {
		s.turn <- struct{}{} // The requests before have the time of a context, too.
		defer func() { <-s.turn }()
	}
	if r.URL == nil || r.URL.Scheme != "http" && r.URL.Scheme != "https" || r.URL.Host == "" || r.URL.User != nil {
		return failed(ClassRequest, errors.New("the URL is not an absolute http or https URL without userinfo"))
	}
	if err := s.guard.checkRequest(r.URL); err != nil {
		return failed(ClassForbidden, plain(err))
	}
	r.MaxResponse = cmp.Or(r.MaxResponse, s.maxResponse)
	response, lost := roundTrip(ctx, s.transport, r)
	if lost {
		response, _ = roundTrip(ctx, s.fresh, r)
	}
	if r.URL.Scheme == "http" && response.Err == nil && asksForTLS(response) {
		response = response.failedWith(ClassStatus, fmt.Errorf("%w (it responded with 400 Bad Request)", errExpectsTLS))
	}
	return response
}

// roundTrip makes the request once. It reports whether the connection was lost
// before a response began.
func roundTrip(ctx context.Context, transport *http.Transport, r Request) (response Response, lost bool) {
	t := tries.Get().(*try)
	defer func() { t.close(response.Err == nil) }()
	req := t.newRequest(ctx, r)
	res, err := transport.RoundTrip(req)
	if err != nil {
		response.Err, lost = t.failure(ctx, req, err)
		return response, lost
	}
	defer func() { _ = res.Body.Close() }()
	response = Response{Status: res.StatusCode, Header: res.Header}
	t.expectBody(req.Method, res)
	if res.StatusCode == http.StatusSwitchingProtocols {
		return response, false // What follows is not HTTP, and has no end.
	}
	response.Body, response.Truncated, err = readBounded(res.Body, r.MaxResponse)
	if err != nil {
		class := classify(ctx, err, ClassBody)
		if class == ClassConnect {
			class = ClassBody
		}
		response = response.failedWith(class, fmt.Errorf("the response broke off: %w", plain(err)))
	}
	return response, false
}

// asksForTLS reports whether the response is what servers that expect TLS say to a
// request without: those of net/http, nginx and Apache, in this order.
func asksForTLS(response Response) bool {
	return response.Status == http.StatusBadRequest &&
		slices.ContainsFunc([]string{"HTTP request to an HTTPS server", "HTTP request was sent to HTTPS port", "speaking plain HTTP to an SSL-enabled server port"},
			func(text string) bool { return bytes.Contains(response.Body, []byte(text)) })
}

// wellFormed reports whether net/http sends the request at all.
func wellFormed(r *http.Request) bool {
	for name, values := range r.Header {
		if !header.ValidToken(name) || slices.ContainsFunc(values, func(v string) bool { return !header.ValidValue(v) }) {
			return false
		}
	}
	return header.ValidToken(r.Method)
}

func failed(class ErrorClass, err error) Response {
	return Response{Err: &AttemptError{Class: class, Err: err}}
}

// failedWith returns the response as that of a failure.
func (r Response) failedWith(class ErrorClass, err error) Response {
	whole := r
	r.Err = &AttemptError{Class: class, Err: err, Response: &whole}
	return r
}

// class is the kind of failure that the response stands for if it is one.
func (r Response) class() ErrorClass {
	switch {
	case r.Err != nil:
		return r.Err.Class
	case r.Status >= 300 && r.Status <= 399:
		return ClassRedirect
	}
	return ClassStatus
}
