package memory

import (
	"time"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/internal/heap"
)

// A tenant has the queues of its hooks. It stands in line as long as lanes of
// them do.
type tenant struct {
	name   string
	queues int           // how many
	ready  list[lane]    // lanes that had something due at a claim, in turn
	links  links[tenant] // in Store.ready, if it has such lanes
	// What follows is of the claim with this number: the room left, and the
	// lane whose turn it is.
	claim uint64
	room  hooks.Capacity
	turn  *lane
}

// A queue is all deliveries of one hook, whether or not the hook exists.
type queue struct {
	ref    hooks.Ref
	tenant *tenant
	hook   *hooks.Hook // nil: it does not exist
	lanes  [2]lane     // first attempts, retries
	all    list[delivery]
	ended  list[delivery] // held ones included, in the order in which they ended
	// room is how many more of them the claim with this number may take.
	claim uint64
	room  int
}

// A lane is those deliveries of a queue that wait for their first attempt, or
// those that wait for another, pending or leased.
type lane struct {
	queue   *queue
	waiting heap.Heap[delivery]
	due     time.Time   // when the first is, and the hook's throttle has ended
	links   links[lane] // in the tenant's ready
	index   int         // in Store.later
}

func (s *Store) queue(ref hooks.Ref) *queue {
	q := s.queues[ref]
	if q != nil {
		return q
	}
	t := s.tenants[ref.Tenant]
	if t == nil {
		t = &tenant{name: ref.Tenant, ready: list[lane]{of: func(l *lane) *links[lane] { return &l.links }}}
		s.tenants[ref.Tenant] = t
	}
	t.queues++
	q = &queue{ref: ref, tenant: t, hook: s.hooks[ref]}
	q.all.of = func(d *delivery) *links[delivery] { return &d.ofHook }
	q.ended.of = func(d *delivery) *links[delivery] { return &d.ofEnded }
	for i := range q.lanes {
		q.lanes[i].queue = q
		q.lanes[i].waiting = heap.New(earlier, func(d *delivery) *int { return &d.index })
	}
	s.queues[ref] = q
	return q
}

// forgetQueue forgets a queue that has no deliveries, and its tenant with the
// last one.
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

// wait puts a pending or leased delivery into its lane.
func (s *Store) wait(d *delivery) {
	d.due = d.Due
	if d.State == hooks.Leased {
		d.due = d.Lease.Until
	}
	l := d.lane()
	l.waiting.Push(d)
	if l.waiting.First() == d {
		s.place(l)
	}
}

// unwait takes a delivery out of its lane.
func (s *Store) unwait(d *delivery) {
	l := d.lane()
	first := l.waiting.First() == d
	l.waiting.Remove(d)
	if first {
		s.place(l)
	}
}

// place puts a lane where it belongs after its first delivery or the hook's
// throttle has changed. A lane keeps its turn while it has something due.
func (s *Store) place(l *lane) {
	first := l.waiting.First()
	if first == nil {
		s.take(l)
		return
	}
	l.due = first.due
	if h := l.queue.hook; h != nil && h.Health.ThrottledUntil.After(l.due) {
		l.due = h.Health.ThrottledUntil
	}
	switch {
	case l.links.in && !l.due.After(s.lastClaim):
	case l.index > 0:
		s.later.Fix(l)
	default:
		s.leave(l)
		s.later.Push(l)
	}
}

// take takes a lane out of where it is.
func (s *Store) take(l *lane) {
	s.leave(l)
	if l.index > 0 {
		s.later.Remove(l)
	}
}

// join puts a lane at the end of its tenant's line, and the tenant at the end
// of the tenants' line unless it is there.
func (s *Store) join(l *lane) {
	t := l.queue.tenant
	t.ready.push(l)
	if !t.links.in {
		s.ready.push(t)
	}
}

// leave takes a lane out of line if it is there, and its tenant with the last
// one.
func (s *Store) leave(l *lane) {
	t := l.queue.tenant
	t.ready.remove(l)
	if t.ready.len == 0 {
		s.ready.remove(t)
	}
}
