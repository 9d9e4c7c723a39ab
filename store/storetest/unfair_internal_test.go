package storetest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

// unfair is a store that chooses what a claim returns itself. It claims what is
// due as ask says, and gives back what choose does not keep.
type unfair struct {
	hooks.Store
	ask    func(*hooks.ClaimRequest)
	choose func(r hooks.ClaimRequest, claimed []hooks.Claimed) (kept, rest []hooks.Claimed)
}

func (s unfair) Claim(ctx context.Context, r hooks.ClaimRequest) ([]hooks.Claimed, time.Time, error) {
	asked := r
	s.ask(&r)
	claimed, next, err := s.Store.Claim(ctx, r)
	kept, rest := s.choose(asked, claimed)
	for _, cl := range rest {
		d := cl.Delivery
		_, _ = s.Settle(ctx, r.Now, []hooks.Settlement{{DeliveryID: d.ID, Token: d.Lease.Token, State: pending, Due: d.Due, Step: d.Step}})
	}
	return kept, next, err
}

// sorts makes stores that return what comes first in an order of their own.
func sorts(order func([]hooks.Claimed)) func(*Harness) {
	return wrapped(func(s hooks.Store) hooks.Store {
		return unfair{s, func(r *hooks.ClaimRequest) { r.Limit = upTo(many) }, func(r hooks.ClaimRequest, claimed []hooks.Claimed) (kept, rest []hooks.Claimed) {
			order(claimed)
			n := min(r.Limit.Deliveries, len(claimed))
			return claimed[:n], claimed[n:]
		}}
	})
}

func by(compare func(a, b hooks.Delivery) int) func([]hooks.Claimed) {
	return func(claimed []hooks.Claimed) {
		slices.SortStableFunc(claimed, func(a, b hooks.Claimed) int { return compare(a.Delivery, b.Delivery) })
	}
}

func byDue(a, b hooks.Delivery) int     { return a.Due.Compare(b.Due) }
func latestDue(a, b hooks.Delivery) int { return b.Due.Compare(a.Due) }
func byID(a, b hooks.Delivery) int      { return cmp.Or(byDue(a, b), cmp.Compare(a.ID, b.ID)) }
func retriesFirst(a, b hooks.Delivery) int {
	return cmp.Or(cmp.Compare(min(1, b.Step), min(1, a.Step)), byDue(a, b))
}

// inRounds takes one of each, then another of each, and so on, and begins each
// claim with the same.
func inRounds(of func(hooks.Delivery) string) func([]hooks.Claimed) {
	return func(claimed []hooks.Claimed) {
		by(byID)(claimed)
		round, seen := map[string]int{}, map[string]int{}
		for _, cl := range claimed {
			round[cl.Delivery.ID] = seen[of(cl.Delivery)]
			seen[of(cl.Delivery)]++
		}
		by(func(a, b hooks.Delivery) int {
			return cmp.Or(cmp.Compare(round[a.ID], round[b.ID]), cmp.Compare(of(a), of(b)))
		})(claimed)
	}
}

func hookOf(d hooks.Delivery) string { return d.Tenant + "/" + laneOf(d) }

// measures makes stores that have a way of their own to measure what a claim
// returns against Limit.Bytes: after says by how much a delivery, which comes
// after others, makes it more.
func measures(after func(taken []hooks.Claimed, cl hooks.Claimed) int, exceeds bool) func(*Harness) {
	return wrapped(func(s hooks.Store) hooks.Store {
		return unfair{s, func(r *hooks.ClaimRequest) { r.Limit.Bytes = 0 }, func(r hooks.ClaimRequest, claimed []hooks.Claimed) (kept, rest []hooks.Claimed) {
			size := 0
			for i, cl := range claimed {
				more := after(claimed[:i], cl)
				if r.Limit.Bytes > 0 && (size >= int(r.Limit.Bytes) || !exceeds && i > 0 && size+more > int(r.Limit.Bytes)) {
					return claimed[:i], claimed[i:]
				}
				size += more
			}
			return claimed, nil
		}}
	})
}

func ofDelivery(_ []hooks.Claimed, cl hooks.Claimed) int { return len(cl.Event.Data) }

func ofEvent(taken []hooks.Claimed, cl hooks.Claimed) int {
	if slices.ContainsFunc(taken, func(other hooks.Claimed) bool { return other.Delivery.EventID == cl.Delivery.EventID }) {
		return 0
	}
	return len(cl.Event.Data)
}

// servesAll claims what there is no capacity for, too, and gives it back.
func servesAll(s hooks.Store) hooks.Store {
	full := func(r hooks.ClaimRequest, d hooks.Delivery) bool {
		capacity, bounded := r.Tenants[d.Tenant]
		n, boundedHook := r.Hooks[d.HookRef()]
		return bounded && capacity.Deliveries == 0 || boundedHook && n == 0
	}
	ask := func(r *hooks.ClaimRequest) {
		r.Tenants, r.Hooks = maps.Clone(r.Tenants), maps.Clone(r.Hooks)
		r.Limit.Deliveries += len(r.Tenants) + len(r.Hooks)
		for tenant, capacity := range r.Tenants {
			r.Tenants[tenant] = upTo(max(1, capacity.Deliveries))
		}
		for ref, n := range r.Hooks {
			r.Hooks[ref] = max(1, n)
		}
	}
	return unfair{s, ask, func(r hooks.ClaimRequest, claimed []hooks.Claimed) (kept, rest []hooks.Claimed) {
		for _, cl := range claimed {
			if full(r, cl.Delivery) || len(kept) == r.Limit.Deliveries {
				rest = append(rest, cl)
			} else {
				kept = append(kept, cl)
			}
		}
		return kept, rest
	}}
}
