package httpadapter_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
	"github.com/seed-2c6e3a5a/hooks/httpadapter"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/apitest"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/logto"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/okta"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/webitel"
	"github.com/seed-2c6e3a5a/hooks/memory"
)

var quiet = slog.New(slog.DiscardHandler)

const eventType = "User.Created"

// A system is an API as a tenant sees it: how it does what all can do.
type system struct {
	path string
	// body is that of a hook.
	body func(name, url string) string
	// replace is the method that changes a hook.
	replace string
	// made returns the ID of a hook that was made, listed those of a list.
	made, listed func(body string) []string
	// found reports whether a response is one about a hook that is there.
	found func(apitest.Response) bool
}

// ids returns what is at a path of names in a response, of which lists are gone
// through.
func ids(path ...string) func(string) []string {
	return func(body string) (found []string) {
		var value any
		if json.Unmarshal([]byte(body), &value) != nil {
			return nil
		}
		var walk func(value any, path []string)
		walk = func(value any, path []string) {
			switch v := value.(type) {
			case []any:
				for _, element := range v {
					walk(element, path)
				}
			case map[string]any:
				if len(path) > 0 {
					walk(v[path[0]], path[1:])
				}
			case string:
				found = append(found, v)
			}
		}
		walk(value, path)
		return found
	}
}

func succeeded(a apitest.Response) bool { return a.Status < 300 }

var systems = map[string]system{
	logto.Name: {
		path: "/api/hooks",
		body: func(name, url string) string {
			return fmt.Sprintf(`{"name":%q,"events":[%q],"config":{"url":%q}}`, name, eventType, url)
		},
		replace: "PATCH", made: ids("id"), listed: ids("id"), found: succeeded,
	},
	okta.Name: {
		path: "/api/v1/eventHooks",
		body: func(name, url string) string {
			return fmt.Sprintf(`{"name":%q,"events":{"type":"EVENT_TYPE","items":[%q]},"channel":{"type":"HTTP","version":"1.0.0","config":{"uri":%q}}}`, name, eventType, url)
		},
		replace: "PUT", made: ids("id"), listed: ids("id"), found: succeeded,
	},
	webitel.Name: {
		path: "/api/v2/hooks",
		body: func(name, url string) string {
			return fmt.Sprintf(`{"event":%q,"enable":true,"description":%q,"action":{"type":"web","method":"POST","url":%q}}`, eventType, name, url)
		},
		replace: "PUT", made: ids("data", "insertedIds"), listed: ids("data", "_id"),
		found: func(a apitest.Response) bool {
			return a.Status == 200 && !strings.Contains(a.Body, `"data":null`) && !strings.Contains(a.Body, `"n":0`)
		},
	},
}

// tenants are those of a tenancy.
var tenants = []string{"acme.example", "shop.example", "bank.example"}

// A step is something that a tenant does, to a hook of another or its own.
type step struct {
	verb   string
	by     string
	system string
	owner  string
	which  int // of the owner's hooks, or of events
}

var steps = rapid.Custom(func(t *rapid.T) step {
	tenant := rapid.SampledFrom(tenants)
	return step{
		verb:   rapid.SampledFrom([]string{"create", "create", "get", "replace", "delete", "trigger", "trigger", "logs"}).Draw(t, "verb"),
		by:     tenant.Draw(t, "by"),
		system: rapid.SampledFrom([]string{logto.Name, okta.Name, webitel.Name}).Draw(t, "system"),
		owner:  tenant.Draw(t, "owner"),
		which:  rapid.IntRange(0, 9).Draw(t, "which"),
	}
})

// Nobody sees, changes or receives what is another's, whatever anybody does through
// whichever API.
func TestTenantsAreApart(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		todo := rapid.SliceOfN(steps, 20, 60).Draw(rt, "steps")
		var failures failures
		synctest.Test(t, func(t *testing.T) {
			y := newTenancy(t, &failures)
			for i, s := range todo {
				y.do(s, i)
				y.checkLists()
			}
			time.Sleep(time.Hour)
			y.checkReceivers()
		})
		if len(failures) > 0 {
			rt.Fatal(failures[0])
		}
	})
}

// failures are collected, for rapid to find the fewest steps to one.
type failures []string

func (f *failures) Errorf(format string, args ...any) { *f = append(*f, fmt.Sprintf(format, args...)) }

// A tenancy is three tenants of one Manager, and what is theirs.
type tenancy struct {
	*hooks.Manager
	t        *failures
	apis     map[string]map[string]http.Handler // by tenant and system
	receiver map[string]*hookstest.Receiver
	hooks    map[string]map[string][]string // IDs by tenant and system
	events   map[string]map[string]bool     // IDs by tenant
}

