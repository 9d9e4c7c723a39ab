package logto

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/wire"
	"github.com/seed-2c6e3a5a/hooks/internal/latest"
)

// Name is the name of the protocol, as in [hooks.Hook].Protocol.
const Name = "logto"

// Protocol delivers events as Logto does. Its zero value works; give a pointer
// to it to [hooks.Config].Protocols.
//
// A delivery is a POST of one JSON object: "event" (the type), for the Post*
// types "interactionEvent", "createdAt" (the event's time), then the members of
// the event's data, and "hookId". Data that is not an object becomes the member
// "data". Members of the data with one of the names that the protocol sets are
// left out, but for interactionEvent, which replaces the one derived from the
// type; null there means none.
//
// The data is written as JavaScript writes it, JSON.stringify(JSON.parse(data)), so
// that receivers may check the signature of JSON.stringify(body), as many do: without
// escapes such as \u003c and \/, numbers in their shortest form (1.0 as 1, 1e2 as 100),
// members whose names are array indices first, and each name once. Only numbers that
// JavaScript cannot hold, such as integers beyond 2⁵³ and 1e400, keep their digits,
// because rounding loses something: of payloads with them, such receivers have to
// check the bytes that they got.
//
// The header logto-signature-sha-256 has the HMAC-SHA256 of the body under the
// signing key, in lower-case hexadecimal. The hook's Headers may replace
// Content-Type and User-Agent, and must not set the signature.
//
// 2xx is success. 500 to 599, a response that does not come within 10 s, and a
// failed connection are tried again; everything else is final.
//
// A hook without valid URL is accepted, and its deliveries fail. There is no
// verification of endpoints.
type Protocol struct {
	// Schedule is that of hooks whose config has no retries; those that have get
	// the beginning of it. Use [hooks.Retries], because the first entry is the
	// delay before the first attempt. Default: three retries, 0.3 s, 0.6 s and 1.2
	// s after the previous attempt.
	Schedule []time.Duration

	// latest is what the bodies of an event's deliveries have in common: all
	// but the hook's ID.
	latest latest.Value[*hooks.Event, []byte]
}

var _ hooks.Protocol = (*Protocol)(nil)

const (
	timeout   = 10 * time.Second
	userAgent = "Logto (https://logto.io/)"

	// maxRetries bounds config.retries.
	maxRetries = 3

	signatureHeader = "Logto-Signature-Sha-256"
)

var defaultSchedule = []time.Duration{0, 300 * time.Millisecond, 600 * time.Millisecond, 1200 * time.Millisecond}

// Name implements [hooks.Protocol].
func (*Protocol) Name() string { return Name }

// Traits implements [hooks.Protocol].
func (p *Protocol) Traits() hooks.Traits {
	return hooks.Traits{Schedule: p.schedule(), Timeout: timeout, AnyURL: true}
}

func (p *Protocol) schedule() []time.Duration {
	if len(p.Schedule) > 0 {
		return p.Schedule
	}
	return defaultSchedule
}

// scheduleOf is the schedule of a hook with that many retries, nil (the
// protocol's) if it does not say how many. A fraction counts as what is below.
func (p *Protocol) scheduleOf(retries *float64) []time.Duration {
	if retries == nil {
		return nil
	}
	all := p.schedule()
	return all[:min(1+int(*retries), len(all))]
}

