// Package okta speaks as the event hooks of Okta do: [New] serves their REST API,
// and [Protocol] delivers events in their form, so that what works with Okta's
// event hooks works with the application's.
//
// The endpoints:
//
//	GET    /api/v1/eventHooks                             lists hooks
//	POST   /api/v1/eventHooks                             makes one
//	GET    /api/v1/eventHooks/{id}                        shows one
//	PUT    /api/v1/eventHooks/{id}                        replaces one
//	DELETE /api/v1/eventHooks/{id}                        deletes one that is inactive
//	POST   /api/v1/eventHooks/{id}/lifecycle/activate     activates one
//	POST   /api/v1/eventHooks/{id}/lifecycle/deactivate   deactivates one
//	POST   /api/v1/eventHooks/{id}/lifecycle/verify       has the endpoint show that it wants the events
//
// They serve the hooks of the caller's tenant whose protocol is [Name]; these
// may also be registered with the Manager. A hook receives events when it is
// active and verified; [ChallengeHandler] is what an endpoint needs to be verified.
//
// Names of hooks, and how many may be active, are kept by one handler for the
// requests that it gets. Several processes over one store may let one through
// that another has just taken.
//
// [compatibility.md] says what differs from Okta.
//
// [compatibility.md]: https://github.com/seed-2c6e3a5a/hooks/blob/main/docs/compatibility.md
package okta

import (
	"cmp"
	"fmt"
	"net/http"
	"sync"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter"
)

// Config sets a handler up. All but Authenticate has a default.
type Config struct {
	httpadapter.Config
	// MaxActive is how many hooks of a tenant may be active. Default: 25.
	MaxActive int
	// MaxEventTypes is how many event types a hook may have. Default: 300; at
	// most 1000.
	MaxEventTypes int
	// RateLimit is how many requests a tenant may make in a minute;
	// those above it get 429. Default 0: no limit.
	RateLimit int
}

type api struct {
	manager  *hooks.Manager
	protocol *Protocol
	cfg      Config
	limiter  *limiter
	// changing is held while a hook is changed in a way that depends on others,
	// or on what it was.
	changing sync.Mutex
}

// New returns a handler for the API. The Manager must have a [Protocol] among its
// protocols. If it has a catalogue, hooks may ask for its event types only. An
// error is a [hooks.InvalidError].
func New(m *hooks.Manager, cfg Config) (http.Handler, error) {
	if m == nil {
		return nil, &hooks.InvalidError{Field: "manager", Reason: "must not be nil"}
	}
	spoken, _ := m.Protocol(Name)
	protocol, ok := spoken.(*Protocol)
	if !ok {
		return nil, &hooks.InvalidError{Field: "manager", Reason: "must have a *okta.Protocol in its Config.Protocols"}
	}
	cfg.MaxActive = cmp.Or(cfg.MaxActive, 25)
	cfg.MaxEventTypes = cmp.Or(cfg.MaxEventTypes, 300)
	for field, limit := range map[string]struct{ value, least, most int }{
		"maxActive":     {cfg.MaxActive, 1, 10_000},
		"maxEventTypes": {cfg.MaxEventTypes, 1, 1000},
		"rateLimit":     {cfg.RateLimit, 0, 1_000_000_000},
	} {
		if limit.value < limit.least || limit.value > limit.most {
			return nil, &hooks.InvalidError{Field: "config." + field, Reason: fmt.Sprintf("must be %d to %d", limit.least, limit.most)}
		}
	}
	a := &api{manager: m, protocol: protocol, cfg: cfg, limiter: newLimiter(cfg.RateLimit)}
	return httpadapter.New(a, cfg.Config)
}

// Name implements [httpadapter.API].
func (*api) Name() string { return Name }

// Header implements [httpadapter.API].
func (*api) Header(requestID string) http.Header {
	return http.Header{"X-Okta-Request-Id": {requestID}, "Cache-Control": {"no-cache, no-store"}}
}

const (
	hooksPath     = "/api/v1/eventHooks"
	lifecyclePath = hooksPath + "/{id}/lifecycle/"
)

// Routes implements [httpadapter.API].
func (a *api) Routes() []httpadapter.Route {
	routes := []httpadapter.Route{
		{Method: "GET", Path: hooksPath, Handle: a.list},
		{Method: "POST", Path: hooksPath, Handle: a.create},
		{Method: "GET", Path: hooksPath + "/{id}", Handle: a.get},
		{Method: "PUT", Path: hooksPath + "/{id}", Handle: a.replace},
		{Method: "DELETE", Path: hooksPath + "/{id}", Handle: a.delete},
		{Method: "POST", Path: lifecyclePath + "activate", Handle: a.activate},
		{Method: "POST", Path: lifecyclePath + "deactivate", Handle: a.deactivate},
		{Method: "POST", Path: lifecyclePath + "verify", Handle: a.verify},
	}
	for i := range routes {
		routes[i].Handle = a.limited(routes[i].Handle)
	}
	return routes
}

// limited is a handler behind the rate limit and the check of media types.
func (a *api) limited(handle func(*httpadapter.Call) (httpadapter.Response, error)) func(*httpadapter.Call) (httpadapter.Response, error) {
	return func(c *httpadapter.Call) (httpadapter.Response, error) {
		header, ok := a.limiter.take(c.Caller.Tenant)
		if !ok {
			return httpadapter.Response{Header: header}, errRateLimit
		}
		if !speaksJSON(c) {
			return httpadapter.Response{Header: header}, errMediaType
		}
		response, err := handle(c)
		if response.Header == nil {
			response.Header = header
		}
		return response, err
	}
}
