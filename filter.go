package hooks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp/syntax"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"
	"github.com/expr-lang/expr/vm/runtime"
)

// Strangers write filters, and nothing can stop one that runs. So filterCheck
// lets only a part of the expr language through, in which an expression takes
// a time that is at most proportional to its work, which the check counts,
// times the size of the event. docs/filters.md has the language.
const (
	maxFilterSize  = 4096 // bytes
	maxFilterNodes = 400  // values, names and operators
	// maxFilterWork bounds work times bytes of data: a second or two.
	maxFilterWork = 64 << 20
	// maxPatternSize bounds one regular expression, in bytes, and
	// maxPatternInsts all of a filter, in instructions, which is how many
	// states a character may be compared with.
	maxPatternSize   = 256
	maxPatternInsts  = 1000
	maxCachedFilters = 1024
	// maxMessageSize bounds what messages quote of filters and events, in bytes.
	maxMessageSize = 200
)

// A filter is a compiled Hook.Filter. It may be used concurrently.
type filter struct {
	program  *vm.Program
	usesData bool
	work     int // how often it may go through the data, at most
}

// A filterEvent is an event as filters see it. Data is decoded when the first
// filter needs it. It must not be used concurrently.
type filterEvent struct {
	*Event
	decoded bool
	data    any
	err     error
}

// filterEnv has the names that a filter can use.
type filterEnv struct {
	Type     string            `expr:"type"`
	Tenant   string            `expr:"tenant"`
	Time     time.Time         `expr:"time"`
	Data     any               `expr:"data"`
	Metadata map[string]string `expr:"metadata"`
}

