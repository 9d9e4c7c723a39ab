package filter

import (
	"fmt"
	"regexp"
	"regexp/syntax"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm/runtime"
)

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

// A validator goes through the tree of a filter, refuses what is not in the
// language by a panic with a *file.Error, and rewrites what expr would do in
// another way.
//
// The language has no operation that makes a value larger than the event: no
// variables, no lists or objects but constant ones, no joined texts. So every
// operation takes at most a time that is proportional to the event. Inside a
// predicate, which runs once for each element, an operation may go through the
// element but through nothing else, and a predicate within it has to be over a
// list in the element: even constant lists would multiply.
type validator struct {
	seen     map[ast.Node]bool
	usesData bool
	// interruptible makes the filter check the clock as it goes.
	interruptible bool
	// work counts the nodes inside of predicates, which may run once for each
	// element, the operations that go through a value, and insts.
	work  int
	insts int // the instructions of patterns
}

func refuse(n ast.Node, format string, args ...any) {
	panic(&file.Error{Location: n.Location(), Message: fmt.Sprintf(format, args...)})
}

// visit checks *p and what is below it. inside is whether it is in a predicate.
func (v *validator) visit(p *ast.Node, inside bool) extent {
	// The parser makes two parents share a node for a < b < c and for a ?: b.
	// A hundred of them within each other are 2^100 paths through the tree.
	if v.seen[*p] {
		refuse(*p, "must not chain comparisons: write a < b && b < c")
	}
	v.seen[*p] = true
	if len(v.seen) > maxNodes {
		refuse(*p, "must have at most %d values, names and operators", maxNodes)
	}
	if inside {
		v.work++
	}
	switch n := (*p).(type) {
	case *ast.NilNode, *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode:
		return scalar
	case *ast.StringNode:
		return short
	case *ast.IdentifierNode:
		return v.name(n)
	case *ast.PointerNode:
		return part
	case *ast.ChainNode:
		return v.visit(&n.Node, inside)
	case *ast.UnaryNode:
		return v.visit(&n.Node, inside)
	case *ast.BinaryNode:
		return v.binary(p, n, inside)
	case *ast.MemberNode:
		v.key(&n.Property, inside)
		return v.visit(&n.Node, inside)
	case *ast.ConditionalNode:
		if n.Cond == n.Exp1 {
			refuse(n, "must not use ?: with nothing in between: write a ?? b")
		}
		return v.visit(&n.Cond, inside) | v.visit(&n.Exp1, inside) | v.visit(&n.Exp2, inside)
	case *ast.ArrayNode:
		return v.list(p, n, inside)
	case *ast.BuiltinNode:
		return v.function(p, n, inside)
	case *ast.CallNode:
		refuse(n, "must not use functions or methods that filters do not have")
	default:
		refuse(n, "must not use let, semicolons, byte strings, slices such as x[1:2] or objects such as {a: 1}")
	}
	return whole
}

// walked visits an operand that its operation goes through.
func (v *validator) walked(p *ast.Node, inside bool) extent {
	e := v.visit(p, inside)
	if inside && e&(short|whole) != 0 {
		refuse(*p, "must not go through anything but the element inside of any(), all() and the like")
	}
	if e&(part|whole) != 0 {
		v.work++
	}
	return e
}

// key visits an operand that is looked up. If it is a text, that goes through it.
func (v *validator) key(p *ast.Node, inside bool) {
	if v.visit(p, inside)&whole != 0 && inside {
		refuse(*p, "must not look up parts of data or metadata inside of any(), all() and the like")
	}
}

func (v *validator) name(n *ast.IdentifierNode) extent {
	switch n.Value {
	case "time":
		return scalar
	case "type", "tenant":
		return short
	case "data":
		v.usesData = true
	case "metadata":
	default:
		refuse(n, "must not use the unknown name %s: there are type, tenant, time, data and metadata", n.Value)
	}
	return whole
}

