package httpadapter_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter"
)

// An echo is an API that shows what it gets.
type echo struct{}

type shown struct {
	Base, Tenant, Actor, ID, Body string
}

func (echo) Name() string { return "echo" }

func (echo) Header(id string) http.Header {
	return http.Header{"X-Echo-Request-Id": {id}, "X-Shown": {"no"}}
}

func (echo) Routes() []httpadapter.Route {
	show := func(c *httpadapter.Call) (httpadapter.Response, error) {
		return httpadapter.Response{
			Status: 200, Header: http.Header{"x-shown": {"yes"}},
			Body: shown{c.Base, c.Caller.Tenant, c.Caller.Actor, c.PathValue("id"), string(c.Body)},
		}, nil
	}
	fail := func(c *httpadapter.Call) (httpadapter.Response, error) {
		switch c.PathValue("how") {
		case "panic":
			panic("the internals")
		case "hint":
			return httpadapter.Response{}, teapot{&hooks.InvalidError{Field: "url", Reason: "must be https", Hint: "Config.AllowHTTP permits it"}}
		case "json":
			return httpadapter.Response{Status: 200, Body: func() {}}, nil
		}
		return httpadapter.Response{}, errors.New("the internals")
	}
	return []httpadapter.Route{
		{Method: "GET", Path: "/things", Handle: show},
		{Method: "POST", Path: "/things", Handle: show},
		{Method: "GET", Path: "/things/{id}", Handle: show},
		{Method: "DELETE", Path: "/things/{id}", Handle: func(*httpadapter.Call) (httpadapter.Response, error) {
			return httpadapter.Response{Status: 204}, nil
		}},
		{Method: "POST", Path: "/fail/{how}", Handle: fail},
	}
}

// A teapot is an error of the API's own.
type teapot struct{ error }

func (t teapot) Unwrap() error { return t.error }

func (echo) Fail(_ *http.Request, err error) httpadapter.Response {
	status := 500
	for known, s := range map[error]int{
		httpadapter.ErrNoRoute: 404, httpadapter.ErrMethodNotAllowed: 405, httpadapter.ErrUnauthenticated: 401,
		httpadapter.ErrForbidden: 403, httpadapter.ErrBodyTooLarge: 413, httpadapter.ErrBodyIncomplete: 400,
	} {
		if errors.Is(err, known) {
			status = s
		}
	}
	if errors.As(err, new(teapot)) {
		status = 418
	}
	return httpadapter.Response{Status: status, Body: map[string]int{"failed": status}, ErrorID: "err1"}
}

// A harness is the API and what it logs.
type harness struct {
	http.Handler
	log bytes.Buffer
}

