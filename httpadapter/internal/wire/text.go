package wire

import (
	"net/url"
	"path"
	"strings"

	"github.com/seed-2c6e3a5a/hooks/internal/escape"
)

// Origin returns a text such as "https://api.example.com" in the form that
// browsers give an origin in (RFC 6454, section 6.1): in lower case, and without
// the default port of the scheme. It returns false if the text is no http or https
// origin.
func Origin(text string) (string, bool) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || *u != (url.URL{Scheme: u.Scheme, Host: u.Host}) || (u.Scheme != "http" && u.Scheme != "https") {
		return "", false
	}
	host := strings.ToLower(u.Host)
	defaultPort := map[string]string{"http": ":80", "https": ":443"}[u.Scheme]
	return u.Scheme + "://" + strings.TrimSuffix(host, defaultPort), true
}

// SplitBase splits a URL such as "https://api.example.com/webhooks" into its origin,
// in the form of [Origin], and its path, which may be empty and has no slash at its
// end. It returns false if the text is no such URL.
func SplitBase(text string) (origin, prefix string, ok bool) {
	u, err := url.Parse(text)
	if err != nil {
		return "", "", false
	}
	prefix = u.EscapedPath()
	clean := prefix == "" || prefix != "/" && path.Clean(u.Path) == u.Path && u.String() == text
	origin, ok = Origin(strings.TrimSuffix(text, prefix))
	return origin, prefix, ok && clean
}

// maxShownURL bounds what errors show of a URL, in bytes.
const maxShownURL = 256

// ShownURL is what errors and logs show of a text that is meant to be a URL: nothing
// that may be a user, a password, a query or a fragment, in whatever form.
func ShownURL(text string) string {
	const redacted = "[redacted]"
	if scheme, rest, ok := strings.Cut(text, "://"); containsFold(text, "@", "%40") {
		// Who knows where userinfo would begin: nothing but a scheme is shown.
		if text = redacted; ok && (scheme == "http" || scheme == "https") && containsFold(rest, "@", "%40") {
			text = scheme + "://" + redacted
		}
	} else if i := indexFold(text, "?", "#", "%3f", "%23"); i >= 0 {
		text = text[:i] + redacted
	}
	return escape.Unprintable(text, maxShownURL)
}

func containsFold(s string, parts ...string) bool { return indexFold(s, parts...) >= 0 }

// indexFold returns where the first of the parts, which are in lower case and ASCII, is
// in s, or -1.
func indexFold(s string, parts ...string) int {
	for i := range s {
		for _, part := range parts {
			if len(s)-i >= len(part) && strings.EqualFold(s[i:i+len(part)], part) {
				return i
			}
		}
	}
	return -1
}
