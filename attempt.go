package hooks

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"
)

// An Attempt is one try to deliver, as the log keeps it. Headers and bodies may be
// shared and must not be changed.
type Attempt struct {
	// DeliveryID and Number, counted from 1, name the attempt.
	DeliveryID string
	Number     int
	Tenant     string
	HookID     string
	EventID    string
	EventType  string

	StartedAt time.Time
	// Duration is how long the attempt took, from the lookup of the host name to the
	// last byte read.
	Duration time.Duration

	// Request is what was sent, with its secrets redacted. It is zero if nothing could
	// be sent.
	Request AttemptRequest
	// Response is zero if there was none.
	Response AttemptResponse

	// Class says what kind of failure it was. Empty: a success.
	Class ErrorClass
	// Error is the text of the failure. Empty: a success.
	Error string

	// State is the state of the delivery after the attempt: succeeded, pending (another
	// attempt follows) or dead.
	State State
	// NextAt is when the next attempt is due, if State is pending.
	NextAt time.Time
}

// An AttemptRequest is a request as the log keeps it.
type AttemptRequest struct {
	Method string
	URL    string
	// Header has "[redacted]" for the values that are secret.
	Header http.Header
	// BodySize and BodySHA256 identify the body, which is not kept.
	BodySize   int
	BodySHA256 [32]byte
}

// An AttemptResponse is a response as the log keeps it.
type AttemptResponse struct {
	Status int
	// Header has at most 50 fields, whose names and values have at most 8 KiB:
	// Content-Type, Location and Retry-After first, then the others by name. Fields
	// that do not fit are left out.
	Header http.Header
	// HeaderTruncated says that fields were left out.
	HeaderTruncated bool
	// Body is the beginning of the response, at most [Config].MaxResponse bytes.
	Body []byte
	// Truncated says that the response was longer.
	Truncated bool
	// Dropped says that the log no longer keeps the header and the body. It keeps them
	// for the latest attempt of a delivery, and for those whose number is a power of
	// two.
	Dropped bool
}

// An ErrorClass is the kind of a failed attempt.
type ErrorClass string

// The kinds of failure.
const (
	// ClassDNS: the host name does not resolve, or resolves only to addresses that the
	// egress policy forbids. [Config].Logger gets which of them it was.
	ClassDNS ErrorClass = "dns"
	// ClassConnect: there was no connection, or it was lost before a response began,
	// also when the request was made again on a fresh one.
	ClassConnect ErrorClass = "connect"
	// ClassTLS: there was no secure connection, for example because of a wrong
	// certificate, or the endpoint expects TLS and the URL has none.
	ClassTLS ErrorClass = "tls"
	// ClassTimeout: the hook's timeout passed before the response was complete.
	ClassTimeout ErrorClass = "timeout"
	// ClassForbidden: the egress policy forbids the URL's host, address, port or
	// scheme.
	ClassForbidden ErrorClass = "forbidden"
	// ClassStatus: a response whose status is not success.
	ClassStatus ErrorClass = "status"
	// ClassRedirect: a 3xx response. Redirects are never followed.
	ClassRedirect ErrorClass = "redirect"
	// ClassBody: the response ended in the middle of its body.
	ClassBody ErrorClass = "body"
	// ClassHTTP: a response that is not HTTP, or whose headers are too large.
	ClassHTTP ErrorClass = "http"
	// ClassRefused: the endpoint said twice that it does not process the request, by
	// GOAWAY or REFUSED_STREAM (RFC 9113, sections 6.8 and 8.7).
	ClassRefused ErrorClass = "refused"
	// ClassHTTP2: another error of HTTP/2 ended the stream or the connection
	// before a response (RFC 9113, section 5.4).
	ClassHTTP2 ErrorClass = "http2"
	// ClassRequest: the protocol could not make a request of the event, or it panicked
	// or ended its goroutine.
	ClassRequest ErrorClass = "request"
	// ClassFilter: the hook's filter could not be evaluated in its time. Nothing was
	// sent.
	ClassFilter ErrorClass = "filter"
	// ClassInterrupted: the Manager stopped before the attempt ended. It does
	// not count against the schedule.
	ClassInterrupted ErrorClass = "interrupted"
)