func newTenancy(t *testing.T, f *failures) *tenancy {
	t.Helper()
	network := new(hookstest.Network)
	y := &tenancy{
		t: f, apis: map[string]map[string]http.Handler{}, receiver: map[string]*hookstest.Receiver{},
		hooks: map[string]map[string][]string{}, events: map[string]map[string]bool{},
		Manager: apitest.Run(t, memory.New(memory.Options{}), hooks.Config{
			Protocols: []hooks.Protocol{&logto.Protocol{}, &okta.Protocol{}, &webitel.Protocol{}},
			Dial:      network.Dial, AllowHTTP: true, Logger: quiet,
		}),
	}
	challenged := hookstest.Response(okta.ChallengeHandler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP)
	for _, tenant := range tenants {
		cfg := httpadapter.Config{Authenticate: httpadapter.Open(tenant), Logger: quiet}
		logtoAPI, err := logto.New(y.Manager, cfg)
		require.NoError(t, err)
		oktaAPI, err := okta.New(y.Manager, okta.Config{Config: cfg})
		require.NoError(t, err)
		webitelAPI, err := webitel.New(y.Manager, webitel.Config{Config: cfg})
		require.NoError(t, err)
		y.apis[tenant] = map[string]http.Handler{logto.Name: logtoAPI, okta.Name: oktaAPI, webitel.Name: webitelAPI}
		y.receiver[tenant] = network.Receiver(t, tenant, challenged)
		y.hooks[tenant], y.events[tenant] = map[string][]string{}, map[string]bool{}
	}
	return y
}

// ask makes a request as a tenant, who names another where an API has a parameter
// for that.
func (y *tenancy) ask(tenant, name, method, path, body string) apitest.Response {
	target := systems[name].path + path + "?domain=" + tenants[0]
	return apitest.NewRequest(method+" "+target, body).To(y.apis[tenant][name])
}

func (y *tenancy) do(s step, number int) {
	system, own := systems[s.system], s.by == s.owner
	body := system.body(fmt.Sprintf("hook %d", number), y.receiver[s.by].URL)
	verify := func(id string) {
		if s.system == okta.Name {
			assert.True(y.t, succeeded(y.ask(s.by, s.system, "POST", "/"+id+"/lifecycle/verify", "")))
		}
	}
	switch s.verb {
	case "create":
		made := y.ask(s.by, s.system, "POST", "", body)
		if id := system.made(made.Body); assert.Len(y.t, id, 1, made.Body) {
			y.hooks[s.by][s.system] = append(y.hooks[s.by][s.system], id[0])
			verify(id[0])
		}
		return
	case "trigger":
		y.trigger(s.by, fmt.Sprintf("event%d", s.which))
		return
	}
	theirs := y.hooks[s.owner][s.system]
	if len(theirs) == 0 {
		return
	}
	id := theirs[s.which%len(theirs)]
	switch s.verb {
	case "get":
		assert.Equal(y.t, own, system.found(y.ask(s.by, s.system, "GET", "/"+id, "")), s)
		for other := range systems {
			if other != s.system {
				assert.False(y.t, systems[other].found(y.ask(s.by, other, "GET", "/"+id, "")), "%s through %s", s, other)
			}
		}
	case "replace":
		assert.Equal(y.t, own, system.found(y.ask(s.by, s.system, system.replace, "/"+id, body)), s)
		if own {
			verify(id)
		}
	case "delete":
		if s.system == okta.Name {
			assert.Equal(y.t, own, succeeded(y.ask(s.by, s.system, "POST", "/"+id+"/lifecycle/deactivate", "")), s)
		}
		assert.Equal(y.t, own, system.found(y.ask(s.by, s.system, "DELETE", "/"+id, "")), s)
		if own {
			y.hooks[s.by][s.system] = slices.DeleteFunc(slices.Clone(theirs), func(other string) bool { return other == id })
		}
	case "logs":
		y.checkLogs(s, id)
	}
}

// trigger triggers an event, whose ID others may have, too.
func (y *tenancy) trigger(by, id string) {
	_, err := y.Trigger(context.Background(), hooks.Event{ID: id, Tenant: by, Type: eventType, Data: []byte(`{"owner":"` + by + `"}`)})
	if y.events[by][id] {
		assert.ErrorIs(y.t, err, hooks.ErrDuplicate)
	} else {
		assert.NoError(y.t, err)
	}
	y.events[by][id] = true
}

// checkLogs looks for what is another's in all logs, and those of a hook.
func (y *tenancy) checkLogs(s step, id string) {
	time.Sleep(time.Second)
	for log, err := range y.AllLogs(context.Background(), hooks.LogQuery{Tenant: s.by}) {
		assert.NoError(y.t, err)
		assert.True(y.t, y.events[s.by][log.EventID] && log.Tenant == s.by && strings.Contains(log.Request.URL, s.by), "%s: %+v", s, log)
	}
	logs := y.ask(s.by, logto.Name, "GET", "/"+id+"/recent-logs", "")
	if s.by != s.owner {
		assert.NotContains(y.t, logs.Body, s.owner, s)
	}
}

func (y *tenancy) checkLists() {
	for _, by := range tenants {
		for name, system := range systems {
			assert.ElementsMatch(y.t, y.hooks[by][name], system.listed(y.ask(by, name, "GET", "", "").Body))
		}
	}
}

func (y *tenancy) checkReceivers() {
	for tenant, receiver := range y.receiver {
		for _, received := range receiver.Requests() {
			if received.Method == http.MethodPost {
				assert.Contains(y.t, string(received.Body), `"owner":"`+tenant+`"`)
			}
		}
	}
}
