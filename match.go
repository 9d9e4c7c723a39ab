package hooks

import (
	"fmt"
	"iter"
	"strings"
)

// maxTypeSize bounds event types and patterns, in bytes.
const maxTypeSize = 256

const typeRule = `segments of the characters a-z, A-Z, 0-9, "_", "-", ":" and ">", separated by single dots`

// checkType returns an InvalidError unless s is an event type; see Event.Type.
func checkType(field, s string) error {
	if err := checkTypeSize(field, s); err != nil {
		return err
	}
	if !isType(s) {
		return &InvalidError{Field: field, Reason: "must be " + typeRule}
	}
	return nil
}

// checkPattern returns an InvalidError unless s is a pattern; see Hook.Events.
func checkPattern(field, s string) error {
	if err := checkTypeSize(field, s); err != nil {
		return err
	}
	kind, name := splitPattern(s)
	if kind == matchAll || kind == matchExact && isType(name) ||
		kind == matchPrefix && isType(strings.TrimSuffix(name, ".")) {
		return nil
	}
	return &InvalidError{Field: field, Reason: `must be "*", an event type, or the beginning of one followed by ".*"; event types are ` + typeRule}
}

func checkTypeSize(field, s string) error {
	switch {
	case s == "":
		return &InvalidError{Field: field, Reason: "must not be empty"}
	case len(s) > maxTypeSize:
		return &InvalidError{Field: field, Reason: fmt.Sprintf("must be at most %d bytes", maxTypeSize)}
	}
	return nil
}

func isType(s string) bool {
	for segment := range strings.SplitSeq(s, ".") {
		if segment == "" || strings.ContainsFunc(segment, notInType) {
			return false
		}
	}
	return true
}

func notInType(r rune) bool {
	letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	digit := '0' <= r && r <= '9'
	return !letter && !digit && !strings.ContainsRune("_-:>", r)
}

// A patternKind is how a pattern matches.
type patternKind int

const (
	matchExact patternKind = iota
	matchPrefix
	matchAll
)

// splitPattern returns what a pattern matches: a type by its name, all types
// that start with name ("order." for "order.*"), or all types.
func splitPattern(pattern string) (kind patternKind, name string) {
	switch {
	case pattern == "*":
		return matchAll, ""
	case strings.HasSuffix(pattern, ".*"):
		return matchPrefix, strings.TrimSuffix(pattern, "*")
	default:
		return matchExact, pattern
	}
}

// prefixes returns the name, as of splitPattern, of every prefix pattern that
// matches the type, the longest first. An index that keeps exact names,
// prefixes and "*" apart finds with them, without allocating, all patterns
// that match.
func prefixes(eventType string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := len(eventType) - 1; i >= 0; i-- {
			if eventType[i] == '.' && !yield(eventType[:i+1]) {
				return
			}
		}
	}
}
