package dispatch

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// inBubble runs f in virtual time. A panic, by which rapid ends a run that fails,
// goes through to the caller.
func inBubble(t *testing.T, f func()) {
	var fault any
	synctest.Test(t, func(*testing.T) {
		defer func() { fault = recover() }()
		f()
	})
	if fault != nil {
		panic(fault)
	}
}

// name names a queue of a tenant.
type name struct {
	tenant string
	queue  int
}

func (n name) String() string { return fmt.Sprintf("%s/%d", n.tenant, n.queue) }

func newTest(slots, items, bytes int) *Dispatcher[name, int] {
	return New(Config[name, int]{
		Slots: slots, Items: items, Bytes: bytes, BatchBytes: 100, Lease: time.Minute,
		Tenant:   func(n name) string { return n.tenant },
		Claim:    func(time.Time) {},
		GiveBack: func(int) {},
		Spawn:    func() {},
	})
}

// tryTake is Take without the wait.
func (d *Dispatcher[K, V]) tryTake() *Request[K, V] {
	d.mu.Lock()
	defer d.mu.Unlock()
	if q, p := d.pick(); q != nil {
		r := new(Request[K, V])
		d.start(q, p, r, time.Now())
		return r
	}
	return nil
}

// sums are what a Dispatcher, a tenant or a queue counts.
type sums struct {
	held                   [tiers]int
	active, size, reserved int
	unknowns               [tiers]int
	stalls, stuck          int
}

// check recomputes all that the Dispatcher keeps count of.
func (d *Dispatcher[K, V]) check(t require.TestingT) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all sums
	tenants := map[*tenant[K, V]]sums{}
	queues := map[*Queue[K, V]]sums{}
	for i, r := range d.requests {
		require.Equal(t, i, r.place)
		one := sums{active: 1, size: r.size}
		one.held[r.tier] = 1
		if r.unknown {
			one.unknowns[r.tier] = 1
		}
		if r.stalled {
			one.stalls = 1
		}
		if r.tier == quickTier && r.aged > quickTier {
			one.stuck = 1
		}
		queues[r.queue] = plus(queues[r.queue], one)
	}
	for _, q := range d.queues {
		var own sums
		for _, r := range []*ring[Item[V]]{&q.firsts, &q.retries} {
			own.active += r.len()
			for i := range r.len() {
				own.size += r.at(r.first + uint(i)).Size
			}
		}
		own.active += q.reserved
		own.reserved = q.reserved
		own.size += q.reserved * reservedSize
		queues[q] = plus(queues[q], own)
	}
	for q, own := range queues {
		require.Equal(t, own.held, q.slots)
		require.Equal(t, own.active, q.active())
		require.Equal(t, own.size, q.size)
		require.LessOrEqual(t, q.inFlight(), max(q.InFlight, firstWindow))
		tenants[q.tenant] = plus(tenants[q.tenant], own)
		all = plus(all, own)
		d.checkSeat(t, q)
		if q.active() > 0 || q.hasMore() {
			require.Contains(t, d.busyQueues, q)
			require.True(t, q.busy)
		}
	}
	for _, tn := range d.tenants {
		own := tenants[tn]
		require.Equal(t, own.held, tn.slots)
		require.Equal(t, own.active, tn.active)
		require.Equal(t, own.size, tn.size)
		require.Equal(t, own.stuck, tn.stuck)
		if tn.active > 0 || tn.backlogged {
			require.Contains(t, d.busyTenants, tn)
			require.True(t, tn.busy)
		}
		for p := range paces {
			require.Equal(t, tn.offers(p), tn.places[p] > 0 || tn.offers(p) && tn.node.parked[p], "a tenant in line has something to send")
		}
	}
	require.Equal(t, all.held, d.slotsTaken)
	require.Equal(t, all.active, d.active)
	require.Equal(t, all.size, d.size)
	require.Equal(t, all.reserved, d.reserved)
	require.Equal(t, all.unknowns, d.unknowns)
	require.Equal(t, all.stalls, d.stalls)
	require.LessOrEqual(t, len(d.requests), d.limits.all)
}

// checkSeat checks that a queue is in a line if it can start, and in no other.
func (d *Dispatcher[K, V]) checkSeat(t require.TestingT, q *Queue[K, V]) {
	places, parked := 0, 0
	for p := range paces {
		if q.places[p] > 0 {
			places++
		}
		if q.node.parked[p] {
			parked++
		}
	}
	require.LessOrEqual(t, places+parked, 1)
	if places == 1 {
		require.Positive(t, q.buffered())
		require.Less(t, q.inFlight(), q.most())
		if q.known {
			require.Positive(t, q.places[q.pace()])
		}
	}
	if !q.timerSet && parked == 0 && q.buffered() > 0 && q.inFlight() < q.most() && !d.stopped {
		require.Equal(t, 1, places, "a queue that can start waits in line")
	}
}