// match reports whether the filter lets the event through. An error means that
// the filter cannot tell, and the event does not pass.
func (f *filter) match(e *filterEvent) (bool, error) {
	if size := len(e.Data); size > 0 && f.work > maxFilterWork/size {
		return false, fmt.Errorf("filter failed: it does too much for data of %d bytes", size)
	}
	env := &filterEnv{Type: e.Type, Tenant: e.Tenant, Time: e.Time, Metadata: e.Metadata}
	if f.usesData {
		if e.decode(); e.err != nil {
			return false, e.err
		}
		env.Data = e.data
	}
	// Run turns all panics into errors.
	result, err := vm.Run(f.program, env)
	if err != nil {
		return false, errors.New("filter failed: " + explain(err))
	}
	matched, ok := result.(bool)
	if !ok {
		return false, fmt.Errorf("filter failed: it gave %s, not true or false", filterWords.Replace(fmt.Sprintf("%T", result)))
	}
	return matched, nil
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

func newFilter(text string) (f *filter, err error) {
	invalid := func(format string, args ...any) (*filter, error) {
		return nil, &InvalidError{Field: "filter", Reason: fmt.Sprintf(format, args...)}
	}
	if len(text) > maxFilterSize {
		return invalid("must be at most %d bytes", maxFilterSize)
	}
	config := conf.New(filterEnv{})
	config.MaxNodes = 0 // filterCheck counts them
	config.DisableIfOperator = true
	expr.Function(addFunction, addNumbers, new(func(any, any) any))(config)

	var tree *parser.Tree
	defer func() {
		switch fault := recover().(type) {
		case nil:
		case *file.Error: // of filterCheck
			f, err = invalid("%s", explain(fault.Bind(tree.Source)))
		default: // of the parser
			f, err = invalid("is not an expression")
		}
	}()
	if tree, err = parser.ParseWithConfig(text, config); err != nil {
		return invalid("is not an expression: %s", explain(err))
	}
	// The check comes before all else that walks the tree, because it is what
	// bounds the walks.
	check := filterCheck{seen: map[ast.Node]bool{}}
	check.visit(&tree.Node, false)
	result, err := checker.Check(tree, config)
	if err != nil {
		return invalid("does not fit together: %s", explain(err))
	}
	if kind := result.Kind(); kind != reflect.Bool && kind != reflect.Interface {
		return invalid("must give true or false, not %s", filterWords.Replace(result.String()))
	}
	program, err := compiler.Compile(tree, config)
	if err != nil {
		return invalid("is not an expression")
	}
	return &filter{program: program, usesData: check.usesData, work: check.work}, nil
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

// An extent says how large a value may be, and so how long it may take to go
// through it. It is a set, for values such as a ?? b.
type extent int

const (
	// scalar: a number, a truth value, a time or a list of constants, whose
	// elements count by themselves.
	scalar extent = 1 << iota
	// short: a text constant, the type or the tenant.
	short
	// part: the element of the predicate around it, or a part of that. Over
	// all elements, they are no larger than the event.
	part
	// whole: data or metadata, or a part of them. The largest.
	whole
)

// A filterCheck goes through the tree of a filter, refuses what is not in the
// language by a panic with a *file.Error, and rewrites what expr would do in
// another way.
//
// The language has no operation that makes a value larger than the event: no
// variables, no lists or objects but constant ones, no joined texts. So every
// operation takes at most a time that is proportional to the event. Inside a
// predicate, which runs once for each element, an operation may go through the
// element but through nothing else, and a predicate within it has to be over a
// list in the element: even constant lists would multiply.
type filterCheck struct {
	seen     map[ast.Node]bool
	usesData bool
	// work counts the nodes inside of predicates, which may run once for each
	// element, the operations that go through a value, and insts.
	work  int
	insts int // the instructions of patterns
}

func refuse(n ast.Node, format string, args ...any) {
	panic(&file.Error{Location: n.Location(), Message: fmt.Sprintf(format, args...)})
}

// visit checks *p and what is below it. inside is whether it is in a predicate.
func (c *filterCheck) visit(p *ast.Node, inside bool) extent {
	// The parser makes two parents share a node for a < b < c and for a ?: b.
	// A hundred of them within each other are 2^100 paths through the tree.
	if c.seen[*p] {
		refuse(*p, "must not chain comparisons: write a < b && b < c")
	}
	c.seen[*p] = true
	if len(c.seen) > maxFilterNodes {
		refuse(*p, "must have at most %d values, names and operators", maxFilterNodes)
	}
	if inside {
		c.work++
	}
	switch n := (*p).(type) {
	case *ast.NilNode, *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode:
		return scalar
	case *ast.StringNode:
		return short
	case *ast.IdentifierNode:
		return c.name(n)
	case *ast.PointerNode:
		return part
	case *ast.ChainNode:
		return c.visit(&n.Node, inside)
	case *ast.UnaryNode:
		return c.visit(&n.Node, inside)
	case *ast.BinaryNode:
		return c.binary(p, n, inside)
	case *ast.MemberNode:
		c.key(&n.Property, inside)
		return c.visit(&n.Node, inside)
	case *ast.ConditionalNode:
		if n.Cond == n.Exp1 {
			refuse(n, "must not use ?: with nothing in between: write a ?? b")
		}
		return c.visit(&n.Cond, inside) | c.visit(&n.Exp1, inside) | c.visit(&n.Exp2, inside)
	case *ast.ArrayNode:
		return c.list(p, n, inside)
	case *ast.BuiltinNode:
		return c.function(p, n, inside)
	case *ast.CallNode:
		refuse(n, "must not use functions or methods that filters do not have")
	default:
		refuse(n, "must not use let, semicolons, byte strings, slices such as x[1:2] or objects such as {a: 1}")
	}
	return whole
}

// walked visits an operand that its operation goes through.
func (c *filterCheck) walked(p *ast.Node, inside bool) extent {
	e := c.visit(p, inside)
	if inside && e&(short|whole) != 0 {
		refuse(*p, "must not go through anything but the element inside of any(), all() and the like")
	}
	if e&(part|whole) != 0 {
		c.work++
	}
	return e
}

// key visits an operand that is looked up. If it is a text, that goes through it.
func (c *filterCheck) key(p *ast.Node, inside bool) {
	if c.visit(p, inside)&whole != 0 && inside {
		refuse(*p, "must not look up parts of data or metadata inside of any(), all() and the like")
	}
}

func (c *filterCheck) name(n *ast.IdentifierNode) extent {
	switch n.Value {
	case "time":
		return scalar
	case "type", "tenant":
		return short
	case "data":
		c.usesData = true
	case "metadata":
	default:
		refuse(n, "must not use the unknown name %s: there are type, tenant, time, data and metadata", n.Value)
	}
	return whole
}

func (c *filterCheck) binary(p *ast.Node, n *ast.BinaryNode, inside bool) extent {
	switch n.Operator {
	case "and", "&&", "or", "||", "??":
		// The value of true && x is x.
		return c.visit(&n.Left, inside) | c.visit(&n.Right, inside)
	case "==", "!=", "<", "<=", ">", ">=", "startsWith", "endsWith":
		// These go no further than the smaller operand.
		smaller := min(c.visit(&n.Left, inside), c.visit(&n.Right, inside))
		if smaller >= whole && inside {
			refuse(n, "must compare with the element or with a constant inside of any(), all() and the like")
		}
		if smaller >= part {
			c.work++
		}
	case "contains":
		c.walked(&n.Left, inside)
		c.visit(&n.Right, inside)
	case "in":
		c.key(&n.Left, inside)
		c.walked(&n.Right, inside)
	case "matches":
		c.walked(&n.Left, inside)
		c.pattern(n.Right)
	case "+":
		if c.visit(&n.Left, inside) == short || c.visit(&n.Right, inside) == short {
			refuse(n, "must not join texts: + adds numbers")
		}
		ast.Patch(p, &ast.CallNode{Callee: &ast.IdentifierNode{Value: addFunction}, Arguments: []ast.Node{n.Left, n.Right}})
	case "-", "*", "/", "%", "**", "^":
		c.visit(&n.Left, inside)
		c.visit(&n.Right, inside)
	default:
		refuse(n, "must not use the operator %s", n.Operator)
	}
	return scalar
}

// pattern checks the right side of "matches".
func (c *filterCheck) pattern(n ast.Node) {
	text, ok := n.(*ast.StringNode)
	if !ok || len(text.Value) > maxPatternSize {
		refuse(n, "must give the pattern of matches as a text in quotes, of at most %d bytes", maxPatternSize)
	}
	pattern, err := syntax.Parse(text.Value, syntax.Perl)
	if err != nil {
		refuse(n, "must use valid patterns: %v", err)
	}
	program, err := syntax.Compile(pattern.Simplify())
	if err != nil {
		refuse(n, "must use valid patterns: %v", err)
	}
	c.work += len(program.Inst)
	if c.insts += len(program.Inst); c.insts > maxPatternInsts {
		refuse(n, "must use simpler patterns; in x{100}, x counts a hundred times")
	}
}

// list replaces a list of constants by its value.
func (c *filterCheck) list(p *ast.Node, n *ast.ArrayNode, inside bool) extent {
	values := make([]any, len(n.Nodes))
	var e extent // stays 0 if there is nothing to go through
	for i := range n.Nodes {
		c.visit(&n.Nodes[i], inside)
		values[i], e = constant(n.Nodes[i]), scalar
	}
	ast.Patch(p, &ast.ConstantNode{Value: values})
	return e
}

func constant(n ast.Node) any {
	switch n := n.(type) {
	case *ast.NilNode:
		return nil
	case *ast.BoolNode:
		return n.Value
	case *ast.IntegerNode:
		return n.Value
	case *ast.FloatNode:
		return n.Value
	case *ast.StringNode:
		return n.Value
	case *ast.UnaryNode:
		if n.Operator == "-" {
			return runtime.Negate(constant(n.Node))
		}
	}
	refuse(n, "must not have lists of anything but constants")
	return nil
}

func (c *filterCheck) function(p *ast.Node, n *ast.BuiltinNode, inside bool) extent {
	switch n.Name {
	case "all", "any", "none", "one", "count", "sum":
		if list := c.walked(&n.Arguments[0], inside); inside && list&^part != 0 {
			refuse(n.Arguments[0], "must not go through any list but one in the element inside of any(), all() and the like")
		}
		if len(n.Arguments) == 2 {
			c.visit(&n.Arguments[1].(*ast.PredicateNode).Node, true)
		}
	case "abs", "ceil", "floor", "round":
		c.visit(argument(n), inside)
	case "len", "int", "float":
		c.walked(argument(n), inside)
	case "lower", "upper", "trim":
		return c.walked(argument(n), inside)
	case "date", "duration":
		text, ok := (*argument(n)).(*ast.StringNode)
		if !ok {
			c.walked(argument(n), inside)
			break
		}
		// Read once, a constant costs nothing in predicates.
		value, err := builtin.Builtins[builtin.Index[n.Name]].Func(text.Value)
		if err != nil {
			refuse(n, "must give %s() a text that it can read: %v", n.Name, err)
		}
		ast.Patch(p, &ast.ConstantNode{Value: value})
	default:
		refuse(n, "must not use the function %s(), which filters do not have", n.Name)
	}
	return scalar
}

func argument(n *ast.BuiltinNode) *ast.Node {
	if len(n.Arguments) != 1 {
		refuse(n, "must give %s() one argument", n.Name)
	}
	return &n.Arguments[0]
}
