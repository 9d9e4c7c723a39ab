package hooks

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// net/http writes what an endpoint sends unasked to the standard log, as often as
// the endpoint likes, and has no setting for that. So it must not see such bytes: a
// watchedConn keeps them back and tells the operator instead.

// A watchedConn is a connection that speaks HTTP/1. Each Read gives the bytes of
// one part of a response at most, so that those behind the response's end, which
// net/http would have read along with it, stay here. When net/http reads on though
// no request is under way, the connection is at its end.
type watchedConn struct {
	net.Conn
	in   *bufio.Reader
	host string
	log  *hostLog
	// underWay counts the requests that have got the connection and have not
	// given it back. For a moment there may be two: net/http says that one has
	// given it back after it has given it to the next.
	underWay atomic.Int32
	// written is closed when the first request is.
	written chan struct{}
	once    sync.Once

	// What follows belongs to the one goroutine that reads at a time.
	part responsePart
	// rest is how much of the body is to come, in bytes.
	rest  int64
	chunk chunkScanner
	// lineIsEmpty says that nothing of the header line has come yet, which is
	// not so at the beginning.
	lineIsEmpty bool
}

// An responsePart is what of a response comes next on a connection.
type responsePart int

const (
	partHeader  responsePart = iota
	partBody                 // of known length
	partChunks               // a body in chunks
	partUnknown              // a body that ends with the connection
)

func (l *hostLog) watch(c net.Conn, host string) *watchedConn {
	return &watchedConn{Conn: c, in: bufio.NewReader(c), host: host, log: l, written: make(chan struct{})}
}

func (c *watchedConn) Read(p []byte) (int, error) {
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
	next, _ := c.in.Peek(c.in.Buffered()) // which is there
	if c.waitForFirst(); c.underWay.Load() == 0 {
		c.reportUnsolicited(next)
		return 0, io.EOF
	}
	next = next[:min(len(next), len(p))]
	switch c.part {
	case partHeader:
		if bytes.HasPrefix(next, []byte{0x15, 0x03}) { // an alert of TLS (RFC 8446, section 5.1)
			return 0, errExpectsTLS
		}
		next = next[:c.lineEnd(next)]
	case partChunks:
		if c.chunk.state == chunkEnded {
			// Trailers end at two CRLF for net/http, at lines that end with LF alone for
			// us. It would keep what it reads to find them, and take it for unsolicited.
			return 0, io.EOF
		}
		next = next[:c.chunk.scan(next)]
	}
	n := copy(p, next)
	_, _ = c.in.Discard(n) // It is there.
	return n, nil
}

// Write is called when a request is under way.
func (c *watchedConn) Write(p []byte) (int, error) {
	c.once.Do(func() { close(c.written) })
	return c.Conn.Write(p)
}

// firstRequestWait is how long bytes wait for the first request of a connection, which
// is about to be written unless another connection came earlier.
const firstRequestWait = time.Second

