package postgres

import "github.com/seed-2c6e3a5a/hooks"

// A plan is what the claim would take if every lane had enough: how many deliveries of
// each lane, in the order of the turns.
type plan struct {
	*claim
	unplanned hooks.Capacity
	hooks     map[int64]int // what capacity is left, by the hook's n
	lanes     []*lane
}

// plan returns the lanes of which more deliveries have to be found. The turn is that of
// lane l of tenant t. The planned of each is how many the claim would take of it.
func (c *claim) plan(t *tenant, l *lane) []*lane {
	p := plan{claim: c, unplanned: c.capacity, hooks: map[int64]int{}}
	p.enter(t, l)
	var cycle []*tenant
	at := 0
	for p.unplanned.Deliveries > 0 {
		if t != nil { // The tenants come for the first time.
			if p.next(t) {
				cycle = append(cycle, t)
			}
			if t = c.ready.Next(t); t != nil {
				c.visit(t)
				p.enter(t, t.turn)
			}
			continue
		}
		if len(cycle) == 0 {
			break
		}
		if p.next(cycle[at]) {
			at++
		} else {
			cycle = append(cycle[:at], cycle[at+1:]...)
		}
		if at == len(cycle) {
			at = 0
		}
	}
	var wanted []*lane
	for _, l := range p.lanes {
		if l.planned > len(l.found) && !l.exhausted {
			wanted = append(wanted, l)
		} else {
			l.planned = 0
		}
	}
	return wanted
}

// enter prepares a tenant for the plan. The turn is that of its lane l.
func (p *plan) enter(t *tenant, l *lane) {
	t.unplanned, t.cycle, t.at, t.next = t.capacity, t.cycle[:0], 0, l
}

// next plans for one more delivery of the tenant. It returns false if there can be none.
func (p *plan) next(t *tenant) bool {
	for t.unplanned.Deliveries > 0 {
		fresh := t.next != nil // The lanes come for the first time.
		var l *lane
		switch {
		case fresh:
			l, t.next = t.next, t.ready.Next(t.next)
			p.touch(l)
		case len(t.cycle) == 0:
			return false
		default:
			l = t.cycle[t.at]
		}
		fits := p.fits(l)
		switch {
		case fits && fresh:
			t.cycle = append(t.cycle, l)
		case fits:
			t.at++
		case !fresh:
			t.cycle = append(t.cycle[:t.at], t.cycle[t.at+1:]...)
		}
		if t.next == nil && t.at >= len(t.cycle) {
			t.at = 0
		}
		if fits {
			p.add(l)
			return true
		}
	}
	return false
}

// fits reports whether there is capacity for one more delivery of the lane, and may be one.
func (p *plan) fits(l *lane) bool {
	left, known := p.hooks[l.hook]
	if !known {
		left = p.hookCapacity(l.hook)
		p.hooks[l.hook] = left
	}
	return left > 0 && (!l.exhausted || l.planned < len(l.found))
}

// add plans for one more delivery of the lane.
func (p *plan) add(l *lane) {
	if l.planned++; l.planned == 1 {
		p.lanes = append(p.lanes, l)
	}
	p.hooks[l.hook]--
	p.unplanned.TakeBytes(l.size)
	l.tenant.unplanned.TakeBytes(l.size)
}
