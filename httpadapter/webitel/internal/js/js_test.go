package js_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/dlclark/regexp2/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

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

// sameIgnoringCase fails if a pattern that ignores case does not mean what the
// engine makes of it by itself.
func sameIgnoringCase(t assert.TestingT, source string) {
	want, err := regexp2.Compile(source, regexp2.ECMAScript|regexp2.IgnoreCase)
	got, errGot := js.NewPattern("/" + source + "/i")
	if !assert.Equal(t, err == nil, errGot == nil, "%s: %v, want %v", source, errGot, err) || err != nil {
		return
	}
	for _, text := range strings.Split("a A z k K \u212a s \u017f \u00df \u00e9 \u00c9 0 9 _ - ^ ] [ \\ . ! $ W w S D \u0416 \u0436 \U0001f600 \u0430\u0411 aa kK \n \u2028", " ") {
		for _, text := range []string{text, text + "a", " " + text} {
			found, err := got.In(context.Background(), text)
			expected, _ := want.MatchString(text)
			assert.NoError(t, err)
			assert.Equal(t, expected, found, "%s in %q", source, text)
		}
	}
}

// A pattern that ignores case is compiled in another form, which means the same.
func TestPatternsThatIgnoreCase(t *testing.T) {
	for _, source := range []string{
		`^[\W^]$`, `^[^\Wk]$`, `^[^\D-a]a$`, `^[a-\S]$`, `^[\W\D-]$`, `^.\W$`, `^\Sa$`, `^\D(.)\1$`, `^[^\s\S]`, `[\s\S]a$`, `\\.`, `^\.$`,
		`^[k\0\d0-9]?a$`, `^[\x4\d1]$`, `^[\u004\w1]$`, `^[\c\sA]$`, `^[^\0\s1k]$`, `^[\0\d-9]$`,
		`^[\0-\cA]$`, `^[^\cA\0-\cZa-f]$`, `^[\0-\377k]$`, `^[!-\177]$`, `^[\c-k]$`, `^[\0-\c]$`, `^[\d-A-Z]$`, `^[^\0\d-\x41-\x5a]a$`, `^[a-\S-z]$`, `^[\w-\d-~]$`,
	} {
		sameIgnoringCase(t, source)
	}
	items := []string{
		"a", "k", "K", "Z", "^", "-", "_", ".", "[", `\w`, `\d`, `\s`, "a-f", "0-9", `\x41-\x5a`, `\u0400-\u04ff`, `\]`, `\\`, `\-`, `\^`, "\u00e9",
		`\b`, `\0`, `\cA`, `\n`, "!-~",
	}
	rapid.Check(t, func(t *rapid.T) {
		class := rapid.SampledFrom([]string{"[", "[^"}).Draw(t, "bracket") + strings.Join(rapid.SliceOfN(rapid.SampledFrom(items), 0, 5).Draw(t, "items"), "") + "]"
		sameIgnoringCase(t, "^"+class+rapid.SampledFrom([]string{"$", "?a$", "{2}$"}).Draw(t, "end"))
	})
}

// Whatever there is in a pattern, it is compiled in a moment: this test is one of
// termination.
func TestPatternsAreCompiledSoon(t *testing.T) {
	for _, atom := range []string{".", `\W`, `\D`, `\S`, `[\Wa]`, `[^\Sa]`, `[^\W]`, `[^\s\S]`, `[\u0100-\u0800]`, `(.)\1`} {
		for _, form := range []string{"/%s/i", "(?i:%s)", "(?m-i:(?i:%s))"} {
			text := fmt.Sprintf(form, strings.Repeat(atom, 900/len(atom)))
			if _, err := js.NewPattern(text); err != nil {
				assert.ErrorContains(t, err, "must be narrower", text)
			}
		}
	}
	_, err := js.NewPattern("/" + strings.Repeat(`[\u0100-\uffff]`, 3) + "/i")
	require.ErrorContains(t, err, "the ranges of a pattern that ignores case must be narrower")
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
