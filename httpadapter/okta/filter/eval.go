package filter

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/alecthomas/participle/v2/lexer"
)

// Values are what encoding/json makes of JSON with UseNumber: nil, bool, string,
// json.Number, []any and map[string]any.

// maxWork bounds an evaluation: the values that it comes to, and the texts that it
// goes through in chunks of 64 bytes. It takes some tens of milliseconds.
const maxWork = 1_000_000

// workPerCheck is how much of that is done between two looks at the context: less
// than a millisecond.
const workPerCheck = 4096

// Match reports whether the event passes. An [Error] says what could not be
// evaluated; the event does not pass then. When ctx ends, Match returns its error.
func (f *Filter) Match(ctx context.Context, e *Event) (bool, error) {
	run := evaluation{ctx: ctx, scope: e.members}
	result, err := run.or(f.root)
	if err != nil {
		return false, err
	}
	return truth(lexer.Position{Line: 1, Column: 1}, result)
}

// An evaluation is one in progress.
type evaluation struct {
	ctx context.Context
	// scope has what names stand for: in a selection the members of the
	// element, else those of the event, which is named itself.
	scope  map[string]any
	inside bool
	work   int
}

// spend accounts for work on a text of this size.
func (r *evaluation) spend(at lexer.Position, size int) error {
	before := r.work
	r.work += 1 + size/64
	if r.work > maxWork {
		return errorAt(at, "the event is too large for so much to be done with it")
	}
	if before/workPerCheck != r.work/workPerCheck {
		return r.ctx.Err()
	}
	return nil
}

// truth is the value as a truth value.
func truth(at lexer.Position, v any) (bool, error) {
	switch v := v.(type) {
	case nil:
		return false, nil
	case bool:
		return v, nil
	}
	return false, errorAt(at, "needs true or false, not %s", kind(v))
}

func kind(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "a truth value"
	case string:
		return "a text"
	case json.Number:
		return "a number"
	case []any:
		return "a list"
	}
	return "an object"
}

func (r *evaluation) or(d *disjunction) (any, error) {
	for _, c := range d.Terms {
		v, err := r.and(c)
		if err != nil || len(d.Terms) == 1 {
			return v, err
		}
		if holds, err := truth(c.Terms[0].Pos, v); holds || err != nil {
			return holds, err
		}
	}
	return false, nil
}

func (r *evaluation) and(c *conjunction) (any, error) {
	for _, term := range c.Terms {
		v, err := r.compare(term)
		if err != nil || len(c.Terms) == 1 {
			return v, err
		}
		if holds, err := truth(term.Pos, v); !holds || err != nil {
			return false, err
		}
	}
	return true, nil
}

func (r *evaluation) compare(c *comparison) (any, error) {
	left, err := r.operand(c.Left)
	if err != nil || c.Right == nil {
		return left, err
	}
	right, err := r.operand(c.Right)
	if err != nil {
		return nil, err
	}
	switch operator := strings.ToLower(c.Operator); operator {
	case "==", "eq":
		return r.equal(c.Pos, left, right)
	case "!=", "ne":
		equal, err := r.equal(c.Pos, left, right)
		return !equal, err
	default:
		if left == nil || right == nil {
			return false, nil
		}
		order, err := r.order(c.Pos, left, right)
		switch operator {
		case "<", "lt":
			return order < 0, err
		case "<=", "le":
			return order <= 0, err
		case ">", "gt":
			return order > 0, err
		}
		return order >= 0, err
	}
}

func (r *evaluation) equal(at lexer.Position, a, b any) (bool, error) {
	if a == nil || b == nil {
		return a == nil && b == nil, nil
	}
	for _, v := range []any{a, b} {
		switch v.(type) {
		case []any, map[string]any:
			return false, errorAt(at, "%s can only be compared with null", kind(v))
		}
	}
	if kind(a) != kind(b) {
		return false, nil
	}
	if a, ok := a.(bool); ok {
		return a == b, nil
	}
	order, err := r.order(at, a, b)
	return order == 0, err
}

// order compares two texts or two numbers, as [strings.Compare] does.
func (r *evaluation) order(at lexer.Position, a, b any) (int, error) {
	switch a := a.(type) {
	case string:
		if b, ok := b.(string); ok {
			return strings.Compare(a, b), r.spend(at, min(len(a), len(b)))
		}
	case json.Number:
		if b, ok := b.(json.Number); ok {
			return compareNumbers(a, b), r.spend(at, len(a)+len(b))
		}
	}
	return 0, errorAt(at, "%s is neither less nor greater than %s", kind(a), kind(b))
}

// compareNumbers compares whole numbers exactly, and others as float64. What is
// out of its range is an infinity.
func compareNumbers(a, b json.Number) int {
	x, errX := strconv.ParseInt(a.String(), 10, 64)
	y, errY := strconv.ParseInt(b.String(), 10, 64)
	if errX == nil && errY == nil {
		return sign(x < y, x > y)
	}
	f, _ := strconv.ParseFloat(a.String(), 64)
	g, _ := strconv.ParseFloat(b.String(), 64)
	return sign(f < g, f > g)
}

func sign(less, greater bool) int {
	switch {
	case less:
		return -1
	case greater:
		return 1
	}
	return 0
}

