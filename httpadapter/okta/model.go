package okta

import (
	"fmt"
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/wire"
)

// settings are what of Okta's event hook has no field in [hooks.Hook]. The value
// of the authentication header is the hook's secret.
type settings struct {
	// AuthHeader is the name of the authentication header. Empty: none.
	AuthHeader string `json:"authHeader,omitempty"`
	// Headers has the names of the hook's Headers in their order.
	Headers []string `json:"headers,omitempty"`
	// Filters has the expressions of event types, in their order.
	Filters []eventFilter `json:"filters,omitempty"`
	// CreatedBy is who made the hook.
	CreatedBy string `json:"createdBy,omitempty"`
	// Self is the URL of the hook, as the client saw it that wrote it last.
	Self string `json:"self,omitempty"`
}

type eventFilter struct {
	Event      string `json:"event"`
	Expression string `json:"expression"`
}

func settingsOf(h hooks.Hook) (s settings, err error) {
	err = wire.Settings(h, &s, `an object of "authHeader", "createdBy" and "self", strings, "headers", a list of strings, and "filters", a list of objects of "event" and "expression"`)
	return s, err
}

// The states of a hook.
const (
	active     = "ACTIVE"
	inactive   = "INACTIVE"
	verified   = "VERIFIED"
	unverified = "UNVERIFIED"
)

// A hookView is a hook as the API shows it.
type hookView struct {
	ID                 string      `json:"id"`
	Status             string      `json:"status"`
	VerificationStatus string      `json:"verificationStatus"`
	Name               string      `json:"name"`
	Description        *string     `json:"description"`
	Created            string      `json:"created"`
	CreatedBy          *string     `json:"createdBy"`
	LastUpdated        string      `json:"lastUpdated"`
	Events             eventsView  `json:"events"`
	Channel            channelView `json:"channel"`
	Links              linksView   `json:"_links"`
}

type eventsView struct {
	Type   string      `json:"type"`
	Items  []string    `json:"items"`
	Filter *filterView `json:"filter"`
}

type filterView struct {
	Type           string         `json:"type"`
	EventFilterMap []eventMapView `json:"eventFilterMap"`
}

type eventMapView struct {
	Event     string        `json:"event"`
	Condition conditionView `json:"condition"`
}

type conditionView struct {
	Expression string  `json:"expression"`
	Version    *string `json:"version"` // is null
}

type channelView struct {
	Type    string     `json:"type"`
	Version string     `json:"version"`
	Config  configView `json:"config"`
}

type configView struct {
	URI        string          `json:"uri"`
	Headers    []headerView    `json:"headers"`
	Method     string          `json:"method"`
	AuthScheme *authSchemeView `json:"authScheme"`
}

type headerView struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

type authSchemeView struct {
	Type string `json:"type"`
	Key  string `json:"key"`
}

// linksView has a member for each link, null for those that a hook in its state
// does not have.
type linksView struct {
	Activate   *link `json:"activate,omitempty"`
	Self       *link `json:"self"`
	Verify     *link `json:"verify,omitempty"`
	Deactivate *link `json:"deactivate,omitempty"`
	Delete     *link `json:"delete,omitempty"`
}

type link struct {
	Href  string `json:"href"`
	Hints *hints `json:"hints,omitempty"`
}

type hints struct {
	Allow []string `json:"allow"`
}

// viewOf shows a hook to a client that knows the API under this base.
func viewOf(h hooks.Hook, base string) (hookView, error) {
	s, err := settingsOf(h)
	if err != nil {
		return hookView{}, fmt.Errorf("hook %q: %w", h.ID, err)
	}
	v := hookView{
		ID: h.ID, Status: active, VerificationStatus: unverified, Name: h.Name,
		Description: textOrNull(h.Description), CreatedBy: textOrNull(s.CreatedBy),
		Created: seconds(h.CreatedAt), LastUpdated: seconds(h.UpdatedAt),
		Events: eventsView{Type: typeEvents, Items: h.Events},
		Channel: channelView{Type: typeHTTP, Version: channelVersion, Config: configView{
			URI: h.URL, Headers: headersOf(h, s), Method: http.MethodPost,
		}},
		Links: linksOf(h, base),
	}
	if h.Disabled {
		v.Status = inactive
	}
	if h.Verified {
		v.VerificationStatus = verified
	}
	if len(s.Filters) > 0 {
		v.Events.Filter = &filterView{Type: typeFilter}
		for _, f := range s.Filters {
			v.Events.Filter.EventFilterMap = append(v.Events.Filter.EventFilterMap, eventMapView{f.Event, conditionView{Expression: f.Expression}})
		}
	}
	if s.AuthHeader != "" {
		v.Channel.Config.AuthScheme = &authSchemeView{typeHeader, s.AuthHeader}
	}
	return v, nil
}

