// Package dispatch decides which of the items that wait in memory gets the next
// free slot for a request, so that no tenant is slower because of another. An item
// waits in a queue, of which each endpoint has one, and each queue belongs to a
// tenant. The package knows nothing else of its caller.
//
// Slots are given in the order of slot time, which is how long requests have
// occupied slots. A free slot goes to the tenant that has used the least slot time
// lately. Of its queues, it goes to the one that has used the least. Within a queue,
// first attempts and retries take turns.
//
// Order alone does not help a tenant that comes when all slots are taken. So no
// tenant gets more than four times what is then left free (a dynamic threshold, as
// in the shared memory of network switches). One tenant beside others may have four
// fifths of the slots, two have four ninths each, and the next one finds some free.
//
// Slots come in tiers (see limits): quick ones for requests younger than 50 ms,
// others for those younger than a second, and others for the rest. A request moves to
// the next tier as it grows older. Requests to an endpoint that is known to be slow
// start in a higher tier, where they wait for other slow requests only. A tenant may
// start only a few requests until its endpoints have responded.
//
// Capacity in memory, for items that wait and for those that a claim may bring, is
// shared by the same threshold, in items and in bytes.
package dispatch

import (
	"sync"
	"time"
)

// A Config sets a Dispatcher up. All fields are required.
type Config[K comparable, V any] struct {
	// Slots is how many requests may be under way at a time.
	Slots int
	// Items and Bytes bound what is in memory: items that wait, are reserved
	// or are under way.
	Items, Bytes int
	// BatchBytes bounds the size of the items that share a request. A single item may
	// be larger.
	BatchBytes int
	// Lease is roughly how long an item may wait.
	Lease time.Duration
	// Tenant returns whose a queue is.
	Tenant func(K) string
	// Claim requests a claim at that time, GiveBack returns an item to the store,
	// and Spawn starts a worker. They are called with the Dispatcher locked, so
	// they must not block, nor call the Dispatcher.
	Claim    func(at time.Time)
	GiveBack func(V)
	Spawn    func()
}

// An Item is something to send.
type Item[V any] struct {
	Value V
	Size  int       // in bytes
	Due   time.Time // since when it may be sent
	Retry bool      // it has been attempted before
}

// Limits are those of one queue. InFlight and Batch must be positive. Interval and
// Gather may be 0.
type Limits struct {
	// InFlight is how many of its requests may be under way at a time.
	InFlight int
	// Interval is the time between the starts of two requests.
	Interval time.Duration
	// Batch is how many items may share a request, Gather how long an item
	// that is due waits for others.
	Batch  int
	Gather time.Duration
}

// A Dispatcher is a set of queues. It may be used concurrently.
type Dispatcher[K comparable, V any] struct {
	cfg Config[K, V]

	mu sync.Mutex
	// changed is signalled when there may be a request for a worker, and broadcast
	// when the Dispatcher stops or is drained.
	changed sync.Cond
	// What follows is guarded by mu.
	clock
	limits
	alone   bool // there is one tenant at most
	queues  map[K]*Queue[K, V]
	tenants map[string]*tenant[K, V]
	lines   lines[tenant[K, V]]
	// busyTenants and busyQueues are those that have something in memory or, as far
	// as is known, in the store, so that a claim need not look at the others. Those
	// that have become idle stay until the next claim.
	busyTenants  []*tenant[K, V]
	busyQueues   []*Queue[K, V]
	parked       []parked[K, V]
	arrivals     uint64
	requests     []*Request[K, V] // under way
	slotsTaken   [tiers]int       // slots
	unknowns     [tiers]int       // of those, for tenants of unknown pace
	stalls       int              // of those, for endpoints that are stalled
	active       int              // items buffered or reserved, and requests
	size         int              // their bytes
	reserved     int
	storeHasMore bool // the store may hold items that are due of queues not known
	// lastClaim is when the last claim was made, broughtByClaim how many items it
	// has brought, and endedSinceClaim how many have ended since.
	lastClaim                       time.Time
	broughtByClaim, endedSinceClaim int
	workers                         int
	idle                            int // workers that wait
	sweeping                        bool
	stopped                         bool
}

// parked is a tenant, or a queue, that may not have a slot of that pace now.
type parked[K comparable, V any] struct {
	tenant *tenant[K, V]
	queue  *Queue[K, V] // nil: the tenant
	pace   pace
}

// New returns a Dispatcher for several tenants.
func New[K comparable, V any](cfg Config[K, V]) *Dispatcher[K, V] {
	d := &Dispatcher[K, V]{
		cfg: cfg, clock: clock{time.Now()}, limits: newLimits(cfg.Slots, false),
		queues: map[K]*Queue[K, V]{}, tenants: map[string]*tenant[K, V]{},
		lines: newLines(func(t *tenant[K, V]) *node { return &t.node }), storeHasMore: true,
	}
	d.changed.L = &d.mu
	return d
}

// SetTenants says how many tenants there are. One alone gets all of the slots.
func (d *Dispatcher[K, V]) SetTenants(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if alone := n <= 1; alone != d.alone {
		d.alone, d.limits = alone, newLimits(d.cfg.Slots, alone)
		d.unpark()
		d.wake()
	}
}

// queue returns the queue of the key, which it makes if there is none, and marks it
// as busy.
func (d *Dispatcher[K, V]) queue(key K) *Queue[K, V] {
	q := d.queues[key]
	if q == nil {
		q = d.newQueue(key)
	}
	d.markBusy(q)
	return q
}

func (d *Dispatcher[K, V]) markBusy(q *Queue[K, V]) {
	if !q.busy {
		q.busy = true
		d.busyQueues = append(d.busyQueues, q)
	}
	if t := q.tenant; !t.busy {
		t.busy = true
		d.busyTenants = append(d.busyTenants, t)
	}
}

