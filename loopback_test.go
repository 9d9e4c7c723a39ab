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
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
	"github.com/seed-2c6e3a5a/hooks/memory"
)

const (
	responseLimit = 16 << 10               // what is kept of a response, by its documentation
	impatience    = 100 * time.Millisecond // the timeout of hooks whose endpoint is silent
	patience      = 10 * time.Second       // for what ought to happen at once
)

// An observed attempt is what the observer is called with.
type observed struct {
	delivery hooks.Delivery
	attempt  hooks.Attempt
}

// loopbackHarness returns a harness whose Manager runs and reaches the loopback interface,
// 127.0.0.0/8, with and without TLS. It trusts the certificates of package httptest. Names
// are those of loopbackNames.
func loopbackHarness(t *testing.T, adjust ...func(*hooks.Config)) *harness {
	h := &harness{t: t, check: t, store: memory.New(memory.Options{}), observed: make(chan observed, 100), disabled: make(chan hooks.Hook, 100)}
	loopback := func(c *hooks.Config) {
		c.AllowNetworks = []string{"127.0.0.0/8"}
		c.Resolver = loopbackNames(t)
		c.TLS = &tls.Config{RootCAs: x509.NewCertPool()}
		c.TLS.RootCAs.AddCert(hookstest.NewTLSReceiver(t).Certificate())
		c.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
		c.Observer = hooks.Observer{
			Attempt:      func(d hooks.Delivery, a hooks.Attempt, _ *hooks.Event) { h.observed <- observed{d, a} },
			HookDisabled: func(hook hooks.Hook) { h.disabled <- hook },
			Failure:      func(err error) { t.Errorf("the store or the test failed: %v", err) },
		}
	}
	h.Manager = h.manager(h.store, append([]func(*hooks.Config){loopback}, adjust...)...)
	h.start(h.Manager)
	return h
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

// rawEndpoint is an endpoint on TCP that sends this text after every request
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

// responding is the URL of a receiver that responds with a.
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
