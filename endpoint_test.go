package hooks_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
	"github.com/seed-2c6e3a5a/hooks/memory"
)

// What endpoints do to us, on real TCP and, where time matters, in memory with
// virtual time.

// inTwoHours responds with a Retry-After date of two hours from now.
func inTwoHours(status int) hookstest.Response {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", time.Now().UTC().Add(2*time.Hour).Format(http.TimeFormat))
		w.WriteHeader(status)
	}
}

// An endpointTest says what an endpoint does and what one attempt makes of it.
type endpointTest struct {
	endpoint func(t *testing.T) (url string)
	// timeout is the hook's; 0 is the default one.
	timeout time.Duration

	status int
	class  hooks.ErrorClass // empty: success
	// body is how many bytes of the response are kept.
	body      int
	truncated bool
	// throttled and disabled say what becomes of the hook.
	throttled, disabled bool
}

func endpointTests() map[string]endpointTest {
	const (
		status   = hooks.ClassStatus
		redirect = hooks.ClassRedirect
		timeout  = hooks.ClassTimeout
	)
	plain := func(code int) func(*testing.T) string { return responding(hookstest.Status(code)) }
	tooLong := "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20) + "\r\n\r\n"
	return map[string]endpointTest{
		"200":           {endpoint: plain(200), status: 200},
		"204":           {endpoint: plain(204), status: 204},
		"200 and words": {endpoint: responding(hookstest.Status(200).Body("thanks")), status: 200, body: 6},
		"301":           {endpoint: redirecting(301), status: 301, class: redirect},
		"302":           {endpoint: redirecting(302), status: 302, class: redirect},
		"307":           {endpoint: redirecting(307), status: 307, class: redirect},
		"304":           {endpoint: plain(304), status: 304, class: redirect},
		"400":           {endpoint: responding(hookstest.Status(400).Body("what?")), status: 400, class: status, body: 5},
		"404":           {endpoint: plain(404), status: 404, class: status},
		"410":           {endpoint: plain(410), status: 410, class: status, disabled: true},
		"413":           {endpoint: plain(413), status: 413, class: status},
		"429":           {endpoint: plain(429), status: 429, class: status, throttled: true},
		"500":           {endpoint: plain(500), status: 500, class: status},
		"502":           {endpoint: plain(502), status: 502, class: status, throttled: true},
		"503":           {endpoint: plain(503), status: 503, class: status},
		"504":           {endpoint: plain(504), status: 504, class: status, throttled: true},
		"429 with Retry-After in seconds": {
			endpoint: responding(hookstest.Status(429).Header("Retry-After", "7200")),
			status:   429, class: status, throttled: true,
		},
		"429 with Retry-After as a date": {endpoint: responding(inTwoHours(429)), status: 429, class: status, throttled: true},
		"503 with Retry-After in seconds": {
			endpoint: responding(hookstest.Status(503).Header("Retry-After", "7200")),
			status:   503, class: status, throttled: true,
		},
		"503 with Retry-After as a date": {endpoint: responding(inTwoHours(503)), status: 503, class: status, throttled: true},
		"Retry-After sooner than the schedule": {
			endpoint: responding(hookstest.Status(500).Header("Retry-After", "1")),
			status:   500, class: status,
		},

		"silence before the headers": {endpoint: responding(hookstest.Hang()), timeout: impatience, class: timeout},
		"silence in the headers": {
			endpoint: rawEndpoint("HTTP/1.1 200 OK\r\nServer: s", true), timeout: impatience, class: timeout,
		},
		"silence in the body": {
			endpoint: responding(hookstest.Status(200).Body("well").ThenHang()),
			timeout:  time.Second, // enough for the headers, on a busy machine too
			status:   200, class: timeout, body: 4,
		},
		"silence in the TLS handshake": {
			endpoint: func(t *testing.T) string {
				return strings.Replace(listenRaw(t, func(net.Conn) {}), "http:", "https:", 1)
			},
			timeout: impatience, class: timeout,
		},

		"a body of 16 KiB": {
			endpoint: responding(hookstest.Status(200).LargeBody(responseLimit)), status: 200, body: responseLimit,
		},
		"a body of 16 KiB and a byte": {
			endpoint: responding(hookstest.Status(200).LargeBody(responseLimit + 1)),
			status:   200, body: responseLimit, truncated: true,
		},
		"a body of 100 MB": {
			endpoint: bounded(hookstest.Status(200).LargeBody(100<<20), hookstest.NewReceiver),
			status:   200, body: responseLimit, truncated: true,
		},
		"a body of 100 MB, announced": {
			endpoint: bounded(hookstest.Status(200).LargeBody(100<<20).Header("Content-Length", strconv.Itoa(100<<20)), hookstest.NewReceiver),
			status:   200, body: responseLimit, truncated: true,
		},
		"an endless body": {
			endpoint: bounded(hookstest.Status(200).EndlessBody(0), hookstest.NewReceiver),
			status:   200, body: responseLimit, truncated: true,
		},
		"an endless body over TLS": {
			endpoint: bounded(hookstest.Status(200).EndlessBody(0), hookstest.NewTLSReceiver),
			status:   200, body: responseLimit, truncated: true,
		},
		"an endless body of a failure": {
			endpoint: bounded(hookstest.Status(500).EndlessBody(0), hookstest.NewReceiver),
			status:   500, class: status, body: responseLimit, truncated: true,
		},

		"a reset":              {endpoint: responding(hookstest.Reset()), class: hooks.ClassConnect},
		"an end without words": {endpoint: rawEndpoint("", false), class: hooks.ClassConnect},
		"a reset in the body": {
			endpoint: responding(hookstest.Status(200).Body("we").ThenReset()),
			status:   200, class: hooks.ClassBody, body: 2,
		},
		"an end before that of the body": {
			endpoint: rawEndpoint("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nwell", false),
			status:   200, class: hooks.ClassBody, body: 4,
		},
		"a body with a broken chunk": {
			endpoint: rawEndpoint("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwell\r\nnot hex\r\n", false),
			status:   200, class: hooks.ClassBody, body: 4,
		},

		"bytes that are not HTTP": {endpoint: responding(hookstest.Garbage()), class: hooks.ClassHTTP},
		"a greeting that is not HTTP": {
			endpoint: func(t *testing.T) string {
				return listenRaw(t, func(c net.Conn) { _, _ = io.WriteString(c, "220 mail.example.com ESMTP\r\n") })
			},
			class: hooks.ClassHTTP,
		},
		"a long line that is not HTTP": {
			endpoint: rawEndpoint(strings.Repeat("x", 32<<10)+"\r\n", false), class: hooks.ClassHTTP,
		},
		"a header that no store could keep": {
			endpoint: rawEndpoint("HTTP/1.1 200 OK\r\nX: a\x00b\xffc\r\n\r\n", false), class: hooks.ClassHTTP,
		},
		"1 MB of headers":    {endpoint: responding(hookstest.Status(200).HugeHeader()), class: hooks.ClassHTTP},
		"one header of 1 MB": {endpoint: rawEndpoint(tooLong, true), class: hooks.ClassHTTP},
		"many provisional responses": {
			endpoint: rawEndpoint(strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n", 20_000), true),
			class:    hooks.ClassHTTP,
		},

		"HTTP/2": {
			endpoint: speakingHTTP2(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(202) }), status: 202,
		},
		"HTTP/2, silence": {
			endpoint: speakingHTTP2(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }),
			timeout:  impatience, class: timeout,
		},
		"HTTP/2, an endless body": {
			endpoint: speakingHTTP2(http.HandlerFunc(hookstest.Status(200).EndlessBody(0))),
			status:   200, body: responseLimit, truncated: true,
		},
		"HTTP/2, 1 MB of headers": {
			endpoint: speakingHTTP2(http.HandlerFunc(hookstest.Status(200).HugeHeader())), class: hooks.ClassHTTP,
		},

		"TLS": {endpoint: func(t *testing.T) string { return hookstest.NewTLSReceiver(t).URL }, status: 200},
		"a certificate of an unknown authority": {
			endpoint: withTLS(func(t *testing.T) *tls.Config {
				return &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}}
			}),
			class: hooks.ClassTLS,
		},
		"a certificate for another name": {
			endpoint: func(t *testing.T) string { return "https://other.test" + port(hookstest.NewTLSReceiver(t).URL) },
			class:    hooks.ClassTLS,
		},
		"TLS of a version that is too old": {
			endpoint: withTLS(func(*testing.T) *tls.Config {
				return &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
			}),
			class: hooks.ClassTLS,
		},
		"no TLS where it is expected": {
			endpoint: func(t *testing.T) string {
				return strings.Replace(hookstest.NewReceiver(t).URL, "http:", "https:", 1)
			},
			class: hooks.ClassTLS,
		},

		"a name": {
			endpoint: func(t *testing.T) string { return "http://other.test" + port(hookstest.NewReceiver(t).URL) }, status: 200,
		},
		"a name that does not resolve": {
			endpoint: func(*testing.T) string { return "http://nowhere.test" }, class: hooks.ClassDNS,
		},
		"a name server that fails": {
			endpoint: func(*testing.T) string { return "http://broken.test" }, class: hooks.ClassDNS,
		},
		"a name server that is silent": {
			endpoint: func(*testing.T) string { return "http://silent.test" }, timeout: impatience, class: timeout,
		},
		"a name of an address that the policy forbids": {
			endpoint: func(*testing.T) string { return "http://inside.test" }, class: hooks.ClassDNS,
		},
		"a connection that is refused": {
			endpoint: func(t *testing.T) string {
				r := hookstest.NewReceiver(t)
				r.Close()
				return r.URL
			},
			class: hooks.ClassConnect,
		},
	}
}

