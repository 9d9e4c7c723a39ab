package postgres_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/internal/crashtest"
	"github.com/seed-2c6e3a5a/hooks/postgres"
)

// run runs a Manager over a store, until the test ends or stop is called.
func run(t *testing.T, s hooks.Store, name string) (m *hooks.Manager, stop func()) {
	t.Helper()
	m, err := crashtest.NewManager(s, name, slog.New(slog.DiscardHandler), hooks.Observer{})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		assert.NoError(t, <-ended)
	})
	t.Cleanup(stop)
	return m, stop
}

// One tenant has thousands of deliveries due for endpoints that do not respond. Another's
// deliveries arrive while all those hang, whichever process takes them.
func TestTenantBesideOneThatHangs(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	released := make(chan struct{})
	hangs := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-released:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(hangs.Close)
	t.Cleanup(func() { close(released) })
	l := crashtest.NewLedger(t)

	managers := make([]*hooks.Manager, 2)
	for i := range managers {
		managers[i], _ = run(t, d.open(t), fmt.Sprint("process-", i))
	}
	for i := range 20 {
		_, err := managers[0].Register(t.Context(), hooks.Hook{Tenant: "big", ID: fmt.Sprint("h", i), URL: hangs.URL, Events: []string{"*"}, Timeout: 30 * time.Second})
		require.NoError(t, err)
	}
	_, err := managers[0].Register(t.Context(), hooks.Hook{Tenant: "small", URL: l.URL, Events: []string{"*"}})
	require.NoError(t, err)
	require.Eventually(t, func() bool { // The other process learns of the hooks.
		r, err := managers[1].Trigger(t.Context(), hooks.Event{Tenant: "big", Type: "t"})
		return assert.NoError(t, err) && r.Deliveries == 20
	}, crashtest.Patience, 10*time.Millisecond)
	for range 10 {
		_, err := managers[0].TriggerBatch(t.Context(), sameEvents("big", 50)...)
		require.NoError(t, err)
	}
	const events = 40
	for i := range events {
		_, err := managers[i%2].Trigger(t.Context(), hooks.Event{Tenant: "small", ID: fmt.Sprintf("e%02d", i), Type: "t"})
		require.NoError(t, err)
	}
	l.WaitFor(t, func(_ map[string]int, received int) bool { return received == events })
	left, err := managers[0].Deliveries(t.Context(), hooks.LogQuery{Tenant: "big", States: []hooks.State{hooks.Pending, hooks.Leased}, PageQuery: hooks.PageQuery{CountTo: 100_000}})
	require.NoError(t, err)
	assert.Greater(t, left.Total, 9_000, "those of the other tenant hang all the time")
}

func sameEvents(tenant string, n int) []hooks.Event {
	list := make([]hooks.Event, n)
	for i := range list {
		list[i] = hooks.Event{Tenant: tenant, Type: "t"}
	}
	return list
}

// A skewed store has a clock that differs.
type skewed struct {
	*postgres.Store
	by time.Duration
}

func (s skewed) Claim(ctx context.Context, r hooks.ClaimRequest) ([]hooks.Claimed, time.Time, error) {
	r.Now, r.Until = r.Now.Add(s.by), r.Until.Add(s.by)
	claimed, next, err := s.Store.Claim(ctx, r)
	if !next.IsZero() {
		next = next.Add(-s.by)
	}
	for i := range claimed {
		claimed[i].Delivery.Lease.Until = claimed[i].Delivery.Lease.Until.Add(-s.by)
	}
	return claimed, next, err
}

func (s skewed) Settle(ctx context.Context, now time.Time, list []hooks.Settlement) ([]hooks.Settled, error) {
	for i := range list {
		if !list[i].Due.IsZero() {
			list[i].Due = list[i].Due.Add(s.by)
		}
	}
	return s.Store.Settle(ctx, now.Add(s.by), list)
}

func (s skewed) Enqueue(ctx context.Context, now time.Time, entries []hooks.Entry) error {
	for i := range entries {
		for j := range entries[i].Deliveries {
			d := &entries[i].Deliveries[j]
			d.Due, d.CreatedAt = d.Due.Add(s.by), d.CreatedAt.Add(s.by)
			if d.State == hooks.Leased {
				d.Lease.Until = d.Lease.Until.Add(s.by)
			}
		}
	}
	return s.Store.Enqueue(ctx, now.Add(s.by), entries)
}

// The clocks of three processes differ by 10 s, which is more than a lease. Deliveries may
// come twice, because one process takes over what another one still has, but none is lost,
// and those of an ordering key keep their order.
func TestClocksDiffer(t *testing.T) {
	t.Parallel()
	l := crashtest.NewLedger(t)
	d, s := prepare(t, l)
	managers := make([]*hooks.Manager, 3)
	stops := make([]func(), len(managers))
	for i, by := range []time.Duration{-10 * time.Second, 0, 10 * time.Second} {
		managers[i], stops[i] = run(t, skewed{d.open(t), by}, fmt.Sprint("process-", i))
	}
	const each = 150
	var callers sync.WaitGroup
	for i, m := range managers {
		callers.Go(func() {
			for n := range each {
				e := hooks.Event{ID: fmt.Sprintf("e-%02d-%05d", i, n), Type: "t", Data: crashtest.Payload}
				if n%8 == 0 {
					e.OrderingKey = fmt.Sprint("key-", i)
				}
				_, err := m.Trigger(t.Context(), e)
				assert.NoError(t, err)
			}
		})
	}
	callers.Wait()
	l.WaitFor(t, func(_ map[string]int, received int) bool { return received == each*len(managers) })
	for _, stop := range stops {
		stop()
	}
	crashtest.Drain(t, s)
	l.Close()
	l.Ordered(t)
	for _, delivery := range crashtest.Listed(t, s) {
		assert.Equal(t, hooks.Succeeded, delivery.State, delivery.EventID)
	}
	attempts, err := s.Attempts(t.Context(), hooks.LogQuery{PageQuery: hooks.PageQuery{Limit: 1, CountTo: 10_000}})
	require.NoError(t, err)
	assert.Equal(t, each*len(managers), attempts.Total, "stale settlements were refused")
}
