package httpadapter_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks/httpadapter"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/apitest"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/webitel"
)

// host is a mux with handlers of the application's own, which tell their patterns.
type host struct{ *http.ServeMux }

func (h host) handle(patterns ...string) {
	for _, pattern := range patterns {
		h.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "host "+pattern) })
	}
}

// Each of these hosts has all APIs as well: every endpoint, in the letter case and
// with the slash that clients use, and the APIs' own responses to methods they lack.
func TestMountBesideTheApplication(t *testing.T) {
	hosts := map[string]struct {
		before, after []string
		// own are requests that stay the application's, and the pattern that has them.
		own map[string]string
	}{
		"nothing":      {nil, nil, nil},
		"a catch-all":  {[]string{"/"}, nil, map[string]string{"GET /api": "/", "POST /else": "/"}},
		"pages":        {[]string{"GET /"}, nil, map[string]string{"GET /api/hook": "GET /", "GET /": "GET /"}},
		"pages, later": {nil, []string{"GET /"}, map[string]string{"GET /api/hook": "GET /"}},
		"a rest":       {[]string{"GET /{path...}"}, nil, map[string]string{"GET /api/else": "GET /{path...}"}},
		"a rest, later": {nil, []string{"GET /{path...}", "GET /healthz"},
			map[string]string{"GET /api/else": "GET /{path...}", "GET /healthz": "GET /healthz"}},
		"an API of its own": {[]string{"POST /api/{x}", "GET /api/{x}", "/api/"}, nil,
			map[string]string{"POST /api/users": "POST /api/{x}", "GET /api/v1/users": "/api/"}},
		"an API of its own, later": {nil, []string{"POST /api/{x}", "/api/{x}", "/api/{rest...}"},
			map[string]string{"POST /api/users": "POST /api/{x}", "PUT /api/a/b": "/api/{rest...}"}},
		"tenants in the path": {[]string{"/{tenant}/hooks/{id}", "GET /{a}/{b}/{c}/{d}"}, nil,
			map[string]string{"GET /acme/hooks/1": "/{tenant}/hooks/{id}"}},
		"a page below": {[]string{"GET /api/hooks/documentation"}, nil,
			map[string]string{"GET /api/hooks/documentation": "GET /api/hooks/documentation"}},
	}
	for name, c := range hosts {
		t.Run(name, func(t *testing.T) {
			h := host{http.NewServeMux()}
			h.handle(c.before...)
			all := apis(t, httpadapter.Config{Authenticate: httpadapter.Open("acme"), Logger: quiet})
			for _, api := range all {
				httpadapter.Mount(h.ServeMux, api)
			}
			h.handle(c.after...)
			for line, pattern := range c.own {
				assert.Equal(t, "host "+pattern, apitest.NewRequest(line, "").To(h).Body, line)
			}
			for system, api := range all {
				checkMounted(t, h, api, systems[system], name != "tenants in the path")
			}
		})
	}
}

// checkMounted makes a hook through the mux and asks for each endpoint in the
// spellings that clients use; the mux has to respond as the handler itself does.
func checkMounted(t *testing.T, h http.Handler, api http.Handler, s system, whole bool) {
	t.Helper()
	made := apitest.NewRequest("POST "+s.path, s.body("x", "https://example.com")).To(h)
	require.True(t, succeeded(made), made.Body)
	hook := s.path + "/" + s.made(made.Body)[0]
	same := func(line string) {
		t.Helper()
		want, got := apitest.NewRequest(line, "{").To(api), apitest.NewRequest(line, "{").To(h)
		assert.Equal(t, want.Status, got.Status, line)
		assert.Equal(t, withoutIDs(want.Body), withoutIDs(got.Body), line)
		assert.Equal(t, want.Header.Values("Allow"), got.Header.Values("Allow"), line)
	}
	root := s.path[strings.LastIndex(s.path, "/")+1:]
	title := strings.ToUpper(root[:1]) + root[1:]
	spellings := []string{s.path, s.path + "/", strings.ToLower(s.path), strings.ToUpper(s.path), "/api" + strings.TrimPrefix(s.path, "/api"),
		strings.Replace(s.path, root, title, 1) + "/", strings.Replace(strings.Replace(s.path, root, title, 1), "/api", "/Api", 1)}
	for _, path := range spellings {
		same("GET " + path)
		same("HEAD " + path)
		same("POST " + path)
		for _, method := range []string{"PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} {
			same(method + " " + path)
		}
	}
	for _, route := range api.(interface{ Routes() []httpadapter.Route }).Routes() {
		if path, ok := strings.CutPrefix(route.Path, s.path+"/{id}"); ok {
			same(route.Method + " " + s.path + "/unknown" + path)
			same(route.Method + " " + s.path + "/unknown" + path + "/")
		}
	}
	if whole { // The mux has room for all that is below the root.
		for _, line := range []string{"POST " + hook, "GET " + hook + "/a/b/c", "DELETE " + hook + "/recent-logs/", "OPTIONS " + hook, "GET " + hook + "%2Fb"} {
			same(line)
		}
		same("GET " + hook)
		same("GET " + strings.ToUpper(s.path) + "/nothing/RECENT-LOGS/")
	}
}

