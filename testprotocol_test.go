package hooks_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

// A testProtocol is a protocol made of the functions that a test gives. What it
// does not give is as plain as possible: the data is posted with the event's ID
// in the header Webhook-Id, 2xx is success, there is one attempt and no secret.
type testProtocol struct {
	name    string
	traits  hooks.Traits
	secret  func() (hooks.Secret, error)
	compile func(hooks.Hook) error
	accepts func(context.Context, hooks.Hook, *hooks.Event) (bool, error)
	request func(context.Context, hooks.Send, hooks.Hook, []hooks.Message) (hooks.Request, error)
	judge   func(hooks.Response) hooks.Verdict
	verify  func(context.Context, hooks.Send, hooks.Hook) error
}

// speaks has a Manager speak these protocols.
func speaks(protocols ...hooks.Protocol) func(*hooks.Config) {
	return func(c *hooks.Config) { c.Protocols = protocols }
}

func (p *testProtocol) Name() string { return p.name }

func (p *testProtocol) Traits() hooks.Traits {
	t := p.traits
	if t.Schedule == nil {
		t.Schedule = []time.Duration{0}
	}
	t.Timeout = cmp.Or(t.Timeout, 5*time.Second)
	return t
}

func (p *testProtocol) NewSecret() (hooks.Secret, error) {
	if p.secret == nil {
		return "", nil
	}
	return p.secret()
}

func (p *testProtocol) Compile(h hooks.Hook) (hooks.Endpoint, error) {
	if p.compile != nil {
		if err := p.compile(h); err != nil {
			return nil, err
		}
	}
	return &testEndpoint{p, h}, nil
}

type testEndpoint struct {
	*testProtocol
	hook hooks.Hook
}

func (e *testEndpoint) Accepts(ctx context.Context, event *hooks.Event) (bool, error) {
	if e.accepts == nil {
		return true, nil
	}
	return e.accepts(ctx, e.hook, event)
}

func (e *testEndpoint) Request(ctx context.Context, send hooks.Send, msgs []hooks.Message) (hooks.Request, error) {
	if e.request == nil {
		return post(e.hook, msgs[0])
	}
	return e.request(ctx, send, e.hook, msgs)
}

func (e *testEndpoint) Judge(r hooks.Response) hooks.Verdict {
	if e.judge == nil {
		return hooks.Verdict{Success: r.Err == nil && r.Status >= 200 && r.Status <= 299}
	}
	return e.judge(r)
}

func (e *testEndpoint) Verify(ctx context.Context, send hooks.Send) error {
	if e.verify == nil {
		return nil
	}
	return e.verify(ctx, send, e.hook)
}

// post is the request of a protocol that does nothing special.
func post(h hooks.Hook, msg hooks.Message) (hooks.Request, error) {
	u, err := url.Parse(h.URL)
	return hooks.Request{URL: u, Header: http.Header{"Webhook-Id": {msg.Event.ID}}, Body: msg.Event.Data}, err
}

// A protocol like Okta's: endpoints are asked first whether they want the
// traffic, by a GET whose header they repeat in their response.
func verifying() *testProtocol {
	return &testProtocol{
		name:   "verifying",
		traits: hooks.Traits{RequireVerified: true, Timeout: 3 * time.Second},
		verify: func(ctx context.Context, send hooks.Send, h hooks.Hook) error {
			u, err := url.Parse(h.URL)
			if err != nil {
				return err
			}
			r := send(ctx, hooks.Request{Method: "GET", URL: u, Header: http.Header{"X-Challenge": {"c4a1"}}})
			var response struct{ Verification string }
			switch {
			case r.Err != nil:
				return r.Err
			case r.Status != 200:
				return &hooks.AttemptError{Class: hooks.ClassStatus, Err: fmt.Errorf("status %d", r.Status), Response: &r}
			case json.Unmarshal(r.Body, &response) != nil || response.Verification != "c4a1":
				return &hooks.AttemptError{Class: hooks.ClassBody, Err: errors.New("another challenge"), Response: &r}
			}
			return nil
		},
	}
}
