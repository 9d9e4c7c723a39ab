package hooks_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
)

// What attempts say in words.

// tried returns what one attempt for a hook at the URL says.
func tried(t *testing.T, w *harness, u string) hooks.Attempt {
	t.Helper()
	attempts, err := w.Test(t.Context(), hooks.Hook{Events: []string{"*"}, URL: u}, hooks.Event{Type: "order.paid"})
	require.NoError(t, err)
	require.Len(t, attempts, 1)
	return attempts[0]
}

// certificate is one of these names that its own authority has signed.
func certificate(t *testing.T, template x509.Certificate) (tls.Certificate, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template.SerialNumber, template.IsCA, template.BasicConstraintsValid = big.NewInt(1), true, true
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, parsed
}

// https with an endpoint that has no TLS, and http with one that wants it.
func TestTLSOnOneSideOnly(t *testing.T) {
	swap := func(u, from, to string) string { return strings.Replace(u, from+":", to+":", 1) }
	withNetHTTP := withTLS(func(t *testing.T) *tls.Config { return &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}} })(t)
	for name, tt := range map[string]struct {
		url   string
		class hooks.ErrorClass
		says  string
	}{
		"https, net/http without TLS":    {swap(hookstest.NewReceiver(t).URL, "http", "https"), hooks.ClassTLS, "the endpoint speaks HTTP without TLS on this port"},
		"https, another protocol":        {swap(listenRaw(t, func(c net.Conn) { _, _ = io.WriteString(c, "220 mail.example.com ESMTP\r\n") }), "http", "https"), hooks.ClassTLS, "the endpoint does not speak TLS on this port"},
		"https, closed":                  {swap(listenRaw(t, func(c net.Conn) { _, _ = io.ReadFull(c, make([]byte, 10)); _ = c.(*net.TCPConn).CloseWrite() }), "http", "https"), hooks.ClassConnect, "the endpoint closed the connection in the TLS handshake; perhaps it does not speak TLS on this port"},
		"https, reset":                   {swap(listenRaw(t, func(c net.Conn) { _, _ = io.ReadFull(c, make([]byte, 10)); _ = c.Close() }), "http", "https"), hooks.ClassConnect, "the endpoint closed the connection in the TLS handshake; perhaps it does not speak TLS on this port"},
		"http, net/http with TLS":        {swap(withNetHTTP, "https", "http"), hooks.ClassStatus, "the endpoint expects TLS on this port: use https (it responded with 400 Bad Request)"},
		"http, an alert":                 {listenRaw(t, func(c net.Conn) { readRequest(c); _, _ = c.Write([]byte{0x15, 3, 1, 0, 2, 2, 10}) }), hooks.ClassTLS, "the endpoint expects TLS on this port: use https"},
		"http, closed":                   {listenRaw(t, func(c net.Conn) { readRequest(c); _ = c.Close() }), hooks.ClassConnect, "the endpoint closed the connection before it responded; perhaps it expects TLS on this port (https)"},
		"http, reset":                    {hookstest.NewReceiver(t, hookstest.Reset()).URL, hooks.ClassConnect, "the endpoint closed the connection before it responded; perhaps it expects TLS on this port (https)"},
		"http, a 400 about other things": {hookstest.NewReceiver(t, hookstest.Status(400).Body("no such order")).URL, hooks.ClassStatus, "the endpoint responded with 400 Bad Request"},
		"https, a 400 about TLS": {func() string {
			return hookstest.NewTLSReceiver(t, hookstest.Status(400).Body("Client sent an HTTP request to an HTTPS server.\n")).URL
		}(), hooks.ClassStatus, "the endpoint responded with 400 Bad Request"},
	} {
		t.Run(name, func(t *testing.T) {
			a := tried(t, loopbackHarness(t), tt.url)
			assert.Equal(t, tt.class, a.Class)
			assert.Equal(t, tt.says, a.Error)
		})
	}
}

