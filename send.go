package hooks

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"syscall"
	"time"
)

// A sender makes requests under the egress policy.
type sender struct {
	// transport makes the first try of a request, and fresh, which makes a
	// connection for each, the second.
	transport, fresh *http.Transport
	// maxAnswer bounds an answer's body if the request does not.
	maxAnswer int
	allowHTTP bool
	// turn, if set, has room for one: there is one request at a time.
	turn chan struct{}
}

// newSender returns a sender that keeps connections for the requests that
// follow.
func newSender(cfg Config, g *guard) *sender {
	return &sender{
		transport: newTransport(cfg, g, true), fresh: newTransport(cfg, g, false),
		maxAnswer: max(maxAnswer, cfg.MaxAnswer), allowHTTP: cfg.AllowHTTP,
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
	return &http.Transport{
		Proxy:                  nil, // The policy is about what we dial.
		DialContext:            dial,
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
	if r.URL.Scheme == "http" && !s.allowHTTP {
		return failed(ClassBlocked, errors.New("the egress policy forbids http without TLS"))
	}
	r.MaxAnswer = cmp.Or(r.MaxAnswer, s.maxAnswer)
	answer, lost := roundTrip(ctx, s.transport, r)
	if lost {
		answer, _ = roundTrip(ctx, s.fresh, r)
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

// classify finds the kind of an error of net/http.
func classify(ctx context.Context, err error, other ErrorClass) ErrorClass {
	var blocked *blockedError
	var dns *net.DNSError
	var op *net.OpError
	var timeout net.Error
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var authority x509.UnknownAuthorityError
	var hostname x509.HostnameError
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ClassInterrupted
	case errors.As(err, &blocked):
		return ClassBlocked
	case errors.As(err, &dns) && !dns.IsTimeout:
		return ClassDNS
	case ctx.Err() != nil, errors.As(err, &timeout) && timeout.Timeout():
		return ClassTimeout
	case errors.As(err, &certificate), errors.As(err, &record), errors.As(err, &alert),
		errors.As(err, &authority), errors.As(err, &hostname):
		return ClassTLS
	case errors.As(err, &op) && op.Op == "remote error": // a TLS alert
		return ClassTLS
	case errors.As(err, &op), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, io.ErrClosedPipe), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return ClassConnect
	}
	return other
}

// plain makes an error fit for the attempt log, which the hook's owner may read:
// without the URL, which the log has, and without addresses of the host's
// network and words about contexts.
func plain(err error) error {
	var blocked *blockedError
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.As(err, &blocked):
		return errForbidden
	case errors.As(err, &dns):
		return fmt.Errorf("look up %s: %s", dns.Name, dns.Err)
	case errors.Is(err, context.DeadlineExceeded):
		return errTimeout
	case errors.Is(err, context.Canceled):
		return errInterrupted
	case errors.As(err, &op):
		return fmt.Errorf("%s: %w", op.Op, op.Err)
	}
	return err
}

var (
	errForbidden   = errors.New("the egress policy forbids the address of the host, which is not a public one")
	errTimeout     = errors.New("no complete answer in time")
	errInterrupted = errors.New("the sender stopped before the answer was complete")
)
