//go:build cgo

package store_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/memory"
	"github.com/seed-2c6e3a5a/hooks/sqlite"
	"github.com/seed-2c6e3a5a/hooks/store"
)

// BenchmarkCopy copies events of 1 KiB, each with a delivery that has succeeded and its attempt,
// into an empty file: for the first time, and once more, when all is there. It reports events
// a second.
func BenchmarkCopy(b *testing.B) {
	events := 100_000
	if testing.Short() {
		events = 10_000
	}
	sources := map[string]func(testing.TB) hooks.Store{
		"sqlite": openFile,
		"memory": func(testing.TB) hooks.Store {
			return memory.New(memory.Options{MaxEnded: events, MaxEndedBytes: 1 << 30})
		},
	}
	for name, open := range sources {
		b.Run(name+"-to-sqlite", func(b *testing.B) {
			source := open(b)
			deliver(b, source, events)
			for b.Loop() {
				target := openFile(b)
				for _, of := range []string{"events/s", "events/s-again"} {
					began := time.Now()
					require.NoError(b, store.Copy(b.Context(), source, target))
					b.ReportMetric(float64(events)/time.Since(began).Seconds(), of)
				}
			}
		})
	}
}

func openFile(t testing.TB) hooks.Store {
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "hooks.db"), sqlite.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}
