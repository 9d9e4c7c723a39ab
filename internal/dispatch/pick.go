package dispatch

import (
	"slices"
	"time"
)

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