func TestEndpoints(t *testing.T) {
	// The second attempt is due in a minute.
	schedules := map[string][]time.Duration{"last attempt": {0}, "first attempt": {0, time.Minute}}
	for name, tt := range endpointTests() {
		for which, schedule := range schedules {
			t.Run(name+"/"+which, func(t *testing.T) { tt.run(t, schedule) })
		}
	}
}

func (tt endpointTest) run(t *testing.T, schedule []time.Duration) {
	w := loopbackHarness(t)
	h, err := w.Register(t.Context(), hooks.Hook{
		Events: []string{"*"}, URL: tt.endpoint(t) + "/in?key=1", Schedule: schedule, Timeout: tt.timeout,
	})
	require.NoError(t, err)
	before := time.Now().Truncate(time.Millisecond)
	_, err = w.Trigger(t.Context(), hooks.Event{ID: "e1", Type: "order.paid"})
	require.NoError(t, err)
	got := next(t, w.observed, "the attempt")

	a := got.attempt
	assert.Equal(t, tt.class, a.Class, a.Error)
	assert.Equal(t, tt.status, a.Response.Status)
	assert.Len(t, a.Response.Body, tt.body)
	assert.Equal(t, tt.truncated, a.Response.Truncated)
	assert.Equal(t, "e1", a.EventID)
	assert.Equal(t, 1, a.Number)
	assert.False(t, a.StartedAt.Before(before))
	tt.checkError(t, a)

	retried := tt.class != "" && !tt.disabled && len(schedule) > 1
	want := hooks.Dead
	switch {
	case tt.class == "":
		want = hooks.Succeeded
	case retried:
		want = hooks.Pending
	}
	assert.Equal(t, want, a.State)
	if retried {
		checkNextAt(t, a, schedule[1])
	} else {
		assert.Zero(t, a.NextAt)
	}
	tt.checkStored(t, w, got)
	tt.checkHook(t, w, h, a)
}

