// Package httpadapter is what the REST APIs in its subpackages have in common:
// each mounts the documented endpoints of one webhook system into the application's
// mux, over a [hooks.Manager].
//
//	api, err := logto.New(manager, httpadapter.Config{Authenticate: whoAsks})
//	…
//	httpadapter.Mount(mux, api)
//
// A handler serves the paths that its package documents, at the root of a mux or
// behind [http.StripPrefix], and beside other handlers. It ignores letter case and
// empty segments of a path: "/aPi//hooks/" is "/api/hooks". A router in front of
// it may not; [Mount] says what a [http.ServeMux] passes on. Unknown paths and
// methods get a response in the API's own form, methods with an Allow header.
//
// Each request is bounded in size, gets an ID (X-Request-Id, the client's if it
// sent a plausible one), and leaves one line in the log, without query and body
// and with at most 512 bytes of each text that the client chose. Responses do not
// contain the application's errors: those are in the log, under the ID. Bodies are JSON.
// Responses may contain signing keys and headers, so caches must not keep them
// (Cache-Control: no-store). The response to a GET has an ETag, with which a client
// can ask whether it has changed.
//
// To serve an API of your own in the same way, implement [API] and call [New].
package httpadapter

import (
	"cmp"
	"errors"
	"log/slog"
	"net/http"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/wire"
)

// Config sets a handler up. All fields but Authenticate have a default.
type Config struct {
	// Authenticate says who makes a request. It is required. [Open] lets everybody in.
	Authenticate Authenticate
	// Origin is what the URLs in responses begin with; the prefix of the mount, see
	// [http.StripPrefix], and the path of the API come after it. It has a scheme
	// and a host, such as "https://api.example.com", and may have a path that does
	// not end with a slash. Set it behind a proxy that ends TLS, changes the host,
	// or changes the path:
	//
	//   - The proxy takes a prefix away, so that clients ask for
	//     /webhooks/api/hooks where the handler sees /api/hooks: add the prefix,
	//     "https://api.example.com/webhooks".
	//   - The proxy passes paths on as they are: give no path. If the handler is
	//     mounted at a prefix, that is in the URLs anyway.
	//
	// What a proxy puts before the paths of clients stays in the URLs, as the
	// prefix of the mount. Default: scheme and host of the request.
	Origin string
	// TrustedOrigins are the origins, such as "https://console.example.com", whose
	// pages may change something through the API. The origin of the request itself
	// and that of Origin always may. Requests of other origins' pages get 403, see
	// [Authenticate]. "*" stands for all origins, but only for requests without
	// cookies, Authorization and client certificates, because browsers add these
	// by themselves. TrustedOrigins does not add CORS headers, without which pages
	// of other origins cannot read responses. Default: none.
	TrustedOrigins []string
	// MaxBody bounds the body of a request, in bytes. Default: 1 MiB.
	MaxBody int64
	// Logger gets a line for each request, and the errors that a response must
	// not show. Default: slog.Default().
	Logger *slog.Logger
}

// Authenticate says who makes a request. It may be called concurrently.
//
// An error that wraps [ErrForbidden] gets the status 403, any other 401, both in the form
// of the API; the text goes to the log. An error of the API's own type is sent as it is: see
// the API.
//
// Authenticate may use a cookie. Browsers also send a user's cookies with requests
// that pages of other sites make, unless the cookies are SameSite=Lax or Strict.
// That does not help against pages of siblings, such as blog.example.com for
// api.example.com, which count as the same site. Therefore a request that can
// change something (any method but GET, HEAD and OPTIONS) is refused with 403,
// before Authenticate is called, if it comes from a page of an origin that
// Config.TrustedOrigins does not allow. [http.CrossOriginProtection] says how such
// requests are recognized. Requests without Sec-Fetch-Site and Origin pass,
// because only browsers send these headers.
//
// GET, HEAD and OPTIONS from other origins are served, so Authenticate must not change
// anything because of them. Browsers do not show the response to the page
// unless the application adds CORS headers (Access-Control-Allow-Origin together with
// Access-Control-Allow-Credentials).
type Authenticate func(*http.Request) (Identity, error)

