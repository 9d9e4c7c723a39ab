package filter_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/okta/filter"
)

// sample is an event as a System Log has them.
var sample = hooks.Event{
	ID: "e-1", Type: "group.user_membership.add", Time: time.Date(2026, 2, 3, 4, 5, 6, 7e6, time.UTC),
	Data: json.RawMessage(`{
		"severity": "INFO",
		"actor": {"id": "00u1", "type": "User", "alternateId": "a@b.c", "displayName": "Ada 😀", "detailEntry": null},
		"outcome": {"result": "FAILURE", "reason": "INVALID_SECURITY_QUESTION"},
		"target": [
			{"id": "00u2", "type": "User", "alternateId": "u@b.c", "displayName": "It's \"me\""},
			{"id": "00g1", "type": "UserGroup", "displayName": "Sales"},
			{"id": "00g2", "type": "UserGroup", "displayName": "Marketing", "tags": [{"name": "x"}]},
			"odd"
		],
		"debugContext": {"debugData": {"changedAttributes": "firstName,email", "or": "x"}},
		"numbers": {"big": 9007199254740993, "half": 0.5, "zero": 0, "huge": 1e400, "minus": -3},
		"list": ["a", 1, true, null, {"a": 1}],
		"yes": true,
		"no": false,
		"nothing": null
	}`),
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		expression string
		want       bool
	}{
		// The forms of the help page.
		{`event.target.?[type eq 'UserGroup' && displayName eq 'Sales'].size()>0`, true},
		{`event.target.?[type eq 'UserGroup' && displayName eq 'Legal'].size()>0`, false},
		{`event.target.?[type eq 'UserGroup'].size()>0 && event.target.?[displayName eq 'Sales'].size()>0`, true},
		{`event.target.?[type eq 'AppInstance' && alternateId eq 'app'].size() > 0 || event.target.?[type eq 'UserGroup' && id eq '00g2'].size() > 0`, true},
		{`event.outcome.result eq 'FAILURE' && event.actor.alternateId eq 'a@b.c'`, true},
		{`event.outcome.result eq 'SUCCESS'`, false},
		{`event.outcome.result ne 'SUCCESS'`, true},
		{`event.debugData.changedAttributes.contains('email')`, true},
		{`event.debugData.changedAttributes.contains('Email')`, false},
		{`event.debugContext.debugData.changedAttributes.contains('lastName')`, false},
		{`event.outcome.reason.contains('SECURITY_QUESTION')`, true},
		{`event.actor.id != null`, true},
		{`event.actor.type eq 'User' OR event.actor.type eq 'SystemPrincipal'`, true},
		{`event.actor.displayName eq 'Ada 😀'`, true},
		{`event.eventType eq 'group.user_membership.add'`, true},
		{`event.uuid eq 'e-1' && event.published eq '2026-02-03T04:05:06.007Z' && event.version eq '0'`, true},

		// White space and letter case.
		{"\n event . outcome . result\teq'FAILURE'\r\n", true},
		{`event.outcome.result EQ 'FAILURE' AND NOT (event.outcome.result Ne 'FAILURE')`, true},
		{`event.yes eq TRUE && event.nothing == Null`, true},

		// Texts.
		{`event.target.?[displayName eq 'It''s "me"'].size() eq 1`, true},
		{`event.target.?[displayName eq "It's ""me"""].size() eq 1`, true},
		{`event.severity == ""`, false},
		{`event.severity eq 'info'`, false},
		{`event.severity.toLowerCase() eq 'info'`, true},
		{`event.actor.type.toUpperCase() eq 'USER'`, true},
		{`event.actor.alternateId.substringBefore('@') eq 'a'`, true},
		{`event.actor.alternateId.substringAfter('@') eq 'b.c'`, true},
		{`event.actor.alternateId.substringBefore('x') eq 'a@b.c' && event.actor.alternateId.substringAfter('x').isEmpty()`, true},
		{`event.actor.displayName.length() eq 6`, true},
		{`event.severity < 'INFP' && event.severity >= 'INFO' && event.severity gt 'INF'`, true},

		// Numbers.
		{`event.numbers.big eq 9007199254740993`, true},
		{`event.numbers.big eq 9007199254740992`, false},
		{`event.numbers.half eq 5e-1 and event.numbers.half < 1 and event.numbers.half gt 0.25`, true},
		{`event.numbers.zero eq 0.0`, true},
		{`event.numbers.huge > 1e300`, true},
		{`event.numbers.minus eq -3 && event.numbers.minus < - 2 && event.numbers.minus le -3`, true},
		{`event.numbers.zero ge 1`, false},

		// Truth values and how strongly operators bind.
		{`event.yes`, true},
		{`event.no`, false},
		{`!event.no`, true},
		{`!!event.no`, false},
		{`not event.yes || true`, true},
		{`event.no && event.no || event.yes`, true},
		{`event.no && (event.no || event.yes)`, false},
		{`!event.no eq event.yes`, true},
		{`(event.yes) eq (event.severity eq 'INFO')`, true},
		{`event.no || event.no || event.no`, false},

		// What is missing, and null.
		{`event.missing`, false},
		{`event.missing.deeper.still eq null`, true},
		{`event?.missing?.deeper == null`, true},
		{`event.nothing eq null && event.actor.detailEntry eq null`, true},
		{`event.severity eq null`, false},
		{`null eq event.severity`, false},
		{`event.missing ne 'x'`, true},
		{`event.missing eq 'x' || event.missing > 0 || event.missing <= 0`, false},
		{`event.missing && true`, false},
		{`!event.missing`, true},
		{`event.missing.contains('x')`, false},
		{`event.severity.contains(event.missing)`, false},
		{`event.severity.substringAfter(null) eq null`, true},
		{`event.missing.size() eq null && event.missing.toLowerCase() eq null`, true},
		{`event.missing.?[type eq 'User'].size() eq 0`, true},
		{`event.list ne null && event.actor ne null`, true},
		{`event.target.?[alternateId eq null].size() eq 3`, true},

		// Lists and objects.
		{`event.target.size() eq 4 && event.actor.size() eq 5 && event.severity.size() eq 4`, true},
		{`event.target.?[type eq 'Nothing'].isEmpty()`, true},
		{`event.target.isEmpty() || event.actor.isEmpty()`, false},
		{`event.list.contains('a') && event.list.contains(1) && event.list.contains(true) && event.list.contains(null)`, true},
		{`event.list.contains('b') || event.list.contains(event.actor)`, false},
		{`event.target.?[tags.?[name eq 'x'].size() eq 1].size() eq 1`, true},
		{`event.target.?[tags.?[displayName eq 'Marketing'].size() eq 1].size() eq 0`, true},
		{`event.target.?[displayName.contains('e') && !(id eq '00u2')].?[true].size() eq 2`, true},
		{`event.debugData.or eq 'x'`, true},

		// Values of different types.
		{`event.severity eq 1 || event.yes eq 'true' || event.numbers.zero eq false`, false},
		{`event.severity ne 1`, true},
	} {
		got, err := filter.Check(t.Context(), c.expression, sample)
		require.NoError(t, err, c.expression)
		assert.Equal(t, c.want, got, c.expression)
	}
}

