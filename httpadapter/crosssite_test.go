package httpadapter_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks/httpadapter"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/apitest"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/logto"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/okta"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/webitel"
)

// byCookie lets in who has the cookie of a session.
func byCookie(r *http.Request) (httpadapter.Identity, error) {
	if _, err := r.Cookie("session"); err != nil {
		return httpadapter.Identity{}, httpadapter.ErrUnauthenticated
	}
	return httpadapter.Identity{Tenant: "acme", Read: true, Write: true}, nil
}

const evil = "https://evil.example"

// apis returns the APIs of all systems, each over a Manager of its own.
func apis(t *testing.T, cfg httpadapter.Config) map[string]http.Handler {
	t.Helper()
	logtoAPI, err := logto.New(apitest.Idle(t, &logto.Protocol{}), cfg)
	require.NoError(t, err)
	oktaAPI, err := okta.New(apitest.Idle(t, &okta.Protocol{}), okta.Config{Config: cfg})
	require.NoError(t, err)
	webitelAPI, err := webitel.New(apitest.Idle(t, &webitel.Protocol{}), webitel.Config{Config: cfg})
	require.NoError(t, err)
	return map[string]http.Handler{logto.Name: logtoAPI, okta.Name: oktaAPI, webitel.Name: webitelAPI}
}

// A page of another site changes nothing with the cookies of its visitor.
func TestCrossSiteRequestsChangeNothing(t *testing.T) {
	r := newHarness(t, httpadapter.Config{Authenticate: byCookie})
	for name, api := range apis(t, httpadapter.Config{Authenticate: byCookie, Logger: quiet}) {
		s := systems[name]
		made := apitest.NewRequest("POST "+s.path, s.body("x", "https://example.com"), "Cookie: session=1").To(api)
		require.True(t, succeeded(made), made.Body)
		hook := s.path + "/" + s.made(made.Body)[0]
		before := apitest.NewRequest("GET "+s.path, "", "Cookie: session=1").To(api).Body
		for _, route := range api.(interface{ Routes() []httpadapter.Route }).Routes() {
			target := strings.Replace(route.Path, s.path+"/{id}", hook, 1)
			for _, contentType := range []string{"application/json", "text/plain", "application/x-www-form-urlencoded", ""} {
				for _, from := range [][]string{
					{"Sec-Fetch-Site: cross-site", "Origin: " + evil}, {"Sec-Fetch-Site: same-site", "Origin: http://blog.example.com"},
					{"Sec-Fetch-Site: cross-site"}, {"Sec-Fetch-Site: nonsense"}, {"Origin: " + evil}, {"Origin: null"}, {"Origin: http://example.com:81"},
				} {
					headers := append([]string{"Cookie: session=1", "Content-Type: " + contentType}, from...)
					a := apitest.NewRequest(route.Method+" "+target, s.body("y", "https://example.com"), headers...).To(api)
					if route.Method == http.MethodGet {
						assert.NotEqual(t, 403, a.Status, "%s %s", target, headers)
						continue
					}
					assert.Equal(t, 403, a.Status, "%s %s %s: %s", route.Method, target, headers, a.Body)
					forbidden := apitest.NewRequest("POST "+s.path, "", "Sec-Fetch-Site: cross-site").To(api)
					assert.Equal(t, withoutIDs(forbidden.Body), withoutIDs(a.Body), "the API's own form")
				}
			}
		}
		assert.Equal(t, before, apitest.NewRequest("GET "+s.path, "", "Cookie: session=1").To(api).Body, name)
	}
	assert.Equal(t, 403, do(r, "POST", "/things", "", "Cookie: session=1", "Origin: https://evil.example").Code)
	assert.Contains(t, r.log.String(), "Origin does not match Host (Origin: https://evil.example)", "the log says why")
}

// withoutIDs is a body without the ID of an error, which is another each time.
func withoutIDs(body string) string {
	before, after, _ := strings.Cut(body, `"oae`)
	_, after, _ = strings.Cut(after, `"`)
	return before + after
}

// The check comes first: who asks is not even found out.
func TestCrossSiteRequestsAreNotAuthenticated(t *testing.T) {
	for name, api := range apis(t, httpadapter.Config{Logger: quiet, Authenticate: func(*http.Request) (httpadapter.Identity, error) {
		assert.Fail(t, "it was asked who it is")
		return httpadapter.Identity{}, errors.New("nobody")
	}}) {
		assert.Equal(t, 403, apitest.NewRequest("POST "+systems[name].path, "", "Origin: "+evil).To(api).Status, name)
	}
}

