// Package header has the rules for headers that users set on requests.
package header

import (
	"strings"
	"unicode/utf8"
)

// reserved are the keys of headers of the connection, which net/http sets or a proxy
// would act on (RFC 9110, sections 7.2, 7.6.1 and 8.6; RFC 7540, section 3.2.1),
// and of Proxy, which programs that are called by CGI may take for the setting of
// their own proxy (CVE-2016-5385).
var reserved = Keys(
	"Connection", "Content-Length", "Expect", "Host", "HTTP2-Settings", "Keep-Alive", "Proxy", "Proxy-Authenticate",
	"Proxy-Authorization", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "Upgrade",
)

// Key returns the same key for all header names that a receiver may not tell apart:
// names that differ in letter case only, and names that differ only in characters
// other than letters and digits, such as Webhook-Id and webhook_id, because CGI makes
// one variable of them (RFC 3875, section 4.1.18).
func Key(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'A' <= r && r <= 'Z':
			return r - 'A' + 'a'
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			return r
		}
		return '-'
	}, name)
}

// Keys returns the set of the keys of these names.
func Keys(names ...string) map[string]bool {
	keys := map[string]bool{}
	for _, name := range names {
		keys[Key(name)] = true
	}
	return keys
}

// Check returns the rule that the header breaks, as the end of a sentence such as
// "must be a token", or "" if a user may set it. A name with the [Key] of a reserved
// name is reserved as well.
func Check(name, value string) string {
	switch {
	case !ValidToken(name):
		return "must be a token (RFC 9110, section 5.6.2)"
	case reserved[Key(name)]:
		return "belongs to the connection and cannot be set"
	case !ValidValue(value) || !utf8.ValidString(value):
		return "must have a value in UTF-8 without control characters (RFC 9110, section 5.5)"
	}
	return ""
}

// Twice is the rule that a header breaks whose [Key] is that of another.
const Twice = `is there twice: header names have no letter case, and receivers may take "_" and the like for "-"`

// ValidToken reports whether s is a token of RFC 9110, section 5.6.2, as the names of
// headers and methods are.
func ValidToken(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '!', c == '#', c == '$', c == '%', c == '&', c == '\'', c == '*', c == '+',
			c == '-', c == '.', c == '^', c == '_', c == '`', c == '|', c == '~':
		default:
			return false
		}
	}
	return s != ""
}

// ValidValue reports whether s can be the value of a header: RFC 9110, section 5.5,
// without the obsolete folding. It need not be UTF-8.
func ValidValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
