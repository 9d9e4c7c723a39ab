package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/sqlite"
)

// counters say what an engine has asked of its store, and on SQLite what the
// store's writer has done for it.
type counters struct {
	Deliveries  int64 `json:"deliveries"` // stored
	HandedOver  int64 `json:"handedOver"` // of those, stored as leased and handed over in memory
	Claims      int64 `json:"claims"`     // calls
	Claimed     int64 `json:"claimed"`    // deliveries
	Settles     int64 `json:"settles"`    // calls
	Settlements int64 `json:"settlements"`
	// Writer is zero unless the store is one of SQLite.
	Writer sqlite.WriterStats `json:"writer"`
}

// since returns what was counted after before.
func (c counters) since(before counters) counters {
	return counters{
		c.Deliveries - before.Deliveries, c.HandedOver - before.HandedOver,
		c.Claims - before.Claims, c.Claimed - before.Claimed,
		c.Settles - before.Settles, c.Settlements - before.Settlements,
		sqlite.WriterStats{
			Transactions: c.Writer.Transactions - before.Writer.Transactions,
			Unsynced:     c.Writer.Unsynced - before.Writer.Unsynced,
			Operations:   c.Writer.Operations - before.Writer.Operations,
			Busy:         c.Writer.Busy - before.Writer.Busy,
			Commits:      c.Writer.Commits - before.Writer.Commits,
		},
	}
}

// A countingStore counts what is asked of a store.
type countingStore struct {
	hooks.Store
	mu    sync.Mutex
	asked counters
}

// A countingNotifier counts for a store that is a [hooks.Notifier].
type countingNotifier struct {
	*countingStore
	hooks.Notifier
}

// A countingMemory counts for a store in memory, and has the abilities of one.
type countingMemory struct{ countingNotifier }

// Volatile says that the data ends with the process; see [hooks.Store].
func (countingMemory) Volatile() {}

func (s *countingStore) count(add func(*counters)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	add(&s.asked)
}

func (s *countingStore) Enqueue(ctx context.Context, now time.Time, entries []hooks.Entry) error {
	stored, handedOver := 0, 0
	for i := range entries {
		stored += len(entries[i].Deliveries)
		for j := range entries[i].Deliveries {
			if entries[i].Deliveries[j].State == hooks.Leased {
				handedOver++
			}
		}
	}
	s.count(func(c *counters) {
		c.Deliveries += int64(stored)
		c.HandedOver += int64(handedOver)
	})
	return s.Store.Enqueue(ctx, now, entries)
}

func (s *countingStore) Claim(ctx context.Context, r hooks.ClaimRequest) ([]hooks.Claimed, time.Time, error) {
	claimed, next, err := s.Store.Claim(ctx, r)
	s.count(func(c *counters) {
		c.Claims++
		c.Claimed += int64(len(claimed))
	})
	return claimed, next, err
}

func (s *countingStore) Settle(ctx context.Context, now time.Time, list []hooks.Settlement) ([]hooks.Settled, error) {
	s.count(func(c *counters) {
		c.Settles++
		c.Settlements += int64(len(list))
	})
	return s.Store.Settle(ctx, now, list)
}

func (s *countingStore) counters() counters {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.asked
	if of, ok := s.Store.(*sqlite.Store); ok {
		c.Writer = of.WriterStats()
	}
	return c
}

// explanations are the tables of -explain: for each workload, what the engines
// asked of their stores.
func (m *markdown) explanations() {
	for _, w := range plan() {
		if w.kind == ofCommits {
			continue
		}
		m.table([]string{w.name}, "handed over", "claims", "a claim", "a settle", "transactions", "of those, unsynced", "operations a transaction",
			"settlements a transaction", "transaction, ms", "of that, commit, ms", "writer busy")
		for _, name := range []string{onFull, onNormal, onPostgres, onMemory} {
			if len(m.values(w.name, name, func(record) float64 { return 0 })) > 0 {
				m.explain(w.name, name)
			}
		}
	}
}

// explain writes the row of one engine.
func (m *markdown) explain(workload, contender string) {
	ratio := func(format string, of func(counters, time.Duration) (part, whole float64)) string {
		values := m.values(workload, contender, func(c record) float64 {
			part, whole := of(c.Result.Counters, c.Result.Took)
			if whole == 0 {
				return -1
			}
			return part / whole
		})
		if v := median(values); v >= 0 {
			return fmt.Sprintf(format, v)
		}
		return "–"
	}
	m.row(contender,
		ratio("%.3f", func(c counters, _ time.Duration) (float64, float64) {
			return float64(c.HandedOver), float64(c.Deliveries)
		}),
		ratio("%.0f", func(c counters, _ time.Duration) (float64, float64) { return float64(c.Claims), 1 }),
		ratio("%.1f", func(c counters, _ time.Duration) (float64, float64) { return float64(c.Claimed), float64(c.Claims) }),
		ratio("%.1f", func(c counters, _ time.Duration) (float64, float64) {
			return float64(c.Settlements), float64(c.Settles)
		}),
		ratio("%.0f", func(c counters, _ time.Duration) (float64, float64) { return float64(c.Writer.Transactions), 1 }),
		ratio("%.2f", func(c counters, _ time.Duration) (float64, float64) {
			return float64(c.Writer.Unsynced), float64(c.Writer.Transactions)
		}),
		ratio("%.1f", func(c counters, _ time.Duration) (float64, float64) {
			return float64(c.Writer.Operations), float64(c.Writer.Transactions)
		}),
		ratio("%.1f", func(c counters, _ time.Duration) (float64, float64) {
			return float64(c.Settlements), float64(c.Writer.Transactions)
		}),
		ratio("%.2f", func(c counters, _ time.Duration) (float64, float64) {
			return milliseconds(c.Writer.Busy), float64(c.Writer.Transactions)
		}),
		ratio("%.2f", func(c counters, _ time.Duration) (float64, float64) {
			return milliseconds(c.Writer.Commits), float64(c.Writer.Transactions)
		}),
		ratio("%.2f", func(c counters, took time.Duration) (float64, float64) {
			return c.Writer.Busy.Seconds(), took.Seconds()
		}),
	)
}
