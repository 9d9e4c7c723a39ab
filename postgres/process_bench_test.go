package postgres_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/internal/crashtest"
)

// register registers a hook for everything at a receiver.
func register(b *testing.B, m *hooks.Manager, receive http.HandlerFunc) {
	b.Helper()
	r := httptest.NewServer(receive)
	b.Cleanup(r.Close)
	_, err := m.Register(b.Context(), hooks.Hook{URL: r.URL, Events: []string{"*"}})
	require.NoError(b, err)
}

// processes starts processes that deliver when they are told to go.
func (d *database) processes(b *testing.B, n int) (all []*crashtest.Process) {
	b.Helper()
	for i := range n {
		w := d.task(fmt.Sprint("process-", i))
		w.Gate = true
		all = append(all, crashtest.Start(b, w))
	}
	for _, p := range all {
		<-p.Ready
	}
	return all
}

func goOn(b *testing.B, all []*crashtest.Process) {
	b.Helper()
	for _, p := range all {
		_, err := io.WriteString(p.In, "go\n")
		require.NoError(b, err)
	}
}

// BenchmarkProcesses has a backlog delivered by 1, 2 and 4 processes.
func BenchmarkProcesses(b *testing.B) {
	events := 30_000
	if testing.Short() {
		events = 3000
	}
	for _, n := range []int{1, 2, 4} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				d := newDatabase(b)
				m, err := crashtest.NewManager(d.open(b), "", slog.New(slog.DiscardHandler), hooks.Observer{})
				require.NoError(b, err)
				var received atomic.Int64
				done := make(chan struct{})
				register(b, m, func(_ http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
					if received.Add(1) == int64(events) {
						close(done)
					}
				})
				for range events / 500 {
					_, err := m.TriggerBatch(b.Context(), sameEvents("", 500)...)
					require.NoError(b, err)
				}
				all := d.processes(b, n)
				b.StartTimer()
				start := time.Now()
				goOn(b, all)
				<-done
				b.ReportMetric(float64(events)/time.Since(start).Seconds(), "deliveries/s")
				b.StopTimer()
				for _, p := range all {
					p.Kill()
				}
				b.StartTimer()
			}
		})
	}
}

// BenchmarkReceiptInAnotherProcess triggers an event each 10 ms, which another process
// delivers. It reports the median of the time from the call of Trigger to the receipt.
func BenchmarkReceiptInAnotherProcess(b *testing.B) {
	events := 500
	if testing.Short() {
		events = 50
	}
	for b.Loop() {
		d := newDatabase(b)
		m, err := crashtest.NewManager(d.open(b), "", slog.New(slog.DiscardHandler), hooks.Observer{})
		require.NoError(b, err)
		var mu sync.Mutex
		triggered := map[string]time.Time{}
		took := make(chan time.Duration, events)
		register(b, m, func(_ http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			took <- time.Since(triggered[r.Header.Get("webhook-id")])
		})
		goOn(b, d.processes(b, 1))
		ticker := time.NewTicker(10 * time.Millisecond)
		for i := range events {
			<-ticker.C
			id := fmt.Sprint("e", i)
			mu.Lock()
			triggered[id] = time.Now()
			mu.Unlock()
			_, err := m.Trigger(b.Context(), hooks.Event{ID: id, Type: "order.paid", Data: crashtest.Payload})
			require.NoError(b, err)
		}
		ticker.Stop()
		all := make([]time.Duration, events)
		for i := range all {
			all[i] = <-took
		}
		b.ReportMetric(median(all).Seconds()*1e3, "ms-to-receipt")
	}
}