func (d *Dispatcher[K, V]) newQueue(key K) *Queue[K, V] {
	name := d.cfg.Tenant(key)
	t := d.tenants[name]
	if t == nil {
		t = &tenant[K, V]{name: name, window: firstWindow, lines: newLines(func(q *Queue[K, V]) *node { return &q.node })}
		d.tenants[name] = t
	}
	t.queues++
	q := &Queue[K, V]{key: key, tenant: t, window: firstWindow, Limits: Limits{InFlight: firstWindow, Batch: 1}, touched: time.Now()}
	d.queues[key] = q
	return q
}

// limit sets the limits of a queue.
func (d *Dispatcher[K, V]) limit(q *Queue[K, V], l Limits) {
	if l.Interval > 0 {
		// Not more than can start while the lease is trusted.
		l.InFlight = max(1, min(l.InFlight, int(d.cfg.Lease/32/l.Interval)))
	}
	if q.Limits != l {
		q.Limits = l
		d.updateLines(q, time.Now())
	}
}

// Reserve reserves capacity for an item of the queue that will be stored as leased. It
// returns nil if there is no capacity, or as much of it as there is for older items in
// the store, so that newer ones do not overtake those again and again. Then store the item
// as pending, and call [Dispatcher.AddLeft]. Otherwise call [Dispatcher.HandOver].
func (d *Dispatcher[K, V]) Reserve(key K, l Limits, size int) *Queue[K, V] {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped {
		return nil
	}
	q := d.queue(key)
	d.limit(q, l)
	if !d.acceptsNew(q, time.Now()) {
		return nil
	}
	q.reserved++
	d.reserved++
	d.countInMemory(q, 1, size)
	return q
}

// HandOver turns reservations into items that wait if they were stored, and otherwise
// cancels the reservations. queues has the queue of each item.
func (d *Dispatcher[K, V]) HandOver(queues []*Queue[K, V], items []Item[V], stored bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	for i, q := range queues {
		q.reserved--
		d.reserved--
		d.countInMemory(q, -1, -items[i].Size)
		if stored {
			d.add(q, items[i], now)
		}
	}
	if d.stopped && d.reserved == 0 {
		d.changed.Broadcast()
	}
	d.wake()
}

// countInMemory adds items, and their bytes, to what is in memory. Both may be
// negative.
func (d *Dispatcher[K, V]) countInMemory(q *Queue[K, V], items, size int) {
	d.active += items
	q.tenant.active += items
	d.size += size
	q.tenant.size += size
	q.size += size
}

// add puts an item into its queue, or gives it back if the queue cannot send it soon.
func (d *Dispatcher[K, V]) add(q *Queue[K, V], it Item[V], now time.Time) {
	if d.stopped || q.throttled.After(now) || q.isStalled && d.queueCapacity(q, now) == 0 {
		q.backlogged = true
		d.cfg.GiveBack(it.Value)
		return
	}
	if it.Retry {
		q.retries.push(it)
	} else {
		q.firsts.push(it)
	}
	d.countInMemory(q, 1, it.Size)
	d.updateLines(q, now)
}

// EndpointChanged forgets the failures of a queue, because its endpoint was changed. How
// quickly it has responded is not forgotten.
func (d *Dispatcher[K, V]) EndpointChanged(key K) {
	d.mu.Lock()
	defer d.mu.Unlock()
	q := d.queues[key]
	if q == nil {
		return
	}
	now := time.Now()
	q.throttled, q.failures, q.isStalled = time.Time{}, 0, false
	d.updateLines(q, now)
	d.requestClaim(q, now)
	d.wake()
}

// Failures returns how many attempts have failed in a row, as far as is known.
func (d *Dispatcher[K, V]) Failures(key K) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if q := d.queues[key]; q != nil {
		return q.failures
	}
	return 0
}

// flush returns all items that wait in the queue to the store.
func (d *Dispatcher[K, V]) flush(q *Queue[K, V]) {
	for _, r := range []*ring[Item[V]]{&q.firsts, &q.retries} {
		for r.len() > 0 {
			it := r.pop()
			q.backlogged = true
			d.countInMemory(q, -1, -it.Size)
			d.cfg.GiveBack(it.Value)
		}
	}
	d.updateLines(q, time.Now())
}

// Prune forgets queues whose key is gone, and those that were not used for a while.
func (d *Dispatcher[K, V]) Prune(gone func(K) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	for key, q := range d.queues {
		forgettable := now.Sub(q.touched) >= keepIdle && !q.isStalled && !q.throttled.After(now)
		if q.idle(now) && (forgettable || gone(key)) {
			d.forget(q)
		}
	}
	for name, t := range d.tenants {
		// Slot time of less than the cost of a request makes no difference.
		if t.queues == 0 && !t.busy && t.used < requestCost.Seconds()*d.weight(now) {
			delete(d.tenants, name)
		}
	}
	d.rebase(now)
}

// keepIdle is how long a queue that is not used is remembered.
const keepIdle = 2 * time.Minute

// rebase restarts the clock, so that weights stay finite.
func (d *Dispatcher[K, V]) rebase(now time.Time) {
	factor := 1 / d.weight(now)
	d.clock = clock{now}
	for _, t := range d.tenants {
		t.used *= factor
	}
	for _, q := range d.queues {
		q.used *= factor
	}
}

// Stop returns all items that wait to the store. From then on, Next returns false.
func (d *Dispatcher[K, V]) Stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopped = true
	for _, q := range d.queues {
		d.flush(q)
	}
	d.changed.Broadcast()
}

// Drain waits, after Stop, until nothing is reserved.
func (d *Dispatcher[K, V]) Drain() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.reserved > 0 {
		d.changed.Wait()
	}
}
