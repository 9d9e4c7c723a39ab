package dispatch

import (
	"slices"
	"time"
)

// free is how many slots are free for requests of that pace.
func (d *Dispatcher[K, V]) free(p pace) int {
	young, older := d.slotsTaken[quickTier], d.slotsTaken[mediumTier]+d.slotsTaken[longTier]
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
	return min(free, d.limits.waiting-older, d.limits.long-d.slotsTaken[longTier], d.limits.maybeLong-d.maybeLong())
}

// maybeLong is how many of the requests under way have taken long, or may take long
// because nothing is known of their tenant.
func (d *Dispatcher[K, V]) maybeLong() int { return d.slotsTaken[longTier] + d.unknowns[mediumTier] }

// share is how many more a holder may have of something of which so many are free, so
// that it holds at most four times what is then left free.
func share(free, holds int) int { return max(0, (4*free-holds+4)/5) }

// shareOf is how many more slots of that pace the tenant may have.
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
	mine := min(share(free, t.holds(quickTier)), t.window-t.slots[quickTier])
	switch {
	case p == unknown:
		return min(mine, firstWindow-t.slots[quickTier]-t.slots[mediumTier])
	case d.slotsTaken[quickTier] >= d.limits.waiting-d.spare(medium)-d.slotsTaken[mediumTier]-d.slotsTaken[longTier]:
		// Those in the quick tier could not all move up, if they had to.
		return min(mine, firstWindow-t.inFlight())
	}
	return mine
}

// spare is how many slots of that pace are kept for tenants with few requests under way:
// those with none in the quick tier, where a slot is soon free again, and those with fewer
// than firstWindow in the others.
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

// admits reports whether the queue may have one more of its tenant's slots. Quick
// requests do not last long enough to need that check.
func (d *Dispatcher[K, V]) admits(q *Queue[K, V], p pace) bool {
	return p.tier() == quickTier || share(d.shareOf(q.tenant, p), q.holds(p.tier())) > 0
}

// pick returns the queue that gets the next slot, and the pace of that slot. It returns
// nil if no queue can have one.
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
		d.updateTenantLines(t)
	}
}

// firstOf returns the first tenant in the line of that pace that may have a slot.
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

// park records that a tenant or a queue was removed from a line because it may not have
// more slots now.
func (d *Dispatcher[K, V]) park(x parked[K, V]) {
	d.parked = append(d.parked, x)
	if x.queue != nil {
		x.queue.node.parked[x.pace] = true
	} else {
		x.tenant.node.parked[x.pace] = true
	}
}

// unpark returns those to their lines that may have slots again.
func (d *Dispatcher[K, V]) unpark() {
	now := time.Now()
	d.parked = slices.DeleteFunc(d.parked, func(x parked[K, V]) bool {
		if q := x.queue; q != nil {
			if !d.admits(q, x.tenant.paceOf(q.pace())) {
				return false
			}
			q.node.parked[x.pace] = false
			d.updateLines(q, now)
			return true
		}
		if d.shareOf(x.tenant, x.pace) <= 0 {
			return false
		}
		x.tenant.node.parked[x.pace] = false
		d.updateTenantLines(x.tenant)
		return true
	})
}

// updateLines puts the queue into the line of its pace if it can start a request, and
// removes it from all others.
func (d *Dispatcher[K, V]) updateLines(q *Queue[K, V], now time.Time) {
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
	d.updateTenantLines(q.tenant)
}

// updateTenantLines puts the tenant into the lines of those paces that its waiting queues
// have, and removes it from the others.
func (d *Dispatcher[K, V]) updateTenantLines(t *tenant[K, V]) {
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

// startable reports whether the queue can start a request as soon as it gets a slot. If
// it must wait until some time, a timer updates its lines then.
func (d *Dispatcher[K, V]) startable(q *Queue[K, V], now time.Time) bool {
	if d.stopped || q.buffered() == 0 || q.inFlight() >= q.most() {
		return false
	}
	at := q.nextStart
	// No queue gathers items while half of the capacity is in use, so that gathering
	// leaves the other half free.
	if q.Batch > 1 && d.active <= d.cfg.Items/2 {
		if _, gathered := q.ready(); gathered.After(at) {
			at = gathered
		}
	}
	wait := at.Sub(now)
	if wait > 0 && !q.timerSet {
		q.timerSet = true
		time.AfterFunc(wait, func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			q.timerSet = false
			d.updateLines(q, time.Now())
			d.wake()
		})
	}
	return wait <= 0
}