// checkError checks that the error can be stored, and shown to the owner of the
// endpoint.
func (tt endpointTest) checkError(t *testing.T, a hooks.Attempt) {
	if tt.class == "" {
		assert.Empty(t, a.Error)
		return
	}
	assert.NotEmpty(t, a.Error)
	assert.True(t, utf8.ValidString(a.Error), "%q", a.Error)
	assert.NotContains(t, a.Error, "\x00")
	assert.NotContains(t, a.Error, "127.0.0.1", "an address of the application's network")
	assert.LessOrEqual(t, len(a.Error), responseLimit, "an endpoint can fill the log by its errors")
}

// checkNextAt checks that the next attempt follows after the schedule's delay,
// lengthened by at most a fifth, or after Retry-After if that is later.
func checkNextAt(t *testing.T, a hooks.Attempt, delay time.Duration) {
	t.Helper()
	// The attempt ended between these two. Times are kept in milliseconds, so
	// each may be off by one.
	began, ended := a.StartedAt, a.StartedAt.Add(a.Duration+2*time.Millisecond)
	earliest, latest := began.Add(delay), ended.Add(delay+delay/5)
	if value := a.Response.Header.Get("Retry-After"); value != "" {
		asked, err := http.ParseTime(value)
		if seconds, numErr := strconv.Atoi(value); numErr == nil {
			asked, err = began.Add(time.Duration(seconds)*time.Second), nil
		}
		require.NoError(t, err)
		if asked.After(earliest) {
			earliest = asked
		}
		// Rounded up to a second, counted from the end of the attempt.
		if asked = asked.Add(ended.Sub(began) + time.Second); asked.After(latest) {
			latest = asked
		}
	}
	assert.False(t, a.NextAt.Before(earliest), "next at %v, want %v or later", a.NextAt, earliest)
	assert.False(t, a.NextAt.After(latest), "next at %v, want %v or earlier", a.NextAt, latest)
}

