package logto_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
	"github.com/seed-2c6e3a5a/hooks/httpadapter"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/apitest"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/logto"
	"github.com/seed-2c6e3a5a/hooks/memory"
)

func TestNewSaysWhatIsMissing(t *testing.T) {
	types := append(logto.EventTypes(), hooks.EventType{Name: "order.paid"})
	open := httpadapter.Config{Authenticate: httpadapter.Open("")}
	for name, c := range map[string]struct {
		manager hooks.Config
		config  httpadapter.Config
		want    string
	}{
		"all is there": {hooks.Config{Protocols: []hooks.Protocol{&logto.Protocol{}}}, open, ""},
		"a catalogue":  {hooks.Config{Protocols: []hooks.Protocol{&logto.Protocol{}}, Catalogue: types}, open, ""},
		"no protocol":  {hooks.Config{}, open, "*logto.Protocol"},
		"no events":    {hooks.Config{Protocols: []hooks.Protocol{&logto.Protocol{}}, Catalogue: types[1:]}, open, `"PostRegister"`},
		"nobody asks":  {hooks.Config{Protocols: []hooks.Protocol{&logto.Protocol{}}}, httpadapter.Config{}, "config.authenticate"},
	} {
		m, err := hooks.New(memory.New(memory.Options{}), c.manager)
		require.NoError(t, err)
		_, err = logto.New(m, c.config)
		if c.want == "" {
			assert.NoError(t, err, name)
			continue
		}
		assert.ErrorAs(t, err, new(*hooks.InvalidError), name)
		assert.ErrorContains(t, err, c.want, name)
	}
	_, err := logto.New(nil, open)
	assert.ErrorAs(t, err, new(*hooks.InvalidError))
}

func TestEventsOfTheCatalogue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, func(cfg *hooks.Config) {
			cfg.Catalogue = append(logto.EventTypes(), hooks.EventType{Name: "order.paid", Example: []byte(`{"order":42}`)}, hooks.EventType{Name: logto.TrustedDeviceCreated})
		})
		r := c.network.Receiver(t, "shop.example")
		config := `"config":{"url":"` + r.URL + `"}`
		made := c.create(`"events":["order.paid","TrustedDevice.Created"],` + config)
		a := c.do("POST", "/api/hooks/"+made.ID+"/test", `{"events":["order.paid"],`+config+`}`)
		require.Equal(t, 204, a.Status, a.Body)
		assert.Contains(t, string(r.Next().Body), `"order":42`)
		a = c.do("POST", "/api/hooks", `{"events":["TrustedDevice.Deleted"],`+config+`}`)
		assert.Equal(t, "guard.invalid_input", errorCode(t, a))
		assert.Contains(t, a.Body, `"Grant.LimitExceeded","order.paid","TrustedDevice.Created"]`)
	})
}

func TestEventTypesHaveSamples(t *testing.T) {
	types := logto.EventTypes()
	require.Len(t, types, 29)
	for _, eventType := range types {
		assert.NotEmpty(t, eventType.Description)
		assert.Contains(t, string(eventType.Example), "fake-user-agent", eventType.Name)
	}
	types[0].Name = "changed"
	assert.Equal(t, logto.PostRegister, logto.EventTypes()[0].Name)
}

// Hooks of other protocols and of other tenants do not exist for the API.
func TestOthersAreOutOfReach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		mine, _ := c.endpoint("User.Created", "")
		for _, h := range []hooks.Hook{
			{ID: "standard", Tenant: "default"},
			{ID: "foreign", Tenant: "foreign", Protocol: logto.Name},
		} {
			h.URL, h.Events = "https://example.com", []string{"User.Created"}
			stored, err := c.Register(t.Context(), h)
			require.NoError(t, err)
			for line, code := range map[string]string{
				"GET ":               "entity.not_exists_with_id",
				"PATCH ":             "entity.not_exists",
				"DELETE ":            "entity.not_found",
				"PATCH /signing-key": "entity.not_exists",
				"POST /test":         "entity.not_exists_with_id",
			} {
				method, path, _ := strings.Cut(line, " ")
				a := c.do(method, "/api/hooks/"+h.ID+path, `{"name":"x","events":["PostSignIn"],"config":{"url":"x"}}`)
				assert.Equal(t, 404, a.Status, line)
				assert.Equal(t, code, errorCode(t, a), line)
			}
			c.trigger(hooks.Event{Type: logto.UserCreated})
			time.Sleep(time.Second)
			assert.Empty(t, c.logs(h.ID, ""))
			after, err := c.Hook(t.Context(), h.Tenant, h.ID)
			require.NoError(t, err)
			assert.Equal(t, stored.Version, after.Version)
		}
		for _, query := range []string{"", "?page=1"} {
			list := apitest.Want[[]hook](t, c.do("GET", "/api/hooks"+query, ""), 200)
			require.Len(t, list, 1)
			assert.Equal(t, mine.ID, list[0].ID)
		}
	})
}

func TestPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		var names []string // the newest first
		for i := range 25 {
			time.Sleep(time.Second)
			name := fmt.Sprint(i)
			c.create(`"name":"` + name + `","events":["PostSignIn"],"config":{"url":""}`)
			names = append([]string{name}, names...)
		}
		for _, q := range []struct {
			query    string
			from, to int
			links    string
		}{
			{"", 0, 25, ""},
			{"page=&page_size=", 0, 25, ""},
			{"page=1", 0, 20, "first=1 last=2 next=2"},
			{"page=2", 20, 25, "first=1 prev=1 last=2"},
			{"page_size=10", 0, 10, "first=1 last=3 next=2"},
			{"page_size=10&page=2", 10, 20, "first=1 prev=1 last=3 next=3"},
			{"page_size=100", 0, 25, "first=1 last=1"},
			{"page=9", 25, 25, "first=1 prev=8 last=2"},
		} {
			a := c.do("GET", "/api/hooks?"+q.query, "")
			var got []string
			for _, h := range apitest.Want[[]hook](t, a, 200) {
				got = append(got, h.Name)
			}
			assert.Equal(t, append([]string(nil), names[q.from:q.to]...), got, q.query)
			var links []string
			for _, link := range a.Header.Values("Link") {
				target, rel, _ := strings.Cut(strings.TrimPrefix(link, "<"), ">; rel=")
				u, err := url.Parse(target)
				require.NoError(t, err)
				links = append(links, strings.Trim(rel, `"`)+"="+u.Query().Get("page"))
			}
			assert.Equal(t, q.links, strings.Join(links, " "), q.query)
		}
		for _, bad := range []string{"0", "-1", "x", "1.5", "1e3", "0x10", " 5", "+5", "99999999999999999999"} {
			for _, name := range []string{"page", "page_size"} {
				a := c.do("GET", "/api/hooks?"+name+"="+url.QueryEscape(bad), "")
				assert.Equal(t, "guard.invalid_pagination", errorCode(t, a), bad)
			}
		}
		a := c.do("GET", "/api/hooks?a=1&page=1&b=x+y&a=2", "")
		assert.Equal(t, `<http://example.com/api/hooks?a=1%2C2&page=2&b=x+y>; rel="next"`, a.Header.Values("Link")[2])
		a = c.do("GET", "/api/hooks?page_size=5", "")
		assert.Equal(t, `<http://example.com/api/hooks?page_size=5&page=2>; rel="next"`, a.Header.Values("Link")[2])
	})
}

func TestBodiesThatAreNotJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		form := "name=a+b&events[]=PostSignIn&events[]=User.Created&config[url]=https%3A%2F%2Fexample.com&config%5Bheaders%5D%5BX-A%5D=1"
		made := apitest.Want[hook](t, c.do("POST", "/api/hooks", form, "Content-Type: application/x-www-form-urlencoded"), 201)
		assert.Equal(t, "a b", made.Name)
		assert.Equal(t, []string{"PostSignIn", "User.Created"}, made.Events)
		assert.Equal(t, "https://example.com", made.Config.URL)
		assert.Equal(t, map[string]string{"X-A": "1"}, made.Config.Headers)
		made = apitest.Want[hook](t, c.do("POST", "/api/hooks", `{"event":"PostSignIn","config":{"url":""}}`, "Content-Type: application/vnd.api+json; x=y"), 201)
		assert.Equal(t, "PostSignIn", *made.Event)

		for name, r := range map[string]struct{ contentType, body, want string }{
			"twice":        {"application/x-www-form-urlencoded", "events[0]=PostSignIn&name=a&name=b&config[url]=x", "Expected string but received array"},
			"a text":       {"application/x-www-form-urlencoded", "events[0]=PostSignIn&enabled=true&config[url]=x", "Expected boolean but received string"},
			"deep":         {"application/x-www-form-urlencoded", "config[a][b][c][d][e][f]=x", `"config\": (invalid_type) Expected object but received undefined`},
			"plain text":   {"text/plain", `{"event":"PostSignIn"}`, "Expected object but received string"},
			"unknown type": {"application/xml", `<x/>`, "Expected object but received undefined"},
			"no type":      {"", `{"event":"PostSignIn","config":{"url":""}}`, "Expected object but received undefined"},
			"nothing":      {"application/json", "", "Expected object but received undefined"},
		} {
			a := c.do("POST", "/api/hooks", r.body, "Content-Type: "+r.contentType)
			assert.Equal(t, "guard.invalid_input", errorCode(t, a), name)
			assert.Contains(t, a.Body, r.want, name)
		}
	})
}

func TestTestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		made, stored := c.endpoint("User.Created", "")
		apitest.Want[hook](t, c.do("PATCH", "/api/hooks/"+made.ID, `{"enabled":false}`), 200)
		r := c.network.Receiver(t, "test.example")
		test := func(events, config string) apitest.Response {
			t.Helper()
			return c.do("POST", "/api/hooks/"+made.ID+"/test", `{"events":[`+events+`],"config":{"url":"`+r.URL+`"`+config+`}}`)
		}
		a := test(`"PostSignIn","Identifier.Lockout","PostSignIn"`, `,"headers":{"X-Draft":"1"}`)
		assert.Equal(t, 204, a.Status, a.Body)
		requests := r.Wait(2)
		require.Len(t, requests, 2, "each event once")
		for _, request := range requests {
			assert.Equal(t, "1", request.Header.Get("X-Draft"))
			assert.Equal(t, signature(made.SigningKey, string(request.Body)), request.Header.Get("Logto-Signature-Sha-256"))
			assert.Contains(t, string(request.Body), `"hookId":"`+made.ID+`"`)
		}
		assert.Empty(t, stored.Requests())
		assert.Empty(t, c.logs(made.ID, ""))

		r.Respond(hookstest.Status(500), hookstest.Status(503), hookstest.Status(200))
		assert.Equal(t, 204, test(`"PostSignIn"`, "").Status, "it is retried as a delivery is")
		requests = r.Wait(5)
		assert.GreaterOrEqual(t, requests[3].ReceivedAt.Sub(requests[2].ReceivedAt), 300*time.Millisecond)
		assert.GreaterOrEqual(t, requests[4].ReceivedAt.Sub(requests[3].ReceivedAt), 600*time.Millisecond)

		r.Respond(hookstest.Status(200).After(5*time.Second), hookstest.Status(418).Body("<tea>"))
		a = test(`"PostSignIn","User.Created"`, "")
		assert.Equal(t, "hook.endpoint_responded_with_error", errorCode(t, a))
		assert.Contains(t, a.Body, `{"responseStatus":418,"responseBody":"<tea>"}`)
		assert.Len(t, r.Requests(), 7)

		r.Respond(hookstest.Hang())
		a = test(`"PostSignIn"`, `,"retries":0`)
		assert.Equal(t, "hook.send_test_payload_failed", errorCode(t, a))
		assert.Contains(t, a.Body, "Failed to send test payload: TimeoutError: Request timed out")
	})
}

// What a test sends of a user is what Logto 1.42 sends, with the time of the test.
func TestTestEventsHaveTheTimeOfTheTest(t *testing.T) {
	for name, catalogue := range map[string][]hooks.EventType{"no catalogue": nil, "a catalogue": logto.EventTypes()} {
		synctest.Test(t, func(t *testing.T) {
			c := newClient(t, func(cfg *hooks.Config) { cfg.Catalogue = catalogue })
			made, r := c.endpoint("User.Created", "", hookstest.Status(500), hookstest.Status(200))
			now := time.Now()
			a := c.do("POST", "/api/hooks/"+made.ID+"/test", `{"events":["PostSignIn"],"config":{"url":"`+r.URL+`"}}`)
			require.Equal(t, 204, a.Status, a.Body)
			for _, request := range r.Wait(2) {
				assert.Equal(t, fmt.Sprintf(`{"event":"PostSignIn","createdAt":%q,"sessionId":"fake-session-id","userAgent":"fake-user-agent","userId":"fake-id","userIp":"fake-user-ip",`+
					`"user":{"id":"fake-id","username":"fake-user","primaryEmail":"fake-user@fake-service.com","primaryPhone":"1234567890","name":"Fake User",`+
					`"avatar":"https://fake-service.com/avatars/fake-user.png","customData":{"theme":"light"},"identities":{"google":{"userId":"fake-google-user-id"}},`+
					`"profile":{},"applicationId":"fake-application-id","cimdClientId":null,"isSuspended":false,"lastSignInAt":%[2]d,"createdAt":%[2]d,"updatedAt":%[2]d},`+
					`"application":{"id":"fake-spa-application-id","type":"SPA","name":"Fake Application","description":"Fake application data for testing"},"hookId":%[3]q}`,
					now.UTC().Format("2006-01-02T15:04:05.000Z"), now.UnixMilli(), made.ID), string(request.Body), name)
			}
		})
	}
}

