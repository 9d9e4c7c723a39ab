package hooks

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
)

// classify finds the kind of an error of net/http.
func classify(ctx context.Context, err error, other ErrorClass) ErrorClass {
	var blocked *blockedError
	var dns *net.DNSError
	var op *net.OpError
	var timeout net.Error
	var certificate *tls.CertificateVerificationError
	var noTLS *noTLSError
	var alert tls.AlertError
	var authority x509.UnknownAuthorityError
	var hostname x509.HostnameError
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ClassInterrupted
	case errors.As(err, &blocked) && !blocked.ofName:
		return ClassForbidden
	case blocked != nil, errors.As(err, &dns) && !dns.IsTimeout:
		return ClassDNS
	case ctx.Err() != nil, errors.As(err, &timeout) && timeout.Timeout():
		return ClassTimeout
	case errors.Is(err, errExpectsTLS), errors.As(err, &noTLS), errors.As(err, &certificate), errors.As(err, &alert),
		errors.As(err, &authority), errors.As(err, &hostname):
		return ClassTLS
	case errors.As(err, &op) && op.Op == "remote error": // a TLS alert
		return ClassTLS
	case errors.As(err, &op), isClosed(err), errors.Is(err, errClosed), errors.Is(err, io.ErrClosedPipe):
		return ClassConnect
	}
	return other
}

// plain makes an error fit for the attempt log, which the hook's owner may read:
// without the URL, which the log has, without addresses of the application's network,
// without words about contexts, and safe to print. What the policy decided about
// the addresses of a name looks like a name that does not exist: else a hook could
// find out which names the application's network has.
func plain(err error) error {
	blocked, isBlocked := errAs[*blockedError](err)
	dns, isDNS := errAs[*net.DNSError](err)
	switch {
	case isBlocked && blocked.ofName, isDNS && !dns.IsTimeout:
		return errNoAddress
	case isBlocked && blocked.addr.IsValid():
		return errForbidden
	case isBlocked:
		return fmt.Errorf("the egress policy forbids it: %s", blocked.rule)
	case isDNS, errors.Is(err, context.DeadlineExceeded):
		return errTimeout
	case errors.Is(err, context.Canceled):
		return errInterrupted
	case errors.Is(err, errExpectsTLS):
		return errExpectsTLS
	case isClosed(err):
		return errClosed
	}
	return printableError{withoutAddresses(err)}
}

// isClosed reports whether the endpoint has closed or reset the connection.
func isClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// withoutAddresses returns what an error of the network is about. Its own text
// begins with the addresses of both sides.
func withoutAddresses(err error) error {
	op, ok := errAs[*net.OpError](err)
	if !ok {
		return err
	}
	for {
		inner, ok := errAs[*net.OpError](op.Err)
		if !ok {
			return fmt.Errorf("%s: %w", op.Op, op.Err)
		}
		op = inner
	}
}

var (
	errForbidden   = errors.New("the egress policy forbids the address of the host")
	errNoAddress   = errors.New("the host name has no address that requests may go to")
	errTimeout     = errors.New("no complete response in time")
	errInterrupted = errors.New("the sender stopped before the response was complete")
	errClosed      = errors.New("the endpoint closed the connection")
	errExpectsTLS  = errors.New("the endpoint expects TLS on this port: use https")
)