// checkStored checks that the store holds what the observer was called with.
func (tt endpointTest) checkStored(t *testing.T, w *harness, got observed) {
	deliveries, err := w.Deliveries(t.Context(), hooks.LogQuery{})
	require.NoError(t, err)
	require.Len(t, deliveries.Items, 1)
	d := deliveries.Items[0]
	assert.Equal(t, got.delivery.ID, d.ID)
	assert.Equal(t, got.attempt.State, d.State)
	assert.Equal(t, got.attempt.State, got.delivery.State)
	assert.Equal(t, got.attempt.NextAt, d.Due)
	assert.Equal(t, got.attempt.Error, d.Reason)
	assert.Equal(t, 1, d.Attempts)
	assert.Equal(t, d.State.Ended(), !d.EndedAt.IsZero())

	assert.Equal(t, got.attempt, onlyAttempt(t, w.Manager))
	assert.Equal(t, http.MethodPost, got.attempt.Request.Method)
	assert.NotContains(t, got.attempt.Request.URL, "key=1", "the query may hold a credential")
}

// checkHook checks the health of the hook, and whether it is disabled.
func (tt endpointTest) checkHook(t *testing.T, w *harness, h hooks.Hook, a hooks.Attempt) {
	if tt.disabled {
		assert.NotEmpty(t, next(t, w.disabled, "the hook to be disabled").DisabledReason)
	}
	h, err := w.Hook(t.Context(), h.Tenant, h.ID)
	require.NoError(t, err)
	assert.Equal(t, tt.disabled, h.Disabled)
	assert.Equal(t, tt.disabled, h.DisabledReason != "")
	if tt.class == "" {
		assert.Equal(t, hooks.Health{}, h.Health)
		return
	}
	assert.Equal(t, 1, h.Health.Failures)
	assert.False(t, h.Health.FailingSince.Before(a.StartedAt))
	assert.Equal(t, tt.throttled, !h.Health.ThrottledUntil.IsZero())
	if tt.throttled {
		assert.True(t, h.Health.ThrottledUntil.After(a.StartedAt))
		if a.Response.Header.Get("Retry-After") != "" {
			assert.False(t, h.Health.ThrottledUntil.Before(a.StartedAt.Add(2*time.Hour-time.Second)))
		}
	}
}

// A 101 gives the connection to a client that asked for another protocol. This one did not.
func TestAnEndpointCannotSwitchProtocols(t *testing.T) {
	w := loopbackHarness(t)
	url := rawEndpoint("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n", true)(t)
	_, err := w.Register(t.Context(), hooks.Hook{
		Events: []string{"*"}, URL: url, Schedule: []time.Duration{0}, Timeout: impatience,
	})
	require.NoError(t, err)
	_, err = w.Trigger(t.Context(), hooks.Event{Type: "order.paid"})
	require.NoError(t, err)
	got := next(t, w.observed, "the end of the attempt")
	assert.Equal(t, hooks.Dead, got.attempt.State)
	assert.NotEmpty(t, got.attempt.Class)
}

