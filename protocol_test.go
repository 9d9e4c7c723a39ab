package hooks_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
	"github.com/seed-2c6e3a5a/hooks/memory"
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

func TestOnlyVerifiedHooksReceive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := runningHarness(t, speaks(verifying()))
		echo := hookstest.Response(func(w http.ResponseWriter, r *http.Request) {
			assert.Equal(t, "GET", r.Method)
			_, _ = fmt.Fprintf(w, `{"verification":%q}`, r.Header.Get("X-Challenge"))
		})
		r, hook := h.endpoint(hooks.Hook{Tenant: "acme", Events: []string{"*"}, Protocol: "verifying"})
		require.False(t, hook.Verified)
		event := hooks.Event{Tenant: "acme", Type: "a"}
		assert.Zero(t, h.trigger(event).Deliveries)

		for _, tt := range []struct {
			response hookstest.Response
			class    hooks.ErrorClass
			status   int
		}{
			{hookstest.Status(200).Body(`{"verification":"guess"}`), hooks.ClassBody, 200},
			{hookstest.Status(500).Body(`{"verification":"c4a1"}`), hooks.ClassStatus, 500},
			{hookstest.Redirect(302, "http://elsewhere.example/"), hooks.ClassStatus, 302},
			{hookstest.Hang(), hooks.ClassTimeout, 0},
			{hookstest.Reset(), hooks.ClassConnect, 0},
		} {
			r.Respond(tt.response)
			_, err := h.Verify(t.Context(), "acme", hook.ID)
			var failure *hooks.AttemptError
			require.ErrorAs(t, err, &failure)
			assert.Equal(t, tt.class, failure.Class)
			if tt.status > 0 {
				assert.Equal(t, tt.status, failure.Response.Status)
			}
			assert.Equal(t, hook, h.hook(hook.Ref()), "the hook stays as it was")
			assert.Zero(t, h.trigger(event).Deliveries)
		}

		r.Respond(echo, hookstest.Status(200))
		verified, err := h.Verify(t.Context(), "acme", hook.ID)
		require.NoError(t, err)
		assert.True(t, verified.Verified)
		assert.Equal(t, verified, h.hook(hook.Ref()))
		before := len(r.Requests())
		assert.Equal(t, 1, h.trigger(event).Deliveries)
		assert.Equal(t, "POST", r.Wait(before + 1)[before].Method)
		synctest.Wait()

		moved := h.update(hook.Ref(), func(hook *hooks.Hook) { hook.URL += "/new" })
		assert.False(t, moved.Verified)
		assert.Zero(t, h.trigger(event).Deliveries)
		assert.Len(t, h.attempts(hooks.LogQuery{Tenant: "acme"}), 1, "verifications are not logged")
	})
}

func TestVerifyNoticesAChangeMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := verifying()
		h := newHarness(t, speaks(p))
		_, hook := h.endpoint(hooks.Hook{Events: []string{"*"}, Protocol: "verifying"})
		p.verify = func(context.Context, hooks.Send, hooks.Hook) error {
			h.update(hook.Ref(), func(hook *hooks.Hook) { hook.URL = "http://elsewhere.example" })
			return nil
		}
		_, err := h.Verify(t.Context(), "", hook.ID)
		assert.ErrorIs(t, err, hooks.ErrConflict)
		assert.False(t, h.hook(hook.Ref()).Verified)
	})
}

// A protocol like Webitel's: it logs in before each delivery, at the URL that
// is the hook's Settings, and sends what the response says along.
func loggingIn(schedule ...time.Duration) *testProtocol {
	return &testProtocol{
		name:   "logging-in",
		traits: hooks.Traits{Schedule: schedule, Timeout: 4 * time.Second},
		request: func(ctx context.Context, send hooks.Send, h hooks.Hook, msgs []hooks.Message) (hooks.Request, error) {
			var login string
			if err := json.Unmarshal(h.Settings, &login); err != nil {
				return hooks.Request{}, err
			}
			u, err := url.Parse(login)
			if err != nil {
				return hooks.Request{}, err
			}
			r := send(ctx, hooks.Request{URL: u, Header: http.Header{"X-User": {"me"}}, Body: []byte(`{}`)})
			if r.Err != nil {
				return hooks.Request{}, r.Err
			}
			if r.Status != 200 {
				return hooks.Request{}, &hooks.AttemptError{Class: hooks.ClassStatus, Err: fmt.Errorf("the login was answered with %d", r.Status), Response: &r}
			}
			req, err := post(h, msgs[0])
			if err == nil {
				req.Header.Set("Authorization", "Bearer "+string(r.Body))
			}
			return req, err
		},
	}
}

func TestAnAuthRequestComesBeforeEachDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := runningHarness(t, speaks(loggingIn(0, time.Minute)))
		login := h.receiver(hookstest.Status(200).Body("t0ken-1"), hookstest.Status(200).Body("t0ken-2"))
		r, _ := h.endpoint(hooks.Hook{Events: []string{"*"}, Protocol: "logging-in", Settings: json.RawMessage(`"` + login.URL + `/login"`)},
			hookstest.Status(500), hookstest.Status(200))
		h.trigger(hooks.Event{Type: "a"})
		pass(time.Hour)
		logins, sent := login.Requests(), r.Requests()
		require.Len(t, logins, 2)
		require.Len(t, sent, 2)
		assert.Equal(t, "/login", logins[0].URL.Path)
		assert.Equal(t, "me", logins[0].Header.Get("X-User"))
		assert.Equal(t, "Bearer t0ken-1", sent[0].Header.Get("Authorization"))
		assert.Equal(t, "Bearer t0ken-2", sent[1].Header.Get("Authorization"), "each attempt logs in")

		log := h.attempts(hooks.LogQuery{})
		require.Len(t, log, 2, "logins are not logged")
		for _, a := range log {
			assert.Equal(t, r.URL, a.Request.URL)
		}
		text, err := json.Marshal(log)
		require.NoError(t, err)
		assert.NotContains(t, string(text), "t0ken")
	})
}

