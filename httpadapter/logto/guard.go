package logto

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
)

// A guard checks input as Logto does, and collects everything that is wrong with
// it in the form of Zod 3 (https://v3.zod.dev/error_handling), which clients
// may show beside the fields of a form.
type guard struct {
	issues []object
	// listed are the options that the issues list in all.
	listed int
}

// add notes an issue: its own members, then those that all issues have.
func (g *guard) add(path []any, message string, own ...member) {
	path = append([]any{}, path...) // [] and not null
	g.note(append(own, member{"path", path}, member{"message", message}))
}

func (g *guard) wrongType(path []any, expected string, v any) {
	g.add(path, mismatch(expected, v), member{"code", "invalid_type"}, member{"expected", expected}, member{"received", typeOf(v)})
}

// mismatch is the message for a value of a wrong type.
func mismatch(expected string, v any) string {
	if isUndefined(v) {
		return "Required"
	}
	return fmt.Sprintf("Expected %s, received %s", expected, typeOf(v))
}

// limit notes that a value is too small or too big. The order of its members is
// Zod's for checks that may have a message of their own.
func (g *guard) limit(path []any, code, bound string, n int, kind, message string) {
	g.note(object{
		{"code", code}, {bound, n}, {"type", kind}, {"inclusive", true}, {"exact", false}, {"message", message}, {"path", path},
	})
}

// maxIssues and maxListed bound a response, in which each issue of an event type
// lists all types.
const (
	maxIssues = 100
	maxListed = 10_000
)

// full reports whether further issues are left out.
func (g *guard) full() bool { return len(g.issues) >= maxIssues || g.listed >= maxListed }

func (g *guard) note(issue object) {
	if !g.full() {
		g.issues = append(g.issues, issue)
	}
}

func typeOf(v any) string {
	switch v.(type) {
	case undefined:
		return "undefined"
	case nil:
		return "null"
	case string:
		return "string"
	case json.Number, float64:
		return "number"
	case bool:
		return "boolean"
	case []any:
		return "array"
	}
	return "object"
}

func isUndefined(v any) bool { return v == undefined{} }

// text checks a string, whose length counts in UTF-16 units; max 0 is no limit.
func (g *guard) text(v any, minimum, maximum int, path ...any) *string {
	s, ok := v.(string)
	if !ok {
		g.wrongType(path, "string", v)
		return nil
	}
	length := len(utf16.Encode([]rune(s)))
	if length < minimum {
		g.limit(path, "too_small", "minimum", minimum, "string", fmt.Sprintf("String must contain at least %d character(s)", minimum))
	}
	if maximum > 0 && length > maximum {
		g.limit(path, "too_big", "maximum", maximum, "string", fmt.Sprintf("String must contain at most %d character(s)", maximum))
	}
	return &s
}

func (g *guard) number(v any, path ...any) *float64 {
	text, ok := v.(json.Number)
	if !ok {
		g.wrongType(path, "number", v)
		return nil
	}
	n, _ := strconv.ParseFloat(string(text), 64) // What is too large is infinite, as in JavaScript.
	return &n
}

func (g *guard) boolean(v any, path ...any) *bool {
	b, ok := v.(bool)
	if !ok {
		g.wrongType(path, "boolean", v)
		return nil
	}
	return &b
}

// oneOf checks a string that is one of the options.
func (g *guard) oneOf(v any, options []string, path ...any) string {
	s, ok := v.(string)
	if ok && slices.Contains(options, s) {
		return s
	}
	if g.full() {
		return ""
	}
	defer func() { g.listed += len(options) }()
	expected := "'" + strings.Join(options, "' | '") + "'"
	if ok {
		g.add(path, fmt.Sprintf("Invalid enum value. Expected %s, received '%s'", expected, s),
			member{"received", s}, member{"code", "invalid_enum_value"}, member{"options", options})
		return ""
	}
	g.add(path, mismatch(expected, v), member{"expected", expected}, member{"received", typeOf(v)}, member{"code", "invalid_type"})
	return ""
}

// object checks an object and returns its members.
func (g *guard) object(v any, path ...any) (object, bool) {
	o, ok := v.(object)
	if !ok {
		g.wrongType(path, "object", v)
	}
	return o, ok
}

// maxEvents is how many event types a hook may have, see [hooks.Hook].Events.
const maxEvents = 1000

