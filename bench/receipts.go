package main

import (
	"context"
	"sync"
	"time"
)

// receipts are when the neighbour's events arrived, by their number.
type receipts struct {
	mu      sync.Mutex
	arrived []time.Time // zero: not yet
	missing int
	all     chan struct{} // closed when none is missing
}

func newReceipts(events int) *receipts {
	return &receipts{arrived: make([]time.Time, events), missing: events, all: make(chan struct{})}
}

// add takes note of an event's first arrival. It reports whether there is such
// an event.
func (r *receipts) add(i int, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i < 0 || i >= len(r.arrived) {
		return false
	}
	if r.arrived[i].IsZero() {
		r.arrived[i] = now
		if r.missing--; r.missing == 0 {
			close(r.all)
		}
	}
	return true
}

// wait waits for those that are missing, but not for longer than d.
func (r *receipts) wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-r.all:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// took is how long each event took from when it was meant to be triggered, one
// in each interval. One that has not arrived took until now.
func (r *receipts) took(begin time.Time, interval time.Duration) (took []time.Duration, delivered int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	took = make([]time.Duration, len(r.arrived))
	for i, at := range r.arrived {
		if at.IsZero() {
			at = now
		}
		took[i] = at.Sub(begin.Add(time.Duration(i) * interval))
	}
	return took, len(r.arrived) - r.missing
}
