package dispatch

import (
	"slices"
	"time"
)

// A Room is how much may be brought into memory: so many items, and more of them
// as long as their bytes have not reached Bytes.
type Capacity struct{ Items, Bytes int }

// A Claim is what a claim may bring: in all, for each tenant that is not in
// Tenants, and for each queue that is not in Queues.
type Claim[K comparable] struct {
	Now       time.Time
	Limit     Capacity
	PerTenant Capacity
	Tenants   map[string]Capacity
	PerQueue  int
	Queues    map[K]int
}

func (d *Dispatcher[K, V]) freeCapacity() Capacity {
	r := Capacity{max(0, d.cfg.Items-d.active), max(0, d.cfg.Bytes-d.size)}
	if r.Bytes == 0 {
		r.Items = 0
	}
	return r
}

// tenantCapacity is the room that a tenant has; nil is one of which nothing is in
// memory.
func (d *Dispatcher[K, V]) tenantCapacity(t *tenant[K, V]) Capacity {
	free := d.freeCapacity()
	if d.alone {
		return free
	}
	if t == nil {
		t = &tenant[K, V]{}
	}
	r := Capacity{share(free.Items, t.active), share(free.Bytes, t.size)}
	if p := t.record.pace(); p == unknown || p == long {
		r.Items = min(r.Items, d.slowCapacity(t, free.Items))
	}
	if r.Bytes == 0 {
		r.Items = 0
	}
	return r
}

// slowCapacity bounds what may be in memory for a tenant whose requests take long
// or are not known to be quick, because it would be there for long: what it can
// use soon. When half of the room is in use it is less, and an eighth is left to
// the others.
func (d *Dispatcher[K, V]) slowCapacity(t *tenant[K, V], free int) int {
	most := firstWindow + 3*t.inFlight()
	if 2*free < d.cfg.Items {
		most = 1 + t.inFlight()
	}
	return max(0, min(most-t.active, free-d.cfg.Items/8))
}

// queueCapacity is how many more items the queue may have in memory, as far as it and
// its tenant go.
func (d *Dispatcher[K, V]) queueCapacity(q *Queue[K, V], now time.Time) int {
	if q.throttled.After(now) || q.isStalled && q.inFlight() > 0 {
		return 0
	}
	own := max(0, q.capacity()-q.active())
	return min(own, share(d.tenantCapacity(q.tenant).Items, q.active()))
}

// takesNew reports whether a new item of the queue goes to memory at once.
func (d *Dispatcher[K, V]) takesNew(q *Queue[K, V], now time.Time) bool {
	t := q.tenant
	room := d.tenantCapacity(t).Items
	if q.behind || room == 0 || d.queueCapacity(q, now) == 0 {
		return false
	}
	// What waits in the store keeps half of the room free for itself.
	if d.more && t.active > 0 && 2*d.freeCapacity().Items < d.cfg.Items {
		return false
	}
	return !t.behind || q.active() == 0 || room >= t.active
}

// Left takes note that an item of the queue that is due was stored as pending.
func (d *Dispatcher[K, V]) Left(key K) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	q := d.queue(key)
	q.behind = true
	if q.throttled.After(now) {
		d.cfg.Claim(q.throttled)
		return
	}
	d.claimFor(q, now)
}

// claimFor asks for a claim if what the queue, its tenant or others have in the
// store makes one worth while: when there is room for a third of what may be in
// memory, so that claims are not for single items.
func (d *Dispatcher[K, V]) claimFor(q *Queue[K, V], now time.Time) {
	t, free := q.tenant, d.freeCapacity().Items
	room := d.tenantCapacity(t).Items
	if q.behind {
		t.behind = t.behind || room == 0
		d.more = d.more || free == 0
		d.isBusy(q)
	}
	own := d.queueCapacity(q, now)
	switch {
	case free == 0 || d.stopped:
	case q.behind && own > 0 && 3*own >= min(q.capacity(), own+q.active()),
		t.behind && room > 0 && 3*room >= room+t.active,
		d.more && (2*free >= d.cfg.Items || 2*d.left >= d.brought):
		if d.workers == d.cfg.Slots && d.idle == 0 && 2*(d.active-len(d.requests)) >= d.cfg.Items {
			now = later(now, d.claimedAt.Add(claimPause))
		}
		d.cfg.Claim(now)
	}
}