// headersOf returns the hook's headers: in the order of the settings those that
// are named there, then the others by name.
func headersOf(h hooks.Hook, s settings) []headerView {
	list := []headerView{}
	for _, name := range append(s.Headers, slices.Sorted(maps.Keys(h.Headers))...) {
		value, ok := h.Headers[name]
		if ok && !slices.Contains(list, headerView{name, value}) {
			list = append(list, headerView{name, value})
		}
	}
	return list
}

func linksOf(h hooks.Hook, base string) linksView {
	self := selfLink(base, h.ID)
	lifecycle := func(verb string) *link {
		return &link{self + "/lifecycle/" + verb, &hints{[]string{http.MethodPost}}}
	}
	if h.Disabled {
		return linksView{
			Activate: lifecycle("activate"), Self: &link{Href: self},
			Delete: &link{self, &hints{[]string{http.MethodDelete}}},
		}
	}
	return linksView{Self: &link{Href: self}, Verify: lifecycle("verify"), Deactivate: lifecycle("deactivate")}
}

func selfLink(base, id string) string { return base + hooksPath + "/" + id }

func textOrNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// seconds is a time as the API shows it: in whole seconds.
func seconds(t time.Time) string { return t.UTC().Truncate(time.Second).Format(wire.TimeFormat) }

// apply makes the change. self is the hook's URL.
func (c change) apply(h *hooks.Hook, self string) error {
	s, err := settingsOf(*h)
	if err != nil {
		return err
	}
	before := channelOf(*h, s)
	h.Name, h.Description, h.Events = c.name, c.description, c.items
	if c.status != "" {
		h.Disabled = c.status == inactive
	}
	h.URL, h.Headers, s.Headers = c.uri, make(map[string]string, len(c.headers)), nil
	for _, header := range c.headers {
		h.Headers[header.Key] = header.Value
		s.Headers = append(s.Headers, header.Key)
	}
	switch {
	case c.auth == nil:
		s.AuthHeader, h.Secrets = "", nil
	case c.auth.value != nil:
		s.AuthHeader = c.auth.key
		if current, _ := h.CurrentSecret(time.Now()); current != hooks.Secret(*c.auth.value) {
			h.Secrets = []hooks.SigningSecret{{Secret: hooks.Secret(*c.auth.value)}}
		}
	case !strings.EqualFold(c.auth.key, s.AuthHeader):
		return invalid("channel.config.authScheme.value: " + blank + " when the key is a new one")
	default:
		s.AuthHeader = c.auth.key
	}
	if !before.equal(channelOf(*h, s)) {
		h.Verified = false
	}
	s.Filters, s.Self = c.filters, self
	h.Settings = wire.JSON(s)
	return nil
}

// A channel is what makes the endpoint of a hook: a change of it has to be
// verified.
type channel struct {
	uri, authHeader string
	headers         map[string]string
	secrets         []hooks.SigningSecret
}

func channelOf(h hooks.Hook, s settings) channel {
	c := channel{h.URL, textproto.CanonicalMIMEHeaderKey(s.AuthHeader), make(map[string]string, len(h.Headers)), h.Secrets}
	for name, value := range h.Headers {
		c.headers[textproto.CanonicalMIMEHeaderKey(name)] = value
	}
	return c
}

func (c channel) equal(other channel) bool {
	return c.uri == other.uri && c.authHeader == other.authHeader &&
		maps.Equal(c.headers, other.headers) && slices.Equal(c.secrets, other.secrets)
}
