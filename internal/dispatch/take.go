package dispatch

import (
	"slices"
	"time"
)

// A Request is a request under way. A worker uses one for all of its requests.
type Request[K comparable, V any] struct {
	// Items are of one queue. There is one unless the queue has a Batch.
	Items []Item[V]

	queue   *Queue[K, V]
	started time.Time
	tier    tier
	aged    tier // up to which its age has been taken note of
	size    int
	place   int // in Dispatcher.requests
	unknown bool
	stalled bool
}

// An Outcome is what a request tells of its endpoint. Neither a success nor a
// failure: no request was made, or it was cut off.
type Outcome struct {
	Success, Failed bool
	// Stalled: it failed because there was no answer in time, or with the
	// wish to be left alone.
	Stalled bool
	// Throttled is until when the endpoint wants to be left alone.
	Throttled time.Time
}

// sweepInterval is how often the ages of the requests under way are looked at.
const sweepInterval = 25 * time.Millisecond

// Key is the queue's.
func (r *Request[K, V]) Key() K { return r.queue.key }

// Take waits until a request can start and takes its items. It returns false
// when the Dispatcher has stopped. Done has to be called for what it has taken.
func (d *Dispatcher[K, V]) Take(r *Request[K, V]) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for !d.stopped {
		now := time.Now()
		if q, p := d.pick(); q != nil {
			d.start(q, p, r, now)
			d.wake()
			return true
		}
		d.idle++
		d.changed.Wait()
	}
	d.workers--
	return false
}

// wake has a worker look for something to take if there may be something.
func (d *Dispatcher[K, V]) wake() {
	waiting := false
	for p := range paces {
		waiting = waiting || d.lines.len(p) > 0 && d.free(p) > 0
	}
	switch {
	case !waiting || d.stopped:
	case d.idle > 0:
		d.idle--
		d.changed.Signal()
	case d.workers < d.cfg.Slots:
		d.workers++
		d.cfg.Spawn()
	}
}

// free is how many slots are free for requests of that pace.
func (d *Dispatcher[K, V]) free(p pace) int {
	young, older := d.held[quickTier], d.held[mediumTier]+d.held[longTier]
	free := d.limits.all - young - older
	switch p {
	case unknown:
		return min(free, d.limits.quick-young, d.limits.unknown-d.unknowns[quickTier])
	case quick:
		return min(free, d.limits.quick-young)
	case medium:
		return min(free, d.limits.waiting-older)
	case stalled:
		free = min(free, d.limits.stalled-d.stalls)
	}
	return min(free, d.limits.waiting-older, d.limits.long-d.held[longTier], d.limits.maybeLong-d.maybeLong())
}

// maybeLong is how many of the requests that wait have waited for long, or may
// well do so.
func (d *Dispatcher[K, V]) maybeLong() int { return d.held[longTier] + d.unknowns[mediumTier] }

// share is how many more of something a holder may have of which so many are
// free: as many as leave it with at most four times what is then free.
func share(free, holds int) int { return max(0, (4*free-holds+4)/5) }

// shareOf is the share of a tenant in the slots of that pace.
func (d *Dispatcher[K, V]) shareOf(t *tenant[K, V], p pace) int {
	free := d.free(p)
	if d.alone {
		return free
	}
	if at := p.tier(); at != quickTier {
		if t.inFlight() >= firstWindow {
			free -= d.spare(p)
		}
		return share(free, t.holds(at))
	}
	if t.stuck > 0 {
		return 0
	}
	if t.inFlight() > 1 {
		free -= d.spare(p)
	}
	mine := min(share(free, t.holds(quickTier)), t.window-t.held[quickTier])
	switch {
	case p == unknown:
		return min(mine, firstWindow-t.held[quickTier]-t.held[mediumTier])
	case d.held[quickTier] >= d.limits.waiting-d.spare(medium)-d.held[mediumTier]-d.held[longTier]:
		// Those in the quick tier could not all move up, if they had to.
		return min(mine, firstWindow-t.inFlight())
	}
	return mine
}

// spare is how many slots for that pace are left to tenants that have few requests
// under way: one in the quick tier, where the next is soon free.
func (d *Dispatcher[K, V]) spare(p pace) int {
	switch {
	case d.alone:
		return 0
	case p.tier() == quickTier:
		return d.limits.quick / 8
	case p == medium:
		return d.limits.waiting / 8
	}
	return d.limits.long / 8
}

// admits reports whether the queue's share in the slots of its tenant lets it
// have one more. Quick requests do not last long enough to need that.
func (d *Dispatcher[K, V]) admits(q *Queue[K, V], p pace) bool {
	return p.tier() == quickTier || share(d.shareOf(q.tenant, p), q.holds(p.tier())) > 0
}