func TestAFailedAuthRequestIsAFailedAttempt(t *testing.T) {
	tests := map[string]struct {
		response hookstest.Response
		class    hooks.ErrorClass
		status   int
	}{
		"refused":   {hookstest.Status(401).Body("who?"), hooks.ClassStatus, 401},
		"hangs":     {hookstest.Hang(), hooks.ClassTimeout, 0},
		"is reset":  {hookstest.Reset(), hooks.ClassConnect, 0},
		"no HTTP":   {hookstest.Garbage(), hooks.ClassHTTP, 0},
		"cut short": {hookstest.Status(200).Body("t0k").ThenReset(), hooks.ClassBody, 200},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := runningHarness(t, speaks(loggingIn(0, time.Minute)))
				responses := []hookstest.Response{tt.response, hookstest.Status(200)}
				if tt.class == hooks.ClassConnect { // which takes two requests
					responses = append([]hookstest.Response{tt.response}, responses...)
				}
				login := h.receiver(responses...)
				r, hook := h.endpoint(hooks.Hook{Events: []string{"*"}, Protocol: "logging-in", Settings: json.RawMessage(`"` + login.URL + `"`)})
				h.trigger(hooks.Event{ID: "e", Type: "a"})
				pass(10 * time.Second)
				assert.Empty(t, r.Requests(), "nothing is delivered without a login")
				assert.Equal(t, 1, h.hook(hook.Ref()).Health.Failures)
				log := h.attempts(hooks.LogQuery{})
				require.Len(t, log, 1)
				assert.Equal(t, tt.class, log[0].Class)
				assert.Equal(t, tt.status, log[0].Response.Status)
				assert.Equal(t, hooks.Pending, log[0].State)
				assert.NotEmpty(t, log[0].Error)
				assert.Zero(t, log[0].Request, "nothing could be sent")
				assert.LessOrEqual(t, log[0].Duration, 4*time.Second, "the login is within the timeout")

				pass(time.Hour)
				assert.Equal(t, hooks.Succeeded, h.delivery("", "e").State)
				assert.Len(t, r.Requests(), 1)
				assert.Len(t, login.Requests(), len(responses))
			})
		})
	}
}

// The dialer is the Manager's own here; nothing leaves the machine, because the
// policy comes before the connection.
func TestAnAuthRequestKeepsToTheEgressPolicy(t *testing.T) {
	for name, tt := range map[string]struct {
		login     string
		allowHTTP bool
	}{
		"loopback":      {"https://127.0.0.1:1024/login", false},
		"private":       {"https://[fd00::1]:1024/login", false},
		"plain":         {"http://receiver.example/login", false},
		"with userinfo": {"http://me:s3cr3t@127.0.0.1:1024/login", true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, speaks(loggingIn()), func(c *hooks.Config) { c.Dial, c.AllowHTTP = nil, tt.allowHTTP })
			attempts, err := h.Test(t.Context(), hooks.Hook{
				URL: "https://receiver.example", Events: []string{"*"}, Protocol: "logging-in", Settings: json.RawMessage(`"` + tt.login + `"`),
			}, hooks.Event{Type: "a"})
			require.NoError(t, err)
			want := hooks.ClassForbidden
			if strings.Contains(tt.login, "@") {
				want = hooks.ClassRequest
			}
			assert.Equal(t, want, attempts[0].Class)
			assert.NotContains(t, attempts[0].Error, "s3cr3t")
			assert.Zero(t, attempts[0].Request)
		})
	}
}

func TestGETWithAQuery(t *testing.T) {
	for _, logURL := range []string{"", "what the log says"} {
		synctest.Test(t, func(t *testing.T) {
			h := runningHarness(t, speaks(&testProtocol{
				name: "query",
				request: func(_ context.Context, _ hooks.Send, h hooks.Hook, msgs []hooks.Message) (hooks.Request, error) {
					u, err := url.Parse(h.URL)
					if err != nil {
						return hooks.Request{}, err
					}
					query := u.Query()
					query.Set("data", string(msgs[0].Event.Data))
					u.RawQuery = query.Encode()
					return hooks.Request{Method: h.Method, URL: u, Header: http.Header{}, LogURL: logURL}, nil
				},
			}))
			r := h.receiver()
			h.register(hooks.Hook{URL: r.URL + "/a?token=s3cr3t", Method: "GET", Events: []string{"*"}, Protocol: "query"})
			h.trigger(hooks.Event{ID: "e", Type: "a", Data: json.RawMessage(`{"a":"&"}`)})
			synctest.Wait()
			require.Equal(t, hooks.Succeeded, h.delivery("", "e").State, h.delivery("", "e").Reason)
			got := r.Requests()[0]
			assert.Equal(t, "GET", got.Method)
			assert.Empty(t, got.Body)
			assert.Equal(t, url.Values{"token": {"s3cr3t"}, "data": {`{"a":"&"}`}}, got.URL.Query())
			log := h.attempts(hooks.LogQuery{})[0].Request
			assert.Equal(t, "GET", log.Method)
			assert.Equal(t, cmp.Or(logURL, r.URL+"/a"), log.URL)
			assert.Zero(t, log.BodySize)
		})
	}
}

