package egress

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"syscall"
)

// An InvalidError refuses a URL or an element of a [Config].
type InvalidError struct {
	// Field is "url", or the element of the Config.
	Field string
	// Reason is the rule that it breaks, as the end of a sentence that starts with the
	// field. It does not repeat a URL, which may hold credentials.
	Reason string
	// Hint says which setting would permit it. It may be empty.
	Hint string
}

func (e *InvalidError) Error() string {
	return fmt.Sprintf("invalid %s: %s%s", e.Field, e.Reason, InParentheses(e.Hint))
}

// InParentheses returns the hint as the end of an error, or "" if there is none.
func InParentheses(hint string) string {
	if hint == "" {
		return ""
	}
	return " (" + hint + ")"
}

// A ForbiddenError says that the policy forbids a request.
type ForbiddenError struct {
	// Rule may be shown to the owner of the hook unless it is about an address.
	Rule string
	// Hint says which setting would permit it. It is for the operator, and may be empty.
	Hint string
	// Addr is the address that is forbidden. It is invalid if something else is.
	Addr netip.Addr
	// Resolved says that the host of the request is a name, which resolved to Addr.
	Resolved bool
}

func (e *ForbiddenError) Error() string {
	text := "the egress policy forbids it: "
	if e.Addr.IsValid() {
		text += e.Addr.String() + " "
	}
	return text + e.Rule + InParentheses(e.Hint)
}

// The failures of connections that an endpoint closes or that have TLS on one side only.
var (
	ErrClosed     = errors.New("the endpoint closed the connection")
	ErrExpectsTLS = errors.New("the endpoint expects TLS on this port: use https")
)

// A NoTLSError says that an endpoint does not speak TLS.
type NoTLSError struct{ text string }

func (e *NoTLSError) Error() string { return e.text }

// IsClosed reports whether err says that the endpoint has closed or reset the connection.
func IsClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
