package okta

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/wire"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/okta/filter"
	"github.com/seed-2c6e3a5a/hooks/internal/header"
	"github.com/seed-2c6e3a5a/hooks/internal/latest"
)

// Name is the name of the protocol, as in [hooks.Hook].Protocol.
const Name = "okta"

// Protocol delivers events as Okta does. Its zero value works; give a pointer to
// it to [hooks.Config].Protocols.
//
// A delivery is a POST of an envelope, whose data.events has a LogEvent, or
// several if the hook has a MaxBatch: "uuid" (the event's ID), "published" (its
// time), "eventType", "version" ("0"), and then the members of the event's data.
// Data that is not an object becomes the member "data". Members of the data with
// one of the four names are left out. The envelope's eventId is the same for each
// attempt, and "source" is the hook's URL.
//
// The request has the authentication header, whose value is the hook's secret.
// It is not signed. The hook's Headers may replace Accept, Content-Type and
// User-Agent.
//
// 2xx is success. 500 to 599, a response that does not come within 3 s, and a
// failed connection are tried again, once and at once; everything else is final.
// Hooks that are not verified receive nothing.
type Protocol struct {
	// Schedule is that of hooks that set none. Use [hooks.Retries], because the
	// first entry is the delay before the first attempt. Default: one retry, up to
	// a second after the first attempt.
	Schedule []time.Duration
	// MaxBatch and BatchWindow are those of the hooks that the API makes, see
	// [hooks.Hook]; MaxBatch is at most 100. Default: no batches.
	MaxBatch    int
	BatchWindow time.Duration

	events    latest.Value[*hooks.Event, []byte]
	decisions latest.Value[*hooks.Event, decided]
}

// decided is an event as filters see it, or why they cannot.
type decided struct {
	event *filter.Event
	err   error
}

var _ hooks.Protocol = (*Protocol)(nil)

const (
	timeout   = 3 * time.Second
	userAgent = "Okta-Integrations"

	challengeHeader = "X-Okta-Verification-Challenge"
	requestIDHeader = "X-Okta-Request-Id"
)

var defaultSchedule = []time.Duration{0, 0}

// Name implements [hooks.Protocol].
func (*Protocol) Name() string { return Name }

// Traits implements [hooks.Protocol].
func (p *Protocol) Traits() hooks.Traits {
	t := hooks.Traits{Schedule: p.Schedule, Timeout: timeout, RequireVerified: true, Jitter: time.Second, MaxBatch: 100}
	if len(t.Schedule) == 0 {
		t.Schedule = defaultSchedule
	}
	return t
}

// NewSecret implements [hooks.Protocol]: the protocol does not sign.
func (*Protocol) NewSecret() (hooks.Secret, error) { return "", nil }

// Compile implements [hooks.Protocol].
func (p *Protocol) Compile(h hooks.Hook) (hooks.Endpoint, error) {
	s, err := settingsOf(h)
	if err != nil {
		return nil, err
	}
	if h.Method != "" && h.Method != http.MethodPost {
		return nil, &hooks.InvalidError{Field: "method", Reason: "must be POST for Okta"}
	}
	e := &endpoint{protocol: p, hook: h, source: wire.JSON(cmp.Or(s.Self, selfLink("", h.ID))), filters: map[string]*filter.Filter{}}
	if e.url, err = url.Parse(h.URL); err != nil {
		return nil, &hooks.InvalidError{Field: "url", Reason: "must be a URL"}
	}
	if e.authHeader, err = authHeaderOf(h, s); err != nil {
		return nil, err
	}
	own := http.Header{"Accept": {"application/json"}, "Content-Type": {"application/json"}, "User-Agent": {userAgent}}
	reserved := []string{challengeHeader, requestIDHeader}
	if e.authHeader != "" {
		reserved = append(reserved, e.authHeader)
	}
	if e.header, err = wire.NewHeader(own, h, reserved...); err != nil {
		return nil, err
	}
	for i, f := range s.Filters {
		if e.filters[f.Event], err = filter.Parse(f.Expression); err != nil {
			return nil, &hooks.InvalidError{Field: fmt.Sprintf("settings.filters[%d]", i), Reason: err.Error()}
		}
	}
	return e, nil
}

// authHeaderOf returns the name of the authentication header, if there is one.
func authHeaderOf(h hooks.Hook, s settings) (string, error) {
	if s.AuthHeader == "" {
		if len(h.Secrets) > 0 {
			return "", &hooks.InvalidError{Field: "settings.authHeader", Reason: "must name the header that has the secret"}
		}
		return "", nil
	}
	if len(h.Secrets) == 0 {
		return "", &hooks.InvalidError{Field: "secrets", Reason: "must have the value of the authentication header"}
	}
	switch header.Key(s.AuthHeader) {
	case header.Key(challengeHeader), header.Key(requestIDHeader):
		return "", &hooks.InvalidError{Field: "settings.authHeader", Reason: "is set by the protocol"}
	}
	for _, secret := range h.Secrets {
		if err := wire.CheckHeader("settings.authHeader", s.AuthHeader, string(secret.Secret)); err != nil {
			return "", err
		}
	}
	return textproto.CanonicalMIMEHeaderKey(s.AuthHeader), nil
}

