package dispatch

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A backlog is a store and the engine around a Dispatcher, for one goroutine. Its time goes
// in steps.
type backlog struct {
	*Dispatcher[name, int]
	limits  Limits
	keys    []name
	stored  map[name][]*left // oldest first
	unnoted []name           // those for which AddLeft is still to be called
	// wanted is when a claim was requested for. Zero: none was. Guarded by mu, because
	// timers of the Dispatcher request claims as well.
	mu       sync.Mutex
	wanted   time.Time
	plan     *Claim[name] // the claim under way
	arrivals []Arrival[name, int]
	requests []*Request[name, int]
	ended    int
}

// left is an item that waits in the store.
type left struct{ overtaken int } // by so many newer ones

func (b *backlog) trigger(key name) {
	if q := b.Reserve(key, b.limits, 1); q != nil {
		for _, older := range b.stored[key] {
			older.overtaken++
		}
		b.HandOver([]*Queue[name, int]{q}, []Item[int]{{Size: 1, Due: time.Now()}}, true)
		return
	}
	b.stored[key] = append(b.stored[key], new(left))
	b.unnoted = append(b.unnoted, key)
}

// note calls AddLeft for the first n of what was stored.
func (b *backlog) note(n int) {
	for _, key := range b.unnoted[:n] {
		b.AddLeft(key)
	}
	b.unnoted = b.unnoted[n:]
}

// isWanted reports whether a claim was requested for now, and forgets that.
func (b *backlog) isWanted() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.wanted.IsZero() || b.wanted.After(time.Now()) {
		return false
	}
	b.wanted = time.Time{}
	return true
}

// claim begins a claim that was requested: it takes the oldest items of each queue.
func (b *backlog) claim() {
	if b.plan != nil || !b.isWanted() {
		return
	}
	plan, ok := b.PlanClaim(time.Now())
	if !ok {
		return
	}
	b.plan = &plan
	tenants, queues := map[string]int{}, map[name]int{}
	for found := true; found; {
		found = false
		for _, key := range b.keys {
			list := b.stored[key]
			ofQueue, known := plan.Queues[key]
			if !known {
				ofQueue = plan.PerQueue
			}
			ofTenant, known := plan.Tenants[key.tenant]
			if !known {
				ofTenant = plan.PerTenant
			}
			if len(list) == 0 || len(b.arrivals) >= plan.Limit.Items || queues[key] >= ofQueue || tenants[key.tenant] >= ofTenant.Items {
				continue
			}
			found = true
			b.stored[key] = list[1:]
			queues[key]++
			tenants[key.tenant]++
			b.arrivals = append(b.arrivals, Arrival[name, int]{key, b.limits, Item[int]{Size: 1, Due: time.Now()}})
		}
	}
}

func (b *backlog) endClaim() {
	if b.plan != nil {
		b.AddClaimed(*b.plan, b.arrivals)
		b.plan, b.arrivals = nil, nil
	}
}

// send begins all requests that can be, and ends n of those under way.
func (b *backlog) send(n int) {
	for r := b.tryTake(); r != nil; r = b.tryTake() {
		b.requests = append(b.requests, r)
	}
	for ; n > 0 && len(b.requests) > 0; n-- {
		b.Done(b.requests[0], Outcome{Success: true})
		b.requests = b.requests[1:]
		b.ended++
	}
}

// However much is triggered, what had to be left in the store is sent before long, and all
// is sent in the end.
func TestNothingIsOvertakenForever(t *testing.T) {
	const (
		steps = 100
		most  = 6 // items triggered for a queue in a step
	)
	rapid.Check(t, func(rt *rapid.T) {
		inBubble(t, func() {
			slots := rapid.IntRange(1, 16).Draw(rt, "slots")
			items := 16 * slots
			b := &backlog{stored: map[name][]*left{}, limits: Limits{InFlight: rapid.IntRange(1, 8).Draw(rt, "in flight"), Batch: 1}}
			b.Dispatcher = newTest(slots, items, 1<<30)
			b.cfg.Claim = func(at time.Time) {
				b.mu.Lock()
				defer b.mu.Unlock()
				if b.wanted.IsZero() || at.Before(b.wanted) {
					b.wanted = at
				}
			}
			tenants := rapid.IntRange(1, 3).Draw(rt, "tenants")
			b.SetTenants(tenants)
			for i := range rapid.IntRange(1, 6).Draw(rt, "queues") {
				b.keys = append(b.keys, name{string(rune('a' + i%tenants)), i})
			}
			loads := rapid.SliceOfN(rapid.IntRange(0, most), len(b.keys), len(b.keys)).Draw(rt, "load of each")
			ends := rapid.IntRange(1, slots).Draw(rt, "requests that end in a step")
			random := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1))
			triggered := 0
			step := func() {
				b.note(random.IntN(len(b.unnoted) + 1))
				if random.IntN(2) == 0 {
					b.endClaim()
				}
				b.claim()
				b.send(ends)
				time.Sleep(time.Millisecond) // of virtual time
			}
			for range steps {
				for i, key := range b.keys {
					for range loads[i] {
						b.trigger(key)
						triggered++
					}
				}
				step()
				for key, list := range b.stored {
					for _, older := range list {
						require.LessOrEqual(rt, older.overtaken, steps/2*most, "an item of %v was overtaken", key)
					}
				}
			}
			for range 100 * triggered {
				if b.ended == triggered {
					return
				}
				step()
			}
			require.Equal(rt, triggered, b.ended, "all are sent in the end")
		})
	})
}
