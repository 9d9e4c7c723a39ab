package hooks_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
)

// What becomes of requests whose connection is closed.

// once is a schedule of one attempt.
var once = []time.Duration{0}

// bodiless is a protocol whose requests have a method and no body.
func bodiless(method string) *testProtocol {
	return &testProtocol{name: "bodiless-" + method, request: func(_ context.Context, _ hooks.Send, h hooks.Hook, _ []hooks.Message) (hooks.Request, error) {
		u, err := url.Parse(h.URL)
		return hooks.Request{Method: method, URL: u}, err
	}}
}

// requestKinds are the protocols of hooks whose requests net/http treats
// differently when it repeats them.
var requestKinds = []string{hooks.StandardWebhooks, "bodiless-GET", "bodiless-POST"}

func speakBodiless(c *hooks.Config) {
	c.Protocols = []hooks.Protocol{bodiless("GET"), bodiless("POST")}
}

// eachKind runs a test in a bubble for each of requestKinds.
func eachKind(t *testing.T, f func(t *testing.T, harness *hookstest.Harness, protocol string)) {
	for _, protocol := range requestKinds {
		t.Run(protocol, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, hookstest.New(t, speakBodiless), protocol) })
		})
	}
}

// A connServer is an HTTP/1 endpoint that decides about each connection. It
// responds to the first responses requests on it, and closes it at the beginning of the
// next.
type connServer struct {
	responses   func(conn int) int
	conns, seen atomic.Int32
}

func (s *connServer) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	left := s.responses(int(s.conns.Add(1)))
	reader := bufio.NewReader(c)
	for {
		if _, err := reader.Peek(1); err != nil {
			return
		}
		s.seen.Add(1)
		if left == 0 {
			return
		}
		left--
		r, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	}
}

// registerOnce registers a hook at the host whose deliveries have one attempt.
func registerOnce(t *testing.T, m *hooks.Manager, u, protocol string) hooks.Hook {
	t.Helper()
	h, err := m.Register(t.Context(), hooks.Hook{Events: []string{"*"}, URL: u, Schedule: once, Protocol: protocol})
	require.NoError(t, err)
	return h
}

func TestAnIdleConnectionThatIsClosedIsNoFailedAttempt(t *testing.T) {
	eachKind(t, func(t *testing.T, harness *hookstest.Harness, protocol string) {
		s := &connServer{responses: func(int) int { return 1 }}
		serveRaw(t, harness.Network.Listen("shop.example"), s.serve)
		h := registerOnce(t, harness.Manager, "http://shop.example/in", protocol)
		for _, id := range numbered("e", 10) {
			triggerIDs(t, harness.Manager, id)
			synctest.Wait()
		}
		log, err := harness.Manager.Logs(t.Context(), hooks.LogQuery{})
		require.NoError(t, err)
		require.Len(t, log.Items, 10)
		for _, a := range log.Items {
			assert.Equal(t, hooks.Succeeded, a.State, a.Error)
			assert.Equal(t, 1, a.Number)
		}
		h, err = harness.Manager.Hook(t.Context(), "", h.ID)
		require.NoError(t, err)
		assert.Equal(t, hooks.Health{}, h.Health)
	})
}

// All idle connections are closed at the same time, as by a restart. A request that
// finds one of them is made twice, and not on one after another.
func TestIdleConnectionsThatAreClosedTogether(t *testing.T) {
	eachKind(t, func(t *testing.T, harness *hookstest.Harness, protocol string) {
		var restarted atomic.Bool
		var seen atomic.Int32
		serveRaw(t, harness.Network.Listen("shop.example"), func(c net.Conn) {
			defer func() { _ = c.Close() }()
			old := !restarted.Load()
			for reader := bufio.NewReader(c); readNext(reader); {
				if seen.Add(1); old && restarted.Load() {
					return
				}
				time.Sleep(time.Second)
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			}
		})
		for range 8 {
			_, err := harness.Manager.Register(t.Context(), hooks.Hook{
				Events: []string{"warm.up"}, URL: "http://shop.example", Schedule: once, Protocol: protocol,
			})
			require.NoError(t, err)
		}
		registerOnce(t, harness.Manager, "http://shop.example", protocol)
		_, err := harness.Manager.Trigger(t.Context(), hooks.Event{Type: "warm.up"})
		require.NoError(t, err)
		time.Sleep(time.Minute)
		before := seen.Load()
		require.Equal(t, int32(9), before)

		restarted.Store(true)
		_, err = harness.Manager.Trigger(t.Context(), hooks.Event{ID: "e", Type: "order.paid"})
		require.NoError(t, err)
		time.Sleep(time.Minute)
		log, err := harness.Manager.Logs(t.Context(), hooks.LogQuery{EventID: "e"})
		require.NoError(t, err)
		require.Len(t, log.Items, 1)
		assert.Equal(t, hooks.Succeeded, log.Items[0].State, log.Items[0].Error)
		assert.Equal(t, before+2, seen.Load())
	})
}

