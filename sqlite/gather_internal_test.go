//go:build cgo

package sqlite

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// callers are n operations whose callers wait for the disk.
func callers(n int) []*operation {
	list := make([]*operation, n)
	for i := range list {
		list[i] = new(operation)
	}
	return list
}

// A leader waits for callers of the last transaction to come back, for a quarter of its
// duration.
func TestLeadersWaitForCallers(t *testing.T) {
	const took = 40 * time.Millisecond
	for name, tt := range map[string]struct {
		batch, during int           // callers of the last transaction, and those that came during it
		queue         []*operation  // when the leader begins
		pause         time.Duration // before each of those that come back
		back          int           // how many do
		waits         time.Duration
	}{
		"a single caller":               {1, 0, callers(1), 0, 0, 0},
		"an engine":                     {3, 0, []*operation{{relaxed: true}}, 0, 0, 0},
		"all are there":                 {2, 2, callers(4), 0, 0, 0},
		"more than expected":            {2, 0, callers(5), 0, 0, 0},
		"the others come back":          {3, 1, callers(1), 2 * time.Millisecond, 3, 6 * time.Millisecond},
		"some come back":                {3, 1, callers(1), 2 * time.Millisecond, 2, 10 * time.Millisecond},
		"some come back late":           {3, 1, callers(1), 9 * time.Millisecond, 3, 10 * time.Millisecond},
		"nobody comes back":             {3, 1, callers(1), 0, 0, 10 * time.Millisecond},
		"engines are not waited for":    {1, 0, []*operation{{}, {relaxed: true}}, 0, 0, 0},
		"settlements do not count here": {2, 0, []*operation{{}, {relaxed: true}}, 3 * time.Millisecond, 1, 3 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &writer{queue: tt.queue}
				w.gathering.expect(callers(tt.batch), callers(tt.during), took)
				var others sync.WaitGroup
				defer others.Wait()
				others.Go(func() {
					for _, o := range callers(tt.back) {
						time.Sleep(tt.pause)
						w.mu.Lock()
						for _, o := range []*operation{{relaxed: true}, o} {
							w.queue = append(w.queue, o)
							w.gathering.note(o)
						}
						w.mu.Unlock()
					}
				})
				start := time.Now()
				w.gather()
				assert.Equal(t, tt.waits, time.Since(start))
			})
		})
	}
}

// If nobody came, the next leaders do not wait.
func TestLeadersStopWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &writer{queue: callers(1)}
		waited := 0
		const transactions = 200
		for range transactions {
			w.gathering.expect(callers(4), nil, time.Second)
			start := time.Now()
			w.gather()
			if time.Since(start) > 0 {
				waited++
			}
		}
		assert.Positive(t, waited, "it tries again")
		assert.LessOrEqual(t, waited, transactions/10)
	})
}
