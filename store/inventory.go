package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/seed-2c6e3a5a/hooks"
)

// An Inventory counts what a store has, over all tenants. The sums show changes that leave the
// numbers as they are.
type Inventory struct {
	// Hooks is how many there are, deleted ones not included. Versions is the sum of their
	// Versions.
	Hooks    int
	Versions int64
	// Events is how many there are, with and without deliveries.
	Events int
	// Deliveries is how many there are in each state. It may have zeros.
	Deliveries map[hooks.State]int
	// Held is how many deliveries are held.
	Held int
	// Tokens is the sum of the Lease.Token of all deliveries.
	Tokens int64
	// Attempts is how many the log has.
	Attempts int
}

// A count is one of the numbers of an inventory.
type count struct {
	of string
	n  int64
}

// counts returns all numbers, in an order that is always the same.
func (i Inventory) counts() []count {
	counts := []count{{"hooks", int64(i.Hooks)}, {"sum of the hooks' versions", i.Versions}, {"events", int64(i.Events)}}
	for _, state := range []hooks.State{hooks.Blocked, hooks.Pending, hooks.Leased, hooks.Succeeded, hooks.Dead, hooks.Cancelled} {
		counts = append(counts, count{string(state) + " deliveries", int64(i.Deliveries[state])})
	}
	return append(counts, count{"held deliveries", int64(i.Held)}, count{"sum of the leases' tokens", i.Tokens}, count{"attempts", int64(i.Attempts)})
}

func moreThan(a, b int64) bool { return a > b }
func notEqual(a, b int64) bool { return a != b }

// compare returns an error that says how the inventory of the target differs from that of the
// source, if it does.
func compare(ctx context.Context, source, target Copyable, when, insteadOf string, differs func(target, source int64) bool) error {
	want, err := source.Inventory(ctx)
	if err != nil {
		return fmt.Errorf("copy: count what the source has: %w", err)
	}
	got, err := target.Inventory(ctx)
	if err != nil {
		return fmt.Errorf("copy: count what the target has: %w", err)
	}
	var found []string
	wanted := want.counts()
	for i, c := range got.counts() {
		if differs(c.n, wanted[i].n) {
			found = append(found, fmt.Sprintf("%s: %d%s%d", c.of, c.n, insteadOf, wanted[i].n))
		}
	}
	if len(found) == 0 {
		return nil
	}
	return fmt.Errorf("copy: %s%w: %s", when, ErrDiffers, strings.Join(found, "; "))
}
