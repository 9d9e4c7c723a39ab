package dispatch

import "time"

// A Request is a request under way. A worker uses one for all of its requests.
type Request[K comparable, V any] struct {
	// Items are of one queue. There is one unless the queue has a Batch.
	Items []Item[V]

	queue   *Queue[K, V]
	started time.Time
	tier    tier
	aged    tier // the tier of its age when it was last looked at
	size    int
	place   int // in Dispatcher.requests
	unknown bool
	stalled bool
}

// An Outcome is what is known of the endpoint after a request. It is neither a success
// nor a failure if no request was made, or if it was cut off.
type Outcome struct {
	Success, Failed bool
	// Stalled says that there was no response in time, or that the endpoint asked to
	// be throttled.
	Stalled bool
	// Throttled is when the next request may be made, if the endpoint is throttled.
	Throttled time.Time
}

// Key is the queue's.
func (r *Request[K, V]) Key() K { return r.queue.key }

// Next waits until a request can start, and fills r with its items. Call Done when the
// request has ended. Next returns false once the Dispatcher has stopped.
func (d *Dispatcher[K, V]) Next(r *Request[K, V]) bool {
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

// wake wakes or starts a worker if a request may be able to start.
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

func (d *Dispatcher[K, V]) start(q *Queue[K, V], p pace, r *Request[K, V], now time.Time) {
	*r = Request[K, V]{Items: q.popRequest(r.Items[:0], d.cfg.BatchBytes), queue: q, started: now, tier: p.tier(), place: len(d.requests)}
	r.aged, r.unknown, r.stalled = r.tier, p == unknown, p == stalled
	for _, it := range r.Items {
		r.size += it.Size
	}
	d.requests = append(d.requests, r)
	d.countSpecial(r, 1)
	d.countInMemory(q, 1-len(r.Items), 0) // A batch under way counts as one.
	q.touched = now
	q.node.start(d.clock, now, r.tier)
	q.tenant.node.start(d.clock, now, r.tier)
	d.slotsTaken[r.tier]++
	if q.Interval > 0 {
		q.nextStart = now.Add(q.Interval)
	}
	d.updateLines(q, now)
	q.tenant.fix(q)
	d.lines.fix(q.tenant)
	d.scheduleSweep()
}

// countSpecial adds n to the counts of requests that are of unknown pace, stalled, or too
// old for their tier, where r is one.
func (d *Dispatcher[K, V]) countSpecial(r *Request[K, V], n int) {
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

// Done ends the request that Next began. The worker must then call Next again, which also
// wakes other workers if more requests can start.
func (d *Dispatcher[K, V]) Done(r *Request[K, V], o Outcome) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	q, t := r.queue, r.queue.tenant
	last := d.requests[len(d.requests)-1]
	d.requests[r.place], last.place = last, r.place
	d.requests[len(d.requests)-1] = nil
	d.requests = d.requests[:len(d.requests)-1]
	d.countSpecial(r, -1)
	d.countInMemory(q, -1, -r.size)
	d.slotsTaken[r.tier]--
	d.endedSinceClaim += len(r.Items)
	q.node.end(d.clock, now, r.tier)
	t.node.end(d.clock, now, r.tier)
	q.touched = now
	d.learn(q, o, now.Sub(r.started))
	t.fix(q)
	d.lines.fix(t)
	d.updateLines(q, now)
	d.unpark()
	d.requestClaim(q, now)
	if !d.remembers(q, now) {
		d.forget(q)
	}
}

// forget forgets an idle queue.
func (d *Dispatcher[K, V]) forget(q *Queue[K, V]) {
	delete(d.queues, q.key)
	q.tenant.queues--
	q.throttled = time.Time{} // It may still be in busyQueues.
}

// maxIdleQueues is how many queues are remembered while nothing is to be sent.
const maxIdleQueues = 100_000

func (d *Dispatcher[K, V]) remembers(q *Queue[K, V], now time.Time) bool {
	return len(d.queues) <= maxIdleQueues || !q.idle(now) || q.isStalled || q.throttled.After(now)
}

// learn updates what is known of an endpoint after a request.
func (d *Dispatcher[K, V]) learn(q *Queue[K, V], o Outcome, took time.Duration) {
	t := q.tenant
	if o.Success || o.Failed {
		q.responded(took)
		t.responded(took)
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
