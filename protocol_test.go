package hooks_test

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
	"github.com/seed-2c6e3a5a/hooks/memory"
)

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

// The protocol of ExampleProtocol, tested as docs/testing.md shows.
func TestChat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		harness := hookstest.New(t, func(c *hooks.Config) { c.Protocols = []hooks.Protocol{chat{}} })
		team := harness.EndpointFor(hooks.Hook{Protocol: "chat", Events: []string{"deploy.*"}})
		team.Respond(hookstest.Status(429).Header("Retry-After", "60"), hookstest.Status(200))
		_, err := harness.Manager.Trigger(t.Context(), hooks.Event{Type: "deploy.done", Data: []byte(`"v1.2.0"`)})
		if err != nil {
			t.Fatal(err)
		}
		if got := team.Settle(); len(got) != 1 || got[0].State != hooks.Succeeded || got[0].Attempts != 2 {
			t.Errorf("got %+v", got)
		}
		for _, r := range team.Requests() {
			if string(r.Body) != `deploy.done: "v1.2.0"` {
				t.Errorf("got %s", r.Body)
			}
		}
	})
}
