package hooks

import (
	"sync"
	"time"
)

// An item is a leased delivery in memory.
type item struct {
	*Claimed
	hook *indexed // as it was when the item came; nil if it was gone
	lane *lane    // in the buffer
}

// compiled is the outline of the item's hook, or nil if it was gone or its
// protocol is unknown.
func (it item) compiled() *compiled {
	if it.hook == nil {
		return nil
	}
	return it.hook.outline
}

// A buffer holds the deliveries that this Manager has leased and not yet
// started, a lane for each hook, and decides which one a free worker gets.
//
// Bounds: what is buffered, reserved by a Trigger that is committing, or in
// flight, is at most capacity in all and three times a lane's window, or one
// batch, for each hook. A batch in flight counts as one.
//
// Fairness: lanes take turns; within a lane first attempts and retries do. The
// window of a lane, which is how many requests it may have in flight, starts
// small and opens by one with each success up to the hook's limit. When an
// endpoint does not answer in time or asks to be left alone, its lane is slow
// until the next success: its window is one, what it has buffered goes back to
// the store, and all slow lanes together get at most half of the workers. So
// the others keep theirs, however many endpoints hang.
//
// What finds no room stays in the store, and the buffer remembers that: behind
// and more say where a claim is worth while.
type buffer struct {
	lease    time.Duration
	workers  int
	perHook  int
	capacity int
	// dueAt asks for a claim at that time, release gives leases back. Both are
	// called with mu held and do not block.
	dueAt   func(time.Time)
	release func(item)

	mu sync.Mutex
	// changed is signalled when there may be something to take, and broadcast
	// when the buffer stops or is drained.
	changed sync.Cond
	// What follows is guarded by mu.
	lanes        map[Ref]*lane
	quick, slow  ring[*lane] // lanes that can start a request now
	slowsTurn    bool
	held         int // items buffered or reserved
	reserved     int // of those, reserved
	inFlight     int // requests
	slowInFlight int // of those, of slow lanes
	more         bool
	stopped      bool
}

func newBuffer(cfg Config, dueAt func(time.Time), release func(item)) *buffer {
	b := &buffer{
		lease: cfg.Lease, workers: cfg.MaxInFlight, perHook: cfg.MaxInFlightPerHook, capacity: 4 * cfg.MaxInFlight,
		dueAt: dueAt, release: release, lanes: map[Ref]*lane{}, more: true,
	}
	b.changed.L = &b.mu
	return b
}

func (b *buffer) free() int { return max(0, b.capacity-b.held-b.inFlight) }

// lane returns the lane of a hook; c is nil if the hook is gone.
func (b *buffer) lane(ref Ref, c *compiled) *lane {
	l := b.lanes[ref]
	if l == nil {
		l = &lane{ref: ref, open: firstWindow}
		b.lanes[ref] = l
	}
	l.limit, l.interval, l.batch, l.gather = b.perHook, 0, 1, 0
	if c == nil {
		return l
	}
	l.batch, l.gather = c.batch, c.gather
	if c.hook.MaxInFlight > 0 {
		l.limit = c.hook.MaxInFlight
	}
	if c.hook.RateLimit > 0 {
		l.interval = time.Duration(float64(time.Second) / c.hook.RateLimit)
		// Not more than can start while the lease is trusted.
		l.limit = max(1, min(l.limit, int(b.lease/32/max(1, l.interval))))
	}
	return l
}

// forget drops the lane if there is nothing left to know.
func (b *buffer) forget(l *lane, now time.Time) {
	if l.active() == 0 && !l.slow && !l.behind && !l.waiting && !l.nextStart.After(now) {
		delete(b.lanes, l.ref)
	}
}

// reserve makes room in a lane for a delivery that is about to be stored as
// leased until the time returned. It returns nil when there is none, and when
// older deliveries wait in the store, which would be overtaken again and again.
func (b *buffer) reserve(c *compiled, now time.Time) (l *lane, until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped || b.more || b.free() == 0 {
		return nil, time.Time{}
	}
	l = b.lane(c.hook.Ref(), c)
	if l.behind || l.room(now) == 0 {
		return nil, time.Time{}
	}
	l.reserved++
	b.reserved++
	b.held++
	return l, stamp(now.Add(b.lease))
}

