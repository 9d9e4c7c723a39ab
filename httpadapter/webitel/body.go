package webitel

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"mime"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/wire"
)

const (
	maxDomain    = 256 // bytes
	maxRetries   = 100
	defaultDelay = time.Minute
	minDelay     = 100 * time.Millisecond
	maxDelay     = 7 * 24 * time.Hour
)

// A body is that of a request. Members that it does not have are ignored.
type body struct {
	Event       string          `json:"event"`
	Retries     json.RawMessage `json:"retries"`
	Delay       json.RawMessage `json:"delay"`
	Enable      bool            `json:"enable"`
	Description string          `json:"description"`
	Action      struct {
		Type   string `json:"type"`
		URL    string `json:"url"`
		Method string `json:"method"`
	} `json:"action"`
	Fields     names                    `json:"fields"`
	Map        json.RawMessage          `json:"map"`
	Filter     map[string]conditionView `json:"filter"`
	Headers    texts                    `json:"headers"`
	Auth       *authView                `json:"auth"`
	CustomBody *bool                    `json:"customBody"`
	RawBody    *string                  `json:"rawBody"`
}

// A change is what a body makes of a hook.
type change struct {
	body
	schedule []time.Duration
}

// apply makes the change.
func (c change) apply(h *hooks.Hook) {
	h.Events, h.Disabled, h.Description = []string{c.Event}, !c.Enable, c.Description
	h.URL, h.Method, h.Headers = c.Action.URL, c.Action.Method, c.Headers
	h.Schedule = c.schedule
	h.Settings = wire.JSON(settings{
		Type: c.Action.Type, Retries: present(c.Retries), Delay: present(c.Delay), Fields: c.Fields, Map: present(c.Map),
		Filter: c.Filter, Auth: c.Auth, CustomBody: c.CustomBody, RawBody: c.RawBody,
	})
}

// eventTypes are those of [hooks.Event], without patterns.
var eventTypes = regexp.MustCompile(`^[\w:>-]+(\.[\w:>-]+)*$`)

// readChange reads the body of a request, or says what is wrong with it.
func readChange(c *httpadapter.Call) (change, error) {
	b, err := readBody(c)
	if err != nil {
		return change{}, err
	}
	switch {
	case b.Event == "":
		return change{}, badRequest("event name is required.")
	case b.Action.Type == "" || b.Action.URL == "" || b.Action.Method == "":
		return change{}, badRequest("action options is required.")
	case !eventTypes.MatchString(b.Event):
		return change{}, badRequest(`event must have nothing but a-z, A-Z, 0-9, "_", "-", ":", ">" and single dots in between`)
	}
	schedule, err := b.schedule()
	return change{b, schedule}, err
}

// readBody reads a body. One that does not say that it is JSON counts as empty.
func readBody(c *httpadapter.Call) (b body, err error) {
	mediaType, _, _ := mime.ParseMediaType(c.Header.Get("Content-Type"))
	if len(c.Body) == 0 || mediaType != "application/json" {
		return b, nil
	}
	if !utf8.Valid(c.Body) {
		return b, badRequest("the body must be UTF-8")
	}
	err = json.Unmarshal(c.Body, &b)
	var wrong *json.UnmarshalTypeError
	switch {
	case err == nil:
		return b, nil
	case !errors.As(err, &wrong):
		return b, badRequest("the body must be JSON: " + err.Error())
	case wrong.Field == "":
		return b, badRequest("the body must be an object")
	}
	return b, badRequest(fmt.Sprintf("%s has a value of the type %s where it must have %s", wrong.Field, wrong.Value, wanted(wrong.Type)))
}

// wanted names the values of JSON that a type is read from.
func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "a list"
	}
	return "an object"
}

// present is a value, or nil if it is null.
func present(raw json.RawMessage) json.RawMessage {
	if string(raw) == "null" {
		return nil
	}
	return raw
}

// schedule is what retries and delay mean. Less than one retry is none, and a delay
// that is not positive the default.
func (b body) schedule() ([]time.Duration, error) {
	retries, err := number("retries", b.Retries)
	if err != nil {
		return nil, err
	}
	delay, err := number("delay", b.Delay)
	if err != nil {
		return nil, err
	}
	switch {
	case retries > maxRetries:
		return nil, badRequest(fmt.Sprintf("retries must be at most %d", maxRetries))
	case delay > maxDelay.Seconds() || delay > 0 && delay < minDelay.Seconds():
		return nil, badRequest(fmt.Sprintf("delay must be %g to %.0f seconds", minDelay.Seconds(), maxDelay.Seconds()))
	case delay <= 0:
		delay = defaultDelay.Seconds()
	}
	pause := time.Duration(delay * float64(time.Second))
	return append([]time.Duration{0}, slices.Repeat([]time.Duration{pause}, max(0, int(retries)))...), nil
}

// number reads a number, or a string that is one. What is not there is 0.
func number(field string, raw json.RawMessage) (float64, error) {
	if present(raw) == nil {
		return 0, nil
	}
	text := string(raw)
	if raw[0] == '"' {
		_ = json.Unmarshal(raw, &text) // It is a string.
	}
	f, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, badRequest(field + " must be a number")
	}
	return f, nil
}

// texts are the strings of a JSON object, none of which is null.
type texts map[string]string

// UnmarshalJSON implements [json.Unmarshaler].
func (t *texts) UnmarshalJSON(data []byte) error {
	var values map[string]*string
	if err := json.Unmarshal(data, &values); err != nil || values == nil {
		return err
	}
	*t = make(texts, len(values))
	for name, value := range values {
		if value == nil {
			return noString()
		}
		(*t)[name] = *value
	}
	return nil
}

// names are the strings of a JSON list, none of which is null.
type names []string

// UnmarshalJSON implements [json.Unmarshaler].
func (n *names) UnmarshalJSON(data []byte) error {
	var values []*string
	if err := json.Unmarshal(data, &values); err != nil || values == nil {
		return err
	}
	*n = make(names, len(values))
	for i, value := range values {
		if value == nil {
			return noString()
		}
		(*n)[i] = *value
	}
	return nil
}

// noString is the error for null where a string must be. Package json adds the
// field to it.
func noString() error {
	return &json.UnmarshalTypeError{Value: "null", Type: reflect.TypeFor[string]()}
}
