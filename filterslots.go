package hooks

import (
	"context"
	"maps"
	"math"
	"sync"
	"time"
)

// filterSlots bound how many filters are evaluated for long at a time: a Manager has
// a slot for every other processor. A tenant has one slot at most. A free slot goes to
// the waiting tenant that has used slots for the least time lately.
type filterSlots struct {
	mu      sync.Mutex
	free    int
	tenants map[string]*slotUsage // those that have a slot, wait, or have had one lately
}

// slotUsage is how a tenant uses slots.
type slotUsage struct {
	hasSlot bool
	// granted is closed when the tenant's caller that waits gets a slot. It is
	// nil if none waits.
	granted chan struct{}
	// usage is for how long the tenant has had slots, as of usageTime. It halves
	// every usageHalfLife.
	usage     time.Duration
	usageTime time.Time
	// average is for how long the tenant has had a slot each time.
	average time.Duration
	// lastRetry is the latest time that retryTime has returned.
	lastRetry time.Time
}

const (
	usageHalfLife = 10 * time.Second
	// minSlotDelay and maxSlotDelay bound how soon to try again.
	minSlotDelay = time.Millisecond
	maxSlotDelay = time.Minute
	// maxSlotTenants is the number of tenants beyond which those that have used
	// little are forgotten.
	maxSlotTenants = 1024
)

func newFilterSlots(n int) *filterSlots {
	return &filterSlots{free: n, tenants: map[string]*slotUsage{}}
}

// usageAt is the usage as of now.
func (u *slotUsage) usageAt(now time.Time) time.Duration {
	return time.Duration(float64(u.usage) * math.Exp2(-float64(now.Sub(u.usageTime))/float64(usageHalfLife)))
}

// tryAcquire takes a slot if there is one for the tenant. If so, release must be
// called.
func (s *filterSlots) tryAcquire(tenant string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tryAcquireLocked(tenant)
}

func (s *filterSlots) tryAcquireLocked(tenant string) bool {
	u := s.tenants[tenant]
	if s.free == 0 || u != nil && (u.hasSlot || u.granted != nil) {
		return false
	}
	if u == nil {
		u = &slotUsage{}
		s.tenants[tenant] = u
	}
	s.grantLocked(u)
	return true
}

func (s *filterSlots) grantLocked(u *slotUsage) {
	s.free--
	now := time.Now()
	u.hasSlot, u.usage, u.usageTime = true, u.usageAt(now), now
}

// acquire takes a slot as tryAcquire does, but waits for one until ctx ends. It
// returns false at once if another caller waits for the tenant's slot already.
func (s *filterSlots) acquire(ctx context.Context, tenant string) bool {
	s.mu.Lock()
	if s.tryAcquireLocked(tenant) {
		s.mu.Unlock()
		return true
	}
	u := s.tenants[tenant]
	if u == nil {
		u = &slotUsage{usageTime: time.Now()}
		s.tenants[tenant] = u
	}
	if u.granted != nil {
		s.mu.Unlock()
		return false
	}
	granted := make(chan struct{})
	u.granted = granted
	s.mu.Unlock()
	select {
	case <-granted:
		return true
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if u.granted == granted {
		u.granted = nil
		return false
	}
	return true // The slot was granted at the same moment.
}

// retryTime returns when a caller that got no slot may try again. Callers get times
// one after the other, as far apart as the tenant's evaluations take.
func (s *filterSlots) retryTime(tenant string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	u := s.tenants[tenant]
	if u == nil {
		return now.Add(minSlotDelay)
	}
	if u.lastRetry.Before(now) {
		u.lastRetry = now
	}
	u.lastRetry = u.lastRetry.Add(max(u.average, minSlotDelay))
	if latest := now.Add(maxSlotDelay); u.lastRetry.After(latest) {
		u.lastRetry = latest
	}
	return u.lastRetry
}

// release gives the tenant's slot back.
func (s *filterSlots) release(tenant string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	u := s.tenants[tenant]
	took := now.Sub(u.usageTime)
	u.average += (took - u.average) / 4
	u.usage += took
	u.usageTime, u.hasSlot = now, false
	s.free++
	var next *slotUsage
	for _, other := range s.tenants {
		if other.granted != nil && !other.hasSlot && (next == nil || other.usageAt(now) < next.usageAt(now)) {
			next = other
		}
	}
	if next != nil {
		s.grantLocked(next)
		close(next.granted)
		next.granted = nil
	}
	if len(s.tenants) > maxSlotTenants {
		maps.DeleteFunc(s.tenants, func(_ string, other *slotUsage) bool {
			return !other.hasSlot && other.granted == nil && other.usageAt(now) < time.Millisecond
		})
	}
}
