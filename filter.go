package hooks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"
	"github.com/expr-lang/expr/vm/runtime"
)

// Strangers write filters. So filterCheck lets only a part of the expr language
// through, in which an expression takes a time that is at most proportional to
// its work, which the check counts, times the size of the event. What could take
// longer than a moment is run by a program that looks at the time as it goes;
// see interrupt.go. docs/filters.md has the language.
const (
	maxFilterSize  = 4096 // bytes
	maxFilterNodes = 400  // values, names and operators
	// maxFilterWork bounds work times bytes of data: a second or two.
	maxFilterWork = 64 << 20
	// maxPatternSize bounds one regular expression, in bytes, and
	// maxPatternInsts all of a filter, in instructions, which is how many
	// states a character may be compared with. An instruction counts once more
	// for every 64 bounds of ranges in its class, which make it slow to compile.
	maxPatternSize   = 256
	maxPatternInsts  = 1000
	maxCachedFilters = 1024
	// maxMessageSize bounds what messages quote of filters and events, in bytes.
	maxMessageSize = 200
)

// A filter is a compiled Hook.Filter. It may be used concurrently.
type filter struct {
	program *vm.Program
	// interruptible returns a program that gives the same, more slowly, and
	// can be interrupted. It is compiled at the first call.
	interruptible func() (*vm.Program, error)
	compiled      atomic.Bool // interruptible was called
	usesData      bool
	work          int // how often it may go through the data, at most
}

// A filterEvent is an event as filters see it. Data is decoded when the first
// filter needs it. It must not be used concurrently.
type filterEvent struct {
	*Event
	decoded bool
	data    any
	err     error
}

// filterEnv has the names that a filter can use, and, if it can be interrupted,
// what filterCheck adds.
type filterEnv struct {
	Type     string            `expr:"type"`
	Tenant   string            `expr:"tenant"`
	Time     time.Time         `expr:"time"`
	Data     any               `expr:"data"`
	Metadata map[string]string `expr:"metadata"`

	Clock *clock      `expr:"the clock"` // clockName
	Check func() bool `expr:"check"`     // checkFunction
	Tick  func() bool `expr:"tick"`      // tickFunction
}

// match reports whether the filter lets the event through. An error means that
// the filter cannot tell, and the event does not pass; if it is ctx's, there was
// not enough time to tell.
func (f *filter) match(ctx context.Context, e *filterEvent) (bool, error) {
	if size := len(e.Data); size > 0 && f.work > maxFilterWork/size {
		return false, fmt.Errorf("filter failed: it does too much for data of %d bytes", size)
	}
	if !f.takesLong(e) {
		return f.run(f.program, &filterEnv{}, e)
	}
	return f.matchInterruptibly(ctx, e)
}

// takesLong reports whether the filter may take longer than a moment.
func (f *filter) takesLong(e *filterEvent) bool { return f.work*e.size() > maxUninterrupted }

func (f *filter) matchInterruptibly(ctx context.Context, e *filterEvent) (bool, error) {
	program, err := f.interruptible()
	if err != nil {
		return false, err
	}
	c := &clock{ctx: ctx}
	matched, err := f.run(program, &filterEnv{Clock: c, Check: c.check, Tick: c.tick}, e)
	if c.err != nil {
		return false, c.err
	}
	return matched, err
}

// run runs one of the programs of the filter.
func (f *filter) run(program *vm.Program, env *filterEnv, e *filterEvent) (bool, error) {
	env.Type, env.Tenant, env.Time, env.Metadata = e.Type, e.Tenant, e.Time, e.Metadata
	if f.usesData {
		if e.decode(); e.err != nil {
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
		return false, fmt.Errorf("filter failed: it gave %s, not true or false", filterWords.Replace(fmt.Sprintf("%T", result)))
	}
	return matched, nil
}

// size is how much a filter can go through, in bytes.
func (e *filterEvent) size() int {
	size := len(e.Data)
	for name, text := range e.Metadata {
		size += len(name) + len(text)
	}
	return size
}

// decode sets e.data or e.err.
func (e *filterEvent) decode() {
	if e.decoded {
		return
	}
	e.decoded = true
	decoder := json.NewDecoder(bytes.NewReader(e.Data))
	decoder.UseNumber()
	if e.err = decoder.Decode(&e.data); e.err != nil {
		e.err = fmt.Errorf("filter failed: data is not JSON: %w", e.err)
	}
	e.data = plainNumbers(e.data)
}

// plainNumbers replaces each number in v by an int if it is written as one and
// fits, so that IDs beyond 2^53 compare exactly, and by the closest float64
// otherwise.
func plainNumbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := strconv.Atoi(v.String()); err == nil {
			return n
		}
		// A number out of range is an infinity, which compares as expected.
		f, _ := strconv.ParseFloat(v.String(), 64)
		return f
	case map[string]any:
		for key, member := range v {
			v[key] = plainNumbers(member)
		}
	case []any:
		for i, element := range v {
			v[i] = plainNumbers(element)
		}
	}
	return v
}

