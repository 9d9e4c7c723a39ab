package hooks

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"time"

	"github.com/seed-2c6e3a5a/hooks/internal/header"
	"github.com/seed-2c6e3a5a/hooks/internal/latest"
	"github.com/seed-2c6e3a5a/hooks/internal/signature"
)

// StandardWebhooks names the default protocol, Standard Webhooks 1.0.0
// (https://www.standardwebhooks.com).
//
// A delivery is a POST of {"type": …, "timestamp": …, "data": …} with the
// headers webhook-id (the event's ID), webhook-timestamp (Unix seconds of the
// attempt) and webhook-signature (one signature for each of the hook's
// secrets: HMAC-SHA256 for "whsec_", ed25519 for "whsk_"). 2xx is success;
// everything else is tried again at 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h,
// 20 h and 24 h after the attempt before, unless [Config].Schedule or
// [Hook].Schedule says otherwise. 410 disables the hook. 429, 502 and 504,
// and 503 with Retry-After, leave the endpoint alone for a while. The timeout is
// 15 s, or [Config].Timeout or [Hook].Timeout.
//
// [Manager.Verify] sends a signed event of the type "hook.verification" whose
// data is {"challenge": "…"}; the endpoint responds with 2xx and {"challenge": "…"}
// with the same text, as the middleware of package receive does.
//
// The hook's Headers may replace Content-Type and User-Agent. The protocol has
// no Settings.
const StandardWebhooks = "standard-webhooks"

type standard struct {
	traits    Traits
	userAgent string
	// latest is the payload made last, which the next delivery of the same
	// event uses again.
	latest *latest.Value[*Event, payload]
}

func newStandard(cfg Config) standard {
	return standard{Traits{Schedule: cfg.Schedule, Timeout: cfg.Timeout}, cfg.UserAgent, new(latest.Value[*Event, payload])}
}

func (standard) Name() string { return StandardWebhooks }

func (p standard) Traits() Traits { return p.traits }

func (standard) NewSecret() (Secret, error) { return NewSecret(), nil }

func (p standard) Compile(h Hook) (Endpoint, error) {
	if h.Method != "" && h.Method != http.MethodPost {
		return nil, &InvalidError{Field: "method", Reason: "must be POST for Standard Webhooks"}
	}
	if len(h.Settings) > 0 && string(h.Settings) != "{}" && string(h.Settings) != "null" {
		return nil, &InvalidError{Field: "settings", Reason: "must be empty, Standard Webhooks has none"}
	}
	if len(h.Secrets) == 0 {
		return nil, &InvalidError{Field: "secrets", Reason: "must not be empty"}
	}
	signer, err := newSigner(h.Secrets)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(h.URL)
	if err != nil {
		return nil, &InvalidError{Field: "url", Reason: "must be a URL"}
	}
	e := &standardEndpoint{
		protocol:  p,
		url:       u,
		logURL:    withoutQuery(u),
		signer:    signer,
		header:    http.Header{"Content-Type": {"application/json"}, "User-Agent": {p.userAgent}},
		logHeader: http.Header{"Content-Type": {"application/json"}, "User-Agent": {p.userAgent}},
	}
	for name, value := range h.Headers {
		key := textproto.CanonicalMIMEHeaderKey(name)
		if setByStandard[header.Key(name)] || e.header[key] == nil && replaceable[header.Key(name)] {
			return nil, &InvalidError{Field: fmt.Sprintf("headers[%q]", name), Reason: "is set by the protocol"}
		}
		e.header[key] = []string{value}
		e.logHeader[key] = []string{redacted}
	}
	return e, nil
}

// setByStandard are the headers that the protocol sets itself. Of replaceable, a
// hook's takes their place, under that name only.
var (
	setByStandard = header.Keys(signature.HeaderID, signature.HeaderTimestamp, signature.HeaderSignature)
	replaceable   = header.Keys("Content-Type", "User-Agent")
)

type standardEndpoint struct {
	protocol          standard
	url               *url.URL
	logURL            string
	signer            *signature.Signer
	header, logHeader http.Header
}

func (*standardEndpoint) Accepts(context.Context, *Event) (bool, error) { return true, nil }

func (e *standardEndpoint) Request(_ context.Context, _ Send, msgs []Message) (Request, error) {
	return e.signed(msgs[0].Event, msgs[0].Now)
}

func (e *standardEndpoint) signed(event *Event, now time.Time) (Request, error) {
	p := e.protocol.latest.Of(event, newPayload)
	signed := e.signer.Sign(event.ID, now, p.body)
	if signed == "" {
		return Request{}, errors.New("all secrets of the hook have expired")
	}
	header := maps.Clone(e.header)
	values := [3]string{event.ID, strconv.FormatInt(now.Unix(), 10), signed}
	header[signature.HeaderID], header[signature.HeaderTimestamp], header[signature.HeaderSignature] = values[0:1:1], values[1:2:2], values[2:3:3]
	return Request{
		URL: e.url, Header: header, Body: p.body, LogURL: e.logURL, LogHeader: e.logHeader, LogBodySHA256: p.sha256,
	}, nil
}

// A payload is the body of the deliveries of an event.
type payload struct {
	body   []byte
	sha256 [32]byte
}

func newPayload(e *Event) payload {
	body := standardBody(e)
	return payload{body, sha256.Sum256(body)}
}

// standardBody is the body of a delivery, with the event's data byte for byte.
func standardBody(e *Event) []byte {
	body := make([]byte, 0, len(e.Data)+len(e.Type)+64)
	body = append(body, `{"type":"`...)
	body = append(body, e.Type...) // Needs no escapes, see Event.Type.
	body = append(body, `","timestamp":"`...)
	body = e.Time.AppendFormat(body, "2006-01-02T15:04:05.000Z")
	body = append(body, `","data":`...)
	body = append(body, e.Data...)
	return append(body, '}')
}

func (*standardEndpoint) Judge(r Response) Verdict {
	if r.Err != nil {
		return Verdict{}
	}
	switch r.Status {
	case http.StatusGone:
		return Verdict{Permanent: true, Disable: "the endpoint responded with 410 Gone"}
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusGatewayTimeout:
		return Verdict{Throttle: true}
	case http.StatusServiceUnavailable:
		_, saysWhen := r.RetryAfter(time.Now())
		return Verdict{Throttle: saysWhen}
	}
	return Verdict{Success: r.Status >= 200 && r.Status <= 299}
}

func (e *standardEndpoint) Verify(ctx context.Context, send Send) error {
	challenge := rand.Text()
	at := now()
	request, err := e.signed(&Event{
		ID: newID(), Type: signature.VerificationType, Time: at, Data: json.RawMessage(`{"challenge":"` + challenge + `"}`),
	}, at)
	if err != nil {
		return &AttemptError{Class: ClassRequest, Err: err}
	}
	r := send(ctx, request)
	if r.Err != nil || r.Status < 200 || r.Status > 299 {
		return r.Failure()
	}
	var response struct {
		Challenge string `json:"challenge"`
	}
	if err := json.Unmarshal(r.Body, &response); err != nil || response.Challenge != challenge {
		return &AttemptError{Class: ClassBody, Err: errors.New("the endpoint did not repeat the challenge"), Response: &r}
	}
	return nil
}