func TestMountBelowAPrefix(t *testing.T) {
	for name, mount := range map[string]func(*http.ServeMux, http.Handler){
		"MountAt": func(mux *http.ServeMux, api http.Handler) { httpadapter.MountAt(mux, "/web/Hooks", api) },
		"a mux behind StripPrefix": func(mux *http.ServeMux, api http.Handler) {
			inner := http.NewServeMux()
			httpadapter.Mount(inner, api)
			for _, method := range []string{"GET", "POST", "PUT", "DELETE"} {
				mux.Handle(method+" /web/Hooks/", http.StripPrefix("/web/Hooks", inner))
			}
		},
	} {
		h := host{http.NewServeMux()}
		h.handle("GET /")
		mount(h.ServeMux, newHarness(t, httpadapter.Config{}).Handler)
		for _, target := range []string{"/web/Hooks/things", "/web/Hooks/things/", "/web/Hooks/Things/a%2Fb", "/web/Hooks/THINGS/a/"} {
			var got shown
			require.NoError(t, json.Unmarshal(do(h, "GET", target, "").Body.Bytes(), &got), name+target)
			assert.Equal(t, "http://example.com/web/Hooks", got.Base, name)
		}
		assert.Equal(t, 405, do(h, "PUT", "/web/Hooks/things", "").Code, name)
		assert.Equal(t, "host GET /", do(h, "GET", "/things", "").Body.String(), name)
	}
}

// Patterns with a host name hide those without, so the API gets one as well.
func TestMountBelowAHostName(t *testing.T) {
	h, api := host{http.NewServeMux()}, newHarness(t, httpadapter.Config{}).Handler
	h.handle("example.com/")
	httpadapter.Mount(h.ServeMux, api)
	assert.Equal(t, "host example.com/", do(h, "GET", "/things", "").Body.String())
	inner := http.NewServeMux()
	httpadapter.Mount(inner, api)
	h.Handle("example.com/things", inner)
	assert.Contains(t, do(h, "GET", "/things", "").Body.String(), "http://example.com")
}

func TestMountRefuses(t *testing.T) {
	api := newHarness(t, httpadapter.Config{}).Handler
	message := func(mount func()) (text string) {
		defer func() { text, _ = recover().(string) }()
		mount()
		return ""
	}
	assert.Contains(t, message(func() { httpadapter.Mount(http.NewServeMux(), http.NotFoundHandler()) }), "httpadapter.New made")
	assert.Contains(t, message(func() { httpadapter.Mount(http.NewServeMux(), http.StripPrefix("/a", api)) }), "http.HandlerFunc")
	assert.Contains(t, message(func() { httpadapter.Mount(http.NewServeMux(), nil) }), "httpadapter.New made")
	for _, prefix := range []string{"a", "/", "/a/", "/{a}", "/a b", "/a%20b"} {
		assert.Contains(t, message(func() { httpadapter.MountAt(http.NewServeMux(), prefix, api) }), "prefix", prefix)
	}
	mux := http.NewServeMux()
	httpadapter.Mount(mux, api)
	assert.Panics(t, func() { httpadapter.Mount(mux, api) }, "twice")
	taken := host{http.NewServeMux()}
	taken.handle("GET /things/{other}")
	assert.Panics(t, func() { httpadapter.Mount(taken.ServeMux, api) }, "the application has the endpoint")
	crossing := host{http.NewServeMux()}
	crossing.handle("GET /{any}/recent")
	assert.Panics(t, func() { httpadapter.Mount(crossing.ServeMux, api) }, "both have /things/recent")
}

// The handlers of all packages can be mounted, also Webitel's with CORS.
func TestMountTakesAllHandlers(t *testing.T) {
	cfg := httpadapter.Config{Authenticate: httpadapter.Open("acme"), Logger: quiet}
	mux := http.NewServeMux()
	api, err := webitel.New(apitest.Idle(t, &webitel.Protocol{}), webitel.Config{Config: cfg, Origins: []string{evil}})
	require.NoError(t, err)
	httpadapter.Mount(mux, api)
	a := apitest.NewRequest("OPTIONS /api/v2/hooks/", "", "Origin: "+evil).To(mux)
	assert.Equal(t, evil, a.Header.Get("Access-Control-Allow-Origin"))
	assert.Equal(t, 200, a.Status)
}
