package okta_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
	"github.com/seed-2c6e3a5a/hooks/httpadapter"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/apitest"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/okta"
	"github.com/seed-2c6e3a5a/hooks/memory"
)

var (
	request = apitest.NewRequest

	madeID    = regexp.MustCompile(`who[0-9A-Za-z]{17}`)
	madeError = regexp.MustCompile(`oae[\w-]{22}`)
	requestID = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
)

// TestResponses compares whole responses with testdata/responses.golden: each response of
// each endpoint, and each error of Okta's that the API knows.
func TestResponses(t *testing.T) {
	golden := &apitest.Golden{
		Headers: []string{
			"Allow", "Cache-Control", "Content-Type", "Date",
			"X-Okta-Request-Id", "X-Rate-Limit-Limit", "X-Rate-Limit-Remaining", "X-Rate-Limit-Reset",
		},
		Hide: func(s string) string {
			s = madeID.ReplaceAllString(s, "{new}")
			s = madeError.ReplaceAllString(s, "{error}")
			return requestID.ReplaceAllString(s, "{request}")
		},
	}
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, func(cfg *hooks.Config, api *okta.Config) {
			cfg.Catalogue = []hooks.EventType{{Name: "a.b"}, {Name: "c.d"}, {Name: "e.f"}}
			api.MaxActive, api.MaxEventTypes = 2, 2
		})
		r := c.challenged()
		made := c.create(body("first", "a.b", r.URL, "", ""))
		time.Sleep(time.Second) // The list is in the order of creation.
		c.create(body("silent", "a.b", c.network.Receiver(t, "silent.example", hookstest.Hang()).URL, "", ""))
		time.Sleep(time.Second)
		resting := c.create(body("resting", "a.b", r.URL, "", `,"status":"INACTIVE"`))
		other, err := c.Register(t.Context(), hooks.Hook{ID: "other", Tenant: "acme", URL: "https://example.com", Events: []string{"*"}})
		require.NoError(t, err)
		golden.Names = map[string]string{"{id}": made.ID, "{resting}": resting.ID}

		const hook, verify = path + "/{id}", path + "/{id}/lifecycle/verify"
		full := body("first", "a.b,c.d", r.URL, `,"headers":[{"key":"X-B","value":"2"},{"key":"X-A","value":""}],"authScheme":{"type":"HEADER","key":"Authorization","value":"secret"}`,
			`,"description":"says it","unknown":true`)
		filtered := func(entries string) string {
			return `{"name":"first","events":{"type":"EVENT_TYPE","items":["a.b","c.d"],"filter":{"eventFilterMap":[` + entries + `]}},` +
				`"channel":{"type":"HTTP","version":"1.0.0","config":{"uri":"https://example.com"}}}`
		}
		for _, r := range []apitest.Request{
			request("GET "+path, ""),
			request("GET "+hook, "", "Accept: text/html, application/json;q=0.5"),
			request("POST "+path+"/{resting}/lifecycle/activate", ""),
			request("POST "+path, body("third", "a.b", "https://example.com", "", "")),
			request("POST "+path, body("third", "a.b", "https://example.com", "", `,"status":"INACTIVE"`)),
			request("POST "+path, body("third", "a.b", "https://example.com", "", `,"status":"INACTIVE"`)),
			request("PUT "+hook, body("third", "a.b", "https://example.com", "", "")),
			request("PUT "+hook, full),
			request("POST "+verify, ""),
			request("POST "+path+"/{resting}/lifecycle/verify", "", "Content-Type: "),
			request("PUT "+hook, filtered(`{"event":"c.d","condition":{"expression":"event.target.?[type eq 'UserGroup'].size()>0 && \"<&>\" ne 'x'","version":null}},{"event":"a.b","condition":{"expression":"true"}}`)),
			request("PUT "+hook, full),
			request("PUT "+path+"/{resting}", `{}`),
			request("PUT "+hook, `{"name":" ","description":"","status":"ON","events":{"type":"x","items":["a.b",null,"a.*","c.d","e.f"],"filter":{"type":"x","eventFilterMap":[{}]}},`+
				`"channel":{"type":"x","version":"2","config":{"headers":[{},{"key":"a"},{"key":"A"}],"authScheme":{"type":"x","value":""}}}}`),
			request("PUT "+hook, `{"name":"`+strings.Repeat("é", 256)+`","events":{"type":"EVENT_TYPE","items":[]},"channel":{"type":"HTTP","version":"1.0.0"}}`),
			request("PUT "+hook, body("first", "unknown.type", "https://example.com", "", "")),
			request("PUT "+hook, body("first", "a.b", "https://127.0.0.1/", "", "")),
			request("PUT "+hook, body("first", "a.b", "https://example.com/a b", "", "")),
			request("PUT "+hook, body("first", "a.b", "https://example.com/"+strings.Repeat("x", 1024), "", "")),
			request("PUT "+hook, body("first", "a.b", "https://example.com", `,"headers":[{"key":"Transfer-Encoding","value":"x"}]`, "")),
			request("PUT "+hook, body("first", "a.b", "https://example.com", `,"authScheme":{"key":"X-New"}`, "")),
			request("PUT "+hook, filtered(`{"event":"a.b","condition":{"expression":"event.target.?[(type eq 'x'].size()>0"}},{"event":"e.f","condition":{"expression":"true"}},{"event":"c.d"}`)),
			request("PUT "+hook, filtered(`{"event":"a.b","condition":{"expression":"event.eventType"}},{"event":"a.b","condition":{"expression":"true"}}`)),
			request("PUT "+hook, filtered(`{"event":"a.b","condition":{"expression":"T(java.lang.Runtime)"}}`)),
			request("POST "+path, `{"name":1}`),
			request("POST "+path, `{"name":`),
			request("POST "+path, `[]`),
			request("POST "+path, ``),
			request("POST "+path, `name=x`, "Content-Type: application/x-www-form-urlencoded"),
			request("GET "+path, "", "Accept: text/html"),
			request("POST "+path, strings.Repeat(" ", 1<<20)+"{}"),
			request("GET "+path+"/unknown", ""),
			request("GET "+path+"/"+other.ID, ""),
			request("PUT "+path+"/unknown", `{}`),
			request("DELETE "+path+"/unknown", ""),
			request("POST "+path+"/unknown/lifecycle/activate", ""),
			request("POST "+path+"/unknown/lifecycle/deactivate", ""),
			request("POST "+path+"/unknown/lifecycle/verify", ""),
			request("POST "+hook+"/lifecycle/unknown", ""),
			request("GET /api/v1/unknown", ""),
			request("PATCH "+hook, "{}"),
			request("GET "+verify, ""),
			request("DELETE "+hook, ""),
			request("POST "+hook+"/lifecycle/deactivate", ""),
			request("GET "+hook, ""),
			request("DELETE "+hook, ""),
			request("DELETE "+hook, ""),
		} {
			golden.Ask(t, c.handler, r)
		}
		failing(t, golden)
		failures(t, golden)
	})
	golden.Compare(t, "testdata/responses.golden")
}

