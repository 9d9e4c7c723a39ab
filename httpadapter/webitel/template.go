package webitel

import (
	"fmt"
	"strings"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/wire"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/webitel/internal/js"
)

// A template is a text with placeholders such as ${Unique-ID}. What is between the
// braces, up to the first that closes, is a name, spaces included.
type template []part

// A part is a text and the placeholder behind it, but for the last part.
type part struct {
	text string
	last bool
	placeholder
}

// A placeholder is a name in braces.
type placeholder struct {
	name string
	// quoted says that it is inside a string, if the template is one of JSON.
	quoted bool
}

func parseTemplate(text string) template {
	var t template
	quoted := false
	for {
		before, rest, found := strings.Cut(text, "${")
		name, after, closed := strings.Cut(rest, "}")
		if !found || !closed {
			return append(t, part{text: text, last: true})
		}
		quoted = quotedBehind(before, quoted)
		t = append(t, part{text: before, placeholder: placeholder{name, quoted}})
		text = after
	}
}

// quotedBehind reports whether what follows a piece of JSON is inside a string, if
// the piece begins so.
func quotedBehind(text string, quoted bool) bool {
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '"':
			quoted = !quoted
		case text[i] == '\\' && quoted:
			i++
		}
	}
	return quoted
}

// A named template makes the value of a header or a parameter.
type named struct {
	field string // for errors
	name  string
	template
}

// fillAll returns the values, which have at most limit bytes in all.
func fillAll(templates []named, s *scope, limit int) ([]string, error) {
	values := make([]string, len(templates))
	left := limit
	for i, t := range templates {
		var ok bool
		if values[i], ok = t.fill(s.headerText, left); !ok {
			return nil, &hooks.InvalidError{Field: t.field, Reason: fmt.Sprintf("must not make the values of all longer than %d bytes", limit)}
		}
		left -= len(values[i])
	}
	return values, nil
}

// A scope is what the placeholders of a request stand for: what the auth request
// brought, and the event. It is not for concurrent use.
type scope struct {
	event *record
	auth  map[string]string
	// texts has what placeholders were found to stand for, headerTexts those of
	// headers: one may be there thousands of times.
	texts       map[placeholder]string
	headerTexts map[string]string
}

func newScope(event *record) *scope {
	return &scope{event: event, texts: map[placeholder]string{}, headerTexts: map[string]string{}}
}

// authenticate puts into the scope what an auth request has brought.
func (s *scope) authenticate(results map[string]string) {
	s.auth = results
	clear(s.headerTexts)
}

// value returns the value of a name, of which what the auth request brought wins.
func (s *scope) value(name string) any {
	if v, ok := s.auth[name]; ok {
		return v
	}
	return s.event.value(name)
}

// headerText is what the placeholder of a header stands for: the member of this
// name.
func (s *scope) headerText(p placeholder) string {
	text, known := s.headerTexts[p.name]
	if !known {
		text = textOf(s.value(p.name))
		s.headerTexts[p.name] = text
	}
	return text
}

// bodyText is what the placeholder of a body stands for: the member with the
// prefix "variable_", or the one without, or what is at the end of a path. What
// goes into a string is escaped.
func (s *scope) bodyText(p placeholder) string {
	text, known := s.texts[p]
	if known {
		return text
	}
	if strings.Contains(p.name, ".") {
		text = textOf(s.event.walk(p.name))
	} else if text = textOf(s.value("variable_" + p.name)); text == "" {
		text = textOf(s.value(p.name))
	}
	if p.quoted {
		quoted := wire.JSON(text)
		text = string(quoted[1 : len(quoted)-1])
	}
	s.texts[p] = text
	return text
}

// textOf is the text that stands for a value: none for what does not count as
// true.
func textOf(value any) string {
	if !js.Truthy(value) {
		return ""
	}
	return js.Text(value)
}

// fill puts texts in the place of the placeholders. It returns false if that makes
// more than limit bytes.
func (t template) fill(text func(placeholder) string, limit int) (string, bool) {
	var b strings.Builder
	for _, p := range t {
		b.WriteString(p.text)
		if !p.last {
			b.WriteString(text(p.placeholder))
		}
		if b.Len() > limit {
			return "", false
		}
	}
	return b.String(), true
}
