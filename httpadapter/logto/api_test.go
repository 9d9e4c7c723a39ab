package logto_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
	"github.com/seed-2c6e3a5a/hooks/httpadapter"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/apitest"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/logto"
	"github.com/seed-2c6e3a5a/hooks/memory"
)

// A client asks the API of a Manager.
type client struct {
	*hooks.Manager
	t       testing.TB
	network *hookstest.Network
	handler http.Handler
	hosts   int
}

// newClient returns a client of a running Manager in memory, for a bubble.
func newClient(t testing.TB, adjust ...func(*hooks.Config)) *client {
	t.Helper()
	return newClientOf(t, memory.New(memory.Options{}), adjust...)
}

func newClientOf(t testing.TB, store hooks.Store, adjust ...func(*hooks.Config)) *client {
	t.Helper()
	c := &client{t: t, network: new(hookstest.Network)}
	cfg := hooks.Config{
		Protocols: []hooks.Protocol{&logto.Protocol{}},
		Dial:      c.network.Dial, AllowHTTP: true,
		Logger: slog.New(slog.DiscardHandler),
	}
	for _, change := range adjust {
		change(&cfg)
	}
	c.Manager = apitest.Run(t, store, cfg)
	c.handler = newAPI(t, c.Manager, httpadapter.Open("default"))
	return c
}

func newAPI(t testing.TB, m *hooks.Manager, who httpadapter.Authenticate) http.Handler {
	t.Helper()
	api, err := logto.New(m, httpadapter.Config{Authenticate: who, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	return api
}

// do makes a request, see [apitest.NewRequest].
func (c *client) do(method, target, body string, headers ...string) apitest.Response {
	return apitest.NewRequest(method+" "+target, body, headers...).To(c.handler)
}

// A hook is one as clients read it.
type hook struct {
	ID     string
	Name   string
	Event  *string
	Events []string
	Config struct {
		URL     string
		Headers map[string]string
		Retries *float64
	}
	SigningKey     string
	Enabled        bool
	ExecutionStats *struct{ SuccessCount, RequestCount int }
}

// create makes a hook from the members of its body.
func (c *client) create(members string) hook {
	c.t.Helper()
	return apitest.Want[hook](c.t, c.do("POST", "/api/hooks", "{"+members+"}"), 201)
}

// endpoint makes a hook for these events, separated by commas or "*" for all, at
// a receiver that gives these responses. config has further members of the config,
// after a comma.
func (c *client) endpoint(events, config string, responses ...hookstest.Response) (hook, *hookstest.Receiver) {
	c.t.Helper()
	if events == "*" {
		var all []string
		for _, t := range logto.EventTypes() {
			all = append(all, t.Name)
		}
		events = strings.Join(all, ",")
	}
	c.hosts++
	r := c.network.Receiver(c.t, fmt.Sprintf("host%d.example", c.hosts), responses...)
	return c.create(`"events":["` + strings.ReplaceAll(events, ",", `","`) + `"],"config":{"url":"` + r.URL + `"` + config + `}`), r
}

func (c *client) trigger(e hooks.Event) {
	c.t.Helper()
	e.Tenant = "default"
	_, err := c.Trigger(c.t.Context(), e)
	require.NoError(c.t, err)
}

// A log is a row of recent-logs.
type logRow struct {
	ID      string
	Key     string
	Payload struct {
		Key, Result, HookID, Error string
		HookRequest                struct{ Body json.RawMessage }
		Response                   *struct {
			StatusCode int
			Body       json.RawMessage
		}
	}
	CreatedAt int64
}

// logs returns the recent logs of a hook.
func (c *client) logs(id, query string) []logRow {
	c.t.Helper()
	return apitest.Want[[]logRow](c.t, c.do("GET", "/api/hooks/"+id+"/recent-logs"+query, ""), 200)
}

// errorCode checks that a response is an error in Logto's form, and returns its
// code.
func errorCode(t testing.TB, a apitest.Response) string {
	t.Helper()
	e := apitest.Want[struct{ Code, Message string }](t, a, a.Status)
	assert.NotEmpty(t, e.Message)
	assert.GreaterOrEqual(t, a.Status, 400)
	return e.Code
}
