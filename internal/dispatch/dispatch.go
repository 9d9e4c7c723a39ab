// Package dispatch decides which of the items that wait in memory gets the next
// free slot for a request, so that no tenant is slower because of another. It
// knows items, the queues that they wait in (one for each endpoint), and the
// tenants that these belong to, and nothing else of its caller.
//
// The order is that of slot time: how long requests have been under way. A free
// slot goes to the tenant that has used the least lately, within it to such a
// queue, and within that to first attempts and retries in turn.
//
// Order alone does not help who comes when all slots are taken. So nobody gets
// more than four times what is then left free (a dynamic threshold, as
// in the shared memory of network switches). One tenant beside others may have
// four fifths of the slots, two have four ninths each, and whoever comes next
// finds some free.
//
// Slots come in tiers (see limits): quick ones for requests younger than 50 ms,
// others for those younger than a second, and for the rest. A request moves up
// with its age. Requests to an endpoint that is known to be slow start in a higher
// tier, and wait there for other slow ones only. A tenant whose endpoints have not
// answered yet may start only a few requests.
//
// Room in memory, for items that wait and for what a claim may bring, is shared
// by the same threshold, in items and in bytes.
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
	// BatchBytes bounds the items that share a request, but for a single one.
	BatchBytes int
	// Lease is for how long a queue may keep an item waiting, roughly.
	Lease time.Duration
	// Tenant returns whose a queue is.
	Tenant func(K) string
	// Claim asks for a claim at that time, Release gives an item back to the
	// store, Spawn starts a worker. They are called with the Dispatcher
	// locked, so they must not block or call it.
	Claim   func(at time.Time)
	Release func(V)
	Spawn   func()
}

// An Item is something to send.
type Item[V any] struct {
	Value V
	Size  int       // in bytes
	Due   time.Time // since when it may be sent
	Retry bool      // it is no first attempt
}

// Limits are those of one queue. The fields must be positive, but for Interval
// and Gather.
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
	// changed is signalled when a worker may find something to take, and
	// broadcast when the Dispatcher stops or is drained.
	changed sync.Cond
	// What follows is guarded by mu.
	clock
	limits
	alone   bool // there is one tenant at most
	queues  map[K]*Queue[K, V]
	tenants map[string]*tenant[K, V]
	lines   lines[tenant[K, V]]
	// busyTenants and busyQueues have all of which something is in memory, or
	// waits in the store as far as is known, so that claims need not look at
	// the others. Those that have become idle are in them until the next claim.
	busyTenants []*tenant[K, V]
	busyQueues  []*Queue[K, V]
	parked      []parked[K, V]
	arrivals    uint64
	requests    []*Request[K, V] // under way
	held        [tiers]int       // slots
	unknowns    [tiers]int       // of those, for tenants of unknown pace
	stalls      int              // of those, for endpoints that are stalled
	active      int              // items buffered or reserved, and requests
	size        int              // their bytes
	reserved    int
	more        bool // the store may hold items that are due of queues not known
	// claimedAt is when the last claim was made, brought how many items it has
	// brought, and left how many have left since.
	claimedAt     time.Time
	brought, left int
	workers       int
	idle          int // workers that wait
	sweeping      bool
	stopped       bool
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
		lines: newLines(func(t *tenant[K, V]) *node { return &t.node }), more: true,
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

// queue returns the queue, new or old, about which something is to be noted.
func (d *Dispatcher[K, V]) queue(key K) *Queue[K, V] {
	q := d.queues[key]
	if q == nil {
		q = d.newQueue(key)
	}
	d.isBusy(q)
	return q
}

func (d *Dispatcher[K, V]) isBusy(q *Queue[K, V]) {
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
		d.seat(q, time.Now())
	}
}

// Reserve makes room for an item of the queue that is about to be stored as
// leased. It returns nil when there is none, and when older items wait in the
// store that would be overtaken again and again; then the item has to be stored
// as pending, and [Dispatcher.Left] to be called. Otherwise HandOver has to be.
func (d *Dispatcher[K, V]) Reserve(key K, l Limits, size int) *Queue[K, V] {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped {
		return nil
	}
	q := d.queue(key)
	d.limit(q, l)
	if !d.takesNew(q, time.Now()) {
		return nil
	}
	q.reserved++
	d.reserved++
	d.hold(q, 1, size)
	return q
}

// HandOver turns reservations into items that wait, if they were stored, and
// gives their room back otherwise. queues has the queue of each item.
func (d *Dispatcher[K, V]) HandOver(queues []*Queue[K, V], items []Item[V], stored bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	for i, q := range queues {
		q.reserved--
		d.reserved--
		d.hold(q, -1, -items[i].Size)
		if stored {
			d.add(q, items[i], now)
		}
	}
	if d.stopped && d.reserved == 0 {
		d.changed.Broadcast()
	}
	d.wake()
}

// hold counts items, and their bytes, that are in memory from now on.
func (d *Dispatcher[K, V]) hold(q *Queue[K, V], items, size int) {
	d.active += items
	q.tenant.active += items
	d.size += size
	q.tenant.size += size
	q.size += size
}

// add lets an item wait, or gives it back if its queue cannot use it.
func (d *Dispatcher[K, V]) add(q *Queue[K, V], it Item[V], now time.Time) {
	if d.stopped || q.throttled.After(now) || q.isStalled && d.queueCapacity(q, now) == 0 {
		q.behind = true
		d.cfg.Release(it.Value)
		return
	}
	if it.Retry {
		q.retries.push(it)
	} else {
		q.firsts.push(it)
	}
	d.hold(q, 1, it.Size)
	d.seat(q, now)
}

// Renew forgets what is held against the endpoint of a queue, which was changed.
// How quickly it has answered is not forgotten.
func (d *Dispatcher[K, V]) Renew(key K) {
	d.mu.Lock()
	defer d.mu.Unlock()
	q := d.queues[key]
	if q == nil {
		return
	}
	now := time.Now()
	q.throttled, q.failures, q.isStalled = time.Time{}, 0, false
	d.seat(q, now)
	d.claimFor(q, now)
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

// flush gives all that waits in the queue back to the store.
func (d *Dispatcher[K, V]) flush(q *Queue[K, V]) {
	for _, r := range []*ring[Item[V]]{&q.firsts, &q.retries} {
		for r.len() > 0 {
			it := r.pop()
			q.behind = true
			d.hold(q, -1, -it.Size)
			d.cfg.Release(it.Value)
		}
	}
	d.seat(q, time.Now())
}

// Prune forgets queues that are gone, and what has not been used for a while.
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
		// Slot time of less than the cost of a request is none.
		if t.queues == 0 && !t.busy && t.used < requestCost.Seconds()*d.weight(now) {
			delete(d.tenants, name)
		}
	}
	d.rebase(now)
}

// keepIdle is how long a queue that is not used is remembered.
const keepIdle = 2 * time.Minute

// rebase lets the clock start anew, so that weights stay finite.
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

// Stop gives back what waits and has Take return nothing.
func (d *Dispatcher[K, V]) Stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopped = true
	for _, q := range d.queues {
		d.flush(q)
	}
	d.changed.Broadcast()
}

// Drain waits until nothing is reserved, after Stop.
func (d *Dispatcher[K, V]) Drain() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.reserved > 0 {
		d.changed.Wait()
	}
}
