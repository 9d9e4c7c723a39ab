package escape_test

import (
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"

	"github.com/seed-2c6e3a5a/hooks/internal/escape"
)

func TestUnprintable(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "",
		"plain text, größer, 漢字, 🙂":     "plain text, größer, 漢字, 🙂",
		"a\nb\r\tc":                     `a\nb\r\tc`,
		"\x1b[31m\a\x00\x7f\u0085|":     `\x1b[31m\a\x00\x7f\u0085|`,
		"a\u202eb\u2066c\u200bd\u2028e": `a\u202eb\u2066c\u200bd\u2028e`,
		"a\xffb\ufffd":                  `a\xffb` + "\ufffd",
		`a "quoted" C:\path 'b'`:        `a "quoted" C:\path 'b'`,
		strings.Repeat("x", 100):        strings.Repeat("x", 100),
		strings.Repeat("x", 101):        strings.Repeat("x", 97) + "…",
		strings.Repeat("\x1b", 25):      strings.Repeat(`\x1b`, 25),
		strings.Repeat("\x1b", 26):      strings.Repeat(`\x1b`, 24) + "…",
		strings.Repeat("é", 1000):       strings.Repeat("é", 48) + "…",
	} {
		assert.Equal(t, want, escape.Unprintable(text, 100), "%q", text)
	}
	assert.Equal(t, "…", escape.Unprintable("abcd", 3))
	assert.Empty(t, escape.Unprintable("abcd", 2), "there is no room for the mark")
}

func FuzzUnprintable(f *testing.F) {
	for _, seed := range []string{"", "plain", "é\n\x1b[31m\x00\xff\u202e\ufffd", "日本語", strings.Repeat("é\x00", 600)} {
		f.Add(seed, 10)
	}
	f.Fuzz(func(t *testing.T, text string, limit int) {
		limit = max(0, min(limit, 1<<16))
		shown := escape.Unprintable(text, limit)
		assert.True(t, utf8.ValidString(shown))
		assert.LessOrEqual(t, len(shown), limit)
		for _, r := range shown {
			assert.True(t, strconv.IsPrint(r), "%q", shown)
		}
		assert.Equal(t, shown, escape.Unprintable(shown, limit), "what is printable stays")
	})
}
