package hooks_test

import (
	"fmt"
	"math/bits"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-2c6e3a5a/hooks"
)

func TestFewResponsesAreKept(t *testing.T) {
	t.Parallel()
	kept := 0
	for number := 1; number <= 1000; number++ {
		latest := 0
		if hooks.KeepsResponse(number) {
			kept++
		} else {
			latest = 1
		}
		assert.LessOrEqual(t, kept+latest, 2+bits.Len(uint(number))-1, "of %d attempts", number)
	}
	assert.True(t, hooks.KeepsResponse(1), "the first")
	for _, number := range []int{-1, 0, 3} {
		assert.False(t, hooks.KeepsResponse(number), number)
	}
}

func ExampleKeepsResponse() {
	for number := 1; number <= 20; number++ {
		if hooks.KeepsResponse(number) {
			fmt.Print(number, " ")
		}
	}
	// Output: 1 2 4 8 16
}
