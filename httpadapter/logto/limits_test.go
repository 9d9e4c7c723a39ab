package logto_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/apitest"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/logto"
)

// everyEvent is the list of all event types, in JSON.
func everyEvent() string {
	var names []string
	for _, t := range logto.EventTypes() {
		names = append(names, t.Name)
	}
	list, _ := json.Marshal(names)
	return string(list)
}

// counting is a response that counts the requests, and how many there are at a
// time.
func counting(after hookstest.Response) (response hookstest.Response, counts func() (all, most int)) {
	var mu sync.Mutex
	var now, all, most int
	return func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			now++
			all++
			most = max(most, now)
			mu.Unlock()
			after(w, r)
			mu.Lock()
			now--
			mu.Unlock()
		}, func() (int, int) {
			mu.Lock()
			defer mu.Unlock()
			return all, most
		}
}

// Twenty tests of all events at once, at an endpoint that is down: a tenant gets
// four of them, each of which ends with its first event.
func TestTestsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, func(cfg *hooks.Config) { cfg.MaxInFlight = 4 })
		made, _ := c.endpoint("User.Created", "")
		response, counts := counting(hookstest.Status(500).After(time.Second))
		r := c.network.Receiver(t, "down.example", response)
		codes := make([]string, 20)
		var group sync.WaitGroup
		for i := range codes {
			group.Go(func() {
				a := c.do("POST", "/api/hooks/"+made.ID+"/test", `{"events":`+everyEvent()+`,"config":{"url":"`+r.URL+`"}}`)
				codes[i] = fmt.Sprint(a.Status, " ", errorCode(t, a), " ", a.Header.Get("Retry-After"))
			})
		}
		group.Wait()
		count := map[string]int{}
		for _, code := range codes {
			count[code]++
		}
		assert.Equal(t, map[string]int{"429 request.rate_limited 5": 16, "422 hook.endpoint_responded_with_error ": 4}, count)
		all, most := counts()
		assert.Equal(t, 16, all, "an attempt and three retries for each test")
		assert.Equal(t, 1, most)
	})
}

// After a failure, the events that have not been sent still are.
func TestATestGoesOnAfterARetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, func(cfg *hooks.Config) { cfg.MaxInFlight = 128 })
		made, _ := c.endpoint("User.Created", "")
		accepted := map[string]int{}
		var mu sync.Mutex
		failures := 0
		response, counts := counting(func(w http.ResponseWriter, r *http.Request) {
			var payload struct{ Event string }
			_ = json.NewDecoder(r.Body).Decode(&payload)
			mu.Lock()
			defer mu.Unlock()
			if payload.Event == logto.UserCreated && failures < 2 {
				failures++
				w.WriteHeader(503)
				return
			}
			accepted[payload.Event]++
		})
		r := c.network.Receiver(t, "flaky.example", response)
		began := time.Now()
		a := c.do("POST", "/api/hooks/"+made.ID+"/test", `{"events":`+everyEvent()+`,"config":{"url":"`+r.URL+`"}}`)
		assert.Equal(t, 204, a.Status, a.Body)
		assert.Equal(t, 900*time.Millisecond, time.Since(began), "0.3 s and 0.6 s")
		assert.Len(t, accepted, 29)
		_, most := counts()
		assert.LessOrEqual(t, most, 8, "the places of a tenant: a sixteenth")
	})
}

func TestTooManyHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, func(cfg *hooks.Config) { cfg.MaxHooks = 2 })
		first, _ := c.endpoint("User.Created", "")
		c.endpoint("User.Created", "")
		a := c.do("POST", "/api/hooks", `{"events":["User.Created"],"config":{"url":"https://example.com"}}`)
		assert.Equal(t, "system_limit.limit_exceeded", errorCode(t, a))
		assert.Equal(t, 403, a.Status)
		assert.Equal(t, 204, c.do("DELETE", "/api/hooks/"+first.ID, "").Status)
		c.endpoint("User.Created", "")
	})
}

// A list without pages has all hooks, with their statistics, however many there
// are.
func TestListsOfManyHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, func(cfg *hooks.Config) { cfg.MaxHooks = -1 })
		for range hooks.MaxLimit + 1 {
			_, err := c.Register(t.Context(), hooks.Hook{
				Tenant: "default", Protocol: logto.Name, URL: "https://example.com", Events: []string{"User.Created"},
			})
			require.NoError(t, err)
		}
		list := apitest.Want[[]hook](t, c.do("GET", "/api/hooks?includeExecutionStats=1", ""), 200)
		assert.Len(t, list, hooks.MaxLimit+1)
		assert.NotNil(t, list[hooks.MaxLimit].ExecutionStats)
	})
}

func TestPagesBehindAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		made, _ := c.endpoint("User.Created", "")
		c.trigger(hooks.Event{Type: logto.UserCreated})
		time.Sleep(time.Second)
		for _, path := range []string{"/api/hooks", "/api/hooks/" + made.ID + "/recent-logs"} {
			for _, page := range []string{"2", "10001", "10002", "2147483647"} {
				a := c.do("GET", path+"?page_size=100&page="+page, "")
				assert.Equal(t, 200, a.Status, a.Body)
				assert.Equal(t, "[]", a.Body)
				assert.Equal(t, "1", a.Header.Get("Total-Number"))
			}
		}
	})
}

// What is nested deeper than 100 is shown as the text of its JSON, and its
// secrets are not shown either.
func TestDeepResponsesAreShownAsText(t *testing.T) {
	nested := func(depth int, open, inner, shut string) string {
		return strings.Repeat(open, depth) + inner + strings.Repeat(shut, depth)
	}
	const secret = `{"password":"p4ss","n":1.50,"<":"é"}`
	const masked = `{"password":"******","n":1.50,"<":"é"}`
	quoted := func(s string) string {
		text, _ := json.Marshal(s)
		return strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(string(text))
	}
	for name, tt := range map[string]struct{ body, want string }{
		"objects, not too deep": {nested(99, `{"a":`, secret, "}"), nested(99, `{"a":`, masked, "}")},
		"objects, too deep":     {nested(100, `{"a":`, secret, "}"), nested(100, `{"a":`, quoted(masked), "}")},
		"lists":                 {nested(101, `[`, secret, "]"), nested(100, `[`, quoted("["+masked+"]"), "]")},
		"both":                  {nested(60, `[{"a":`, secret, "}]"), nested(50, `[{"a":`, quoted(nested(10, `[{"a":`, masked, "}]")), "}]")},
		"very deep":             {nested(2700, `{"a":`, "null", "}"), nested(100, `{"a":`, quoted(nested(2600, `{"a":`, "null", "}")), "}")},
		"very deep lists":       {nested(5000, `[`, "", "]"), nested(100, `[`, quoted(nested(4900, `[`, "", "]")), "]")},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClient(t)
				made, _ := c.endpoint("User.Created", "", hookstest.Status(200).Body(tt.body))
				c.trigger(hooks.Event{Type: logto.UserCreated, Data: json.RawMessage(`{"data":` + tt.body + `}`)})
				time.Sleep(time.Second)
				logs := c.logs(made.ID, "")
				require.Len(t, logs, 1)
				assert.Equal(t, tt.want, string(logs[0].Payload.Response.Body))
				assert.NotContains(t, string(logs[0].Payload.HookRequest.Body), "p4ss")
			})
		})
	}
}

type issues struct {
	Data struct {
		Issues []struct {
			Received string
			Options  []string
			Path     []any
		}
	}
	Details string
}

// Of many faults, the response has the first 100.
func TestManyFaults(t *testing.T) {
	c := newClient(t)
	for name, list := range map[string]string{
		"strings": strings.Repeat(`"x",`, 250_000) + `"x"`,
		"numbers": strings.Repeat(`1,`, 400_000) + `1`,
	} {
		a := c.do("POST", "/api/hooks", `{"events":[`+list+`],"config":{"url":1}}`)
		assert.Equal(t, "guard.invalid_input", errorCode(t, a), name)
		told := apitest.Want[issues](t, a, 400)
		require.Len(t, told.Data.Issues, 100, name)
		assert.Equal(t, []any{"events", 99.0}, told.Data.Issues[99].Path)
		assert.Equal(t, 99, strings.Count(told.Details, "\n"))
	}
	one := c.create(`"events":[` + strings.Repeat(`"User.Created",`, 60_000) + `"User.Deleted"],"config":{"url":"https://example.com"}`)
	assert.Equal(t, []string{"User.Created", "User.Deleted"}, one.Events)
}

// A response does not grow with the catalogue and the number of faults.
func TestFaultsWithALargeCatalogue(t *testing.T) {
	c := newClient(t, func(cfg *hooks.Config) {
		cfg.Catalogue = logto.EventTypes()
		for i := range 3000 {
			cfg.Catalogue = append(cfg.Catalogue, hooks.EventType{Name: fmt.Sprint("type", i)})
		}
	})
	told := apitest.Want[issues](t, c.do("POST", "/api/hooks", `{"events":[`+strings.Repeat(`"x",`, 1000)+`"x"],"config":{"url":""}}`), 400)
	require.Len(t, told.Data.Issues, 4)
	assert.Len(t, told.Data.Issues[3].Options, 3029)
	var valid []string
	for i := range 3000 {
		valid = append(valid, fmt.Sprintf(`"type%d"`, i))
	}
	a := c.do("POST", "/api/hooks", `{"events":[`+strings.Join(valid, ",")+`],"config":{"url":"https://example.com"}}`)
	assert.Contains(t, a.Body, "events: must name 1 to 1000 event types")
}
