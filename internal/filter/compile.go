package filter

import (
	"errors"
	"fmt"
	"reflect"

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

// A CompileError says why a text is not a filter.
type CompileError struct {
	// Reason is meant for the author of the filter. It is short, and quotes no
	// more than a little of the text.
	Reason string
}

func (e *CompileError) Error() string { return e.Reason }

// build compiles the text of a filter, to a program that can be interrupted or to
// one that cannot. It also returns what the validator has found out.
func build(text string, interruptible bool) (_ *vm.Program, checked *validator, err error) {
	invalid := func(format string, args ...any) error {
		return &CompileError{Reason: fmt.Sprintf(format, args...)}
	}
	if len(text) > maxSize {
		return nil, nil, invalid("must be at most %d bytes", maxSize)
	}
	config := conf.New(environment{})
	config.MaxNodes = 0 // the validator counts them
	config.DisableIfOperator = true
	expr.Function(addFunction, addNumbers, new(func(any, any) any))(config)
	expr.Function(matchFunction, matchPattern, new(func(any, any, any) bool))(config)

	var tree *parser.Tree
	defer func() {
		switch fault := recover().(type) {
		case nil:
		case *file.Error: // of the validator
			err = invalid("%s", explain(fault.Bind(tree.Source)))
		default: // of the parser
			err = invalid("is not an expression")
		}
	}()
	if tree, err = parser.ParseWithConfig(text, config); err != nil {
		return nil, nil, invalid("is not an expression: %s", explain(err))
	}
	// The validator comes before all else that walks the tree, because it is what
	// bounds the walks.
	checked = &validator{seen: map[ast.Node]bool{}, interruptible: interruptible}
	checked.visit(&tree.Node, false)
	result, err := checker.Check(tree, config)
	if err != nil {
		return nil, nil, invalid("does not fit together: %s", explain(err))
	}
	if kind := result.Kind(); kind != reflect.Bool && kind != reflect.Interface {
		return nil, nil, invalid("must give true or false, not %s", words.Replace(result.String()))
	}
	program, err := compiler.Compile(tree, config)
	if err != nil {
		return nil, nil, invalid("is not an expression")
	}
	return program, checked, nil
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