func newHarness(t *testing.T, cfg httpadapter.Config) *harness {
	t.Helper()
	r := &harness{}
	cfg.Logger = slog.New(slog.NewTextHandler(&r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if cfg.Authenticate == nil {
		cfg.Authenticate = httpadapter.Open("acme")
	}
	var err error
	r.Handler, err = httpadapter.New(echo{}, cfg)
	require.NoError(t, err)
	return r
}

// do makes a request; headers are given as "Name: value".
func do(h http.Handler, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestNewChecksItsConfig(t *testing.T) {
	open := httpadapter.Open("")
	for field, cfg := range map[string]httpadapter.Config{
		"config.authenticate":      {},
		"config.maxBody":           {Authenticate: open, MaxBody: -1},
		"config.origin":            {Authenticate: open, Origin: "https://example.com/path/"},
		"config.trustedOrigins[1]": {Authenticate: open, TrustedOrigins: []string{"*", "https://example.com/path"}},
	} {
		_, err := httpadapter.New(echo{}, cfg)
		var invalid *hooks.InvalidError
		require.ErrorAs(t, err, &invalid, field)
		assert.Equal(t, field, invalid.Field)
	}
	for _, origin := range []string{"example.com", "ftp://example.com", "https://", "https://u@example.com", "https://example.com?q", "//example.com", ":"} {
		_, err := httpadapter.New(echo{}, httpadapter.Config{Authenticate: open, Origin: origin})
		assert.Error(t, err, origin)
		_, err = httpadapter.New(echo{}, httpadapter.Config{Authenticate: open, TrustedOrigins: []string{origin}})
		assert.Error(t, err, origin)
	}
	for _, path := range []string{"/", "/a/", "//a", "/a//b", "/a/../b", "/./a", "/%2e%2e/a", "/a?q", "/a#f", "/a b", "/ä", "/a?", "/a\n"} {
		_, err := httpadapter.New(echo{}, httpadapter.Config{Authenticate: open, Origin: "https://example.com" + path})
		assert.Error(t, err, path)
	}
}

func TestWhoMayDoWhat(t *testing.T) {
	identity := httpadapter.Identity{Tenant: "acme", Actor: "ada"}
	reader, writer := identity, identity
	reader.Read, writer.Write = true, true
	for name, c := range map[string]struct {
		who                     httpadapter.Identity
		err                     error
		get, head, post, delete int
	}{
		"a reader":            {reader, nil, 200, 200, 403, 403},
		"a writer":            {writer, nil, 403, 403, 200, 204},
		"neither":             {identity, nil, 403, 403, 403, 403},
		"unknown":             {identity, errors.New("who?"), 401, 401, 401, 401},
		"unauthenticated":     {identity, httpadapter.ErrUnauthenticated, 401, 401, 401, 401},
		"forbidden":           {identity, fmt.Errorf("scope: %w", httpadapter.ErrForbidden), 403, 403, 403, 403},
		"an error of the API": {identity, fmt.Errorf("tea: %w", teapot{errors.New("short and stout")}), 418, 418, 418, 418},
	} {
		r := newHarness(t, httpadapter.Config{Authenticate: func(*http.Request) (httpadapter.Identity, error) { return c.who, c.err }})
		assert.Equal(t, c.get, do(r, "GET", "/things", "").Code, name)
		assert.Equal(t, c.head, do(r, "HEAD", "/things", "").Code, name)
		assert.Equal(t, c.post, do(r, "POST", "/things", "").Code, name)
		assert.Equal(t, c.delete, do(r, "DELETE", "/things/1", "").Code, name)
		if c.get == 200 {
			var got shown
			require.NoError(t, json.Unmarshal(do(r, "GET", "/things", "").Body.Bytes(), &got))
			assert.Equal(t, "acme ada", got.Tenant+" "+got.Actor)
		} else {
			assert.Contains(t, r.log.String(), "error=", "the log says why")
		}
	}
}

func TestRoutes(t *testing.T) {
	r := newHarness(t, httpadapter.Config{})
	for _, c := range []struct {
		line  string
		want  int
		id    string
		allow string
	}{
		{"GET /things", 200, "", ""},
		{"GET /things/", 200, "", ""},
		{"GET /THINGS", 200, "", ""},
		{"GET /things/a", 200, "a", ""},
		{"GET /Things/Ab/", 200, "Ab", ""},
		{"GET /things/a%2Fb%20c", 200, "a/b c", ""},
		{"GET /things/%41", 200, "A", ""},
		{"GET //things//", 200, "", ""},
		{"GET /things//a", 200, "a", ""},
		{"GET /things/a/b", 404, "", ""},
		{"GET /", 404, "", ""},
		{"GET /thing", 404, "", ""},
		{"OPTIONS /nothing", 404, "", ""},
		{"PUT /things", 405, "", "GET, HEAD, OPTIONS, POST"},
		{"POST /things/a", 405, "", "DELETE, GET, HEAD, OPTIONS"},
		{"GET /fail/x", 405, "", "OPTIONS, POST"},
		{"get /things", 405, "", "GET, HEAD, OPTIONS, POST"},
		{"OPTIONS /things/a", 200, "", "DELETE, GET, HEAD, OPTIONS"},
	} {
		method, target, _ := strings.Cut(c.line, " ")
		w := do(r, method, target, "")
		assert.Equal(t, c.want, w.Code, c.line)
		assert.Equal(t, c.allow, w.Header().Get("Allow"), c.line)
		if c.want == 200 && method == "GET" {
			var got shown
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got), c.line)
			assert.Equal(t, c.id, got.ID, c.line)
			assert.Equal(t, "yes", w.Header().Get("X-Shown"))
		}
		if c.want >= 400 {
			assert.JSONEq(t, fmt.Sprintf(`{"failed":%d}`, c.want), w.Body.String(), c.line)
		}
	}
}

// The API works wherever the application mounts it, and knows where that is.
func TestMounts(t *testing.T) {
	api := newHarness(t, httpadapter.Config{})
	behindProxy := newHarness(t, httpadapter.Config{Origin: "https://api.example.com"})
	stripped := newHarness(t, httpadapter.Config{Origin: "http://api.example.com:8080/web/hooks"})
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "the host") })
	mux.Handle("/things", api)
	mux.Handle("/things/", api)
	mux.Handle("/a/b/", http.StripPrefix("/a/b", api))
	mux.Handle("/proxied/", http.StripPrefix("/proxied", behindProxy))
	mux.Handle("/stripped/", http.StripPrefix("/stripped", stripped))
	mux.Handle("/fail/", stripped)
	mux.Handle("/THINGS", stripped)
	plain, secure := httptest.NewServer(mux), httptest.NewTLSServer(mux)
	defer plain.Close()
	defer secure.Close()
	for target, base := range map[string]string{
		plain.URL + "/things/x?q=1":             plain.URL,
		plain.URL + "/a/b/things/x":             plain.URL + "/a/b",
		plain.URL + "/a/b/things/x%2Fy?q=1":     plain.URL + "/a/b",
		secure.URL + "/a/b/things":              secure.URL + "/a/b",
		secure.URL + "/proxied/things/x/?page=": "https://api.example.com/proxied",
		plain.URL + "/THINGS":                   "http://api.example.com:8080/web/hooks",
		plain.URL + "/stripped/things":          "http://api.example.com:8080/web/hooks/stripped",
	} {
		res, err := secure.Client().Get(target)
		require.NoError(t, err)
		var got shown
		require.NoError(t, json.NewDecoder(res.Body).Decode(&got), target)
		require.NoError(t, res.Body.Close())
		assert.Equal(t, base, got.Base, target)
	}
	res, err := http.Get(plain.URL + "/else")
	require.NoError(t, err)
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	assert.Equal(t, "the host", string(body))

	r := httptest.NewRequest("GET", "/things", nil)
	r.Host = ""
	w := httptest.NewRecorder()
	api.ServeHTTP(w, r)
	assert.Contains(t, w.Body.String(), `"Base":""`, "the client named no host")
}