func TestTheLogKeepsOfHeadersWhatTheProtocolSays(t *testing.T) {
	for _, tt := range []struct{ log, want http.Header }{
		{nil, http.Header{"X-Key": {"[redacted]"}, "X-List": {"[redacted]"}}},
		{http.Header{}, http.Header{}},
		{http.Header{"X-List": {"1", "2"}}, http.Header{"X-List": {"1", "2"}}},
	} {
		h := newHarness(t, speaks(&testProtocol{
			name: "plain",
			request: func(_ context.Context, _ hooks.Send, h hooks.Hook, msgs []hooks.Message) (hooks.Request, error) {
				req, err := post(h, msgs[0])
				req.Header = http.Header{"X-Key": {"s3cr3t"}, "X-List": {"1", "2"}}
				req.LogHeader = tt.log
				return req, err
			},
		}))
		r := h.receiver()
		attempts, err := h.Test(t.Context(), hooks.Hook{URL: r.URL, Events: []string{"*"}, Protocol: "plain"}, hooks.Event{Type: "a", Data: json.RawMessage(`"x"`)})
		require.NoError(t, err)
		assert.Equal(t, []string{"1", "2"}, r.Next().Header["X-List"])
		assert.Equal(t, tt.want, attempts[0].Request.Header)
		assert.Equal(t, 3, attempts[0].Request.BodySize)
		assert.Equal(t, sha256.Sum256([]byte(`"x"`)), attempts[0].Request.BodySHA256)
	}
}

func TestMessagesNameTheirAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var messages record[hooks.Message]
		h := runningHarness(t, speaks(&testProtocol{
			name:   "noted",
			traits: hooks.Traits{Schedule: []time.Duration{0, time.Minute}},
			request: func(_ context.Context, _ hooks.Send, h hooks.Hook, msgs []hooks.Message) (hooks.Request, error) {
				messages.add(msgs[0])
				return post(h, msgs[0])
			},
		}))
		h.endpoint(hooks.Hook{Events: []string{"*"}, Protocol: "noted"}, hookstest.Status(500))
		h.trigger(hooks.Event{ID: "e", Type: "a", Metadata: map[string]string{"region": "eu"}})
		pass(time.Hour)
		log := h.attempts(hooks.LogQuery{})
		require.Len(t, log, 2)
		seen := messages.all()
		require.Len(t, seen, 2)
		event, err := h.Event(t.Context(), "", "e")
		require.NoError(t, err)
		for i, msg := range seen {
			assert.Equal(t, hooks.Message{Event: &event, DeliveryID: log[1-i].DeliveryID, Attempt: i + 1, Now: log[1-i].StartedAt}, msg)
		}
	})
}

// The one worker makes all these attempts, one that uses up its time between
// two that do not.
func TestEachAttemptHasItsOwnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var left, slept record[time.Duration]
		var errs record[error]
		h := runningHarness(t, speaks(&testProtocol{
			name:   "timed",
			traits: hooks.Traits{Timeout: 5 * time.Second, Schedule: []time.Duration{0}},
			request: func(ctx context.Context, _ hooks.Send, h hooks.Hook, msgs []hooks.Message) (hooks.Request, error) {
				began := time.Now()
				deadline, _ := ctx.Deadline()
				left.add(time.Until(deadline))
				select {
				case <-ctx.Done():
				case <-time.After(map[string]time.Duration{"short": 3 * time.Second, "long": time.Hour}[msgs[0].Event.Type]):
				}
				slept.add(time.Since(began))
				errs.add(ctx.Err())
				req, err := post(h, msgs[0])
				return req, cmp.Or(ctx.Err(), err)
			},
		}), func(c *hooks.Config) { c.MaxInFlight = 1 })
		h.endpoint(hooks.Hook{Events: []string{"*"}, Protocol: "timed"})
		for _, typ := range []string{"short", "long", "short", "short"} {
			h.trigger(hooks.Event{Type: typ})
			pass(time.Minute)
		}
		s := time.Second
		assert.Equal(t, []time.Duration{5 * s, 5 * s, 5 * s, 5 * s}, left.all())
		assert.Equal(t, []time.Duration{3 * s, 5 * s, 3 * s, 3 * s}, slept.all())
		assert.Equal(t, []error{nil, context.DeadlineExceeded, nil, nil}, errs.all())
		var classes []hooks.ErrorClass
		for _, a := range h.attempts(hooks.LogQuery{PageQuery: hooks.PageQuery{OldestFirst: true}}) {
			classes = append(classes, a.Class)
		}
		assert.Equal(t, []hooks.ErrorClass{"", hooks.ClassTimeout, "", ""}, classes)
	})
}

// A hook that another Manager stored is compiled when its delivery is claimed.
func TestCompileMayUseTheManager(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, speaks(&testProtocol{name: "nested"}))
		nested, _ := h.endpoint(hooks.Hook{Events: []string{"a"}, Protocol: "nested"})
		plain, _ := h.endpoint(hooks.Hook{Events: []string{"b"}})
		h.trigger(hooks.Event{Type: "a"})
		var other *hooks.Manager
		other = h.manager(h.store, speaks(&testProtocol{name: "nested", compile: func(hooks.Hook) error {
			_, err := other.Trigger(t.Context(), hooks.Event{Type: "b"})
			return err
		}}))
		h.run(other)
		pass(time.Minute)
		assert.Len(t, nested.Requests(), 1)
		assert.Len(t, plain.Requests(), 1)
	})
}

