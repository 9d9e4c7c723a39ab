package hooks_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-2c6e3a5a/hooks"
)

func TestRetryAfterIsReadFromTheHeader(t *testing.T) {
	now := time.Date(1994, 11, 6, 8, 49, 30, 0, time.UTC)
	for name, tt := range map[string]struct {
		header http.Header
		want   time.Duration
		ok     bool
	}{
		"seconds":   {http.Header{"Retry-After": {"120"}}, 2 * time.Minute, true},
		"date":      {http.Header{"Retry-After": {"Sun, 06 Nov 1994 08:49:37 GMT"}}, 7 * time.Second, true},
		"invalid":   {http.Header{"Retry-After": {"soon"}}, 0, false},
		"no header": {nil, 0, false},
	} {
		got, ok := hooks.Response{Header: tt.header}.RetryAfter(now)
		assert.Equal(t, tt.want, got, name)
		assert.Equal(t, tt.ok, ok, name)
	}
}