// pick chooses the queue that gets the next slot, if there is any, and the pace
// that the slot is for.
func (d *Dispatcher[K, V]) pick() (*Queue[K, V], pace) {
	for {
		var t *tenant[K, V]
		var p pace
		for other := range paces {
			if first := d.firstOf(other); first != nil && (t == nil || first.before(&t.node)) {
				t, p = first, other
			}
		}
		if t == nil {
			return nil, 0
		}
		q, line := t.next(p)
		if d.admits(q, p) {
			return q, p
		}
		t.remove(line, q)
		d.park(parked[K, V]{t, q, line})
		d.seatTenant(t)
	}
}

// firstOf returns the first tenant in the line that may have a slot.
func (d *Dispatcher[K, V]) firstOf(p pace) *tenant[K, V] {
	if d.free(p) <= 0 {
		return nil
	}
	for {
		t := d.lines.first(p)
		if t == nil || d.shareOf(t, p) > 0 {
			return t
		}
		d.lines.remove(p, t)
		d.park(parked[K, V]{t, nil, p})
	}
}

// park takes note that a tenant or a queue was taken out of a line.
func (d *Dispatcher[K, V]) park(x parked[K, V]) {
	d.parked = append(d.parked, x)
	if x.queue != nil {
		x.queue.node.parked[x.pace] = true
	} else {
		x.tenant.node.parked[x.pace] = true
	}
}

// unpark puts those back into their lines that may have slots again.
func (d *Dispatcher[K, V]) unpark() {
	now := time.Now()
	d.parked = slices.DeleteFunc(d.parked, func(x parked[K, V]) bool {
		if q := x.queue; q != nil {
			if !d.admits(q, x.tenant.paceOf(q.pace())) {
				return false
			}
			q.node.parked[x.pace] = false
			d.seat(q, now)
			return true
		}
		if d.shareOf(x.tenant, x.pace) <= 0 {
			return false
		}
		x.tenant.node.parked[x.pace] = false
		d.seatTenant(x.tenant)
		return true
	})
}

// seat puts the queue into the line where it belongs, if it can start a
// request, and takes it out of all others.
func (d *Dispatcher[K, V]) seat(q *Queue[K, V], now time.Time) {
	belongs := pace(-1)
	if d.startable(q, now) {
		belongs = q.pace()
	}
	for p := range paces {
		if p != belongs {
			q.tenant.remove(p, q)
		}
	}
	if belongs >= 0 && q.node.parked == [paces]bool{} {
		d.arrivals++
		q.tenant.join(belongs, q, d.arrivals)
	}
	d.seatTenant(q.tenant)
}

// seatTenant puts the tenant into the lines of those paces that it has queues
// of, and takes it out of the others.
func (d *Dispatcher[K, V]) seatTenant(t *tenant[K, V]) {
	for p := range paces {
		switch offers := t.offers(p); {
		case !offers:
			d.lines.remove(p, t)
		case !t.node.parked[p]:
			d.arrivals++
			d.lines.join(p, t, d.arrivals)
		}
	}
}

// startable reports whether the queue can start a request, but for a slot. If it
// has to wait for a time, it is seated again then.
func (d *Dispatcher[K, V]) startable(q *Queue[K, V], now time.Time) bool {
	if d.stopped || q.buffered() == 0 || q.inFlight() >= q.most() {
		return false
	}
	at := q.nextStart
	// When half of the room is in use nobody gathers, so that those that do
	// leave the other half free.
	if q.Batch > 1 && d.active <= d.cfg.Items/2 {
		if _, gathered := q.ready(); gathered.After(at) {
			at = gathered
		}
	}
	wait := at.Sub(now)
	if wait > 0 && !q.timed {
		q.timed = true
		time.AfterFunc(wait, func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			q.timed = false
			d.seat(q, time.Now())
			d.wake()
		})
	}
	return wait <= 0
}

func (d *Dispatcher[K, V]) start(q *Queue[K, V], p pace, r *Request[K, V], now time.Time) {
	*r = Request[K, V]{Items: q.take(r.Items[:0], d.cfg.BatchBytes), queue: q, started: now, tier: p.tier(), place: len(d.requests)}
	r.aged, r.unknown, r.stalled = r.tier, p == unknown, p == stalled
	for _, it := range r.Items {
		r.size += it.Size
	}
	d.requests = append(d.requests, r)
	d.count(r, 1)
	d.hold(q, 1-len(r.Items), 0) // A batch under way counts as one.
	q.touched = now
	q.node.start(d.clock, now, r.tier)
	q.tenant.node.start(d.clock, now, r.tier)
	d.held[r.tier]++
	if q.Interval > 0 {
		q.nextStart = now.Add(q.Interval)
	}
	q.tenant.fix(q)
	d.lines.fix(q.tenant)
	d.seat(q, now)
	d.sweepLater()
}

