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
)

// A sender makes requests under the egress policy.
type sender struct {
	// transport makes the first try of a request, and fresh, which makes a
	// connection for each, the second.
	transport, fresh *http.Transport
	// maxAnswer bounds an answer's body if the request does not.
	maxAnswer int
	guard     *guard
	// turn, if set, has room for one: there is one request at a time.
	turn chan struct{}
}

// newSender returns a sender that keeps connections for the requests that
// follow.
func newSender(cfg Config, g *guard) *sender {
	return &sender{
		transport: newTransport(cfg, g, true), fresh: newTransport(cfg, g, false),
		maxAnswer: max(maxAnswer, cfg.MaxAnswer), guard: g,
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
		DisableCompression:     true, // Answers are bounded as they come.
		MaxIdleConns:           2 * cfg.MaxInFlight,
		MaxIdleConnsPerHost:    cfg.MaxInFlight,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: maxAnswerHeader,
	}
}

// once returns a sender that keeps no connections.
func (s *sender) once() *sender {
	once := *s
	once.transport = s.fresh
	return &once
}

// do makes one request; it is a [Send]. If the connection fails before an answer
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
		return failed(ClassBlocked, plain(err))
	}
	r.MaxAnswer = cmp.Or(r.MaxAnswer, s.maxAnswer)
	answer, lost := roundTrip(ctx, s.transport, r)
	if lost {
		answer, _ = roundTrip(ctx, s.fresh, r)
	}
	if r.URL.Scheme == "http" && answer.Err == nil && asksForTLS(answer) {
		answer = answer.failedWith(ClassStatus, fmt.Errorf("%w (it answered 400 Bad Request)", errExpectsTLS))
	}
	return answer
}

// roundTrip makes the request once. It reports whether the connection was lost
// before an answer began.
func roundTrip(ctx context.Context, transport *http.Transport, r Request) (answer Response, lost bool) {
	t := tries.Get().(*try)
	defer func() { t.close(answer.Err == nil) }()
	req := t.newRequest(ctx, r)
	res, err := transport.RoundTrip(req)
	if err != nil {
		answer.Err, lost = t.failure(ctx, req, err)
		return answer, lost
	}
	defer func() { _ = res.Body.Close() }()
	answer = Response{Status: res.StatusCode, Header: res.Header}
	t.expectBody(req.Method, res)
	if res.StatusCode == http.StatusSwitchingProtocols {
		return answer, false // What follows is not HTTP, and has no end.
	}
	answer.Body, answer.Truncated, err = readBounded(res.Body, r.MaxAnswer)
	if err != nil {
		class := classify(ctx, err, ClassBody)
		if class == ClassConnect {
			class = ClassBody
		}
		answer = answer.failedWith(class, fmt.Errorf("the answer broke off: %w", plain(err)))
	}
	return answer, false
}

// asksForTLS reports whether the answer is what servers that expect TLS say to a
// request without: those of net/http, nginx and Apache, in this order.
func asksForTLS(answer Response) bool {
	return answer.Status == http.StatusBadRequest &&
		slices.ContainsFunc([]string{"HTTP request to an HTTPS server", "HTTP request was sent to HTTPS port", "speaking plain HTTP to an SSL-enabled server port"},
			func(text string) bool { return bytes.Contains(answer.Body, []byte(text)) })
}

// wellFormed reports whether net/http sends the request at all.
func wellFormed(r *http.Request) bool {
	for name, values := range r.Header {
		if !validToken(name) || slices.ContainsFunc(values, func(v string) bool { return !validHeaderValue(v) }) {
			return false
		}
	}
	return validToken(r.Method)
}

func failed(class ErrorClass, err error) Response {
	return Response{Err: &AttemptError{Class: class, Err: err}}
}

// failedWith returns the answer as that of a failure.
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
