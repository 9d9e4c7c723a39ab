//go:build cgo

package sqlite_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/internal/crashtest"
	"github.com/seed-2c6e3a5a/hooks/sqlite"
)

// enqueueLeased stores an event with so many deliveries that are leased.
func enqueueLeased(t *testing.T, s hooks.Store, event string, n int) {
	t.Helper()
	at := now()
	e := &hooks.Event{ID: event, Type: "order.paid", Time: at, Data: crashtest.Payload}
	entry := hooks.Entry{Event: e}
	for i := range n {
		entry.Deliveries = append(entry.Deliveries, hooks.Delivery{
			ID: fmt.Sprintf("%s-%d", event, i), HookID: "all", EventID: event, EventType: e.Type, State: hooks.Leased, Due: at, CreatedAt: at,
			Lease: hooks.Lease{Owner: "me", Token: 1, Until: at.Add(time.Hour)},
		})
	}
	require.NoError(t, s.Enqueue(t.Context(), at, []hooks.Entry{entry}))
}

// settle ends n leases from the first on.
func settle(t *testing.T, s hooks.Store, event string, first, n int) {
	t.Helper()
	var list []hooks.Settlement
	for i := first; i < first+n; i++ {
		list = append(list, hooks.Settlement{DeliveryID: fmt.Sprintf("%s-%d", event, i), Token: 1, State: hooks.Succeeded})
	}
	settled, err := s.Settle(t.Context(), now(), list)
	require.NoError(t, err)
	for _, one := range settled {
		assert.Equal(t, hooks.Settled{}, one)
	}
}

func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

// A loss of power undoes settlements of the last second, at most 512, until something
// else is written.
func TestWhatALossOfPowerUndoes(t *testing.T) {
	for name, tt := range map[string]struct {
		then func(t *testing.T, s hooks.Store)
		keep int // of the three that were settled
	}{
		"at once":        {func(*testing.T, hooks.Store) {}, 0},
		"soon":           {func(*testing.T, hooks.Store) { time.Sleep(999 * time.Millisecond) }, 0},
		"after a second": {func(*testing.T, hooks.Store) { time.Sleep(time.Second) }, 3},
		"after an event": {func(t *testing.T, s hooks.Store) { enqueueLeased(t, s, "other", 1) }, 3},
		"after a hook": {func(t *testing.T, s hooks.Store) {
			require.NoError(t, s.CreateHook(t.Context(), hooks.Hook{ID: "new", Version: 1, CreatedAt: now()}, 0))
		}, 3},
		"after what was refused": {func(t *testing.T, s hooks.Store) {
			assert.ErrorIs(t, s.Enqueue(t.Context(), now(), []hooks.Entry{{Event: &hooks.Event{ID: "one", Type: "order.paid", Time: now()}}}), hooks.ErrDuplicate)
		}, 0},
		"a second after what was refused": {func(t *testing.T, s hooks.Store) {
			time.Sleep(999 * time.Millisecond)
			assert.ErrorIs(t, s.Enqueue(t.Context(), now(), []hooks.Entry{{Event: &hooks.Event{ID: "one", Type: "order.paid", Time: now()}}}), hooks.ErrDuplicate)
			time.Sleep(time.Millisecond)
		}, 3},
		"after a claim": {func(t *testing.T, s hooks.Store) {
			_, _, err := s.Claim(t.Context(), hooks.ClaimRequest{Owner: "me", Now: now(), Until: now().Add(time.Hour), Limit: hooks.Capacity{Deliveries: 1}})
			require.NoError(t, err)
		}, 0},
		"after many more":     {func(t *testing.T, s hooks.Store) { settle(t, s, "many", 0, 509) }, 0},
		"after one too many":  {func(t *testing.T, s hooks.Store) { settle(t, s, "many", 0, 510) }, 3},
		"after one more call": {func(t *testing.T, s hooks.Store) { settle(t, s, "many", 0, 509); settle(t, s, "many", 509, 1) }, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := disks.Open(t)
				enqueueLeased(t, s, "one", 3)
				enqueueLeased(t, s, "many", 600)
				settle(t, s, "one", 0, 3)
				tt.then(t, s)
				synctest.Wait()
				s = disks.LosePower(t, s)
				kept := 0
				for _, d := range crashtest.Listed(t, s, hooks.Succeeded) {
					if d.EventID == "one" {
						kept++
					}
				}
				assert.Equal(t, tt.keep, kept)
				require.NoError(t, s.(*sqlite.Store).Close())
			})
		})
	}
}

func TestWriterStats(t *testing.T) {
	for synchronous, unsynced := range map[sqlite.Synchronous]int64{sqlite.Full: 2, sqlite.Normal: 3} {
		t.Run(synchronous.String(), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "hooks.db")
			synctest.Test(t, func(t *testing.T) {
				s, err := sqlite.Open(t.Context(), path, sqlite.Options{Synchronous: synchronous})
				require.NoError(t, err)
				assert.Zero(t, s.WriterStats())
				enqueueLeased(t, s, "one", 3)
				settle(t, s, "one", 0, 1)
				settle(t, s, "one", 1, 2)
				assert.Equal(t, sqlite.WriterStats{Transactions: 3, Unsynced: unsynced, Operations: 3}, s.WriterStats(), "in virtual time, nothing takes any")
				require.NoError(t, s.Close())
			})
			s, err := sqlite.Open(t.Context(), path, sqlite.Options{Synchronous: synchronous})
			require.NoError(t, err)
			enqueueLeased(t, s, "two", 3)
			stats := s.WriterStats()
			assert.Positive(t, stats.Commits)
			assert.Greater(t, stats.Busy, stats.Commits)
			require.NoError(t, s.Close())
		})
	}
}

// Callers that come at the same time share transactions; each still gets its own result.
func TestCallersShareTransactions(t *testing.T) {
	s := disks.Open(t).(*sqlite.Store)
	before := s.WriterStats()
	const callers, each = 32, 20
	var group sync.WaitGroup
	for i := range callers {
		group.Go(func() {
			for j := range each {
				e := &hooks.Event{ID: fmt.Sprintf("%d-%d", i, j), Type: "order.paid", Time: now(), Data: crashtest.Payload}
				assert.NoError(t, s.Enqueue(context.Background(), now(), []hooks.Entry{{Event: e}}))
				assert.ErrorIs(t, s.Enqueue(context.Background(), now(), []hooks.Entry{{Event: e}}), hooks.ErrDuplicate)
			}
		})
	}
	group.Wait()
	after := s.WriterStats()
	assert.Equal(t, int64(2*callers*each), after.Operations-before.Operations)
	assert.Less(t, after.Transactions-before.Transactions, int64(2*callers*each))
}