func TestDataThatIsNoObject(t *testing.T) {
	for data, expression := range map[string]string{
		``:    `event.data eq null`,
		`[1]`: `event.data.size() eq 1`,
		`{"debugData":"own","debugContext":{"debugData":"other"},"eventType":"x"}`: `event.debugData eq 'own' && event.eventType eq 'a'`,
		`{"debugContext":1}`: `event.debugData eq null`,
	} {
		got, err := filter.Check(t.Context(), expression, hooks.Event{Type: "a", Data: []byte(data)})
		require.NoError(t, err, data)
		assert.True(t, got, data)
	}
	_, err := filter.Check(t.Context(), "true", hooks.Event{Data: []byte("{")})
	assert.ErrorContains(t, err, "not JSON")
}

func TestParseErrors(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("(", n) + "true" + strings.Repeat(")", n) }
	for expression, want := range map[string]string{
		``:         "line 1, column 1: the expression is not complete",
		"  \n ":    "line 2, column 2: the expression is not complete",
		`event.`:   "line 1, column 7: the expression is not complete",
		`(event`:   "line 1, column 7: the expression is not complete",
		`event)`:   `line 1, column 6: unexpected ")"`,
		`event é'`: `line 1, column 7: unexpected "é"`,
		"event.actor.displayName eq 'Ada 😀' &&\n event.x eq ]": `line 2, column 13: unexpected "]"`,
		`event.x eq 'abc`:              "line 1, column 12: the text that begins here has no end",
		`event.x eq "abc'`:             "line 1, column 12: the text that begins here has no end",
		`event.x = 'a'`:                `line 1, column 9: unexpected "="`,
		`event.x eq 1 eq 1`:            `line 1, column 14: unexpected "eq"`,
		`event.x++`:                    `line 1, column 8: unexpected "+"`,
		`event.x matches 'a'`:          `line 1, column 9: unexpected "matches"`,
		`event.x between 1`:            `line 1, column 9: unexpected "between"`,
		`event.x instanceof T(String)`: `line 1, column 9: unexpected "instanceof"`,
		`T(java.lang.Runtime).getRuntime().exec('id')`: `line 1, column 2: unexpected "("`,
		`new Object()`:                    `line 1, column 5: unexpected "Object"`,
		`@bean.x`:                         `line 1, column 1: unexpected "@"`,
		`#root`:                           `line 1, column 1: unexpected "#"`,
		`event['actor']`:                  `line 1, column 6: unexpected "["`,
		`event.target.![id]`:              `line 1, column 14: unexpected "!"`,
		`event.target.?[`:                 "line 1, column 16: the expression is not complete",
		`{1}`:                             `line 1, column 1: unexpected "{"`,
		`event.x eq 1 + 1`:                `line 1, column 14: unexpected "+"`,
		`actor.id eq 'x'`:                 `line 1, column 1: unknown name "actor": the only one is event`,
		`event.target.?[event.id eq 'x']`: "line 1, column 16: event cannot be used inside of .?[ ], where names are members of the element",
		`event.x.matches('a')`:            "line 1, column 9: unknown method matches()",
		`event.getClass().forName('x')`:   "line 1, column 7: unknown method getClass()",
		`event.x.size(1)`:                 "line 1, column 9: size() takes 0 arguments, not 1",
		`event.x.contains()`:              "line 1, column 9: contains() takes 1 arguments, not 0",
		`event.x.contains(y)`:             `line 1, column 18: unknown name "y": the only one is event`,
		`event.target.?[type eq 'UserGroup' && (displayName eq 'Sales'].size()>0`: `line 1, column 62: unexpected "]"`,
		deep(filter.MaxDepth + 1):                    "line 1, column 51: there may be at most 50 parentheses and brackets inside of each other",
		"true" + strings.Repeat(" ", filter.MaxSize): "line 1, column 1: an expression has at most 4096 bytes",
	} {
		_, err := filter.Parse(expression)
		var fault *filter.Error
		require.ErrorAs(t, err, &fault, expression)
		assert.Equal(t, want, err.Error(), expression)
	}
	for _, fine := range []string{deep(filter.MaxDepth), strings.Repeat("!", filter.MaxSize-4) + "true", "true" + strings.Repeat(" ", filter.MaxSize-4)} {
		_, err := filter.Check(t.Context(), fine, hooks.Event{})
		assert.NoError(t, err)
	}
}

