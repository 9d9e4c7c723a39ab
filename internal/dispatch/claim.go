package dispatch

import (
	"slices"
	"time"
)

// A Capacity is how much may be brought into memory: up to Items items, until they have
// reached Bytes bytes. So the last one may exceed Bytes.
type Capacity struct{ Items, Bytes int }

// A Claim says how much a claim may bring. Limit is for all tenants together. PerTenant
// is for each tenant that is not in Tenants, PerQueue for each queue that is not in
// Queues.
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

// tenantCapacity is the capacity that a tenant has left. nil stands for a tenant that
// has nothing in memory.
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

// slowCapacity bounds the items of a tenant whose requests take long, or are not known
// to be quick, to what it can send soon, because items stay in memory for long
// otherwise. The bound is lower while half of the capacity is in use, and an eighth is
// left to the others.
func (d *Dispatcher[K, V]) slowCapacity(t *tenant[K, V], free int) int {
	most := firstWindow + 3*t.inFlight()
	if 2*free < d.cfg.Items {
		most = 1 + t.inFlight()
	}
	return max(0, min(most-t.active, free-d.cfg.Items/8))
}

// queueCapacity is how many more items the queue may have in memory by its own limits
// and those of its tenant.
func (d *Dispatcher[K, V]) queueCapacity(q *Queue[K, V], now time.Time) int {
	if q.throttled.After(now) || q.isStalled && q.inFlight() > 0 {
		return 0
	}
	own := d.capacity(q) - q.active()
	return max(0, min(own, share(d.tenantCapacity(q.tenant).Items, q.active())))
}

// capacity is how many items the queue may have in memory by its own limits. One whose
// endpoint is quick may have as many as are then left free, so that it gets half at most,
// in items and in bytes, but no more than it can send in an eighth of a lease.
func (d *Dispatcher[K, V]) capacity(q *Queue[K, V]) int {
	if q.isStalled {
		return q.Batch
	}
	least := max(3*q.most(), q.Batch)
	free := d.freeCapacity()
	if q.pace() != quick || q.Interval > 0 || q.size > free.Bytes {
		return least
	}
	soon := q.most() * int(d.cfg.Lease/8/max(q.mean, time.Millisecond))
	return max(least, min((free.Items+q.active())/2, soon))
}

// acceptsNew reports whether a new item of the queue may be in memory at once.
func (d *Dispatcher[K, V]) acceptsNew(q *Queue[K, V], now time.Time) bool {
	t := q.tenant
	capacity := d.tenantCapacity(t).Items
	if q.backlogged || capacity == 0 || d.queueCapacity(q, now) <= q.left {
		return false
	}
	// Half of the capacity is kept for what waits in the store.
	if d.storeHasMore && t.active > 0 && 2*d.freeCapacity().Items < d.cfg.Items {
		return false
	}
	return !t.backlogged || q.active() == 0 || capacity >= t.active
}

// AddLeft records that an item for which there was no capacity is in the store, pending
// and due.
func (d *Dispatcher[K, V]) AddLeft(key K) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	q := d.queue(key)
	q.left++
	if q.throttled.After(now) {
		d.cfg.Claim(q.throttled)
		return
	}
	d.requestClaim(q, now)
}

// requestClaim requests a claim if the queue, its tenant or others may have items in the
// store, and if there is capacity for a third of what they may have in memory, so that
// claims do not bring single items.
func (d *Dispatcher[K, V]) requestClaim(q *Queue[K, V], now time.Time) {
	t, free := q.tenant, d.freeCapacity().Items
	capacity := d.tenantCapacity(t).Items
	if q.hasMore() {
		t.backlogged = t.backlogged || capacity == 0
		d.storeHasMore = d.storeHasMore || free == 0
		d.markBusy(q)
	}
	own := d.queueCapacity(q, now)
	switch {
	case free == 0 || d.stopped:
	case q.hasMore() && own > 0 && 3*own >= min(d.capacity(q), own+q.active()),
		t.backlogged && capacity > 0 && 3*capacity >= capacity+t.active,
		d.storeHasMore && (2*free >= d.cfg.Items || 2*d.endedSinceClaim >= d.broughtByClaim):
		if d.workers == d.cfg.Slots && d.idle == 0 && 2*(d.active-len(d.requests)) >= d.cfg.Items {
			now = later(now, d.lastClaim.Add(claimPause))
		}
		d.cfg.Claim(now)
	}
}