func TestBodies(t *testing.T) {
	r := newHarness(t, httpadapter.Config{MaxBody: 10})
	w := do(r, "POST", "/things", "<>&\u00e9éé")
	assert.Equal(t, 200, w.Code)
	assert.Contains(t, w.Body.String(), `"<>&ééé"`, "without escapes")
	assert.Equal(t, "application/json; charset=utf-8", w.Header().Get("Content-Type"))
	assert.Equal(t, 413, do(r, "POST", "/things", "01234567890").Code)
	assert.Equal(t, 413, do(newHarness(t, httpadapter.Config{}), "POST", "/things", strings.Repeat("x", 1<<20+1)).Code)
	assert.Equal(t, 200, do(newHarness(t, httpadapter.Config{}), "POST", "/things", strings.Repeat("x", 1<<20)).Code)

	broken := httptest.NewRequest("POST", "/things", io.MultiReader(strings.NewReader("x"), iotest.ErrReader(errors.New("connection reset"))))
	w = httptest.NewRecorder()
	r.ServeHTTP(w, broken)
	assert.Equal(t, 400, w.Code)

	none, err := http.NewRequest("POST", "/things", nil)
	require.NoError(t, err)
	w = httptest.NewRecorder()
	r.ServeHTTP(w, none)
	assert.Equal(t, 200, w.Code)

	w = do(r, "DELETE", "/things/1", "")
	assert.Equal(t, 204, w.Code)
	assert.Empty(t, w.Body.String())
	assert.Empty(t, w.Header().Get("Content-Type"))
	get, head := do(r, "GET", "/things", ""), do(r, "HEAD", "/things", "")
	assert.Empty(t, head.Body.String())
	for _, name := range []string{"Content-Length", "Content-Type", "ETag"} {
		assert.Equal(t, get.Header().Get(name), head.Header().Get(name), name)
	}
}

func TestETags(t *testing.T) {
	r := newHarness(t, httpadapter.Config{})
	tag := do(r, "GET", "/things", "").Header().Get("ETag")
	require.Regexp(t, `^"[^"]+"$`, tag)
	assert.Equal(t, tag, do(r, "GET", "/things", "").Header().Get("ETag"))
	assert.NotEqual(t, tag, do(r, "GET", "/things/other", "").Header().Get("ETag"))
	assert.Empty(t, do(r, "POST", "/things", "").Header().Get("ETag"))
	for _, match := range []string{tag, "W/" + tag, "*", `"other", ` + tag, `"other",W/` + tag} {
		w := do(r, "GET", "/things", "", "If-None-Match: "+match)
		assert.Equal(t, 304, w.Code, match)
		assert.Empty(t, w.Body.String(), match)
		assert.Equal(t, tag, w.Header().Get("ETag"), match)
	}
	assert.Equal(t, 304, do(r, "GET", "/things", "", `If-None-Match: "x"`, "If-None-Match: "+tag).Code)
	for _, match := range []string{`"other"`, strings.Trim(tag, `"`), ""} {
		assert.Equal(t, 200, do(r, "GET", "/things", "", "If-None-Match: "+match).Code, match)
	}
	assert.Equal(t, 200, do(r, "POST", "/things", "", "If-None-Match: *").Code)
}

