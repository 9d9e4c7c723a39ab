package webitel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/webitel/internal/js"
	"github.com/seed-2c6e3a5a/hooks/internal/escape"
)

// A conditionView is an entry of a filter: what a member of the event is compared
// with, and how.
type conditionView struct {
	Operation string          `json:"operation"`
	Value     json.RawMessage `json:"value,omitempty"`
}

// A condition is an entry of a filter, read.
type condition struct {
	name      string
	operation string
	value     any
	pattern   *js.Pattern // of the operation reg
}

// A filter lets an event through if all conditions hold.
type filter []condition

// The operations beside those that [js.Compare] decides.
const (
	equal   = "=="
	unequal = "!="
	search  = "reg"
)

// compares says for which results of [js.Compare] an operation holds.
var compares = map[string]func(order int) bool{
	"<":  func(order int) bool { return order < 0 },
	"<=": func(order int) bool { return order <= 0 },
	">":  func(order int) bool { return order > 0 },
	">=": func(order int) bool { return order >= 0 },
}

// maxReason bounds what an error repeats of a pattern, in bytes.
const maxReason = 2048

func parseFilter(views map[string]conditionView) (filter, error) {
	var f filter
	folds := 0
	for _, name := range slices.Sorted(maps.Keys(views)) {
		c := condition{name: name, operation: views[name].Operation}
		field := fmt.Sprintf("settings.filter[%q]", name)
		if compares[c.operation] == nil && c.operation != equal && c.operation != unequal && c.operation != search {
			return nil, &hooks.InvalidError{Field: field + ".operation", Reason: `must be one of "==", "!=", "<", "<=", ">", ">=" and "reg"`}
		}
		var err error
		if c.value, c.pattern, err = operand(c.operation, views[name].Value); err != nil {
			return nil, &hooks.InvalidError{Field: field + ".value", Reason: escape.Unprintable(err.Error(), maxReason)}
		}
		if c.pattern != nil {
			if folds += c.pattern.Folds(); folds > js.MaxFolds {
				return nil, &hooks.InvalidError{Field: field + ".value", Reason: "must have narrower ranges, because it ignores case like the patterns before"}
			}
		}
		f = append(f, c)
	}
	return f, nil
}

// operand reads the value of a condition. One that does not count as true is null.
func operand(operation string, raw json.RawMessage) (any, *js.Pattern, error) {
	if len(raw) == 0 {
		raw = json.RawMessage("null")
	}
	value, err := js.Decode(raw)
	if err != nil {
		return nil, nil, err
	}
	switch value.(type) {
	case []any, map[string]any:
		return nil, nil, errors.New("must be a string, a number, true, false or null")
	}
	if !js.Truthy(value) {
		value = nil
	}
	if operation != search {
		return value, nil, nil
	}
	text, ok := value.(string)
	if !ok {
		return nil, nil, errors.New(`must be a string that is not empty for "reg"`)
	}
	pattern, err := js.NewPattern(text)
	if err != nil {
		return nil, nil, fmt.Errorf("must be a regular expression of JavaScript: %w", err)
	}
	return value, pattern, nil
}

// accepts reports whether all conditions hold. When ctx ends, it returns its error.
func (f filter) accepts(ctx context.Context, r *record) (bool, error) {
	for _, c := range f {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		holds, err := c.holds(ctx, r.value(c.name))
		if err != nil {
			return false, fmt.Errorf("filter[%q]: %w", c.name, err)
		}
		if !holds {
			return false, nil
		}
	}
	return true, nil
}

func (c condition) holds(ctx context.Context, value any) (bool, error) {
	switch c.operation {
	case equal:
		return c.equals(value), nil
	case unequal:
		return !c.equals(value), nil
	case search:
		if value == js.Undefined {
			return false, nil
		}
		return c.pattern.In(ctx, js.Text(value))
	}
	order, ok := js.Compare(value, c.value)
	return ok && compares[c.operation](order), nil
}

// equals compares with "null" as with what is not there.
func (c condition) equals(value any) bool {
	if c.value == "null" {
		return js.Equal(value, js.Undefined)
	}
	return js.Equal(value, c.value)
}
