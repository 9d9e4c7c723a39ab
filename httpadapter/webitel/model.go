package webitel

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/wire"
)

// settings are what of Webitel's hook has no field in [hooks.Hook].
type settings struct {
	// Type is the type of the action. Empty: "web".
	Type string `json:"type,omitempty"`
	// Retries and Delay are as they were written; the hook's Schedule is what
	// they mean.
	Retries json.RawMessage `json:"retries,omitempty"`
	Delay   json.RawMessage `json:"delay,omitempty"`
	// Fields are the members of the data that are sent. Empty: all.
	Fields names `json:"fields,omitzero"`
	// Map is an object that has new names of members by their old ones. The
	// order counts.
	Map        json.RawMessage          `json:"map,omitempty"`
	Filter     map[string]conditionView `json:"filter,omitzero"`
	Auth       *authView                `json:"auth,omitempty"`
	CustomBody *bool                    `json:"customBody,omitempty"`
	RawBody    *string                  `json:"rawBody,omitempty"`
}

func settingsOf(h hooks.Hook) (s settings, err error) {
	err = wire.Settings(h, &s, `an object of "type", "retries", "delay", "fields", "map", "filter", "auth", "customBody" and "rawBody", as in a hook of Webitel`)
	return s, err
}

// typeWeb is the only type of action that does anything.
const typeWeb = "web"

// A document is a hook as the API shows it, or part of one.
type document []wire.Member

// MarshalJSON implements [json.Marshaler].
func (d document) MarshalJSON() ([]byte, error) { return object(d), nil }

// documentOf shows a hook, or what is wanted of it, and always the ID. What it does
// not have is null.
func documentOf(h hooks.Hook, wanted projection) (document, error) {
	s, err := settingsOf(h)
	if err != nil {
		return nil, fmt.Errorf("hook %q: %w", h.ID, err)
	}
	action := struct {
		Type   string `json:"type"`
		Method string `json:"method"`
		URL    string `json:"url"`
	}{cmp.Or(s.Type, typeWeb), cmp.Or(h.Method, http.MethodPost), h.URL}
	headers := h.Headers
	if headers == nil {
		headers = map[string]string{}
	}
	var d document
	for _, m := range []struct {
		name  string
		value any
	}{
		{"_id", h.ID},
		{"domain", h.Tenant},
		{"event", strings.Join(h.Events, ",")},
		{"enable", !h.Disabled},
		{"description", h.Description},
		{"retries", s.Retries},
		{"delay", s.Delay},
		{"action", action},
		{"fields", s.Fields},
		{"map", s.Map},
		{"filter", s.Filter},
		{"headers", headers},
		{"auth", s.Auth},
		{"customBody", s.CustomBody},
		{"rawBody", s.RawBody},
	} {
		if _, ok := wanted[m.name]; ok || wanted == nil || m.name == "_id" {
			d = append(d, wire.Member{Name: m.name, Value: wire.JSON(m.value)})
		}
	}
	if wanted != nil {
		d = d.project(wanted)
	}
	return d, nil
}

// withoutNulls is the document without what it does not have.
func (d document) withoutNulls() document {
	return slices.DeleteFunc(slices.Clone(d), func(m wire.Member) bool { return string(m.Value) == "null" })
}

// A projection says which members of a document are wanted, by their names: nil
// stands for the whole member, another for what it wants of it.
type projection map[string]projection

// projectionOf reads columns, separated by commas. It returns nil for none.
func projectionOf(columns string) (p projection) {
	for column := range strings.SplitSeq(columns, ",") {
		if column == "" {
			continue
		}
		if p == nil {
			p = projection{}
		}
		p.add(column)
	}
	return p
}

func (p projection) add(path string) {
	for {
		name, rest, deeper := strings.Cut(path, ".")
		parts, known := p[name]
		switch {
		case !deeper:
			p[name] = nil
			return
		case known && parts == nil:
			return
		case !known:
			parts = projection{}
			p[name] = parts
		}
		p, path = parts, rest
	}
}

// project returns what is wanted of the document, and its ID.
func (d document) project(p projection) document {
	var projected document
	for _, m := range d {
		parts, wanted := p[m.Name]
		switch {
		case m.Name == "_id", wanted && parts == nil:
			projected = append(projected, m)
		case wanted:
			if members, ok := wire.MembersOf(m.Value); ok {
				m.Value = object(document(members).project(parts))
				projected = append(projected, m)
			}
		}
	}
	return projected
}