// A protocol like Logto's: short retries, none of them for what the endpoint
// refuses.
func TestAProtocolJudgesAndSchedules(t *testing.T) {
	schedule := []time.Duration{0, 300 * time.Millisecond, 600 * time.Millisecond}
	tests := map[string]struct {
		responses []hookstest.Response
		attempts  int
		state     hooks.State
	}{
		"success":             {[]hookstest.Response{hookstest.Status(204)}, 1, hooks.Succeeded},
		"refused":             {[]hookstest.Response{hookstest.Status(404)}, 1, hooks.Dead},
		"failing":             {[]hookstest.Response{hookstest.Status(500)}, 3, hooks.Dead},
		"failing for a while": {[]hookstest.Response{hookstest.Status(502), hookstest.Status(500), hookstest.Status(200)}, 3, hooks.Succeeded},
		"failing and refused": {[]hookstest.Response{hookstest.Status(503), hookstest.Status(400)}, 2, hooks.Dead},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := runningHarness(t, speaks(&testProtocol{
					name:   "judging",
					traits: hooks.Traits{Schedule: schedule},
					judge: func(r hooks.Response) hooks.Verdict {
						return hooks.Verdict{Success: r.Status/100 == 2, Permanent: r.Status/100 == 4}
					},
				}))
				r, _ := h.endpoint(hooks.Hook{Events: []string{"*"}, Protocol: "judging"}, tt.responses...)
				h.trigger(hooks.Event{ID: "e", Type: "a"})
				pass(time.Hour)
				assert.Equal(t, tt.state, h.delivery("", "e").State)
				requests := r.Requests()
				require.Len(t, requests, tt.attempts)
				for i := 1; i < len(requests); i++ {
					delay := requests[i].ReceivedAt.Sub(requests[i-1].ReceivedAt)
					assert.GreaterOrEqual(t, delay, schedule[i])
					assert.LessOrEqual(t, delay, schedule[i]*6/5+time.Millisecond)
				}
			})
		})
	}
}

func TestAProtocolDisablesAndThrottles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := runningHarness(t, speaks(&testProtocol{
			name:   "judging",
			traits: hooks.Traits{Schedule: []time.Duration{0, time.Second, time.Second}},
			judge: func(r hooks.Response) hooks.Verdict {
				v := hooks.Verdict{Success: r.Status == 200, Throttle: r.Status == 420}
				if r.Status == 451 {
					v.Disable = "the lawyers say no"
				}
				return v
			},
		}))
		calm, hook := h.endpoint(hooks.Hook{Events: []string{"a"}, Protocol: "judging"}, hookstest.Status(420).Header("Retry-After", "100"), hookstest.Status(200))
		h.trigger(hooks.Event{Type: "a"})
		synctest.Wait()
		assert.Equal(t, time.Now().UTC().Add(100*time.Second), h.hook(hook.Ref()).Health.ThrottledUntil)
		h.trigger(hooks.Event{Type: "a"})
		pass(99 * time.Second)
		assert.Len(t, calm.Requests(), 1)
		pass(time.Minute)
		assert.Len(t, calm.Requests(), 3)

		_, hook = h.endpoint(hooks.Hook{Events: []string{"b"}, Protocol: "judging"}, hookstest.Status(451))
		h.trigger(hooks.Event{ID: "b", Type: "b"})
		synctest.Wait()
		assert.True(t, h.hook(hook.Ref()).Disabled)
		assert.Equal(t, "the lawyers say no", h.hook(hook.Ref()).DisabledReason)
		assert.Equal(t, hooks.Dead, h.delivery("", "b").State)
	})
}

func TestAnyURLIsStoredAndFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := runningHarness(t, speaks(&testProtocol{name: "any", traits: hooks.Traits{AnyURL: true}}))
		for i, text := range []string{"", "not_work_url", "ftp://example.com/a", "/a", "http://", "https://me:s3cr3t@example.com/", "://", "http://exa mple.com"} {
			hook := h.register(hooks.Hook{URL: text, Events: []string{fmt.Sprint(i)}, Protocol: "any"})
			assert.Equal(t, text, h.hook(hook.Ref()).URL)
			h.trigger(hooks.Event{Type: fmt.Sprint(i)})
			synctest.Wait()
			log := h.attempts(hooks.LogQuery{HookID: hook.ID})
			require.Len(t, log, 1, text)
			assert.Equal(t, hooks.ClassRequest, log[0].Class, text)
			assert.NotContains(t, log[0].Error, "s3cr3t")
			assert.NotContains(t, log[0].Request.URL, "s3cr3t")
			assert.Equal(t, hooks.Dead, log[0].State, text)
		}
		r, _ := h.endpoint(hooks.Hook{Events: []string{"good"}, Protocol: "any"})
		h.trigger(hooks.Event{Type: "good"})
		synctest.Wait()
		assert.Len(t, r.Requests(), 1)
	})
}