// Node's server closes the connection of a request without TLS.
func TestTLSOfNode(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("no node: ", err)
	}
	cert := selfSigned(t)
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "cert.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}), 0o600))
	server := exec.CommandContext(t.Context(), node, "-e", `
		const fs = require('fs'), options = {key: fs.readFileSync('key.pem'), cert: fs.readFileSync('cert.pem')}
		const s = require('https').createServer(options, (q, r) => r.end()).listen(0, '127.0.0.1', () => console.log(s.address().port + '.'))`)
	server.Dir = dir
	out, err := server.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, server.Start())
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	var port strings.Builder
	for b := make([]byte, 1); b[0] != '.'; port.Write(b) {
		_, err := io.ReadFull(out, b)
		require.NoError(t, err)
	}
	a := tried(t, loopbackHarness(t), "http://127.0.0.1:"+strings.TrimSuffix(port.String(), "."))
	assert.Equal(t, "the endpoint closed the connection before it responded; perhaps it expects TLS on this port (https)", a.Error)
}

// What a stranger has put into a text does nothing to a terminal or to the lines of
// a log, and addresses of the network do not show.
func TestTextsOfStrangers(t *testing.T) {
	const odd = "a\nFAKE line\x1b[31m\a\x7fb.test"
	names, authority := certificate(t, x509.Certificate{DNSNames: []string{odd, "\x1b]0;title\a"}})
	issued, _ := certificate(t, x509.Certificate{Subject: pkix.Name{CommonName: odd + "\u202e"}, DNSNames: []string{"other.test"}})
	w := loopbackHarness(t, func(c *hooks.Config) { c.TLS.RootCAs.AddCert(authority) })
	withCertificate := func(c tls.Certificate) string {
		return "https://other.test" + port(withTLS(func(*testing.T) *tls.Config { return &tls.Config{Certificates: []tls.Certificate{c}} })(t))
	}
	for name, u := range map[string]string{
		"names of a certificate": withCertificate(names), "its subject": withCertificate(issued), "bytes that are not HTTP": rawEndpoint(odd+"\u202e\u2028\r\n\r\n", false)(t),
		"a header":      rawEndpoint("HTTP/1.1 200 OK\r\nX\x1b\a: \u202e\r\n\r\n", false)(t),
		"a status line": rawEndpoint("HTTP/1.1 20\x1b \u202e\r\n\r\n", false)(t), "a broken chunk": rawEndpoint("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\x1b\u202e\r\n", false)(t),
		"a length": rawEndpoint("HTTP/1.1 200 OK\r\nContent-Length: \x1b\u202e\r\n\r\n", false)(t), "an encoding": rawEndpoint("HTTP/1.1 200 OK\r\nTransfer-Encoding: \u202e\u2066\r\n\r\n", false)(t),
		"no connection": "http://127.0.0.1:1024", "a name that is none": "http://nowhere.test", "a name server that fails": "http://broken.test", "an inner name": "http://inside.test",
	} {
		t.Run(name, func(t *testing.T) {
			a := tried(t, w, u)
			require.NotEmpty(t, a.Class)
			checkText(t, a.Error)

			h, err := w.Register(t.Context(), hooks.Hook{Events: []string{"nothing"}, URL: u})
			require.NoError(t, err)
			_, err = w.Verify(t.Context(), "", h.ID)
			require.Error(t, err)
			checkText(t, err.Error())
			var failure *hooks.AttemptError
			require.ErrorAs(t, err, &failure)
			checkText(t, failure.Err.Error())
			assert.Equal(t, a.Class, failure.Class)
		})
	}
}

func checkText(t *testing.T, text string) {
	t.Helper()
	assert.NotEmpty(t, text)
	assert.NotRegexp(t, "[\\x00-\\x1f\\x7f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069]", text)
	assert.NotContains(t, text, "127.0.0.1")
	assert.NotContains(t, text, "10.0.0.1")
	assert.NotContains(t, text, ".test:")
	assert.LessOrEqual(t, len(text), 1200)
}