type endpoint struct {
	protocol   *Protocol
	source     []byte // JSON
	url        *url.URL
	header     wire.Header
	authHeader string // empty: none
	hook       hooks.Hook
	filters    map[string]*filter.Filter
}

// Accepts implements [hooks.Endpoint].
func (e *endpoint) Accepts(ctx context.Context, event *hooks.Event) (bool, error) {
	f := e.filters[event.Type]
	if f == nil {
		return true, nil
	}
	d := e.protocol.decisions.Of(event, func(event *hooks.Event) (d decided) {
		d.event, d.err = filter.NewEvent(event)
		return d
	})
	if d.err != nil {
		return false, d.err
	}
	return f.Match(ctx, d.event)
}

// Request implements [hooks.Endpoint].
func (e *endpoint) Request(_ context.Context, _ hooks.Send, msgs []hooks.Message) (hooks.Request, error) {
	header, err := e.headerAt(msgs[0].Now)
	if err != nil {
		return hooks.Request{}, err
	}
	return hooks.Request{URL: e.url, Header: header, Body: e.envelope(msgs), LogHeader: e.header.Logged}, nil
}

func (e *endpoint) headerAt(now time.Time) (http.Header, error) {
	header := maps.Clone(e.header.Sent)
	if e.authHeader != "" {
		secret, ok := e.hook.CurrentSecret(now)
		if !ok {
			return nil, errors.New("all secrets of the hook have expired")
		}
		header[e.authHeader] = []string{string(secret)}
	}
	return header, nil
}

// envelope is the body of a delivery.
func (e *endpoint) envelope(msgs []hooks.Message) []byte {
	var b bytes.Buffer
	b.WriteString(`{"eventType":"com.okta.event_hook","eventTypeVersion":"1.0","cloudEventsVersion":"0.1","source":`)
	b.Write(e.source)
	b.WriteString(`,"eventId":"` + eventID(msgs) + `","data":{"events":[`)
	for i, msg := range msgs {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(e.protocol.events.Of(msg.Event, logEvent))
	}
	b.WriteString(`]},"eventTime":"` + msgs[0].Now.UTC().Format(wire.TimeFormat) + `","contentType":"application/json"}`)
	return b.Bytes()
}

// eventID names a request: by the delivery, which is the same for each attempt,
// or by all of a batch.
func eventID(msgs []hooks.Message) string {
	if len(msgs) == 1 {
		return msgs[0].DeliveryID
	}
	var all strings.Builder
	for _, msg := range msgs {
		all.WriteString(msg.DeliveryID)
	}
	return uuid.NewSHA1(uuid.Nil, []byte(all.String())).String()
}

// logEvent is an event in the form of Okta's System Log.
func logEvent(e *hooks.Event) []byte {
	var b bytes.Buffer
	b.Grow(len(e.Data) + 128)
	b.WriteString(`{"uuid":`)
	b.Write(wire.JSON(e.ID))
	b.WriteString(`,"published":"` + e.Time.UTC().Format(wire.TimeFormat) + `","eventType":"` + e.Type + `","version":"0"`)
	for _, m := range wire.Members(e) {
		switch m.Name {
		case "uuid", "published", "eventType", "version":
			continue
		}
		b.WriteByte(',')
		m.Append(&b)
	}
	b.WriteByte('}')
	return b.Bytes()
}

// Judge implements [hooks.Endpoint].
func (*endpoint) Judge(r hooks.Response) hooks.Verdict { return wire.Judge(r) }

// Verify implements [hooks.Endpoint]: it sends a challenge, once more if that is
// without a response, or with 500 to 599.
func (e *endpoint) Verify(ctx context.Context, send hooks.Send) error {
	challenge := wire.RandomText(40, urlSafe)
	header, err := e.headerAt(time.Now())
	if err != nil {
		return &hooks.AttemptError{Class: hooks.ClassRequest, Err: err}
	}
	header.Del("Content-Type")
	header[challengeHeader], header[requestIDHeader] = []string{challenge}, []string{uuid.NewString()}
	request := hooks.Request{Method: http.MethodGet, URL: e.url, Header: header}
	r := send(ctx, request)
	if v := wire.Judge(r); !v.Success && !v.Permanent {
		r = send(ctx, request)
	}
	if !wire.Judge(r).Success {
		return r.Failure()
	}
	var response struct {
		Verification string `json:"verification"`
	}
	if json.Unmarshal(r.Body, &response) != nil || response.Verification != challenge {
		return &hooks.AttemptError{Class: hooks.ClassBody, Err: errors.New(`the endpoint did not respond with {"verification": ...} with the challenge`), Response: &r}
	}
	return nil
}