func TestSecretsOfAnotherForm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const first, second = "0wnS3cretOfTheProtocol", "an0therOne"
		var made atomic.Int32
		var log bytes.Buffer
		sign := func(secret hooks.Secret, body []byte) string {
			mac := hmac.New(sha256.New, []byte(string(secret)))
			mac.Write(body)
			return hex.EncodeToString(mac.Sum(nil))
		}
		h := newHarness(t, func(c *hooks.Config) {
			c.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		}, speaks(&testProtocol{
			name:   "hex",
			secret: func() (hooks.Secret, error) { return []hooks.Secret{first, second}[made.Add(1)-1], nil },
			compile: func(h hooks.Hook) error {
				if len(h.Secrets) == 0 {
					return &hooks.InvalidError{Field: "secrets", Reason: "must not be empty"}
				}
				return nil
			},
			request: func(_ context.Context, _ hooks.Send, h hooks.Hook, msgs []hooks.Message) (hooks.Request, error) {
				req, err := post(h, msgs[0])
				req.Header.Set("X-Signature", sign(h.Secrets[0].Secret, req.Body))
				return req, err
			},
			judge: func(r hooks.Response) hooks.Verdict {
				if r.Status == 410 {
					return hooks.Verdict{Disable: "gone"}
				}
				return hooks.Verdict{Success: r.Status == 200}
			},
		}))
		h.run(h.Manager)
		r, hook := h.endpoint(hooks.Hook{Events: []string{"*"}, Protocol: "hex"}, hookstest.Status(200), hookstest.Status(200), hookstest.Status(410))
		require.Equal(t, []hooks.SigningSecret{{Secret: first}}, hook.Secrets)
		h.trigger(hooks.Event{Type: "a"})
		synctest.Wait()
		rotated, err := h.RotateSecret(t.Context(), "", hook.ID, hooks.Rotation{Overlap: time.Hour})
		require.NoError(t, err)
		assert.Equal(t, []hooks.SigningSecret{{Secret: second}, {Secret: first, ExpiresAt: time.Now().UTC().Add(time.Hour)}}, rotated.Secrets)
		h.trigger(hooks.Event{Type: "a"})
		synctest.Wait()
		h.trigger(hooks.Event{Type: "a"})
		synctest.Wait()
		require.Len(t, r.Requests(), 3)
		assert.Equal(t, sign(first, []byte("{}")), r.Requests()[0].Header.Get("X-Signature"))
		assert.Equal(t, sign(second, []byte("{}")), r.Requests()[1].Header.Get("X-Signature"))

		slog.New(slog.NewTextHandler(&log, nil)).Info("an application may log it", "hook", rotated)
		for _, v := range []any{rotated, &rotated, rotated.Secrets, h.attempts(hooks.LogQuery{}), h.deliveries(hooks.LogQuery{})} {
			_, _ = fmt.Fprintf(&log, "%v %+v %#v %s %q\n", v, v, v, v, v)
			text, err := json.Marshal(v)
			require.NoError(t, err)
			log.Write(text)
		}
		assert.Contains(t, log.String(), hook.ID)
		for _, secret := range []string{first, second} {
			assert.NotContains(t, log.String(), secret)
			assert.NotContains(t, log.String(), hex.EncodeToString([]byte(secret)))
		}
	})
}

// "whsec_" and "whsk_" are kinds of Standard Webhooks. What looks like a prefix
// in a secret of another form is chance, and no reason to go on signing with it.
func TestRotationReplacesSecretsOfAnotherForm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, speaks(&testProtocol{name: "own", secret: func() (hooks.Secret, error) { return "x9_kQ2mB7vLr", nil }}))
		hook := h.register(hooks.Hook{
			URL: "https://example.com", Events: []string{"*"}, Protocol: "own",
			Secrets: []hooks.SigningSecret{{Secret: "f4_Zt81pWcAe"}, {Secret: "plain"}},
		})
		rotated, err := h.RotateSecret(t.Context(), "", hook.ID, hooks.Rotation{Overlap: time.Hour})
		require.NoError(t, err)
		end := time.Now().UTC().Add(time.Hour)
		assert.Equal(t, []hooks.SigningSecret{
			{Secret: "x9_kQ2mB7vLr"}, {Secret: "f4_Zt81pWcAe", ExpiresAt: end}, {Secret: "plain", ExpiresAt: end},
		}, rotated.Secrets)
	})
}

func TestRotationOfAHookWithoutSecrets(t *testing.T) {
	h := newHarness(t, speaks(&testProtocol{name: "unsigned"}))
	hook := h.register(hooks.Hook{URL: "https://example.com", Events: []string{"*"}, Protocol: "unsigned"})
	require.Empty(t, hook.Secrets)
	_, err := h.RotateSecret(t.Context(), "", hook.ID, hooks.Rotation{})
	var invalid *hooks.InvalidError
	assert.ErrorAs(t, err, &invalid, "the protocol does not sign")
	for _, s := range h.hook(hook.Ref()).Secrets {
		assert.NotEmpty(t, string(s.Secret), "an empty secret was stored")
	}
}

