package js_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-2c6e3a5a/hooks/httpadapter/webitel/internal/js"
)

// FuzzPattern looks for any pattern in any text: it is found, or not, or an error
// says so in few words, and the same is found again.
func FuzzPattern(f *testing.F) {
	for _, seed := range [][2]string{
		{"/^38/i", "38044"}, {"(a+)+$", strings.Repeat("a", 30) + "!"}, {`(?<=a)\1(?<n>b)\k<n>`, "ab"}, {"/[^]/gimy", "\n"}, {`\u{1}\cA[\b-\x41]`, "\xff"},
		{"((?:a?){3,}?|[b-d]*)+", "abcd"}, {"/(?!)/m", ""}, {`\p{L}\B\b$`, "é"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, source, text string) {
		pattern, err := js.NewPattern(source)
		if err != nil {
			assert.NotEmpty(t, err.Error())
			return
		}
		found, err := pattern.In(t.Context(), text)
		if err != nil {
			assert.Less(t, len(err.Error()), 60)
			return
		}
		if again, err := pattern.In(t.Context(), text); err == nil {
			assert.Equal(t, found, again)
		}
	})
}

// FuzzCompare compares any two values: they are equal both ways round, and not in
// two orders.
func FuzzCompare(f *testing.F) {
	for _, seed := range [][2]string{{`"10"`, `9`}, {`null`, `0`}, {`[1,[2]]`, `"1,2"`}, {`true`, `"0x1"`}, {`{}`, `"[object Object]"`}, {`1e999`, `"Infinity"`}, {`" \ufeff"`, `0`}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		a, err := js.Decode([]byte(first))
		if err != nil {
			t.Skip("no JSON")
		}
		b, err := js.Decode([]byte(second))
		if err != nil {
			t.Skip("no JSON")
		}
		order, ok := js.Compare(a, b)
		back, backOK := js.Compare(b, a)
		assert.Equal(t, ok, backOK)
		assert.Equal(t, order, -back)
		if primitive(a) && primitive(b) {
			assert.Equal(t, js.Equal(a, b), js.Equal(b, a))
			assert.True(t, js.Equal(a, a))
		}
		if text, isText := a.(string); isText {
			assert.Equal(t, text, js.Text(a))
			assert.Equal(t, text != "", js.Truthy(a))
		}
	})
}

func primitive(value any) bool {
	switch value.(type) {
	case []any, map[string]any:
		return false
	}
	return true
}