func TestAnAddressThatThePolicyForbidsIsNoHooksURL(t *testing.T) {
	w := loopbackHarness(t)
	for _, url := range []string{"http://10.0.0.1", "http://[::1]", "http://169.254.169.254/latest", "http://[::ffff:10.0.0.1]"} {
		_, err := w.Register(t.Context(), hooks.Hook{Events: []string{"*"}, URL: url})
		var invalid *hooks.InvalidError
		require.ErrorAs(t, err, &invalid, url)
		assert.Equal(t, "url", invalid.Field)
	}
}

// After a 410 nothing more is sent: what is waiting is cancelled when it falls
// due, and further events do not reach the hook.
func TestAnEndpointThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var disabled []hooks.Hook
		harness := hookstest.New(t, func(c *hooks.Config) {
			c.Observer.HookDisabled = func(h hooks.Hook) { disabled = append(disabled, h) }
		})
		e := harness.Endpoint("*")
		e.Respond(hookstest.Status(500), hookstest.Status(410))
		for _, id := range []string{"waiting", "last"} {
			triggerIDs(t, harness.Manager, id)
			synctest.Wait()
		}

		require.Len(t, disabled, 1)
		h, err := harness.Manager.Hook(t.Context(), "", e.Hook.ID)
		require.NoError(t, err)
		assert.True(t, h.Disabled)
		assert.NotEmpty(t, h.DisabledReason)
		assert.Equal(t, h.DisabledReason, disabled[0].DisabledReason)
		receipt, err := harness.Manager.Trigger(t.Context(), hooks.Event{Type: "order.paid"})
		require.NoError(t, err)
		assert.Zero(t, receipt.Deliveries)

		settled := e.Settle()
		require.Len(t, settled, 2)
		for _, d := range settled {
			assert.NotEmpty(t, d.Reason)
			assert.Equal(t, 1, d.Attempts)
			assert.Equal(t, map[string]hooks.State{"waiting": hooks.Cancelled, "last": hooks.Dead}[d.EventID], d.State)
			_, err = harness.Manager.Redeliver(t.Context(), "", d.ID)
			require.NoError(t, err)
		}
		for _, d := range e.Settle() {
			assert.Equal(t, hooks.Cancelled, d.State)
			assert.NotEmpty(t, d.Reason)
			assert.Equal(t, 1, d.Attempts)
		}
		assert.Len(t, e.Requests(), 2)
		assert.Len(t, disabled, 1)
	})
}

// slowStore takes its time to change a hook.
type slowStore struct{ hooks.Store }

func (s slowStore) UpdateHook(ctx context.Context, h hooks.Hook) error {
	time.Sleep(time.Second)
	return s.Store.UpdateHook(ctx, h)
}

func TestNothingIsSentWhileAHookIsBeingDisabled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network hookstest.Network
		m := newManager(t, slowStore{memory.New(memory.Options{})}, &network)
		r := network.Receiver(t, "shop.example", hookstest.Status(410))
		_, err := m.Register(t.Context(), hooks.Hook{Events: []string{"*"}, URL: r.URL, MaxInFlight: 1})
		require.NoError(t, err)
		start(t, m)
		triggerIDs(t, m, numbered("e", 100)...)
		time.Sleep(time.Minute)
		assert.Less(t, len(r.Requests()), 10, "the first response was 410")
	})
}

