package logto_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
	"github.com/seed-2c6e3a5a/hooks/httpadapter"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/logto"
	"github.com/seed-2c6e3a5a/hooks/memory"
)

var update = flag.Bool("update", false, "write the golden files")

// A request of the golden file: "METHOD target", a body, and headers.
type request struct {
	line, body string
	headers    []string
}

// TestAnswers compares whole answers with testdata/answers.golden: one for each
// status and error code of each endpoint.
func TestAnswers(t *testing.T) {
	var text strings.Builder
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		made, failing := c.endpoint("User.Created", `,"headers":{"X-Key":"value"},"retries":0`, hookstest.Status(200).Body(`{"ok":true}`))
		for _, status := range []int{200, 500} {
			failing.Answer(hookstest.Status(status).Body(`{"ok":true,"access_token":"x"}`))
			time.Sleep(time.Second)
			c.trigger(hooks.Event{Type: logto.UserCreated, Data: []byte(`{"path":"/users","data":{"id":"u1","password":"p"}}`)})
			time.Sleep(time.Second)
		}
		id, url := made.ID, failing.URL
		other, err := c.Register(t.Context(), hooks.Hook{ID: "other", Tenant: "default", URL: "https://example.com", Events: []string{"*"}})
		require.NoError(t, err)
		fine := c.network.Receiver(t, "fine.example").URL
		config := `"config":{"url":"` + url + `"}`
		for _, r := range []request{
			{"GET /api/hooks", "", nil},
			{"GET /api/hooks?page=1&page_size=1&includeExecutionStats=yes", "", nil},
			{"GET /api/hooks?page=0", "", nil},
			{"GET /api/hooks?page=1&page=2", "", nil},
			{"GET /api/hooks?page_size=101", "", nil},
			{"GET /api/hooks?includeExecutionStats=1&includeExecutionStats=1", "", nil},
			{"POST /api/hooks", `{"name":"n","events":["PostSignIn","PostSignIn"],"enabled":false,` + config + `}`, nil},
			{"POST /api/hooks", `{"event":"PostSignIn","config":{"url":"","retries":1.5}}`, nil},
			{"POST /api/hooks", `{` + config + `}`, nil},
			{"POST /api/hooks", `{"events":[]}`, nil},
			{"POST /api/hooks", `{"name":"","events":["PostSignIn"],"config":{"url":1,"headers":{"a":null},"retries":4},"enabled":null}`, nil},
			{"POST /api/hooks", `{"events":["nothing"],` + config + `}`, nil},
			{"POST /api/hooks", `[]`, nil},
			{"POST /api/hooks", `"x"`, nil},
			{"POST /api/hooks", `{"name":`, nil},
			{"POST /api/hooks", `name=x`, []string{"Content-Type: text/plain"}},
			{"POST /api/hooks", `{}`, []string{"Content-Type: application/octet-stream"}},
			{"POST /api/hooks", strings.Repeat(" ", 1<<20) + "{}", nil},
			{"POST /api/hooks", `{"events":["PostSignIn"],"config":{"url":"https://127.0.0.1/"}}`, nil},
			{"POST /api/hooks", `{"events":["PostSignIn"],"config":{"url":"https://example.com","headers":{"Host":"x"}}}`, nil},
			{"POST /api/hooks", `{"events":["PostSignIn"],"config":{"url":"https://example.com","headers":{"LOGTO-signature-sha-256":"x"}}}`, nil},
			{"GET /api/hooks/{id}?includeExecutionStats=true", "", nil},
			{"GET /api/hooks/{id}", "", []string{"If-None-Match: *"}},
			{"GET /api/hooks/unknown", "", nil},
			{"GET /api/hooks/" + other.ID, "", nil},
			{"PATCH /api/hooks/{id}", `{"name":"changed","event":"PostRegister"}`, nil},
			{"PATCH /api/hooks/{id}", `{"event":null}`, nil},
			{"PATCH /api/hooks/{id}", `{"id":"x","signingKey":"x","createdAt":1,"tenantId":"x"}`, nil},
			{"PATCH /api/hooks/{id}", `{"name":null,"config":null,"createdAt":"x"}`, nil},
			{"PATCH /api/hooks/{id}", `{"config":{"url":"http://[::ffff:10.0.0.1]/"}}`, nil},
			{"PATCH /api/hooks/unknown", `{"name":"x"}`, nil},
			{"PATCH /api/hooks/unknown", `{}`, nil},
			{"PATCH /api/hooks/" + other.ID, `{"name":"x"}`, nil},
			{"PATCH /api/hooks/{id}/signing-key", "", nil},
			{"PATCH /api/hooks/unknown/signing-key", "", nil},
			{"GET /api/hooks/{id}/recent-logs", "", nil},
			{"GET /api/hooks/{id}/recent-logs?logKey=TriggerHook.User.Created&page=2&page_size=1&x=%C3%A9", "", nil},
			{"GET /api/hooks/{id}/recent-logs?page=7", "", nil},
			{"GET /api/hooks/{id}/recent-logs?page_size=x", "", nil},
			{"GET /api/hooks/{id}/recent-logs?logKey=a&logKey=b", "", nil},
			{"GET /api/hooks/{id}/recent-logs?start_time=x", "", nil},
			{"GET /api/hooks/{id}/recent-logs?end_time=Infinity", "", nil},
			{"GET /api/hooks/{id}/recent-logs?start_time=2&end_time=1", "", nil},
			{"GET /api/hooks/unknown/recent-logs", "", nil},
			{"POST /api/hooks/{id}/test", `{"events":["PostSignIn","User.Created"],"config":{"url":"` + fine + `"}}`, nil},
			{"POST /api/hooks/{id}/test", `{"events":["PostSignIn"],"config":{"url":"` + url + `","retries":0}}`, nil},
			{"POST /api/hooks/{id}/test", `{"events":["PostSignIn"],"config":{"url":"not_work_url"}}`, nil},
			{"POST /api/hooks/{id}/test", `{"events":["PostSignIn"],"config":{"url":"http://nowhere.example","retries":0}}`, nil},
			{"POST /api/hooks/{id}/test", `{"events":["PostSignIn"],"config":{"url":"https://example.com","headers":{"a b":"c"}}}`, nil},
			{"POST /api/hooks/{id}/test", `{"events":["PostSignIn"],"config":{"url":"https://[::1]/"}}`, nil},
			{"POST /api/hooks/{id}/test", `{}`, nil},
			{"POST /api/hooks/unknown/test", `{"events":["PostSignIn"],` + config + `}`, nil},
			{"DELETE /api/hooks/{id}", "", nil},
			{"DELETE /api/hooks/{id}", "", nil},
			{"DELETE /api/hooks/" + other.ID, "", nil},
			{"GET /api/hooks/{id}/recent-logs", "", nil},
			{"GET /api/nothing", "", nil},
			{"PUT /api/hooks", "", nil},
			{"DELETE /api/hooks/{id}/recent-logs", "", nil},
			{"OPTIONS /api/hooks/{id}", "", nil},
			{"HEAD /api/hooks", "", nil},
		} {
			r.write(t, &text, c.handler, id)
		}
		failures(t, &text)
	})
	const file = "testdata/answers.golden"
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(text.String()), 0o600))
	}
	golden, err := os.ReadFile(file)
	require.NoError(t, err)
	want, got := strings.Split(string(golden), "=== "), strings.Split(text.String(), "=== ")
	require.Len(t, got, len(want))
	for i := range want {
		assert.Equal(t, want[i], got[i])
	}
}

