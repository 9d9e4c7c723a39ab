package okta_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/apitest"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/okta"
)

// FuzzAPI sends anything to the API: whatever comes, the response is in the form
// of the API, no failure is the API's own, what is refused changes nothing, and
// what is stored can be shown and sent back.
func FuzzAPI(f *testing.F) {
	const full = `{"id":"x","name":"n","description":"d","status":"ACTIVE","events":{"type":"EVENT_TYPE","items":["a.b","c.d","a.b"],"filter":{"type":"EXPRESSION_LANGUAGE","eventFilterMap":[{"event":"a.b","condition":{"expression":"event.target.?[type eq 'x'].size()>0","version":null}}]}},` +
		`"channel":{"type":"HTTP","version":"1.0.0","config":{"uri":"https://example.com/x","headers":[{"key":"A","value":"b"},{"key":"c"}],"method":"POST","authScheme":{"type":"HEADER","key":"Authorization","value":"s"}}},"_links":{}}`
	for _, seed := range []struct{ method, target, contentType, body string }{
		{"GET", path, "", ""},
		{"POST", path, "application/json", full},
		{"POST", path, "application/json; charset=utf-8", body("n", "a.b", "https://example.com", `,"authScheme":null,"headers":null`, `,"description":null`)},
		{"POST", path, "text/plain", "x"},
		{"POST", path, "application/json", `[[[[[{"a":"\u0000\ud800"}]]]]]`},
		{"POST", path, "", "{\"name\":\"\xff\"}"},
		{"PUT", path + "/first", "application/json", full},
		{"PUT", "/API/v1/eventhooks/first/", "application/json", body("\\u0000", "*", "http://127.0.0.1", `,"headers":[{"key":"Host"}]`, `,"status":"INACTIVE"`)},
		{"PUT", path + "/first", "application/json", body("x", "a.b,a.b", "https://example.com", `,"authScheme":{"key":"authorization"}`, "")},
		{"DELETE", path + "/first", "", ""},
		{"DELETE", path + "/second", "", ""},
		{"POST", path + "/second/lifecycle/activate", "", ""},
		{"POST", "/" + path + "/first/lifecycle/deactivate", "", ""},
		{"POST", path + "/first/lifecycle/verify", "", ""},
		{"GET", path + "/%2e%2E//%ff", "", ""},
		{"OPTIONS", path, "", ""},
	} {
		f.Add(seed.method, seed.target, seed.contentType, seed.body)
	}
	f.Fuzz(func(t *testing.T, method, target, contentType, body string) {
		m := apitest.Idle(t, &okta.Protocol{})
		for _, h := range []hooks.Hook{{ID: "first"}, {ID: "second", Disabled: true}} {
			h.Tenant, h.Protocol, h.Name, h.URL, h.Events = "default", okta.Name, h.ID, "https://example.com", []string{"a.b"}
			_, err := m.Register(t.Context(), h)
			require.NoError(t, err)
		}
		api, err := okta.New(m, okta.Config{Config: httpadapter.Config{Authenticate: httpadapter.Open("default"), Logger: slog.New(slog.DiscardHandler)}})
		require.NoError(t, err)
		a := apitest.Fuzz(t, m, api, method, target, contentType, body)
		if a.Status >= 400 {
			if method != http.MethodHead {
				fails(t, a)
			}
			return
		}
		all, err := m.Hooks(t.Context(), hooks.HookQuery{Tenant: "default"})
		require.NoError(t, err)
		for _, h := range all.Items {
			shown := request("GET "+path+"/"+h.ID, "").To(api)
			replaced := request("PUT "+path+"/"+h.ID, shown.Body).To(api)
			assert.Equal(t, withoutTime(t, shown), withoutTime(t, replaced))
		}
	})
}

// withoutTime is a hook without the time of its last update.
func withoutTime(t *testing.T, a apitest.Response) map[string]any {
	t.Helper()
	hook := apitest.Want[map[string]any](t, a, 200)
	delete(hook, "lastUpdated")
	return hook
}

// FuzzEnvelope delivers any data: the body is JSON that has the members of the
// data beside those of the log event.
func FuzzEnvelope(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `null`, `[1,{"a":2}]`, `"x"`, `{"a":1,"a":2,"uuid":"x","published":1,"eventType":{},"version":null}`,
		` { "<\u2028\ud800" : [ 1e400 , "\u0000" ] } `, `{"data":1,"":{"":""}}`,
	} {
		f.Add("user.create", seed)
	}
	f.Fuzz(func(t *testing.T, eventType, data string) {
		event := hooks.Event{ID: "e1", Type: eventType, Data: []byte(data)}
		if _, err := apitest.Idle(t, &okta.Protocol{}).Trigger(t.Context(), event); err != nil {
			t.Skip("no event")
		}
		if data == "" {
			event.Data = []byte("{}")
		}
		endpoint, err := new(okta.Protocol).Compile(hooks.Hook{ID: "h1", URL: "https://example.com"})
		require.NoError(t, err)
		request, err := endpoint.Request(t.Context(), nil, []hooks.Message{{Event: &event, DeliveryID: "d1"}, {Event: &event, DeliveryID: "d2"}})
		require.NoError(t, err)
		var got struct {
			EventID string
			Data    struct{ Events []map[string]json.RawMessage }
		}
		require.NoError(t, json.Unmarshal(request.Body, &got), "%s", request.Body)
		assert.NotEmpty(t, got.EventID)
		require.Len(t, got.Data.Events, 2)
		assert.Equal(t, got.Data.Events[0], got.Data.Events[1])
		sent := got.Data.Events[0]
		assert.Equal(t, `"`+eventType+`"`, string(sent["eventType"]))
		assert.Equal(t, `"e1"`, string(sent["uuid"]))
		assert.Equal(t, `"0"`, string(sent["version"]))
		assert.Contains(t, sent, "published")
		var want map[string]json.RawMessage
		if json.Unmarshal(event.Data, &want) != nil || want == nil {
			want = map[string]json.RawMessage{"data": event.Data}
		}
		for name, value := range want {
			switch name {
			case "eventType", "uuid", "version", "published":
			default:
				assert.Equal(t, apitest.Compact(t, value), string(sent[name]), name)
			}
		}
	})
}
