package hooks_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
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

const (
	responseLimit = 16 << 10               // what is kept of a response, by its documentation
	impatience    = 100 * time.Millisecond // the timeout of hooks whose endpoint is silent
	patience      = 10 * time.Second       // for what ought to happen at once
)

// A wire is a running Manager that reaches the loopback interface, and what its
// observer is told.
type wire struct {
	*hooks.Manager
	attempts chan told
	disabled chan hooks.Hook
}

// told is what the observer is told of an attempt.
type told struct {
	delivery hooks.Delivery
	attempt  hooks.Attempt
}

// newWire starts a Manager that may reach 127.0.0.0/8, with and without TLS,
// and trusts the certificates of package httptest. Names are those of
// loopbackNames.
func newWire(t *testing.T, adjust ...func(*hooks.Config)) *wire {
	w := &wire{attempts: make(chan told, 100), disabled: make(chan hooks.Hook, 100)}
	cfg := hooks.Config{
		AllowHTTP:     true,
		AllowNetworks: []string{"127.0.0.0/8"},
		Resolver:      loopbackNames(t),
		TLS:           &tls.Config{RootCAs: x509.NewCertPool()},
		Logger:        slog.New(slog.NewTextHandler(t.Output(), nil)),
		Observer: hooks.Observer{
			Attempt:      func(d hooks.Delivery, a hooks.Attempt, _ *hooks.Event) { w.attempts <- told{d, a} },
			HookDisabled: func(h hooks.Hook) { w.disabled <- h },
			Failure:      func(err error) { t.Errorf("the store or the test failed: %v", err) },
		},
	}
	cfg.TLS.RootCAs.AddCert(hookstest.NewTLSReceiver(t).Certificate())
	for _, change := range adjust {
		change(&cfg)
	}
	m, err := hooks.New(memory.New(memory.Options{}), cfg)
	require.NoError(t, err)
	w.Manager = m
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		assert.NoError(t, <-ended)
	})
	return w
}

// next returns what comes next on a channel, and ends the test if nothing does.
func next[T any](t *testing.T, c <-chan T, what string) (got T) {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case got = <-c:
	case <-timer.C:
		t.Fatalf("waited %v for %s", patience, what)
	}
	return got
}

// loopbackNames answers DNS queries over UDP on the loopback interface:
// "other.test" is at 127.0.0.1 and "inside.test" at 10.0.0.1, queries for
// "silent.test" get no response and those for "broken.test" a SERVFAIL, and no
// other name exists.
func loopbackNames(t *testing.T) *net.Resolver {
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Close()) })
	go func() {
		query := make([]byte, 1500)
		for {
			n, from, err := server.ReadFrom(query)
			if err != nil {
				return
			}
			if response := responseQuery(query[:n]); response != nil {
				_, _ = server.WriteTo(response, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
}

// responseQuery answers a DNS query of one question (RFC 1035, section 4.1), or
// returns nil.
func responseQuery(query []byte) []byte {
	const (
		headerSize            = 12
		typeA                 = 1
		noError               = 0
		serverFailure         = 2
		noSuchName            = 3
		responseWanted uint16 = 0x8180 // a response, recursion desired and available
	)
	var labels []string
	end := headerSize
	for query[end] != 0 {
		size := int(query[end])
		labels = append(labels, string(query[end+1:end+1+size]))
		end += 1 + size
	}
	end += 5 // the root label, type and class
	question := query[headerSize:end]
	kind := binary.BigEndian.Uint16(question[len(question)-4:])

	var address netip.Addr
	code := uint16(noError)
	switch strings.Join(labels, ".") {
	case "other.test":
		address = netip.MustParseAddr("127.0.0.1")
	case "inside.test":
		address = netip.MustParseAddr("10.0.0.1")
	case "silent.test":
		return nil
	case "broken.test":
		code = serverFailure
	default:
		code = noSuchName
	}
	responses := uint16(0)
	if address.IsValid() && kind == typeA {
		responses = 1
	}
	response := append([]byte(nil), query[:2]...)
	for _, field := range []uint16{responseWanted | code, 1, responses, 0, 0} {
		response = binary.BigEndian.AppendUint16(response, field)
	}
	response = append(response, question...)
	if responses == 1 {
		// A pointer to the name in the question, type A, class IN, a TTL of 0
		// and 4 bytes of data.
		response = append(response, 0xc0, headerSize, 0, typeA, 0, 1, 0, 0, 0, 0, 0, 4)
		response = append(response, address.AsSlice()...)
	}
	return response
}

// serveRaw hands each connection to serve. It stays open until the test ends,
// unless serve closes it.
func serveRaw(t *testing.T, l net.Listener, serve func(net.Conn)) {
	var running sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			running.Go(func() { serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range conns {
			_ = c.Close() // a second time for some
		}
		mu.Unlock()
		running.Wait()
	})
}

// rawEndpoint is an endpoint on TCP that responses every request with this text
// and then closes the connection, or leaves it open.
func rawEndpoint(text string, leaveOpen bool) func(t *testing.T) string {
	return func(t *testing.T) string {
		return listenRaw(t, func(c net.Conn) {
			readRequest(c)
			_, _ = io.WriteString(c, text)
			if !leaveOpen {
				_ = c.Close()
			}
		})
	}
}

// listenRaw starts serveRaw on TCP and returns the URL.
func listenRaw(t *testing.T, serve func(net.Conn)) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	serveRaw(t, l, serve)
	return "http://" + l.Addr().String()
}

// readRequest reads a request to its end, so that closing the connection does
// not reset it. It fails when the client goes away.
func readRequest(c net.Conn) {
	if r, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
		_, _ = io.Copy(io.Discard, r.Body)
	}
}

// answering is a receiver's URL.
func responding(a hookstest.Response) func(t *testing.T) string {
	return func(t *testing.T) string { return hookstest.NewReceiver(t, a).URL }
}

// redirecting is the URL of a receiver that redirects to another, which must
// see nothing.
func redirecting(code int) func(t *testing.T) string {
	return func(t *testing.T) string {
		other := hookstest.NewReceiver(t)
		t.Cleanup(func() { assert.Empty(t, other.Requests(), "the redirect was followed") })
		return hookstest.NewReceiver(t, hookstest.Redirect(code, other.URL)).URL
	}
}

// A byteCounter counts what a response writes.
type byteCounter struct {
	http.ResponseWriter
	written *atomic.Int64
}

func (w byteCounter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.written.Add(int64(n))
	return n, err
}

func (w byteCounter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// bounded is the URL of a receiver whose response is much longer than what may be
// read of it. What the sockets of both sides buffer is some megabytes.
func bounded(a hookstest.Response, start func(testing.TB, ...hookstest.Response) *hookstest.Receiver) func(t *testing.T) string {
	return func(t *testing.T) string {
		const tooMuch = 50 << 20
		var written atomic.Int64
		r := start(t, func(w http.ResponseWriter, r *http.Request) { a(byteCounter{w, &written}, r) })
		t.Cleanup(func() {
			r.Close() // has waited for the responses
			assert.Greater(t, written.Load(), int64(responseLimit))
			assert.Less(t, written.Load(), int64(tooMuch), "much more was read than is kept")
		})
		return r.URL
	}
}

// speakingHTTP2 is the URL of an endpoint that speaks HTTP/2.
func speakingHTTP2(h http.HandlerFunc) func(t *testing.T) string {
	return func(t *testing.T) string {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			assert.Equal(t, 2, r.ProtoMajor)
			_, _ = io.Copy(io.Discard, r.Body)
			h(w, r)
		}))
		server.EnableHTTP2 = true
		server.StartTLS()
		t.Cleanup(server.Close)
		return server.URL
	}
}

