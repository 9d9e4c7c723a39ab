package webitel

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/seed-2c6e3a5a/hooks"
)

// The members of an event object that say what it is and whom it concerns.
const (
	eventName     = "Event-Name"
	eventSubclass = "Event-Subclass"
)

// Event makes an event of an event object, such as FreeSWITCH's: its members are
// the data, its type is the member Event-Name, with "->" and Event-Subclass if it
// has that, and its tenant is the domain, the first that is not empty of
//
//   - variable_domain_name
//   - variable_w_domain
//   - Channel-Presence-ID, behind the first "@" if it has one
//   - variable_presence_id, likewise
//
// An object that lacks a name or a domain, or has another type of value there, is
// refused with a [hooks.InvalidError] whose field is the member.
func Event(object map[string]any) (hooks.Event, error) {
	name, err := textMember(object, eventName)
	if err != nil {
		return hooks.Event{}, err
	}
	if name == "" {
		return hooks.Event{}, &hooks.InvalidError{Field: eventName, Reason: "must not be empty"}
	}
	if object[eventSubclass] != nil {
		subclass, err := textMember(object, eventSubclass)
		if err != nil {
			return hooks.Event{}, err
		}
		name += "->" + subclass
	}
	domain, err := domainOf(object)
	if err != nil {
		return hooks.Event{}, err
	}
	data, err := json.Marshal(object)
	if err != nil {
		return hooks.Event{}, &hooks.InvalidError{Field: "data", Reason: fmt.Sprintf("must have a form in JSON: %v", err)}
	}
	return hooks.Event{Type: name, Tenant: domain, Data: data}, nil
}

func domainOf(object map[string]any) (string, error) {
	for _, source := range []struct {
		member   string
		presence bool
	}{
		{"variable_domain_name", false},
		{"variable_w_domain", false},
		{"Channel-Presence-ID", true},
		{"variable_presence_id", true},
	} {
		domain, err := textMember(object, source.member)
		if err != nil {
			return "", err
		}
		if source.presence {
			if _, behind, found := strings.Cut(domain, "@"); found {
				domain = behind
			}
		}
		if domain != "" {
			return domain, nil
		}
	}
	return "", &hooks.InvalidError{Field: "variable_domain_name", Reason: "must name the domain, because no other member does"}
}

// textMember returns a member, empty if it is not there or null.
func textMember(object map[string]any, name string) (string, error) {
	switch value := object[name].(type) {
	case nil:
		return "", nil
	case string:
		return value, nil
	}
	return "", &hooks.InvalidError{Field: name, Reason: "must be a string"}
}
