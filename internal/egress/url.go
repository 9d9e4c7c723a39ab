package egress

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxURL bounds the URL of a hook, in bytes.
const MaxURL = 2048

// ParseURL parses the URL of a hook and checks it: an absolute http or https
// URL of at most 2048 ASCII characters, without userinfo and fragment, whose host
// is a DNS name or an address, and whose host and port the policy permits. Its
// errors are [InvalidError]s, and do not repeat the URL, which may hold credentials.
func (p *Policy) ParseURL(raw string) (*url.URL, error) {
	if len(raw) > MaxURL {
		return nil, invalidURL("must have at most %d bytes", MaxURL)
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
	case u.Scheme == "http" && !p.allowHTTP:
		return nil, &InvalidError{Field: "url", Reason: "must be https", Hint: hintHTTP}
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, invalidURL("must be an absolute http or https URL")
	case u.User != nil:
		return nil, invalidURL("must not have a user name or password")
	case !validPort(u):
		return nil, invalidURL("must have a port of 1 to 65535, or none and no colon before it")
	case !strings.HasPrefix(u.Host, "[") && !validName(u.Hostname()):
		return nil, invalidURL("must name a host by letters, digits, hyphens, underscores and dots, at most 253 in all and 63 between dots")
	}
	if err := p.checkPolicy(u); err != nil {
		return nil, err
	}
	return u, nil
}

// CheckLiteral applies the policy's part of ParseURL only, for protocols that store any text
// as a URL: it refuses http and https URLs whose host or port the policy forbids, or whose
// host is an address in an odd form.
func (p *Policy) CheckLiteral(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") {
		return nil // No request can be made of it.
	}
	return p.checkPolicy(u)
}

// checkPolicy checks the host and the port of u. It ignores a port that is no number.
func (p *Policy) checkPolicy(u *url.URL) error {
	if err := p.checkHost(u); err != nil {
		return err
	}
	if !p.allowHosts.has(u.Hostname()) {
		return &InvalidError{Field: "url", Reason: "must have a host that requests may go to", Hint: hintHosts}
	}
	if validPort(u) && u.Port() != "" {
		if port, _ := strconv.Atoi(u.Port()); !p.PermitsPort(port) {
			return &InvalidError{Field: "url", Reason: fmt.Sprintf("must not have the port %d, which belongs to another protocol", port), Hint: hintPorts}
		}
	}
	return nil
}

// checkHost checks the host of u if it is the literal of an address and no
// name. Programs differ in how they read odd literals such as 127.1 or
// 0177.0.0.1, so only the usual form is accepted.
func (p *Policy) checkHost(u *url.URL) error {
	host, brackets := u.Hostname(), strings.HasPrefix(u.Host, "[")
	if !brackets && !strings.Contains(host, ":") && !endsInNumber(host) {
		return nil
	}
	addr, err := netip.ParseAddr(host)
	if err != nil || addr.Zone() != "" || addr.Is6() != brackets {
		return invalidURL("must write an IP address as in https://192.0.2.1/ or https://[2001:db8::1]/")
	}
	if rule := p.refusal(addr); rule != "" {
		return &InvalidError{Field: "url", Reason: fmt.Sprintf("must not lead to %s, which %s", addr, rule), Hint: hintNetworks}
	}
	return nil
}

// endsInNumber reports whether host must be read as an IPv4 address and not as a name,
// because its last label is a decimal or hexadecimal number. The rule and its name are those
// of the WHATWG URL standard ("ends in a number"), which applies it after IDNA has mapped
// the host to ASCII. Without the tables of IDNA, a last label with other characters counts
// as a number unless it starts with a letter, because IDNA maps no letters to digits.
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