func (v *validator) binary(p *ast.Node, n *ast.BinaryNode, inside bool) extent {
	switch n.Operator {
	case "and", "&&", "or", "||", "??":
		// The value of true && x is x.
		return v.visit(&n.Left, inside) | v.visit(&n.Right, inside)
	case "==", "!=", "<", "<=", ">", ">=", "startsWith", "endsWith":
		// These go no further than the smaller operand.
		smaller := min(v.visit(&n.Left, inside), v.visit(&n.Right, inside))
		if smaller >= whole && inside {
			refuse(n, "must compare with the element or with a constant inside of any(), all() and the like")
		}
		if smaller >= part {
			v.work++
			v.addCheck(p, inside)
		}
	case "contains":
		v.walked(&n.Left, inside)
		v.visit(&n.Right, inside)
		v.addCheck(p, inside)
	case "in":
		v.key(&n.Left, inside)
		v.walked(&n.Right, inside)
		v.addCheck(p, inside)
	case "matches":
		v.walked(&n.Left, inside)
		text, insts := v.pattern(n.Right)
		if v.interruptible {
			searched := &ast.ConstantNode{Value: &pattern{regexp.MustCompile(text), insts}}
			ast.Patch(p, call(matchFunction, n.Left, searched, &ast.IdentifierNode{Value: clockName}))
		}
	case "+":
		if v.visit(&n.Left, inside) == short || v.visit(&n.Right, inside) == short {
			refuse(n, "must not join texts: + adds numbers")
		}
		ast.Patch(p, call(addFunction, n.Left, n.Right))
	case "-", "*", "/", "%", "**", "^":
		v.visit(&n.Left, inside)
		v.visit(&n.Right, inside)
	default:
		refuse(n, "must not use the operator %s", n.Operator)
	}
	return scalar
}

// call is a node that calls a hidden function.
func call(function string, arguments ...ast.Node) ast.Node {
	return &ast.CallNode{Callee: &ast.IdentifierNode{Value: function}, Arguments: arguments}
}

// addCheck makes the filter, if it is interruptible, check the clock before it
// evaluates *p, which may take a while: each time, or, inside of a predicate, once
// in a few times.
func (v *validator) addCheck(p *ast.Node, inside bool) {
	if !v.interruptible {
		return
	}
	function := checkFunction
	if inside {
		function = tickFunction
	}
	// The functions return true or panic, so the value is that of *p.
	ast.Patch(p, &ast.ConditionalNode{Cond: call(function), Exp1: *p, Exp2: &ast.NilNode{}})
}

// pattern checks the right side of "matches". It returns the pattern and how
// many instructions it has.
func (v *validator) pattern(n ast.Node) (string, int) {
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
	v.work += len(program.Inst)
	for i := range program.Inst {
		v.insts += 1 + len(program.Inst[i].Rune)/64
	}
	if v.insts > maxPatternInsts {
		refuse(n, "must use simpler patterns; in x{100}, x counts a hundred times")
	}
	return text.Value, len(program.Inst)
}

// list replaces a list of constants by its value.
func (v *validator) list(p *ast.Node, n *ast.ArrayNode, inside bool) extent {
	values := make([]any, len(n.Nodes))
	var e extent // stays 0 if there is nothing to go through
	for i := range n.Nodes {
		v.visit(&n.Nodes[i], inside)
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

func (v *validator) function(p *ast.Node, n *ast.BuiltinNode, inside bool) extent {
	switch n.Name {
	case "all", "any", "none", "one", "count", "sum":
		if list := v.walked(&n.Arguments[0], inside); inside && list&^part != 0 {
			refuse(n.Arguments[0], "must not go through any list but one in the element inside of any(), all() and the like")
		}
		if len(n.Arguments) == 1 {
			v.addCheck(p, inside) // It takes no longer than other ways through a list.
			break
		}
		predicate := &n.Arguments[1].(*ast.PredicateNode).Node
		v.visit(predicate, true)
		v.addCheck(predicate, true)
	case "abs", "ceil", "floor", "round":
		v.visit(argument(n), inside)
	case "len", "int", "float":
		v.walked(argument(n), inside)
		v.addCheck(p, inside)
	case "lower", "upper", "trim":
		e := v.walked(argument(n), inside)
		v.addCheck(p, inside)
		return e
	case "date", "duration":
		text, ok := (*argument(n)).(*ast.StringNode)
		if !ok {
			v.walked(argument(n), inside)
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
