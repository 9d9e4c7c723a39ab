package egress

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-2c6e3a5a/hooks/internal/escape"
)

// A Conn is a connection that speaks HTTP/1, and keeps back what an endpoint sends without a
// request. net/http would write such bytes to the standard log, as often as the endpoint
// likes, and has no setting for that. A Conn logs them for the operator instead, at a limited
// rate.
//
// Each Read returns bytes of one part of a response only, so that bytes after the end of the
// response, which net/http would have read together with it, stay here. If net/http reads on
// while no request is under way, Read returns [io.EOF].
type Conn struct {
	net.Conn
	in   *bufio.Reader
	host string
	log  *hostLog
	// underWay counts the requests that use the connection. For a moment there may be
	// two, because net/http may begin the next request before it says that the one
	// before has ended.
	underWay atomic.Int32
	// written is closed when the first request is being written.
	written chan struct{}
	once    sync.Once

	// What follows is used by the goroutine that reads, which is one at a time.
	part responsePart
	// rest is how much of the body is to come, in bytes.
	rest  int64
	chunk chunkScanner
	// lineIsEmpty says that the header line has no characters so far. It is false at the
	// beginning of a header, which cannot end there.
	lineIsEmpty bool
}

// A responsePart is the part of a response that comes next on a connection.
type responsePart int

const (
	partHeader  responsePart = iota
	partBody                 // of known length
	partChunks               // a body in chunks
	partUnknown              // a body that ends with the connection
)

func newConn(c net.Conn, host string, log *hostLog) *Conn {
	return &Conn{Conn: c, in: bufio.NewReader(c), host: host, log: log, written: make(chan struct{})}
}

func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if c.part == partUnknown {
		return c.in.Read(p)
	}
	if c.part == partBody && c.rest > 0 {
		n, err := c.in.Read(p[:min(int64(len(p)), c.rest)])
		c.rest -= int64(n)
		return n, err
	}
	if _, err := c.in.Peek(1); err != nil {
		return 0, err
	}
	next, _ := c.in.Peek(c.in.Buffered()) // never fails
	if c.waitForFirst(); c.underWay.Load() == 0 {
		c.reportUnsolicited(next)
		return 0, io.EOF
	}
	next = next[:min(len(next), len(p))]
	switch c.part {
	case partHeader:
		if bytes.HasPrefix(next, []byte{0x15, 0x03}) { // an alert of TLS (RFC 8446, section 5.1)
			return 0, ErrExpectsTLS
		}
		next = next[:c.headerEnd(next)]
	case partChunks:
		if c.chunk.state == chunkEnded {
			// For net/http, trailers end at two CRLF; here they end at two LF as well.
			// net/http would read on to find its end, and take the bytes for unsolicited.
			return 0, io.EOF
		}
		next = next[:c.chunk.scan(next)]
	}
	n := copy(p, next)
	_, _ = c.in.Discard(n) // never fails
	return n, nil
}

// Write is called when a request is under way.
func (c *Conn) Write(p []byte) (int, error) {
	c.once.Do(func() { close(c.written) })
	return c.Conn.Write(p)
}

// firstRequestWait is how long bytes wait for the first request of a connection. That is
// about to be written, unless the request uses another connection that was ready earlier.
const firstRequestWait = time.Second

// waitForFirst waits until the first request is being written. What an endpoint sends as soon
// as it is connected is taken for the response to that request.
func (c *Conn) waitForFirst() {
	select {
	case <-c.written:
		return
	default:
	}
	timer := time.NewTimer(firstRequestWait)
	defer timer.Stop()
	select {
	case <-c.written:
	case <-timer.C:
	}
}

// headerEnd returns how many bytes of b belong to the header, which ends with an empty line.
// It may see an end where net/http sees none. That does no harm, because the next Read
// returns the rest.
func (c *Conn) headerEnd(b []byte) int {
	for i, char := range b {
		switch {
		case char == '\n' && c.lineIsEmpty:
			c.lineIsEmpty = false
			return i + 1
		case char == '\n':
			c.lineIsEmpty = true
		case char != '\r':
			c.lineIsEmpty = false
		}
	}
	return len(b)
}

// ExpectBody says which body follows, after the header of a response has been read. After a
// response without a body, End was called already.
func (c *Conn) ExpectBody(method string, res *http.Response) {
	switch {
	case method == http.MethodHead || res.ContentLength == 0:
	case res.ContentLength > 0:
		c.part, c.rest = partBody, res.ContentLength
	case slices.Equal(res.TransferEncoding, []string{"chunked"}):
		c.part, c.chunk = partChunks, chunkScanner{}
	default:
		c.part = partUnknown
	}
}

// Begin is called when a request begins to use the connection.
func (c *Conn) Begin() { c.underWay.Add(1) }

// End is called when the response was read, by the goroutine that reads what follows.
func (c *Conn) End() {
	c.part, c.lineIsEmpty = partHeader, false
	c.underWay.Add(-1)
}

// reportUnsolicited logs bytes that belong to no response. A server may send a 408 when it
// closes an idle connection (RFC 9110, section 15.5.9), which is not logged.
func (c *Conn) reportUnsolicited(b []byte) {
	if bytes.HasPrefix(b, []byte("HTTP/1.1 408")) || bytes.HasPrefix(b, []byte("HTTP/1.0 408")) {
		return
	}
	const maxLogged = 200
	c.log.warn(c.host, "hooks: an endpoint sent bytes that belong to no response; the connection is closed",
		"bytes", escape.Printable(string(b[:min(len(b), maxLogged)])))
}