// handOver turns reservations into buffered items, if they were stored.
func (b *buffer) handOver(items []item, stored bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := now()
	for _, it := range items {
		it.lane.reserved--
		b.reserved--
		b.held--
		if stored {
			b.add(it, at)
		}
		b.forget(it.lane, at)
	}
	if b.stopped && b.reserved == 0 {
		b.changed.Broadcast()
	}
}

// left takes note that deliveries were stored as pending and due.
func (b *buffer) left(deliveries []Delivery) {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := now()
	for i := range deliveries {
		if d := &deliveries[i]; d.State == Pending && !d.Due.After(at) {
			l := b.lanes[d.HookRef()]
			if l == nil {
				l = b.lane(d.HookRef(), nil)
			}
			l.behind = true
			switch {
			case l.throttled.After(at):
				b.dueAt(l.throttled)
			case b.free() == 0:
				b.more = true
			case l.wants(at):
				b.dueAt(at)
			}
		}
	}
}

// add buffers an item, or gives it back if its lane cannot use it.
func (b *buffer) add(it item, now time.Time) {
	l := it.lane
	if b.stopped || l.throttled.After(now) || l.slow && l.room(now) == 0 {
		l.behind = true
		b.release(it)
		return
	}
	if it.Delivery.Step == 0 {
		l.firsts.push(it)
	} else {
		l.retries.push(it)
	}
	b.held++
	b.ready(l)
}

// startable reports whether the lane can start a request, but for its rate.
func (b *buffer) startable(l *lane) bool {
	return !b.stopped && l.buffered() > 0 && l.inFlight < l.window()
}

// ready puts the lane in line when it can start a request.
func (b *buffer) ready(l *lane) {
	if l.waiting || !b.startable(l) || b.gathers(l) {
		return
	}
	l.waiting = true
	if !l.nextStart.IsZero() {
		if wait := time.Until(l.nextStart); wait > 0 {
			time.AfterFunc(wait, func() {
				b.mu.Lock()
				defer b.mu.Unlock()
				l.waiting = false
				b.ready(l)
				b.forget(l, l.nextStart)
			})
			return
		}
	}
	if l.slow {
		b.slow.push(l)
	} else {
		b.quick.push(l)
	}
	b.changed.Signal()
}

// gathers reports whether what the lane has buffered waits for more to share a
// request with, and if so sees to its end. No lane does when half of the
// capacity is in use, so that those that gather leave the other half free.
func (b *buffer) gathers(l *lane) bool {
	if l.batch == 1 || b.held > b.capacity/2 {
		return false
	}
	_, at := l.queue()
	wait := time.Until(at)
	if wait > 0 && !l.gathering {
		l.gathering = true
		time.AfterFunc(wait, func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			l.gathering = false
			b.ready(l)
		})
	}
	return wait > 0
}

// take waits for work and appends items of one hook, for one request, to items.
// It appends none when the buffer has stopped.
func (b *buffer) take(items []item) []item {
	b.mu.Lock()
	defer b.mu.Unlock()
	for !b.stopped {
		if l := b.next(); l != nil {
			return b.takeFrom(l, items)
		}
		b.changed.Wait()
	}
	return items
}

// next chooses the lane whose turn it is, or nil.
func (b *buffer) next() *lane {
	for {
		var l *lane
		slow := b.slowInFlight < max(1, b.workers/2) && b.slow.len() > 0
		if slow && (b.slowsTurn || b.quick.len() == 0) {
			l, b.slowsTurn = b.slow.pop(), false
		} else if b.quick.len() > 0 {
			l, b.slowsTurn = b.quick.pop(), true
		} else {
			return nil
		}
		l.waiting = false
		if b.startable(l) { // It may have changed while in line.
			return l
		}
		b.forget(l, time.Now())
	}
}

func (b *buffer) takeFrom(l *lane, items []item) []item {
	items = l.take(items)
	b.held -= len(items)
	b.inFlight++
	l.inFlight++
	if l.slow {
		b.slowInFlight++
	}
	if l.interval > 0 {
		l.nextStart = time.Now().Add(l.interval)
	}
	b.ready(l)
	return items
}

// An outcome is what a request tells of its endpoint.
type outcome struct {
	success, failed bool
	// slow: no answer in time, or the wish to be left alone.
	slow bool
	// throttled is until when it wants to be left alone.
	throttled time.Time
}