func (r *evaluation) operand(o *operand) (any, error) {
	v, err := r.value(o.Value)
	for i := 0; i < len(o.Steps) && err == nil; i++ {
		if s := o.Steps[i]; s.Selection != nil {
			v, err = r.selected(o.Value.Pos, v, s.Selection)
		} else {
			v, err = r.member(v, s.Member)
		}
	}
	if err != nil || len(o.Nots) == 0 {
		return v, err
	}
	holds, err := truth(o.Value.Pos, v)
	return holds != (len(o.Nots)%2 == 1), err
}

func (r *evaluation) value(v *value) (any, error) {
	if err := r.spend(v.Pos, 0); err != nil {
		return nil, err
	}
	switch {
	case v.Text != nil:
		return unquote(*v.Text), nil
	case v.Number != nil:
		return json.Number(*v.Number), nil
	case v.Grouped != nil:
		return r.or(v.Grouped)
	case v.Name != nil && r.inside:
		return r.scope[*v.Name], nil
	case v.Name != nil:
		return r.scope, nil
	case v.Null:
		return nil, nil
	}
	return v.True, nil
}

// unquote returns the text of a literal.
func unquote(literal string) string {
	quote := literal[:1]
	return strings.ReplaceAll(literal[1:len(literal)-1], quote+quote, quote)
}

func (r *evaluation) selected(at lexer.Position, from any, condition *disjunction) (any, error) {
	list, ok := from.([]any)
	if !ok && from != nil {
		return nil, errorAt(at, ".?[ ] selects from a list, not from %s", kind(from))
	}
	scope, inside := r.scope, r.inside
	defer func() { r.scope, r.inside = scope, inside }()
	r.inside = true
	chosen := []any{}
	for _, element := range list {
		r.scope, _ = element.(map[string]any) // What is none has no members.
		v, err := r.or(condition)
		if err != nil {
			return nil, err
		}
		holds, err := truth(at, v)
		if err != nil {
			return nil, err
		}
		if holds {
			chosen = append(chosen, element)
		}
	}
	return chosen, nil
}

func (r *evaluation) member(of any, m *member) (any, error) {
	if m.Call != nil {
		return r.call(of, m)
	}
	switch of := of.(type) {
	case nil:
		return nil, nil
	case map[string]any:
		return of[m.Name], nil
	}
	return nil, errorAt(m.Pos, "%s has no member %s", kind(of), m.Name)
}

func (r *evaluation) call(of any, m *member) (any, error) {
	var argument any
	if len(m.Call.Arguments) > 0 {
		var err error
		if argument, err = r.or(m.Call.Arguments[0]); err != nil {
			return nil, err
		}
	}
	if of == nil && m.Name == "contains" {
		return false, nil
	}
	if of == nil {
		return nil, nil
	}
	switch m.Name {
	case "size":
		return r.size(m, of)
	case "isEmpty":
		n, err := r.size(m, of)
		return n == json.Number("0"), err
	case "contains":
		return r.contains(m, of, argument)
	}
	return r.ofText(m, of, argument)
}

// methods has the names of all methods, and how many arguments they take.
var methods = map[string]int{
	"size": 0, "isEmpty": 0, "contains": 1,
	"length": 0, "toUpperCase": 0, "toLowerCase": 0, "substringBefore": 1, "substringAfter": 1,
}

func (r *evaluation) size(m *member, of any) (any, error) {
	switch of := of.(type) {
	case []any:
		return number(len(of)), nil
	case map[string]any:
		return number(len(of)), nil
	case string:
		return number(length(of)), r.spend(m.Pos, len(of))
	}
	return nil, errorAt(m.Pos, "%s has no %s()", kind(of), m.Name)
}

func number(n int) json.Number { return json.Number(strconv.Itoa(n)) }

// length is the length of a text in Java.
func length(s string) (n int) {
	for _, c := range s {
		n += utf16.RuneLen(c)
	}
	return n
}

func (r *evaluation) contains(m *member, of, argument any) (any, error) {
	switch of := of.(type) {
	case []any:
		for _, element := range of {
			if err := r.spend(m.Pos, 0); err != nil {
				return nil, err
			}
			if k := kind(element); k != kind(argument) || k == "a list" || k == "an object" {
				continue
			}
			if equal, err := r.equal(m.Pos, element, argument); equal || err != nil {
				return equal, err
			}
		}
		return false, nil
	case string:
		text, ok := argument.(string)
		if !ok && argument != nil {
			return nil, errorAt(m.Pos, "contains() takes a text, not %s", kind(argument))
		}
		return ok && strings.Contains(of, text), r.spend(m.Pos, len(of))
	}
	return nil, errorAt(m.Pos, "%s has no contains()", kind(of))
}

// ofText calls a method that texts have, and whose argument, if it has one, is
// another.
func (r *evaluation) ofText(m *member, of, argument any) (any, error) {
	s, ok := of.(string)
	if !ok {
		return nil, errorAt(m.Pos, "%s has no %s()", kind(of), m.Name)
	}
	separator, ok := argument.(string)
	if !ok && argument != nil {
		return nil, errorAt(m.Pos, "%s() takes a text, not %s", m.Name, kind(argument))
	}
	if err := r.spend(m.Pos, len(s)); err != nil {
		return nil, err
	}
	switch m.Name {
	case "length":
		return number(length(s)), nil
	case "toUpperCase":
		return strings.ToUpper(s), nil
	case "toLowerCase":
		return strings.ToLower(s), nil
	}
	if !ok {
		return nil, nil // between nothing
	}
	before, after, _ := strings.Cut(s, separator)
	if m.Name == "substringBefore" {
		return before, nil
	}
	return after, nil
}