func TestAProtocolHasItsOwnFilter(t *testing.T) {
	var failed []string
	h := newHarness(t, speaks(&testProtocol{
		name: "filtering",
		accepts: func(_ context.Context, h hooks.Hook, e *hooks.Event) (bool, error) {
			if e.Type == "odd" {
				return true, errors.New("cannot tell")
			}
			return string(h.Settings) == string(e.Data), nil
		},
	}), func(c *hooks.Config) {
		c.Observer.FilterFailed = func(h hooks.Hook, e hooks.Event, err error) { failed = append(failed, h.ID+" "+err.Error()) }
	})
	for _, id := range []string{"1", "2"} {
		h.register(hooks.Hook{ID: id, URL: "https://example.com", Events: []string{"*"}, Protocol: "filtering", Settings: json.RawMessage(id), Filter: `metadata.all == "yes"`})
	}
	all := map[string]string{"all": "yes"}
	assert.Zero(t, h.trigger(hooks.Event{Type: "a", Data: json.RawMessage("1")}).Deliveries, "the other filter holds as well")
	receipt := h.trigger(hooks.Event{Type: "a", Data: json.RawMessage("1"), Metadata: all})
	assert.Equal(t, 1, receipt.Deliveries)
	assert.Equal(t, "1", h.delivery("", receipt.EventID).HookID)
	assert.Empty(t, failed)
	assert.Zero(t, h.trigger(hooks.Event{Type: "odd", Metadata: all}).Deliveries)
	assert.ElementsMatch(t, []string{"1 cannot tell", "2 cannot tell"}, failed)
}

// Code of the application that panics costs an attempt, or the call it is part of, and
// nothing else.
func TestPanicsOfAProtocolAreContained(t *testing.T) {
	boom := errors.New("boom")
	newProtocol := func(armed *atomic.Bool, where string) *testProtocol {
		bang := func(here string) {
			if armed.Load() && here == where {
				panic(boom)
			}
		}
		return &testProtocol{
			name:    "fragile",
			traits:  hooks.Traits{Schedule: []time.Duration{0, time.Minute}},
			secret:  func() (hooks.Secret, error) { bang("secret"); return "", nil },
			compile: func(hooks.Hook) error { bang("compile"); return nil },
			accepts: func(context.Context, hooks.Hook, *hooks.Event) (bool, error) { bang("accepts"); return true, nil },
			request: func(_ context.Context, _ hooks.Send, h hooks.Hook, msgs []hooks.Message) (hooks.Request, error) {
				bang("request")
				return post(h, msgs[0])
			},
			judge:  func(r hooks.Response) hooks.Verdict { bang("judge"); return hooks.Verdict{Success: r.Status == 200} },
			verify: func(context.Context, hooks.Send, hooks.Hook) error { bang("verify"); return nil },
		}
	}
	in := func(t *testing.T, where string, f func(h *harness, hook hooks.Hook, r *hookstest.Receiver, armed *atomic.Bool)) {
		t.Run(where, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var armed atomic.Bool
				h := runningHarness(t, speaks(newProtocol(&armed, where)))
				r, hook := h.endpoint(hooks.Hook{Events: []string{"*"}, Protocol: "fragile"})
				plain, _ := h.endpoint(hooks.Hook{Events: []string{"*"}})
				armed.Store(true)
				f(h, hook, r, &armed)
				armed.Store(false)
				before := len(plain.Requests())
				assert.Equal(t, 2, h.trigger(hooks.Event{Type: "after"}).Deliveries)
				plain.Wait(before + 1)
			})
		})
	}

	in(t, "compile", func(h *harness, hook hooks.Hook, _ *hookstest.Receiver, _ *atomic.Bool) {
		again := hook
		again.ID = ""
		_, err := h.Register(h.t.Context(), again)
		assert.ErrorContains(h.t, err, "boom")
		_, err = h.Test(h.t.Context(), again, hooks.Event{Type: "a"})
		assert.ErrorContains(h.t, err, "boom")
		_, err = h.Update(h.t.Context(), "", hook.ID, func(hook *hooks.Hook) error { hook.Name = "x"; return nil })
		assert.ErrorContains(h.t, err, "boom")
		assert.Equal(h.t, hook, h.hook(hook.Ref()))
		page, err := h.Hooks(h.t.Context(), hooks.HookQuery{})
		require.NoError(h.t, err)
		assert.Len(h.t, page.Items, 2)
	})
	in(t, "secret", func(h *harness, hook hooks.Hook, _ *hookstest.Receiver, _ *atomic.Bool) {
		hook.ID = ""
		assert.NotPanics(h.t, func() {
			_, err := h.Register(h.t.Context(), hook)
			assert.ErrorContains(h.t, err, "boom")
		})
	})
	for _, where := range []string{"request", "judge"} {
		in(t, where, func(h *harness, hook hooks.Hook, _ *hookstest.Receiver, armed *atomic.Bool) {
			h.trigger(hooks.Event{ID: "e", Type: "a"})
			synctest.Wait()
			log := h.attempts(hooks.LogQuery{HookID: hook.ID})
			require.Len(h.t, log, 1)
			assert.Equal(h.t, hooks.ClassRequest, log[0].Class)
			assert.Contains(h.t, log[0].Error, "boom")
			assert.NotContains(h.t, log[0].Error, "goroutine")
			assert.Equal(h.t, hooks.Pending, log[0].State, "it is tried again")
			assert.Equal(h.t, 1, h.hook(hook.Ref()).Health.Failures)
			attempts, err := h.Test(h.t.Context(), hook, hooks.Event{Type: "a"})
			require.NoError(h.t, err)
			assert.Equal(h.t, hooks.ClassRequest, attempts[0].Class)
			armed.Store(false)
			pass(time.Hour)
			assert.Equal(h.t, hooks.Succeeded, h.deliveries(hooks.LogQuery{HookID: hook.ID})[0].State)
		})
	}
	in(t, "accepts", func(h *harness, hook hooks.Hook, r *hookstest.Receiver, _ *atomic.Bool) {
		assert.Equal(h.t, 1, h.trigger(hooks.Event{Type: "a"}).Deliveries, "only the other hook's")
		synctest.Wait()
		assert.Empty(h.t, r.Requests())
	})
	in(t, "verify", func(h *harness, hook hooks.Hook, _ *hookstest.Receiver, _ *atomic.Bool) {
		_, err := h.Verify(h.t.Context(), "", hook.ID)
		assert.ErrorContains(h.t, err, "boom")
		assert.False(h.t, h.hook(hook.Ref()).Verified)
	})
}

