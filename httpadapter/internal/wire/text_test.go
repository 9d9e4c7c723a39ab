package wire_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/wire"
)

func TestSplitBase(t *testing.T) {
	for text, want := range map[string][2]string{
		"https://api.example.com":                {"https://api.example.com", ""},
		"https://API.example.com:443/webhooks":   {"https://api.example.com", "/webhooks"},
		"http://localhost:80/a/b%20c":            {"http://localhost", "/a/b%20c"},
		"http://[2001:DB8::1]:8080/a%2Fb/~-._$&": {"http://[2001:db8::1]:8080", "/a%2Fb/~-._$&"},
	} {
		origin, prefix, ok := wire.SplitBase(text)
		assert.True(t, ok, text)
		assert.Equal(t, want, [2]string{origin, prefix}, text)
	}
}

// FuzzSplitBase splits any text: what is accepted is made of its two parts, of which
// the first is an origin.
func FuzzSplitBase(f *testing.F) {
	for _, seed := range []string{"https://api.example.com/webhooks", "http://a:80", "https://u:p@a/b", "https://a/b/../c", "https://a?b#c", "//a", "https://a/%zz", ":"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		origin, prefix, ok := wire.SplitBase(text)
		if !ok {
			return
		}
		again, ok := wire.Origin(origin)
		assert.True(t, ok)
		assert.Equal(t, origin, again)
		assert.True(t, strings.HasSuffix(text, prefix))
		assert.False(t, strings.HasSuffix(prefix, "/"))
		assert.NotContains(t, origin, "@")
		for _, part := range []string{"?", "#", "//", "/../"} {
			assert.NotContains(t, prefix, part)
		}
	})
}

// FuzzShownURL shows a URL with secrets in its userinfo, query and fragment, whatever
// is around them.
func FuzzShownURL(f *testing.F) {
	for _, seed := range []string{"", "https://", "host", "host/path", "ho st:p", "%", "//", "a@b", "?", "https://a%40", "x://y#"} {
		f.Add(seed, "host:port/path")
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		const secret = "hunter2"
		if strings.Contains(before+after, secret) {
			t.Skip("it is no secret")
		}
		for _, text := range []string{before + "?" + secret + after, before + "#" + secret + after, before + secret + "@" + after, before + "%3F" + secret + after} {
			assert.NotContains(t, wire.ShownURL(text), secret, "%q", text)
		}
	})
}
