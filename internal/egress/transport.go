package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"
)

// A TransportConfig sets a transport up.
type TransportConfig struct {
	// Dial makes connections. Default: a dialer that keeps to the policy.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// TLS is for connections with TLS. Default: TLS 1.2 and later.
	TLS *tls.Config
	// KeepAlive keeps connections for later requests: at most MaxIdlePerHost for a host,
	// and twice as many in all.
	KeepAlive      bool
	MaxIdlePerHost int
	// MaxHeaderBytes bounds the header of a response.
	MaxHeaderBytes int64
}

// NewTransport returns a transport that makes connections under the policy.
func (p *Policy) NewTransport(c TransportConfig) *http.Transport {
	if c.Dial == nil {
		c.Dial = newDialer(p).DialContext
	}
	tlsConfig := c.TLS.Clone()
	if tlsConfig == nil {
		tlsConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	for _, protocol := range []string{"h2", "http/1.1"} {
		if !slices.Contains(tlsConfig.NextProtos, protocol) {
			tlsConfig.NextProtos = append(slices.Clip(tlsConfig.NextProtos), protocol)
		}
	}
	connect := &connector{c.Dial, tlsConfig.Clone(), p.log}
	return &http.Transport{
		Proxy:                  nil, // The policy is about the addresses that are dialled.
		DialContext:            connect.DialContext,
		DialTLSContext:         connect.DialTLSContext,
		TLSClientConfig:        tlsConfig,
		ForceAttemptHTTP2:      true,
		DisableKeepAlives:      !c.KeepAlive,
		DisableCompression:     true, // Bodies are bounded as they come.
		MaxIdleConns:           2 * c.MaxIdlePerHost,
		MaxIdleConnsPerHost:    c.MaxIdlePerHost,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: c.MaxHeaderBytes,
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
	return newConn(conn, hostOf(address), d.log), nil
}

// DialTLSContext is for [net/http.Transport].DialTLSContext. For HTTP/2, net/http
// needs the connection to be a *tls.Conn.
func (d *connector) DialTLSContext(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, maxConnectTime) // net/http removes the request's deadline.
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
	if SpeaksHTTP2(conn) {
		return conn, nil
	}
	return newConn(conn, hostOf(address), d.log), nil
}

func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}

// handshakeError says what the endpoint does if it does not speak TLS.
func handshakeError(err error) error {
	var record tls.RecordHeaderError
	switch ok := errors.As(err, &record); {
	case ok && string(record.RecordHeader[:]) == "HTTP/":
		return &NoTLSError{"the endpoint speaks HTTP without TLS on this port"}
	case ok:
		return &NoTLSError{"the endpoint does not speak TLS on this port"}
	case IsClosed(err):
		return fmt.Errorf("%w in the TLS handshake; perhaps it does not speak TLS on this port", ErrClosed)
	}
	return err
}

// SpeaksHTTP2 reports whether HTTP/2 was negotiated on the connection.
func SpeaksHTTP2(c net.Conn) bool {
	secure, ok := c.(*tls.Conn)
	return ok && secure.ConnectionState().NegotiatedProtocol == "h2"
}
