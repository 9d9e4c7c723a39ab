// Package pack has the forms in which the SQL stores keep headers and hooks.
package pack

import (
	"encoding/binary"
	"errors"
	"math"
	"net/http"
	"slices"
	"sync/atomic"
	"time"
)

// The headers of a request or a response are packed into few bytes, since there
// are two for each attempt, and most say the same: a text is one byte if it is
// common, an HTTP date five, and anything else its length and its bytes. A
// header is, for each name, the name, the number of its values, and these.

// common are texts that headers often have. The place of a text is stored: it
// stays, and new ones come at the end.
var common = []string{
	"Date", "Content-Length", "Content-Type", "Connection", "Server", "Cache-Control", "Vary", "Etag", "Expires",
	"Retry-After", "Location", "Set-Cookie", "Strict-Transport-Security", "X-Content-Type-Options", "X-Frame-Options",
	"X-Request-Id", "X-Powered-By", "Via", "Age", "Cf-Ray", "Alt-Svc", "Authorization", "User-Agent", "Pragma",
	"0", "2", "close", "keep-alive", "no-cache", "no-store", "nosniff", "Accept-Encoding", "nginx", "cloudflare",
	"[redacted]", "application/json", "application/json; charset=utf-8", "text/plain", "text/plain; charset=utf-8",
	"text/html", "text/html; charset=utf-8",
}

// The first byte of a text: one of these, or 2 and the place in common.
const (
	literal = iota
	date
	firstCommon
)

var placeOf = func() map[string]byte {
	places := make(map[string]byte, len(common))
	for i, s := range common {
		places[s] = byte(firstCommon + i)
	}
	return places
}()

// Header returns a header in few bytes, nil for an empty one.
func Header(h http.Header) []byte {
	if len(h) == 0 {
		return nil
	}
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names) // so that equal headers are equal bytes
	packed := make([]byte, 0, 64)
	for _, name := range names {
		packed = appendText(packed, name)
		packed = binary.AppendUvarint(packed, uint64(len(h[name])))
		for _, value := range h[name] {
			packed = appendText(packed, value)
		}
	}
	return packed
}

// appendText appends a text with its length before it.
func appendText(packed []byte, s string) []byte {
	if place, ok := placeOf[s]; ok {
		return append(packed, place)
	}
	if seconds, ok := parseDate(s); ok {
		return binary.BigEndian.AppendUint32(append(packed, date), seconds)
	}
	packed = binary.AppendUvarint(append(packed, literal), uint64(len(s)))
	return append(packed, s...)
}

// A parsedDate is an HTTP date and its Unix seconds.
type parsedDate struct {
	text    string
	seconds uint32
}

// lastDate is the date parsed last. Many responses in a row have the same.
var lastDate atomic.Pointer[parsedDate]

// parseDate returns the Unix seconds of an HTTP date in the form of RFC 9110,
// section 5.6.7, if they make the same text again.
func parseDate(s string) (seconds uint32, ok bool) {
	if len(s) != len(http.TimeFormat) || s[len(s)-3:] != "GMT" {
		return 0, false
	}
	if last := lastDate.Load(); last != nil && last.text == s {
		return last.seconds, true
	}
	t, err := time.Parse(http.TimeFormat, s)
	if err != nil || t.Unix() < 0 || t.Unix() > math.MaxUint32 {
		return 0, false
	}
	seconds = uint32(t.Unix()) //nolint:gosec // It fits.
	if formatDate(seconds) != s {
		return 0, false
	}
	lastDate.Store(&parsedDate{s, seconds})
	return seconds, true
}

// formatDate returns a time in the form of the header Date.
func formatDate(seconds uint32) string {
	return time.Unix(int64(seconds), 0).UTC().Format(http.TimeFormat)
}

var errHeader = errors.New("a stored header is damaged")

// UnpackHeader is the inverse of Header. The error says that the bytes are none of it.
func UnpackHeader(packed []byte) (http.Header, error) {
	if len(packed) == 0 {
		return nil, nil
	}
	h := http.Header{}
	for len(packed) > 0 {
		name, rest, err := cutText(packed)
		if err != nil {
			return nil, err
		}
		count, n := binary.Uvarint(rest)
		if n <= 0 || count > uint64(len(rest)) {
			return nil, errHeader
		}
		packed = rest[n:]
		values := make([]string, count)
		for i := range values {
			if values[i], packed, err = cutText(packed); err != nil {
				return nil, err
			}
		}
		h[name] = values
	}
	return h, nil
}

// cutText reads a text off the front.
func cutText(packed []byte) (s string, rest []byte, err error) {
	if len(packed) == 0 {
		return "", nil, errHeader
	}
	kind, packed := packed[0], packed[1:]
	switch {
	case kind == literal:
		size, n := binary.Uvarint(packed)
		if n <= 0 || size > math.MaxInt32 || int(size) > len(packed)-n {
			return "", nil, errHeader
		}
		end := n + int(size)
		return string(packed[n:end]), packed[end:], nil
	case kind == date && len(packed) >= 4:
		return formatDate(binary.BigEndian.Uint32(packed)), packed[4:], nil
	case kind >= firstCommon && int(kind) < firstCommon+len(common):
		return common[kind-firstCommon], packed, nil
	}
	return "", nil, errHeader
}
