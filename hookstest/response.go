package hookstest

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// A Response is what a [Receiver] does with one request. The functions of this package
// make responses, the methods of Response extend them, and a handler can be one:
//
//	hookstest.Status(429).Header("Retry-After", "120")
//	hookstest.Status(200).Body(`{"ok":`).ThenHang()
//	hookstest.Hang()
//	hookstest.Response(func(w http.ResponseWriter, r *http.Request) { … })
//	hookstest.Response(handler.ServeHTTP)
//
// It is called when the whole request has been received and recorded; r.Body reads the
// body that was received. r.Context() ends when the client goes away and when the
// receiver is closed. A response may be used several times, also concurrently.
type Response func(w http.ResponseWriter, r *http.Request)

// Status responds with a status, 200 to 999, and an empty body.
func Status(code int) Response {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// Redirect responds with a status, 301 for example, and a Location.
func Redirect(code int, location string) Response {
	return Status(code).Header("Location", location)
}

// Hang does not respond. It keeps the connection open until the client gives up or
// the receiver is closed.
func Hang() Response {
	return func(_ http.ResponseWriter, r *http.Request) { waitForEnd(r) }
}

// Reset resets the connection instead of responding: the client sees ECONNRESET. A
// Manager then makes the request once more within the same attempt, on a fresh
// connection.
func Reset() Response {
	return func(w http.ResponseWriter, _ *http.Request) { reset(w) }
}

// Garbage responds with a line that is not HTTP, and closes the connection.
func Garbage() Response {
	return func(w http.ResponseWriter, _ *http.Request) {
		c := takeOver(w)
		_, _ = io.WriteString(c, "220 mail.example.com ESMTP\r\n")
		_ = c.Close()
	}
}

// Header returns f with one more header.
func (f Response) Header(key, value string) Response {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add(key, value)
		f(w, r)
	}
}

// HugeHeader returns f with 1 MiB more of headers: X-Huge, 1024 times.
func (f Response) HugeHeader() Response {
	return func(w http.ResponseWriter, r *http.Request) {
		value := strings.Repeat("x", 1024-len("X-Huge: \r\n"))
		for range 1024 {
			w.Header().Add("X-Huge", value)
		}
		f(w, r)
	}
}

// After returns f with a delay of d before it.
func (f Response) After(d time.Duration) Response {
	return func(w http.ResponseWriter, r *http.Request) {
		sleep(r.Context(), d)
		f(w, r)
	}
}

// Body returns f with text at the end of the body.
func (f Response) Body(text string) Response {
	return func(w http.ResponseWriter, r *http.Request) {
		f(w, r)
		_, _ = io.WriteString(w, text) // It fails when the client has gone.
	}
}

// LargeBody returns f with that many bytes, each "x", at the end of the body. They are
// streamed without a Content-Length.
func (f Response) LargeBody(bytes int64) Response {
	return func(w http.ResponseWriter, r *http.Request) {
		f(w, r)
		flush(w)
		stream(w, bytes)
	}
}

// EndlessBody returns f with a body that does not end: pieces of 1 KiB, each followed
// by a pause, until the client goes away or the receiver is closed. In a synctest
// bubble time stands still while bytes flow, so a client that has a limit of time but
// none of size reaches it only if the pause is above 0.
func (f Response) EndlessBody(pause time.Duration) Response {
	return func(w http.ResponseWriter, r *http.Request) {
		f(w, r)
		for {
			stream(w, 1024)
			flush(w)
			sleep(r.Context(), pause)
		}
	}
}

// ThenHang returns f without an end: after it the connection stays open and nothing
// more comes, until the client gives up or the receiver is closed. The body has no
// Content-Length, so the client goes on waiting for it.
func (f Response) ThenHang() Response {
	return func(w http.ResponseWriter, r *http.Request) {
		f(w, r)
		flush(w)
		waitForEnd(r)
	}
}

// ThenReset returns f with a reset of the connection after it, before the body is
// complete.
func (f Response) ThenReset() Response {
	return func(w http.ResponseWriter, r *http.Request) {
		f(w, r)
		flush(w)
		reset(w)
	}
}

// endless reads as "x" for ever.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// stream writes n bytes, or drops the connection if the client has gone.
func stream(w http.ResponseWriter, n int64) {
	if _, err := io.CopyN(w, endless{}, n); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// flush sends what has been written, or drops the connection if the client
// has gone.
func flush(w http.ResponseWriter) {
	if err := http.NewResponseController(w).Flush(); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// sleep waits for d, and drops the connection if the client or the receiver
// has gone by then.
func sleep(ctx context.Context, d time.Duration) {
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	if ctx.Err() != nil {
		panic(http.ErrAbortHandler)
	}
}

// waitForEnd waits until the client has gone or the receiver is closed, and drops the
// connection, because a return would complete the response.
func waitForEnd(r *http.Request) {
	<-r.Context().Done()
	panic(http.ErrAbortHandler)
}

// takeOver hijacks the connection from the server.
func takeOver(w http.ResponseWriter) net.Conn {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err) // The receiver has HTTP/1 only, where it cannot fail.
	}
	return c
}

// reset closes the connection without lingering, which sends the RST segment of TCP.
func reset(w http.ResponseWriter) {
	c := takeOver(w)
	if wrapped, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = wrapped.NetConn() // TLS would send close_notify first.
	}
	if tcp, ok := c.(interface{ SetLinger(int) error }); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}
