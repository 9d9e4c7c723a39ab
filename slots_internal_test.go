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
		s := newSlots(2)
		if !s.try("a") || s.try("a") || !s.try("b") || s.try("c") {
			t.Fatal("not one slot for each of two tenants")
		}
		s.release("a")
		if !s.try("c") {
			t.Error("a slot that was given back is not free")
		}
	})
}

// Who has used slots least comes first, and of each tenant one waits.
func TestSlotsGoToWhoHasUsedThemLeast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(1)
		for i, tenant := range []string{"much", "some", "little"} {
			s.try(tenant)
			time.Sleep(time.Second >> (2 * i))
			s.release(tenant)
		}
		s.try("holder")
		var turns []string
		for _, tenant := range []string{"much", "holder", "little", "none", "some"} {
			go func() {
				if s.wait(t.Context(), tenant) {
					turns = append(turns, tenant)
					time.Sleep(time.Second)
					s.release(tenant)
				}
			}()
			synctest.Wait()
		}
		if s.wait(t.Context(), "much") {
			t.Error("two of a tenant waited")
		}
		time.Sleep(2 * time.Second)
		s.release("holder")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if want := []string{"none", "little", "some", "much", "holder"}; !slices.Equal(turns, want) {
			t.Errorf("got %v, want %v", turns, want)
		}
		if !s.try("anybody") {
			t.Error("a slot was lost")
		}
	})
}

func TestWaitingForASlotEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(1)
		s.try("a")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if s.wait(ctx, "b") {
			t.Error("there was a slot")
		}
		s.release("a")
		if !s.try("b") {
			t.Error("who has stopped waiting gets no slot any more")
		}
	})
}

// Those who find no slot come back one after the other, as quickly as the others
// get done.
func TestComingBackForASlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(1)
		for range 50 {
			s.try("a")
			time.Sleep(20 * time.Millisecond)
			s.release("a")
		}
		first := s.comeBack("a")
		second := s.comeBack("a")
		if gap := second.Sub(first).Round(time.Millisecond); gap != 20*time.Millisecond {
			t.Errorf("they come back %v apart", gap)
		}
		for range 10_000 {
			s.comeBack("a")
		}
		if wait := time.Until(s.comeBack("a")); wait != time.Minute {
			t.Errorf("one comes back in %v", wait)
		}
	})
}

func TestSlotsForgetTenants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(1)
		for i := range 2 * maxSlotUses {
			tenant := fmt.Sprint(i)
			s.try(tenant)
			time.Sleep(time.Millisecond)
			s.release(tenant)
		}
		if n := len(s.tenants); n > maxSlotUses+1 {
			t.Errorf("%d tenants are remembered", n)
		}
	})
}