func TestTrustedOrigins(t *testing.T) {
	for name, c := range map[string]struct {
		cfg     httpadapter.Config
		headers string
		want    int
	}{
		"an SDK":                           {httpadapter.Config{}, "", 200},
		"a page of its own":                {httpadapter.Config{}, "Sec-Fetch-Site: same-origin|Origin: http://example.com", 200},
		"typed by the user":                {httpadapter.Config{}, "Sec-Fetch-Site: none", 200},
		"an old browser, own page":         {httpadapter.Config{}, "Origin: http://example.com", 200},
		"another site":                     {httpadapter.Config{}, "Origin: " + evil, 403},
		"another port":                     {httpadapter.Config{}, "Origin: http://example.com:8080", 403},
		"own page behind a proxy":          {httpadapter.Config{Origin: "https://API.example.com:443/webhooks"}, "Origin: https://api.example.com", 200},
		"own page, new browser, proxy":     {httpadapter.Config{Origin: "https://api.example.com"}, "Sec-Fetch-Site: cross-site|Origin: https://api.example.com", 200},
		"another scheme behind a proxy":    {httpadapter.Config{Origin: "https://api.example.com"}, "Origin: http://api.example.com", 403},
		"the console":                      {httpadapter.Config{TrustedOrigins: []string{"https://Console.example.com:443"}}, "Sec-Fetch-Site: same-site|Origin: https://console.example.com", 200},
		"beside the console":               {httpadapter.Config{TrustedOrigins: []string{"https://console.example.com"}}, "Sec-Fetch-Site: same-site|Origin: https://x.console.example.com", 403},
		"trusted, but Origin is not there": {httpadapter.Config{TrustedOrigins: []string{"https://console.example.com"}}, "Sec-Fetch-Site: same-site", 403},
		"any, with a token":                {httpadapter.Config{TrustedOrigins: []string{"*"}}, "Origin: " + evil + "|X-Access-Token: T", 200},
		"any, with a cookie":               {httpadapter.Config{TrustedOrigins: []string{"*"}}, "Origin: " + evil + "|Cookie: a=b", 403},
		"any, with a password":             {httpadapter.Config{TrustedOrigins: []string{"*"}}, "Origin: " + evil + "|Authorization: Basic YTpi", 403},
		"any, but one is listed":           {httpadapter.Config{TrustedOrigins: []string{"*", evil}}, "Origin: " + evil + "|Cookie: a=b", 200},
	} {
		var headers []string
		if c.headers != "" {
			headers = strings.Split(c.headers, "|")
		}
		r := newHarness(t, c.cfg)
		assert.Equal(t, c.want, do(r, "POST", "/things", "", headers...).Code, name)
		assert.Equal(t, c.want == 200, do(r, "DELETE", "/things/1", "", headers...).Code == 204, name)
		assert.Equal(t, 200, do(r, "GET", "/things", "", headers...).Code, name)
		assert.Equal(t, 200, do(r, "HEAD", "/things", "", headers...).Code, name)
		assert.Equal(t, 200, do(r, "OPTIONS", "/things", "", headers...).Code, name)
	}
}

// The pages that may use Webitel's API with CORS are trusted.
func TestOriginsOfWebitelAreTrusted(t *testing.T) {
	const pbx = "https://pbx.example.com"
	for name, c := range map[string]struct {
		origins []string
		headers []string
		want    int
	}{
		"not listed":         {nil, []string{"Origin: " + pbx}, 403},
		"listed":             {[]string{pbx}, []string{"Origin: " + pbx, "Cookie: session=1"}, 200},
		"listed differently": {[]string{"https://PBX.example.com:443"}, []string{"Origin: " + pbx}, 200},
		"another":            {[]string{pbx}, []string{"Origin: " + evil}, 403},
		"all":                {[]string{"*"}, []string{"Origin: " + evil}, 200},
		"all, with a cookie": {[]string{"*"}, []string{"Origin: " + evil, "Cookie: session=1"}, 403},
	} {
		api, err := webitel.New(apitest.Idle(t, &webitel.Protocol{}), webitel.Config{
			Config: httpadapter.Config{Authenticate: httpadapter.Open("acme"), Logger: quiet}, Origins: c.origins,
		})
		require.NoError(t, err)
		s := systems[webitel.Name]
		headers := append([]string{"Sec-Fetch-Site: cross-site"}, c.headers...)
		a := apitest.NewRequest("POST "+s.path, s.body("x", "https://example.com"), headers...).To(api)
		assert.Equal(t, c.want, a.Status, name)
		preflight := apitest.NewRequest("OPTIONS "+s.path, "", append(headers, "Access-Control-Request-Method: POST")...).To(api)
		assert.Equal(t, 200, preflight.Status, name)
		allowed := name != "not listed" && name != "another"
		assert.Equal(t, allowed, preflight.Header.Get("Access-Control-Allow-Origin") != "", name)
		assert.Empty(t, preflight.Header.Get("Access-Control-Allow-Credentials"), name)
	}
}