// The time of an attempt is bounded exactly, whatever the endpoint is slow at.
func TestSilenceEndsWithTheTimeout(t *testing.T) {
	const timeout = 15 * time.Second // the default
	dribble := func(text string, pause time.Duration) func(net.Conn) {
		return func(c net.Conn) {
			readRequest(c)
			for i := 0; ; i++ {
				if _, err := io.WriteString(c, text[i%len(text):][:1]); err != nil {
					return
				}
				time.Sleep(pause)
			}
		}
	}
	ok := hookstest.Status(200)
	tests := map[string]struct {
		response hookstest.Response
		raw      func(net.Conn) // in place of response
		timeout  time.Duration  // the hook's
		data     string
		// The rest is what is wanted.
		success bool
		status  int
		body    int
		took    time.Duration
	}{
		"before the headers":                    {response: hookstest.Hang(), took: timeout},
		"before the headers, a timeout of 30 s": {response: hookstest.Hang(), timeout: 30 * time.Second, took: 30 * time.Second},
		"before the headers, a timeout of 1 ms": {response: hookstest.Hang(), timeout: time.Millisecond, took: time.Millisecond},
		"before the request was read": {
			raw: func(net.Conn) {}, data: `"` + strings.Repeat("x", 200<<10) + `"`, took: timeout,
		},
		"headers byte by byte": {
			raw: dribble("HTTP/1.1 200 OK\r\nX-Padding: xxxxxxxxxxxxxxxx", time.Second), took: timeout,
		},
		"provisional responses without end": {
			raw: dribble("HTTP/1.1 103 Early Hints\r\n\r\n", 10*time.Millisecond), took: timeout,
		},
		"in the body":       {response: ok.Body("well").ThenHang(), status: 200, body: 4, took: timeout},
		"a body bit by bit": {response: ok.EndlessBody(1100 * time.Millisecond), status: 200, body: 14 << 10, took: timeout},
		"a long body in time": {
			response: ok.EndlessBody(100 * time.Millisecond), success: true, status: 200, body: responseLimit, took: 1600 * time.Millisecond,
		},
		"a response just in time": {
			response: ok.After(timeout - time.Millisecond), success: true, status: 200, took: timeout - time.Millisecond,
		},
		"a response too late": {response: ok.After(timeout + time.Millisecond), took: timeout},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				harness := hookstest.New(t)
				e := harness.EndpointFor(hooks.Hook{Events: []string{"*"}, Timeout: tt.timeout, Schedule: []time.Duration{0, time.Minute}})
				e.Respond(tt.response)
				if tt.raw != nil {
					e.Close()
					serveRaw(t, harness.Network.Listen(strings.TrimPrefix(e.URL, "http://")), tt.raw)
				}
				synctest.Wait() // Run is waiting for work
				start := time.Now()
				_, err := harness.Manager.Trigger(t.Context(), hooks.Event{Type: "order.paid", Data: []byte(tt.data)})
				require.NoError(t, err)
				time.Sleep(50 * time.Second) // less than until the second attempt
				synctest.Wait()

				a := onlyAttempt(t, harness.Manager)
				assert.Equal(t, tt.took, a.Duration)
				assert.Equal(t, tt.status, a.Response.Status)
				assert.Len(t, a.Response.Body, tt.body)
				if tt.success {
					assert.Equal(t, hooks.Succeeded, a.State)
					return
				}
				assert.Equal(t, hooks.ClassTimeout, a.Class)
				assert.Equal(t, hooks.Pending, a.State)
				pause := a.NextAt.Sub(start.Add(tt.took))
				assert.GreaterOrEqual(t, pause, time.Minute)
				assert.LessOrEqual(t, pause, time.Minute*6/5+time.Millisecond)
			})
		})
	}
}

// onlyAttempt returns the only attempt of the tenant "".
func onlyAttempt(t *testing.T, m *hooks.Manager) hooks.Attempt {
	t.Helper()
	attempts, err := m.Logs(t.Context(), hooks.LogQuery{})
	require.NoError(t, err)
	require.Len(t, attempts.Items, 1)
	return attempts.Items[0]
}

// A host that swallows connections, as a firewall does, costs a timeout too.
func TestConnectingEndsWithTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		harness := hookstest.New(t)
		l := harness.Network.Listen("firewalled.example") // nobody accepts
		defer func() { assert.NoError(t, l.Close()) }()
		_, err := harness.Manager.Register(t.Context(), hooks.Hook{Events: []string{"*"}, URL: "http://firewalled.example"})
		require.NoError(t, err)
		triggerIDs(t, harness.Manager, "e1")
		time.Sleep(16 * time.Second)
		synctest.Wait()
		a := onlyAttempt(t, harness.Manager)
		assert.Equal(t, hooks.ClassTimeout, a.Class)
		assert.Equal(t, 15*time.Second, a.Duration)
	})
}
