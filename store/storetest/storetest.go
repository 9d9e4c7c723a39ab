// Package storetest is the conformance suite for implementations of
// [hooks.Store]. A backend runs it from a test of its own:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, storetest.Harness{
//			Open: func(t testing.TB) hooks.Store {
//				s, err := mystore.Open(filepath.Join(t.TempDir(), "hooks.db"))
//				if err != nil {
//					t.Fatal(err)
//				}
//				t.Cleanup(func() { s.Close() })
//				return s
//			},
//			Around: synctest.Test, // virtual time, if the store works in it
//		})
//	}
//
// The suite is divided into groups and these into rules. A rule is one sentence
// of the contract, which is printed when the store breaks it. To run one:
//
//	go test -run 'TestStore/leases/stale_token'
package storetest

import (
	"testing"

	"github.com/seed-2c6e3a5a/hooks"
)

// A Harness opens the stores under test. Only Open is required; rules that need
// more than the Harness has are skipped.
//
// The functions are called from the goroutine of the test that they are given
// and report what goes wrong to it.
type Harness struct {
	// Open returns a store that is empty and shares its data with no other.
	// It is called once for each rule, by several tests in parallel.
	Open func(t testing.TB) hooks.Store
	// Reopen ends the use of s, as the end of its process would, and opens its
	// data again. Nil: what is in the store does not outlive it.
	Reopen func(t testing.TB, s hooks.Store) hooks.Store
	// LosePower ends the use of s as a loss of power would, and opens what is then left of
	// its data: all that the store has waited for the disk to have, and perhaps more. Nil:
	// rules about a loss of power are skipped.
	LosePower func(t testing.TB, s hooks.Store) hooks.Store
	// Relaxed says that LosePower may undo claims and settlements, as the contract allows.
	Relaxed bool
	// Share opens the data of s once more, as another process would, while s
	// stays in use. Nil: the store is for one process.
	Share func(t testing.TB, s hooks.Store) hooks.Store
	// Begin begins a transaction of the application on the data of s. The suite
	// calls end once, to commit it or to roll it back, and does not use s
	// before that. Nil: the store has no transactions for applications.
	Begin func(t testing.TB, s hooks.Store) (tx hooks.Tx, end func(commit bool))
	// Around runs each rule. With [testing/synctest.Test], every rule has a
	// bubble of its own, in which the store is opened too. Default: f(t).
	Around func(t *testing.T, f func(t *testing.T))
}

// Run checks the stores of h against the contract of [hooks.Store], each rule
// in a parallel subtest with a store of its own.
func Run(t *testing.T, h Harness) {
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			for _, r := range g.rules {
				t.Run(r.name, func(t *testing.T) {
					t.Parallel()
					r.run(t, h)
				})
			}
		})
	}
}

// groups is the suite, a file for each group.
var groups = []group{
	{"hooks", hookRules},
	{"changes", changeRules},
	{"events", eventRules},
	{"queue", queueRules},
	{"capacity", capacityRules},
	{"turns", turnRules},
	{"lanes", laneRules},
	{"leases", leaseRules},
	{"states", stateRules},
	{"ordering", orderingRules},
	{"logs", logRules},
	{"stats", statsRules},
	{"purge", purgeRules},
	{"paging", pagingRules},
	{"time", timeRules},
	{"values", valueRules},
	{"tenants", tenantRules},
	{"contexts", contextRules},
	{"concurrency", concurrencyRules},
	{"durability", durabilityRules},
	{"transactions", transactionRules},
	{"identity", identityRules},
	{"notify", notifyRules},
	{"copy", copyRules},
	{"model", modelRules()},
}

type group struct {
	name  string
	rules []rule
}

// A rule is a sentence of the contract and the code that tries to break it.
type rule struct {
	name  string
	rule  string
	tries func(c *check)
}

// run checks the rule within h.Around. It skips t if the rule was skipped, because
// synctest.Test does not.
func (r rule) run(t *testing.T, h Harness) {
	if h.Around == nil {
		r.check(t, h)
		return
	}
	skipped := false
	h.Around(t, func(t *testing.T) {
		defer func() { skipped = t.Skipped() }()
		r.check(t, h)
	})
	if skipped {
		t.SkipNow()
	}
}

// check opens a store and tries to break the rule.
func (r rule) check(t testing.TB, h Harness) {
	defer func() {
		if t.Failed() {
			t.Logf("The rule: %s", r.rule)
		}
	}()
	r.tries(&check{TB: t, Store: h.Open(t), h: h})
}
