// Package logto speaks as the webhooks of Logto do, version 1.42: [New] serves
// the REST API of its hooks, and [Protocol] delivers events in its form, so that
// what works with Logto's hooks works with the application's.
//
// The endpoints:
//
//	GET    /api/hooks                   lists hooks
//	POST   /api/hooks                   makes one
//	GET    /api/hooks/{id}              shows one
//	PATCH  /api/hooks/{id}              changes one
//	DELETE /api/hooks/{id}              deletes one
//	PATCH  /api/hooks/{id}/signing-key  gives one a new signing key
//	POST   /api/hooks/{id}/test         sends test events, to any config
//	GET    /api/hooks/{id}/recent-logs  shows its deliveries that have ended
//
// They serve the hooks of the caller's tenant whose protocol is [Name]; these
// may also be registered with the Manager. As with Logto, the API shows signing
// keys and the headers of hooks in clear to all who may read.
//
// [compatibility.md] says what differs from Logto.
//
// [compatibility.md]: https://github.com/seed-2c6e3a5a/hooks/blob/main/docs/compatibility.md
package logto

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter"
)

type api struct {
	manager  *hooks.Manager
	protocol *Protocol
	// events are the types that hooks may ask for, in the order in which
	// errors list them.
	events []string
	// samples has the data of their test events.
	samples map[string]hooks.EventType
}

// New returns a handler for the API. The Manager must have a [Protocol] among
// its protocols and, if it has a catalogue, [EventTypes] in it; hooks may ask
// for the other types of the catalogue as well. An error is a
// [hooks.InvalidError].
func New(m *hooks.Manager, cfg httpadapter.Config) (http.Handler, error) {
	if m == nil {
		return nil, &hooks.InvalidError{Field: "manager", Reason: "must not be nil"}
	}
	spoken, _ := m.Protocol(Name)
	protocol, ok := spoken.(*Protocol)
	if !ok {
		return nil, &hooks.InvalidError{Field: "manager", Reason: "must have a *logto.Protocol in its Config.Protocols"}
	}
	a := &api{manager: m, protocol: protocol, samples: map[string]hooks.EventType{}}
	a.addEvents(EventTypes())
	general := len(a.events)
	catalogue := m.EventTypes()
	a.addEvents(catalogue)
	for _, name := range a.events[:general] {
		missing := !slices.ContainsFunc(catalogue, func(t hooks.EventType) bool { return t.Name == name })
		if missing && len(catalogue) > 0 {
			return nil, &hooks.InvalidError{Field: "manager", Reason: fmt.Sprintf("must have logto.EventTypes() in its Config.Catalogue, which lacks %q", name)}
		}
	}
	return httpadapter.New(a, cfg)
}

func (a *api) addEvents(types []hooks.EventType) {
	for _, t := range types {
		if _, known := a.samples[t.Name]; !known {
			a.events = append(a.events, t.Name)
		}
		if len(t.Example) == 0 {
			t.Example = sampleOf(t.Name)
		}
		a.samples[t.Name] = t
	}
}

// Name implements [httpadapter.API].
func (*api) Name() string { return Name }

// Header implements [httpadapter.API].
func (*api) Header(string) http.Header { return nil }

// Routes implements [httpadapter.API].
func (a *api) Routes() []httpadapter.Route {
	return []httpadapter.Route{
		{Method: "GET", Path: "/api/hooks", Handle: a.list},
		{Method: "POST", Path: "/api/hooks", Handle: a.create},
		{Method: "GET", Path: "/api/hooks/{id}", Handle: a.get},
		{Method: "PATCH", Path: "/api/hooks/{id}", Handle: a.update},
		{Method: "DELETE", Path: "/api/hooks/{id}", Handle: a.delete},
		{Method: "PATCH", Path: "/api/hooks/{id}/signing-key", Handle: a.rotate},
		{Method: "POST", Path: "/api/hooks/{id}/test", Handle: a.test},
		{Method: "GET", Path: "/api/hooks/{id}/recent-logs", Handle: a.recentLogs},
	}
}
