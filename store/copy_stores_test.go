//go:build cgo

package store_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/memory"
	"github.com/seed-2c6e3a5a/hooks/store/storetest"
)

// The rules about copies also hold between stores of different kinds. Each rule opens its
// source first.
func TestCopyBetweenKinds(t *testing.T) {
	for name, open := range map[string][2]func(testing.TB) hooks.Store{
		"memory to sqlite": {openMemory, openFile},
		"sqlite to memory": {openFile, openMemory},
	} {
		t.Run(name, func(t *testing.T) {
			var hasSource sync.Map // by the name of the test
			storetest.Run(t, storetest.Harness{Open: func(t testing.TB) hooks.Store {
				if !strings.Contains(t.Name(), "/copy/") {
					t.Skip("the store is checked where it is")
				}
				if _, opened := hasSource.Swap(t.Name(), true); opened {
					return open[1](t)
				}
				return open[0](t)
			}})
		})
	}
}

func openMemory(testing.TB) hooks.Store { return memory.New(memory.Options{}) }
