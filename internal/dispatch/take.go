package dispatch

import "time"

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
	// Stalled: it failed because there was no response in time, or with the
	// wish to be left alone.
	Stalled bool
	// Throttled is until when the endpoint wants to be left alone.
	Throttled time.Time
}

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
	d.seat(q, now)
	q.tenant.fix(q)
	d.lines.fix(q.tenant)
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

// Done ends what Take began. The worker has to call Take again, which also wakes
// others if there is more to take.
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
