package memory

import (
	"context"
	"net/http"

	"github.com/seed-2c6e3a5a/hooks"
)

// What is kept of what has ended is bounded in number and in bytes. Counted are
// deliveries that have ended and are not held, and events with no others.

// What a row takes beside its texts: the structs, and the places in maps and
// lists.
const (
	eventOverhead    = 400
	deliveryOverhead = 600 // held by the event until its last delivery has gone
	attemptOverhead  = 400
	headerOverhead   = 100 // for each name with one value
)

func (e *event) size() int {
	n := eventOverhead + len(e.deliveries)*deliveryOverhead + len(e.Tenant) + len(e.ID) + len(e.Type) + len(e.OrderingKey) + len(e.Data)
	for key, value := range e.Metadata {
		n += headerOverhead + len(key) + len(value)
	}
	return n
}

func (d *delivery) size() int {
	n := len(d.Reason)
	for _, a := range d.attempts {
		n += attemptOverhead + len(a.Error) + len(a.Request.URL) + sizeOf(a.Request.Header) +
			sizeOf(a.Response.Header) + len(a.Response.Body)
	}
	return n
}

func sizeOf(h http.Header) (n int) {
	for name, values := range h {
		n += headerOverhead + len(name)
		for _, value := range values {
			n += len(value)
		}
	}
	return n
}

// file files a delivery that has ended and is not held.
func (s *Store) file(d *delivery) {
	s.ended.push(d)
	d.bytes = d.size()
	s.bytes += d.bytes
	if d.event.waiting--; d.event.waiting == 0 {
		s.count(d.event)
	}
}

// unfile takes out an ended delivery that is to start again.
func (s *Store) unfile(d *delivery) {
	d.queue.ended.remove(d)
	if d.Held { // It was not filed.
		return
	}
	s.ended.remove(d)
	s.bytes -= d.bytes
	if d.event.waiting++; d.event.waiting == 1 {
		s.bytes -= d.event.bytes
	}
}

// count counts an event none of whose deliveries waits.
func (s *Store) count(e *event) {
	e.bytes = e.size()
	s.bytes += e.bytes
}

// trim drops what has ended first, until the bounds hold.
func (s *Store) trim() {
	for s.ended.len > s.maxEnded {
		s.drop(s.ended.first, true)
	}
	for s.bare.len > s.maxEnded {
		s.dropEvent(s.bare.first)
	}
	for s.bytes > s.maxBytes {
		if d, e := s.ended.first, s.bare.first; d == nil || e != nil && e.triggered.Before(d.EndedAt) {
			s.dropEvent(e)
		} else {
			s.drop(d, true)
		}
	}
}

// drop forgets an ended delivery and its attempts, and its event if that has no
// other and is to go as well.
func (s *Store) drop(d *delivery, withEvent bool) {
	s.ended.remove(d)
	d.queue.ended.remove(d)
	delete(s.deliveries, d.ID)
	d.attempts = nil
	s.bytes -= d.bytes
	if d.queue.all.remove(d); d.queue.all.len == 0 {
		s.forgetQueue(d.queue)
	}
	if d.event.left--; d.event.left > 0 {
		return
	}
	s.bare.push(d.event)
	if withEvent {
		s.dropEvent(d.event)
	}
}

// dropEvent forgets an event without deliveries.
func (s *Store) dropEvent(e *event) {
	s.bare.remove(e)
	delete(s.events, eventKey{e.Tenant, e.ID})
	s.bytes -= e.bytes
}

// Purge implements [hooks.Store].
func (s *Store) Purge(ctx context.Context, r hooks.PurgeRequest) (int, error) {
	if err := s.lock(ctx); err != nil {
		return 0, err
	}
	defer s.mu.Unlock()
	n := 0
	for d := s.ended.first; d != nil && n < r.Limit; {
		next := d.links.after
		if d.EndedAt.Before(r.Before) {
			s.drop(d, d.event.triggered.Before(r.Before))
			n++
		}
		d = next
	}
	if r.KeepPerHook > 0 {
		for _, q := range s.queues {
			n += s.shorten(q, r.KeepPerHook, r.Limit-n)
		}
	}
	for e := s.bare.first; e != nil && n < r.Limit; {
		next := e.links.after
		if e.triggered.Before(r.Before) {
			s.dropEvent(e)
			n++
		}
		e = next
	}
	return n + s.forget(r.Before, r.Limit-n), nil
}

// shorten drops at most limit of a hook's deliveries that are not among the last
// to have ended.
func (s *Store) shorten(q *queue, keep, limit int) (n int) {
	d := q.ended.first
	for range q.ended.len - keep {
		if n == limit {
			break
		}
		next := d.ofEnded.after
		if !d.Held {
			s.drop(d, true)
			n++
		}
		d = next
	}
	return n
}