// No cache keeps what a response has, whatever it is.
func TestNoResponseIsKeptByCaches(t *testing.T) {
	cfg := httpadapter.Config{MaxBody: 2000, Logger: quiet, Authenticate: func(r *http.Request) (httpadapter.Identity, error) {
		if r.Header.Get("X-Panic") != "" {
			panic("internals")
		}
		return byCookie(r)
	}}
	for name, api := range apis(t, cfg) {
		path, statuses := systems[name].path, map[int]bool{}
		ask := func(line, body string, headers ...string) apitest.Response {
			a := apitest.NewRequest(line, body, headers...).To(api)
			assert.Contains(t, a.Header.Get("Cache-Control"), "no-store", "%s %s", name, line)
			assert.Len(t, a.Header.Values("Cache-Control"), 1)
			statuses[a.Status] = true
			return a
		}
		const cookie = "Cookie: session=1"
		tag := ask("GET "+path, "", cookie).Header.Get("ETag")
		assert.Equal(t, 304, ask("GET "+path, "", cookie, "If-None-Match: "+tag).Status)
		ask("HEAD "+path, "", cookie)
		assert.Empty(t, ask("HEAD "+path, "", cookie, "If-None-Match: "+tag).Body)
		ask("OPTIONS "+path, "", cookie)
		made := ask("POST "+path, systems[name].body("x", "https://example.com"), cookie)
		ask("DELETE "+path+"/"+systems[name].made(made.Body)[0], "", cookie)
		ask("POST "+path, "{", cookie)
		ask("POST "+path, strings.Repeat("x", 3000), cookie)
		ask("POST "+path, "", "Origin: "+evil)
		ask("GET "+path, "")
		ask("GET /nothing", "")
		ask("TRACE "+path, "")
		ask("GET "+path, "", "X-Panic: 1")
		for _, status := range []int{200, 304, 400, 401, 403, 404, 500} {
			assert.True(t, statuses[status], "%s %d", name, status)
		}
	}
}

// FuzzCrossSite sends any headers of a browser: a request that changes something is
// served only if a trusted page made it, or none.
func FuzzCrossSite(f *testing.F) {
	for _, seed := range [][2]string{
		{"", ""}, {"same-origin", evil}, {"none", ""}, {"cross-site", "https://console.example.com"}, {"", evil}, {"same-site", "null"},
		{"", "http://example.com"}, {"", "http://example.com:80"}, {"Same-Origin", "https://console.example.com:443"}, {" ", "\x00"}, {"", "//example.com"},
	} {
		f.Add(seed[0], seed[1], true)
	}
	api, err := httpadapter.New(echo{}, httpadapter.Config{
		Authenticate: httpadapter.Open("acme"), Logger: quiet, TrustedOrigins: []string{"https://console.example.com"},
	})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, site, origin string, hasOrigin bool) {
		r := httptest.NewRequest("DELETE", "/things/1", nil)
		r.Header["Sec-Fetch-Site"] = []string{site}
		if hasOrigin {
			r.Header["Origin"] = []string{origin}
		}
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		require.Contains(t, []int{204, 403}, w.Code)
		if w.Code == 403 {
			return
		}
		from, err := url.Parse(origin)
		own := site == "" && (!hasOrigin || origin == "" || err == nil && from.Host == "example.com")
		trusted := hasOrigin && origin == "https://console.example.com"
		assert.True(t, own || trusted || site == "same-origin" || site == "none", "%q %q", site, origin)
	})
}
