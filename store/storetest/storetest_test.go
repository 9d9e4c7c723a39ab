package storetest_test

import (
	"testing"
	"testing/synctest"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/memory"
	"github.com/seed-2c6e3a5a/hooks/store/storetest"
)

// harness opens memory stores. Share returns the same store.
var harness = storetest.Harness{
	Open:  func(testing.TB) hooks.Store { return memory.New(memory.Options{}) },
	Share: func(_ testing.TB, s hooks.Store) hooks.Store { return s },
	Begin: func(t testing.TB, s hooks.Store) (hooks.Tx, func(commit bool)) {
		tx := s.(*memory.Store).Begin()
		return tx, func(commit bool) {
			end := tx.Rollback
			if commit {
				end = tx.Commit
			}
			if err := end(); err != nil {
				t.Fatal(err)
			}
		}
	},
}

func TestMemory(t *testing.T) { storetest.Run(t, harness) }

func TestMemoryInBubble(t *testing.T) {
	h := harness
	h.Around = synctest.Test
	storetest.Run(t, h)
}

func BenchmarkMemory(b *testing.B) { storetest.Bench(b, harness) }
