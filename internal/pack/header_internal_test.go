package pack

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// texts are those of headers, and what could be taken for one of them.
var texts = rapid.OneOf(
	rapid.SampledFrom(common),
	rapid.String(),
	rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 300), func(b []byte) string { return string(b) }),
	rapid.Map(rapid.SampledFrom(common), strings.ToLower),
	rapid.Custom(drawDate),
)

// drawDate draws an HTTP date, or something near to one.
func drawDate(t *rapid.T) string {
	at := time.Unix(rapid.Int64Range(-1, math.MaxUint32+1).Draw(t, "seconds"), 0).UTC()
	s := []byte(at.Format(rapid.SampledFrom([]string{
		http.TimeFormat, http.TimeFormat, http.TimeFormat, time.RFC850, time.ANSIC, time.RFC1123, time.RFC1123Z,
	}).Draw(t, "layout")))
	if rapid.Bool().Draw(t, "damaged") {
		i := rapid.IntRange(0, len(s)-1).Draw(t, "place")
		s[i] = rapid.SampledFrom([]byte("0123456789 ,:GMTmonSun")).Draw(t, "byte")
	}
	return string(s)
}

var headers = rapid.Map(
	rapid.MapOfN(texts, rapid.SliceOfN(texts, 0, 5), 0, 20),
	func(m map[string][]string) http.Header { return m },
)

// equal reports whether headers are the same to the contract of stores, which
// does not tell nil from empty.
func equal(a, b http.Header) bool {
	if len(a) != len(b) {
		return false
	}
	for name, values := range a {
		others, ok := b[name]
		if !ok || len(values) != len(others) {
			return false
		}
		for i := range values {
			if values[i] != others[i] {
				return false
			}
		}
	}
	return true
}

func TestHeadersComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		h := headers.Draw(t, "header")
		packed := Header(h)
		got, err := UnpackHeader(packed)
		if err != nil || !equal(h, got) {
			t.Fatalf("%q came back as %q: %v", h, got, err)
		}
		if again := Header(h.Clone()); !bytes.Equal(packed, again) {
			t.Fatalf("equal headers are different bytes")
		}
		for cut := range packed {
			// What is cut off is an error or, between two names, less.
			if got, err := UnpackHeader(packed[:cut]); err == nil && len(got) >= len(h) {
				t.Fatalf("%d of %d bytes are enough", cut, len(packed))
			}
		}
	})
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		header http.Header
		packed string // in hexadecimal digits
	}{
		"nil":                     {nil, ""},
		"empty":                   {http.Header{}, ""},
		"no value":                {http.Header{"Date": nil}, "0200"},
		"common":                  {http.Header{"Content-Type": {"application/json"}}, "040125"},
		"the last that is common": {http.Header{"Vary": {"text/html; charset=utf-8"}}, "08012a"},
		"a date":                  {http.Header{"Date": {"Thu, 01 Jan 1970 00:00:01 GMT"}}, "02010100000001"},
		"the last date":           {http.Header{"Date": {"Sun, 07 Feb 2106 06:28:15 GMT"}}, "020101ffffffff"},
		"the wrong day":           {http.Header{"Date": {"Mon, 01 Jan 1970 00:00:01 GMT"}}, "020100" + "1d" + hex.EncodeToString([]byte("Mon, 01 Jan 1970 00:00:01 GMT"))},
		"two names, sorted":       {http.Header{"B": {"x", ""}, "A": {"y"}}, "000141" + "01" + "000179" + "000142" + "02" + "000178" + "0000"},
		"another case":            {http.Header{"date": {"0"}}, "000464617465" + "01" + "1a"},
		"no name":                 {http.Header{"": {""}}, "0000" + "01" + "0000"},
		"no UTF-8":                {http.Header{"\xff": {"\x00\xfe"}}, "0001ff" + "01" + "000200fe"},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, tt.packed, hex.EncodeToString(Header(tt.header)))
			packed, err := hex.DecodeString(tt.packed)
			require.NoError(t, err)
			got, err := UnpackHeader(packed)
			require.NoError(t, err)
			assert.True(t, equal(tt.header, got), "%q", got)
		})
	}
}

// What was stored once has to be read for ever: the list only grows at its end.
func TestTheCommonTextsKeepTheirPlaces(t *testing.T) {
	t.Parallel()
	stored := []string{
		"Date", "Content-Length", "Content-Type", "Connection", "Server", "Cache-Control", "Vary", "Etag", "Expires",
		"Retry-After", "Location", "Set-Cookie", "Strict-Transport-Security", "X-Content-Type-Options", "X-Frame-Options",
		"X-Request-Id", "X-Powered-By", "Via", "Age", "Cf-Ray", "Alt-Svc", "Authorization", "User-Agent", "Pragma",
		"0", "2", "close", "keep-alive", "no-cache", "no-store", "nosniff", "Accept-Encoding", "nginx", "cloudflare",
		"[redacted]", "application/json", "application/json; charset=utf-8", "text/plain", "text/plain; charset=utf-8",
		"text/html", "text/html; charset=utf-8",
	}
	require.GreaterOrEqual(t, len(common), len(stored))
	assert.Equal(t, stored, common[:len(stored)])
	assert.LessOrEqual(t, firstCommon+len(common), 256, "a place is a byte")
	assert.Len(t, placeOf, len(common), "each is there once")
}

// damaged are bytes that promise more than there is.
func damaged() map[string][]byte {
	huge := binary.AppendUvarint(nil, math.MaxUint64)
	long := binary.AppendUvarint(nil, 1<<40)
	return map[string][]byte{
		"a name of 16 EiB":        append([]byte{literal}, huge...),
		"a name of 1 TiB":         append([]byte{literal}, long...),
		"2^64 values":             append([]byte{firstCommon}, huge...),
		"2^40 values":             append([]byte{firstCommon}, long...),
		"a value of 16 EiB":       append([]byte{firstCommon, 1, literal}, huge...),
		"a number that is long":   append([]byte{firstCommon}, bytes.Repeat([]byte{0x80}, 100)...),
		"half a date":             {firstCommon, 1, date, 0, 0},
		"no such text":            {byte(firstCommon + len(common))},
		"a name without a number": {firstCommon},
		"a value that is missing": {firstCommon, 1},
		"values but the last":     append([]byte{firstCommon, 0x80, 0x08}, bytes.Repeat([]byte{firstCommon}, 1023)...),
	}
}

func TestDamagedHeaders(t *testing.T) {
	for name, packed := range damaged() {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		h, err := UnpackHeader(packed)
		runtime.ReadMemStats(&after)
		assert.ErrorIs(t, err, errHeader, name)
		assert.Nil(t, h, name)
		assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20), name)
	}
}

func FuzzUnpackHeader(f *testing.F) {
	for _, packed := range damaged() {
		f.Add(packed)
	}
	f.Add(Header(http.Header{
		"Date": {"Thu, 01 Jan 1970 00:00:01 GMT"}, "Content-Type": {"application/json", "text/x-other"}, "X": nil,
	}))
	f.Fuzz(func(t *testing.T, packed []byte) {
		h, err := UnpackHeader(packed)
		if err != nil {
			return
		}
		// Each text and number takes a byte at least.
		texts := len(h)
		for _, values := range h {
			texts += len(values)
		}
		assert.LessOrEqual(t, texts, len(packed))
		again, err := UnpackHeader(Header(h))
		require.NoError(t, err)
		assert.True(t, equal(h, again), "%q came back as %q", h, again)
	})
}
