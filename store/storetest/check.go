package storetest

import (
	"cmp"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

// A check is the attempt to break one rule: the test, the store, and the steps
// that rules share. A step that goes wrong ends the check.
type check struct {
	testing.TB
	hooks.Store
	h      Harness
	shared hooks.Store // The data of Store, opened once more.
}

// many is a limit that no rule reaches.
const many = 1000

// upTo is the capacity for that many deliveries of any size.
func upTo(n int) hooks.Capacity { return hooks.Capacity{Deliveries: n} }

// ok ends the check on an error.
func (c *check) ok(err error) {
	c.Helper()
	if err != nil {
		c.Fatalf("unexpected error: %v", err)
	}
}

// is fails unless err is (or wraps) want.
func (c *check) is(what string, err, want error) {
	c.Helper()
	if !errors.Is(err, want) {
		c.Errorf("%s: got error %v, want %v", what, err, want)
	}
}

// equal fails where got differs from want.
func (c *check) equal(what string, got, want any) {
	c.Helper()
	if d := diff(got, want); d != "" {
		c.Errorf("%s: %s", what, d)
	}
}

// with is the same check on another store.
func (c *check) with(s hooks.Store) *check { return &check{TB: c.TB, Store: s, h: c.h} }

// reopen ends the use of the store and opens its data again.
func (c *check) reopen() {
	c.Helper()
	if c.h.Reopen == nil {
		c.Skip("the store does not outlive its process")
	}
	c.Store, c.shared = c.h.Reopen(c.TB, c.Store), nil
}

// losePower ends the use of the store as a loss of power would, and opens its data again.
func (c *check) losePower() {
	c.Helper()
	if c.h.LosePower == nil {
		c.Skip("the harness cannot lose power")
	}
	c.Store, c.shared = c.h.LosePower(c.TB, c.Store), nil
}

// second is the data in another store if there can be one, else in the same.
func (c *check) second() hooks.Store {
	if c.h.Share == nil {
		return c.Store
	}
	if c.shared == nil {
		c.shared = c.h.Share(c.TB, c.Store)
	}
	return c.shared
}

// race calls f n times at once, half of them on a second store, and returns
// their errors.
func (c *check) race(n int, f func(i int, s hooks.Store) error) []error {
	c.Helper()
	stores := [2]hooks.Store{c.Store, c.second()}
	errs := make([]error, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = f(i, stores[i%2])
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// oneWins fails unless exactly one of the errors is nil and the others are
// lost.
func (c *check) oneWins(what string, errs []error, lost error) {
	c.Helper()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		c.is(what, err, lost)
	}
	if won != 1 {
		c.Errorf("%s: %d calls of %d succeeded, want 1", what, won, len(errs))
	}
}

// create stores these hooks of the home tenant.
func (c *check) create(ids ...string) {
	c.Helper()
	c.createFor(home, ids...)
}

// createFor stores these hooks of the tenant.
func (c *check) createFor(tenant string, ids ...string) {
	c.Helper()
	for _, id := range ids {
		c.ok(c.CreateHook(c.Context(), plainHook(tenant, id), 0))
	}
}

// hooksOf returns all hooks of the tenant, newest first.
func (c *check) hooksOf(tenant string) []hooks.Hook {
	c.Helper()
	page, err := c.Hooks(c.Context(), hooks.HookQuery{Tenant: tenant, PageQuery: all})
	c.ok(err)
	return page.Items
}

// hook returns the stored hook.
func (c *check) hook(tenant, id string) hooks.Hook {
	c.Helper()
	list := c.hooksOf(tenant)
	i := slices.IndexFunc(list, func(h hooks.Hook) bool { return h.ID == id })
	if i < 0 {
		c.Fatalf("hook %q of tenant %q is not listed", id, tenant)
	}
	return list[i]
}

// changes returns the changes after a revision.
func (c *check) changes(after int64) []hooks.HookChange {
	c.Helper()
	list, err := c.HookChanges(c.Context(), after, many)
	c.ok(err)
	return list
}

// enqueue records the jobs in one call, triggered now after the start.
func (c *check) enqueue(now time.Duration, jobs ...job) {
	c.Helper()
	c.ok(c.Enqueue(c.Context(), at(now), entries(now, jobs...)))
}

// claim leases what is due, for leaseTime.
func (c *check) claim(now time.Duration, limit int) []hooks.Claimed {
	c.Helper()
	claimed, _ := c.request(hooks.ClaimRequest{Now: at(now), Limit: upTo(limit)})
	return claimed
}

// take claims and returns the numbers of the deliveries.
func (c *check) take(now time.Duration, limit int) []int {
	c.Helper()
	return numbers(c.claim(now, limit))
}

// request claims. It fills in Owner and Until.
func (c *check) request(r hooks.ClaimRequest) ([]hooks.Claimed, time.Time) {
	c.Helper()
	r.Owner = cmp.Or(r.Owner, "manager")
	if r.Until.IsZero() {
		r.Until = r.Now.Add(leaseTime)
	}
	claimed, next, err := c.Claim(c.Context(), r)
	c.ok(err)
	for _, cl := range claimed {
		if cl.Event == nil {
			c.Fatalf("claimed delivery %s has no event", cl.Delivery.ID)
		}
	}
	return claimed, next
}

// settle settles and returns the results.
func (c *check) settle(now time.Duration, s ...hooks.Settlement) []hooks.Settled {
	c.Helper()
	settled, err := c.Settle(c.Context(), at(now), s)
	c.ok(err)
	if len(settled) != len(s) {
		c.Fatalf("Settle returned %d results for %d settlements", len(settled), len(s))
	}
	return settled
}

// errLeaseLost is the refusal of a settlement with LeaseLost.
var errLeaseLost = errors.New("lease lost")

// refusal says why a settlement was not stored, or is nil.
func refusal(s hooks.Settled) error {
	if s.LeaseLost {
		return errors.Join(errLeaseLost, s.Err)
	}
	return s.Err
}

// end settles a leased delivery with an attempt that led to state, and returns
// its hook's health.
func (c *check) end(now time.Duration, n int, state hooks.State) hooks.Health {
	c.Helper()
	return c.endWith(now, outcome(c.delivery(n), now, state))
}

// endWith settles a leased delivery and returns its hook's health.
func (c *check) endWith(now time.Duration, s hooks.Settlement) hooks.Health {
	c.Helper()
	settled := c.settle(now, s)[0]
	c.ok(refusal(settled))
	return settled.Health
}

// hold settles a leased delivery as dead and holds its key.
func (c *check) hold(now time.Duration, n int) {
	c.Helper()
	s := outcome(c.delivery(n), now, dead)
	s.Hold = true
	c.endWith(now, s)
}

// redeliver redelivers the delivery.
func (c *check) redeliver(now time.Duration, n int) hooks.Delivery {
	c.Helper()
	d, err := c.Redeliver(c.Context(), at(now), home, id(n))
	c.ok(err)
	return d
}

// cancel cancels the delivery.
func (c *check) cancel(now time.Duration, n int) hooks.Delivery {
	c.Helper()
	d, err := c.Cancel(c.Context(), at(now), home, id(n), "no longer wanted")
	c.ok(err)
	return d
}

// deliveries returns all deliveries of the tenant, latest first.
func (c *check) deliveries(tenant string) []hooks.Delivery {
	c.Helper()
	page, err := c.Deliveries(c.Context(), hooks.LogQuery{Tenant: tenant, PageQuery: all})
	c.ok(err)
	return page.Items
}

// delivery returns the home tenant's delivery with this number.
func (c *check) delivery(n int) hooks.Delivery {
	c.Helper()
	list := c.deliveries(home)
	i := slices.IndexFunc(list, func(d hooks.Delivery) bool { return d.ID == id(n) })
	if i < 0 {
		c.Fatalf("delivery %d is not listed", n)
	}
	return list[i]
}

// states returns the states of the home tenant's deliveries with these numbers.
func (c *check) states(ns ...int) []hooks.State {
	c.Helper()
	states := make([]hooks.State, len(ns))
	for i, n := range ns {
		states[i] = c.delivery(n).State
	}
	return states
}

// attempts returns all attempts of the tenant, latest first.
func (c *check) attempts(tenant string) []hooks.Attempt {
	c.Helper()
	page, err := c.Attempts(c.Context(), hooks.LogQuery{Tenant: tenant, PageQuery: all})
	c.ok(err)
	return page.Items
}

// events returns those events of the tenant that exist, by ID.
func (c *check) events(tenant string, ids ...string) []hooks.Event {
	c.Helper()
	list, err := c.Events(c.Context(), tenant, ids)
	c.ok(err)
	slices.SortFunc(list, func(a, b hooks.Event) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// first returns the first of what a store returned.
func first[T any](c *check, list []T) T {
	c.Helper()
	if len(list) == 0 {
		c.Fatalf("got nothing, want a %T", *new(T))
	}
	return list[0]
}

// A snapshot is all that can be read of a small store.
type snapshot struct {
	Changes []hooks.HookChange
	Tenants map[string]tenantSnapshot
}

type tenantSnapshot struct {
	Hooks      []hooks.Hook
	Deliveries []hooks.Delivery
	Attempts   []hooks.Attempt
	Events     []hooks.Event
}

// snapshot reads all of the tenants home and away, but of the events only those
// that jobs with a number below 20 have by default.
func (c *check) snapshot() snapshot {
	c.Helper()
	ids := make([]string, 20)
	for n := range ids {
		ids[n] = eventID(n)
	}
	s := snapshot{c.changes(0), map[string]tenantSnapshot{}}
	for _, tenant := range []string{home, away} {
		s.Tenants[tenant] = tenantSnapshot{
			c.hooksOf(tenant), c.deliveries(tenant), c.attempts(tenant), c.events(tenant, ids...),
		}
	}
	return s
}

// unchanged fails unless the store is as it was.
func (c *check) unchanged(what string, before snapshot) {
	c.Helper()
	c.equal(what+" changed something", c.snapshot(), before)
}
