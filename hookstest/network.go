package hookstest

import (
	"context"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
)

// A Network is a network in memory: listeners with host names, and a dialer that
// reaches them. Its zero value is an empty network. Its methods may be called
// concurrently.
//
// A goroutine that waits for a Network is durably blocked in the sense of
// testing/synctest, so that time goes on in a bubble. Use a Network in one bubble
// only.
type Network struct {
	mu        sync.Mutex
	listeners map[string]*listener
	dialled   int
}

// Listen returns a listener for all ports of a host. When the listener is closed, the
// host refuses connections until Listen is called for it again. While nothing calls
// Accept, Dial waits until its context ends. Listen panics if the host has a listener
// that is not closed.
func (n *Network) Listen(host string) net.Listener {
	n.mu.Lock()
	defer n.mu.Unlock()
	key := strings.ToLower(host)
	if l := n.listeners[key]; l != nil && !l.isClosed() {
		panic("hookstest: the host " + host + " is listening already")
	}
	if n.listeners == nil {
		n.listeners = map[string]*listener{}
	}
	l := &listener{host: host, accept: make(chan net.Conn), closed: make(chan struct{})}
	n.listeners[key] = l
	return l
}

// Dial connects to a host of the network; it has the type of
// [hooks.Config].Dial and of [net/http.Transport].DialContext. As with
// [net.Dialer], errors are of the type [*net.OpError]: around a
// [*net.DNSError] when there is no such host, around ECONNREFUSED when its
// listener is closed or when addr is an IP address that is not on the network.
func (n *Network) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	fail := func(err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: address(addr), Err: err}
	}
	refused := os.NewSyscallError("connect", syscall.ECONNREFUSED)
	if err := ctx.Err(); err != nil {
		return fail(err)
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fail(err)
	}
	n.mu.Lock()
	l := n.listeners[strings.ToLower(host)]
	n.dialled++
	// The port of the client only distinguishes connections.
	port := 1024 + n.dialled%60_000
	n.mu.Unlock()
	if l == nil {
		if _, err := netip.ParseAddr(host); err == nil {
			return fail(refused)
		}
		return nil, &net.OpError{Op: "dial", Net: network, Err: &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}}
	}
	if l.isClosed() {
		return fail(refused)
	}
	client, server := pipe(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: port}, address(addr))
	select {
	case l.accept <- server:
		return client, nil
	case <-l.closed:
		return fail(refused)
	case <-ctx.Done():
		return fail(ctx.Err())
	}
}

// A listener is a host of a Network.
type listener struct {
	host   string
	accept chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.accept:
		return c, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: net.ErrClosed}
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *listener) isClosed() bool {
	select {
	case <-l.closed:
		return true
	default:
		return false
	}
}

func (l *listener) Addr() net.Addr { return address(l.host) }

// An address is a host of a Network, with or without a port.
type address string

func (a address) Network() string { return "tcp" }
func (a address) String() string  { return string(a) }
