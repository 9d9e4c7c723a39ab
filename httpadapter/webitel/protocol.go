package webitel

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/wire"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/webitel/internal/js"
	"github.com/seed-2c6e3a5a/hooks/internal/latest"
)

// Name is the name of the protocol, as in [hooks.Hook].Protocol.
const Name = "webitel"

// Protocol delivers events as Webitel does. Its zero value works; give a pointer
// to it to [hooks.Config].Protocols. [Event] makes events for it.
//
// A delivery is a request with the hook's Method (GET, POST, PUT, PATCH or DELETE) and
// the JSON object
//
//	{"id": the event's ID, "action": its type, "data": {...}}
//
// with the event's data, or as much of it as the hook wants, under the names that
// it wants. With GET there is no body: the data is in the query, with brackets for
// what is nested, as in a[b][0]=1. Data that is not an object becomes the member
// "data" of one. Instead, a hook may have a body of its own: a template of JSON.
//
// Templates have placeholders such as ${Unique-ID}: in values of headers, for the
// member of the data with this name; in bodies, for variable_Unique-ID if there is
// such a member, or else the member itself, and with a dot for what is at the end of
// a path. What is missing, false, null, 0 or "" leaves nothing. In a body, what goes
// into a string is escaped. A header or a body that is not valid when it is filled
// in makes the delivery fail.
//
// A hook may log in before each delivery: an auth request of its own, whose response
// has to be 2xx. Its headers are then ${auth:header:name}, cookies
// ${auth:header:Name}, and the texts of its JSON ${auth:body:name}, for this
// delivery alone. They are not sent otherwise and not logged.
//
// A filter compares members of the data with values, by JavaScript's rules: "==",
// "!=", "<", "<=", ">", ">=", and "reg" for a regular expression. All have to hold.
//
// In [hooks.Hook].Settings, all this has the names that it has in the API, and each
// may be left out:
//
//	{
//	  "fields": ["a", "b"], "map": {"a": "new name"},
//	  "filter": {"c": {"operation": "reg", "value": "/^38/i"}},
//	  "customBody": true, "rawBody": "{\"a\": \"${a}\"}",
//	  "auth": {"enabled": true, "url": "https://…", "method": "POST", "cookie": true,
//	    "headers": {"X-User": "${user}"}, "map": {"user": "${user}"}}
//	}
//
// The request is not signed, and has no User-Agent unless the hook's Headers have
// one. They may replace Accept and Content-Type.
//
// 2xx is success. All else is tried again, as often as the hook's Schedule says,
// which by default is not at all. A delivery has 15 s for both its requests.
//
// A hook without valid URL is accepted, and its deliveries fail. There is no
// verification of endpoints.
//
// A filter with the operation reg starts the clock of package regexp2, a goroutine
// that ends a second after the last search. In a bubble of [testing/synctest] it has
// to end before the test: t.Cleanup(regexp2.StopTimeoutClock) sees to that.
type Protocol struct {
	records latest.Value[*hooks.Event, *record]
}

var _ hooks.Protocol = (*Protocol)(nil)

const timeout = 15 * time.Second

// maxBody bounds a body made of a template, in bytes, not counting the size of the
// event.
const maxBody = 1 << 20

// Name implements [hooks.Protocol].
func (*Protocol) Name() string { return Name }

// Traits implements [hooks.Protocol].
func (*Protocol) Traits() hooks.Traits {
	return hooks.Traits{Schedule: []time.Duration{0}, Timeout: timeout, AnyURL: true}
}

// NewSecret implements [hooks.Protocol]: the protocol does not sign.
func (*Protocol) NewSecret() (hooks.Secret, error) { return "", nil }

// Compile implements [hooks.Protocol].
func (p *Protocol) Compile(h hooks.Hook) (hooks.Endpoint, error) {
	s, err := settingsOf(h)
	if err != nil {
		return nil, err
	}
	e := &endpoint{protocol: p}
	if s.Type != "" && s.Type != typeWeb {
		e.idle = fmt.Errorf("an action of the type %q does nothing", s.Type)
	}
	if e.method, err = parseMethod("method", h.Method, http.MethodPost); err != nil {
		return nil, err
	}
	if e.url, err = url.Parse(h.URL); err != nil {
		e.url, e.badURL = nil, errors.New("the URL of the hook is none")
	}
	if e.selection, err = parseSelection(s.Fields, s.Map); err != nil {
		return nil, err
	}
	if e.filter, err = parseFilter(s.Filter); err != nil {
		return nil, err
	}
	if e.header, err = parseHeader("headers", h.Headers); err != nil {
		return nil, err
	}
	if e.login, err = parseLogin(s.Auth); err != nil {
		return nil, err
	}
	if s.CustomBody != nil && *s.CustomBody && s.RawBody != nil {
		e.body = parseTemplate(*s.RawBody)
	}
	return e, nil
}

