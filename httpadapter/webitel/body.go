package webitel

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"mime"
	"reflect"
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
	Fields     []*string                 `json:"fields"`
	Map        json.RawMessage           `json:"map"`
	Filter     map[string]*conditionView `json:"filter"`
	Headers    map[string]*string        `json:"headers"`
	Auth       *auth                     `json:"auth"`
	CustomBody *bool                     `json:"customBody"`
	RawBody    *string                   `json:"rawBody"`
}

type auth struct {
	Enabled bool               `json:"enabled"`
	URL     string             `json:"url"`
	Method  string             `json:"method"`
	Cookie  bool               `json:"cookie"`
	Headers map[string]*string `json:"headers"`
	Map     map[string]*string `json:"map"`
}

// A change is what a body makes of a hook.
type change struct {
	body
	headers  map[string]string
	schedule []time.Duration
	settings settings
}

// apply makes the change.
func (c change) apply(h *hooks.Hook) {
	h.Events, h.Disabled, h.Description = []string{c.Event}, !c.Enable, c.Description
	h.URL, h.Method, h.Headers = c.Action.URL, c.Action.Method, c.headers
	h.Schedule, h.Settings = c.schedule, wire.JSON(c.settings)
}

// readChange reads the body of a request, or says what is wrong with it.
func readChange(c *httpadapter.Call) (change, error) {
	b, err := readBody(c)
	if err != nil {
		return change{}, err
	}
	if strings.Contains(b.Event, "*") {
		return change{}, badRequest(`event must be a name, without "*"`)
	}
	ch := change{body: b, settings: settings{
		Type: b.Action.Type, Retries: present(b.Retries), Delay: present(b.Delay), Map: present(b.Map),
		CustomBody: b.CustomBody, RawBody: b.RawBody,
	}}
	if ch.schedule, err = b.schedule(); err != nil {
		return change{}, err
	}
	if ch.headers, err = texts("headers", b.Headers); err != nil {
		return change{}, err
	}
	if ch.settings.Fields, err = fieldsOf(b.Fields); err != nil {
		return change{}, err
	}
	if ch.settings.Filter, err = rowsOf(b.Filter); err != nil {
		return change{}, err
	}
	ch.settings.Auth, err = b.Auth.view()
	return ch, err
}

// readBody reads a body that has what it must have. One that does not say that it
// is JSON counts as empty.
func readBody(c *httpadapter.Call) (b body, err error) {
	mediaType, _, _ := mime.ParseMediaType(c.Header.Get("Content-Type"))
	var wrong *json.UnmarshalTypeError
	if len(c.Body) > 0 && mediaType == "application/json" {
		if !utf8.Valid(c.Body) {
			return b, badRequest("the body must be UTF-8")
		}
		err = json.Unmarshal(c.Body, &b)
		switch {
		case err == nil:
		case !errors.As(err, &wrong):
			return b, badRequest("the body must be JSON: " + err.Error())
		case wrong.Field == "":
			return b, badRequest("the body must be an object")
		}
	}
	switch {
	case wrong != nil && (wrong.Field == "event" || strings.HasPrefix(wrong.Field, "action")):
	case b.Event == "":
		return b, badRequest("event name is required.")
	case b.Action.Type == "" || b.Action.URL == "" || b.Action.Method == "":
		return b, badRequest("action options is required.")
	}
	if wrong != nil {
		return b, badRequest(fmt.Sprintf("%s has a value of the type %s where it must have %s", wrong.Field, wrong.Value, wanted(wrong.Type)))
	}
	return b, nil
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
	case delay > maxDelay.Seconds():
		return nil, badRequest(fmt.Sprintf("delay must be at most %.0f seconds", maxDelay.Seconds()))
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

// texts returns the texts of an object, none of which may be null.
func texts(field string, values map[string]*string) (map[string]string, error) {
	if values == nil {
		return nil, nil
	}
	all := make(map[string]string, len(values))
	for name, value := range values {
		if value == nil {
			return nil, badRequest(fmt.Sprintf("%s[%q] must be a string", field, name))
		}
		all[name] = *value
	}
	return all, nil
}

func fieldsOf(list []*string) ([]string, error) {
	if list == nil {
		return nil, nil
	}
	fields := make([]string, len(list))
	for i, field := range list {
		if field == nil {
			return nil, badRequest(fmt.Sprintf("fields[%d] must be a string", i))
		}
		fields[i] = *field
	}
	return fields, nil
}

func rowsOf(rows map[string]*conditionView) (map[string]conditionView, error) {
	if rows == nil {
		return nil, nil
	}
	views := make(map[string]conditionView, len(rows))
	for name, row := range rows {
		if row == nil {
			return nil, badRequest(fmt.Sprintf("filter[%q] must be an object", name))
		}
		views[name] = *row
	}
	return views, nil
}

// view returns the auth request of a hook, nil if there is none.
func (a *auth) view() (*authView, error) {
	if a == nil {
		return nil, nil
	}
	headers, err := texts("auth.headers", a.Headers)
	if err != nil {
		return nil, err
	}
	params, err := texts("auth.map", a.Map)
	if err != nil {
		return nil, err
	}
	return &authView{Enabled: a.Enabled, URL: a.URL, Method: a.Method, Cookie: a.Cookie, Headers: headers, Map: params}, nil
}
