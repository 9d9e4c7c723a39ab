package latest_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-2c6e3a5a/hooks/internal/latest"
)

func TestValueIsMadeAnewForAnotherKey(t *testing.T) {
	var v latest.Value[string, int]
	calls := 0
	build := func(key string) int {
		calls++
		return len(key)
	}
	for _, tt := range []struct {
		key   string
		calls int
	}{{"", 1}, {"", 1}, {"a", 2}, {"a", 2}, {"", 3}} {
		assert.Equal(t, len(tt.key), v.Of(tt.key, build))
		assert.Equal(t, tt.calls, calls)
	}
}