// parseMethod returns the method in upper case.
func parseMethod(field, method, byDefault string) (string, error) {
	if method == "" {
		return byDefault, nil
	}
	for _, known := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		if len(method) == len(known) && strings.EqualFold(method, known) { // The length leaves ASCII alone.
			return known, nil
		}
	}
	return "", &hooks.InvalidError{Field: field, Reason: "must be GET, POST, PUT, PATCH or DELETE"}
}

type endpoint struct {
	protocol *Protocol
	url      *url.URL
	// badURL is why there is no url.
	badURL error
	// idle is why nothing is delivered.
	idle      error
	method    string
	filter    filter
	selection selection
	header    []named
	login     *login   // nil: none
	body      template // nil: the envelope
}

// Accepts implements [hooks.Endpoint].
func (e *endpoint) Accepts(ctx context.Context, event *hooks.Event) (bool, error) {
	if e.idle != nil {
		return false, e.idle
	}
	if len(e.filter) == 0 {
		return true, nil
	}
	return e.filter.accepts(ctx, e.protocol.records.Of(event, newRecord))
}

// Request implements [hooks.Endpoint].
func (e *endpoint) Request(ctx context.Context, send hooks.Send, msgs []hooks.Message) (hooks.Request, error) {
	if e.badURL != nil {
		return hooks.Request{}, e.badURL
	}
	event := msgs[0].Event
	s := newScope(e.protocol.records.Of(event, newRecord))
	cookie := ""
	if e.login != nil {
		var err error
		if cookie, err = e.login.ask(ctx, send, s); err != nil {
			return hooks.Request{}, err
		}
	}
	header, err := fillHeader(e.header, s)
	if err != nil {
		return hooks.Request{}, err
	}
	if cookie != "" {
		header.Set("Cookie", cookie)
	}
	target, body, err := e.payload(event, s)
	if err != nil {
		return hooks.Request{}, err
	}
	r := hooks.Request{Method: e.method, URL: target, Header: header, Body: body}
	complete(&r)
	return r, nil
}

// payload returns the URL and the body of a delivery: with GET, the URL has it all.
func (e *endpoint) payload(event *hooks.Event, s *scope) (target *url.URL, body []byte, err error) {
	if e.body != nil {
		if body, err = e.customBody(event, s); err != nil {
			return nil, nil, err
		}
		if e.method == http.MethodGet {
			target, err = withQuery(e.url, elements(body))
			return target, nil, err
		}
		return e.url, body, nil
	}
	if e.method == http.MethodGet {
		target, err = withQuery(e.url, e.selection.of(s.event))
		return target, nil, err
	}
	if e.selection.isWhole() {
		return e.url, envelope(event, s.event.whole()), nil
	}
	return e.url, envelope(event, object(e.selection.of(s.event))), nil
}

// customBody is the hook's own body for the event. Some values are none: true, and
// those that do not count as true.
func (e *endpoint) customBody(event *hooks.Event, s *scope) ([]byte, error) {
	limit := maxBody + len(event.Data)
	text, ok := e.body.fill(s.bodyText, limit)
	if !ok {
		return nil, &hooks.InvalidError{Field: "settings.rawBody", Reason: fmt.Sprintf("must be at most %d bytes with its placeholders filled in", limit)}
	}
	var body bytes.Buffer
	if err := json.Compact(&body, []byte(strings.ToValidUTF8(text, "\uFFFD"))); err != nil {
		return nil, &hooks.InvalidError{Field: "settings.rawBody", Reason: fmt.Sprintf("must be JSON with its placeholders filled in: %v", err)}
	}
	switch body.Bytes()[0] {
	case '{', '[':
		return body.Bytes(), nil
	}
	value, err := js.Decode(body.Bytes())
	if err != nil || value == true || !js.Truthy(value) {
		return nil, err
	}
	return body.Bytes(), nil
}

// Judge implements [hooks.Endpoint].
func (*endpoint) Judge(r hooks.Response) hooks.Verdict { return judge(r) }

func judge(r hooks.Response) hooks.Verdict {
	return hooks.Verdict{Success: r.Err == nil && r.Status >= 200 && r.Status <= 299, Throttle: wire.Overloaded(r)}
}

// Verify implements [hooks.Endpoint].
func (*endpoint) Verify(context.Context, hooks.Send) error {
	return &hooks.AttemptError{Class: hooks.ClassRequest, Err: errors.New("Webitel hooks have no verification")} //nolint:staticcheck // A name.
}
