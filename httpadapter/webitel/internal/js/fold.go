package js

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Package regexp2 looks at every character of a class when it compiles a pattern
// that ignores case: at a million for a full stop, which takes a tenth of a
// second. So narrowed leaves to it only the classes in which case matters, and
// MaxFolds bounds those.

// MaxFolds bounds the characters in the classes of patterns that ignore case: of
// one pattern, and of all in a filter.
const MaxFolds = 1 << 17

var errFolds = errors.New("the ranges of a pattern that ignores case must be narrower")

// narrowed returns a pattern that means the same when it ignores case, and how
// many characters its classes have. What is full stop, \W, \D, \S, or a class of
// \w, \d and \s in either case holds all forms of a letter or none, so they do not
// depend on case.
func narrowed(source string) (pattern string, folds int, err error) {
	var b strings.Builder
	for rest := source; rest != ""; {
		switch {
		case rest[0] == '[':
			class, size := readClass(rest)
			class.appendTo(&b)
			folds += class.folds
			rest = rest[size:]
		case rest[0] == '.':
			b.WriteString("(?-i:.)")
			rest = rest[1:]
		case len(rest) > 1 && rest[0] == '\\':
			size := escapeSize(rest)
			if strings.ContainsAny(rest[1:2], "WDS") {
				b.WriteString("(?-i:" + rest[:2] + ")")
			} else {
				b.WriteString(rest[:size])
			}
			rest = rest[size:]
		default:
			b.WriteByte(rest[0])
			rest = rest[1:]
		}
	}
	if folds > MaxFolds {
		return "", 0, errFolds
	}
	return b.String(), folds, nil
}

// escapeSize is how long the character with its backslash is at the beginning of
// the text.
func escapeSize(text string) int {
	_, size := utf8.DecodeRuneInString(text[1:])
	return 1 + size
}

// A class is what is in brackets.
type class struct {
	text    string // with the brackets
	negated bool
	// shorthands are its \w, \d, \s and their opposites, others the rest.
	shorthands, others strings.Builder
	folds              int
	open               bool // There is no closing bracket.
}

// appendTo writes the class apart in what depends on case and what does not.
func (c *class) appendTo(b *strings.Builder) {
	not := ""
	if c.negated {
		not = "^"
	}
	switch {
	case c.open, c.shorthands.Len() == 0:
		b.WriteString(c.text)
	case c.others.Len() == 0:
		b.WriteString("(?-i:[" + not + c.shorthands.String() + "])")
	case c.negated:
		b.WriteString("(?:(?!(?-i:[" + c.shorthands.String() + "]))[^" + c.others.String() + "])")
	default:
		b.WriteString("(?:(?-i:[" + c.shorthands.String() + "])|[" + c.others.String() + "])")
	}
}

// readClass reads the class at the beginning of the text, and returns its length.
func readClass(text string) (*class, int) {
	c := &class{open: true}
	at := 1
	if strings.HasPrefix(text[at:], "^") {
		c.negated = true
		at++
	}
	apart := false // A shorthand was between the last two of the others.
	add := func(e element) {
		switch {
		case e.shorthand:
			c.shorthands.WriteString(e.text)
			apart = true
			return
		case apart && e.isASCII(): // "\0" and "0" do not become "\00".
			fmt.Fprintf(&c.others, `\x%02x`, e.text)
		default:
			c.others.WriteString(e.escaped())
		}
		apart = false
		c.folds++
	}
	for at < len(text) {
		if text[at] == ']' {
			c.open = false
			at++
			break
		}
		first := readElement(text[at:])
		at += len(first.text)
		add(first)
		if len(text) < at+2 || text[at] != '-' || text[at+1] == ']' {
			continue
		}
		last := readElement(text[at+1:])
		at += 1 + len(last.text)
		if first.shorthand || last.shorthand { // It is no range then, and the hyphen stands for itself.
			add(element{text: "-"})
			add(last)
			continue
		}
		c.others.WriteString("-" + last.escaped())
		c.folds += max(0, int(last.highest-first.lowest))
	}
	c.text = text[:at]
	return c, at
}

// An element of a class is a character, as it is written, or a shorthand.
type element struct {
	text      string
	shorthand bool
	// lowest and highest are the character, as far as it is known.
	lowest, highest rune
}

// isASCII reports whether the element is a character of ASCII without a backslash.
func (e element) isASCII() bool { return len(e.text) == 1 && e.text[0] < utf8.RuneSelf }

// escaped is the element so that it stands for itself anywhere in a class.
func (e element) escaped() string {
	if e.text == "-" || e.text == "^" {
		return `\` + e.text
	}
	return e.text
}

func readElement(text string) element {
	c, size := utf8.DecodeRuneInString(text)
	if c != '\\' || len(text) == 1 {
		return element{text: text[:size], lowest: c, highest: c}
	}
	for _, form := range []struct {
		letter byte
		digits int
	}{{'x', 2}, {'u', 4}} {
		if text[1] != form.letter || len(text) < 2+form.digits {
			continue
		}
		if n, err := strconv.ParseUint(text[2:2+form.digits], 16, 16); err == nil {
			c := rune(uint16(n))
			return element{text: text[:2+form.digits], lowest: c, highest: c}
		}
	}
	size = escapeSize(text)
	switch e := (element{text: text[:size]}); {
	case strings.ContainsAny(text[1:2], "wWdDsS"):
		e.shorthand = true
		return e
	case text[1] == 'c' || '0' <= text[1] && text[1] <= '9':
		e.highest = unicode.MaxLatin1 // A control character or an octal number, of which this may be only the beginning.
		return e
	default:
		e.highest = unicode.MaxASCII
		if c, _ := utf8.DecodeRuneInString(text[1:]); c > 0x7f {
			e.lowest, e.highest = c, c
		}
		return e
	}
}
