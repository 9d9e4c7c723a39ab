package webitel_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/apitest"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/webitel"
	"github.com/seed-2c6e3a5a/hooks/internal/header"
)

// FuzzAPI sends anything to the API: whatever comes, the response is in the form
// of the API, no failure is the API's own, what is refused changes nothing, and
// what is stored can be shown and sent back.
func FuzzAPI(f *testing.F) {
	for _, seed := range []struct{ method, target, contentType, body string }{
		{"GET", path + "/?domain=x&page=1&limit=5000&columns=_id,name,action.type&", "", ""},
		{"GET", path + "?limit=-1&page=9&columns=..a.,_id.x", "", ""},
		{"POST", path, "application/json", full},
		{"POST", path, "application/json; charset=utf-8", body("E", "https://example.com", `,"retries":"7","delay":0.5,"headers":null,"auth":{}`)},
		{"POST", path, "application/json", body("E", "://", `,"retries":101,"fields":[null],"filter":{"a":null},"map":{"a":"a","a":"b"}`)},
		{"POST", path, "application/json", `{"event":"E","action":{"type":"web","method":"M","url":"x"},"rawBody":"\u0000\ud800","customBody":true}`},
		{"POST", path, "text/plain", "x"},
		{"POST", path, "application/json", "{\"event\":\"\xff\"}"},
		{"PUT", "/API/v2/HOOKS/" + unknown + "/", "application/json", full},
		{"PUT", path + "/x", "application/json", full},
		{"DELETE", path + "/" + unknown, "", ""},
		{"GET", path + "/%2e%2E//%ff", "", ""},
		{"OPTIONS", path, "", ""},
	} {
		f.Add(seed.method, seed.target, seed.contentType, seed.body)
	}
	f.Fuzz(func(t *testing.T, method, target, contentType, sent string) {
		m := apitest.Idle(t, &webitel.Protocol{})
		_, err := m.Register(t.Context(), hooks.Hook{
			ID: unknown, Tenant: "default", Protocol: webitel.Name, URL: "https://example.com", Events: []string{"E"}, Settings: []byte(`{"fields":["a"]}`),
		})
		require.NoError(t, err)
		api, err := webitel.New(m, webitel.Config{Config: quietly("default")})
		require.NoError(t, err)
		a := apitest.Fuzz(t, m, api, method, target, contentType, sent)
		if a.Status >= 400 {
			if method != http.MethodHead {
				assert.NotEmpty(t, info(t, a, a.Status))
			}
			return
		}
		all, err := m.Hooks(t.Context(), hooks.HookQuery{Tenant: "default"})
		require.NoError(t, err)
		for _, h := range all.Items {
			one := path + "/" + h.ID
			shown := request("GET "+one, "").To(api)
			document, err := json.Marshal(data[map[string]any](t, shown))
			require.NoError(t, err)
			assert.Equal(t, 1, data[changed](t, request("PUT "+one, string(document)).To(api)).N)
			assert.JSONEq(t, shown.Body, request("GET "+one, "").To(api).Body)
		}
	})
}

// FuzzDelivery makes requests of any data for any hook: what is made can be sent.
func FuzzDelivery(f *testing.F) {
	for _, seed := range []struct{ method, settings, header, data string }{
		{"POST", `{}`, "x", `{"a":1,"a":2}`},
		{"GET", `{"fields":["a","b"],"map":{"a":"b","b":"a"}}`, "${a}", `{"a":{"b":[1,{"[":null}]},"b":"é &"}`},
		{"PUT", `{"customBody":true,"rawBody":"{\"a\":\"${a}\",\"b\":${b}}"}`, "${a}${b}", `{"a":"\"\\\u0000","b":1e400}`},
		{"GET", `{"customBody":true,"rawBody":"[${variable_a.b},\"${a.b.0}\"]"}`, "${", `{"a":{"b":["x"]},"variable_a":{"b":1}}`},
		{"DELETE", `{"filter":{"a":{"operation":"<","value":"9"},"b":{"operation":"==","value":"null"}}}`, "", `null`},
	} {
		f.Add(seed.method, seed.settings, seed.header, seed.data)
	}
	f.Fuzz(func(t *testing.T, method, settings, headerValue, object string) {
		event := &hooks.Event{ID: "e1", Type: "A->b::c", Data: []byte(object)}
		if !json.Valid(event.Data) || !utf8.Valid(event.Data) || !json.Valid([]byte(settings)) {
			t.Skip("nothing of the kind is stored")
		}
		endpoint, err := new(webitel.Protocol).Compile(hooks.Hook{
			URL: "https://example.com/in?own=1", Method: method, Headers: map[string]string{"X-Test": headerValue}, Settings: []byte(settings),
		})
		if err != nil {
			assert.ErrorAs(t, err, new(*hooks.InvalidError))
			return
		}
		_, _ = endpoint.Accepts(t.Context(), event) // It may not, or fail, but it ends.
		login := func(context.Context, hooks.Request) hooks.Response {
			return hooks.Response{Status: 200, Body: event.Data}
		}
		r, err := endpoint.Request(t.Context(), login, []hooks.Message{{Event: event, DeliveryID: "d1"}})
		if err != nil {
			assert.NotEmpty(t, err.Error())
			return
		}
		assert.Empty(t, header.Check("X-Test", r.Header.Get("X-Test")))
		_, err = url.ParseQuery(r.URL.RawQuery)
		assert.NoError(t, err)
		if r.Method == http.MethodGet {
			assert.Empty(t, r.Body)
		} else {
			assert.Equal(t, "own=1", r.URL.RawQuery)
			assert.True(t, len(r.Body) == 0 || json.Valid(r.Body), "%s", r.Body)
		}
	})
}
