// Package webitel speaks as the hooks of Webitel do: [New] serves their REST API,
// and [Protocol] delivers events in their form, so that what works with Webitel's
// hooks works with the application's. [Event] makes events of the objects that Webitel
// and FreeSWITCH describe calls with.
//
// The endpoints:
//
//	GET    /api/v2/hooks        lists hooks
//	POST   /api/v2/hooks        makes one
//	GET    /api/v2/hooks/{id}   shows one
//	PUT    /api/v2/hooks/{id}   replaces one
//	DELETE /api/v2/hooks/{id}   deletes one
//
// They serve the hooks of the caller's tenant, which is the domain, whose protocol
// is [Name]; these may also be registered with the Manager. A caller that is
// [httpadapter.Identity].Root names the domain with the parameter "domain" of each
// request, which does nothing for others.
//
// Those who may read hooks see the credentials in them.
//
// [compatibility.md] says what differs from Webitel.
//
// [compatibility.md]: https://github.com/seed-2c6e3a5a/hooks/blob/main/docs/compatibility.md
package webitel

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter"
)

// Config sets a handler up. All but Authenticate has a default; that of MaxBody is
// 5 MiB here.
type Config struct {
	httpadapter.Config
	// Origins are the origins, such as "https://pbx.example.com", whose pages may
	// use the API in browsers (CORS) with a token of theirs, or "*" for all. They
	// are also TrustedOrigins. Default: none but its own.
	Origins []string
}

type api struct {
	manager *hooks.Manager
	ids     *ids
}

// New returns a handler for the API. The Manager must have a [Protocol] among its
// protocols. If it has a catalogue, hooks may ask for its event types only. An
// error is a [hooks.InvalidError].
func New(m *hooks.Manager, cfg Config) (http.Handler, error) {
	if m == nil {
		return nil, &hooks.InvalidError{Field: "manager", Reason: "must not be nil"}
	}
	spoken, _ := m.Protocol(Name)
	if _, ok := spoken.(*Protocol); !ok {
		return nil, &hooks.InvalidError{Field: "manager", Reason: "must have a *webitel.Protocol in its Config.Protocols"}
	}
	cfg.MaxBody = cmp.Or(cfg.MaxBody, 5<<20)
	origins, err := parseOrigins(cfg.Origins)
	if err != nil {
		return nil, err
	}
	cfg.TrustedOrigins = append(slices.Clone(cfg.TrustedOrigins), origins...)
	handler, err := httpadapter.New(&api{m, newIDs()}, cfg.Config)
	if err != nil || len(origins) == 0 {
		return handler, err
	}
	return corsHandler{handler, origins}, nil
}

// Name implements [httpadapter.API].
func (*api) Name() string { return Name }

// Header implements [httpadapter.API].
func (*api) Header(string) http.Header { return nil }

const hooksPath = "/api/v2/hooks"

// Routes implements [httpadapter.API].
func (a *api) Routes() []httpadapter.Route {
	routes := []httpadapter.Route{
		{Method: "GET", Path: hooksPath, Handle: a.list},
		{Method: "POST", Path: hooksPath, Handle: a.create},
		{Method: "GET", Path: hooksPath + "/{id}", Handle: a.get},
		{Method: "PUT", Path: hooksPath + "/{id}", Handle: a.replace},
		{Method: "DELETE", Path: hooksPath + "/{id}", Handle: a.delete},
	}
	for i := range routes {
		routes[i].Handle = inDomain(routes[i].Handle)
	}
	return routes
}

// inDomain is a handler of which a caller that is root names the tenant.
func inDomain(handle func(*httpadapter.Call) (httpadapter.Response, error)) func(*httpadapter.Call) (httpadapter.Response, error) {
	return func(c *httpadapter.Call) (httpadapter.Response, error) {
		if c.Caller.Root {
			c.Caller.Tenant = c.URL.Query().Get("domain")
			switch {
			case c.Caller.Tenant == "":
				return httpadapter.Response{}, badRequest("domain is required.")
			case len(c.Caller.Tenant) > maxDomain || !utf8.ValidString(c.Caller.Tenant) || strings.ContainsRune(c.Caller.Tenant, 0):
				return httpadapter.Response{}, badRequest("domain must be at most 256 bytes of UTF-8 without NUL.")
			}
		}
		return handle(c)
	}
}