// An Identity is who makes a request, and what for.
type Identity struct {
	// Tenant is the scope of all that the request reads and writes.
	Tenant string
	// Actor names the caller, for the log. It may be empty.
	Actor string
	// Root may name the tenant with each request, instead of Tenant, where the
	// API has a parameter for it: that of package webitel does.
	Root bool
	// Read permits GET and HEAD, Write all other methods.
	Read, Write bool
}

// Open lets everybody read and write in the tenant. It is for tests, and for handlers
// that only the right callers can reach.
func Open(tenant string) Authenticate {
	return func(*http.Request) (Identity, error) {
		return Identity{Tenant: tenant, Read: true, Write: true}, nil
	}
}

// The errors for which an [API] must have a form, besides those of package hooks.
var (
	// ErrNoRoute: the API has no such path. Its status is 404.
	ErrNoRoute = errors.New("no such path")
	// ErrMethodNotAllowed: the path has no such method. Its status is 405; the
	// Allow header is there already.
	ErrMethodNotAllowed = errors.New("method not allowed")
	// ErrUnauthenticated: the caller is not known. Its status is 401.
	ErrUnauthenticated = errors.New("unauthenticated")
	// ErrForbidden: the caller may not do this. Its status is 403.
	ErrForbidden = errors.New("forbidden")
	// ErrBodyTooLarge: the body is larger than Config.MaxBody. Its status is 413.
	ErrBodyTooLarge = errors.New("the body is too large")
	// ErrBodyIncomplete: the body ended too early. Its status is 400.
	ErrBodyIncomplete = errors.New("the body is incomplete")
)

// An API is a set of endpoints and the form of their errors. Its methods may be
// called concurrently.
type API interface {
	// Name is the API's in the log.
	Name() string
	// Routes returns the endpoints.
	Routes() []Route
	// Header returns the header of every response. The ID is the request's.
	Header(requestID string) http.Header
	// Fail returns the response for an error. The errors above and those of package
	// hooks have statuses of their own. Any other error is internal to the application,
	// and gets 500 without its text.
	Fail(r *http.Request, err error) Response
}

// A Route is an endpoint.
type Route struct {
	Method string
	// Path has segments in braces for any value: "/api/hooks/{id}".
	Path string
	// Handle responds to a call, which is authenticated and read. Its errors go
	// through API.Fail.
	Handle func(*Call) (Response, error)
}

// A Call is a request to an endpoint: authenticated, with its body read. The
// Request's PathValue has the values of the path.
type Call struct {
	*http.Request
	Caller Identity
	Body   []byte
	// Base is the URL of the API's root, without a slash at the end:
	// "https://api.example.com/mounted/here". It has no scheme and host if the
	// client named none.
	Base string
}

// A Response is what an endpoint responds with.
type Response struct {
	Status int
	// Header is sent besides what every response has.
	Header http.Header
	// Body becomes JSON. Nil: no body.
	Body any
	// ErrorID names an error to the client. It is for the log.
	ErrorID string
}

const defaultMaxBody = 1 << 20

// New returns the handler of an API. A fault in cfg is a [hooks.InvalidError].
func New(api API, cfg Config) (http.Handler, error) {
	cfg.MaxBody = cmp.Or(cfg.MaxBody, defaultMaxBody)
	cfg.Logger = cmp.Or(cfg.Logger, slog.Default())
	if cfg.Authenticate == nil {
		return nil, &hooks.InvalidError{Field: "config.authenticate", Reason: "must be set; httpadapter.Open lets everybody in"}
	}
	if cfg.MaxBody < 0 {
		return nil, &hooks.InvalidError{Field: "config.maxBody", Reason: "must not be negative"}
	}
	origin, ok := "", true
	if cfg.Origin != "" {
		origin, _, ok = wire.SplitBase(cfg.Origin)
	}
	if !ok {
		return nil, &hooks.InvalidError{Field: "config.origin", Reason: `must be a scheme and a host, such as "https://api.example.com", and may have a path without a slash at its end`}
	}
	crossSite, err := newCrossSite(origin, cfg.TrustedOrigins)
	if err != nil {
		return nil, err
	}
	return &handler{api: api, cfg: cfg, routes: newRoutes(api.Routes()), crossSite: crossSite}, nil
}
