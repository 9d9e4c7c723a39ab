package webitel

import (
	"fmt"
	"maps"
	"net/http"
	"net/textproto"
	"slices"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/wire"
)

// maxHeader bounds the values of the headers of a request, in bytes.
const maxHeader = 64 << 10

// A headerTemplate is a header whose value has placeholders.
type headerTemplate struct {
	field string // for errors
	key   string
	value template
}

func parseHeader(field string, values map[string]string) ([]headerTemplate, error) {
	var header []headerTemplate
	for _, name := range slices.Sorted(maps.Keys(values)) {
		t := headerTemplate{
			field: fmt.Sprintf("%s[%q]", field, name), key: textproto.CanonicalMIMEHeaderKey(name), value: parseTemplate(values[name]),
		}
		if err := hooks.CheckHeader(t.field, name, values[name]); err != nil {
			return nil, err
		}
		if slices.ContainsFunc(header, func(other headerTemplate) bool { return other.key == t.key }) {
			return nil, &hooks.InvalidError{Field: t.field, Reason: "is there twice: header names have no letter case"}
		}
		header = append(header, t)
	}
	return header, nil
}

// fillHeader fills the placeholders in.
func fillHeader(templates []headerTemplate, s *scope) (http.Header, error) {
	header := http.Header{}
	left := maxHeader
	for _, t := range templates {
		value, ok := t.value.fill(s.headerText, left)
		if !ok {
			return nil, &hooks.InvalidError{Field: t.field, Reason: fmt.Sprintf("must not make the headers longer than %d bytes", maxHeader)}
		}
		if err := hooks.CheckHeader(t.field, t.key, value); err != nil {
			return nil, err
		}
		left -= len(value)
		header[t.key] = []string{value}
	}
	return header, nil
}

// complete adds the headers that the request has to have unless the hook has
// others, and what the log keeps of all.
func complete(r *hooks.Request) {
	r.LogHeader = http.Header{}
	for key := range r.Header {
		r.LogHeader[key] = []string{wire.Redacted}
	}
	own := http.Header{}
	if r.Method != http.MethodGet {
		own.Set("Accept", "application/json")
	}
	if len(r.Body) > 0 {
		own.Set("Content-Type", "application/json")
	}
	for key, value := range own {
		if r.Header[key] == nil {
			r.Header[key], r.LogHeader[key] = value, value
		}
	}
	if r.Header["User-Agent"] == nil {
		r.Header["User-Agent"] = []string{""} // net/http then sends none.
	}
}
