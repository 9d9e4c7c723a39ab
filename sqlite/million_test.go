//go:build cgo

package sqlite_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/internal/crashtest"
)

// million is a hundredth of one if the tests are to be short.
func million() int {
	if testing.Short() {
		return 10_000
	}
	return 1_000_000
}

// due stores n deliveries of a hook that are due, each with an event of its own.
func due(b *testing.B, s hooks.Store, hook string, n int) {
	b.Helper()
	const step = 1000
	for first := 0; first < n; first += step {
		entries := make([]hooks.Entry, min(step, n-first))
		for i := range entries {
			id, at := hook+"-"+strconv.Itoa(first+i), purgeStart
			e := &hooks.Event{ID: id, Type: "order.paid", Time: at, Data: crashtest.Payload}
			d := hooks.Delivery{ID: id, HookID: hook, State: hooks.Pending, Due: at, CreatedAt: at}
			entries[i] = hooks.Entry{Event: e, Deliveries: []hooks.Delivery{d}}
		}
		require.NoError(b, s.Enqueue(b.Context(), purgeStart, entries))
	}
}

// BenchmarkClaimOfMany claims from few and from a million deliveries that are due:
// 64 of one hook, or the only one beside those of a hook that has no room.
func BenchmarkClaimOfMany(b *testing.B) {
	for _, many := range []int{1000, million()} {
		for _, dead := range []bool{false, true} {
			name := "due=" + strconv.Itoa(many)
			request := hooks.ClaimRequest{Owner: "o", Limit: hooks.Capacity{Deliveries: 64}}
			if dead {
				name += "/dead"
				request.Hooks = map[hooks.Ref]int{{ID: "many"}: 0}
			}
			b.Run(name, func(b *testing.B) {
				s := files.Open(b)
				due(b, s, "many", many-1)
				due(b, s, "one", 1)
				at := purgeStart
				for b.Loop() {
					at = at.Add(time.Hour) // after the end of the last lease
					request.Now, request.Until = at, at.Add(time.Minute)
					claimed, _, err := s.Claim(b.Context(), request)
					require.NoError(b, err)
					require.NotEmpty(b, claimed)
				}
			})
		}
	}
}

// BenchmarkRetention puts a million deliveries through a file that keeps the last
// tenth. It reports the size of the file after a fifth and in the end, and for
// how long others waited at most for their commit while that tenth was purged
// at once, and while nothing was.
func BenchmarkRetention(b *testing.B) {
	all := million()
	kept, step := all/10, all/100
	for b.Loop() {
		s := files.Open(b)
		db := handle(b, pathOf(b, s), 1)
		at := purgeStart
		var ends []time.Time
		for n := 0; n < all; n += step {
			at = live(b, s, at, step)
			if ends = append(ends, at); len(ends) > kept/step {
				purge(b, s, ends[len(ends)-1-kept/step].Add(time.Nanosecond))
			}
			if n+step == 2*kept {
				b.ReportMetric(float64(pageCount(b, db)), "pages-after-a-fifth")
			}
		}
		b.ReportMetric(float64(pageCount(b, db)), "pages-in-the-end")

		longest := func(name string, while <-chan struct{}) {
			var most time.Duration
			for i := 0; ; i++ {
				select {
				case <-while:
					b.ReportMetric(most.Seconds()*1e3, name)
					return
				default:
				}
				e := &hooks.Event{ID: name + strconv.Itoa(i), Type: "a", Time: at.Add(time.Hour), Data: crashtest.Payload}
				start := time.Now()
				require.NoError(b, s.Enqueue(b.Context(), e.Time, []hooks.Entry{{Event: e}}))
				most = max(most, time.Since(start))
			}
		}
		purged := make(chan struct{})
		start := time.Now()
		go func() {
			defer close(purged)
			for {
				n, err := s.Purge(b.Context(), hooks.PurgeRequest{Before: at.Add(time.Minute), Limit: 500})
				if !assert.NoError(b, err) || n < 500 {
					return
				}
			}
		}()
		longest("ms-at-most-beside-purge", purged)
		alone := make(chan struct{})
		time.AfterFunc(time.Since(start), func() { close(alone) })
		longest("ms-at-most-alone", alone)
	}
}