func TestEvaluationErrors(t *testing.T) {
	for expression, want := range map[string]string{
		`event`:                                "line 1, column 1: needs true or false, not an object",
		`event.severity`:                       "line 1, column 1: needs true or false, not a text",
		`event.yes && event.numbers.zero`:      "line 1, column 14: needs true or false, not a number",
		`event.severity || event.yes`:          "line 1, column 1: needs true or false, not a text",
		`!event.target`:                        "line 1, column 2: needs true or false, not a list",
		`event.severity < 1`:                   "line 1, column 1: a text is neither less nor greater than a number",
		`event.yes < event.no`:                 "line 1, column 1: a truth value is neither less nor greater than a truth value",
		`event.target eq event.target`:         "line 1, column 1: a list can only be compared with null",
		`1 eq event.actor`:                     "line 1, column 1: an object can only be compared with null",
		`event.severity.deeper eq 1`:           "line 1, column 16: a text has no member deeper",
		`event.target.id eq 1`:                 "line 1, column 14: a list has no member id",
		`event.actor.?[id eq 1].size() eq 1`:   "line 1, column 1: .?[ ] selects from a list, not from an object",
		`event.target.?[displayName].size()>0`: "line 1, column 1: needs true or false, not a text",
		`event.yes.size() eq 1`:                "line 1, column 11: a truth value has no size()",
		`event.numbers.zero.isEmpty()`:         "line 1, column 20: a number has no isEmpty()",
		`event.numbers.zero.contains('1')`:     "line 1, column 20: a number has no contains()",
		`event.actor.toLowerCase() eq 'x'`:     "line 1, column 13: an object has no toLowerCase()",
		`event.severity.contains(1)`:           "line 1, column 16: contains() takes a text, not a number",
		`event.severity.substringAfter(true)`:  "line 1, column 16: substringAfter() takes a text, not a truth value",
	} {
		_, err := filter.Check(t.Context(), expression, sample)
		var fault *filter.Error
		require.ErrorAs(t, err, &fault, expression)
		assert.Equal(t, want, err.Error(), expression)
	}
}

