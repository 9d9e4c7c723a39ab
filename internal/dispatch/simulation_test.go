package dispatch_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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
	began time.Time
	mu    sync.Mutex
	waits []wait // of the neighbour's items
	// underWay are the requests of each tenant.
	underWay map[string]int
}

type wait struct{ at, took time.Duration }

const neighbour = "neighbour"

var each = dispatch.Limits{InFlight: 32, Batch: 1}

func simulate(slots int) *simulation {
	s := &simulation{began: time.Now(), underWay: map[string]int{}}
	s.Dispatcher = dispatch.New(dispatch.Config[key, item]{
		Slots: slots, Items: 1 << 40, Bytes: 1 << 60, BatchBytes: 1 << 20, Lease: time.Minute,
		Tenant:   func(k key) string { return k.tenant },
		Claim:    func(time.Time) {},
		GiveBack: func(item) {},
		Spawn:    func() { go s.work() },
	})
	return s
}

func (s *simulation) work() {
	var r dispatch.Request[key, item]
	for s.Next(&r) {
		it := r.Items[0].Value
		s.mu.Lock()
		if it.key.tenant == neighbour {
			s.waits = append(s.waits, wait{it.triggered.Sub(s.began), time.Since(it.triggered)})
		}
		s.underWay[it.key.tenant]++
		s.mu.Unlock()
		const timeout = 15 * time.Second
		time.Sleep(min(it.takes, timeout))
		success := it.takes < timeout
		s.mu.Lock()
		s.underWay[it.key.tenant]--
		s.mu.Unlock()
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
	s.AddLeft(k)
	s.AddClaimed(dispatch.Claim[key]{Now: time.Now(), Limit: dispatch.Capacity{Items: 1 << 40, Bytes: 1 << 60}},
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
	"20 tenants, quick for 2 s, then slow one by one": every(s, 20, 50, func(_ *rand.Rand, since time.Duration) time.Duration {
		if since < 2*s {
			return 0
		}
		return 4 * s
	}),
	"200 tenants, quick for 2 s, then slow": every(s, 200, 1, func(_ *rand.Rand, since time.Duration) time.Duration {
		if since < 2*s {
			return 0
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

// beside lets the neighbour trigger an event each 100 ms, which takes so long to
// send, beside an attacker, and returns how long each waited for a slot.
func beside(t *testing.T, attack attacker, takes time.Duration, events int) (waits []wait) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulate(640)
		stop := make(chan struct{})
		attack(sim, rand.New(rand.NewPCG(1, 2)), stop)
		for range events {
			time.Sleep(100 * ms)
			sim.add(key{neighbour, 0}, takes)
		}
		time.Sleep(s)
		close(stop)
		sim.Stop()
		sim.Drain()
		time.Sleep(time.Minute)
		require.Len(t, sim.waits, events, "the neighbour gets everything")
		waits = sim.waits
	})
	slices.SortFunc(waits, func(a, b wait) int { return cmp.Compare(a.took, b.took) })
	return waits
}

// The neighbour's requests start in time, from the first second on, whatever the
// others do. Alone, none of them waits.
func TestNobodyWaitsForAnother(t *testing.T) {
	t.Parallel()
	for _, takes := range []time.Duration{ms, 200 * ms} {
		for name, attack := range attackers {
			t.Run(fmt.Sprintf("%s, beside %v", name, takes), func(t *testing.T) {
				t.Parallel()
				waits := beside(t, attack, takes, 60)
				last := len(waits) - 1
				t.Logf("waits: median %v, p95 %v, max %v", waits[last/2].took, waits[last*95/100].took, waits[last].took)
				assert.LessOrEqual(t, waits[last*95/100].took, 50*ms, "p95")
				assert.LessOrEqual(t, waits[last].took, 300*ms, "max")
				for _, w := range waits {
					if w.at < s {
						assert.LessOrEqual(t, w.took, 200*ms, "in the first second")
					}
				}
			})
		}
	}
}

// When the first requests have timed out, the others' queues are long.
func TestNobodyWaitsForAnotherLater(t *testing.T) {
	t.Parallel()
	waits := beside(t, attackers["1,000 tenants, 1 hook that hangs"], ms, 300)
	assert.LessOrEqual(t, waits[len(waits)-1].took, 50*ms)
}

// peaks returns how many requests each of the tenants, which have more than enough
// to send that takes 4 s, gets under way.
func peaks(t *testing.T, slots int, alone bool, tenants ...string) (most map[string]int) {
	most = map[string]int{}
	synctest.Test(t, func(*testing.T) {
		sim := simulate(slots)
		if alone {
			sim.SetTenants(1)
		}
		for range 100 {
			for q := range 100 {
				for _, name := range tenants {
					sim.add(key{name, q}, 4*s)
				}
			}
		}
		time.Sleep(10 * s)
		sim.mu.Lock()
		for k, n := range sim.underWay {
			most[k] = n
		}
		sim.mu.Unlock()
		sim.Stop()
		sim.Drain()
		time.Sleep(time.Minute)
	})
	return most
}

func TestOneTenantAloneGetsNearlyAll(t *testing.T) {
	t.Parallel()
	for slots, least := range map[int]int{1: 1, 8: 8, 16: 15, 100: 90, 640: 590} {
		assert.GreaterOrEqual(t, peaks(t, slots, true, "a")["a"], least, "of %d slots", slots)
	}
}

func TestTenantsGetTheSame(t *testing.T) {
	t.Parallel()
	most := peaks(t, 640, false, "a", "b", "c")
	assert.InDelta(t, most["a"], most["b"], 3)
	assert.InDelta(t, most["a"], most["c"], 3)
	assert.Greater(t, most["a"], 80)
	one := peaks(t, 640, false, "a")
	assert.Greater(t, one["a"], 250, "one beside others that need nothing")
	assert.Less(t, one["a"], 400, "but not all")
}
