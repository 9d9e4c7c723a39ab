package webitel

import (
	"fmt"
	"maps"
	"net/http"
	"net/textproto"
	"slices"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/wire"
	"github.com/seed-2c6e3a5a/hooks/internal/header"
)

// maxHeader bounds the values of the headers of a request, in bytes.
const maxHeader = 64 << 10

func parseHeader(field string, values map[string]string) ([]named, error) {
	var parsed []named
	seen := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		t := named{fmt.Sprintf("%s[%q]", field, name), textproto.CanonicalMIMEHeaderKey(name), parseTemplate(values[name])}
		if err := wire.CheckHeader(t.field, name, values[name]); err != nil {
			return nil, err
		}
		if seen[header.Key(name)] {
			return nil, &hooks.InvalidError{Field: t.field, Reason: header.Twice}
		}
		seen[header.Key(name)] = true
		parsed = append(parsed, t)
	}
	return parsed, nil
}

func fillHeader(templates []named, s *scope) (http.Header, error) {
	values, err := fillAll(templates, s, maxHeader)
	if err != nil {
		return nil, err
	}
	header := make(http.Header, len(templates))
	for i, t := range templates {
		if err := wire.CheckHeader(t.field, t.name, values[i]); err != nil {
			return nil, err
		}
		header[t.name] = []string{values[i]}
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
	has := map[string]bool{}
	for key := range r.Header {
		has[header.Key(key)] = true
	}
	for key, value := range own {
		if !has[header.Key(key)] {
			r.Header[key], r.LogHeader[key] = value, value
		}
	}
	if r.Header["User-Agent"] == nil {
		r.Header["User-Agent"] = []string{""} // net/http then sends none.
	}
}