// waitForFirst waits until the first request is being written. What an endpoint sends
// as soon as it is connected is a response to that, or the reason why there is none.
func (c *watchedConn) waitForFirst() {
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

// lineEnd returns how many bytes of b come before the end of a header, an empty
// line, and with it; all if it is not in b. It may see an end where net/http sees
// none, which does no harm, because the header goes on with the next Read.
func (c *watchedConn) lineEnd(b []byte) int {
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

// expect says what body follows, after the header of a response has been read. An
// answer without one has given the connection back already.
func (c *watchedConn) expect(method string, res *http.Response) {
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

// take is called when a request gets the connection.
func (c *watchedConn) take() { c.underWay.Add(1) }

// giveBack is called when a response has been read, by the goroutine that reads
// what follows.
func (c *watchedConn) giveBack() {
	c.part, c.lineIsEmpty = partHeader, false
	c.underWay.Add(-1)
}

// reportUnsolicited tells the operator of bytes that belong to no response. A server
// may say that it closes an idle connection, by a 408 (RFC 9110, section 15.5.9).
func (c *watchedConn) reportUnsolicited(b []byte) {
	if bytes.HasPrefix(b, []byte("HTTP/1.1 408")) || bytes.HasPrefix(b, []byte("HTTP/1.0 408")) {
		return
	}
	const told = 200
	c.log.warn(c.host, "hooks: an endpoint sent bytes that belong to no response; the connection is closed",
		"bytes", printable(string(b[:min(len(b), told)])))
}

// A chunkScanner finds the end of a body in chunks (RFC 9112, section 7.1). Its
// zero value is at the beginning of one.
type chunkScanner struct {
	state chunkState
	size  int // of the chunk, what has not come of it
	// lineIsEmpty says that nothing of the trailer's line has come yet.
	lineIsEmpty bool
}

type chunkState int

const (
	chunkSize chunkState = iota
	chunkExtension
	chunkData
	chunkDataEnd
	chunkTrailer
	chunkEnded
)

// scan returns how many of the bytes, which come before the end, belong to the body.
func (s *chunkScanner) scan(b []byte) int {
	for i := 0; i < len(b); i++ {
		if s.state == chunkData && s.size > 0 {
			n := min(s.size, len(b)-i)
			s.size -= n
			i += n - 1
			continue
		}
		if s.next(b[i]); s.state == chunkEnded {
			return i + 1
		}
	}
	return len(b)
}

// next takes a byte that is no data.
func (s *chunkScanner) next(char byte) {
	digit := strings.IndexByte("0123456789abcdef", char|0x20)
	switch {
	case s.state == chunkSize && digit >= 0:
		s.size = min(s.size, math.MaxInt>>4)<<4 | digit // Nobody reads to the end of one that does not fit.
	case (s.state == chunkSize || s.state == chunkExtension) && char == '\n':
		s.state = chunkData
		if s.size == 0 {
			s.state, s.lineIsEmpty = chunkTrailer, true
		}
	case s.state == chunkSize:
		s.state = chunkExtension
	case s.state == chunkData: // the \r behind it
		s.state = chunkDataEnd
	case s.state == chunkDataEnd:
		s.state = chunkSize
	case s.state == chunkTrailer && char == '\n':
		if s.lineIsEmpty {
			s.state = chunkEnded
		}
		s.lineIsEmpty = true
	case s.state == chunkTrailer && char != '\r':
		s.lineIsEmpty = false
	}
}

// A connector makes the connections of a transport.
type connector struct {
	dial func(ctx context.Context, network, address string) (net.Conn, error)
	tls  *tls.Config
	log  *hostLog
}

// DialContext is for [net/http.Transport].DialContext.
func (d *connector) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := d.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return d.log.watch(conn, hostOf(address)), nil
}

// DialTLSContext is for [net/http.Transport].DialTLSContext. For HTTP/2, net/http
// needs the connection to be a *tls.Conn.
func (d *connector) DialTLSContext(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, maxTimeout) // net/http takes the request's away.
	defer cancel()
	raw, err := d.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	cfg := d.tls.Clone()
	if cfg.ServerName == "" {
		cfg.ServerName = hostOf(address)
	}
	conn := tls.Client(raw, cfg)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, handshakeError(err)
	}
	if speaksHTTP2(conn) {
		return conn, nil
	}
	return d.log.watch(conn, hostOf(address)), nil
}

func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}

// handshakeError says what an endpoint does that does not speak TLS.
func handshakeError(err error) error {
	switch record, ok := errAs[tls.RecordHeaderError](err); {
	case ok && string(record.RecordHeader[:]) == "HTTP/":
		return &noTLSError{"the endpoint speaks HTTP without TLS on this port"}
	case ok:
		return &noTLSError{"the endpoint does not speak TLS on this port"}
	case isClosed(err):
		return fmt.Errorf("%w in the TLS handshake; perhaps it does not speak TLS on this port", errClosed)
	}
	return err
}

// A noTLSError is a handshake that the endpoint answered with something else.
type noTLSError struct{ text string }

func (e *noTLSError) Error() string { return e.text }
