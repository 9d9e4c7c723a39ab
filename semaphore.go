package hooks

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// maxSemaphoreWait bounds how long a call waits for a slot. No attempt takes longer,
// so those under way when the call begins have ended by then.
const maxSemaphoreWait = maxTimeout

// A tenantSemaphore bounds the requests that are made outside of Run: in all, and for
// each tenant. A call must begin before it acquires slots, and end after it has
// released them. A free slot goes to the tenant that has the fewest; tenants that
// have equally many take turns, and the calls of a tenant get slots in the order in
// which they asked.
type tenantSemaphore struct {
	maxPerTenant int // slots of a tenant
	maxCalls     int // of a tenant that have begun and not ended

	mu      sync.Mutex
	free    int
	tenants map[string]*tenantShare // those with calls
	waiting []*tenantShare          // those with calls that wait for a slot, in order
}

// tenantShare is what a tenant has of a tenantSemaphore.
type tenantShare struct {
	calls    int // that have begun and not ended
	acquired int // slots
	// waiters are the calls that wait, in the order in which they asked. A channel
	// is closed when its call has a slot.
	waiters []chan struct{}
}

// newTenantSemaphore returns a semaphore for a Manager that makes so many requests
// at a time in Run: a quarter as many, of which a tenant gets a quarter at most.
func newTenantSemaphore(maxInFlight int) *tenantSemaphore {
	s := &tenantSemaphore{free: max(1, maxInFlight/4), tenants: map[string]*tenantShare{}}
	s.maxPerTenant = max(1, s.free/4)
	s.maxCalls = max(4, s.maxPerTenant)
	return s
}

// begin lets a call of a tenant acquire slots, one at a time. It returns
// [ErrBusy] if the tenant has too many calls.
func (s *tenantSemaphore) begin(tenant string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tenants[tenant]
	if t == nil {
		t = &tenantShare{}
		s.tenants[tenant] = t
	}
	if t.calls == s.maxCalls {
		return fmt.Errorf("%w: the tenant has %d tests and verifications under way", ErrBusy, t.calls)
	}
	t.calls++
	return nil
}

func (s *tenantSemaphore) end(tenant string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tenants[tenant]
	if t.calls--; t.calls == 0 {
		delete(s.tenants, tenant)
	}
}

// acquire waits for a slot. A call waits for one at a time. The error is that of
// the context, or [ErrBusy] after maxSemaphoreWait.
func (s *tenantSemaphore) acquire(ctx context.Context, tenant string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	t := s.tenants[tenant]
	slot := make(chan struct{})
	t.waiters = append(t.waiters, slot)
	if len(t.waiters) == 1 {
		s.waiting = append(s.waiting, t)
	}
	s.grantLocked()
	s.mu.Unlock()

	timer := time.NewTimer(maxSemaphoreWait)
	defer timer.Stop()
	var err error
	select {
	case <-slot:
	case <-ctx.Done():
	case <-timer.C:
		err = fmt.Errorf("%w: there was no slot for a test or a verification in %v", ErrBusy, maxSemaphoreWait)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(t.waiters, slot)
	switch {
	case i >= 0:
		t.waiters = slices.Delete(t.waiters, i, i+1)
		if len(t.waiters) == 0 {
			s.waiting = slices.DeleteFunc(s.waiting, func(other *tenantShare) bool { return other == t })
		}
		return cmp.Or(ctx.Err(), err)
	case ctx.Err() != nil: // The slot came too late.
		s.releaseLocked(t)
	}
	return ctx.Err()
}

func (s *tenantSemaphore) release(tenant string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.releaseLocked(s.tenants[tenant])
}

// releaseLocked needs mu, and so does grantLocked.
func (s *tenantSemaphore) releaseLocked(t *tenantShare) {
	t.acquired--
	s.free++
	s.grantLocked()
}

// grantLocked gives the free slots to calls that wait, first to those of the tenant
// that has the fewest slots.
func (s *tenantSemaphore) grantLocked() {
	for s.free > 0 && len(s.waiting) > 0 {
		i := 0
		for j, t := range s.waiting {
			if t.acquired < s.waiting[i].acquired {
				i = j
			}
		}
		t := s.waiting[i]
		if t.acquired == s.maxPerTenant {
			return
		}
		s.free--
		t.acquired++
		close(t.waiters[0])
		t.waiters = t.waiters[1:]
		s.waiting = slices.Delete(s.waiting, i, i+1)
		if len(t.waiters) > 0 {
			s.waiting = append(s.waiting, t)
		}
	}
}
