package hooks

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"code.dny.dev/ssrf"
)

// A guard is the egress policy: which addresses hooks may reach. It refuses
// every special-purpose address of the IANA registries and, of IPv6, whatever
// lies outside 2000::/3, which is where the forms that embed an IPv4 address
// are (IPv4-mapped and -compatible, SIIT, NAT64); 6to4 and Teredo are in the
// registry. The networks that the host allows come first.
//
// Two checks apply the policy. parseURL and checkLiteral look at a URL when it
// is stored, to tell its author early. control looks at each address that is
// dialled, whatever the name resolved to this time; it is the one that
// protects. A guard does not change and may be used concurrently.
type guard struct {
	allow     []netip.Prefix
	registry  *ssrf.Guardian
	allowHTTP bool
}

// azureWireServer is where Azure machines reach the platform's own services: a
// public address, in no registry, but link-local in effect.
// https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
var azureWireServer = netip.MustParsePrefix("168.63.129.16/32")

// newGuard makes the guard of a Manager. allow lists the CIDRs and addresses
// that are permitted although they are special; a bad one is an
// [InvalidError]. Without allowHTTP, parseURL accepts https only.
func newGuard(allow []string, allowHTTP bool) (*guard, error) {
	g := &guard{
		registry:  ssrf.New(ssrf.WithDeniedV4Prefixes(azureWireServer)),
		allowHTTP: allowHTTP,
	}
	for i, s := range allow {
		p, err := parseNetwork(s)
		if err != nil {
			return nil, &InvalidError{Field: fmt.Sprintf("config.allowNetworks[%d]", i), Reason: err.Error()}
		}
		g.allow = append(g.allow, p)
	}
	return g, nil
}

// parseNetwork reads a CIDR or a single address. An IPv4-mapped one becomes
// plain IPv4, the form that permits compares.
func parseNetwork(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if addr, addrErr := netip.ParseAddr(s); addrErr == nil && addr.Zone() == "" {
		p, err = netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	if err != nil {
		return p, fmt.Errorf("must be a CIDR such as 10.1.0.0/16 or an IP address, not %q", s)
	}
	if p != p.Masked() {
		return p, fmt.Errorf("must not have bits beyond the prefix length: %s is in %s", s, p.Masked())
	}
	if p.Addr().Is4In6() {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p, nil
}

// permits reports whether the policy lets connections to addr through.
//
// Dialling an IPv4-mapped address (::ffff:10.0.0.1) reaches the IPv4 address
// itself, so it is permitted if the host allows that one. Every other form
// that embeds an IPv4 address is judged as the IPv6 address that it is: who
// allows 10.0.0.0/8 has not allowed 64:ff9b::10.0.0.1.
func (g *guard) permits(addr netip.Addr) bool {
	target := addr.Unmap()
	allowed := slices.ContainsFunc(g.allow, func(p netip.Prefix) bool { return p.Contains(target) })
	return allowed || g.registry.SafeAddr(addr) == nil
}

// A blockedError is a connection that the egress policy refused.
type blockedError struct{ reason string }

func (e *blockedError) Error() string { return "egress policy forbids " + e.reason }

// control checks the address that is about to be dialled. It is for
// [net.Dialer].ControlContext. What it refuses is a *blockedError.
func (g *guard) control(_ context.Context, network, address string, _ syscall.RawConn) error {
	if network != "tcp4" && network != "tcp6" {
		return &blockedError{fmt.Sprintf("network %q: only TCP is permitted", network)}
	}
	dst, err := netip.ParseAddrPort(address)
	if err != nil {
		return &blockedError{fmt.Sprintf("%q: not an IP address with a port", address)}
	}
	if !g.permits(dst.Addr()) {
		return &blockedError{notPublic(dst.Addr())}
	}
	return nil
}

func notPublic(addr netip.Addr) string {
	return addr.String() + ", which is not a public address, unless Config.AllowNetworks lists it"
}

// maxURL bounds the URL of a hook, in bytes.
const maxURL = 2048

// parseURL parses the URL of a hook and checks it: an absolute http or https
// URL of at most 2048 ASCII characters, without userinfo and fragment, whose
// host is a DNS name or an address that the policy permits. Its errors are
// [InvalidError]s, and do not repeat the URL, which may hold credentials.
func (g *guard) parseURL(raw string) (*url.URL, error) {
	if len(raw) > maxURL {
		return nil, invalidURL("must have at most %d bytes", maxURL)
	}
	if strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, invalidURL("must be printable ASCII without spaces: " +
			"percent-encode other characters, and write the host in Punycode")
	}
	if strings.Contains(raw, "#") {
		return nil, invalidURL("must not have a fragment")
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, invalidURL("must be a well-formed URL (RFC 3986)")
	}
	switch {
	case u.Scheme == "http" && !g.allowHTTP:
		return nil, invalidURL("must be https, unless the application allows http (Config.AllowHTTP)")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, invalidURL("must be an absolute http or https URL")
	case u.User != nil:
		return nil, invalidURL("must not have a user name or password")
	case !validPort(u):
		return nil, invalidURL("must have a port of 1 to 65535, or none and no colon before it")
	case !strings.HasPrefix(u.Host, "[") && !validName(u.Hostname()):
		return nil, invalidURL("must name a host by letters, digits, hyphens, underscores and dots, at most 253 in all and 63 between dots")
	}
	if err := g.checkHost(u); err != nil {
		return nil, err
	}
	return u, nil
}

// checkLiteral is the policy's part of parseURL alone, for protocols that
// store any text as a URL: it refuses http and https URLs whose host is an
// address that the policy forbids or that is written in an odd form.
func (g *guard) checkLiteral(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") {
		return nil // No request can be made of it.
	}
	return g.checkHost(u)
}

