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

// attempt makes one request for these deliveries of one hook, judges the response,
// and fills result. The State of the attempts is set only for a success.
//
// The result is complete when attempt returns, and also when the protocol ends
// the goroutine with [runtime.Goexit]: then the deferred functions of the caller
// find a failed attempt in it.
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

// request has the protocol make the request, and sends it. It reports whether
// that was possible.
func (m *Manager) request(ctx context.Context, s *sender, c *compiled, msgs []Message, req *Request, result *attempted) bool {
	err := errExited
	defer func() {
		if err != nil {
			m.blame("a protocol", err, "protocol", c.hook.Protocol)
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

// judge has the protocol judge the response. If it cannot, the attempt has
// failed, and keeps the response.
func (m *Manager) judge(c *compiled, result *attempted) {
	err := errExited
	defer func() {
		if err == nil {
			return
		}
		m.blame("a protocol", err, "protocol", c.hook.Protocol)
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

// unsent is the response for a request that the protocol failed to make.
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

// record makes the attempts of what has become of the request.
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
		log.Header = redactedHeader(r.Header)
	}
	return log
}

// redactedHeader has the names of h without the values.
func redactedHeader(h http.Header) http.Header {
	names := make(http.Header, len(h))
	for name := range h {
		names[name] = []string{redacted}
	}
	return names
}
