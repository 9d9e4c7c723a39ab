package storetest

import (
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/memory"
)

// A recorder stands in for the test of a rule that is expected to fail.
type recorder struct {
	testing.TB
	mu       sync.Mutex
	failures []string
	logs     []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

func (r *recorder) FailNow() { runtime.Goexit() }

func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.failures) > 0
}

func (r *recorder) Skip(args ...any) {
	r.Logf("skipped: %s", fmt.Sprint(args...))
	runtime.Goexit()
}

func (r *recorder) Logf(format string, args ...any) {
	r.logs = append(r.logs, fmt.Sprintf(format, args...))
}

// try checks the rule without failing the test. In its bubble, nothing waits
// for long.
func try(t *testing.T, r rule, h Harness) *recorder {
	t.Helper()
	rec := &recorder{}
	synctest.Test(t, func(t *testing.T) {
		rec.TB = t
		done := make(chan struct{})
		go func() {
			defer close(done)
			r.check(rec, h)
		}()
		<-done
	})
	return rec
}

// rulesNamed returns the rules with these names, group/rule. The name group/*
// stands for all of a group.
func rulesNamed(names ...string) map[string]rule {
	found := map[string]rule{}
	for _, g := range groups {
		for _, r := range g.rules {
			if name := g.name + "/" + r.name; slices.Contains(names, name) || slices.Contains(names, g.name+"/*") {
				found[name] = r
			}
		}
	}
	return found
}

// faultless opens memory stores, which here outlive their process, and losses of power.
func faultless() Harness {
	return Harness{
		Open:      func(testing.TB) hooks.Store { return memory.New(memory.Options{}) },
		Reopen:    func(_ testing.TB, s hooks.Store) hooks.Store { return s },
		LosePower: func(_ testing.TB, s hooks.Store) hooks.Store { return s },
	}
}

func TestSuiteFindsFaults(t *testing.T) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			h := faultless()
			f.make(&h)
			rules := rulesNamed(strings.Fields(f.breaks)...)
			require.NotEmpty(t, rules)
			for name, r := range rules {
				rec := try(t, r, h)
				assert.True(t, rec.Failed(), "%s passes on a store that %s", name, f.name)
				assert.Contains(t, rec.logs, "The rule: "+r.rule, name)
			}
		})
	}
}

// TestEveryRuleIsProved finds rules that no fault breaks, and faults that break
// a rule which is not there.
func TestEveryRuleIsProved(t *testing.T) {
	proved := map[string]bool{}
	for _, f := range faults {
		for _, name := range strings.Fields(f.breaks) {
			rules := rulesNamed(name)
			assert.NotEmpty(t, rules, "%s: there is no rule %s", f.name, name)
			for name := range rules {
				proved[name] = true
			}
		}
	}
	for _, g := range groups {
		for _, r := range g.rules {
			assert.True(t, proved[g.name+"/"+r.name], "no fault breaks %s/%s", g.name, r.name)
		}
	}
}

// TestFullValues finds fields that the values with every field set lack.
func TestFullValues(t *testing.T) {
	event := fullEvent("x")
	event.OrderingKey = "k"
	a := fullAttempt(job{n: 1}.delivery(0))
	for _, v := range []any{fullHook("a"), *event, *a} {
		assert.Empty(t, zeroFields(v))
	}
}

func zeroFields(v any) []string {
	var zero []string
	value := reflect.ValueOf(v)
	for i := range value.NumField() {
		if value.Field(i).IsZero() {
			zero = append(zero, value.Type().Name()+"."+value.Type().Field(i).Name)
		}
	}
	return zero
}