// selfSigned is a certificate for 127.0.0.1 that nobody trusts.
func selfSigned(t *testing.T) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// withTLS is the URL of an endpoint that greets with the given TLS.
func withTLS(config func(t *testing.T) *tls.Config) func(t *testing.T) string {
	return func(t *testing.T) string {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			t.Error("a request came over a connection that must not be trusted")
		}))
		server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
		server.TLS = config(t)
		server.StartTLS()
		t.Cleanup(server.Close)
		return server.URL
	}
}

func port(url string) string { return url[strings.LastIndexByte(url, ':'):] }

// inTwoHours answers with a Retry-After date of two hours from now.
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
	w := newWire(t)
	h, err := w.Register(t.Context(), hooks.Hook{
		Events: []string{"*"}, URL: tt.endpoint(t) + "/in?key=1", Schedule: schedule, Timeout: tt.timeout,
	})
	require.NoError(t, err)
	before := time.Now().Truncate(time.Millisecond)
	_, err = w.Trigger(t.Context(), hooks.Event{ID: "e1", Type: "order.paid"})
	require.NoError(t, err)
	got := next(t, w.attempts, "the attempt")

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

// checkStored checks that the store holds what the observer was told.
func (tt endpointTest) checkStored(t *testing.T, w *wire, got told) {
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
func (tt endpointTest) checkHook(t *testing.T, w *wire, h hooks.Hook, a hooks.Attempt) {
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

// A 101 gives the connection to whoever asked for another protocol. Nobody did.
func TestAnEndpointCannotSwitchProtocols(t *testing.T) {
	w := newWire(t)
	url := rawEndpoint("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n", true)(t)
	_, err := w.Register(t.Context(), hooks.Hook{
		Events: []string{"*"}, URL: url, Schedule: []time.Duration{0}, Timeout: impatience,
	})
	require.NoError(t, err)
	_, err = w.Trigger(t.Context(), hooks.Event{Type: "order.paid"})
	require.NoError(t, err)
	got := next(t, w.attempts, "the end of the attempt")
	assert.Equal(t, hooks.Dead, got.attempt.State)
	assert.NotEmpty(t, got.attempt.Class)
}

func TestAnAddressThatThePolicyForbidsIsNoHooksURL(t *testing.T) {
	w := newWire(t)
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