// events checks a list of event types that is not empty, and drops repetitions.
func (g *guard) events(v any, options []string) []string {
	list, ok := v.([]any)
	if !ok {
		g.wrongType([]any{"events"}, "array", v)
		return nil
	}
	if len(list) == 0 {
		g.limit([]any{"events"}, "too_small", "minimum", 1, "array", "Array must contain at least 1 element(s)")
	}
	var events []string
	seen := map[string]bool{}
	for i, element := range list {
		if g.full() || len(events) > maxEvents {
			break // What else there is changes nothing.
		}
		if name, ok := element.(string); ok && seen[name] {
			continue
		}
		if event := g.oneOf(element, options, "events", i); event != "" {
			seen[event] = true
			events = append(events, event)
		}
	}
	return events
}

// A config is that of a hook, as it is read and shown.
type config struct {
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers,omitempty"`
	Retries *float64          `json:"retries,omitempty"`
}

func (g *guard) config(v any) *config {
	o, ok := g.object(v, "config")
	if !ok {
		return nil
	}
	c := &config{}
	if s := g.text(o.get("url"), 0, 0, "config", "url"); s != nil {
		c.URL = *s
	}
	if v := o.get("headers"); !isUndefined(v) {
		headers, _ := g.object(v, "config", "headers")
		c.Headers = make(map[string]string, len(headers))
		for _, m := range headers {
			if g.full() {
				break
			}
			if s := g.text(m.value, 0, 0, "config", "headers", m.name); s != nil {
				c.Headers[m.name] = *s
			}
		}
	}
	if v := o.get("retries"); !isUndefined(v) {
		c.Retries = g.number(v, "config", "retries")
		switch n := c.Retries; {
		case n == nil:
		case *n < 0:
			g.limit([]any{"config", "retries"}, "too_small", "minimum", 0, "number", "Number must be greater than or equal to 0")
		case *n > maxRetries:
			g.limit([]any{"config", "retries"}, "too_big", "maximum", maxRetries, "number",
				fmt.Sprintf("Number must be less than or equal to %d", maxRetries))
		}
	}
	return c
}

// A change is what a request sets of a hook. Nil: nothing.
type change struct {
	name   *string
	event  *string // "" for none
	events []string
	config *config
	enable *bool
}

func (c change) isEmpty() bool {
	return c.name == nil && c.event == nil && c.events == nil && c.config == nil && c.enable == nil
}

// change checks the body of a request that makes a hook, or changes one. What
// cannot be set is checked, too, in the order of Logto's columns.
func (g *guard) change(body any, options []string, isNew bool) (c change) {
	o, ok := g.object(body)
	if !ok {
		return c
	}
	given := func(name string) (any, bool) {
		v := o.get(name)
		return v, !isUndefined(v)
	}
	if v, ok := given("tenantId"); ok {
		g.text(v, 0, 21, "tenantId")
	}
	if v, ok := given("name"); ok {
		c.name = g.text(v, 1, 256, "name")
	}
	if v, ok := given("event"); ok {
		none := ""
		if c.event = &none; v != nil || isNew {
			*c.event = g.oneOf(v, options, "event")
		}
	}
	if v, ok := given("events"); ok {
		c.events = g.events(v, options)
	}
	if v, ok := given("config"); ok || isNew {
		c.config = g.config(v)
	}
	if v, ok := given("enabled"); ok {
		c.enable = g.boolean(v, "enabled")
	}
	if v, ok := given("createdAt"); ok {
		g.number(v, "createdAt")
	}
	return c
}

// err returns what is wrong with the part of the request ("body", "query"), or
// nil.
func (g *guard) err(part string) error {
	if len(g.issues) == 0 {
		return nil
	}
	lines := make([]string, len(g.issues))
	for i, issue := range g.issues {
		lines[i] = detail(issue)
	}
	e := failed(http.StatusBadRequest, "guard.invalid_input", "The request %s is invalid.", part)
	e.Data = object{{"issues", g.issues}, {"name", "ZodError"}}
	e.Details = strings.Join(lines, "\n")
	return e
}

// detail is an issue in words.
func detail(issue object) string {
	var path []string
	for _, step := range issue.get("path").([]any) {
		path = append(path, fmt.Sprint(step))
	}
	text := fmt.Sprint(issue.get("message"))
	code := fmt.Sprint(issue.get("code"))
	if code == "invalid_type" {
		text = fmt.Sprintf("Expected %s but received %s.", issue.get("expected"), issue.get("received"))
	}
	return `Error in key path "` + strings.Join(path, ".") + `": (` + code + ") " + text
}
