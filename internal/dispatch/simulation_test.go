package dispatch_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-2c6e3a5a/hooks/internal/dispatch"
)

// key names a queue.
type key struct {
	tenant string
	queue  int
}

// item is one that a simulation sends.
type item struct {
	key       key
	triggered time.Time
	takes     time.Duration
}

// A simulation is a Dispatcher whose requests are sleeps.
type simulation struct {
	*dispatch.Dispatcher[key, item]
	began  time.Time
	mu     sync.Mutex
	waits  []wait // of the neighbour's items
	served int    // items of others
}

type wait struct{ at, took time.Duration }

const neighbour = "neighbour"

var each = dispatch.Limits{InFlight: 32, Batch: 1}

func simulate(slots int) *simulation {
	s := &simulation{began: time.Now()}
	s.Dispatcher = dispatch.New(dispatch.Config[key, item]{
		Slots: slots, Items: 1 << 40, Bytes: 1 << 60, BatchBytes: 1 << 20, Lease: time.Minute,
		Tenant:  func(k key) string { return k.tenant },
		Claim:   func(time.Time) {},
		Release: func(item) {},
		Spawn:   func() { go s.work() },
	})
	return s
}

func (s *simulation) work() {
	var r dispatch.Request[key, item]
	for s.Take(&r) {
		it := r.Items[0].Value
		s.mu.Lock()
		if it.key.tenant == neighbour {
			s.waits = append(s.waits, wait{it.triggered.Sub(s.began), time.Since(it.triggered)})
		} else {
			s.served++
		}
		s.mu.Unlock()
		const timeout = 15 * time.Second
		time.Sleep(min(it.takes, timeout))
		success := it.takes < timeout
		s.Done(&r, dispatch.Outcome{Success: success, Failed: !success, Stalled: !success})
	}
}

// add adds an item that takes so long. It has to be called by one goroutine at
// a time, in a bubble.
func (s *simulation) add(k key, takes time.Duration) {
	it := dispatch.Item[item]{Value: item{k, time.Now(), takes}, Due: time.Now()}
	if q := s.Reserve(k, each, 0); q != nil {
		s.HandOver([]*dispatch.Queue[key, item]{q}, []dispatch.Item[item]{it}, true)
		return
	}
	// The store has to keep it, and a claim brings it when there is room.
	s.Left(k)
	s.Claimed(dispatch.Claim[key]{Now: time.Now(), Limit: dispatch.Room{Items: 1 << 40, Bytes: 1 << 60}},
		[]dispatch.Arrival[key, item]{{Key: k, Limits: each, Item: it}})
}

// An attacker adds items from a goroutine of its own until stop is closed.
type attacker func(s *simulation, random *rand.Rand, stop <-chan struct{})

// every returns an attacker of so many tenants, each of which triggers events at
// intervals, to so many queues, that take what takes returns.
func every(interval time.Duration, tenants, queues int, takes func(random *rand.Rand, since time.Duration) time.Duration) attacker {
	return func(s *simulation, random *rand.Rand, stop <-chan struct{}) {
		for i := range tenants {
			name := fmt.Sprint("attacker ", i)
			phase := time.Duration(random.Int64N(int64(interval)))
			go func() {
				for pause := phase; ; pause = interval {
					select {
					case <-stop:
						return
					case <-time.After(pause):
					}
					for q := range queues {
						s.add(key{name, q}, takes(random, time.Since(s.began)))
					}
				}
			}()
		}
	}
}

func always(d time.Duration) func(*rand.Rand, time.Duration) time.Duration {
	return func(*rand.Rand, time.Duration) time.Duration { return d }
}

const (
	s  = time.Second
	ms = time.Millisecond
)

