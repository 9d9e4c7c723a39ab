package logto_test

import (
	"errors"
	"fmt"
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
	"github.com/seed-2c6e3a5a/hooks/httpadapter/logto"
	"github.com/seed-2c6e3a5a/hooks/memory"
)

var request = apitest.NewRequest

// TestResponses compares whole responses with testdata/responses.golden: one for each
// status and error code of each endpoint.
func TestResponses(t *testing.T) {
	golden := &apitest.Golden{
		Headers: []string{"Allow", "Content-Type", "Total-Number", "Total-Number-Is-Capped", "Link", "ETag"},
		Hide: func(s string) string {
			s = madeID.ReplaceAllString(s, `"id": "{new}"`)
			s = madeKey.ReplaceAllString(s, `"signingKey": "{key}"`)
			return madeETag.ReplaceAllString(s, `"{etag}"`)
		},
	}
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		made, failing := c.endpoint("User.Created", `,"headers":{"X-Key":"value"},"retries":0`, hookstest.Status(200).Body(`{"ok":true}`))
		for _, status := range []int{200, 500} {
			failing.Respond(hookstest.Status(status).Body(`{"ok":true,"access_token":"x"}`))
			time.Sleep(time.Second)
			c.trigger(hooks.Event{Type: logto.UserCreated, Data: []byte(`{"path":"/users","data":{"id":"u1","password":"p"}}`)})
			time.Sleep(time.Second)
		}
		id, url := made.ID, failing.URL
		other, err := c.Register(t.Context(), hooks.Hook{ID: "other", Tenant: "default", URL: "https://example.com", Events: []string{"*"}})
		require.NoError(t, err)
		fine := c.network.Receiver(t, "fine.example").URL
		config := `"config":{"url":"` + url + `"}`
		golden.Names = map[string]string{"{id}": id}
		for _, r := range []apitest.Request{
			request("GET /api/hooks", ""),
			request("GET /api/hooks?page=1&page_size=1&includeExecutionStats=yes", ""),
			request("GET /api/hooks?page=0", ""),
			request("GET /api/hooks?page=1&page=2", ""),
			request("GET /api/hooks?page_size=101", ""),
			request("GET /api/hooks?includeExecutionStats=1&includeExecutionStats=1", ""),
			request("POST /api/hooks", `{"name":"n","events":["PostSignIn","PostSignIn"],"enabled":false,`+config+`}`),
			request("POST /api/hooks", `{"event":"PostSignIn","config":{"url":"","retries":1.5}}`),
			request("POST /api/hooks", `{`+config+`}`),
			request("POST /api/hooks", `{"events":[]}`),
			request("POST /api/hooks", `{"name":"","events":["PostSignIn"],"config":{"url":1,"headers":{"a":null},"retries":4},"enabled":null}`),
			request("POST /api/hooks", `{"events":["nothing"],`+config+`}`),
			request("POST /api/hooks", `[]`),
			request("POST /api/hooks", `"x"`),
			request("POST /api/hooks", `{"name":`),
			request("POST /api/hooks", `name=x`, "Content-Type: text/plain"),
			request("POST /api/hooks", `{}`, "Content-Type: application/octet-stream"),
			request("POST /api/hooks", strings.Repeat(" ", 1<<20)+"{}"),
			request("POST /api/hooks", `{"events":["PostSignIn"],"config":{"url":"https://127.0.0.1/"}}`),
			request("POST /api/hooks", `{"events":["PostSignIn"],"config":{"url":"https://example.com:25/"}}`),
			request("POST /api/hooks", `{"events":["PostSignIn"],"config":{"url":"https://example.com","headers":{"Host":"x"}}}`),
			request("POST /api/hooks", `{"events":["PostSignIn"],"config":{"url":"https://example.com","headers":{"LOGTO-signature-sha-256":"x"}}}`),
			request("GET /api/hooks/{id}?includeExecutionStats=true", ""),
			request("GET /api/hooks/{id}", "", "If-None-Match: *"),
			request("GET /api/hooks/unknown", ""),
			request("GET /api/hooks/"+other.ID, ""),
			request("PATCH /api/hooks/{id}", `{"name":"changed","event":"PostRegister"}`),
			request("PATCH /api/hooks/{id}", `{"event":null}`),
			request("PATCH /api/hooks/{id}", `{"id":"x","signingKey":"x","createdAt":1,"tenantId":"x"}`),
			request("PATCH /api/hooks/{id}", `{"name":null,"config":null,"createdAt":"x"}`),
			request("PATCH /api/hooks/{id}", `{"config":{"url":"http://[::ffff:10.0.0.1]/"}}`),
			request("PATCH /api/hooks/unknown", `{"name":"x"}`),
			request("PATCH /api/hooks/unknown", `{}`),
			request("PATCH /api/hooks/"+other.ID, `{"name":"x"}`),
			request("PATCH /api/hooks/{id}/signing-key", ""),
			request("PATCH /api/hooks/unknown/signing-key", ""),
			request("GET /api/hooks/{id}/recent-logs", ""),
			request("GET /api/hooks/{id}/recent-logs?logKey=TriggerHook.User.Created&page=2&page_size=1&x=%C3%A9", ""),
			request("GET /api/hooks/{id}/recent-logs?page=7", ""),
			request("GET /api/hooks/{id}/recent-logs?page_size=x", ""),
			request("GET /api/hooks/{id}/recent-logs?logKey=a&logKey=b", ""),
			request("GET /api/hooks/{id}/recent-logs?start_time=x", ""),
			request("GET /api/hooks/{id}/recent-logs?end_time=Infinity", ""),
			request("GET /api/hooks/{id}/recent-logs?start_time=2&end_time=1", ""),
			request("GET /api/hooks/unknown/recent-logs", ""),
			request("POST /api/hooks/{id}/test", `{"events":["PostSignIn","User.Created"],"config":{"url":"`+fine+`"}}`),
			request("POST /api/hooks/{id}/test", `{"events":["PostSignIn"],"config":{"url":"`+url+`","retries":0}}`),
			request("POST /api/hooks/{id}/test", `{"events":["PostSignIn"],"config":{"url":"not_work_url"}}`),
			request("POST /api/hooks/{id}/test", `{"events":["PostSignIn"],"config":{"url":"http://nowhere.example","retries":0}}`),
			request("POST /api/hooks/{id}/test", `{"events":["PostSignIn"],"config":{"url":"https://example.com","headers":{"a b":"c"}}}`),
			request("POST /api/hooks/{id}/test", `{"events":["PostSignIn"],"config":{"url":"https://[::1]/"}}`),
			request("POST /api/hooks/{id}/test", `{}`),
			request("POST /api/hooks/unknown/test", `{"events":["PostSignIn"],`+config+`}`),
			request("DELETE /api/hooks/{id}", ""),
			request("DELETE /api/hooks/{id}", ""),
			request("DELETE /api/hooks/"+other.ID, ""),
			request("GET /api/hooks/{id}/recent-logs", ""),
			request("GET /api/nothing", ""),
			request("PUT /api/hooks", ""),
			request("DELETE /api/hooks/{id}/recent-logs", ""),
			request("OPTIONS /api/hooks/{id}", ""),
			request("HEAD /api/hooks", ""),
		} {
			golden.Ask(t, c.handler, r)
		}
		failures(t, golden)
	})
	golden.Compare(t, "testdata/responses.golden")
}

