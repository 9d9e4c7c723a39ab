package hooks

import (
	"context"
	"maps"
	"math"
	"sync"
	"time"
)

// Slots bound how many filters are evaluated for long at a time, to half of the
// processors. A tenant has one slot at most. Of those that wait for one, the
// tenant comes first that has used slots least lately.
type slots struct {
	mu      sync.Mutex
	free    int
	tenants map[string]*slotUse // those that hold a slot, wait, or have used one lately
}

type slotUse struct {
	// used is the time for which slots were held, as of at. It halves every
	// usedHalf.
	used time.Duration
	at   time.Time
	held bool
	turn chan struct{} // closed when a slot is given to who waits; nil: nobody waits
	// mean is how long a slot is held, next when to come back for one at best.
	mean time.Duration
	next time.Time
}

const (
	usedHalf = 10 * time.Second
	// minSlotPause and maxSlotPause bound how soon to come back.
	minSlotPause = time.Millisecond
	maxSlotPause = time.Minute
	// maxSlotUses is beyond which number of tenants those are forgotten who
	// have used little.
	maxSlotUses = 1024
)

func newSlots(n int) *slots { return &slots{free: n, tenants: map[string]*slotUse{}} }

// lately is used as of now.
func (u *slotUse) lately(now time.Time) time.Duration {
	return time.Duration(float64(u.used) * math.Exp2(-float64(now.Sub(u.at))/float64(usedHalf)))
}

// try takes a slot if there is one for the tenant. If so, release must be called.
func (s *slots) try(tenant string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.take(tenant)
}

func (s *slots) take(tenant string) bool {
	u := s.tenants[tenant]
	if s.free == 0 || u != nil && (u.held || u.turn != nil) {
		return false
	}
	if u == nil {
		u = &slotUse{}
		s.tenants[tenant] = u
	}
	s.give(u)
	return true
}

func (s *slots) give(u *slotUse) {
	s.free--
	now := time.Now()
	u.held, u.used, u.at = true, u.lately(now), now
}

// wait is try, but that it waits until ctx ends, unless another waits for the
// tenant's slot already.
func (s *slots) wait(ctx context.Context, tenant string) bool {
	s.mu.Lock()
	if s.take(tenant) {
		s.mu.Unlock()
		return true
	}
	u := s.tenants[tenant]
	if u == nil {
		u = &slotUse{at: time.Now()}
		s.tenants[tenant] = u
	}
	if u.turn != nil {
		s.mu.Unlock()
		return false
	}
	turn := make(chan struct{})
	u.turn = turn
	s.mu.Unlock()
	select {
	case <-turn:
		return true
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if u.turn == turn {
		u.turn = nil
		return false
	}
	return true // The turn came at the same moment.
}

// comeBack says when to try again to those who got none. They get times one after
// the other, as far apart as the tenant's evaluations take.
func (s *slots) comeBack(tenant string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	u := s.tenants[tenant]
	if u == nil {
		return now.Add(minSlotPause)
	}
	if u.next.Before(now) {
		u.next = now
	}
	u.next = u.next.Add(max(u.mean, minSlotPause))
	if last := now.Add(maxSlotPause); u.next.After(last) {
		u.next = last
	}
	return u.next
}

// release gives the tenant's slot back.
func (s *slots) release(tenant string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	u := s.tenants[tenant]
	took := now.Sub(u.at)
	u.mean += (took - u.mean) / 4
	u.used += took
	u.at, u.held = now, false
	s.free++
	var next *slotUse
	for _, o := range s.tenants {
		if o.turn != nil && !o.held && (next == nil || o.lately(now) < next.lately(now)) {
			next = o
		}
	}
	if next != nil {
		s.give(next)
		close(next.turn)
		next.turn = nil
	}
	if len(s.tenants) > maxSlotUses {
		maps.DeleteFunc(s.tenants, func(_ string, o *slotUse) bool {
			return !o.held && o.turn == nil && o.lately(now) < time.Millisecond
		})
	}
}
