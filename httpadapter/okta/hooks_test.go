package okta_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/apitest"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/okta"
)

func TestLifeCycle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		r := c.challenged()
		made := c.create(body("first", "user.create,user.delete,user.create", r.URL, "", ""))
		assert.Regexp(t, `^who[0-9A-Za-z]{17}$`, made.ID)
		assert.Equal(t, "ACTIVE UNVERIFIED", made.state())
		assert.Equal(t, []string{"user.create", "user.delete"}, made.Events.Items, "a set")
		assert.Equal(t, "00uada", *made.CreatedBy)
		assert.Regexp(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z$`, made.LastUpdated)
		assert.Equal(t, []hook{made}, apitest.Want[[]hook](t, c.do("GET", path, ""), 200))
		assert.Equal(t, made, apitest.Want[hook](t, c.do("GET", path+"/"+made.ID, ""), 200))
		assert.Len(t, made.Links, 3)
		assert.Equal(t, "http://example.com"+path+"/"+made.ID, made.Links["self"].Href)

		c.trigger(hooks.Event{ID: "early", Type: "user.create"})
		time.Sleep(time.Minute)
		assert.Empty(t, r.Requests(), "it is not verified")

		assert.Equal(t, "ACTIVE VERIFIED", apitest.Want[hook](t, c.lifecycle(made.ID, "verify"), 200).state())
		r.Next()
		c.trigger(hooks.Event{ID: "e1", Type: "user.create", Time: time.Date(2026, 2, 3, 4, 5, 6, 7e6, time.UTC), Data: []byte(`{"actor":{"id":"1"},"uuid":"no"}`)})
		got := r.Next()
		delivery := c.deliveries(made.ID)[0]
		assert.JSONEq(t, `{"eventType":"com.okta.event_hook","eventTypeVersion":"1.0","cloudEventsVersion":"0.1",
			"source":"`+made.Links["self"].Href+`","eventId":"`+delivery.ID+`",
			"data":{"events":[{"uuid":"e1","published":"2026-02-03T04:05:06.007Z","eventType":"user.create","version":"0","actor":{"id":"1"}}]},
			"eventTime":"`+got.ReceivedAt.UTC().Format("2006-01-02T15:04:05.000Z")+`","contentType":"application/json"}`, string(got.Body))
		assert.Equal(t, "Okta-Integrations", got.Header.Get("User-Agent"))

		code, causes := fails(t, c.do("DELETE", path+"/"+made.ID, ""))
		assert.Equal(t, "E0000001", code)
		assert.Contains(t, causes[0], "must be deactivated")
		for range 2 {
			assert.Equal(t, "INACTIVE VERIFIED", apitest.Want[hook](t, c.lifecycle(made.ID, "deactivate"), 200).state())
		}
		c.trigger(hooks.Event{Type: "user.create"})
		time.Sleep(time.Minute)
		assert.Len(t, r.Requests(), 2)
		gone := c.do("DELETE", path+"/"+made.ID, "")
		assert.Equal(t, 204, gone.Status)
		assert.Empty(t, gone.Body)
		assert.Empty(t, gone.Header.Get("Content-Type"))
		code, _ = fails(t, c.do("GET", path+"/"+made.ID, ""))
		assert.Equal(t, "E0000007", code)
	})
}

// What a body leaves out, and what it changes of the channel.
func TestReplace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const auth = `,"authScheme":{"type":"HEADER","key":"Authorization"`
		for name, test := range map[string]struct {
			config, more string
			state        string
			secret       string
		}{
			"the same":                 {auth + `}`, ``, "ACTIVE VERIFIED", "s"},
			"the same secret":          {auth + `,"value":"s"}`, ``, "ACTIVE VERIFIED", "s"},
			"the key in other letters": {`,"authScheme":{"key":"AUTHORIZATION"}`, ``, "ACTIVE VERIFIED", "s"},
			"another secret":           {auth + `,"value":"t"}`, ``, "ACTIVE UNVERIFIED", "t"},
			"no scheme":                {``, ``, "ACTIVE UNVERIFIED", ""},
			"null":                     {`,"authScheme":null`, ``, "ACTIVE UNVERIFIED", ""},
			"another key":              {`,"authScheme":{"key":"X-Key","value":"s"}`, ``, "ACTIVE UNVERIFIED", "s"},
			"a header":                 {auth + `},"headers":[{"key":"a","value":"b"}]`, ``, "ACTIVE UNVERIFIED", "s"},
			"no headers":               {auth + `},"headers":[]`, ``, "ACTIVE VERIFIED", "s"},
			"a status":                 {auth + `}`, `,"status":"INACTIVE"`, "INACTIVE VERIFIED", "s"},
			"a status of verification": {auth + `,"value":"t"}`, `,"verificationStatus":"VERIFIED"`, "ACTIVE UNVERIFIED", "t"},
			"what can only be read":    {auth + `},"method":"PUT"`, `,"id":"x","created":"y","_links":{}`, "ACTIVE VERIFIED", "s"},
		} {
			c := newClient(t)
			r := c.challenged()
			made := c.create(body("n", "a.b", r.URL, auth+`,"value":"s"}`, `,"description":"d"`))
			made = apitest.Want[hook](t, c.lifecycle(made.ID, "verify"), 200)
			assert.Equal(t, "s", r.Next().Header.Get("Authorization"), name)
			assert.Equal(t, "ACTIVE VERIFIED", made.state(), name)
			replaced := apitest.Want[hook](t, c.do("PUT", path+"/"+made.ID, body("n", "c.d", r.URL, test.config, test.more)), 200)
			assert.Equal(t, made.ID, replaced.ID, name)
			assert.Equal(t, test.state, replaced.state(), name)
			assert.Equal(t, []string{"c.d"}, replaced.Events.Items, name)
			assert.Nil(t, replaced.Description, name)
			stored, err := c.Hook(t.Context(), "acme", made.ID)
			assert.NoError(t, err, name)
			secret := ""
			if len(stored.Secrets) > 0 {
				secret = string(stored.Secrets[0].Secret)
			}
			assert.Equal(t, test.secret, secret, name)
			code, causes := fails(t, c.do("PUT", path+"/"+made.ID, body("n", "c.d", r.URL, `,"authScheme":{"key":"X-Other"}`, "")))
			assert.Equal(t, "E0000001", code, name)
			assert.Contains(t, causes[0], "channel.config.authScheme.value: ", name)
		}
	})
}

// A body without a status leaves it as it is; another URI, or headers that differ
// in more than their order, have to be verified.
func TestReplaceOneThing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		const headers = `,"headers":[{"key":"X-A","value":"1"},{"key":"X-B","value":"2"}]`
		r := c.challenged(hookstest.Response(okta.ChallengeHandler(nil).ServeHTTP))
		id := c.create(body("n", "a.b", r.URL, headers, "")).ID
		for _, step := range []struct{ uri, config, more, state string }{
			{r.URL, headers, `,"status":"ACTIVE"`, "ACTIVE UNVERIFIED"},
			{r.URL, headers, `,"status":"INACTIVE"`, "INACTIVE VERIFIED"},
			{r.URL, headers, ``, "INACTIVE VERIFIED"},
			{r.URL + "/other", headers, ``, "INACTIVE UNVERIFIED"},
			{r.URL + "/other", headers, `,"status":"ACTIVE"`, "ACTIVE VERIFIED"},
			{r.URL + "/other", headers, ``, "ACTIVE VERIFIED"},
			{r.URL + "/other", `,"headers":[{"key":"X-B","value":"2"},{"key":"X-A","value":"1"}]`, ``, "ACTIVE VERIFIED"},
			{r.URL + "/other", `,"headers":[{"key":"X-B","value":"2"},{"key":"X-A","value":"3"}]`, ``, "ACTIVE UNVERIFIED"},
			{r.URL + "/other", ``, `,"verificationStatus":"VERIFIED"`, "ACTIVE UNVERIFIED"},
		} {
			want := apitest.Want[hook](t, c.do("PUT", path+"/"+id, body("n", "a.b", step.uri, step.config, step.more)), 200)
			assert.Equal(t, step.state, want.state(), step)
			apitest.Want[hook](t, c.lifecycle(id, "verify"), 200)
		}
	})
}

// A challenge that fails says why, and leaves the hook as it was.
func TestVerifyFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, test := range map[string]struct {
			responses []hookstest.Response
			requests  int
			cause     string
		}{
			"a wrong value": {[]hookstest.Response{hookstest.Status(200).Body(`{"verification":"x"}`)}, 1, "body: the endpoint did not respond with"},
			"no JSON":       {[]hookstest.Response{hookstest.Status(200).Body(`ok`)}, 1, "body: the endpoint did not respond with"},
			"500":           {[]hookstest.Response{hookstest.Status(500)}, 2, "status: the endpoint responded with 500 Internal Server Error"},
			"404":           {[]hookstest.Response{hookstest.Status(404)}, 1, "status: the endpoint responded with 404 Not Found"},
			"a redirect":    {[]hookstest.Response{hookstest.Redirect(302, "/")}, 1, "redirect: the endpoint responded with 302 Found"},
			"silence":       {[]hookstest.Response{hookstest.Hang()}, 2, "timeout: no complete response in time"},
		} {
			c := newClient(t)
			r := c.network.Receiver(t, "wrong.example", test.responses...)
			made := c.create(body("n", "a.b", r.URL, "", ""))
			began := time.Now()
			a := c.lifecycle(made.ID, "verify")
			assert.LessOrEqual(t, time.Since(began), 6*time.Second, name)
			assert.Equal(t, 400, a.Status)
			code, causes := fails(t, a)
			assert.Equal(t, "E0000001", code, name)
			assert.Equal(t, "Unable to verify event hook. Hook n execution failed", causes[0], name)
			assert.Contains(t, causes[1], test.cause, name)
			assert.Len(t, r.Requests(), test.requests, name)
			assert.Equal(t, made, apitest.Want[hook](t, c.do("GET", path+"/"+made.ID, ""), 200), name)
		}
	})
}

// A delivery that failed twice is dead, stays in the log, and can be sent again.
func TestRetryOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, test := range map[string]struct {
			first    hookstest.Response
			requests int
			state    hooks.State
		}{
			"200":     {hookstest.Status(200), 1, hooks.Succeeded},
			"204":     {hookstest.Status(204), 1, hooks.Succeeded},
			"302":     {hookstest.Redirect(302, "/"), 1, hooks.Dead},
			"410":     {hookstest.Status(410), 1, hooks.Dead},
			"429":     {hookstest.Status(429), 1, hooks.Dead},
			"503":     {hookstest.Status(503), 2, hooks.Dead},
			"silence": {hookstest.Hang(), 2, hooks.Dead},
			"reset":   {hookstest.Reset(), 4, hooks.Dead}, // on two connections each time
		} {
			c := newClient(t)
			h, r := c.endpoint("a.b", test.first)
			began := time.Now()
			c.trigger(hooks.Event{Type: "a.b"})
			time.Sleep(time.Minute)
			requests := r.Requests()[1:]
			assert.Len(t, requests, test.requests, name)
			assert.LessOrEqual(t, requests[len(requests)-1].ReceivedAt.Sub(began), 4100*time.Millisecond, name)
			d := c.deliveries(h.ID)[0]
			assert.Equal(t, test.state, d.State, name)
			_, err := c.Redeliver(t.Context(), "acme", d.ID)
			assert.NoError(t, err)
			time.Sleep(time.Minute)
			assert.Len(t, r.Requests()[1:], 2*test.requests, name)
		}
	})
}

func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, func(_ *hooks.Config, api *okta.Config) { api.MaxActive, api.MaxEventTypes = 2, 3 })
		const uri = "https://example.com"
		first := c.create(body("first", "a.b", uri, "", ""))
		c.create(body("second", "a.b", uri, "", ""))
		resting := c.create(body("resting", "a.b", uri, "", `,"status":"INACTIVE"`))
		assert.Equal(t, "INACTIVE UNVERIFIED", resting.state())
		for _, refused := range []struct {
			cause string
			apitest.Response
		}{
			{"status: There may be at most 2 active", c.do("POST", path, body("third", "a.b", uri, "", ""))},
			{"status: There may be at most 2 active", c.lifecycle(resting.ID, "activate")},
			{"status: There may be at most 2 active", c.do("PUT", path+"/"+resting.ID, body("resting", "a.b", uri, "", `,"status":"ACTIVE"`))},
			{"name: An object with this field already", c.do("POST", path, body("first", "a.b", uri, "", `,"status":"INACTIVE"`))},
			{"name: An object with this field already", c.do("PUT", path+"/"+first.ID, body("second", "a.b", uri, "", ""))},
			{"events.items: There may be at most 3", c.do("PUT", path+"/"+first.ID, body("first", "a,b,c,d", uri, "", ""))},
			{"channel.config.uri: must be an absolute", c.do("PUT", path+"/"+first.ID, body("first", "a", "example.com", "", ""))},
			{`channel.config.headers["Host"]: belongs`, c.do("PUT", path+"/"+first.ID, body("first", "a", uri, `,"headers":[{"key":"Host","value":"x"}]`, ""))},
			{"channel.config.authScheme.key: belongs to", c.do("PUT", path+"/"+first.ID, body("first", "a", uri, `,"authScheme":{"key":"Host","value":"x"}`, ""))},
		} {
			code, causes := fails(t, refused.Response)
			assert.Equal(t, "E0000001", code, refused.cause)
			assert.Contains(t, causes[0], refused.cause)
		}
		assert.Equal(t, first, apitest.Want[hook](t, c.do("GET", path+"/"+first.ID, ""), 200), "nothing has changed")
		renamed := apitest.Want[hook](t, c.do("PUT", path+"/"+first.ID, body("renamed", "a,b,c,a", uri, "", "")), 200)
		assert.Equal(t, []string{"a", "b", "c"}, renamed.Events.Items)
		apitest.Want[hook](t, c.lifecycle(first.ID, "deactivate"), 200)
		assert.Equal(t, "ACTIVE UNVERIFIED", apitest.Want[hook](t, c.lifecycle(resting.ID, "activate"), 200).state())
	})
}

// Expressions that a hook has no room for are refused before they are parsed.
func TestFiltersInAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		withFilters := func(n int) string {
			var items, filters []string
			for i := range n {
				items = append(items, fmt.Sprintf(`"a.%d"`, i))
				filters = append(filters, fmt.Sprintf(`{"event":"a.%d","condition":{"expression":"true%s"}}`, i, strings.Repeat(" ", 4000)))
			}
			return `{"name":"n","events":{"type":"EVENT_TYPE","items":[` + strings.Join(items, ",") + `],"filter":{"eventFilterMap":[` + strings.Join(filters, ",") + `]}},` +
				`"channel":{"type":"HTTP","version":"1.0.0","config":{"uri":"https://example.com"}}}`
		}
		assert.Len(t, c.create(withFilters(16)).Events.Filter.EventFilterMap, 16)
		code, causes := fails(t, c.do("POST", path, withFilters(17)))
		assert.Equal(t, "E0000001", code)
		assert.Equal(t, []string{"events.filter: The expressions may have at most 65536 bytes in all"}, causes)
	})
}

func TestRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, func(_ *hooks.Config, api *okta.Config) { api.RateLimit = 2 })
		for _, remaining := range []string{"1", "0"} {
			a := c.do("GET", path, "")
			assert.Equal(t, 200, a.Status)
			assert.Equal(t, remaining, a.Header.Get("X-Rate-Limit-Remaining"))
		}
		a := c.do("GET", path, "")
		assert.Equal(t, 429, a.Status)
		code, _ := fails(t, a)
		assert.Equal(t, "E0000047", code)
		assert.Equal(t, "2", a.Header.Get("X-Rate-Limit-Limit"))
		date, err := http.ParseTime(a.Header.Get("Date"))
		assert.NoError(t, err)
		reset, err := strconv.ParseInt(a.Header.Get("X-Rate-Limit-Reset"), 10, 64)
		assert.NoError(t, err)
		time.Sleep(time.Unix(reset, 0).Sub(date))
		assert.Equal(t, 200, c.do("GET", path, "").Status, "after as long as a client waits")
	})
}

// What is under way ends by its response; what waits for a retry ends as cancelled,
// for a reason that the log names, and can be sent again.
func TestDeliveriesOfAHookThatIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for reason, stop := range map[string]func(*client, hook) apitest.Response{
			"the hook is disabled": func(c *client, h hook) apitest.Response { return c.lifecycle(h.ID, "deactivate") },
			"the hook is not verified": func(c *client, h hook) apitest.Response {
				return c.do("PUT", path+"/"+h.ID, body(h.Name, "a.b", h.Channel.Config.URI, `,"headers":[{"key":"X-New","value":"1"}]`, ""))
			},
			"the hook was deleted": func(c *client, h hook) apitest.Response {
				apitest.Want[hook](c.t, c.lifecycle(h.ID, "deactivate"), 200)
				assert.Equal(c.t, 204, c.do("DELETE", path+"/"+h.ID, "").Status)
				return apitest.Response{Status: 200}
			},
		} {
			c := newClient(t)
			h, r := c.endpoint("a.b", hookstest.Status(200).After(time.Second), hookstest.Status(500).After(time.Second))
			c.trigger(hooks.Event{Type: "a.b"})
			time.Sleep(time.Millisecond)
			c.trigger(hooks.Event{Type: "a.b"})
			time.Sleep(100 * time.Millisecond)
			assert.Equal(t, 200, stop(c, h).Status)
			time.Sleep(time.Minute)
			assert.Len(t, r.Requests()[1:], 2, reason)
			ended := c.deliveries(h.ID)
			assert.Equal(t, hooks.Succeeded, ended[0].State, reason)
			assert.Equal(t, hooks.Cancelled, ended[1].State, reason)
			assert.Equal(t, reason, ended[1].Reason)
			_, err := c.Redeliver(t.Context(), "acme", ended[1].ID)
			assert.NoError(t, err)
			time.Sleep(time.Minute)
			assert.Equal(t, reason, c.deliveries(h.ID)[1].Reason, "as long as it is stopped")
		}
	})
}

// An endpoint that says until when to leave it alone gets no other delivery before.
func TestAnOverloadedEndpointIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		_, r := c.endpoint("a.b", hookstest.Status(503).Header("Retry-After", "60"), hookstest.Status(200))
		c.trigger(hooks.Event{Type: "a.b"})
		synctest.Wait()
		c.trigger(hooks.Event{Type: "a.b"})
		requests := r.Wait(3)[1:] // after the challenge
		assert.GreaterOrEqual(t, requests[1].ReceivedAt.Sub(requests[0].ReceivedAt), time.Minute)
	})
}
