//go:build cgo

package store_test

import (
	"fmt"
	"path/filepath"
	"strings"
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

// deliver puts so many events through the store.
func deliver(t testing.TB, s hooks.Store, events int) {
	t.Helper()
	data := []byte(`"` + strings.Repeat("x", 1022) + `"`)
	for first := 0; first < events; first += 500 {
		entries, settlements := make([]hooks.Entry, 500), make([]hooks.Settlement, 500)
		for i := range entries {
			id, at := fmt.Sprintf("018df2a0-0000-7000-8000-%012d", first+i), began.Add(time.Duration(first+i)*time.Millisecond)
			d := hooks.Delivery{
				ID: id, HookID: "a", EventID: id, EventType: "order.paid", State: hooks.Leased, Due: at, CreatedAt: at,
				Lease: hooks.Lease{Owner: "o", Token: 1, Until: at.Add(time.Minute)},
			}
			entries[i] = hooks.Entry{Event: &hooks.Event{ID: id, Type: "order.paid", Time: at, Data: data}, Deliveries: []hooks.Delivery{d}}
			settlements[i] = hooks.Settlement{DeliveryID: id, Token: 1, State: hooks.Succeeded, Attempt: &hooks.Attempt{
				DeliveryID: id, Number: 1, HookID: "a", EventID: id, EventType: "order.paid", StartedAt: at, Duration: time.Millisecond, State: hooks.Succeeded,
				Request:  hooks.AttemptRequest{Method: "POST", URL: "https://example.com/a", BodySize: 1024, BodySHA256: [32]byte{1}},
				Response: hooks.AttemptResponse{Status: 204, Header: map[string][]string{"Server": {"nginx"}}},
			}}
		}
		require.NoError(t, s.Enqueue(t.Context(), began, entries))
		_, err := s.Settle(t.Context(), began, settlements)
		require.NoError(t, err)
	}
}

var began = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