// readNext reads a request to its end, and reports whether there was one.
func readNext(reader *bufio.Reader) bool {
	r, err := http.ReadRequest(reader)
	if err == nil {
		_, err = io.Copy(io.Discard, r.Body)
	}
	return err == nil
}

// An endpoint that closes every connection gets each attempt's request twice, and
// the attempt has failed.
func TestAnEndpointThatClosesEveryConnection(t *testing.T) {
	for _, warm := range []int{0, 1} {
		eachKind(t, func(t *testing.T, harness *hookstest.Harness, protocol string) {
			s := &connServer{responses: func(conn int) int {
				if conn == 1 {
					return warm
				}
				return 0
			}}
			serveRaw(t, harness.Network.Listen("shop.example"), s.serve)
			h := registerOnce(t, harness.Manager, "http://shop.example/in", protocol)
			for _, id := range numbered("e", warm+1) {
				triggerIDs(t, harness.Manager, id)
				synctest.Wait()
			}
			log, err := harness.Manager.Logs(t.Context(), hooks.LogQuery{})
			require.NoError(t, err)
			require.Len(t, log.Items, warm+1)
			assert.Equal(t, hooks.Dead, log.Items[0].State)
			assert.Equal(t, hooks.ClassConnect, log.Items[0].Class, log.Items[0].Error)
			assert.Equal(t, 1, log.Items[0].Number)
			assert.Equal(t, warm+2, int(s.seen.Load()))
			h = stored(t, harness.Manager, h)
			assert.Equal(t, 1, h.Health.Failures)
		})
	}
}

func TestTheSecondRequestIsTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		harness := hookstest.New(t)
		e := harness.EndpointFor(hooks.Hook{Events: []string{"*"}, Schedule: once, Headers: map[string]string{"X-Shop": "42"}})
		slow := func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(2 * time.Second)
			hookstest.Reset()(w, r)
		}
		e.Respond(slow, hookstest.Status(204))
		_, err := harness.Manager.Trigger(t.Context(), hooks.Event{Type: "order.paid", Data: json.RawMessage(`{"total": 1.50}`)})
		require.NoError(t, err)
		assert.Equal(t, hooks.Succeeded, e.Settle()[0].State)
		requests := e.Requests()
		require.Len(t, requests, 2)
		for _, r := range requests {
			assert.NoError(t, r.SignatureErr)
			r.Header.Del("Connection") // the second asks for none to be kept
		}
		assert.Equal(t, requests[0].Header, requests[1].Header)
		assert.Equal(t, requests[0].Body, requests[1].Body)
		assert.Equal(t, 2*time.Second, onlyAttempt(t, harness.Manager).Duration.Truncate(time.Second))
	})
}

// Not deliveries alone, but whatever is sent.
func TestEveryRequestSurvivesAClosedConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := runningHarness(t, speaks(loggingIn(0), verifying()))
		login := h.receiver(hookstest.Reset(), hookstest.Status(200))
		r, _ := h.endpoint(hooks.Hook{
			Events: []string{"*"}, Protocol: "logging-in", Settings: json.RawMessage(`"` + login.URL + `"`),
		}, hookstest.Reset(), hookstest.Status(200))
		h.trigger(hooks.Event{ID: "e", Type: "a"})
		synctest.Wait()
		assert.Equal(t, hooks.Succeeded, h.delivery("", "e").State)
		require.Len(t, login.Requests(), 2)
		assert.Len(t, r.Requests(), 2)
		assert.Equal(t, login.Requests()[0].Body, login.Requests()[1].Body)

		repeating := func(w http.ResponseWriter, r *http.Request) {
			var question struct{ Data json.RawMessage }
			_ = json.NewDecoder(r.Body).Decode(&question)
			_, _ = w.Write(question.Data)
		}
		asked, hook := h.endpoint(hooks.Hook{Events: []string{"b"}}, hookstest.Reset(), repeating)
		_, err := h.Verify(t.Context(), "", hook.ID)
		assert.NoError(t, err)
		require.Len(t, asked.Requests(), 2)
		assert.Equal(t, asked.Requests()[0].Body, asked.Requests()[1].Body)

		asked.Respond(hookstest.Reset(), hookstest.Status(200))
		attempts, err := h.Test(t.Context(), hook, hooks.Event{Type: "b"})
		require.NoError(t, err)
		assert.Equal(t, hooks.Succeeded, attempts[0].State, attempts[0].Error)
		assert.Len(t, asked.Requests(), 4)
	})
}