// failuresOf returns how many attempts have failed in a row, as far as known.
func (b *buffer) failuresOf(l *lane) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return l.failures
}

// done ends what take began.
func (b *buffer) done(l *lane, o outcome) {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := now()
	b.inFlight--
	l.inFlight--
	if l.slow {
		b.slowInFlight--
	}
	switch {
	case o.success:
		l.failures = 0
		l.open = min(l.open+1, max(l.limit, firstWindow))
		b.setSlow(l, false)
	case o.failed:
		l.failures++
		if o.throttled.After(l.throttled) {
			l.throttled = o.throttled
		}
		if o.slow {
			l.open = firstWindow
			b.setSlow(l, true)
			b.flush(l)
		}
	}
	b.ready(l)
	if b.more && b.free() >= b.capacity/2 || l.wants(at) && b.free() > 0 {
		b.dueAt(at)
	}
	b.forget(l, at)
	// A slow lane may have waited for this one's worker.
	b.changed.Signal()
}

func (b *buffer) setSlow(l *lane, slow bool) {
	if l.slow == slow {
		return
	}
	l.slow = slow
	if slow {
		b.slowInFlight += l.inFlight
	} else {
		b.slowInFlight -= l.inFlight
	}
}

// renew forgets what is held against a hook's endpoint, for the hook was
// changed.
func (b *buffer) renew(ref Ref) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l := b.lanes[ref]; l != nil {
		l.throttled, l.failures = time.Time{}, 0
		b.setSlow(l, false)
		b.ready(l)
		at := now()
		if l.wants(at) {
			b.dueAt(at)
		}
		b.forget(l, at)
	}
}

// flush gives all that the lane has buffered back.
func (b *buffer) flush(l *lane) {
	if l.buffered() == 0 {
		return
	}
	l.behind = true
	b.held -= l.buffered()
	for _, queue := range []*ring[item]{&l.firsts, &l.retries} {
		for queue.len() > 0 {
			b.release(queue.pop())
		}
	}
}

// request fills in what a claim may take. It reports whether a claim is worth
// while at all.
func (b *buffer) request(r *ClaimRequest) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	r.Limit, r.PerHook = b.free(), 3*firstWindow
	b.more = r.Limit == 0
	if b.stopped || r.Limit == 0 {
		return false
	}
	r.Room = make(map[Ref]int, len(b.lanes))
	for ref, l := range b.lanes {
		if l.active() > 0 || l.behind || l.throttled.After(r.Now) {
			room := l.room(r.Now)
			r.Room[ref] = room
			// What the claim leaves behind, claimed will see; what comes
			// while it is under way, left will.
			l.behind = room == 0
		}
	}
	return true
}

// claimed takes in what a claim brought.
func (b *buffer) claimed(r ClaimRequest, items []item) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range items {
		it := &items[i]
		it.lane = b.lane(it.Delivery.HookRef(), it.compiled())
		it.lane.claimed++
		b.add(*it, r.Now)
	}
	for _, it := range items {
		if it.lane.claimed > 0 {
			room, known := r.Room[it.lane.ref]
			if !known {
				room = r.PerHook
			}
			it.lane.behind = it.lane.behind || it.lane.claimed >= room
			it.lane.claimed = 0
			if it.lane.wants(r.Now) && b.free() > 0 {
				b.dueAt(r.Now) // It is too small a share for a batch.
			}
		}
	}
	for ref := range r.Room {
		if l := b.lanes[ref]; l != nil {
			b.forget(l, r.Now)
		}
	}
	b.more = b.more || len(items) == r.Limit
	if b.more && b.free() >= b.capacity/2 {
		b.dueAt(r.Now)
	}
}

// prune forgets the hooks that are gone.
func (b *buffer) prune(gone func(Ref) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for ref, l := range b.lanes {
		if l.active() == 0 && !l.waiting && gone(ref) {
			delete(b.lanes, ref)
		}
	}
}

// stop gives back what is buffered and has take return nothing.
func (b *buffer) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = true
	for _, l := range b.lanes {
		b.flush(l)
	}
	b.changed.Broadcast()
}

// drain waits for the reservations, after stop.
func (b *buffer) drain() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.reserved > 0 {
		b.changed.Wait()
	}
}
