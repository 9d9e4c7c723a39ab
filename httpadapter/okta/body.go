package okta

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/textproto"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/seed-2c6e3a5a/hooks/httpadapter"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/okta/filter"
)

// The values that members of a hook can have, one each.
const (
	typeEvents     = "EVENT_TYPE"
	typeFilter     = "EXPRESSION_LANGUAGE"
	typeHTTP       = "HTTP"
	channelVersion = "1.0.0"
	typeHeader     = "HEADER"
)

const (
	maxName   = 255  // characters
	maxURI    = 1024 // characters
	maxCauses = 100  // in the response to one body

	// maxFilters bounds the expressions of a hook in all, in bytes, before any
	// is parsed: they are kept in its settings, which have no room for more.
	maxFilters = 64 << 10
)

// A body is that of a request. Members that it does not have are ignored: clients
// send all that they have read.
type body struct {
	Name        *string `json:"name"`
	Description *string `json:"description"`
	Status      *string `json:"status"`
	Events      *struct {
		Type   *string   `json:"type"`
		Items  []*string `json:"items"`
		Filter *struct {
			Type           *string       `json:"type"`
			EventFilterMap []filterEntry `json:"eventFilterMap"`
		} `json:"filter"`
	} `json:"events"`
	Channel *struct {
		Type    *string `json:"type"`
		Version *string `json:"version"`
		Config  *struct {
			URI     *string `json:"uri"`
			Headers []struct {
				Key   *string `json:"key"`
				Value *string `json:"value"`
			} `json:"headers"`
			AuthScheme *struct {
				Type  *string `json:"type"`
				Key   *string `json:"key"`
				Value *string `json:"value"`
			} `json:"authScheme"`
		} `json:"config"`
	} `json:"channel"`
}

type filterEntry struct {
	Event     *string `json:"event"`
	Condition *struct {
		Expression *string `json:"expression"`
	} `json:"condition"`
}

// A change is what a body makes of a hook.
type change struct {
	name, description string
	status            string // empty: as it is
	items             []string
	filters           []eventFilter
	uri               string
	headers           []headerView
	auth              *auth
}

type auth struct {
	key   string
	value *string // nil: as it is
}

// speaksJSON reports whether a request has the media types of the API: its body,
// if it has one and says so, and what it accepts.
func speaksJSON(c *httpadapter.Call) bool {
	sent := c.Header.Get("Content-Type")
	if len(c.Body) > 0 && sent != "" && mediaType(sent) != "application/json" {
		return false
	}
	accepted := strings.Join(c.Header.Values("Accept"), ",")
	if strings.TrimSpace(accepted) == "" {
		return true
	}
	for candidate := range strings.SplitSeq(accepted, ",") {
		switch mediaType(candidate) {
		case "application/json", "application/*", "*/*":
			return true
		}
	}
	return false
}

func mediaType(value string) string {
	name, _, _ := mime.ParseMediaType(value)
	return name
}

// A reader collects what is wrong with a body.
type reader struct{ causes []string }

func (r *reader) fault(field, format string, args ...any) {
	if len(r.causes) < maxCauses {
		r.causes = append(r.causes, field+": "+fmt.Sprintf(format, args...))
	}
}

const (
	blank   = "The field cannot be left blank"
	illegal = "The field has an invalid value"
)

// text returns the text of a required field.
func (r *reader) text(field string, value *string) string {
	if value == nil || strings.TrimSpace(*value) == "" {
		r.fault(field, blank)
		return ""
	}
	return *value
}

// constant checks a field that has one legal value.
func (r *reader) constant(field string, value *string, legal string, required bool) {
	switch {
	case value == nil && required:
		r.fault(field, blank)
	case value != nil && *value != legal:
		r.fault(field, "%s: it must be %s", illegal, legal)
	}
}

// readChange reads a body, or says in an [Error] what is wrong with it.
func (a *api) readChange(data []byte) (change, error) {
	var b body
	if !utf8.Valid(data) || json.Unmarshal(data, &b) != nil {
		return change{}, errMalformed
	}
	var r reader
	c := change{name: r.text("name", b.Name)}
	if utf8.RuneCountInString(c.name) > maxName {
		r.fault("name", "The field must be at most %d characters", maxName)
	}
	if b.Description != nil {
		c.description = *b.Description
	}
	if b.Status != nil {
		if c.status = *b.Status; c.status != active && c.status != inactive {
			r.fault("status", "%s: it must be %s or %s", illegal, active, inactive)
		}
	}
	r.events(&c, b, a.cfg.MaxEventTypes)
	r.channel(&c, b)
	if len(r.causes) > 0 {
		return change{}, invalid(r.causes...)
	}
	return c, nil
}