// failing asks for verifications that fail, and for what the application does not allow.
func failing(t *testing.T, golden *apitest.Golden) {
	strict := newClient(t, func(cfg *hooks.Config, _ *okta.Config) { cfg.AllowHTTP = false })
	golden.Ask(t, strict.handler, request("POST "+path, body("plain", "a.b", "http://example.com", "", "")))
	c := newClient(t)
	wrong := hookstest.Status(200).Body(`{"verification":"wrong"}`)
	for i, response := range []hookstest.Response{wrong, hookstest.Status(500), hookstest.Hang(), hookstest.Redirect(302, "/")} {
		name := fmt.Sprintf("failing%d", i)
		made := c.create(body(name, "a.b", c.network.Receiver(t, name+".example", response).URL, "", ""))
		golden.Names = map[string]string{"{id}": made.ID}
		golden.Ask(t, c.handler, request("POST "+path+"/{id}/lifecycle/verify", ""))
	}
}

// failures adds the responses to those who may not ask, or not so often, and to
// failures of the application.
func failures(t *testing.T, golden *apitest.Golden) {
	m, err := hooks.New(apitest.BrokenStore{Store: memory.New(memory.Options{})}, hooks.Config{Protocols: []hooks.Protocol{&okta.Protocol{}}})
	require.NoError(t, err)
	newAPI := func(who httpadapter.Authenticate, rateLimit int) http.Handler {
		api, err := okta.New(m, okta.Config{Config: httpadapter.Config{Authenticate: who, Logger: slog.New(slog.DiscardHandler)}, RateLimit: rateLimit})
		require.NoError(t, err)
		return api
	}
	for _, err := range []error{
		errors.New("no token"),
		&okta.Error{Code: okta.CodeNoFeature},
		&okta.Error{Code: okta.CodeReadOnly},
		fmt.Errorf("%w: no scope", httpadapter.ErrForbidden),
		&okta.Error{Status: 402, Code: "E9999999", Summary: "The bill is not paid.", Causes: []string{"bill: It is due since May"}},
	} {
		refuse := func(*http.Request) (httpadapter.Identity, error) { return httpadapter.Identity{}, err }
		golden.Ask(t, newAPI(refuse, 0), request("GET "+path, ""))
	}
	reader := func(*http.Request) (httpadapter.Identity, error) { return httpadapter.Identity{Read: true}, nil }
	golden.Ask(t, newAPI(reader, 0), request("DELETE "+path+"/id", ""))
	golden.Ask(t, newAPI(httpadapter.Open("acme"), 0), request("GET "+path, ""))
	limited := newAPI(httpadapter.Open("acme"), 1)
	for range 2 {
		golden.Ask(t, limited, request("GET "+path+"/unknown", ""))
	}
}
