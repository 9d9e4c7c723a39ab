package storetest

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/memory"
)

// A rule that needs more than the Harness has is reported as skipped, not as passed,
// also within Around.
func TestRulesAreSkipped(t *testing.T) {
	for name, around := range map[string]func(*testing.T, func(*testing.T)){
		"alone":     nil,
		"in bubble": synctest.Test,
		"in a test": func(t *testing.T, f func(*testing.T)) { f(t) },
	} {
		h := Harness{Open: func(testing.TB) hooks.Store { return memory.New(memory.Options{}) }, Around: around}
		for _, r := range durabilityRules {
			t.Run(name+"/"+r.name, func(t *testing.T) {
				t.Cleanup(func() { assert.True(t, t.Skipped()) })
				r.run(t, h)
			})
		}
	}
}