var attackers = map[string]attacker{
	"nobody":                           func(*simulation, *rand.Rand, <-chan struct{}) {},
	"100 hooks, 4 s":                   every(100*ms, 1, 100, always(4*s)),
	"8 hooks, 2 s":                     every(100*ms, 1, 8, always(2*s)),
	"100 hooks that hang":              every(100*ms, 1, 100, always(15*s)),
	"30 hooks that hang":               every(s, 1, 30, always(15*s)),
	"20 tenants, 100 hooks, 4 s":       every(500*ms, 20, 100, always(4*s)),
	"200 tenants, 1 hook, 4 s":         every(100*ms, 200, 1, always(4*s)),
	"1,000 tenants, 1 hook that hangs": every(s, 1000, 1, always(15*s)),
	"2,000 tenants, 1 hook that hangs": every(s, 2000, 1, always(15*s)),
	"bursts of 10,000, 50 ms":          every(10*s, 1, 10_000, always(50*ms)),
	"bursts of 10,000, 1 ms":           every(10*s, 1, 10_000, always(ms)),
	"49 ms, just quick":                every(100*ms, 1, 1000, always(49*ms)),
	"20 tenants, just quick":           every(100*ms, 20, 50, always(49*ms)),
	"999 ms, just medium":              every(100*ms, 20, 50, always(999*ms)),
	"one in ten is slow": every(100*ms, 1, 100, func(r *rand.Rand, _ time.Duration) time.Duration {
		if r.IntN(10) == 0 {
			return 4 * s
		}
		return ms
	}),
	"quick for 3 s, then slow for 3 s": every(100*ms, 1, 300, func(_ *rand.Rand, since time.Duration) time.Duration {
		if since/(3*s)%2 == 0 {
			return ms
		}
		return 4 * s
	}),
	"20 tenants, quick for 3 s, then slow": every(100*ms, 20, 100, func(_ *rand.Rand, since time.Duration) time.Duration {
		if since/(3*s)%2 == 0 {
			return ms
		}
		return 4 * s
	}),
	"a new hook each time": func(s *simulation, random *rand.Rand, stop <-chan struct{}) {
		n := 0
		every(ms, 1, 1, func(*rand.Rand, time.Duration) time.Duration {
			n++
			s.add(key{"attacker", n}, 15*time.Second)
			return ms
		})(s, random, stop)
	},
	"a new tenant each time": func(s *simulation, random *rand.Rand, stop <-chan struct{}) {
		n := 0
		every(20*ms, 1, 1, func(*rand.Rand, time.Duration) time.Duration {
			n++
			s.add(key{fmt.Sprint("newcomer ", n), 0}, 15*time.Second)
			return ms
		})(s, random, stop)
	},
}

// sorted returns what the neighbour's items waited for.
func (s *simulation) sorted(of func(wait) bool) []time.Duration {
	var found []time.Duration
	for _, w := range s.waits {
		if of(w) {
			found = append(found, w.took)
		}
	}
	slices.Sort(found)
	return found
}

func TestSim(t *testing.T) {
	for _, takes := range []time.Duration{ms, 200 * ms} {
		for name, attack := range attackers {
			synctest.Test(t, func(t *testing.T) {
				s := simulate(640)
				stop := make(chan struct{})
				attack(s, rand.New(rand.NewPCG(1, 2)), stop)
				for range 300 {
					time.Sleep(100 * ms)
					s.add(key{neighbour, 0}, takes)
				}
				close(stop)
				synctest.Wait()
				all := s.sorted(func(wait) bool { return true })
				first := s.sorted(func(w wait) bool { return w.at < time.Second })
				q := func(p float64) time.Duration {
					i := int(p * 300)
					if i >= len(all) {
						return -1
					}
					return all[i]
				}
				fmt.Printf("%-40s %v %3d p50 %v p95 %v p99 %v max %v; first s %v; others %d\n", name, takes, len(all), q(.5), q(.95), q(.99), q(.9999), append(first, -1)[max(0, len(first)-1)], s.served)
				s.Stop()
				s.Drain()
				time.Sleep(time.Minute)
			})
		}
	}
	assert.True(t, true)
}
