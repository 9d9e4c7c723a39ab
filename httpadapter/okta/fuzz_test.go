package okta_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/apitest"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/okta"
	"github.com/seed-2c6e3a5a/hooks/memory"
)

// idle returns a Manager that does not run and reaches no network.
func idle(t testing.TB) *hooks.Manager {
	t.Helper()
	m, err := hooks.New(memory.New(memory.Options{}), hooks.Config{
		Protocols: []hooks.Protocol{&okta.Protocol{}},
		Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("there is no network")
		},
	})
	require.NoError(t, err)
	return m
}

// FuzzAPI sends anything to the API: whatever comes, it is answered in the form
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
		r, err := http.NewRequest(method, "http://localhost", strings.NewReader(body))
		if err != nil {
			t.Skip("no server gets such a method")
		}
		if r.URL, err = r.URL.Parse(target); err != nil {
			t.Skip("no server gets such a target")
		}
		r.RequestURI = target
		r.Header.Set("Content-Type", contentType)
		m := idle(t)
		for _, h := range []hooks.Hook{{ID: "first"}, {ID: "second", Disabled: true}} {
			h.Tenant, h.Protocol, h.Name, h.URL, h.Events = "acme", okta.Name, h.ID, "https://example.com", []string{"a.b"}
			_, err := m.Register(t.Context(), h)
			require.NoError(t, err)
		}
		stored := func() []hooks.Hook {
			page, err := m.Hooks(t.Context(), hooks.HookQuery{Tenant: "acme"})
			require.NoError(t, err)
			return page.Items
		}
		api, err := okta.New(m, okta.Config{Config: httpadapter.Config{Authenticate: httpadapter.Open("acme")}})
		require.NoError(t, err)
		before := stored()
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		assert.Less(t, w.Code, 500, w.Body)
		if w.Code >= 400 {
			var failure struct {
				ErrorCode   string
				ErrorCauses []struct{ ErrorSummary string }
			}
			if method != http.MethodHead {
				require.NoError(t, json.Unmarshal(w.Body.Bytes(), &failure), w.Body)
				assert.NotEmpty(t, failure.ErrorCode)
				assert.NotNil(t, failure.ErrorCauses)
			}
			assert.Equal(t, before, stored())
			return
		}
		for _, h := range stored() {
			shown := serve(api, http.MethodGet, path+"/"+h.ID, "")
			require.Equal(t, 200, shown.Code, shown.Body)
			replaced := serve(api, http.MethodPut, path+"/"+h.ID, shown.Body.String())
			require.Equal(t, 200, replaced.Code, replaced.Body)
			assert.Equal(t, withoutTime(t, shown), withoutTime(t, replaced))
		}
	})
}

func serve(h http.Handler, method, target, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, target, strings.NewReader(body)))
	return w
}

// withoutTime is a hook without the time of its last update.
func withoutTime(t *testing.T, w *httptest.ResponseRecorder) map[string]any {
	t.Helper()
	var hook map[string]any
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &hook), w.Body)
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
		if _, err := idle(t).Trigger(t.Context(), event); err != nil {
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