func plus(a, b sums) sums {
	for i := range tiers {
		a.held[i] += b.held[i]
		a.unknowns[i] += b.unknowns[i]
	}
	a.active, a.size, a.reserved = a.active+b.active, a.size+b.size, a.reserved+b.reserved
	a.stalls, a.stuck = a.stalls+b.stalls, a.stuck+b.stuck
	return a
}

const reservedSize = 7

func TestSumsAreRightWhateverHappens(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		inBubble(t, func() {
			d := newTest(rapid.IntRange(1, 40).Draw(rt, "slots"), rapid.IntRange(4, 200).Draw(rt, "items"), rapid.IntRange(50, 5000).Draw(rt, "bytes"))
			var requests []*Request[name, int]
			drawName := rapid.Custom(func(rt *rapid.T) name {
				return name{string(rune('a' + rapid.IntRange(0, 4).Draw(rt, "tenant"))), rapid.IntRange(0, 5).Draw(rt, "queue")}
			})
			drawLimits := rapid.Custom(func(rt *rapid.T) Limits {
				l := Limits{InFlight: rapid.IntRange(1, 8).Draw(rt, "in flight"), Batch: rapid.IntRange(1, 3).Draw(rt, "batch")}
				if rapid.IntRange(0, 3).Draw(rt, "has times") == 0 {
					l.Interval = time.Duration(rapid.IntRange(0, 300).Draw(rt, "interval")) * time.Millisecond
					l.Gather = time.Duration(rapid.IntRange(0, 100).Draw(rt, "gather")) * time.Millisecond
				}
				return l
			})
			handOver := func(rt *rapid.T, stored bool) {
				key := drawName.Draw(rt, "queue")
				if q := d.Reserve(key, drawLimits.Draw(rt, "limits"), reservedSize); q != nil {
					d.check(rt)
					d.HandOver([]*Queue[name, int]{q}, []Item[int]{{Size: reservedSize, Due: time.Now()}}, stored)
				} else {
					d.AddLeft(key)
				}
			}
			done := func(rt *rapid.T, o Outcome) {
				if len(requests) > 0 {
					i := rapid.IntRange(0, len(requests)-1).Draw(rt, "request")
					d.Done(requests[i], o)
					requests = append(requests[:i], requests[i+1:]...)
				}
			}
			rt.Repeat(map[string]func(*rapid.T){
				"hand over":       func(rt *rapid.T) { handOver(rt, true) },
				"hand over again": func(rt *rapid.T) { handOver(rt, true) },
				"not stored":      func(rt *rapid.T) { handOver(rt, false) },
				"claim": func(rt *rapid.T) {
					c, ok := d.PlanClaim(time.Now())
					if !ok {
						return
					}
					var arrivals []Arrival[name, int]
					for range min(c.Limit.Items, rapid.IntRange(0, 20).Draw(rt, "arrivals")) {
						arrivals = append(arrivals, Arrival[name, int]{
							drawName.Draw(rt, "queue"), drawLimits.Draw(rt, "limits"),
							Item[int]{Size: rapid.IntRange(0, 60).Draw(rt, "size"), Due: time.Now(), Retry: rapid.Bool().Draw(rt, "retry")},
						})
					}
					d.AddClaimed(c, arrivals)
				},
				"take": func(*rapid.T) {
					for r := d.tryTake(); r != nil; r = d.tryTake() {
						requests = append(requests, r)
					}
				},
				"take one": func(*rapid.T) {
					if r := d.tryTake(); r != nil {
						requests = append(requests, r)
					}
				},
				"success": func(rt *rapid.T) { done(rt, Outcome{Success: true}) },
				"failure": func(rt *rapid.T) { done(rt, Outcome{Failed: true}) },
				"timeout": func(rt *rapid.T) { done(rt, Outcome{Failed: true, Stalled: true}) },
				"cut off": func(rt *rapid.T) { done(rt, Outcome{}) },
				"throttled": func(rt *rapid.T) {
					done(rt, Outcome{Failed: true, Stalled: true, Throttled: time.Now().Add(time.Second)})
				},
				"renew":   func(rt *rapid.T) { d.EndpointChanged(drawName.Draw(rt, "queue")) },
				"tenants": func(rt *rapid.T) { d.SetTenants(rapid.IntRange(0, 3).Draw(rt, "tenants")) },
				"prune": func(rt *rapid.T) {
					odd := rapid.IntRange(0, 1).Draw(rt, "odd")
					d.Prune(func(n name) bool { return n.queue%2 == odd })
				},
				"wait": func(rt *rapid.T) {
					time.Sleep(time.Duration(rapid.SampledFrom([]int{1, 30, 100, 1100, 200_000}).Draw(rt, "wait")) * time.Millisecond)
					synctest.Wait()
				},
				"": func(rt *rapid.T) { d.check(rt) },
			})
			for _, r := range requests {
				d.Done(r, Outcome{})
			}
			d.Stop()
			d.Drain()
			d.check(rt)
			require.Zero(rt, d.active, "nothing is left in memory")
			require.Zero(rt, d.size)
		})
	})
}

