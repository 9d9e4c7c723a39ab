package egress_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks/internal/egress"
)

// textConn is a connection on which a text comes, so many bytes at a time.
type textConn struct {
	net.Conn
	text io.Reader
	size int
}

func (textConn) Write(p []byte) (int, error) { return len(p), nil }

func (c textConn) Read(p []byte) (int, error) { return c.text.Read(p[:min(len(p), c.size)]) }

var bareLF = regexp.MustCompile("(^|[^\r])\n")

// FuzzConn checks that a response reads the same through a Conn, and
// that what follows is not read.
func FuzzConn(f *testing.F) {
	for _, raw := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHELLO", "HTTP/1.1 204 No Content\n\nHELLO", "HTTP/1.0 200 OK\r\n\r\nall of it", "220 mail.example ESMTP\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nA;x=\"y\"\r\n0123456789\r\n1\n!\r\n00\r\nX: y\r\n\r\nHELLO", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\n\nHELLO\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\n\r\nHELLO\r\n\r\n",
		"\x15\x03\x01\x00\x02\x02\x46", "\r\n\r\n\r\n",
	} {
		f.Add([]byte(raw), uint16(3))
		f.Add([]byte(raw), uint16(4000))
	}
	f.Fuzz(func(t *testing.T, raw []byte, size uint16) {
		var text bytes.Buffer
		c := egress.NewConn(textConn{text: bytes.NewReader(raw), size: max(1, int(size))}, "shop.example", slog.New(slog.NewTextHandler(&text, nil)))
		begin(c)
		r := bufio.NewReader(c)
		got, gotBody, gotErr := readResponse(r, c.ExpectBody)
		want, wantBody, wantErr := readResponse(bufio.NewReader(bytes.NewReader(raw)), func(string, *http.Response) {})
		if bytes.HasPrefix(raw, []byte{0x15, 0x03}) {
			assert.Error(t, gotErr)
			return
		}
		if wantErr == nil && gotErr != nil && bareLF.Match(raw) {
			return // The trailer may end where net/http sees no end.
		}
		assert.Equal(t, wantErr == nil, gotErr == nil, "%v, %v", wantErr, gotErr)
		assert.Equal(t, wantBody, gotBody)
		if want == nil || got == nil {
			assert.Equal(t, want == nil, got == nil)
			return
		}
		assert.Equal(t, want.Status, got.Status)
		assert.Equal(t, want.Header, got.Header)
		assert.Equal(t, want.Trailer, got.Trailer)
		if gotErr != nil || got.Close {
			return
		}
		assert.Zero(t, r.Buffered(), "net/http would write it to the standard log")
		c.End()
		n, err := c.Read(make([]byte, 100))
		assert.Zero(t, n)
		assert.ErrorIs(t, err, io.EOF)
		assert.LessOrEqual(t, strings.Count(text.String(), "\n"), 1)
	})
}

// readResponse reads as net/http does: the header, and then the body that expect announces.
func readResponse(r *bufio.Reader, expect func(string, *http.Response)) (*http.Response, string, error) {
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		return nil, "", err
	}
	expect(http.MethodPost, res)
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	return res, string(body), err
}

// begin does to the connection what net/http does with a request.
func begin(c *egress.Conn) {
	c.Begin()
	_, _ = c.Write(nil)
}

// What an endpoint sends as soon as it is connected belongs to the first request, if
// there is one soon.
func TestBytesBeforeTheFirstRequest(t *testing.T) {
	for name, after := range map[string]time.Duration{"soon": egress.FirstRequestWait - 1, "late": egress.FirstRequestWait + 1} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := egress.NewConn(textConn{text: strings.NewReader("220 mail\r\n"), size: 100}, "mail.example", discard)
				var got string
				var err error
				var reader sync.WaitGroup
				reader.Go(func() {
					p := make([]byte, 100)
					var n int
					n, err = c.Read(p)
					got = string(p[:n])
				})
				time.Sleep(after)
				begin(c)
				reader.Wait()
				if name == "soon" {
					assert.NoError(t, err)
					assert.Equal(t, "220 mail\r\n", got)
				} else {
					assert.ErrorIs(t, err, io.EOF)
					assert.Empty(t, got)
				}
			})
		})
	}
}

// However the bytes come, the end of the chunks is found.
func TestChunkScanner(t *testing.T) {
	long := strings.Repeat("x", 0x1234)
	for name, body := range map[string]string{
		"nothing": "0\r\n\r\n", "one": "2\r\nok\r\n0\r\n\r\n", "zeros": "0002\r\nok\r\n0000\r\n\r\n", "an extension": "2;a=\"0\"\r\nok\r\n0;b\r\n\r\n", "line feeds": "2\nok\r\n0\n\n",
		"digits": "1234\r\n" + long + "\r\n0\r\n\r\n", "upper case": "A\r\n0123456789\r\n0\r\n\r\n", "data like an end": "7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n", "a trailer": "1\r\nx\r\n0\r\nA: b\r\nC: d\r\n\r\n",
	} {
		for _, size := range []int{1, 2, 3, 7, 100, 1 << 20} {
			var s egress.ChunkScanner
			rest, n := body+"HELLO", 0
			for len(rest) > 0 && !s.Ended() {
				piece := rest[:min(size, len(rest))]
				took := s.Scan([]byte(piece))
				n, rest = n+took, rest[took:]
			}
			assert.Equal(t, len(body), n, fmt.Sprint(name, size))
		}
	}
}

// A read allocates nothing.
func TestConnAllocations(t *testing.T) {
	const response = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
	text := strings.NewReader("")
	c := egress.NewConn(textConn{text: text, size: 4096}, "shop.example", discard)
	p := make([]byte, 4096)
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		text.Reset(response)
		begin(c)
		n, err := c.Read(p)
		require.NoError(t, err)
		require.Len(t, response, n)
		c.End()
	}))
}