// An attempted is the outcome of one request, which is an attempt for one or more
// deliveries.
type attempted struct {
	attempts []Attempt
	response Response
	verdict  Verdict
	ended    time.Time
	// jitter is the share of the jitter by which retries are delayed. Deliveries that
	// share a request have the same.
	jitter float64
}

func (a attempted) interrupted() bool {
	return a.response.class() == ClassInterrupted && !a.verdict.Success
}

// attempt makes one request for these deliveries of one hook, judges the response, and
// fills result. The State of the attempts is set only for a success.
//
// The result is complete when attempt returns, and also if the protocol ends the
// goroutine with [runtime.Goexit]: then the deferred functions of the caller find a
// failed attempt in it.
func (m *Manager) attempt(ctx context.Context, s *sender, c *compiled, items []item, began time.Time, result *attempted) {
	msgs := make([]Message, len(items))
	for i, it := range items {
		msgs[i] = Message{Event: it.Event, DeliveryID: it.Delivery.ID, Attempt: it.Delivery.Attempts + 1, Now: stamp(began)}
	}
	var req Request
	*result = attempted{jitter: rand.Float64()}
	defer func() { record(result, c.hook, msgs, req, began, m.cfg.MaxResponse) }()
	sent := m.request(ctx, s, c, msgs, &req, result)
	m.judge(c, result)
	result.verdict.Success = result.verdict.Success && sent
}

// request makes the request with the protocol and sends it. It returns false if the
// protocol failed to.
func (m *Manager) request(ctx context.Context, s *sender, c *compiled, msgs []Message, req *Request, result *attempted) bool {
	err := errExited
	defer func() {
		if err != nil {
			m.reportPanic("a protocol", err, "protocol", c.hook.Protocol)
			result.response = unsent(ctx, err)
		}
	}()
	err = contain(func() (err error) {
		if *req, err = c.endpoint.Request(ctx, s.do, msgs); err == nil {
			m.decorate(req, msgs)
			result.response = s.do(ctx, *req)
		}
		return err
	})
	return err == nil
}

// judge sets the verdict of the protocol. If the protocol fails, so has the attempt;
// the response is kept.
func (m *Manager) judge(c *compiled, result *attempted) {
	err := errExited
	defer func() {
		if err == nil {
			return
		}
		m.reportPanic("a protocol", err, "protocol", c.hook.Protocol)
		result.verdict = Verdict{}
		if result.response.Err == nil {
			result.response = result.response.failedWith(ClassRequest, err)
		}
	}()
	err = contain(func() error {
		result.verdict = c.endpoint.Judge(result.response)
		result.verdict.Disable = printable(result.verdict.Disable)
		return nil
	})
}

// unsent returns the response in place of one for a request that the protocol failed to
// make.
func unsent(ctx context.Context, err error) Response {
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

// record makes the attempts of the log from the outcome of the request.
func record(a *attempted, h *Hook, msgs []Message, req Request, began time.Time, maxResponse int) {
	ended := time.Now()
	a.ended = roundUp(ended) // so that nothing is due a moment too early
	a.attempts = make([]Attempt, len(msgs))
	log := &a.attempts[0]
	*log = Attempt{
		Tenant: h.Tenant, HookID: h.ID, StartedAt: stamp(began), Duration: ended.Sub(began).Truncate(time.Microsecond),
		Request: logged(req), Response: a.response.logged(maxResponse), State: Succeeded,
	}
	if !a.verdict.Success {
		log.State = ""
		failure := a.response.Failure()
		log.Class, log.Error = failure.Class, errorText(failure)
	}
	for i, msg := range msgs {
		if i > 0 {
			a.attempts[i] = *log
		}
		of := &a.attempts[i]
		of.DeliveryID, of.Number = msg.DeliveryID, msg.Attempt
		of.EventID, of.EventType = msg.Event.ID, msg.Event.Type
	}
}

// logged returns what the log keeps of a request.
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
		log.Header = redactedHeader(r.Header)
	}
	return log
}

// redactedHeader returns the names of h without the values.
func redactedHeader(h http.Header) http.Header {
	names := make(http.Header, len(h))
	for name := range h {
		names[name] = []string{redacted}
	}
	return names
}
