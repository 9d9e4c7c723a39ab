package hooks_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
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

// A lockedBuffer may be written to by several goroutines.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// standardLog is what is written to the log of package log during the test.
func standardLog(t *testing.T) *lockedBuffer {
	var text lockedBuffer
	before := log.Writer()
	log.SetOutput(&text)
	t.Cleanup(func() { log.SetOutput(before) })
	return &text
}

// saying is an endpoint that sends one text after another in response to each request.
func saying(pause time.Duration, texts ...string) func(net.Conn) {
	return func(c net.Conn) {
		for {
			readRequest(c)
			for i, text := range texts {
				if i > 0 {
					time.Sleep(pause)
				}
				if _, err := io.WriteString(c, text); err != nil {
					return
				}
			}
		}
	}
}

// Bytes that belong to no response are not written to the standard log, but told to
// the operator, once a minute, and do no harm to deliveries.
func TestBytesThatBelongToNoResponse(t *testing.T) {
	const extra = "HELLO\x1b[31m\n\u202e\a"
	for name, tt := range map[string]struct {
		texts []string
		told  bool
	}{
		"after a response without a body": {[]string{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" + extra}, true},
		"after 204":                       {[]string{"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n" + extra}, true},
		"after line feeds":                {[]string{"HTTP/1.1 204 No Content\nX: y\n\n" + extra}, true},
		"after a body":                    {[]string{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + extra}, true},
		"after a long body":               {[]string{"HTTP/1.1 200 OK\r\nContent-Length: 16384\r\n\r\n" + strings.Repeat("x", 16<<10) + extra}, true},
		"after chunks":                    {[]string{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n1;a=b\r\n!\r\n0\r\n\r\n" + extra}, true},
		"after no chunk":                  {[]string{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + extra}, true},
		"after a trailer":                 {[]string{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n000\r\nX: y\r\n\r\n" + extra}, true},
		"after provisional responses":     {[]string{"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n" + extra}, true},
		"a second response":               {[]string{"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 204 No Content\r\nX: HELLO\r\n\r\n"}, true},
		"later":                           {[]string{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", extra}, true},
		"much":                            {[]string{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", extra + strings.Repeat("\x1b", 100<<10)}, true},
		"byte by byte":                    {strings.Split("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"+extra, ""), true},
		"nothing":                         {[]string{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"}, false},
		"nothing, in chunks that come byte by byte": {strings.Split("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n000\r\nX: y\r\n\r\n", ""), false},
		"the end of an idle connection":             {[]string{"HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\nHELLO"}, false},
	} {
		for _, scheme := range []string{"http", "https"} {
			t.Run(name+"/"+scheme, func(t *testing.T) {
				standard := standardLog(t)
				synctest.Test(t, func(t *testing.T) {
					var told lockedBuffer
					harness := hookstest.New(t, func(c *hooks.Config) {
						c.Logger = slog.New(slog.NewTextHandler(&told, nil))
						c.TLS = &tls.Config{InsecureSkipVerify: true}
					})
					l := harness.Network.Listen("shop.example")
					if scheme == "https" {
						l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}})
					}
					serveRaw(t, l, saying(10*time.Millisecond, tt.texts...))
					registerOnce(t, harness.Manager, scheme+"://shop.example/in", "")
					for minute := range 2 {
						for i := range 5 {
							triggerIDs(t, harness.Manager, fmt.Sprint("e", minute, "-", i))
							time.Sleep(5 * time.Second)
						}
						time.Sleep(35 * time.Second)
					}
					synctest.Wait()
					attempts, err := harness.Manager.Logs(t.Context(), hooks.LogQuery{})
					require.NoError(t, err)
					require.Len(t, attempts.Items, 10)
					for _, a := range attempts.Items {
						assert.Equal(t, hooks.Succeeded, a.State, a.Error)
					}
					if !tt.told {
						assert.Empty(t, told.String())
						return
					}
					lines := strings.Split(strings.TrimSpace(told.String()), "\n")
					require.Len(t, lines, 2, "one a minute: %s", &told)
					for i, line := range lines {
						assert.Contains(t, line, "host=shop.example")
						assert.Contains(t, line, []string{"left_out=0", "left_out=4"}[i])
						assert.Contains(t, line, "H")
						assert.Less(t, len(line), 1500)
						assert.NotRegexp(t, "[\\x00-\\x1f\\x7f\u202e]", line)
					}
				})
				assert.Empty(t, standard.String())
			})
		}
	}
}

// net/http looks for two CRLF at the end of a trailer, reads what comes before them
// into its buffer, and takes the trailer to end where two line feeds are.
func TestATrailerThatEndsInTwoWays(t *testing.T) {
	standard := standardLog(t)
	synctest.Test(t, func(t *testing.T) {
		harness := hookstest.New(t)
		serveRaw(t, harness.Network.Listen("shop.example"), saying(0, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\n\nHELLO\r\n\r\n"))
		registerOnce(t, harness.Manager, "http://shop.example", "")
		triggerIDs(t, harness.Manager, "e1", "e2")
		time.Sleep(time.Minute)
		attempts, err := harness.Manager.Logs(t.Context(), hooks.LogQuery{})
		require.NoError(t, err)
		require.Len(t, attempts.Items, 2)
		for _, a := range attempts.Items {
			assert.Contains(t, a.Error, "the response broke off")
		}
	})
	assert.Empty(t, standard.String())
}

// A server that speaks first, on a connection that no request has got.
func TestAConnectionThatIsIdleFromTheBeginning(t *testing.T) {
	standard := standardLog(t)
	synctest.Test(t, func(t *testing.T) {
		harness := hookstest.New(t)
		l := harness.Network.Listen("mail.example")
		serveRaw(t, l, func(c net.Conn) {
			_, _ = io.WriteString(c, "220 mail.example ESMTP\r\n")
			readRequest(c)
		})
		registerOnce(t, harness.Manager, "http://mail.example", "")
		triggerIDs(t, harness.Manager, "e1", "e2", "e3")
		time.Sleep(time.Minute)
		attempts, err := harness.Manager.Logs(t.Context(), hooks.LogQuery{})
		require.NoError(t, err)
		for _, a := range attempts.Items {
			assert.Contains(t, []hooks.ErrorClass{hooks.ClassHTTP, hooks.ClassConnect}, a.Class, a.Error)
		}
	})
	assert.Empty(t, standard.String())
}
