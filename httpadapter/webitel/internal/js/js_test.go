package js_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks/httpadapter/webitel/internal/js"
)

// vectors are what JavaScript does. The rows have a bit for each of the values
// that are no lists and no objects.
type vectors struct {
	Values                                            []string
	Truthy                                            string
	Text                                              []string
	Equal, Less, Greater, LessOrEqual, GreaterOrEqual []string
	Patterns, Texts, Found                            []string
}

func read(t *testing.T) (v vectors) {
	t.Helper()
	data, err := os.ReadFile("testdata/javascript.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &v))
	return v
}

// value decodes a value of the vectors: an empty text is what is not there.
func value(t *testing.T, text string) any {
	t.Helper()
	if text == "" {
		return js.Undefined
	}
	v, err := js.Decode([]byte(text))
	require.NoError(t, err)
	return v
}

func bit(yes bool) string {
	if yes {
		return "1"
	}
	return "0"
}

func TestValues(t *testing.T) {
	v := read(t)
	require.Greater(t, len(v.Values), 70)
	var primitives []string
	for _, b := range v.Values {
		if !strings.HasPrefix(b, "[") && !strings.HasPrefix(b, "{") {
			primitives = append(primitives, b)
		}
	}
	for i, text := range v.Values {
		a := value(t, text)
		assert.Equal(t, v.Truthy[i:i+1], bit(js.Truthy(a)), text)
		want := v.Text[i]
		if text == "9007199254740993" {
			want = text // JavaScript rounds it to ...992.
		}
		assert.Equal(t, want, js.Text(a), text)
		require.Len(t, v.Equal[i], len(primitives))
		for k, other := range primitives {
			b := value(t, other)
			order, ok := js.Compare(a, b)
			for operator, row := range map[string]struct {
				want []string
				got  bool
			}{
				"==": {v.Equal, js.Equal(a, b)},
				"<":  {v.Less, ok && order < 0},
				">":  {v.Greater, ok && order > 0},
				"<=": {v.LessOrEqual, ok && order <= 0},
				">=": {v.GreaterOrEqual, ok && order >= 0},
			} {
				assert.Equal(t, row.want[i][k:k+1], bit(row.got), "%s %s %s", text, operator, other)
			}
		}
	}
}

func TestPatterns(t *testing.T) {
	v := read(t)
	require.Greater(t, len(v.Patterns), 60)
	for i, text := range v.Patterns {
		pattern, err := js.NewPattern(text)
		if err != nil {
			assert.Equal(t, "invalid", v.Found[i], "%q: %v", text, err)
			continue
		}
		if !assert.Len(t, v.Found[i], len(v.Texts), "%q", text) {
			continue
		}
		for k, input := range v.Texts {
			found, err := pattern.In(t.Context(), input)
			require.NoError(t, err, text)
			assert.Equal(t, v.Found[i][k:k+1], bit(found), "%q in %q", text, input)
		}
	}
}

// Patterns that go back and forth for ever end, and say so without the text that
// they went through.
func TestCatastrophicPatterns(t *testing.T) {
	hostile := strings.Repeat("a", 50_000) + "!"
	for _, text := range []string{
		`^(a+)+$`, `^(a|a)*$`, `(a*)*b`, `/^(([a-z])+.)+[A-Z]([a-z])+$/y`,
		strings.Repeat("(a?", 100) + strings.Repeat(")*", 100) + "b",
	} {
		pattern, err := js.NewPattern(text)
		require.NoError(t, err, text)
		found, err := pattern.In(t.Context(), hostile)
		assert.False(t, found, text)
		require.Error(t, err, text)
		assert.Regexp(t, `^the pattern (took more than 250ms|has too many ways to match)$`, err.Error())
	}
}

func TestNewPatternRefuses(t *testing.T) {
	_, err := js.NewPattern(strings.Repeat("a", js.MaxPattern))
	require.NoError(t, err)
	for text, reason := range map[string]string{
		strings.Repeat("a", js.MaxPattern+1): "longer than 1024 bytes",
		"/a/gig":                             "the flag g is there twice",
		"(":                                  "missing closing )",
	} {
		_, err := js.NewPattern(text)
		assert.ErrorContains(t, err, reason)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, text := range []string{"", "{", "1 2", "[1]]", "undefined"} {
		_, err := js.Decode([]byte(text))
		assert.Error(t, err, text)
	}
}