// A hook cannot find out which names of the inner network exist.
func TestAnInnerNameLooksLikeNone(t *testing.T) {
	var told lockedBuffer
	w := loopbackHarness(t, func(c *hooks.Config) { c.Logger = slog.New(slog.NewTextHandler(&told, nil)) })
	same := func(u string) (a hooks.Attempt, verify error) {
		a = tried(t, w, u)
		h, err := w.Register(t.Context(), hooks.Hook{Events: []string{"order.paid"}, URL: u, Schedule: once})
		require.NoError(t, err)
		_, verify = w.Verify(t.Context(), "", h.ID)
		require.NoError(t, w.Delete(t.Context(), "", h.ID))
		return a, verify
	}
	none, noneVerified := same("http://nowhere.test/in")
	assert.Equal(t, hooks.ClassDNS, none.Class)
	assert.Equal(t, "the host name has no address that requests may go to", none.Error)
	assert.Empty(t, told.String())
	for _, name := range []string{"inside.test", "INSIDE.test", "inside.test.", "broken.test"} {
		got, verified := same("http://" + name + "/in")
		assert.Equal(t, []any{none.Class, none.Error, none.State, none.Response}, []any{got.Class, got.Error, got.State, got.Response}, name)
		assert.Equal(t, strings.Split(noneVerified.Error(), "\": ")[1], strings.Split(verified.Error(), "\": ")[1])
	}
	assert.Equal(t, 1, strings.Count(told.String(), "10.0.0.1 is not a public address (Config.AllowNetworks can allow it)"), "%s", &told)
	assert.Equal(t, 1, strings.Count(told.String(), "host=broken.test"), "%s", &told)

	got := tried(t, loopbackHarness(t, func(c *hooks.Config) { c.AllowHTTP = true }), "http://other.test"+port(hookstest.NewReceiver(t).URL))
	assert.Equal(t, http.StatusOK, got.Response.Status)
}

// A rawHandler keeps texts as they reach the log.
type rawHandler struct {
	mu    sync.Mutex
	texts []string
}

func (*rawHandler) Enabled(context.Context, slog.Level) bool { return true }
func (h *rawHandler) WithAttrs([]slog.Attr) slog.Handler     { return h }
func (h *rawHandler) WithGroup(string) slog.Handler          { return h }

func (h *rawHandler) Handle(_ context.Context, r slog.Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.texts = append(h.texts, r.Message)
	r.Attrs(func(a slog.Attr) bool {
		h.texts = append(h.texts, a.Value.String())
		return true
	})
	return nil
}

// What names tenants and headers is printable in the log.
func TestNamesInTheLog(t *testing.T) {
	const odd = "acme\x1b[31m\nFAKE line\a\u202e"
	var log rawHandler
	synctest.Test(t, func(t *testing.T) {
		h := runningHarness(t, func(c *hooks.Config) {
			c.Logger = slog.New(&log)
			c.Decorate = func(_ *hooks.Event, header http.Header) { header[odd+strings.Repeat("x", 1<<20)] = []string{"1"} }
		})
		r := h.network.Receiver(t, "shop.example", hookstest.Status(http.StatusGone))
		for _, filter := range []string{"", "data.size > 1"} {
			_, err := h.Register(t.Context(), hooks.Hook{Tenant: odd, Events: []string{"*"}, URL: "http://shop.example", Filter: filter})
			require.NoError(t, err)
		}
		_, err := h.Trigger(t.Context(), hooks.Event{Tenant: odd, Type: "a", Data: []byte(`{"size":"text"}`)})
		require.NoError(t, err)
		synctest.Wait()
		assert.Len(t, r.Requests(), 1)
	})
	for _, line := range []string{"the hook's filter failed", "disabled a hook", "Config.Decorate has set is not sent"} {
		assert.Contains(t, strings.Join(log.texts, "\n"), line)
	}
	for _, text := range log.texts {
		checkText(t, text)
	}
}
