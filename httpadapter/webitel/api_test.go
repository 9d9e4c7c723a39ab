package webitel_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/dlclark/regexp2/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
	"github.com/seed-2c6e3a5a/hooks/httpadapter"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/apitest"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/webitel"
	"github.com/seed-2c6e3a5a/hooks/memory"
)

const (
	path   = "/api/v2/hooks"
	domain = "acme.example"
	// unknown is the ID of no hook.
	unknown = "0123456789abcdef01234567"
)

// A client asks the API of a Manager.
type client struct {
	*hooks.Manager
	t       testing.TB
	network *hookstest.Network
	handler http.Handler
	hosts   int
	// skipped are the reports of filters that failed.
	skipped []string
}

// newClient returns a client of a running Manager in memory, for a bubble.
func newClient(t testing.TB, adjust ...func(*hooks.Config, *webitel.Config)) *client {
	t.Helper()
	c := &client{t: t, network: new(hookstest.Network)}
	cfg := hooks.Config{Protocols: []hooks.Protocol{&webitel.Protocol{}}, Dial: c.network.Dial, AllowHTTP: true, Logger: slog.New(slog.DiscardHandler)}
	cfg.Observer.FilterFailed = func(_ hooks.Hook, _ hooks.Event, err error) { c.skipped = append(c.skipped, err.Error()) }
	api := webitel.Config{Config: quietly(domain)}
	for _, change := range adjust {
		change(&cfg, &api)
	}
	t.Cleanup(regexp2.StopTimeoutClock)
	c.Manager = apitest.Run(t, memory.New(memory.Options{}), cfg)
	var err error
	c.handler, err = webitel.New(c.Manager, api)
	require.NoError(t, err)
	return c
}

// do makes a request, see [apitest.NewRequest].
func (c *client) do(line, body string, headers ...string) apitest.Response {
	return apitest.NewRequest(line, body, headers...).To(c.handler)
}

// data returns the data of a response that says that all is well.
func data[T any](t testing.TB, a apitest.Response) T {
	t.Helper()
	got := apitest.Want[struct {
		Status string
		Data   T
	}](t, a, 200)
	require.Equal(t, "OK", got.Status)
	return got.Data
}

// info returns what a response with this status says of an error.
func info(t testing.TB, a apitest.Response, status int) string {
	t.Helper()
	got := apitest.Want[map[string]string](t, a, status)
	assert.Equal(t, "error", got["status"])
	assert.Len(t, got, 2)
	return got["info"]
}

// A change is the response to a PUT or DELETE.
type changed struct {
	N, OK     int
	NModified *int
}

// body is that of a hook. more has further members, each after a comma.
func body(event, url, more string) string {
	return `{"event":"` + event + `","enable":true,"action":{"type":"web","method":"POST","url":"` + url + `"}` + more + `}`
}

// create makes a hook and returns its ID.
func (c *client) create(body string) string {
	c.t.Helper()
	made := data[struct{ InsertedIDs []string }](c.t, c.do("POST "+path, body))
	require.Len(c.t, made.InsertedIDs, 1)
	return made.InsertedIDs[0]
}

// get returns a hook as clients read it, nil if it is not there.
func (c *client) get(id string) map[string]any {
	c.t.Helper()
	return data[map[string]any](c.t, c.do("GET "+path+"/"+id, ""))
}

// receiver is an endpoint of a host of its own.
func (c *client) receiver(responses ...hookstest.Response) *hookstest.Receiver {
	c.t.Helper()
	c.hosts++
	return c.network.Receiver(c.t, fmt.Sprintf("host%d.example", c.hosts), responses...)
}

func (c *client) trigger(event, object string) {
	c.t.Helper()
	_, err := c.Trigger(c.t.Context(), hooks.Event{Type: event, Tenant: domain, Data: []byte(object)})
	require.NoError(c.t, err)
}

// attempts returns those of a hook, oldest first.
func (c *client) attempts(id string) []hooks.Attempt {
	c.t.Helper()
	page, err := c.Logs(c.t.Context(), hooks.LogQuery{Tenant: domain, HookID: id, PageQuery: hooks.PageQuery{OldestFirst: true, Limit: 200}})
	require.NoError(c.t, err)
	return page.Items
}

// deliver triggers an event with this data for a hook with these members beside
// its event and its action, and returns what the endpoint got, and the attempts.
func (c *client) deliver(members, object string, responses ...hookstest.Response) ([]hookstest.Request, []hooks.Attempt) {
	c.t.Helper()
	if len(responses) == 0 {
		responses = []hookstest.Response{hookstest.Status(200)}
	}
	r := c.receiver(responses...)
	event := fmt.Sprintf("EVENT_%d", c.hosts)
	id := c.create(body(event, r.URL+"/in?own=1", members))
	_, err := c.Trigger(c.t.Context(), hooks.Event{ID: event, Type: event, Tenant: domain, Data: []byte(object)})
	require.NoError(c.t, err)
	time.Sleep(time.Hour)
	return r.Requests(), c.attempts(id)
}

// quietly is the configuration of an API of a tenant that logs nothing.
func quietly(tenant string) httpadapter.Config {
	return httpadapter.Config{Authenticate: httpadapter.Open(tenant), Logger: slog.New(slog.DiscardHandler)}
}
