package hooks

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFilterSlots(2)
		if !s.tryAcquire("a") || s.tryAcquire("a") || !s.tryAcquire("b") || s.tryAcquire("c") {
			t.Fatal("not one slot for each of two tenants")
		}
		s.release("a")
		if !s.tryAcquire("c") {
			t.Error("a slot that was given back is not free")
		}
	})
}

// Who has used slots least comes first, and of each tenant one waits.
func TestSlotsGoToWhoHasUsedThemLeast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFilterSlots(1)
		for i, tenant := range []string{"much", "some", "little"} {
			s.tryAcquire(tenant)
			time.Sleep(time.Second >> (2 * i))
			s.release(tenant)
		}
		s.tryAcquire("holder")
		var turns []string
		for _, tenant := range []string{"much", "holder", "little", "none", "some"} {
			go func() {
				if s.acquire(t.Context(), tenant) {
					turns = append(turns, tenant)
					time.Sleep(time.Second)
					s.release(tenant)
				}
			}()
			synctest.Wait()
		}
		if s.acquire(t.Context(), "much") {
			t.Error("two of a tenant waited")
		}
		time.Sleep(2 * time.Second)
		s.release("holder")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if want := []string{"none", "little", "some", "much", "holder"}; !slices.Equal(turns, want) {
			t.Errorf("got %v, want %v", turns, want)
		}
		if !s.tryAcquire("anybody") {
			t.Error("a slot was lost")
		}
	})
}

func TestWaitingForASlotEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFilterSlots(1)
		s.tryAcquire("a")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if s.acquire(ctx, "b") {
			t.Error("there was a slot")
		}
		s.release("a")
		if !s.tryAcquire("b") {
			t.Error("who has stopped waiting gets no slot any more")
		}
	})
}

// Those who find no slot come back one after the other, as quickly as the others
// get done.
func TestComingBackForASlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFilterSlots(1)
		for range 50 {
			s.tryAcquire("a")
			time.Sleep(20 * time.Millisecond)
			s.release("a")
		}
		first := s.retryTime("a")
		second := s.retryTime("a")
		if gap := second.Sub(first).Round(time.Millisecond); gap != 20*time.Millisecond {
			t.Errorf("they come back %v apart", gap)
		}
		for range 10_000 {
			s.retryTime("a")
		}
		if wait := time.Until(s.retryTime("a")); wait != time.Minute {
			t.Errorf("one comes back in %v", wait)
		}
	})
}

func TestSlotsForgetTenants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFilterSlots(1)
		for i := range 2 * maxSlotTenants {
			tenant := fmt.Sprint(i)
			s.tryAcquire(tenant)
			time.Sleep(time.Millisecond)
			s.release(tenant)
		}
		if n := len(s.tenants); n > maxSlotTenants+1 {
			t.Errorf("%d tenants are remembered", n)
		}
	})
}
