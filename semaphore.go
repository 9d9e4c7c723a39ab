package hooks

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// maxWait bounds how long a call waits for a place: no attempt takes longer, so
// those that are under way when it comes have ended by then.
const maxWait = maxTimeout

// A tenantSemaphore bounds the requests that are made outside of Run: in all, and for
// each tenant. A call has to begin before it acquires places, and to end after
// it has released them. Tenants with as many places get the next in turn, and
// the calls of a tenant in the order in which they asked.
type tenantSemaphore struct {
	perTenant int // places of a tenant
	calls     int // of a tenant that have begun and not ended

	mu      sync.Mutex
	free    int
	tenants map[string]*tenantPlaces // those with calls
	waiting []*tenantPlaces          // those with calls that wait for a place, in turn
}

// tenantPlaces is what a tenant has of a tenantSemaphore.
type tenantPlaces struct {
	calls, held int
	// waiting are the calls that wait, the first first. A channel is closed
	// when its call has a place.
	waiting []chan struct{}
}

// newTenantSemaphore returns the one for a Manager with so many requests in flight.
func newTenantSemaphore(maxInFlight int) *tenantSemaphore {
	s := &tenantSemaphore{free: max(1, maxInFlight/4), tenants: map[string]*tenantPlaces{}}
	s.perTenant = max(1, s.free/4)
	s.calls = max(4, s.perTenant)
	return s
}

// begin lets a call of a tenant acquire places, one at a time. It returns
// [ErrBusy] if the tenant has too many calls.
func (s *tenantSemaphore) begin(tenant string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tenants[tenant]
	if t == nil {
		t = &tenantPlaces{}
		s.tenants[tenant] = t
	}
	if t.calls == s.calls {
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

// acquire waits for a place. A call waits for one at a time. The error is that of
// the context, or [ErrBusy] after maxWait.
func (s *tenantSemaphore) acquire(ctx context.Context, tenant string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	t := s.tenants[tenant]
	place := make(chan struct{})
	t.waiting = append(t.waiting, place)
	if len(t.waiting) == 1 {
		s.waiting = append(s.waiting, t)
	}
	s.grant()
	s.mu.Unlock()

	timer := time.NewTimer(maxWait)
	defer timer.Stop()
	var err error
	select {
	case <-place:
	case <-ctx.Done():
	case <-timer.C:
		err = fmt.Errorf("%w: there was no place for a test or a verification in %v", ErrBusy, maxWait)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(t.waiting, place)
	switch {
	case i >= 0:
		t.waiting = slices.Delete(t.waiting, i, i+1)
		if len(t.waiting) == 0 {
			s.waiting = slices.DeleteFunc(s.waiting, func(other *tenantPlaces) bool { return other == t })
		}
		return cmp.Or(ctx.Err(), err)
	case ctx.Err() != nil: // It has got one too late.
		s.giveBack(t)
	}
	return ctx.Err()
}

func (s *tenantSemaphore) release(tenant string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.giveBack(s.tenants[tenant])
}

// giveBack and grant need mu.
func (s *tenantSemaphore) giveBack(t *tenantPlaces) {
	t.held--
	s.free++
	s.grant()
}

// grant gives the free places to calls that wait, first to those of the tenant
// that has the fewest places.
func (s *tenantSemaphore) grant() {
	for s.free > 0 && len(s.waiting) > 0 {
		i := 0
		for j, t := range s.waiting {
			if t.held < s.waiting[i].held {
				i = j
			}
		}
		t := s.waiting[i]
		if t.held == s.perTenant {
			return
		}
		s.free--
		t.held++
		close(t.waiting[0])
		t.waiting = t.waiting[1:]
		s.waiting = slices.Delete(s.waiting, i, i+1)
		if len(t.waiting) > 0 {
			s.waiting = append(s.waiting, t)
		}
	}
}
