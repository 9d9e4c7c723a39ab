// Package js does what Webitel's hooks leave to JavaScript: it says of the values
// of JSON which are true, what they are as text, and how two of them compare, and
// it finds regular expressions in text. The rules are those of ECMA-262.
//
// Values are those that [Decode] returns, and [Undefined].
package js

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
)

type undefined struct{}

// Undefined is the value of what is not there.
var Undefined any = undefined{}

// Decode returns the value of JSON: nil, bool, [json.Number], string, []any or
// map[string]any.
func Decode(data []byte) (value any, err error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&value); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one value")
	}
	return value, nil
}

// Truthy reports whether a value counts as true (ToBoolean, section 7.1.2).
func Truthy(value any) bool {
	switch v := value.(type) {
	case nil, undefined:
		return false
	case bool:
		return v
	case string:
		return v != ""
	case json.Number:
		return number(v) != 0 // JSON has no NaN.
	}
	return true
}

// Text returns a value as text (ToString, section 7.1.17). A number that is
// written as an integer stays as it is: JavaScript would round a large one.
func Text(value any) string {
	if s, ok := value.(string); ok {
		return s
	}
	var b strings.Builder
	writeText(&b, value)
	return b.String()
}

func writeText(b *strings.Builder, value any) {
	switch v := value.(type) {
	case nil:
		b.WriteString("null")
	case undefined:
		b.WriteString("undefined")
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case string:
		b.WriteString(v)
	case json.Number:
		b.WriteString(numberText(v))
	case []any:
		for i, element := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			if element != nil {
				writeText(b, element)
			}
		}
	default:
		b.WriteString("[object Object]")
	}
}

func numberText(n json.Number) string {
	if !strings.ContainsAny(string(n), ".eE") && n != "-0" {
		return string(n)
	}
	switch f := number(n); {
	case f == 0:
		return "0"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	default:
		text, _ := json.Marshal(f) // It writes them by the rule of section 6.1.6.1.20.
		return string(text)
	}
}

// number is the value of a number, infinite if it is too large.
func number(n json.Number) float64 {
	f, _ := strconv.ParseFloat(string(n), 64)
	return f
}

// Equal reports whether a == b (IsLooselyEqual, section 7.2.13). b is no list and
// no object.
func Equal(a, b any) bool {
	if nothing(a) || nothing(b) {
		return nothing(a) && nothing(b)
	}
	a = primitive(a)
	textA, isTextA := a.(string)
	textB, isTextB := b.(string)
	if isTextA && isTextB {
		return textA == textB
	}
	return toNumber(a) == toNumber(b)
}

func nothing(value any) bool { return value == nil || value == Undefined }

// primitive is a list or an object as the text that operators see of it
// (ToPrimitive, section 7.1.1).
func primitive(value any) any {
	switch value.(type) {
	case []any, map[string]any:
		return Text(value)
	}
	return value
}

// Compare returns -1, 0 or 1 as a is less than b, equal to it or greater, and
// false if none of that is so (IsLessThan, section 7.2.12). Two texts compare by
// their UTF-16, all else as numbers.
func Compare(a, b any) (order int, ok bool) {
	a, b = primitive(a), primitive(b)
	textA, isTextA := a.(string)
	textB, isTextB := b.(string)
	if isTextA && isTextB {
		return compareTexts(textA, textB), true
	}
	x, y := toNumber(a), toNumber(b)
	switch {
	case x < y:
		return -1, true
	case x > y:
		return 1, true
	}
	return 0, x == y
}

// compareTexts compares by code units of UTF-16, in which characters beyond U+FFFF
// are below those from U+E000.
func compareTexts(a, b string) int {
	return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
}

// toNumber is the number that a value stands for, or NaN (ToNumber, section
// 7.1.4).
func toNumber(value any) float64 {
	switch v := value.(type) {
	case nil:
		return 0
	case bool:
		if v {
			return 1
		}
		return 0
	case json.Number:
		return number(v)
	case string:
		return textToNumber(v)
	}
	return math.NaN()
}

// textToNumber is StringToNumber, section 7.1.4.1.1.
func textToNumber(s string) float64 {
	s = strings.TrimFunc(s, isSpace)
	if len(s) > 2 && s[0] == '0' {
		bases := map[byte]int{'x': 16, 'X': 16, 'o': 8, 'O': 8, 'b': 2, 'B': 2}
		if base, ok := bases[s[1]]; ok {
			return integer(s[2:], base)
		}
	}
	switch strings.TrimLeft(s, "+-") {
	case "":
		if s == "" {
			return 0
		}
	case "Infinity":
		if len(s) <= len("+Infinity") {
			return math.Inf(1 - 2*strings.Count(s, "-"))
		}
	}
	if strings.Trim(s, "0123456789.eE+-") != "" {
		return math.NaN() // Go reads more forms than JavaScript.
	}
	f, err := strconv.ParseFloat(s, 64)
	if errors.Is(err, strconv.ErrSyntax) {
		return math.NaN()
	}
	return f
}

// isSpace reports whether a character is WhiteSpace or LineTerminator, sections
// 12.2 and 12.3.
func isSpace(r rune) bool {
	return '\t' <= r && r <= '\r' || r == '\ufeff' || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Zs, r)
}

// integer reads digits, of which there is at least one.
func integer(digits string, base int) float64 {
	n, ok := new(big.Int).SetString(digits, base)
	if !ok || strings.ContainsAny(digits, "+-_") {
		return math.NaN()
	}
	f, _ := new(big.Float).SetInt(n).Float64()
	return f
}