var filterCache = struct {
	sync.RWMutex
	byText map[string]*filter
}{byText: map[string]*filter{}}

// compileFilter compiles the text of a Hook.Filter, or says what is wrong with
// it in an InvalidError. It keeps its latest results.
func compileFilter(text string) (*filter, error) {
	filterCache.RLock()
	f := filterCache.byText[text]
	filterCache.RUnlock()
	if f != nil {
		return f, nil
	}
	f, err := newFilter(text)
	if err != nil {
		return nil, err
	}
	filterCache.Lock()
	defer filterCache.Unlock()
	if len(filterCache.byText) >= maxCachedFilters {
		clear(filterCache.byText)
	}
	filterCache.byText[text] = f
	return f, nil
}

func newFilter(text string) (*filter, error) {
	program, check, err := buildFilter(text, false)
	if err != nil {
		return nil, err
	}
	f := &filter{program: program, usesData: check.usesData, work: check.work}
	f.interruptible = sync.OnceValues(func() (*vm.Program, error) {
		program, _, err := buildFilter(text, true)
		f.compiled.Store(true)
		return program, err
	})
	return f, nil
}

// buildFilter compiles the text of a filter, to a program that can be
// interrupted or to one that cannot.
func buildFilter(text string, interruptible bool) (_ *vm.Program, check *filterCheck, err error) {
	invalid := func(format string, args ...any) error {
		return &InvalidError{Field: "filter", Reason: fmt.Sprintf(format, args...)}
	}
	if len(text) > maxFilterSize {
		return nil, nil, invalid("must be at most %d bytes", maxFilterSize)
	}
	config := conf.New(filterEnv{})
	config.MaxNodes = 0 // filterCheck counts them
	config.DisableIfOperator = true
	expr.Function(addFunction, addNumbers, new(func(any, any) any))(config)
	expr.Function(matchFunction, matchPattern, new(func(any, any, any) bool))(config)

	var tree *parser.Tree
	defer func() {
		switch fault := recover().(type) {
		case nil:
		case *file.Error: // of filterCheck
			err = invalid("%s", explain(fault.Bind(tree.Source)))
		default: // of the parser
			err = invalid("is not an expression")
		}
	}()
	if tree, err = parser.ParseWithConfig(text, config); err != nil {
		return nil, nil, invalid("is not an expression: %s", explain(err))
	}
	// The check comes before all else that walks the tree, because it is what
	// bounds the walks.
	check = &filterCheck{seen: map[ast.Node]bool{}, interruptible: interruptible}
	check.visit(&tree.Node, false)
	result, err := checker.Check(tree, config)
	if err != nil {
		return nil, nil, invalid("does not fit together: %s", explain(err))
	}
	if kind := result.Kind(); kind != reflect.Bool && kind != reflect.Interface {
		return nil, nil, invalid("must give true or false, not %s", filterWords.Replace(result.String()))
	}
	program, err := compiler.Compile(tree, config)
	if err != nil {
		return nil, nil, invalid("is not an expression")
	}
	return program, check, nil
}

// addFunction is what + becomes: a call of addNumbers by a name that a filter
// cannot spell.
const addFunction = "+"

// addNumbers adds numbers, times and durations, but does not join texts: a few
// sums of sums of a long one would fill the memory.
func addNumbers(operands ...any) (any, error) {
	if _, ok := operands[0].(string); ok {
		return nil, errors.New("+ adds numbers, not texts")
	}
	return runtime.Add(operands[0], operands[1]), nil
}

// filterWords puts Go's words in the messages of expr into those of filters.
var filterWords = strings.NewReplacer(
	"reflect: call of reflect.Value.Len on ", "cannot go through ",
	"reflect: call of reflect.Value.Index on ", "cannot go through ",
	"reflect.Value.MapIndex: value of type ", "the key is ", " is not assignable to type ", ", not ",
	"zero Value", "nil", " Value", "",
	"interface conversion: interface {} is ", "the value is ",
	"runtime error: ", "",
	"strconv.ParseInt: ", "", "strconv.ParseFloat: ", "",
	"token EOF", "end",
	"map[string]interface {}", "object", "map[string]string", "object",
	"[]interface {}", "list", "[]uint8", "string",
	"time.Time", "time", "time.Duration", "duration",
	"float64", "number", "<nil>", "nil",
)

// explain returns the message of an error of expr or of filterCheck, with the
// position but without the excerpt that comes with it.
func explain(err error) string {
	text, position := err.Error(), ""
	var at *file.Error
	if errors.As(err, &at) {
		text, position = at.Message, fmt.Sprintf(" (line %d, column %d)", at.Line, at.Column+1)
	}
	text = filterWords.Replace(text)
	if len(text) > maxMessageSize {
		text = strings.ToValidUTF8(text[:maxMessageSize], "") + "..."
	}
	return text + position
}
