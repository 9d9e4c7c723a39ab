package memory

import (
	"context"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

// A queue is all deliveries of one hook, whether or not the hook exists.
type queue struct {
	ref   hooks.Ref
	hook  *hooks.Hook // nil: it does not exist
	lanes [2]lane     // first attempts, retries
	all   list[delivery]
	ended list[delivery] // held ones included, in the order in which they ended
	// room is how many more of them the claim with this number may take,
	// chosen how many of the lanes it serves.
	claim        uint64
	room, chosen int
}

// A lane is those deliveries of a queue that wait for their first attempt, or
// those that wait for another, pending or leased.
type lane struct {
	queue   *queue
	waiting heap[delivery]
	due     time.Time   // when the first is, and the hook's throttle has ended
	links   links[lane] // in Store.ready
	index   int         // in Store.later
}

func (s *Store) queue(ref hooks.Ref) *queue {
	q := s.queues[ref]
	if q != nil {
		return q
	}
	q = &queue{ref: ref, hook: s.hooks[ref]}
	q.all.of = func(d *delivery) *links[delivery] { return &d.ofHook }
	q.ended.of = func(d *delivery) *links[delivery] { return &d.ofEnded }
	for i := range q.lanes {
		q.lanes[i].queue = q
		q.lanes[i].waiting = heap[delivery]{less: earlier, index: func(d *delivery) *int { return &d.index }}
	}
	s.queues[ref] = q
	return q
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
	l.waiting.push(d)
	if l.waiting.first() == d {
		s.place(l)
	}
}

// unwait takes a delivery out of its lane.
func (s *Store) unwait(d *delivery) {
	l := d.lane()
	first := l.waiting.first() == d
	l.waiting.remove(d)
	if first {
		s.place(l)
	}
}

// place puts a lane where it belongs after its first delivery or the hook's
// throttle has changed. A lane keeps its turn while it has something due.
func (s *Store) place(l *lane) {
	first := l.waiting.first()
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
		s.later.fix(l)
	default:
		s.ready.remove(l)
		s.later.push(l)
	}
}

// take takes a lane out of where it is.
func (s *Store) take(l *lane) {
	s.ready.remove(l)
	if l.index > 0 {
		s.later.remove(l)
	}
}

// Claim implements [hooks.Queue].
func (s *Store) Claim(ctx context.Context, r hooks.ClaimRequest) (claimed []hooks.Claimed, next time.Time, err error) {
	if err := s.lock(ctx); err != nil {
		return nil, time.Time{}, err
	}
	defer s.mu.Unlock()
	s.claims++
	s.lastClaim = r.Now
	for l := s.later.first(); l != nil && !l.due.After(r.Now); l = s.later.first() {
		s.later.remove(l)
		s.ready.push(l)
	}
	lanes := s.choose(r)
	var leased []*delivery
	for len(leased) < r.Limit {
		before := len(leased)
		for _, l := range lanes {
			if len(leased) < r.Limit {
				leased = s.lease(l, r, leased)
			}
		}
		if len(leased) == before {
			break
		}
	}
	claimed = make([]hooks.Claimed, 0, len(leased))
	for _, d := range leased {
		d.lane().waiting.push(d)
		claimed = append(claimed, hooks.Claimed{Delivery: d.Delivery, Event: d.event.Event})
	}
	for _, l := range lanes { // All were served.
		s.place(l)
		if !l.due.After(r.Now) {
			s.later.remove(l)
			s.ready.push(l)
		}
	}
	if l := s.later.first(); l != nil {
		next = l.due
	}
	return claimed, next, nil
}

// choose takes out of the line as many lanes as the claim may serve. Those whose
// hooks have no room keep their turn.
func (s *Store) choose(r hooks.ClaimRequest) (lanes []*lane) {
	var next *lane
	for l := s.ready.first; l != nil && len(lanes) < r.Limit; l = next {
		next = l.links.after
		if l.due.After(r.Now) {
			s.ready.remove(l)
			s.later.push(l)
			continue
		}
		if q := l.queue; q.claim != s.claims {
			room, known := r.Room[q.ref]
			if !known {
				room = r.PerHook
				if room <= 0 {
					room = r.Limit
				}
			}
			q.claim, q.room, q.chosen = s.claims, room, 0
		}
		if l.queue.chosen < l.queue.room {
			l.queue.chosen++
			s.ready.remove(l)
			lanes = append(lanes, l)
		}
	}
	return lanes
}

// lease leases the first delivery of the lane, if it is due and there is room,
// and takes it out of the lane.
func (s *Store) lease(l *lane, r hooks.ClaimRequest, leased []*delivery) []*delivery {
	d := l.waiting.first()
	if d == nil || d.due.After(r.Now) || l.queue.room <= 0 {
		return leased
	}
	l.queue.room--
	l.waiting.remove(d)
	d.State = hooks.Leased
	d.Lease = hooks.Lease{Owner: r.Owner, Token: d.Lease.Token + 1, Until: r.Until}
	d.due = r.Until
	return append(leased, d)
}