// checkHost checks the host of u if it is the literal of an address and no
// name. Programs differ in how they read odd literals such as 127.1 or
// 0177.0.0.1, so only the usual form is accepted.
func (g *guard) checkHost(u *url.URL) error {
	host, brackets := u.Hostname(), strings.HasPrefix(u.Host, "[")
	if !brackets && !strings.Contains(host, ":") && !endsInNumber(host) {
		return nil
	}
	addr, err := netip.ParseAddr(host)
	if err != nil || addr.Zone() != "" || addr.Is6() != brackets {
		return invalidURL("must write an IP address as in https://192.0.2.1/ or https://[2001:db8::1]/")
	}
	if !g.permits(addr) {
		return invalidURL("must not lead to %s", notPublic(addr))
	}
	return nil
}

// endsInNumber reports whether host is to be read as an IPv4 address and not
// as a name: its last label is a number, decimal or hexadecimal. The rule and
// its name are those of the WHATWG URL standard ("ends in a number"), which
// applies it after IDNA has mapped the host to ASCII. Instead of those tables: a
// last label with other characters is a number unless it starts with a letter,
// since what IDNA maps to digits is not letters.
func endsInNumber(host string) bool {
	host = strings.TrimSuffix(host, ".")
	last := strings.ToLower(host[strings.LastIndexByte(host, '.')+1:])
	if strings.ContainsFunc(last, func(r rune) bool { return r >= utf8.RuneSelf }) {
		first, _ := utf8.DecodeRuneInString(last)
		return !unicode.IsLetter(first)
	}
	digits := "0123456789"
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		last, digits = "0"+hex, "0123456789abcdef"
	}
	return last != "" && strings.Trim(last, digits) == ""
}

// validName reports whether host can be a DNS name (RFC 1035, section 2.3.4).
// Underscores are not for host names, but in use.
func validName(host string) bool {
	host = strings.TrimSuffix(host, ".")
	for label := range strings.SplitSeq(host, ".") {
		if len(label) < 1 || len(label) > 63 || strings.ContainsFunc(label, notInName) {
			return false
		}
	}
	return len(host) <= 253
}

func notInName(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
}

// validPort reports whether u has no port, or one that can be dialled.
func validPort(u *url.URL) bool {
	if u.Port() == "" {
		return !strings.HasSuffix(u.Host, ":")
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	return err == nil && port > 0
}

func invalidURL(format string, args ...any) error {
	return &InvalidError{Field: "url", Reason: fmt.Sprintf(format, args...)}
}
