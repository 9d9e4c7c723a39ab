package hooks

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/seed-2c6e3a5a/hooks/internal/egress"
	"github.com/seed-2c6e3a5a/hooks/internal/header"
)

// roundTrip makes the request once. It reports whether the connection was lost
// before a response began.
func roundTrip(ctx context.Context, transport *http.Transport, r Request) (response Response, lost bool) {
	t := tries.Get().(*try)
	defer func() { t.close(response.Err == nil) }()
	req := t.newRequest(ctx, r)
	res, err := transport.RoundTrip(req)
	if err != nil {
		response.Err, lost = t.failure(ctx, req, err)
		return response, lost
	}
	defer func() { _ = res.Body.Close() }()
	response = Response{Status: res.StatusCode, Header: res.Header}
	t.expectBody(req.Method, res)
	if res.StatusCode == http.StatusSwitchingProtocols {
		return response, false // What follows is not HTTP, and has no end.
	}
	response.Body, response.Truncated, err = readBounded(res.Body, r.MaxResponse)
	if err != nil {
		class := classify(ctx, err, ClassBody)
		if class == ClassConnect {
			class = ClassBody
		}
		response = response.failedWith(class, fmt.Errorf("the response broke off: %w", plain(err)))
	}
	return response, false
}

// A try is a request on one connection. It watches the connection, to distinguish one
// that is closed before a response begins from all other failures.
//
// net/http could repeat requests by itself, but does so on one idle connection after
// another, and for HTTP/2 on new ones without end. So it is stopped: it calls GetBody
// before it repeats a request with a body, and a request without one is cancelled when
// net/http takes a second connection for it. Either ends the try with errUnprocessed.
type try struct {
	trace httptrace.ClientTrace
	// cancel ends the context of a request without a body. It is nil for others.
	cancel context.CancelCauseFunc

	// conn is nil while there is no connection. reused says that it has carried
	// requests before.
	conn   net.Conn
	reused bool
	// responding says that the first byte of a response has come.
	responding atomic.Bool
}

var tries = sync.Pool{New: func() any {
	t := new(try)
	t.trace.GotConn, t.trace.GotFirstResponseByte, t.trace.PutIdleConn = t.gotConn, t.gotFirstByte, t.putIdleConn
	return t
}}

// newRequest returns the request of the try. It can be used once.
func (t *try) newRequest(ctx context.Context, r Request) *http.Request {
	if len(r.Body) == 0 {
		ctx, t.cancel = context.WithCancelCause(ctx)
	}
	req := (&http.Request{
		Method: cmp.Or(r.Method, http.MethodPost), URL: r.URL, Host: r.URL.Host, Header: r.Header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(httptrace.WithClientTrace(ctx, &t.trace))
	if req.Header == nil {
		req.Header = http.Header{}
	}
	if len(r.Body) > 0 {
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(r.Body)), int64(len(r.Body))
		req.GetBody = func() (io.ReadCloser, error) { return nil, errUnprocessed }
	}
	return req
}

// close frees what the try holds, after the response has been read. After a failure,
// net/http may still call the try, which is then not used again.
func (t *try) close(succeeded bool) {
	if t.cancel != nil {
		t.cancel(nil)
	}
	if succeeded {
		t.cancel, t.conn, t.reused = nil, nil, false
		t.responding.Store(false)
		tries.Put(t)
	}
}

// gotConn is called when net/http is about to use a connection.
func (t *try) gotConn(info httptrace.GotConnInfo) {
	if c, ok := info.Conn.(*egress.Conn); ok {
		c.Begin()
	}
	if t.conn == nil || t.cancel == nil {
		t.conn, t.reused = info.Conn, info.Reused
		return
	}
	t.cancel(errUnprocessed)
	// HTTP/1 writes the request all the same; HTTP/2 does not, and shares the
	// connection with others.
	if !egress.SpeaksHTTP2(info.Conn) {
		_ = info.Conn.Close()
	}
}

func (t *try) gotFirstByte() { t.responding.Store(true) }

// expectBody is called before the body of the response is read.
func (t *try) expectBody(method string, res *http.Response) {
	if c, ok := t.conn.(*egress.Conn); ok {
		c.ExpectBody(method, res)
	}
}

// putIdleConn is called when the response has been read and the connection is kept.
func (t *try) putIdleConn(err error) {
	if c, ok := t.conn.(*egress.Conn); ok && err == nil {
		c.End()
	}
}

// errUnprocessed ends a try that net/http would repeat, because the request cannot have
// been processed, or the connection had carried others.
var errUnprocessed = errors.New("the endpoint closed the connection, or refused the HTTP/2 stream, before it responded")

// errClosedEarly is what a server that expects TLS may do.
var errClosedEarly = errors.New("the endpoint closed the connection before it responded; perhaps it expects TLS on this port (https)")

// A streamError has the fields of net/http's error for one HTTP/2 stream, which
// [errors.As] converts to any type that has them.
type streamError struct {
	StreamID uint32
	Code     streamErrorCode
	Cause    error
}

type streamErrorCode uint32

func (e streamError) Error() string { return fmt.Sprintf("HTTP/2 stream error %d", e.Code) }

// failure says why the try failed, and whether the connection was lost before a
// response began.
func (t *try) failure(ctx context.Context, req *http.Request, err error) (f *AttemptError, lost bool) {
	unprocessed := errors.Is(err, errUnprocessed)
	if errors.Is(context.Cause(req.Context()), errUnprocessed) { // where err may be that of the context
		err, unprocessed = errUnprocessed, true
	}
	var (
		overHTTP2 = egress.SpeaksHTTP2(t.conn)
		silent    = t.conn != nil && !t.responding.Load()
		stream    streamError
		ofStream  = errors.As(err, &stream)
		class     = classify(ctx, err, ClassHTTP)
	)
	switch {
	case class != ClassHTTP:
	case !wellFormed(req):
		class = ClassRequest
	case unprocessed && overHTTP2:
		class = ClassRefused
	case ofStream && stream.Cause != nil && stream.Cause.Error() == fromPeer:
		class = ClassHTTP2
	case unprocessed, silent && t.reused && !overHTTP2, slices.Contains(closedConnections, err.Error()):
		class = ClassConnect
	case silent && overHTTP2 && !ofStream:
		class = ClassHTTP2
	}
	why := plain(err)
	if class == ClassConnect && silent && req.URL.Scheme == "http" {
		why = errClosedEarly
	}
	lost = silent && (class == ClassConnect || class == ClassRefused || class == ClassHTTP2 && !ofStream)
	return &AttemptError{Class: class, Err: why}, lost
}

// wellFormed reports whether net/http would send the request.
func wellFormed(r *http.Request) bool {
	for name, values := range r.Header {
		if !header.ValidToken(name) || slices.ContainsFunc(values, func(v string) bool { return !header.ValidValue(v) }) {
			return false
		}
	}
	return header.ValidToken(r.Method)
}

// What follows are texts of errors of net/http that have no type and no exported
// variable to be known by.

// fromPeer is the cause of a streamError that the endpoint sent. Others are about
// a response that is not valid.
const fromPeer = "received from peer"

var closedConnections = []string{
	"http: server closed idle connection",
	"http2: client conn could not be established",
	"http2: client connection lost",
}