// failures writes the answers to those who may not ask, and to failures of the
// host.
func failures(t *testing.T, text *strings.Builder) {
	refuses := func(err error) httpadapter.Authenticate {
		return func(*http.Request) (httpadapter.Identity, error) { return httpadapter.Identity{}, err }
	}
	m, err := hooks.New(brokenStore{memory.New(memory.Options{})}, hooks.Config{Protocols: []hooks.Protocol{&logto.Protocol{}}})
	require.NoError(t, err)
	get := "GET /api/hooks"
	for _, c := range []struct {
		who     httpadapter.Authenticate
		request request
	}{
		{refuses(errors.New("no token")), request{get, "", nil}},
		{refuses(errors.New("bad token")), request{get, "", []string{"Authorization: Bearer x"}}},
		{refuses(errors.New("bad token")), request{get, "", []string{"Authorization: Basic x"}}},
		{refuses(&logto.Error{Status: 401, Code: logto.CodeSubjectMissing, Message: "The token has no subject."}), request{get, "", nil}},
		{refuses(fmt.Errorf("%w: no scope", httpadapter.ErrForbidden)), request{get, "", nil}},
		{refuses(&logto.Error{Code: logto.CodeTenantSuspended, Message: "The tenant is suspended."}), request{get, "", nil}},
		{refuses(&logto.Error{Code: logto.CodeLimitExceeded, Message: "Too many hooks."}), request{"POST /api/hooks", "{}", nil}},
		{func(*http.Request) (httpadapter.Identity, error) { return httpadapter.Identity{Read: true}, nil }, request{"POST /api/hooks", "{}", nil}},
		{httpadapter.Open("default"), request{get, "", nil}},
	} {
		c.request.write(t, text, newAPI(t, m, c.who), "")
	}
}

// brokenStore cannot read hooks.
type brokenStore struct{ hooks.Store }

func (brokenStore) Hooks(context.Context, hooks.HookQuery) (hooks.Page[hooks.Hook], error) {
	return hooks.Page[hooks.Hook]{}, errors.New("the disk is on fire")
}

var (
	madeID  = regexp.MustCompile(`"id": "[0-9a-z]{21}"`)
	madeKey = regexp.MustCompile(`"signingKey": "[0-9a-zA-Z]{32}"`)
)

// write makes the request and writes it and its answer. What is random in it is
// replaced.
func (r request) write(t *testing.T, text *strings.Builder, h http.Handler, id string) {
	t.Helper()
	method, target, _ := strings.Cut(r.line, " ")
	a := serve(t, h, method, strings.ReplaceAll(target, "{id}", id), r.body, r.headers...)
	body := r.body
	if len(body) > 1000 {
		body = fmt.Sprintf("(%d bytes)", len(body))
	}
	fmt.Fprintf(text, "=== %s\n", strings.Join(append([]string{r.line}, r.headers...), "\n"))
	if body != "" {
		fmt.Fprintf(text, "%s\n", body)
	}
	fmt.Fprintf(text, "--- %d\n", a.Status)
	for _, name := range []string{"Allow", "Content-Type", "Total-Number", "Total-Number-Is-Capped", "Link"} {
		for _, value := range a.Header.Values(name) {
			fmt.Fprintf(text, "%s: %s\n", name, replaceID(value, id))
		}
	}
	if a.Header.Get("ETag") != "" {
		fmt.Fprintln(text, "ETag")
	}
	if a.Body != "" {
		shown := replaceID(indented(t, a.Body), id)
		shown = madeID.ReplaceAllString(shown, `"id": "{new}"`)
		shown = madeKey.ReplaceAllString(shown, `"signingKey": "{key}"`)
		fmt.Fprintf(text, "%s\n", shown)
	}
	text.WriteString("\n")
}

func replaceID(s, id string) string {
	if id == "" {
		return s
	}
	return strings.ReplaceAll(s, id, "{id}")
}