// A text that is no URL is shown without what may be secret in it, and without
// characters that do something to a terminal.
func TestBadURLsAreShownWithoutSecrets(t *testing.T) {
	for stored, shown := range map[string]string{
		"not_work_url":                                   "not_work_url",
		"":                                               "",
		"/relative/path":                                 "/relative/path",
		"//user:hunter2@host/path":                       "[redacted]",
		"us er:hunter2@host":                             "[redacted]",
		"https://user:hunter2@host:port/a":               "https://[redacted]",
		"https://u s?er:hunter2@host:port/a":             "https://[redacted]",
		"https://user%40x:hunter2%40host:p":              "https://[redacted]",
		"hunter2@x://host":                               "[redacted]",
		"example.com/hook?key=hunter2":                   "example.com/hook[redacted]",
		"example.com/hook%3fkey=hunter2":                 "example.com/hook[redacted]",
		"https://ho st/?mail=a@b&key=hunter2":            "https://[redacted]",
		"https://host:port/#hunter2":                     "https://host:port/[redacted]",
		`a\u001b[31m\u0007\u202e\nb`:                     `a\\x1b[31m\\a\\u202e\\nb`,
		"https://host:port/" + strings.Repeat("x", 1000): "https://host:port/" + strings.Repeat("x", 235) + "…",
	} {
		synctest.Test(t, func(t *testing.T) {
			c := newClient(t)
			a := c.do("POST", "/api/hooks", `{"events":["User.Created"],"config":{"url":"`+stored+`"}}`)
			made := apitest.Want[hook](t, a, 201)
			want := strings.TrimSpace("TypeError: Failed to parse URL from " + shown)
			a = c.do("POST", "/api/hooks/"+made.ID+"/test", `{"events":["User.Created"],"config":{"url":"`+stored+`"}}`)
			assert.Contains(t, a.Body, `"Failed to send test payload: `+want)
			c.trigger(hooks.Event{Type: "User.Created"})
			time.Sleep(time.Second)
			logs := c.do("GET", "/api/hooks/"+made.ID+"/recent-logs", "")
			assert.Contains(t, logs.Body, `"error":"`+want+`"`)
			assert.NotContains(t, a.Body+logs.Body, "hunter2")
		})
	}
}

func TestHooksOfTheApplication(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		h := hooks.Hook{
			ID: "of-the-application", Tenant: "default", Protocol: logto.Name, URL: "https://example.com", Events: []string{"User.*"},
			Secrets: []hooks.SigningSecret{{Secret: "old", ExpiresAt: time.Now().Add(time.Hour)}, {Secret: "new"}},
		}
		_, err := c.Register(t.Context(), h)
		require.NoError(t, err)
		got := apitest.Want[hook](t, c.do("GET", "/api/hooks/of-the-application", ""), 200)
		assert.Equal(t, []string{"User.*"}, got.Events)
		for name, change := range map[string]func(*hooks.Hook){
			"settings.retries":                   func(h *hooks.Hook) { h.Settings = []byte(`{"retries":4}`) },
			"settings":                           func(h *hooks.Hook) { h.Settings = []byte(`{"retry":4}`) },
			"method":                             func(h *hooks.Hook) { h.Method = http.MethodPut },
			`headers["Logto-Signature-Sha-256"]`: func(h *hooks.Hook) { h.Headers = map[string]string{"Logto-Signature-Sha-256": "x"} },
			`headers["logto_signature_sha.256"]`: func(h *hooks.Hook) { h.Headers = map[string]string{"logto_signature_sha.256": "x"} },
			`headers["Content_Type"]`:            func(h *hooks.Hook) { h.Headers = map[string]string{"Content_Type": "x"} },
		} {
			bad := h
			bad.ID = ""
			change(&bad)
			_, err := c.Register(t.Context(), bad)
			var invalid *hooks.InvalidError
			require.ErrorAs(t, err, &invalid, name)
			assert.Equal(t, name, invalid.Field)
		}
		_, err = c.Verify(t.Context(), "default", "of-the-application")
		assert.ErrorContains(t, err, "no verification")
	})
}