// While they wait, no tenant gets more than twice the turns of another, and no
// queue more than twice those of another of its tenant, but for a few at the start.
func TestNobodyStarves(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		inBubble(t, func() {
			counts := rapid.SliceOfN(rapid.IntRange(1, 12), 2, 8).Draw(rt, "queues of each tenant")
			took := time.Duration(rapid.IntRange(1, 40).Draw(rt, "ms")) * time.Millisecond
			slots := rapid.IntRange(1, 64).Draw(rt, "slots")
			d := newTest(slots, 1<<30, 1<<40)
			const each = 60
			for i, count := range counts {
				for q := range count {
					key := name{string(rune('a' + i)), q}
					for range each {
						queue := d.Reserve(key, Limits{InFlight: 64, Batch: 1}, 0)
						if queue == nil {
							queue = d.queue(key)
							queue.reserved++
							d.reserved++
							d.countInMemory(queue, 1, 0)
						}
						d.HandOver([]*Queue[name, int]{queue}, []Item[int]{{Due: time.Now()}}, true)
					}
				}
			}
			tenants, queues := map[string]int{}, map[name]int{}
			left := make(map[string]int)
			for i, count := range counts {
				left[string(rune('a'+i))] = count * each
			}
			for {
				var round []*Request[name, int]
				for r := d.tryTake(); r != nil; r = d.tryTake() {
					round = append(round, r)
					key := r.Key()
					left[key.tenant]--
					tenants[key.tenant]++
					queues[key]++
				}
				if len(round) == 0 {
					break
				}
				smallest, least := 1<<30, map[string]int{}
				for i, count := range counts {
					tenant := string(rune('a' + i))
					smallest, least[tenant] = min(smallest, tenants[tenant]), 1<<30
					for q := range count {
						least[tenant] = min(least[tenant], queues[name{tenant, q}])
					}
				}
				for tenant, n := range tenants {
					require.LessOrEqual(rt, n, 2*smallest+2*slots, "turns of %s, against %d of another", tenant, smallest)
				}
				for key, n := range queues {
					require.LessOrEqual(rt, n, 2*least[key.tenant]+2*slots, "turns of %v, against %d of another", key, least[key.tenant])
				}
				time.Sleep(took)
				for _, r := range round {
					d.Done(r, Outcome{Success: true})
				}
				for _, n := range left {
					if n == 0 {
						return // From here on not all of them wait.
					}
				}
			}
			require.Fail(rt, "somebody has waited for ever", "left: %v", left)
		})
	})
}

// A queue whose endpoint is quick gets half of the capacity, in items and in bytes, and no
// more than it can send in an eighth of a lease. Others get three times what they may have
// under way.
func TestCapacityOfAQueue(t *testing.T) {
	for title, tt := range map[string]struct {
		takes  time.Duration // a request
		limits Limits
		bytes  int
		want   int
	}{
		"quick":                {time.Millisecond, Limits{InFlight: 8, Batch: 1}, 1 << 20, 128},
		"bytes":                {time.Millisecond, Limits{InFlight: 8, Batch: 1}, 1000, 51},
		"few at a time":        {40 * time.Millisecond, Limits{InFlight: 1, Batch: 1}, 1 << 20, 25},
		"slow":                 {60 * time.Millisecond, Limits{InFlight: 8, Batch: 1}, 1 << 20, 24},
		"slow, in batches":     {60 * time.Millisecond, Limits{InFlight: 1, Batch: 10}, 1 << 20, 10},
		"a rate of 100/second": {time.Millisecond, Limits{InFlight: 8, Batch: 1, Interval: 10 * time.Millisecond}, 1 << 20, 24},
	} {
		t.Run(title, func(t *testing.T) {
			inBubble(t, func() {
				d := newTest(16, 256, tt.bytes)
				d.cfg.Lease = 8 * time.Second
				d.SetTenants(1)
				d.PlanClaim(time.Now()) // The store has nothing.
				key := name{"a", 1}
				reserve := func() bool {
					q := d.Reserve(key, tt.limits, 10)
					if q != nil {
						d.HandOver([]*Queue[name, int]{q}, []Item[int]{{Size: 10, Due: time.Now()}}, true)
					}
					return q != nil
				}
				for range 10 { // so that the pace is known and the window is as large as it gets
					require.True(t, reserve())
					time.Sleep(tt.limits.Interval)
					r := d.tryTake()
					time.Sleep(tt.takes)
					d.Done(r, Outcome{Success: true})
				}
				n := 0
				for reserve() {
					n++
				}
				require.Equal(t, tt.want, n)
			})
		})
	}
}
