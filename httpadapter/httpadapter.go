// Package httpadapter is what the REST APIs in its subpackages have in common:
// each mounts the documented endpoints of one webhook system into the host's
// mux, over a [hooks.Manager].
//
//	api, err := logto.New(manager, httpadapter.Config{Authenticate: whoAsks})
//	…
//	httpadapter.Mount(mux, api)
//
// A handler serves the paths that its package documents. It does so at the root of
// a mux, behind [http.StripPrefix], and beside other handlers. Letter case and empty
// segments of a path do not matter to it: "/aPi//hooks/" is "/api/hooks". They do to
// a router in front of it: [Mount] says what a [http.ServeMux] lets through. A path or
// a method that the API lacks is answered in the API's own form, the method with an
// Allow header.
//
// Each request is bounded in size, gets an ID (X-Request-Id, the client's if it
// sent a plausible one), and leaves one line in the log, which has neither query
// nor body, and at most 512 bytes of each text that the client chose. An answer has
// nothing of the host's errors: those are in the log, under the ID. Bodies are JSON.
// Answers must not be kept by caches (Cache-Control: no-store), because they have
// signing keys and headers in them; that to a GET has an ETag, for clients that keep
// it themselves and ask whether it has changed.
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

// Config sets a handler up. All but Authenticate has a default.
type Config struct {
	// Authenticate says who asks. It is required: [Open] lets everybody in.
	Authenticate Authenticate
	// Origin is what the URLs in answers begin with; the prefix of the mount, see
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
	// TrustedOrigins are the origins, such as "https://console.example.com",
	// whose pages may change something through the API, beside its own: that of
	// the request, and that of Origin. Browsers say which origin a page has, and
	// requests of others are answered with 403, see [Authenticate]. "*" stands for
	// all, as long as their requests have no cookie, no Authorization and no client
	// certificate, which browsers add by themselves. This is no CORS: to let
	// pages read answers is up to the host. Default: none.
	TrustedOrigins []string
	// MaxBody bounds the body of a request, in bytes. Default: 1 MiB.
	MaxBody int64
	// Logger gets a line for each request, and the errors that an answer must
	// not show. Default: slog.Default().
	Logger *slog.Logger
}

// Authenticate says who makes a request. It may be called concurrently.
//
// An error that wraps [ErrForbidden] is answered with 403, any other with 401,
// both in the form of the API; the text goes to the log. An error of the API's
// own type is answered as it is: see the API.
//
// It may go by a cookie. A browser sends the cookies of its user with what a page
// of another site makes it ask, too, unless they are SameSite=Lax or Strict; that
// of a sibling, such as blog.example.com for api.example.com, counts as the same
// site. Therefore requests that can change something (all but GET, HEAD and OPTIONS)
// and come from a page of an origin that is not trusted are refused, with 403,
// before Authenticate is called: [http.CrossOriginProtection] says how they are
// recognized, and Config.TrustedOrigins which are trusted. Clients that are no
// browsers send neither Sec-Fetch-Site nor Origin, and pass. What reads is answered
// to all who may read: browsers keep the answer from pages of other origins, unless
// the host lets them have it with CORS headers (Access-Control-Allow-Origin together
// with Access-Control-Allow-Credentials). So an Authenticate must not change
// anything because of a GET.
type Authenticate func(*http.Request) (Identity, error)

// An Identity is who makes a request, and what for.
type Identity struct {
	// Tenant is the scope of all that the request reads and writes.
	Tenant string
	// Actor names who asks, for the log. It may be empty.
	Actor string
	// Root may name the tenant with each request, instead of Tenant, where the
	// API has a parameter for it: that of package webitel does.
	Root bool
	// Read permits GET and HEAD, Write all other methods.
	Read, Write bool
}

// Open lets everybody read and write in the tenant: for handlers that nobody
// but those who may can reach, and for tests.
func Open(tenant string) Authenticate {
	return func(*http.Request) (Identity, error) {
		return Identity{Tenant: tenant, Read: true, Write: true}, nil
	}
}

// The errors that an [API] must find a form for, beside those of package hooks.
var (
	// ErrNoRoute: the API has no such path. Its status is 404.
	ErrNoRoute = errors.New("no such path")
	// ErrMethodNotAllowed: the path has no such method. Its status is 405; the
	// Allow header is there already.
	ErrMethodNotAllowed = errors.New("method not allowed")
	// ErrUnauthenticated: it is not known who asks. Its status is 401.
	ErrUnauthenticated = errors.New("unauthenticated")
	// ErrForbidden: who asks may not do this. Its status is 403.
	ErrForbidden = errors.New("forbidden")
	// ErrBodyTooLarge: the body is larger than Config.MaxBody. Its status is 413.
	ErrBodyTooLarge = errors.New("the body is too large")
	// ErrBodyIncomplete: the body broke off. Its status is 400.
	ErrBodyIncomplete = errors.New("the body is incomplete")
)

// An API is a set of endpoints and the form of their errors. Its methods may be
// called concurrently.
type API interface {
	// Name is the API's in the log.
	Name() string
	// Routes returns the endpoints.
	Routes() []Route
	// Header returns what every answer has. The ID is the request's.
	Header(requestID string) http.Header
	// Fail puts an error into the form of the API. The errors above and those
	// of package hooks have statuses of their own; any other error is the
	// host's affair and answered with 500 and without its text.
	Fail(r *http.Request, err error) Answer
}

// A Route is an endpoint.
type Route struct {
	Method string
	// Path has segments in braces for any value: "/api/hooks/{id}".
	Path string
	// Handle answers a call, which is authenticated and read. Its errors go
	// through API.Fail.
	Handle func(*Call) (Answer, error)
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

// An Answer is what an endpoint answers.
type Answer struct {
	Status int
	// Header is sent besides what every answer has.
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