// What is no connection that was closed before a response ends the attempt.
func TestRequestsThatAreNotMadeAgain(t *testing.T) {
	text := func(response string, after time.Duration) func(net.Conn) {
		return func(c net.Conn) {
			readRequest(c)
			_, _ = io.WriteString(c, response)
			time.Sleep(after)
			_ = c.Close()
		}
	}
	for name, tt := range map[string]struct {
		serve func(net.Conn) // nil: connections are refused
		tls   bool
		conns int
		class hooks.ErrorClass
		took  time.Duration
	}{
		"refused":                   {conns: 1, class: hooks.ClassConnect},
		"no TLS":                    {serve: text("HTTP/1.1 400 Bad Request\r\n\r\n", 0), tls: true, conns: 1, class: hooks.ClassTLS},
		"closed in the handshake":   {serve: func(c net.Conn) { _ = c.Close() }, tls: true, conns: 1, class: hooks.ClassConnect},
		"silence":                   {serve: text("", time.Hour), conns: 1, class: hooks.ClassTimeout, took: 15 * time.Second},
		"one byte":                  {serve: text("H", 0), conns: 1, class: hooks.ClassHTTP},
		"half a header":             {serve: text("HTTP/1.1 200 OK\r\nX: y\r\n", 0), conns: 1, class: hooks.ClassConnect},
		"a provisional response":    {serve: text("HTTP/1.1 103 Early Hints\r\n\r\n", 0), conns: 1, class: hooks.ClassConnect},
		"half a body":               {serve: text("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nwell", 0), conns: 1, class: hooks.ClassBody},
		"no HTTP":                   {serve: text("220 mail.example.com ESMTP\r\n", 0), conns: 1, class: hooks.ClassHTTP},
		"closed late, then silence": {serve: closedLateThenSilent(10 * time.Second), conns: 2, class: hooks.ClassTimeout, took: 15 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var conns atomic.Int32
				harness := hookstest.New(t, func(c *hooks.Config) {
					dial := c.Dial
					c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
						conns.Add(1)
						return dial(ctx, network, address)
					}
				})
				l := harness.Network.Listen("shop.example")
				if tt.serve != nil {
					serveRaw(t, l, tt.serve)
				} else {
					require.NoError(t, l.Close())
				}
				u := "http://shop.example/in"
				if tt.tls {
					u = "https://shop.example/in"
				}
				registerOnce(t, harness.Manager, u, "")
				triggerIDs(t, harness.Manager, "e1")
				time.Sleep(time.Minute)
				a := onlyAttempt(t, harness.Manager)
				assert.Equal(t, tt.class, a.Class, a.Error)
				assert.Equal(t, tt.took, a.Duration)
				assert.Equal(t, tt.conns, int(conns.Load()))
			})
		})
	}
}

// closedLateThenSilent closes the first connection after a while, and leaves the
// next open.
func closedLateThenSilent(after time.Duration) func(net.Conn) {
	var conns atomic.Int32
	return func(c net.Conn) {
		readRequest(c)
		if conns.Add(1) == 1 {
			time.Sleep(after)
			_ = c.Close()
		}
	}
}

// On TCP, an endpoint that closes a connection with bytes that it has not read
// resets it.
func TestConnectionsThatAreClosedOnTCP(t *testing.T) {
	w := loopbackHarness(t)
	s := &connServer{responses: func(int) int { return 1 }}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	serveRaw(t, l, s.serve)
	registerOnce(t, w.Manager, "http://"+l.Addr().String(), "")
	for range 10 {
		_, err := w.Trigger(t.Context(), hooks.Event{Type: "order.paid"})
		require.NoError(t, err)
		got := next(t, w.observed, "an attempt")
		assert.Equal(t, hooks.Succeeded, got.attempt.State, got.attempt.Error)
	}
}
