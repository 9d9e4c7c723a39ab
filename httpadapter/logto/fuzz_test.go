package logto_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/apitest"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/logto"
)

// idle returns a Manager that does not run.
func idle(t testing.TB) *hooks.Manager {
	t.Helper()
	return apitest.Idle(t, &logto.Protocol{Schedule: []time.Duration{0}})
}

// FuzzAPI sends anything to the API: whatever comes, the response is in the form
// of the API, no failure is the API's own, and what is refused changes nothing.
func FuzzAPI(f *testing.F) {
	for _, seed := range []struct{ method, target, contentType, body string }{
		{"GET", "/api/hooks?page=1&page_size=2&includeExecutionStats=true", "", ""},
		{"POST", "/api/hooks", "application/json", `{"name":"x","events":["PostSignIn"],"config":{"url":"https://example.com","headers":{"a":"b"},"retries":3}}`},
		{"POST", "/api/hooks", "application/json; charset=utf-8", `{"event":"PostSignIn","config":{"url":"http://127.0.0.1"},"enabled":false,"createdAt":1}`},
		{"POST", "/api/hooks", "application/x-www-form-urlencoded", `name=x&events[]=PostSignIn&config[url]=x&config[headers][a]=b`},
		{"POST", "/api/hooks", "text/plain", "x"},
		{"POST", "/api/hooks", "application/json", `[[[[[{"a":"\u0000\ud800"}]]]]]`},
		{"GET", "/api/hooks/first?includeExecutionStats=1", "", ""},
		{"PATCH", "/api/hooks/first", "application/json", `{"name":"\u0000","event":null,"events":["User.Created"],"config":{"url":"\u0000"}}`},
		{"PATCH", "/API/hooks/first/", "application/vnd.api+json", `{"config":{"url":"","headers":{"a":"1","A":"2"}}}`},
		{"PATCH", "/api/hooks/first/signing-key", "", ""},
		{"POST", "/api/hooks/first/test", "application/json", `{"events":["PostSignIn"],"config":{"url":"https://example.com"}}`},
		{"GET", "/api/hooks/first/recent-logs?start_time=1e3&end_time=0x10&logKey=TriggerHook.a&enableCap=y&page=99999999", "", ""},
		{"DELETE", "/api/hooks/second", "", ""},
		{"DELETE", "/api/hooks/%2e%2E//%ff", "", ""},
		{"OPTIONS", "/api/hooks", "", ""},
	} {
		f.Add(seed.method, seed.target, seed.contentType, seed.body)
	}
	f.Fuzz(func(t *testing.T, method, target, contentType, body string) {
		m := idle(t)
		for _, id := range []string{"first", "second"} {
			_, err := m.Register(t.Context(), hooks.Hook{ID: id, Tenant: "default", Protocol: logto.Name, Events: []string{logto.PostSignIn}})
			require.NoError(t, err)
		}
		apitest.Fuzz(t, m, newAPI(t, m, httpadapter.Open("default")), method, target, contentType, body)
	})
}

// FuzzPayload delivers any data: the body is JSON that has the members of the
// data beside those of the protocol.
func FuzzPayload(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, `[1,{"a":2}]`, `"x"`, `{"a":1,"a":2,"event":"x","hookId":1,"createdAt":{},"interactionEvent":null}`,
		`{"b":1.0,"1":1e2,"\u0031":"\/"}`, ` { "<\u2028\ud800" : [ 1e400 , "\u0000" ] } `, `{"interactionEvent":"Register","":{"":""}}`,
	} {
		f.Add(logto.PostSignIn, seed)
		f.Add("order.paid", seed)
	}
	f.Fuzz(func(t *testing.T, eventType, data string) {
		event := hooks.Event{Type: eventType, Data: []byte(data)}
		if _, err := idle(t).Trigger(t.Context(), event); err != nil {
			t.Skip("no event")
		}
		if data == "" {
			event.Data = []byte("{}")
		}
		endpoint, err := new(logto.Protocol).Compile(hooks.Hook{ID: "the-hook", URL: "https://example.com", Secrets: []hooks.SigningSecret{{Secret: "k"}}})
		require.NoError(t, err)
		request, err := endpoint.Request(t.Context(), nil, []hooks.Message{{Event: &event}})
		require.NoError(t, err)
		assert.Equal(t, signature("k", string(request.Body)), request.Header.Get("Logto-Signature-Sha-256"))

		var got map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(request.Body, &got), "%s", request.Body)
		assert.JSONEq(t, `"the-hook"`, string(got["hookId"]))
		assert.JSONEq(t, `"`+eventType+`"`, string(got["event"]))
		assert.Contains(t, got, "createdAt")
		var want map[string]json.RawMessage
		if json.Unmarshal(event.Data, &want) != nil || want == nil {
			want = map[string]json.RawMessage{"data": event.Data}
		}
		for name, value := range want {
			switch {
			case name == "event" || name == "hookId" || name == "createdAt":
			case name == "interactionEvent" && string(value) == "null":
				assert.NotContains(t, got, name)
			default:
				if !strings.Contains(string(request.Body), `\ud`) { // Lone surrogates are the same to Go, also in names.
					assert.Equal(t, meaning(t, string(value)), meaning(t, string(got[name])), name)
				}
			}
		}
	})
}
