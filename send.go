package hooks

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	maxAnswer       = 16 << 10
	maxAnswerHeader = 64 << 10
	maxErrorText    = 1 << 10
)

// A sender makes requests under the egress policy.
type sender struct {
	transport *http.Transport
	allowHTTP bool
	// turn, if set, has room for one: there is one request at a time.
	turn chan struct{}
}

func newSender(cfg Config, g *guard, keepAlive bool) *sender {
	dial := cfg.Dial
	if dial == nil {
		dial = (&net.Dialer{Resolver: cfg.Resolver, ControlContext: g.control, Timeout: maxTimeout}).DialContext
	}
	tlsConfig := cfg.TLS.Clone()
	if tlsConfig == nil {
		tlsConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return &sender{allowHTTP: cfg.AllowHTTP, transport: &http.Transport{
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
	}}
}

var answerBuffers = sync.Pool{New: func() any { return new([maxAnswer + 1]byte) }}

// do makes one request; it is a [Send].
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
	req := (&http.Request{
		Method: cmp.Or(r.Method, http.MethodPost), URL: r.URL, Host: r.URL.Host, Header: r.Header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	if req.Header == nil {
		req.Header = http.Header{}
	}
	if len(r.Body) > 0 {
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(r.Body)), int64(len(r.Body))
	}
	res, err := s.transport.RoundTrip(req)
	if err != nil {
		class := classify(ctx, err, ClassProtocol)
		if class == ClassProtocol && !wellFormed(req) {
			class = ClassRequest
		}
		return failed(class, plain(err))
	}
	defer func() { _ = res.Body.Close() }()
	answer := Response{Status: res.StatusCode, Header: res.Header}
	if res.StatusCode == http.StatusSwitchingProtocols {
		return answer // What follows is not HTTP, and has no end.
	}
	answer.Body, answer.Truncated, err = readBounded(res.Body, cmp.Or(r.MaxAnswer, maxAnswer))
	if err != nil {
		class := classify(ctx, err, ClassBody)
		if class == ClassConnect {
			class = ClassBody
		}
		answer.Err = &AttemptError{Class: class, Err: fmt.Errorf("the answer broke off: %w", plain(err))}
		whole := answer
		answer.Err.Response = &whole
	}
	return answer
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

// readBounded reads at most limit bytes and says whether there were more.
func readBounded(body io.Reader, limit int) (data []byte, truncated bool, err error) {
	buffer := answerBuffers.Get().(*[maxAnswer + 1]byte)
	defer answerBuffers.Put(buffer)
	space := buffer[:]
	if limit > maxAnswer {
		space = make([]byte, limit+1)
	}
	space = space[:limit+1]
	n := 0
	for n <= limit && err == nil {
		var k int
		k, err = body.Read(space[n:])
		n += k
	}
	switch {
	case n > limit:
		return bytes.Clone(space[:limit]), true, nil
	case err == io.EOF:
		return bytes.Clone(space[:n]), false, nil
	}
	return bytes.Clone(space[:n]), false, err
}

func failed(class ErrorClass, err error) Response {
	return Response{Err: &AttemptError{Class: class, Err: err}}
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

// An attempted is what an attempt for one or more deliveries brought.
type attempted struct {
	attempts []Attempt
	response Response
	verdict  Verdict
	ended    time.Time
	// jitter is the share of the jitter that a retry gets, the same for all
	// that shared the request.
	jitter float64
}

func (a attempted) interrupted() bool {
	return a.response.class() == ClassInterrupted && !a.verdict.Success
}

// attempt makes one request for these deliveries of one hook, and judges the
// answer. The State of the attempts is set only for a success.
func (m *Manager) attempt(ctx context.Context, s *sender, c *compiled, items []item, began time.Time) attempted {
	started := stamp(began)
	msgs := make([]Message, len(items))
	for i, it := range items {
		msgs[i] = Message{Event: it.Event, DeliveryID: it.Delivery.ID, Attempt: it.Delivery.Attempts + 1, Now: started}
	}
	var req Request
	result := attempted{jitter: rand.Float64()}
	err := contain(func() (err error) {
		if req, err = c.endpoint.Request(ctx, s.do, msgs); err != nil {
			return err
		}
		result.response = s.do(ctx, req)
		result.verdict = c.endpoint.Judge(result.response)
		return nil
	})
	if err != nil {
		result.response = m.unsent(ctx, c, err)
		err = contain(func() error { result.verdict = c.endpoint.Judge(result.response); return nil })
		if err != nil {
			result.response = m.unsent(ctx, c, err)
		}
		result.verdict.Success = false
	}
	ended := time.Now()
	result.ended = roundUp(ended) // so that nothing is due a moment too early
	result.attempts = make([]Attempt, len(items))
	log := &result.attempts[0]
	*log = Attempt{
		Tenant: c.hook.Tenant, HookID: c.hook.ID, StartedAt: started, Duration: ended.Sub(began).Truncate(time.Microsecond),
		Request: logged(req), State: Succeeded,
		Response: AttemptResponse{
			Status: result.response.Status, Header: result.response.Header,
			Body: result.response.Body, Truncated: result.response.Truncated,
		},
	}
	if len(log.Response.Body) > maxAnswer {
		log.Response.Body, log.Response.Truncated = log.Response.Body[:maxAnswer:maxAnswer], true
	}
	if !result.verdict.Success {
		log.State = ""
		failure := result.response.Failure()
		log.Class, log.Error = failure.Class, failure.Error()
		log.Error = strings.ToValidUTF8(strings.TrimSpace(log.Error[:min(len(log.Error), maxErrorText)]), "\uFFFD")
	}
	for i, it := range items {
		if i > 0 {
			result.attempts[i] = *log
		}
		a := &result.attempts[i]
		a.DeliveryID, a.Number = it.Delivery.ID, msgs[i].Attempt
		a.EventID, a.EventType = it.Event.ID, it.Event.Type
	}
	return result
}

// unsent is the response for a request that the protocol failed to make.
func (m *Manager) unsent(ctx context.Context, c *compiled, err error) Response {
	if p := new(panicError); errors.As(err, &p) {
		m.log.Error("hooks: a protocol panicked", "protocol", c.hook.Protocol, "panic", p.value, "stack", string(p.stack))
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return failed(ClassInterrupted, errInterrupted)
	}
	if failure := new(AttemptError); errors.As(err, &failure) {
		res := Response{}
		if failure.Response != nil {
			res = *failure.Response
		}
		res.Err = failure
		return res
	}
	if ctx.Err() != nil {
		return failed(ClassTimeout, errTimeout)
	}
	return failed(ClassRequest, err)
}

// logged is what the attempt log keeps of a request.
func logged(r Request) AttemptRequest {
	if r.URL == nil {
		return AttemptRequest{}
	}
	log := AttemptRequest{
		Method: cmp.Or(r.Method, http.MethodPost), URL: r.LogURL, Header: r.LogHeader,
		BodySize: len(r.Body), BodySHA256: r.LogBodySHA256,
	}
	if log.BodySHA256 == [32]byte{} {
		log.BodySHA256 = sha256.Sum256(r.Body)
	}
	if log.URL == "" {
		log.URL = withoutQuery(r.URL)
	}
	if log.Header == nil && len(r.Header) > 0 {
		log.Header = make(http.Header, len(r.Header))
		for name := range r.Header {
			log.Header[name] = []string{redacted}
		}
	}
	return log
}

// withoutQuery is the text of a URL without what may be secret in it.
func withoutQuery(u *url.URL) string {
	short := *u
	short.RawQuery, short.User = "", nil
	return short.String()
}
