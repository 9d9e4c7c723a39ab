package jsoncheck_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"

	"github.com/seed-2c6e3a5a/hooks/internal/jsoncheck"
)

// texts are valid and invalid, as encoding/json decides.
var texts = []string{
	"", " ", "null", " true\r\n", "false", "tru", "nul", "falsee", "null null", "{}", "[]", " [ ] ", " { } ", "[,]", "[1,]", "[1 2]", "{,}", "]", "}",
	`{"a":1}`, `{"a" : [ 1 , {"b":null} ] , "c" : "d"}`, `{"a":1,}`, `{"a"}`, `{"a":}`, `{a:1}`, `{"a":1 "b":2}`, `{"a":1]`, `[1}`, `{"a":1`, `[`, `{`, `["a"`,
	"0", "-0", "-", "01", "1.", ".5", "1.5", "1e5", "1E+5", "1e-", "1e", "+1", "-1.25e-07", "12345678901234567890", "0x1", "1_0", "NaN", "Infinity", "1a",
	`"`, `""`, `"a`, `"12345678"`, `"1234567"`, `"123456789`, `"12345\"78"`, `"\u00e9\u00E9\n\/\\"`, `"\u00g0"`, `"\u00"`, `"\x41"`, `"\`, `"\"`, "\"a\nb\"", "\"12345678\x1f\"", "\"\x7f\"",
	"\"é€😀 and more\"", "\"\xff\"", "\"abcdefgh\xc3\"", "\xef\xbb\xbf{}", `"\ud800"`, "\"!!!!!!!!\"", "\"\\\\\\\\\\\\\\\\\"", `'a'`, `// a`, "\x00", "\"\u2028\"", "\"        \"",
}

func valid(data []byte) bool { return json.Valid(data) && utf8.Valid(data) }

func TestValid(t *testing.T) {
	accepted := 0
	for _, text := range texts {
		assert.Equal(t, valid([]byte(text)), jsoncheck.Valid([]byte(text)), "%q", text)
		if jsoncheck.Valid([]byte(text)) {
			accepted++
		}
	}
	assert.Greater(t, accepted, 20)
	assert.Less(t, accepted, len(texts)-20)
}

// encoding/json stops at the same depth.
func TestDepth(t *testing.T) {
	for depth, want := range map[int]bool{1: true, 10_000: true, 10_001: false, 1_000_000: false} {
		for _, text := range []string{
			strings.Repeat("[", depth) + strings.Repeat("]", depth),
			strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth),
		} {
			assert.Equal(t, want, jsoncheck.Valid([]byte(text)), "depth %d", depth)
			assert.Equal(t, want, json.Valid([]byte(text)), "depth %d", depth)
		}
	}
}

// Each byte of a string is looked at, wherever it is.
func TestEachByteOfAString(t *testing.T) {
	for length := range 20 {
		for place := range length {
			for c := range 256 {
				data := []byte(`"` + strings.Repeat("a", length) + `"`)
				data[1+place] = byte(c)
				assert.Equal(t, valid(data), jsoncheck.Valid(data), "%q", data)
			}
		}
	}
}

func FuzzValid(f *testing.F) {
	for _, text := range texts {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		assert.Equal(t, valid(data), jsoncheck.Valid(data))
	})
}

func BenchmarkValid(b *testing.B) {
	for name, data := range map[string]string{
		"a long string": `{"type":"order.paid","data":"` + strings.Repeat("x", 1000) + `"}`,
		"many fields":   "[" + strings.Repeat(`{"id":12345,"name":"a name","paid":true,"total":12.5},`, 19) + "null]",
	} {
		for engine, check := range map[string]func([]byte) bool{"jsoncheck": jsoncheck.Valid, "encoding-json": valid} {
			b.Run(name+"/"+engine, func(b *testing.B) {
				data := []byte(data)
				b.SetBytes(int64(len(data)))
				for b.Loop() {
					if !check(data) {
						b.Fatal("it is valid")
					}
				}
			})
		}
	}
}