// claimPause is the least time between claims while all workers are busy and half
// of the room is in use by what waits for them.
const claimPause = 10 * time.Millisecond

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Request returns what a claim may bring. It returns false if a claim is not
// worth while.
func (d *Dispatcher[K, V]) Request(now time.Time) (c Claim[K], ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c = Claim[K]{Now: now, Limit: d.freeCapacity(), PerTenant: d.tenantCapacity(nil), PerQueue: 3 * firstWindow}
	c.PerTenant.Items = max(1, c.PerTenant.Items)
	d.more, d.claimedAt = c.Limit.Items == 0, now
	if d.stopped || d.more {
		return c, false
	}
	c.Tenants = make(map[string]Capacity, len(d.busyTenants))
	c.Queues = make(map[K]int, len(d.busyQueues))
	d.busyTenants = slices.DeleteFunc(d.busyTenants, func(t *tenant[K, V]) bool {
		if t.busy = t.active > 0 || t.behind; t.busy {
			room := d.tenantCapacity(t)
			c.Tenants[t.name] = room
			// What the claim leaves behind, Claimed will see; what comes while it
			// is under way, Left will.
			t.behind = room.Items == 0
		}
		return !t.busy
	})
	d.busyQueues = slices.DeleteFunc(d.busyQueues, func(q *Queue[K, V]) bool {
		if q.busy = q.active() > 0 || q.behind || q.throttled.After(now); q.busy {
			room := d.queueCapacity(q, now)
			c.Queues[q.key] = room
			q.behind = room == 0
		}
		return !q.busy
	})
	return c, true
}

// An Arrival is an item that a claim has brought, with its queue.
type Arrival[K comparable, V any] struct {
	Key    K
	Limits Limits
	Item   Item[V]
}

// Claimed takes in what a claim has brought.
func (d *Dispatcher[K, V]) Claimed(c Claim[K], arrivals []Arrival[K, V]) {
	d.mu.Lock()
	defer d.mu.Unlock()
	size := 0
	queues := make([]*Queue[K, V], len(arrivals))
	for i, a := range arrivals {
		q := d.queue(a.Key)
		d.limit(q, a.Limits)
		queues[i] = q
		q.claimed++
		q.tenant.claimed++
		q.tenant.claimedSize += a.Item.Size
		size += a.Item.Size
		d.add(q, a.Item, c.Now)
	}
	for _, q := range queues {
		d.usedUp(c, q)
	}
	d.brought, d.left = len(arrivals), 0
	d.more = d.more || len(arrivals) >= c.Limit.Items || size >= c.Limit.Bytes
	for _, q := range queues {
		d.claimFor(q, c.Now)
	}
	d.wake()
}

// usedUp takes note of it if the claim has brought all that the queue, or its
// tenant, had room for: then there may be more.
func (d *Dispatcher[K, V]) usedUp(c Claim[K], q *Queue[K, V]) {
	t := q.tenant
	if q.claimed > 0 {
		room, known := c.Queues[q.key]
		if !known {
			room = c.PerQueue
		}
		q.behind = q.behind || q.claimed >= room
		q.claimed = 0
	}
	if t.claimed > 0 {
		room, known := c.Tenants[t.name]
		if !known {
			room = c.PerTenant
		}
		t.behind = t.behind || t.claimed >= room.Items || t.claimedSize >= room.Bytes
		t.claimed, t.claimedSize = 0, 0
	}
}