// count counts a request among the special ones.
func (d *Dispatcher[K, V]) count(r *Request[K, V], n int) {
	if r.unknown {
		d.unknowns[r.tier] += n
	}
	if r.stalled {
		d.stalls += n
	}
	if r.tier == quickTier && r.aged > quickTier {
		r.queue.tenant.stuck += n
	}
}

// Done ends what Take began.
func (d *Dispatcher[K, V]) Done(r *Request[K, V], o Outcome) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	q, t := r.queue, r.queue.tenant
	last := d.requests[len(d.requests)-1]
	d.requests[r.place], last.place = last, r.place
	d.requests[len(d.requests)-1] = nil
	d.requests = d.requests[:len(d.requests)-1]
	d.count(r, -1)
	d.hold(q, -1, -r.size)
	d.held[r.tier]--
	d.left += len(r.Items)
	q.node.end(d.clock, now, r.tier)
	t.node.end(d.clock, now, r.tier)
	q.touched = now
	d.learn(q, o, now.Sub(r.started))
	t.fix(q)
	d.lines.fix(t)
	d.seat(q, now)
	d.unpark()
	d.claimFor(q, now)
	if !d.remembers(q, now) {
		delete(d.queues, q.key)
		t.queues--
	}
	d.wake()
}

// maxIdleQueues is how many queues are remembered while nothing is to be sent.
const maxIdleQueues = 100_000

func (d *Dispatcher[K, V]) remembers(q *Queue[K, V], now time.Time) bool {
	return len(d.queues) <= maxIdleQueues || !q.idle(now) || q.isStalled || q.throttled.After(now)
}

// learn takes in what a request tells of its endpoint.
func (d *Dispatcher[K, V]) learn(q *Queue[K, V], o Outcome, took time.Duration) {
	t := q.tenant
	if o.Success || o.Failed {
		q.answered(took)
		t.answered(took)
	}
	switch {
	case o.Success:
		q.failures, q.isStalled = 0, false
		q.window = min(q.window+1, max(q.InFlight, firstWindow))
		if took < quickLimit {
			t.window = min(t.window+1, d.limits.all)
		}
	case o.Failed:
		q.failures++
		if o.Throttled.After(q.throttled) {
			q.throttled = o.Throttled
		}
		if o.Stalled {
			q.window, q.isStalled = firstWindow, true
			d.flush(q)
		}
	}
}

// sweepLater has the requests under way looked at, for as long as there are any.
func (d *Dispatcher[K, V]) sweepLater() {
	if !d.sweeping && len(d.requests) > 0 {
		d.sweeping = true
		time.AfterFunc(sweepInterval, d.sweep)
	}
}

// sweep moves requests up the tiers as they grow older, and takes note of what
// that tells of their endpoints.
func (d *Dispatcher[K, V]) sweep() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sweeping = false
	now := time.Now()
	for _, r := range d.requests {
		q, t := r.queue, r.queue.tenant
		q.charge(d.clock, now)
		t.charge(d.clock, now)
		d.grow(r, now.Sub(r.started))
		t.fix(q)
		d.lines.fix(t)
		d.seat(q, now)
		d.claimFor(q, now)
	}
	d.unpark()
	d.wake()
	d.sweepLater()
}

// grow takes note of a request's age, and moves it up if a slot is free there.
func (d *Dispatcher[K, V]) grow(r *Request[K, V], age time.Duration) {
	q, t := r.queue, r.queue.tenant
	due := quickTier
	switch {
	case age >= mediumLimit:
		due = longTier
	case age >= quickLimit:
		due = mediumTier
	}
	d.count(r, -1)
	if due > r.aged {
		if r.aged == quickTier {
			t.window = max(1, t.window/2)
		}
		r.aged = due
		q.waits(age)
		t.waits(age)
	}
	if due > r.tier && d.fits(r, due) {
		d.held[r.tier]--
		d.held[due]++
		q.move(r.tier, due)
		t.move(r.tier, due)
		r.tier = due
	}
	d.count(r, 1)
}

// fits reports whether a tier has a slot free for a request that has grown old
// enough for it.
func (d *Dispatcher[K, V]) fits(r *Request[K, V], to tier) bool {
	if r.tier == quickTier && d.held[mediumTier]+d.held[longTier] >= d.limits.waiting-d.spare(medium) {
		return false
	}
	if to == longTier && d.held[longTier] >= d.limits.long {
		return false
	}
	counted := r.unknown && r.tier == mediumTier
	counts := r.unknown || to == longTier
	return counted || !counts || d.maybeLong() < d.limits.maybeLong
}
