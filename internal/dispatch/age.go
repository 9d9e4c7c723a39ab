package dispatch

import "time"

// sweepInterval is how often the ages of the requests under way are looked at.
const sweepInterval = 25 * time.Millisecond

// scheduleSweep starts the timer for the next sweep if there are requests under way.
func (d *Dispatcher[K, V]) scheduleSweep() {
	if !d.sweeping && len(d.requests) > 0 {
		d.sweeping = true
		time.AfterFunc(sweepInterval, d.sweep)
	}
}

// sweep moves requests to the next tier as they grow older, and updates what is known of
// their endpoints.
func (d *Dispatcher[K, V]) sweep() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sweeping = false
	now := time.Now()
	for _, r := range d.requests {
		q, t := r.queue, r.queue.tenant
		q.charge(d.clock, now)
		t.charge(d.clock, now)
		d.promote(r, now.Sub(r.started))
		t.fix(q)
		d.lines.fix(t)
		d.updateLines(q, now)
		d.requestClaim(q, now)
	}
	d.unpark()
	d.wake()
	d.scheduleSweep()
}

// promote moves a request to the tier of its age if a slot is free there, and updates
// what is known of its endpoint.
func (d *Dispatcher[K, V]) promote(r *Request[K, V], age time.Duration) {
	q, t := r.queue, r.queue.tenant
	due := quickTier
	switch {
	case age >= mediumLimit:
		due = longTier
	case age >= quickLimit:
		due = mediumTier
	}
	d.countSpecial(r, -1)
	if due > r.aged {
		if r.aged == quickTier {
			t.window = max(1, t.window/2)
		}
		r.aged = due
		q.stillWaiting(age)
		t.stillWaiting(age)
	}
	if due > r.tier && d.fits(r, due) {
		d.slotsTaken[r.tier]--
		d.slotsTaken[due]++
		q.move(r.tier, due)
		t.move(r.tier, due)
		r.tier = due
	}
	d.countSpecial(r, 1)
}

// fits reports whether a tier has a free slot for a request that is old enough for it.
func (d *Dispatcher[K, V]) fits(r *Request[K, V], to tier) bool {
	if r.tier == quickTier && d.slotsTaken[mediumTier]+d.slotsTaken[longTier] >= d.limits.waiting-d.spare(medium) {
		return false
	}
	if to == longTier && d.slotsTaken[longTier] >= d.limits.long {
		return false
	}
	counted := r.unknown && r.tier == mediumTier
	counts := r.unknown || to == longTier
	return counted || !counts || d.maybeLong() < d.limits.maybeLong
}
