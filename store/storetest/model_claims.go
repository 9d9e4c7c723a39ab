package storetest

import (
	"slices"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

// modelTurns is what a model knows of the claims so far: who is ahead of whom,
// of the tenants and, within each tenant, of its lanes.
type modelTurns struct {
	tenants   leads
	lanes     map[string]leads // By tenant.
	lastClaim time.Time
	// left is what the last claim did not return and has been waiting since.
	left []*hooks.Delivery
}

func newModelTurns(refs []hooks.Ref) modelTurns {
	t := modelTurns{tenants: leads{}, lanes: map[string]leads{}}
	for _, ref := range refs {
		t.lanes[ref.Tenant] = leads{}
	}
	return t
}

// A waiting is for which tenants, and for which of their lanes, there is
// something due.
type waiting struct {
	tenants map[string]bool
	lanes   map[string]map[string]bool // By tenant.
}

func newWaiting() waiting { return waiting{map[string]bool{}, map[string]map[string]bool{}} }

func (w waiting) lane(d *hooks.Delivery) {
	if w.lanes[d.Tenant] == nil {
		w.lanes[d.Tenant] = map[string]bool{}
	}
	w.lanes[d.Tenant][laneOf(*d)] = true
}

// A load is what a claim took of a tenant, or in all.
type load struct {
	deliveries     int
	bytes, largest int64
}

func (l *load) add(cl hooks.Claimed) {
	size := int64(len(cl.Event.Data))
	l.deliveries++
	l.bytes += size
	l.largest = max(l.largest, size)
}

// leaves reports whether the load leaves capacity for another delivery.
func (l *load) leaves(r hooks.Capacity) bool {
	return l.deliveries < r.Deliveries && (r.Bytes == 0 || l.bytes < r.Bytes)
}

// exceeds reports whether the load has more than fits, whichever came last.
func (l *load) exceeds(r hooks.Capacity) bool {
	return l.deliveries > r.Deliveries || r.Bytes > 0 && l.deliveries > 0 && l.bytes-l.largest >= r.Bytes
}

// claimed fails if a claim took more than it may, skipped what it might have taken, or
// skipped a turn. Left is what is still due.
func (m *model) claimed(r hooks.ClaimRequest, claimed []hooks.Claimed, left []*hooks.Delivery) {
	var all load
	tenants, taken := map[string]*load{}, perHook(claimed)
	for _, ref := range m.refs {
		tenants[ref.Tenant] = &load{}
		if n := taken[ref]; n > r.HookCapacity(ref) {
			m.c.Errorf("a claim took %d deliveries of %v, want at most %d", n, ref, r.HookCapacity(ref))
		}
	}
	for _, cl := range claimed {
		all.add(cl)
		tenants[cl.Delivery.Tenant].add(cl)
	}
	for tenant, load := range tenants {
		if load.exceeds(r.TenantCapacity(tenant)) {
			m.c.Errorf("a claim took %+v of tenant %s, want %+v", *load, tenant, r.TenantCapacity(tenant))
		}
	}
	if all.exceeds(r.Limit) {
		m.c.Errorf("a claim took %+v, want %+v", all, r.Limit)
	}
	waits := newWaiting()
	for _, d := range left {
		if taken[d.HookRef()] >= r.HookCapacity(d.HookRef()) {
			continue
		}
		waits.lane(d)
		if !tenants[d.Tenant].leaves(r.TenantCapacity(d.Tenant)) {
			continue
		}
		waits.tenants[d.Tenant] = true
		if all.leaves(r.Limit) {
			m.c.Errorf("a claim skipped delivery %d, for which it had capacity", m.numbers[d.ID])
		}
	}
	m.turns.lastClaim, m.turns.left = r.Now, left
	m.takeTurns(claimed, waits)
}

func (m *model) takeTurns(claimed []hooks.Claimed, waits waiting) {
	if unfair := m.turns.tenants.add(count(claimed, tenantOf), waits.tenants); unfair != "" {
		m.c.Errorf("tenants: %s", unfair)
	}
	got := map[string]map[string]int{}
	for _, cl := range claimed {
		if got[cl.Delivery.Tenant] == nil {
			got[cl.Delivery.Tenant] = map[string]int{}
		}
		got[cl.Delivery.Tenant][laneOf(cl.Delivery)]++
	}
	for tenant, leads := range m.turns.lanes {
		if unfair := leads.add(got[tenant], waits.lanes[tenant]); unfair != "" {
			m.c.Errorf("lanes of tenant %s: %s", tenant, unfair)
		}
	}
}

// loseTurns notes those of whose deliveries that the last claim did not return none
// is left, and that may have lost their place.
func (m *model) loseTurns() {
	due, kept := m.due(m.turns.lastClaim), newWaiting()
	m.turns.left = slices.DeleteFunc(m.turns.left, func(d *hooks.Delivery) bool { return !slices.Contains(due, d) })
	for _, d := range m.turns.left {
		kept.lane(d)
	}
	for tenant, leads := range m.turns.lanes {
		leads.keep(kept.lanes[tenant])
		kept.tenants[tenant] = len(kept.lanes[tenant]) > 0
	}
	m.turns.tenants.keep(kept.tenants)
}