// NewSecret implements [hooks.Protocol]: 32 letters and digits.
func (*Protocol) NewSecret() (hooks.Secret, error) {
	return hooks.Secret(wire.RandomText(32, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")), nil
}

// Compile implements [hooks.Protocol].
func (p *Protocol) Compile(h hooks.Hook) (hooks.Endpoint, error) {
	s, err := settingsOf(h)
	if err != nil {
		return nil, err
	}
	if h.Method != "" && h.Method != http.MethodPost {
		return nil, &hooks.InvalidError{Field: "method", Reason: "must be POST for Logto"}
	}
	own := http.Header{"Content-Type": {"application/json"}, "User-Agent": {userAgent}}
	header, err := wire.NewHeader(own, h, signatureHeader)
	if err != nil {
		return nil, err
	}
	e := &endpoint{protocol: p, hook: h, settings: s, header: header}
	e.url, err = url.Parse(h.URL)
	if err != nil || e.url.Scheme == "" {
		e.url, e.badURL = nil, fmt.Errorf("Failed to parse URL from %s", wire.ShownURL(h.URL)) //nolint:staticcheck // The words of JavaScript's fetch, which Logto shows.
	}
	return e, nil
}

type endpoint struct {
	protocol *Protocol
	hook     hooks.Hook
	settings settings
	url      *url.URL
	// badURL is why there is no url.
	badURL error
	header wire.Header
}

// Accepts implements [hooks.Endpoint]: a hook of one event, that has been
// changed to none, gets nothing.
func (e *endpoint) Accepts(_ context.Context, event *hooks.Event) (bool, error) {
	return !e.settings.Single || e.settings.Event == event.Type, nil
}

// Request implements [hooks.Endpoint].
func (e *endpoint) Request(_ context.Context, _ hooks.Send, msgs []hooks.Message) (hooks.Request, error) {
	if e.badURL != nil {
		return hooks.Request{}, e.badURL
	}
	body := payloadFor(e.hook.ID, e.protocol.latest.Of(msgs[0].Event, payloadStart))
	header := maps.Clone(e.header.Sent)
	if len(e.hook.Secrets) > 0 {
		key, ok := e.hook.CurrentSecret(msgs[0].Now)
		if !ok {
			return hooks.Request{}, errors.New("all signing keys of the hook have expired")
		}
		header[signatureHeader] = []string{sign(key, body)}
	}
	return hooks.Request{URL: e.url, Header: header, Body: body, LogHeader: e.header.Logged}, nil
}

func sign(key hooks.Secret, body []byte) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// Judge implements [hooks.Endpoint].
func (*endpoint) Judge(r hooks.Response) hooks.Verdict { return wire.Judge(r) }

// Verify implements [hooks.Endpoint].
func (*endpoint) Verify(context.Context, hooks.Send) error {
	return &hooks.AttemptError{Class: hooks.ClassRequest, Err: errors.New("Logto hooks have no verification")} //nolint:staticcheck // A name.
}

// payloadFor is a body that begins so and goes to this hook.
func payloadFor(hookID string, start []byte) []byte {
	body := make([]byte, 0, len(start)+len(hookID)+16)
	body = append(body, start...)
	body = append(body, `"hookId":"`...)
	body = append(body, hookID...) // Needs no escapes, see hooks.Hook.ID.
	return append(body, `"}`...)
}

// payloadStart is the body of a delivery up to the hook's ID, in the form that
// [jsText] explains, in which array indices are first.
func payloadStart(e *hooks.Event) []byte {
	j := newJSText(e.Data)
	j.out = make([]byte, 0, len(e.Data)+128)
	members := j.root
	if !j.isObject() {
		members = []jsMember{{[]byte(`"data"`), -1, j.whole}}
	}
	j.text("{")
	for ; len(members) > 0 && members[0].index >= 0; members = members[1:] {
		j.writeMember(members[0])
		j.text(",")
	}
	j.text(`"event":"` + e.Type + `",`) // Needs no escapes, see hooks.Event.Type.
	hasInteraction := slices.ContainsFunc(members, func(m jsMember) bool { return string(m.name) == `"interactionEvent"` })
	if interaction := interactionOf[e.Type]; interaction != "" && !hasInteraction {
		j.text(`"interactionEvent":"` + interaction + `",`)
	}
	j.text(`"createdAt":"` + e.Time.UTC().Format(wire.TimeFormat) + `",`)
	for _, m := range members {
		switch string(m.name) {
		case `"event"`, `"createdAt"`, `"hookId"`:
			continue
		case `"interactionEvent"`:
			if j.src[m.value] == 'n' { // null
				continue
			}
		}
		j.writeMember(m)
		j.text(",")
	}
	return j.out
}
