package hookstest

import (
	"bytes"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// bufferSize is how many bytes each direction of a connection buffers. When there are
// more, the writer waits for the reader.
const bufferSize = 64 << 10

// A conn is one end of a connection in memory. It behaves as TCP does where that
// matters to HTTP. net.Pipe does not: it has no buffer, so two ends that write at the
// same time wait for each other for ever, and it has no reset.
type conn struct {
	local, remote net.Addr
	peer          *conn
	// mu guards what follows, at both ends; changed is signalled after each
	// change. A goroutine that waits for it is durably blocked in a synctest bubble.
	mu      *sync.Mutex
	changed *sync.Cond

	in        bytes.Buffer // written by the peer, not yet read
	closed    bool
	reset     bool // the peer went away with a reset
	linger    bool // false: Close resets the connection
	readStop  deadline
	writeStop deadline
}

// A deadline is a time after which reads or writes fail.
type deadline struct {
	passed bool
	timer  *time.Timer
}

// pipe returns the two ends of a connection.
func pipe(client, server net.Addr) (*conn, *conn) {
	mu := new(sync.Mutex)
	changed := sync.NewCond(mu)
	c := &conn{local: client, remote: server, mu: mu, changed: changed, linger: true}
	s := &conn{local: server, remote: client, mu: mu, changed: changed, linger: true}
	c.peer, s.peer = s, c
	return c, s
}

func (c *conn) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, c.fail("read", net.ErrClosed)
		case c.readStop.passed:
			return 0, c.fail("read", os.ErrDeadlineExceeded)
		case len(p) == 0:
			return 0, nil
		case c.in.Len() > 0:
			c.changed.Broadcast()
			return c.in.Read(p)
		case c.reset:
			return 0, c.fail("read", os.NewSyscallError("read", syscall.ECONNRESET))
		case c.peer.closed:
			return 0, io.EOF
		}
		c.changed.Wait()
	}
}

func (c *conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	written := 0
	for {
		switch {
		case c.closed:
			return written, c.fail("write", net.ErrClosed)
		case c.writeStop.passed:
			return written, c.fail("write", os.ErrDeadlineExceeded)
		case c.reset:
			return written, c.fail("write", os.NewSyscallError("write", syscall.ECONNRESET))
		case c.peer.closed:
			return written, c.fail("write", os.NewSyscallError("write", syscall.EPIPE))
		}
		n := min(len(p)-written, bufferSize-c.peer.in.Len())
		c.peer.in.Write(p[written : written+n])
		written += n
		if n > 0 {
			c.changed.Broadcast()
		}
		if written == len(p) {
			return written, nil
		}
		c.changed.Wait()
	}
}

func (c *conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return c.fail("close", net.ErrClosed)
	}
	c.closed = true
	c.peer.reset = !c.linger
	c.in = bytes.Buffer{}
	c.readStop.set(c, time.Time{})
	c.writeStop.set(c, time.Time{})
	c.changed.Broadcast()
	return nil
}

// SetLinger is that of [net.TCPConn] as far as 0 goes: Close then resets the
// connection.
func (c *conn) SetLinger(seconds int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.linger = seconds != 0
	return nil
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) SetDeadline(t time.Time) error      { return c.setDeadlines(t, &c.readStop, &c.writeStop) }
func (c *conn) SetReadDeadline(t time.Time) error  { return c.setDeadlines(t, &c.readStop) }
func (c *conn) SetWriteDeadline(t time.Time) error { return c.setDeadlines(t, &c.writeStop) }

func (c *conn) setDeadlines(t time.Time, deadlines ...*deadline) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return c.fail("set deadline", net.ErrClosed)
	}
	for _, d := range deadlines {
		d.set(c, t)
	}
	return nil
}

// set moves the deadline to t; the zero time is never. c.mu is held.
func (d *deadline) set(c *conn, t time.Time) {
	if d.timer != nil {
		d.timer.Stop()
	}
	*d = deadline{}
	if t.IsZero() {
		return
	}
	if d.passed = !t.After(time.Now()); d.passed {
		c.changed.Broadcast()
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(time.Until(t), func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if d.timer == timer { // else the deadline was moved meanwhile
			d.passed = true
			c.changed.Broadcast()
		}
	})
	d.timer = timer
}

// fail wraps an error as the connections of package net do.
func (c *conn) fail(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}
