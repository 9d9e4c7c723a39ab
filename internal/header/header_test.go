package header_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-2c6e3a5a/hooks/internal/header"
)

// What Check lets through cannot be taken for a header of the connection, by
// those who fold names as CGI does.
func FuzzCheckHeader(f *testing.F) {
	for _, name := range []string{"X-Key", "Transfer_Encoding", "content.length", "HTTP2-Settings", "Te", "x y", "Prоxy", ""} {
		f.Add(name, "1")
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		if header.Check(name, value) != "" {
			return
		}
		variable := regexp.MustCompile("[^A-Z0-9]").ReplaceAllString(strings.ToUpper(name), "_")
		assert.NotContains(t, []string{"CONNECTION", "CONTENT_LENGTH", "EXPECT", "HOST", "HTTP2_SETTINGS", "KEEP_ALIVE", "PROXY", "TE", "TRAILER", "TRANSFER_ENCODING", "UPGRADE"}, variable)
		assert.NotRegexp(t, "[\x00-\x08\n-\x1f\x7f]", name+value)
		assert.Equal(t, header.Key(name), header.Key(variable))
	})
}