func (r *reader) events(c *change, b body, most int) {
	if b.Events == nil {
		r.fault("events", blank)
		return
	}
	r.constant("events.type", b.Events.Type, typeEvents, true)
	seen := map[string]bool{}
	for i, item := range b.Events.Items {
		if item != nil && seen[*item] { // They are a set.
			continue
		}
		name := r.text(fmt.Sprintf("events.items[%d]", i), item)
		if strings.Contains(name, "*") {
			r.fault(fmt.Sprintf("events.items[%d]", i), "%s: it must be the whole name of an event type", illegal)
		}
		if !seen[name] {
			seen[name] = true
			c.items = append(c.items, name)
		}
		if len(c.items) > most {
			r.fault("events.items", "There may be at most %d event types", most)
			break
		}
	}
	if len(b.Events.Items) == 0 {
		r.fault("events.items", blank)
	}
	if b.Events.Filter != nil {
		r.constant("events.filter.type", b.Events.Filter.Type, typeFilter, false)
		r.filters(c, b.Events.Filter.EventFilterMap, most)
	}
}

// filters reads the expressions for event types that have been read.
func (r *reader) filters(c *change, entries []filterEntry, most int) {
	size := 0
	for i, entry := range entries {
		field := fmt.Sprintf("events.filter.eventFilterMap[%d]", i)
		f := eventFilter{Event: r.text(field+".event", entry.Event)}
		if entry.Condition == nil || entry.Condition.Expression == nil {
			r.fault(field+".condition.expression", blank)
			continue
		}
		f.Expression = *entry.Condition.Expression
		if size += len(f.Expression); size > maxFilters {
			r.fault("events.filter", "The expressions may have at most %d bytes in all", maxFilters)
			break
		}
		switch _, err := filter.Parse(f.Expression); {
		case err != nil:
			r.fault(field+".condition.expression", "%s, for %s: %s", illegal, f.Event, err)
		case f.Event != "" && !slices.Contains(c.items, f.Event):
			r.fault(field+".event", "%s: %s is not one of the hook's event types", illegal, f.Event)
		case slices.ContainsFunc(c.filters, func(o eventFilter) bool { return o.Event == f.Event }):
			r.fault(field+".event", "%s: %s has more than one expression", illegal, f.Event)
		}
		c.filters = append(c.filters, f)
		if len(c.filters) > most {
			break // There is a fault in it already.
		}
	}
}

func (r *reader) channel(c *change, b body) {
	if b.Channel == nil {
		r.fault("channel", blank)
		return
	}
	r.constant("channel.type", b.Channel.Type, typeHTTP, true)
	r.constant("channel.version", b.Channel.Version, channelVersion, true)
	config := b.Channel.Config
	if config == nil {
		r.fault("channel.config", blank)
		return
	}
	if c.uri = r.text("channel.config.uri", config.URI); utf8.RuneCountInString(c.uri) > maxURI {
		r.fault("channel.config.uri", "The field must be at most %d characters", maxURI)
	}
	taken := map[string]bool{}
	for i, h := range config.Headers {
		name := r.text(fmt.Sprintf("channel.config.headers[%d].key", i), h.Key)
		if name == "" {
			continue
		}
		key := textproto.CanonicalMIMEHeaderKey(name)
		if taken[key] {
			r.fault(fmt.Sprintf("channel.config.headers[%d].key", i), "%q is there twice", name)
		}
		taken[key] = true
		value := ""
		if h.Value != nil {
			value = *h.Value
		}
		c.headers = append(c.headers, headerView{name, value})
	}
	scheme := config.AuthScheme
	if scheme == nil {
		return
	}
	r.constant("channel.config.authScheme.type", scheme.Type, typeHeader, false)
	c.auth = &auth{r.text("channel.config.authScheme.key", scheme.Key), scheme.Value}
	if scheme.Value != nil && *scheme.Value == "" {
		r.fault("channel.config.authScheme.value", blank)
	}
}