// failures writes the responses to those who may not ask, and to failures of the
// host.
func failures(t *testing.T, golden *apitest.Golden) {
	refuses := func(err error) httpadapter.Authenticate {
		return func(*http.Request) (httpadapter.Identity, error) { return httpadapter.Identity{}, err }
	}
	m, err := hooks.New(apitest.BrokenStore{Store: memory.New(memory.Options{})}, hooks.Config{Protocols: []hooks.Protocol{&logto.Protocol{}}})
	require.NoError(t, err)
	get := "GET /api/hooks"
	for _, c := range []struct {
		who     httpadapter.Authenticate
		request apitest.Request
	}{
		{refuses(errors.New("no token")), request(get, "")},
		{refuses(errors.New("bad token")), request(get, "", "Authorization: Bearer x")},
		{refuses(errors.New("bad token")), request(get, "", "Authorization: Basic x")},
		{refuses(&logto.Error{Status: 401, Code: logto.CodeSubjectMissing, Message: "The token has no subject."}), request(get, "")},
		{refuses(fmt.Errorf("%w: no scope", httpadapter.ErrForbidden)), request(get, "")},
		{refuses(&logto.Error{Code: logto.CodeTenantSuspended, Message: "The tenant is suspended."}), request(get, "")},
		{refuses(&logto.Error{Code: logto.CodeLimitExceeded, Message: "Too many hooks."}), request("POST /api/hooks", "{}")},
		{func(*http.Request) (httpadapter.Identity, error) { return httpadapter.Identity{Read: true}, nil }, request("POST /api/hooks", "{}")},
		{httpadapter.Open("default"), request(get, "")},
	} {
		golden.Ask(t, newAPI(t, m, c.who), c.request)
	}
}

var (
	madeID   = regexp.MustCompile(`"id": "[0-9a-z]{21}"`)
	madeETag = regexp.MustCompile(`^(W/)?"[^"]+"$`)
	madeKey  = regexp.MustCompile(`"signingKey": "[0-9a-zA-Z]{32}"`)
)
