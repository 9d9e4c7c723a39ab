package js

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/dlclark/regexp2/v2"
)

// MatchTimeout is how long one search for a pattern may take if its context has
// no deadline.
const MatchTimeout = 250 * time.Millisecond

// clockPeriod is how exactly package regexp2 keeps to a time limit. By itself it
// does so to a tenth of a second or two.
const clockPeriod = 5 * time.Millisecond

func init() { regexp2.SetTimeoutCheckPeriod(clockPeriod) }

// MaxPattern bounds a pattern, in bytes.
const MaxPattern = 1024

// A Pattern is a regular expression. It may be used concurrently.
type Pattern struct {
	expression *regexp2.Regexp
	sticky     bool
	folds      int
}

// Folds is how many characters its classes have, if it ignores case; see
// [MaxFolds].
func (p *Pattern) Folds() int { return p.folds }

// literal is a pattern with flags, on one line.
var literal = regexp.MustCompile(`^/([^\n\r\x{2028}\x{2029}]*)/([gimy]*)$`)

// modifiers finds groups that may ignore case by themselves.
var modifiers = regexp.MustCompile(`\(\?[a-z]*i`)

// NewPattern returns the pattern of a text: what is between the slashes of
// "/pattern/flags" if it has that form, with flags of g, i, m and y, or else all
// of it.
func NewPattern(text string) (*Pattern, error) {
	if len(text) > MaxPattern {
		return nil, fmt.Errorf("the pattern is longer than %d bytes", MaxPattern)
	}
	source, flags := text, ""
	if parts := literal.FindStringSubmatch(text); parts != nil {
		source, flags = parts[1], parts[2]
	}
	options := regexp2.ECMAScript
	for i, flag := range flags {
		if strings.ContainsRune(flags[:i], flag) {
			return nil, fmt.Errorf("the flag %c is there twice", flag)
		}
		switch flag {
		case 'i':
			options |= regexp2.IgnoreCase
		case 'm':
			options |= regexp2.Multiline
		}
	}
	folds := 0
	if options&regexp2.IgnoreCase != 0 || modifiers.MatchString(source) {
		var err error
		if source, folds, err = narrowed(source); err != nil {
			return nil, err
		}
	}
	expression, err := regexp2.Compile(source, options)
	if err != nil {
		return nil, err
	}
	return &Pattern{expression: expression, sticky: strings.ContainsRune(flags, 'y'), folds: folds}, nil
}

// In reports whether the pattern occurs in a text, at its beginning if it has the
// flag y. An error means that this could not be found out: not until the deadline
// of ctx, for example. A search under way is not ended otherwise.
func (p *Pattern) In(ctx context.Context, text string) (found bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	search := *p.expression // It shares all but the time limit.
	search.MatchTimeout = MatchTimeout
	deadline, hasDeadline := ctx.Deadline()
	if hasDeadline {
		search.MatchTimeout = max(0, time.Until(deadline))
	}
	if p.sticky {
		var m *regexp2.Match
		m, err = search.FindStringMatch(text)
		found = m != nil && m.RuneIndex == 0
	} else {
		found, err = search.MatchString(text)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return false, ctx.Err()
	case errors.Is(err, regexp2.ErrBacktrackingStackLimit):
		return false, errors.New("the pattern has too many ways to match")
	case err != nil && hasDeadline:
		<-ctx.Done() // in a moment, by which the engine's clock was ahead
		return false, ctx.Err()
	case err != nil: // Its text is the whole input's.
		return false, fmt.Errorf("the pattern took more than %v", search.MatchTimeout)
	}
	return found, nil
}