// A hook may have been stored by another release, whose Compile panics here.
func TestAStoredHookThatDoesNotCompile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fragile := &testProtocol{name: "fragile", traits: hooks.Traits{Schedule: []time.Duration{0, time.Minute, time.Minute}}}
		h := newHarness(t, speaks(fragile))
		r, hook := h.endpoint(hooks.Hook{Events: []string{"*"}, Protocol: "fragile"})
		plain, _ := h.endpoint(hooks.Hook{Events: []string{"*"}})
		h.trigger(hooks.Event{ID: "e1", Type: "a"})

		var failed []string
		broken := &testProtocol{name: "fragile", compile: func(hooks.Hook) error { panic("boom") }}
		h.Manager = h.manager(h.store, speaks(broken), func(c *hooks.Config) {
			c.Observer.FilterFailed = func(h hooks.Hook, e hooks.Event, err error) { failed = append(failed, h.ID) }
		})
		h.run(h.Manager)
		synctest.Wait()
		h.trigger(hooks.Event{ID: "e2", Type: "a"})
		pass(time.Minute)
		log := h.attempts(hooks.LogQuery{HookID: hook.ID, EventID: "e1"})
		require.NotEmpty(t, log)
		assert.Equal(t, hooks.ClassRequest, log[0].Class)
		assert.Contains(t, log[0].Error, "boom")
		assert.Empty(t, r.Requests())
		assert.Equal(t, []string{"e1", "e2"}, receivedIDs(plain))
		if len(h.deliveries(hooks.LogQuery{HookID: hook.ID, EventID: "e2"})) == 0 {
			assert.Equal(t, []string{hook.ID}, failed, "an event that is not delivered is told of")
		}
	})
}

func TestAProtocolThatIsNoLongerSpoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old := speaks(&testProtocol{name: "old"})
		h := newHarness(t, old)
		stop := h.run(h.Manager)
		r, hook := h.endpoint(hooks.Hook{Events: []string{"*"}, Protocol: "old", Schedule: []time.Duration{0, time.Hour}}, hookstest.Status(500), hookstest.Status(200))
		plain, _ := h.endpoint(hooks.Hook{Events: []string{"*"}})
		h.trigger(hooks.Event{ID: "tried", Type: "a"})
		synctest.Wait()
		stop()
		h.trigger(hooks.Event{ID: "new", Type: "a"})

		var failed []string
		h.Manager = h.manager(h.store, func(c *hooks.Config) {
			c.Observer.FilterFailed = func(h hooks.Hook, _ hooks.Event, err error) { failed = append(failed, h.ID) }
		})
		stop = h.run(h.Manager)
		synctest.Wait()
		log := h.attempts(hooks.LogQuery{HookID: hook.ID, EventID: "new"})
		require.Len(t, log, 1)
		assert.Equal(t, hooks.ClassRequest, log[0].Class)
		assert.Contains(t, log[0].Error, `"old"`)
		d := h.deliveries(hooks.LogQuery{HookID: hook.ID, EventID: "new"})[0]
		assert.Equal(t, hooks.Pending, d.State)
		assert.Equal(t, log[0].Error, d.Reason)

		h.trigger(hooks.Event{ID: "later", Type: "a"})
		assert.Equal(t, []string{"tried", "new", "later"}, requestIDs(plain.Wait(3)), "the others go on")
		if len(h.deliveries(hooks.LogQuery{HookID: hook.ID, EventID: "later"})) == 0 {
			assert.Equal(t, []string{hook.ID}, failed, "an event that is not delivered is told of")
		}
		_, err := h.Test(t.Context(), h.hook(hook.Ref()), hooks.Event{Type: "a"})
		var invalid *hooks.InvalidError
		require.ErrorAs(t, err, &invalid)
		assert.Equal(t, "protocol", invalid.Field)
		_, err = h.Verify(t.Context(), "", hook.ID)
		require.ErrorAs(t, err, &invalid)
		_, err = h.RotateSecret(t.Context(), "", hook.ID, hooks.Rotation{})
		require.ErrorAs(t, err, &invalid)

		// With the protocol back, what waits is delivered.
		stop()
		h.run(h.manager(h.store, old))
		pass(3 * time.Hour)
		assert.Equal(t, hooks.Succeeded, h.deliveries(hooks.LogQuery{HookID: hook.ID, EventID: "new"})[0].State)
		assert.Contains(t, receivedIDs(r), "new")
	})
}

func requestIDs(list []hookstest.Request) []string {
	ids := make([]string, len(list))
	for i, r := range list {
		ids[i] = r.ID
	}
	return ids
}

