// Package jsoncheck checks that data is JSON in UTF-8 (RFC 8259). It accepts what
// [encoding/json.Valid] and [unicode/utf8.Valid] accept together, and needs a fraction of
// their time, because it passes over the characters of a string eight at a time.
package jsoncheck

import (
	"encoding/binary"
	"unicode/utf8"
)

// maxDepth is how many objects and arrays may be nested, as in encoding/json.
const maxDepth = 10_000

// Valid reports whether the data is one JSON value in UTF-8.
func Valid(data []byte) bool {
	if !utf8.Valid(data) {
		return false
	}
	rest, ok := value(data, 0)
	return ok && len(skipSpace(rest)) == 0
}

// value removes a value, and white space before it, from the beginning of the data. depth is
// how many objects and arrays the value is in.
func value(data []byte, depth int) (rest []byte, ok bool) {
	data = skipSpace(data)
	if len(data) == 0 {
		return nil, false
	}
	switch data[0] {
	case '{':
		return elements(data[1:], '}', true, depth+1)
	case '[':
		return elements(data[1:], ']', false, depth+1)
	case '"':
		return text(data)
	case 't':
		return literal(data, "true")
	case 'f':
		return literal(data, "false")
	case 'n':
		return literal(data, "null")
	}
	return number(data)
}

// elements removes what follows the first character of an object or of an array, up to
// the last.
func elements(data []byte, last byte, named bool, depth int) (rest []byte, ok bool) {
	if depth > maxDepth {
		return nil, false
	}
	data = skipSpace(data)
	if len(data) > 0 && data[0] == last {
		return data[1:], true
	}
	for {
		if named {
			if data, ok = text(skipSpace(data)); !ok {
				return nil, false
			}
			data = skipSpace(data)
			if len(data) == 0 || data[0] != ':' {
				return nil, false
			}
			data = data[1:]
		}
		if data, ok = value(data, depth); !ok {
			return nil, false
		}
		data = skipSpace(data)
		if len(data) == 0 {
			return nil, false
		}
		separator := data[0]
		data = data[1:]
		if separator == last {
			return data, true
		}
		if separator != ',' {
			return nil, false
		}
	}
}

// text removes a string in quotation marks.
func text(data []byte) (rest []byte, ok bool) {
	if len(data) == 0 || data[0] != '"' {
		return nil, false
	}
	data = data[1:]
	for {
		data = skipPlain(data)
		if len(data) == 0 || data[0] < ' ' {
			return nil, false
		}
		if data[0] == '"' {
			return data[1:], true
		}
		if data, ok = escape(data[1:]); !ok {
			return nil, false
		}
	}
}

// skipPlain removes the characters of a string that may stand for themselves: all but
// quotation marks, backslashes and control characters.
func skipPlain(data []byte) []byte {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	for len(data) >= 8 {
		x := binary.LittleEndian.Uint64(data)
		// In each of these, the high bit of a byte is set where x has such a character. It
		// may also be set in the byte that follows one, and where x is above 0x7f.
		control, quote, backslash := x-' '*ones, (x^'"'*ones)-ones, (x^'\\'*ones)-ones
		if (control|quote|backslash)&^x&high != 0 {
			break
		}
		data = data[8:]
	}
	for len(data) > 0 && data[0] >= ' ' && data[0] != '"' && data[0] != '\\' {
		data = data[1:]
	}
	return data
}

// escape removes what follows a backslash.
func escape(data []byte) (rest []byte, ok bool) {
	if len(data) == 0 {
		return nil, false
	}
	switch data[0] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return data[1:], true
	case 'u':
		const digits = 4
		if len(data) <= digits {
			return nil, false
		}
		for _, c := range data[1 : 1+digits] {
			if !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'f') {
				return nil, false
			}
		}
		return data[1+digits:], true
	}
	return nil, false
}

func literal(data []byte, word string) (rest []byte, ok bool) {
	if len(data) < len(word) || string(data[:len(word)]) != word {
		return nil, false
	}
	return data[len(word):], true
}

// number removes a number, see RFC 8259, section 6.
func number(data []byte) (rest []byte, ok bool) {
	if len(data) > 0 && data[0] == '-' {
		data = data[1:]
	}
	if len(data) > 0 && data[0] == '0' {
		data = data[1:]
	} else if data, ok = digits(data); !ok {
		return nil, false
	}
	if len(data) > 0 && data[0] == '.' {
		if data, ok = digits(data[1:]); !ok {
			return nil, false
		}
	}
	if len(data) > 0 && (data[0] == 'e' || data[0] == 'E') {
		data = data[1:]
		if len(data) > 0 && (data[0] == '+' || data[0] == '-') {
			data = data[1:]
		}
		return digits(data)
	}
	return data, true
}

// digits removes digits, of which there must be one at least.
func digits(data []byte) (rest []byte, ok bool) {
	n := 0
	for n < len(data) && isDigit(data[n]) {
		n++
	}
	return data[n:], n > 0
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func skipSpace(data []byte) []byte {
	for len(data) > 0 && (data[0] == ' ' || data[0] == '\n' || data[0] == '\t' || data[0] == '\r') {
		data = data[1:]
	}
	return data
}
