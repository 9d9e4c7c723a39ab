package memory

import (
	"context"
	"net/http"

	"github.com/seed-2c6e3a5a/hooks"
)

// The deliveries that have ended and are not held, and the events all of whose
// deliveries are such, are bounded in number and in bytes.

// These are what an element takes beside its texts: structs, and places in maps and
// lists.
const (
	eventOverhead    = 400
	deliveryOverhead = 600 // until the last delivery of the event is dropped
	attemptOverhead  = 400
	headerOverhead   = 100 // for each name with one value
)

func (e *event) size() int { return sizeOfEvent(e.Event, cap(e.deliveries)) }

func sizeOfEvent(e *hooks.Event, deliveries int) int {
	n := eventOverhead + deliveries*deliveryOverhead + len(e.Tenant) + len(e.ID) + len(e.Type) + len(e.OrderingKey) + len(e.Data)
	for key, value := range e.Metadata {
		n += headerOverhead + len(key) + len(value)
	}
	return n
}

func (d *delivery) size() int { return sizeOf(d.Reason, d.attempts) }

// sizeOf returns the size of a delivery with this reason and these attempts.
func sizeOf(reason string, attempts []*hooks.Attempt) int {
	n := len(reason)
	for _, a := range attempts {
		n += attemptOverhead + len(a.Error) + len(a.Request.URL) + sizeOfHeader(a.Request.Header) +
			sizeOfHeader(a.Response.Header) + len(a.Response.Body)
	}
	return n
}

func sizeOfHeader(h http.Header) (n int) {
	for name, values := range h {
		n += headerOverhead + len(name)
		for _, value := range values {
			n += len(value)
		}
	}
	return n
}

// addEnded counts a delivery that has ended and is not held.
func (s *Store) addEnded(d *delivery) {
	s.ended.Push(d)
	s.countEnded(d)
}

// countEnded counts the bytes of such a delivery.
func (s *Store) countEnded(d *delivery) {
	d.bytes = d.size()
	s.bytes += d.bytes
	if d.event.open--; d.event.open == 0 {
		s.countEvent(d.event)
	}
}

// removeEnded no longer counts an ended delivery, because it starts again.
func (s *Store) removeEnded(d *delivery) {
	d.queue.ended.Remove(d)
	if d.Held { // It was not counted.
		return
	}
	s.ended.Remove(d)
	s.bytes -= d.bytes
	if d.event.open++; d.event.open == 1 {
		s.bytes -= d.event.bytes
	}
}

// countEvent counts an event that has no open deliveries.
func (s *Store) countEvent(e *event) {
	e.bytes = e.size()
	s.bytes += e.bytes
}

// trim drops what ended first, until nothing exceeds the bounds.
func (s *Store) trim() {
	for s.ended.Len() > s.maxEnded {
		s.drop(s.ended.First(), true)
	}
	for s.withoutDeliveries.Len() > s.maxEnded {
		s.dropEvent(s.withoutDeliveries.First())
	}
	for s.bytes > s.maxBytes {
		if d, e := s.ended.First(), s.withoutDeliveries.First(); d == nil || e != nil && e.triggered.Before(d.EndedAt) {
			s.dropEvent(e)
		} else {
			s.drop(d, true)
		}
	}
}

// drop removes an ended delivery and its attempts and, withEvent, its event if that
// has no other.
func (s *Store) drop(d *delivery, withEvent bool) {
	s.ended.Remove(d)
	d.queue.ended.Remove(d)
	delete(s.deliveries, d.ID)
	d.attempts = nil
	s.bytes -= d.bytes
	if d.queue.all.Remove(d); d.queue.all.Len() == 0 {
		s.forgetQueue(d.queue)
	}
	if d.event.remaining--; d.event.remaining > 0 {
		return
	}
	s.withoutDeliveries.Push(d.event)
	if withEvent {
		s.dropEvent(d.event)
	}
}

// dropEvent removes an event without deliveries.
func (s *Store) dropEvent(e *event) {
	s.withoutDeliveries.Remove(e)
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
	for d := s.ended.First(); d != nil && n < r.Limit; {
		next := s.ended.Next(d)
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
	for e := s.withoutDeliveries.First(); e != nil && n < r.Limit; {
		next := s.withoutDeliveries.Next(e)
		if e.triggered.Before(r.Before) {
			s.dropEvent(e)
			n++
		}
		e = next
	}
	return n + s.forgetDeletions(r.Before, r.Limit-n), nil
}

// shorten drops at most limit of a hook's deliveries that are not among the last
// to have ended.
func (s *Store) shorten(q *queue, keep, limit int) (n int) {
	d := q.ended.First()
	for range q.ended.Len() - keep {
		if n == limit {
			break
		}
		next := q.ended.Next(d)
		if !d.Held {
			s.drop(d, true)
			n++
		}
		d = next
	}
	return n
}
