package store_test

import (
	"fmt"
	"math/bits"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-2c6e3a5a/hooks/store"
)

func TestFewResponsesAreKept(t *testing.T) {
	t.Parallel()
	kept := 0
	for number := 1; number <= 1000; number++ {
		latest := 0
		if store.KeepsResponse(number) {
			kept++
		} else {
			latest = 1
		}
		assert.LessOrEqual(t, kept+latest, 2+bits.Len(uint(number))-1, "of %d attempts", number)
	}
	assert.True(t, store.KeepsResponse(1), "the first")
	for _, number := range []int{-1, 0, 3} {
		assert.False(t, store.KeepsResponse(number), number)
	}
}

func ExampleKeepsResponse() {
	for number := 1; number <= 20; number++ {
		if store.KeepsResponse(number) {
			fmt.Print(number, " ")
		}
	}
	// Output: 1 2 4 8 16
}
