// Package filter is the expression language of hooks' filters: a subset of the expr
// language, in which the time of an expression is bounded by its size and that of the event.
// https://github.com/seed-2c6e3a5a/hooks/blob/main/docs/filters.md describes it.
package filter

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/expr-lang/expr/vm"
)

// Filters come from users who need not be trusted. So a validator accepts only a
// part of the expr language, in which an expression takes a time that is at most
// proportional to its work, which the validator counts, times the size of the event.
// What may take longer than a moment is run by a program that checks the context
// as it goes; see interrupt.go.
const (
	maxSize  = 4096 // bytes
	maxNodes = 400  // values, names and operators
	// maxWork bounds work times bytes of data: a second or two.
	maxWork = 64 << 20
	// maxPatternSize bounds one regular expression, in bytes, and
	// maxPatternInsts all of a filter, in instructions, which is how many
	// states a character may be compared with. An instruction counts once more
	// for every 64 bounds of ranges in its class, which make it slow to compile.
	maxPatternSize  = 256
	maxPatternInsts = 1000
	// maxMessageSize bounds what messages quote of filters and events, in bytes.
	maxMessageSize = 200
)

// A Filter is a compiled filter. It may be used concurrently.
type Filter struct {
	program *vm.Program
	// interruptible returns a program that gives the same result, more slowly,
	// and can be interrupted. The first call compiles it.
	interruptible func() (*vm.Program, error)
	compiled      atomic.Bool // interruptible has been called
	usesData      bool
	work          int // how often it may go through the data, at most
}

// Compile compiles the text of a filter, of at most 4096 bytes. The error is a
// [*CompileError]. Compiling takes tens of microseconds for an ordinary filter, so
// callers keep the result.
func Compile(text string) (*Filter, error) {
	program, checked, err := build(text, false)
	if err != nil {
		return nil, err
	}
	f := &Filter{program: program, usesData: checked.usesData, work: checked.work}
	f.interruptible = sync.OnceValues(func() (*vm.Program, error) {
		program, _, err := build(text, true)
		f.compiled.Store(true)
		return program, err
	})
	return f, nil
}

// UsesData reports whether Match decodes the event's Data.
func (f *Filter) UsesData() bool { return f.usesData }

// TakesLong reports whether Match may take longer than a moment, which is a
// millisecond or two, for this event. The time to decode the event is not counted.
func (f *Filter) TakesLong(e *Event) bool { return f.work*e.size() > maxUninterrupted }

// NeedsCompiling reports whether Match compiles the filter once more for this
// event, which cannot be interrupted: the first time that it takes long.
func (f *Filter) NeedsCompiling(e *Event) bool { return f.TakesLong(e) && !f.compiled.Load() }

// Match reports whether the filter accepts the event. An error means that the
// filter could not be evaluated, and the event does not match. The error is that
// of ctx if ctx ended before the evaluation did. Match does not look at ctx if the
// filter does not take long.
func (f *Filter) Match(ctx context.Context, e *Event) (bool, error) {
	if size := len(e.Data); size > 0 && f.work > maxWork/size {
		return false, fmt.Errorf("filter failed: it does too much for data of %d bytes", size)
	}
	if !f.TakesLong(e) {
		return f.run(f.program, &environment{}, e)
	}
	return f.matchInterruptibly(ctx, e)
}

func (f *Filter) matchInterruptibly(ctx context.Context, e *Event) (bool, error) {
	program, err := f.interruptible()
	if err != nil {
		return false, err
	}
	c := &clock{ctx: ctx}
	matched, err := f.run(program, &environment{Clock: c, Check: c.check, Tick: c.tick}, e)
	if c.err != nil {
		return false, c.err
	}
	return matched, err
}

// An environment has the names that a filter can use, and those that the
// validator adds to a filter that can be interrupted.
type environment struct {
	Type     string            `expr:"type"`
	Tenant   string            `expr:"tenant"`
	Time     time.Time         `expr:"time"`
	Data     any               `expr:"data"`
	Metadata map[string]string `expr:"metadata"`

	Clock *clock      `expr:"the clock"` // clockName
	Check func() bool `expr:"check"`     // checkFunction
	Tick  func() bool `expr:"tick"`      // tickFunction
}

// run runs one of the programs of the filter.
func (f *Filter) run(program *vm.Program, env *environment, e *Event) (bool, error) {
	env.Type, env.Tenant, env.Time, env.Metadata = e.Type, e.Tenant, e.Time, e.Metadata
	if f.usesData {
		if e.Decode(); e.err != nil {
			return false, e.err
		}
		env.Data = e.data
	}
	// Run turns all panics into errors.
	result, err := vm.Run(program, env)
	if err != nil {
		return false, errors.New("filter failed: " + explain(err))
	}
	matched, ok := result.(bool)
	if !ok {
		return false, fmt.Errorf("filter failed: it gave %s, not true or false", words.Replace(fmt.Sprintf("%T", result)))
	}
	return matched, nil
}
