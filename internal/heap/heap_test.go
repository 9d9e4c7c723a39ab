package heap_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"

	"github.com/seed-2c6e3a5a/hooks/internal/heap"
)

type element struct{ key, index int }

// Whatever is pushed, removed and changed, the first element is the least.
func TestTheFirstIsTheLeast(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := heap.New(func(a, b *element) bool { return a.key < b.key }, func(x *element) *int { return &x.index })
		var all []*element
		key := rapid.IntRange(0, 20)
		pick := func(t *rapid.T) *element { return rapid.SampledFrom(all).Draw(t, "element") }
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				x := &element{key: key.Draw(t, "key")}
				h.Push(x)
				all = append(all, x)
			},
			"remove": func(t *rapid.T) {
				if len(all) == 0 {
					t.Skip()
				}
				x := pick(t)
				h.Remove(x)
				assert.Zero(t, x.index)
				all = slices.DeleteFunc(all, func(other *element) bool { return other == x })
			},
			"change": func(t *rapid.T) {
				if len(all) == 0 {
					t.Skip()
				}
				x := pick(t)
				x.key = key.Draw(t, "key")
				h.Fix(x)
			},
			"": func(t *rapid.T) {
				assert.Equal(t, len(all), h.Len())
				if len(all) == 0 {
					assert.Nil(t, h.First())
					return
				}
				least := slices.MinFunc(all, func(a, b *element) int { return a.key - b.key })
				assert.Equal(t, least.key, h.First().key)
				for _, x := range all {
					assert.Positive(t, x.index)
				}
			},
		})
	})
}
