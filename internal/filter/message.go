package filter

import (
	"errors"
	"fmt"
	"strings"

	"github.com/expr-lang/expr/file"
)

// words replaces Go's words in the messages of expr by those of filters.
var words = strings.NewReplacer(
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

// explain returns the message of an error of expr or of the validator, with the
// position but without the excerpt that comes with it.
func explain(err error) string {
	text, position := err.Error(), ""
	var at *file.Error
	if errors.As(err, &at) {
		text, position = at.Message, fmt.Sprintf(" (line %d, column %d)", at.Line, at.Column+1)
	}
	text = words.Replace(text)
	if len(text) > maxMessageSize {
		text = strings.ToValidUTF8(text[:maxMessageSize], "") + "..."
	}
	return text + position
}
