package okta_test

import (
	"encoding/json"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/apitest"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/okta"
)

// An envelope is the body of a delivery.
type envelope struct {
	EventID, EventTime, Source string
	Data                       struct{ Events []map[string]json.RawMessage }
}

func opened(t *testing.T, r hookstest.Request) (e envelope) {
	t.Helper()
	require.NoError(t, json.Unmarshal(r.Body, &e), "%s", r.Body)
	return e
}

// What the data of an event is, and what becomes of it.
func TestLogEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		_, r := c.endpoint("a.b")
		next := 0
		for data, members := range map[string]string{
			``:                          ``,
			`null`:                      `,"data":null`,
			`[1]`:                       `,"data":[1]`,
			`"x"`:                       `,"data":"x"`,
			`{}`:                        ``,
			`{"data":{},"actor":null}`:  `,"data":{},"actor":null`,
			`{"version":"1","uuid":{}}`: ``,
			`{"z":1e400,"a":"<\u2028"}`: `,"z":1e400,"a":"<\u2028"`,
		} {
			next++
			id := strconv.Itoa(next)
			c.trigger(hooks.Event{ID: id, Type: "a.b", Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Data: []byte(data)})
			got := r.Next()
			want := `"data":{"events":[{"uuid":"` + id + `","published":"2026-01-02T03:04:05.000Z","eventType":"a.b","version":"0"` + members + `}]}`
			assert.Contains(t, string(got.Body), want, data)
		}
	})
}

// The events of a window go out together, and succeed or fail together.
func TestBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, func(cfg *hooks.Config, _ *okta.Config) {
			cfg.Protocols = []hooks.Protocol{&okta.Protocol{MaxBatch: 3, BatchWindow: 5 * time.Second}}
		})
		h, r := c.endpoint("a.b", hookstest.Status(500), hookstest.Status(500), hookstest.Status(200))
		for _, id := range []string{"e1", "e2", "e3", "e4"} {
			c.trigger(hooks.Event{ID: id, Type: "a.b"})
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute)
		var sent [][]string
		var eventIDs []string
		for _, received := range r.Requests()[1:] {
			e := opened(t, received)
			var ids []string
			for _, event := range e.Data.Events {
				ids = append(ids, string(event["uuid"]))
			}
			sent, eventIDs = append(sent, ids), append(eventIDs, e.EventID)
		}
		first := []string{`"e1"`, `"e2"`, `"e3"`}
		assert.Equal(t, [][]string{first, first, {`"e4"`}}, sent, "the three failed, were tried once more, and failed")
		assert.Equal(t, eventIDs[0], eventIDs[1], "it names the request, whatever the attempt")
		assert.NotEqual(t, eventIDs[0], eventIDs[2])
		for i, state := range []hooks.State{hooks.Dead, hooks.Dead, hooks.Dead, hooks.Succeeded} {
			assert.Equal(t, state, c.deliveries(h.ID)[i].State)
		}
	})
}

// Expressions choose events by their type; one that fails is reported, and its
// event not delivered.
func TestFilters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failed []string
		c := newClient(t, func(cfg *hooks.Config, _ *okta.Config) {
			cfg.Observer.FilterFailed = func(h hooks.Hook, e hooks.Event, err error) {
				failed = append(failed, h.Name+": "+err.Error())
			}
		})
		h, r := c.endpoint("a.b,c.d")
		replaced := c.do("PUT", path+"/"+h.ID, `{"name":"filtered","events":{"type":"EVENT_TYPE","items":["a.b","c.d"],"filter":{"type":"EXPRESSION_LANGUAGE","eventFilterMap":[
			{"event":"a.b","condition":{"expression":"event.target.?[type eq 'UserGroup' && displayName eq 'Sales'].size()>0"}}]}},
			"channel":{"type":"HTTP","version":"1.0.0","config":{"uri":"`+r.URL+`"}}}`)
		assert.Equal(t, "ACTIVE VERIFIED", apitest.Want[hook](t, replaced, 200).state())
		for _, e := range []hooks.Event{
			{ID: "other-group", Type: "a.b", Data: []byte(`{"target":[{"type":"UserGroup","displayName":"Support"},{"type":"User","displayName":"Sales"}]}`)},
			{ID: "nothing", Type: "a.b"},
			{ID: "no-list", Type: "a.b", Data: []byte(`{"target":{"type":"UserGroup"}}`)},
			{ID: "group", Type: "a.b", Data: []byte(`{"target":[{"type":"User"},{"type":"UserGroup","displayName":"Sales"}]}`)},
			{ID: "unfiltered", Type: "c.d"},
		} {
			c.trigger(e)
		}
		time.Sleep(time.Minute)
		var got []string
		for _, received := range r.Requests()[1:] {
			got = append(got, string(opened(t, received).Data.Events[0]["uuid"]))
		}
		assert.ElementsMatch(t, []string{`"group"`, `"unfiltered"`}, got)
		assert.Equal(t, []string{"filtered: line 1, column 1: .?[ ] selects from a list, not from an object"}, failed)
	})
}

// A hook that was registered with the Manager, not by the API.
func TestRegistered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		r := c.challenged()
		registered := hooks.Hook{
			ID: "mine", Tenant: "acme", Protocol: okta.Name, Name: "mine", URL: r.URL, Events: []string{"user.*"},
			Headers: map[string]string{"X-B": "2", "X-A": "1", "user-agent": "me"}, Secrets: []hooks.SigningSecret{{Secret: "s"}},
			Settings: json.RawMessage(`{"authHeader":"x-key"}`),
		}
		_, err := c.Register(t.Context(), registered)
		require.NoError(t, err)
		shown := apitest.Want[hook](t, c.lifecycle("mine", "verify"), 200)
		assert.Equal(t, "ACTIVE VERIFIED", shown.state())
		assert.Equal(t, "s", r.Next().Header.Get("X-Key"))
		assert.Nil(t, shown.CreatedBy)
		assert.Equal(t, "X-A", shown.Channel.Config.Headers[0].Key, "by name")
		c.trigger(hooks.Event{Type: "user.create"})
		got := r.Next()
		assert.Equal(t, "s", got.Header.Get("X-Key"))
		assert.Equal(t, "me", got.Header.Get("User-Agent"))
		assert.Equal(t, path+"/mine", opened(t, got).Source)

		for name, change := range map[string]func(*hooks.Hook){
			"settings":            func(h *hooks.Hook) { h.Settings = json.RawMessage(`[]`) },
			"settings.authHeader": func(h *hooks.Hook) { h.Settings = nil },
			"secrets":             func(h *hooks.Hook) { h.Secrets = nil },
			`headers["X-Key"]`:    func(h *hooks.Hook) { h.Headers = map[string]string{"X-Key": "1"} },
			"method":              func(h *hooks.Hook) { h.Method = "PUT" },
			"settings.filters[0]": func(h *hooks.Hook) {
				h.Settings = json.RawMessage(`{"authHeader":"X-Key","filters":[{"event":"a.b","expression":"("}]}`)
			},
			"maxBatch":                     func(h *hooks.Hook) { h.MaxBatch = 101 },
			`headers["X-Okta-Request-Id"]`: func(h *hooks.Hook) { h.Headers = map[string]string{"X-Okta-Request-Id": "1"} },
		} {
			h := registered
			h.ID = "other"
			change(&h)
			_, err := c.Register(t.Context(), h)
			var invalid *hooks.InvalidError
			require.ErrorAs(t, err, &invalid, name)
			assert.Equal(t, name, invalid.Field, invalid)
		}
	})
}
