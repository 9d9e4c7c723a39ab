package filter

import (
	"context"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/vm/runtime"
)

// This file has what makes a filter interruptible. The virtual machine of expr
// runs to the end, so the validator puts calls of functions into the expression
// that end it by an error when the time is up: before each operation that goes
// through a value, in each predicate, and in patterns.

// maxUninterrupted bounds work times size of what is run without checking the
// clock, which is quicker: a millisecond or two. Ordinary filters stay below.
const maxUninterrupted = 64 << 10

// The names of what the validator adds. It refuses filters that use them.
const (
	checkFunction = "check"
	tickFunction  = "tick"
	matchFunction = "match"
	clockName     = "the clock"
)

// A clock tells a running filter whether its time is up. It is for one run.
type clock struct {
	ctx   context.Context
	ticks int
	// err is why the filter was interrupted, or nil.
	err error
}

const (
	// ticksPerCheck is how many ticks there are for one check of the context.
	ticksPerCheck = 16
	// runesPerCheck is how many characters a pattern reads for one check.
	runesPerCheck = 64
)

// expired reports whether the time is up.
func (c *clock) expired() bool {
	if c.err == nil {
		c.err = c.ctx.Err()
	}
	return c.err != nil
}

// check returns true, or panics when the time is up, which ends the program.
func (c *clock) check() bool {
	if c.expired() {
		panic(c.err)
	}
	return true
}

// tick is check for what takes a moment and is done often: only one call in
// ticksPerCheck checks the context.
func (c *clock) tick() bool {
	c.ticks++
	return c.ticks%ticksPerCheck != 0 || c.check()
}

// A pattern is the right side of "matches".
type pattern struct {
	*regexp.Regexp
	insts int
}

// maxBacktrack is the number of instructions times bytes up to which package
// regexp searches in a quick way, which takes a few milliseconds at most. Beyond
// it, text and stream are searched alike.
const maxBacktrack = 256 << 10

// matchPattern is "matches" with the clock as the third operand.
func matchPattern(operands ...any) (any, error) {
	if runtime.IsNil(operands[0]) {
		return false, nil
	}
	p, c := operands[1].(*pattern), operands[2].(*clock)
	text, ok := operands[0].(string)
	if !ok {
		text = string(operands[0].([]byte)) // Panics with the same words as expr does.
	}
	c.check()
	prefix, complete := p.LiteralPrefix()
	switch {
	case complete || p.insts*len(text) <= maxBacktrack:
		return p.MatchString(text), nil
	case !strings.Contains(text, prefix):
		return false, nil
	}
	matched := p.MatchReader(&timedReader{text: text, clock: c})
	return matched, c.err
}

// A timedReader reads a text until the time is up.
type timedReader struct {
	text  string
	clock *clock
	runes int
}

func (r *timedReader) ReadRune() (rune, int, error) {
	if r.runes++; r.runes%runesPerCheck == 0 && r.clock.expired() || r.text == "" {
		return 0, 0, io.EOF
	}
	c, size := utf8.DecodeRuneInString(r.text)
	r.text = r.text[size:]
	return c, size, nil
}
