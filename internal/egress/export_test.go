package egress

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"time"
)

// What tests reach that is not exported.

// DialFunc connects to one address.
type DialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// MaxDials is how many addresses of a name a connection tries.
const MaxDials = maxDials

// NewDialer returns a dialer under the policy. dial, if set, gets the function that connects
// to one address and returns another.
func NewDialer(p *Policy, dial func(DialFunc) DialFunc) DialFunc {
	d := newDialer(p)
	if dial != nil {
		d.dial = dial(d.dial)
	}
	return d.DialContext
}

// Race dials the targets as a dialer does that connects with dial.
func Race(ctx context.Context, dial DialFunc, targets ...string) (net.Conn, error) {
	return (&dialer{dial: dial}).race(ctx, "tcp", targets)
}

// Choose returns the addresses that are dialled.
func Choose(addrs []netip.Addr) []netip.Addr { return choose(addrs) }

// SetInterfaces replaces the addresses of this machine.
func (p *Policy) SetInterfaces(read func() ([]net.Addr, error), log *slog.Logger) {
	p.own = &ownAddrs{read: read, log: log}
}

// IsOwn reports whether an address is one of this machine.
func (p *Policy) IsOwn(addr netip.Addr) bool { return p.own.has(addr) }

// CheckHost checks the host of a URL.
func (p *Policy) CheckHost(u *url.URL) error { return p.checkHost(u) }

// FirstRequestWait is how long bytes wait for the first request of a connection.
const FirstRequestWait time.Duration = firstRequestWait

// NewConn returns a Conn that reports to the log.
func NewConn(c net.Conn, host string, log *slog.Logger) *Conn {
	return newConn(c, host, newHostLog(log))
}

// A ChunkScanner finds the end of a body in chunks.
type ChunkScanner struct{ chunkScanner }

// Scan returns how many of the bytes belong to the body.
func (s *ChunkScanner) Scan(b []byte) int { return s.scan(b) }

// Ended reports whether the end was found.
func (s *ChunkScanner) Ended() bool { return s.state == chunkEnded }

// ValidPort reports whether the URL has no port, or one that can be dialled.
func ValidPort(u *url.URL) bool { return validPort(u) }