// claimPause is the least time between claims while all workers are busy and the items
// that wait for them use half of the capacity.
const claimPause = 10 * time.Millisecond

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// PlanClaim returns how much a claim may bring. It returns false if there is no capacity
// for any item.
func (d *Dispatcher[K, V]) PlanClaim(now time.Time) (c Claim[K], ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c = Claim[K]{Now: now, Limit: d.freeCapacity(), PerTenant: d.tenantCapacity(nil), PerQueue: 3 * firstWindow}
	c.PerTenant.Items = max(1, c.PerTenant.Items)
	d.storeHasMore, d.lastClaim = c.Limit.Items == 0, now
	if d.stopped || d.storeHasMore {
		return c, false
	}
	c.Tenants = make(map[string]Capacity, len(d.busyTenants))
	c.Queues = make(map[K]int, len(d.busyQueues))
	d.busyTenants = slices.DeleteFunc(d.busyTenants, func(t *tenant[K, V]) bool {
		if t.busy = t.active > 0 || t.backlogged; t.busy {
			capacity := d.tenantCapacity(t)
			c.Tenants[t.name] = capacity
			// AddClaimed sets it if the claim leaves items in the store, and
			// AddLeft for items that are stored during the claim.
			t.backlogged = capacity.Items == 0
		}
		return !t.busy
	})
	d.busyQueues = slices.DeleteFunc(d.busyQueues, func(q *Queue[K, V]) bool {
		if q.busy = q.active() > 0 || q.hasMore() || q.throttled.After(now); q.busy {
			capacity := d.queueCapacity(q, now)
			c.Queues[q.key] = capacity
			if q.backlogged = capacity == 0; !q.backlogged {
				q.left = 0
			}
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

// AddClaimed adds the items that a claim has brought.
func (d *Dispatcher[K, V]) AddClaimed(c Claim[K], arrivals []Arrival[K, V]) {
	d.mu.Lock()
	defer d.mu.Unlock()
	size := 0
	queues := make([]*Queue[K, V], len(arrivals))
	for i, a := range arrivals {
		q := d.queue(a.Key)
		d.limit(q, a.Limits)
		queues[i] = q
		q.claimedNow++
		q.tenant.claimedNow++
		q.tenant.claimedNowSize += a.Item.Size
		size += a.Item.Size
		d.add(q, a.Item, c.Now)
	}
	for _, q := range queues {
		d.noteBacklog(c, q)
	}
	d.broughtByClaim, d.endedSinceClaim = len(arrivals), 0
	d.storeHasMore = d.storeHasMore || len(arrivals) >= c.Limit.Items || size >= c.Limit.Bytes
	for _, q := range queues {
		d.requestClaim(q, c.Now)
	}
	d.wake()
}

// noteBacklog marks the queue, or its tenant, as backlogged if the claim has used up its
// capacity, because then the store may have more.
func (d *Dispatcher[K, V]) noteBacklog(c Claim[K], q *Queue[K, V]) {
	t := q.tenant
	if q.claimedNow > 0 {
		capacity, known := c.Queues[q.key]
		if !known {
			capacity = c.PerQueue
		}
		q.backlogged = q.backlogged || q.claimedNow >= capacity
		q.claimedNow = 0
	}
	if t.claimedNow > 0 {
		capacity, known := c.Tenants[t.name]
		if !known {
			capacity = c.PerTenant
		}
		t.backlogged = t.backlogged || t.claimedNow >= capacity.Items || t.claimedNowSize >= capacity.Bytes
		t.claimedNow, t.claimedNowSize = 0, 0
	}
}