// The work for an event is bounded, and told of.
func TestWorkIsBounded(t *testing.T) {
	large := hooks.Event{Type: "a", Data: []byte(`{"list":[1` + strings.Repeat(",1", 100_000) + `],"text":"` + strings.Repeat("x", 300_000) + `"}`)}
	for _, expression := range []string{
		`event.list.?[` + strings.Repeat("x eq 1||", 400) + `x eq 1].size() > 0`,
		`event.list.?[x eq 1].size() eq 0` + strings.Repeat(` && event.list.?[x eq 1].size() eq 0`, 20),
		`event.list.contains('x')` + strings.Repeat(` || event.list.contains('x')`, 20),
		`event.text` + strings.Repeat(".toLowerCase()", 280) + ` eq ''`,
	} {
		passes, err := filter.Check(t.Context(), expression, large)
		assert.ErrorContains(t, err, "too large for so much", "%.40s", expression)
		assert.False(t, passes)
	}
	passes, err := filter.Check(t.Context(), `event.list.?[x eq 1].size() eq 0 && event.text.toUpperCase().contains('X')`, large)
	require.NoError(t, err)
	assert.True(t, passes)
}

// endsAfter is a context that ends when it has been asked so many times.
type endsAfter struct {
	context.Context
	left int
}

func (c *endsAfter) Err() error {
	if c.left--; c.left < 0 {
		return context.DeadlineExceeded
	}
	return nil
}

// A long evaluation ends with its context, wherever it is, and gives its result
// when it is made again.
func TestMatchEndsWithTheContext(t *testing.T) {
	event, err := filter.NewEvent(&hooks.Event{Type: "a", Data: []byte(`{"list":[{"x":1}` + strings.Repeat(`,{"x":1}`, 10_000) + `],"text":"` + strings.Repeat("x", 200_000) + `"}`)})
	require.NoError(t, err)
	for _, expression := range []string{
		`event.list.?[x eq 2].size() eq 0`,
		`not event.list.contains('x') and not event.list.contains('y')`,
		`event.text` + strings.Repeat(".toLowerCase().toUpperCase()", 5) + ` ne 'y'`,
		`event.text.contains('y') or event.text.substringBefore('y') eq event.text and event.text le event.text`,
	} {
		f, err := filter.Parse(expression)
		require.NoError(t, err)
		for looks := range 3 {
			passes, err := f.Match(&endsAfter{t.Context(), looks}, event)
			require.ErrorIs(t, err, context.DeadlineExceeded, expression)
			assert.False(t, passes)
		}
		passes, err := f.Match(t.Context(), event)
		require.NoError(t, err, expression)
		assert.True(t, passes, expression)
	}
}

// FuzzFilter parses and evaluates anything: no expression panics or takes long,
// and each gives the same again.
func FuzzFilter(f *testing.F) {
	for _, seed := range []string{
		`event.target.?[type eq 'UserGroup' && displayName eq "Sales"].size()>0`,
		`!(event.x.contains('a') || event.y.substringBefore('b').length() le -1e5) and event.z?.isEmpty()`,
		`event.list.?[a.?[b.?[c]]]`, "((((", "'''", `"`, "not not", "\xff", `event.numbers.huge ge 1e999999`,
	} {
		f.Add(seed, string(sample.Data))
	}
	f.Add("event.data.a.b eq null", `{"data":{"a":[]}}`)
	f.Fuzz(func(t *testing.T, expression, data string) {
		parsed, err := filter.Parse(expression)
		if err != nil {
			var fault *filter.Error
			require.ErrorAs(t, err, &fault)
			require.Positive(t, fault.Line)
			require.Positive(t, fault.Column)
			return
		}
		event, err := filter.NewEvent(&hooks.Event{Type: "a", Data: []byte(data)})
		if err != nil {
			return
		}
		passes, err := parsed.Match(t.Context(), event)
		again, errAgain := parsed.Match(t.Context(), event)
		require.Equal(t, passes, again)
		require.Equal(t, fmt.Sprint(err), fmt.Sprint(errAgain))
		if err != nil {
			require.False(t, passes)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	parsed, err := filter.Parse(`event.target.?[type eq 'UserGroup' && displayName eq 'Sales'].size()>0 && event.outcome.result eq 'FAILURE'`)
	require.NoError(b, err)
	event, err := filter.NewEvent(&sample)
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if passes, err := parsed.Match(b.Context(), event); !passes || err != nil {
			b.Fatal(passes, err)
		}
	}
}

func ExampleCheck() {
	event := hooks.Event{
		Type: "user.lifecycle.create",
		Data: json.RawMessage(`{"outcome": {"result": "SUCCESS"}, "target": [{"type": "User", "alternateId": "ada@example.com"}]}`),
	}
	for _, expression := range []string{
		`event.target.?[alternateId eq 'ada@example.com'].size() > 0`,
		`event.outcome.result eq 'FAILURE'`,
		`event.outcome.result eq 'SUCCESS`,
	} {
		fmt.Println(filter.Check(context.Background(), expression, event))
	}
	// Output:
	// true <nil>
	// false <nil>
	// false line 1, column 25: the text that begins here has no end
}
