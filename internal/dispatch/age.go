package dispatch

import "time"

// sweepInterval is how often the ages of the requests under way are looked at.
const sweepInterval = 25 * time.Millisecond

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
