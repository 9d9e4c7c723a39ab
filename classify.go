package hooks

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/seed-2c6e3a5a/hooks/internal/egress"
)

// classify returns the class of an error of net/http.
func classify(ctx context.Context, err error, other ErrorClass) ErrorClass {
	var forbidden *egress.ForbiddenError
	var dns *net.DNSError
	var op *net.OpError
	var timeout net.Error
	var certificate *tls.CertificateVerificationError
	var noTLS *egress.NoTLSError
	var alert tls.AlertError
	var authority x509.UnknownAuthorityError
	var hostname x509.HostnameError
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ClassInterrupted
	case errors.As(err, &forbidden) && !forbidden.Resolved:
		return ClassForbidden
	case forbidden != nil, errors.As(err, &dns) && !dns.IsTimeout:
		return ClassDNS
	case ctx.Err() != nil, errors.As(err, &timeout) && timeout.Timeout():
		return ClassTimeout
	case errors.Is(err, egress.ErrExpectsTLS), errors.As(err, &noTLS), errors.As(err, &certificate), errors.As(err, &alert),
		errors.As(err, &authority), errors.As(err, &hostname):
		return ClassTLS
	case errors.As(err, &op) && op.Op == "remote error": // a TLS alert
		return ClassTLS
	case errors.As(err, &op), egress.IsClosed(err), errors.Is(err, egress.ErrClosed), errors.Is(err, io.ErrClosedPipe):
		return ClassConnect
	}
	return other
}

// plain makes an error fit for the attempt log, which the hook's owner may read:
// without the URL, which the log has already, without addresses of the application's
// network, without words about contexts, and safe to print. If the policy forbids the
// addresses of a name, the error is that of a name that does not exist, because hooks
// could find out otherwise which names the application's network has.
func plain(err error) error {
	forbidden, isForbidden := errAs[*egress.ForbiddenError](err)
	dns, isDNS := errAs[*net.DNSError](err)
	switch {
	case isForbidden && forbidden.Resolved, isDNS && !dns.IsTimeout:
		return errNoAddress
	case isForbidden && forbidden.Addr.IsValid():
		return errForbidden
	case isForbidden:
		return fmt.Errorf("the egress policy forbids it: %s", forbidden.Rule)
	case isDNS, errors.Is(err, context.DeadlineExceeded):
		return errTimeout
	case errors.Is(err, context.Canceled):
		return errInterrupted
	case errors.Is(err, egress.ErrExpectsTLS):
		return egress.ErrExpectsTLS
	case egress.IsClosed(err):
		return egress.ErrClosed
	}
	return printableError{withoutAddresses(err)}
}

// withoutAddresses returns the cause of an error of package net, whose own text begins
// with the addresses of both sides.
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
)
