// Package filter has the expressions by which Okta's event hooks choose among
// the events of a type: a small part of the Spring Expression Language.
//
//	event.target.?[type eq 'UserGroup' && displayName eq 'Sales'].size() > 0
//	event.outcome.result eq 'FAILURE' && event.actor.alternateId ne 'ada@example.com'
//	event.debugData.changedAttributes.contains('email')
//
// The one name is event, whose members are those of the LogEvent that is
// delivered: eventType, uuid, published, version, and the members of the event's
// data. A member that is missing is null. As with Okta, event.debugData is
// event.debugContext.debugData.
//
// In the order of how strongly they bind, there are
//
//   - values: texts in single or double quotes, within which a doubled quote is
//     one, numbers, true, false, null, and parentheses,
//   - steps from one value to the next: .member, or ?.member, which is the same;
//     .?[condition], which selects the elements of a list for which the condition
//     holds, in which names are members of the element; and .method(),
//   - ! or not,
//   - eq or ==, ne or !=, lt or <, le or <=, gt or >, ge or >=, of which there
//     is one between two values at most,
//   - && or and,
//   - || or or.
//
// Words may be in upper case. The methods are
//
//	size()                  of a list, an object or a text
//	isEmpty()               whether that is 0
//	length()                of a text, in UTF-16 code units, as in Java
//	contains(x)             whether a text has the text x in it, or a list an element that is eq x
//	toUpperCase()           of a text
//	toLowerCase()           of a text
//	substringBefore(x)      what a text has before the first x; all if there is none
//	substringAfter(x)       what it has behind that; nothing if there is none
//
// null is eq null alone and neither less nor greater than anything. Where a truth
// value is needed it counts as false, and so does a whole expression that is null.
// A method of null or with the argument null is null, but contains is false; what
// is selected from null is an empty list. Values of different types are ne.
//
// All else that is done with values of the wrong type is a failure: then the event
// does not pass.
package filter

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/alecthomas/participle/v2"
	"github.com/alecthomas/participle/v2/lexer"

	"github.com/seed-2c6e3a5a/hooks"
)

// What an expression may be at most.
const (
	// MaxSize is in bytes.
	MaxSize = 4096
	// MaxDepth is how many parentheses and brackets may be inside of each
	// other.
	MaxDepth = 50
)

// An Error is what is wrong with an expression, in general or when it was
// evaluated for an event.
type Error struct {
	// Line and Column are where, counted from 1, columns in characters.
	Line, Column int
	// Reason is a sentence without its beginning: `unexpected "]"`.
	Reason string
}

func (e *Error) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Reason)
}

func errorAt(at lexer.Position, format string, args ...any) *Error {
	return &Error{Line: at.Line, Column: at.Column, Reason: fmt.Sprintf(format, args...)}
}

// A Filter is a parsed expression. It may be used concurrently.
type Filter struct{ root *disjunction }

// Parse parses an expression, or says in an [Error] what is wrong with it.
func Parse(expression string) (*Filter, error) {
	if len(expression) > MaxSize {
		return nil, &Error{Line: 1, Column: 1, Reason: fmt.Sprintf("an expression has at most %d bytes", MaxSize)}
	}
	if err := checkDepth(expression); err != nil {
		return nil, err
	}
	root, err := grammar.ParseString("", expression)
	if err != nil {
		return nil, explain(err)
	}
	if err := root.check(false); err != nil {
		return nil, err
	}
	return &Filter{root}, nil
}

// Check reports whether an event passes an expression: what a hook with the
// expression would do. The error is an [Error], ctx's, or says that the event's data
// is not JSON.
func Check(ctx context.Context, expression string, e hooks.Event) (bool, error) {
	f, err := Parse(expression)
	if err != nil {
		return false, err
	}
	event, err := NewEvent(&e)
	if err != nil {
		return false, err
	}
	return f.Match(ctx, event)
}

// checkDepth refuses what would make the parser recurse too often.
func checkDepth(expression string) error {
	tokens, err := grammar.Lex("", strings.NewReader(expression))
	if err != nil {
		return explain(err)
	}
	depth := 0
	for _, token := range tokens {
		switch token.Value {
		case "(", "?[":
			depth++
		case ")", "]":
			depth--
		}
		if depth > MaxDepth {
			return errorAt(token.Pos, "there may be at most %d parentheses and brackets inside of each other", MaxDepth)
		}
	}
	return nil
}

// explain makes an error of the parser one for people who know nothing of it.
func explain(err error) error {
	var unexpected *participle.UnexpectedTokenError
	var other participle.Error
	switch {
	case errors.As(err, &unexpected):
		token := unexpected.Unexpected
		switch {
		case token.EOF():
			return errorAt(token.Pos, "the expression is not complete")
		case token.Value == "'" || token.Value == `"`:
			return errorAt(token.Pos, "the text that begins here has no end")
		}
		return errorAt(token.Pos, "unexpected %.40q", token.Value)
	case errors.As(err, &other):
		return errorAt(other.Position(), "%s", other.Message())
	}
	return &Error{Line: 1, Column: 1, Reason: err.Error()}
}