func TestRequestsThatCannotBeMade(t *testing.T) {
	tests := map[string]func(*hooks.Request){
		"method":           func(r *hooks.Request) { r.Method = "PO ST" },
		"header name":      func(r *hooks.Request) { r.Header = http.Header{"X Key": {"1"}} },
		"header value":     func(r *hooks.Request) { r.Header = http.Header{"X-Key": {"1\r\nX-Other: 2"}} },
		"URL":              func(r *hooks.Request) { r.URL = nil },
		"relative URL":     func(r *hooks.Request) { r.URL = &url.URL{Path: "/a"} },
		"URL without host": func(r *hooks.Request) { r.URL = &url.URL{Scheme: "http", Path: "/a"} },
		"other scheme":     func(r *hooks.Request) { r.URL = &url.URL{Scheme: "gopher", Host: "receiver-1.example"} },
		"userinfo":         func(r *hooks.Request) { r.URL.User = url.UserPassword("me", "s3cr3t") },
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, speaks(&testProtocol{
				name: "odd",
				request: func(_ context.Context, _ hooks.Send, h hooks.Hook, msgs []hooks.Message) (hooks.Request, error) {
					req, err := post(h, msgs[0])
					spoil(&req)
					return req, err
				},
			}))
			r := h.receiver()
			attempts, err := h.Test(t.Context(), hooks.Hook{URL: r.URL, Events: []string{"*"}, Protocol: "odd"}, hooks.Event{Type: "a"})
			require.NoError(t, err)
			assert.Equal(t, hooks.ClassRequest, attempts[0].Class, attempts[0].Error)
			assert.NotContains(t, attempts[0].Error+attempts[0].Request.URL, "s3cr3t")
			assert.Empty(t, r.Requests())
		})
	}
}

func TestARequestNeedsOnlyAURL(t *testing.T) {
	h := newHarness(t, speaks(&testProtocol{
		name: "bare",
		request: func(_ context.Context, _ hooks.Send, h hooks.Hook, _ []hooks.Message) (hooks.Request, error) {
			u, err := url.Parse(h.URL)
			return hooks.Request{URL: u}, err
		},
	}))
	r := h.receiver()
	attempts, err := h.Test(t.Context(), hooks.Hook{URL: r.URL, Events: []string{"*"}, Protocol: "bare"}, hooks.Event{Type: "a"})
	require.NoError(t, err)
	assert.Equal(t, hooks.Succeeded, attempts[0].State, attempts[0].Error)
	require.Len(t, r.Requests(), 1)
	assert.Equal(t, "POST", r.Requests()[0].Method)
}

func TestResponsesAreBoundedByTheProtocol(t *testing.T) {
	for _, tt := range []struct {
		limit, size, seen, logged int
	}{
		{0, 16 << 10, 16 << 10, 16 << 10},
		{0, 16<<10 + 1, 16 << 10, 16 << 10},
		{4, 5, 4, 4},
		{4, 4, 4, 4},
		{20 << 10, 30 << 10, 20 << 10, 16 << 10}, // the log keeps 16 KiB of any response
	} {
		var seen hooks.Response
		h := newHarness(t, speaks(&testProtocol{
			name: "bounded",
			request: func(_ context.Context, _ hooks.Send, h hooks.Hook, msgs []hooks.Message) (hooks.Request, error) {
				req, err := post(h, msgs[0])
				req.MaxResponse = tt.limit
				return req, err
			},
			judge: func(r hooks.Response) hooks.Verdict { seen = r; return hooks.Verdict{Success: true} },
		}))
		r := h.receiver(hookstest.Status(200).LargeBody(int64(tt.size)))
		attempts, err := h.Test(t.Context(), hooks.Hook{URL: r.URL, Events: []string{"*"}, Protocol: "bounded"}, hooks.Event{Type: "a"})
		require.NoError(t, err)
		assert.Nil(t, seen.Err)
		assert.Len(t, seen.Body, tt.seen)
		assert.Equal(t, tt.seen < tt.size, seen.Truncated)
		assert.Len(t, attempts[0].Response.Body, tt.logged)
		assert.Equal(t, tt.logged < tt.size, attempts[0].Response.Truncated)
	}
}

// A protocol may leave Err out when Class says it all.
func TestAnAttemptErrorWithoutCauseHasAText(t *testing.T) {
	assert.NotPanics(t, func() {
		assert.NotEmpty(t, (&hooks.AttemptError{Class: hooks.ClassTimeout}).Error())
	})
}

func TestAManagerSpeaksSeveralProtocols(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		spoken := map[string]int{}
		speaker := func(name string) *testProtocol {
			return &testProtocol{name: name, request: func(_ context.Context, _ hooks.Send, h hooks.Hook, msgs []hooks.Message) (hooks.Request, error) {
				mu.Lock()
				defer mu.Unlock()
				spoken[name]++
				return post(h, msgs[0])
			}}
		}
		protocols := []hooks.Protocol{speaker("one"), speaker("two")}
		h := &harness{t: t, check: t, store: memory.New(memory.Options{}), network: new(hookstest.Network)}
		h.Manager = h.manager(h.store, speaks(protocols...))
		protocols[1] = speaker("three") // New copies its configuration
		h.run(h.Manager)
		two, ok := h.Protocol("two")
		assert.True(t, ok)
		assert.Equal(t, "two", two.Name())
		_, ok = h.Protocol("three")
		assert.False(t, ok)
		for _, name := range []string{"one", "two", ""} {
			_, hook := h.endpoint(hooks.Hook{Events: []string{"*"}, Protocol: name})
			assert.Equal(t, cmp.Or(name, hooks.StandardWebhooks), hook.Protocol)
		}
		h.trigger(hooks.Event{Type: "a"})
		synctest.Wait()
		assert.Len(t, h.deliveries(hooks.LogQuery{States: []hooks.State{hooks.Succeeded}}), 3)
		assert.Equal(t, []string{"one", "two"}, slices.Sorted(maps.Keys(spoken)))
	})
}
