package memory

import (
	"time"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/internal/heap"
	"github.com/seed-2c6e3a5a/hooks/internal/list"
)

// A tenant has the queues of its hooks.
type tenant struct {
	name    string
	queues  int                // how many
	ready   list.List[lane]    // lanes that had something due at a claim, in the order of their turns
	inReady list.Links[tenant] // in Store.ready, as long as there is a lane in ready
	// What follows is of the claim with this number: the capacity left, and the
	// lane whose turn it is.
	claim    uint64
	capacity hooks.Capacity
	turn     *lane
}

// A queue is all deliveries of one hook, whether or not the hook exists.
type queue struct {
	ref      hooks.Ref
	tenant   *tenant
	hook     *hooks.Hook // nil: it does not exist
	lanes    [2]lane     // first attempts, retries
	all      list.List[delivery]
	ended    list.List[delivery] // held ones included, in the order in which they ended
	claim    uint64              // the number of a claim
	capacity int                 // how many more deliveries that claim may lease
}

// A lane is those deliveries of a queue that wait for their first attempt, or
// those that wait for another, pending or leased.
type lane struct {
	queue   *queue
	waiting heap.Heap[delivery]
	due     time.Time        // when the first is, and the hook's throttle has ended
	inReady list.Links[lane] // in the tenant's ready
	index   int              // in Store.upcoming
}

func (s *Store) queue(ref hooks.Ref) *queue {
	q := s.queues[ref]
	if q != nil {
		return q
	}
	t := s.tenants[ref.Tenant]
	if t == nil {
		t = &tenant{name: ref.Tenant, ready: list.New(func(l *lane) *list.Links[lane] { return &l.inReady })}
		s.tenants[ref.Tenant] = t
	}
	t.queues++
	q = &queue{ref: ref, tenant: t, hook: s.hooks[ref]}
	q.all = list.New(func(d *delivery) *list.Links[delivery] { return &d.inQueue })
	q.ended = list.New(func(d *delivery) *list.Links[delivery] { return &d.inQueueEnded })
	for i := range q.lanes {
		q.lanes[i].queue = q
		q.lanes[i].waiting = heap.New(earlier, func(d *delivery) *int { return &d.index })
	}
	s.queues[ref] = q
	return q
}

// forgetQueue removes a queue that has no deliveries, and its tenant with the last
// one.
func (s *Store) forgetQueue(q *queue) {
	delete(s.queues, q.ref)
	if q.tenant.queues--; q.tenant.queues == 0 {
		delete(s.tenants, q.tenant.name)
	}
}

func earlier(a, b *delivery) bool {
	if a.due.Equal(b.due) {
		return a.sequence < b.sequence
	}
	return a.due.Before(b.due)
}

func (d *delivery) lane() *lane {
	if d.Step == 0 {
		return &d.queue.lanes[0]
	}
	return &d.queue.lanes[1]
}

// addToLane adds a pending or leased delivery to its lane.
func (s *Store) addToLane(d *delivery) {
	d.due = d.Due
	if d.State == hooks.Leased {
		d.due = d.Lease.Until
	}
	l := d.lane()
	l.waiting.Push(d)
	if l.waiting.First() == d {
		s.updateLane(l)
	}
}

// removeFromLane removes a delivery from its lane.
func (s *Store) removeFromLane(d *delivery) {
	l := d.lane()
	first := l.waiting.First() == d
	l.waiting.Remove(d)
	if first {
		s.updateLane(l)
	}
}

// updateLane moves a lane between ready and upcoming after its first delivery or the
// hook's throttle has changed. A lane keeps its turn while it has something due.
func (s *Store) updateLane(l *lane) {
	first := l.waiting.First()
	if first == nil {
		s.removeLane(l)
		return
	}
	l.due = first.due
	if h := l.queue.hook; h != nil && h.Health.ThrottledUntil.After(l.due) {
		l.due = h.Health.ThrottledUntil
	}
	switch {
	case l.queue.tenant.ready.Has(l) && !l.due.After(s.lastClaim):
	case l.index > 0:
		s.upcoming.Fix(l)
	default:
		s.leaveTurns(l)
		s.upcoming.Push(l)
	}
}

// removeLane removes a lane without deliveries from ready and upcoming.
func (s *Store) removeLane(l *lane) {
	s.leaveTurns(l)
	if l.index > 0 {
		s.upcoming.Remove(l)
	}
}

// joinTurns adds a lane to the end of its tenant's ready list, and the tenant to the
// end of the store's unless it is in it.
func (s *Store) joinTurns(l *lane) {
	t := l.queue.tenant
	t.ready.Push(l)
	if !s.ready.Has(t) {
		s.ready.Push(t)
	}
}

// leaveTurns removes a lane from its tenant's ready list if it is in it, and the tenant
// from the store's with its last lane.
func (s *Store) leaveTurns(l *lane) {
	t := l.queue.tenant
	t.ready.Remove(l)
	if t.ready.Len() == 0 {
		s.ready.Remove(t)
	}
}