func TestRequestIDs(t *testing.T) {
	r := newHarness(t, httpadapter.Config{})
	w := do(r, "GET", "/things", "", "X-Request-Id: from-the-client")
	assert.Equal(t, "from-the-client", w.Header().Get("X-Request-Id"))
	assert.Contains(t, r.log.String(), "request=from-the-client")
	assert.NotContains(t, r.log.String(), "errorID")
	assert.Equal(t, "from-the-client", w.Header().Get("X-Echo-Request-Id"), "the API's own header")
	assert.Equal(t, "yes", w.Header().Get("X-Shown"), "the response's own header wins")
	for _, bad := range []string{"", "a b", "a\u00e9", strings.Repeat("x", 129)} {
		id := do(r, "GET", "/nothing", "", "X-Request-Id: "+bad).Header().Get("X-Request-Id")
		assert.Len(t, id, 36, bad)
		assert.Contains(t, r.log.String(), "request="+id)
		assert.Contains(t, r.log.String(), "errorID=err1")
	}
}

// Internal errors are in the log, and only there.
func TestInternalErrorsStayInside(t *testing.T) {
	for _, how := range []string{"error", "panic", "json"} {
		r := newHarness(t, httpadapter.Config{})
		w := do(r, "POST", "/fail/"+how+"?the=query", "the body")
		assert.Equal(t, 500, w.Code, how)
		assert.JSONEq(t, `{"failed":500}`, w.Body.String(), how)
		log := r.log.String()
		assert.Contains(t, log, "level=ERROR", how)
		assert.Contains(t, log, "request="+w.Header().Get("X-Request-Id"), how)
		assert.NotContains(t, log, "the=query")
		assert.NotContains(t, log, "the body")
		if how == "json" {
			assert.Contains(t, log, "unsupported type")
			continue
		}
		assert.Contains(t, log, "the internals", how)
		if how == "panic" {
			assert.Contains(t, log, "httpadapter_test.go", "the stack")
			assert.Contains(t, log, `error="panic: the internals" stack=`)
		}
	}
}

func TestTheAccessLog(t *testing.T) {
	r := newHarness(t, httpadapter.Config{Authenticate: func(*http.Request) (httpadapter.Identity, error) {
		return httpadapter.Identity{Tenant: "acme", Actor: "ada", Read: true}, nil
	}})
	do(r, "GET", "/things/x?secret=1", "hidden", "Authorization: Bearer hidden")
	log := r.log.String()
	assert.Equal(t, 1, strings.Count(log, "\n"))
	for _, part := range []string{"level=INFO", "api=echo", "method=GET", "path=/things/x ", "status=200", "took=", "tenant=acme", "actor=ada"} {
		assert.Contains(t, log, part)
	}
	assert.NotContains(t, log, "secret")
	assert.NotContains(t, log, "hidden")
}

// A line of the log is short and printable whatever a client sends, and handlers of
// other formats get the same.
func TestTheAccessLogIsBounded(t *testing.T) {
	long := strings.Repeat("\u00e9", 500_000)
	denied := fmt.Errorf("bad token %q and \x1b[31m%s: %w", "\n", long, httpadapter.ErrUnauthenticated)
	for name, c := range map[string]struct {
		method, path string
		err          error
		want         []string
	}{
		"a long path":        {"GET", "/things/" + url.PathEscape(long), nil, []string{`"/things/` + strings.Repeat("\u00e9", 250) + `…"`}},
		"a long method":      {strings.Repeat("M", 900_000), "/things", nil, []string{`"` + strings.Repeat("M", 509) + `…"`}},
		"control characters": {"GET", "/things/%0Aa%1B%5B31m%07%E2%80%AE%FF%7F", nil, []string{`"/things/\\na\\x1b[31m\\a\\u202e\\xff\\x7f"`}},
		"an error":           {"GET", "/things", denied, []string{`bad token \"\\n\" and \\x1b[31mé`}},
		"a tenant":           {"GET", "/things", nil, []string{`"tenant":"a\\nb"`, `"actor":"` + strings.Repeat("\u00e9", 254) + `…"`}},
	} {
		var log bytes.Buffer
		h, err := httpadapter.New(echo{}, httpadapter.Config{
			Logger: slog.New(slog.NewJSONHandler(&log, nil)),
			Authenticate: func(*http.Request) (httpadapter.Identity, error) {
				return httpadapter.Identity{Tenant: "a\nb", Actor: long, Read: true, Write: true}, c.err
			},
		})
		require.NoError(t, err)
		do(h, c.method, c.path, "")
		assert.Less(t, log.Len(), 8000, name)
		for _, want := range c.want {
			assert.Contains(t, log.String(), want, name)
		}
	}
}

// What would permit refused input is for the application alone.
func TestTheLogHasTheHint(t *testing.T) {
	r := newHarness(t, httpadapter.Config{})
	w := do(r, "POST", "/fail/hint", "")
	assert.NotContains(t, w.Body.String(), "Config")
	assert.Contains(t, r.log.String(), "Config.AllowHTTP permits it")
}
