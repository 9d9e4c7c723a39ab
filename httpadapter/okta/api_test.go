package okta_test

import (
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
	"github.com/seed-2c6e3a5a/hooks/httpadapter/okta"
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
func newClient(t testing.TB, adjust ...func(*hooks.Config, *okta.Config)) *client {
	t.Helper()
	return newClientOf(t, memory.New(memory.Options{}), adjust...)
}

func newClientOf(t testing.TB, store hooks.Store, adjust ...func(*hooks.Config, *okta.Config)) *client {
	t.Helper()
	c := &client{t: t, network: new(hookstest.Network)}
	quiet := slog.New(slog.DiscardHandler)
	cfg := hooks.Config{Protocols: []hooks.Protocol{&okta.Protocol{}}, Dial: c.network.Dial, AllowHTTP: true, Logger: quiet}
	api := okta.Config{Config: httpadapter.Config{Logger: quiet, Authenticate: func(*http.Request) (httpadapter.Identity, error) {
		return httpadapter.Identity{Tenant: "acme", Actor: "00uada", Read: true, Write: true}, nil
	}}}
	for _, change := range adjust {
		change(&cfg, &api)
	}
	c.Manager = apitest.Run(t, store, cfg)
	var err error
	c.handler, err = okta.New(c.Manager, api)
	require.NoError(t, err)
	return c
}

// do makes a request, see [apitest.NewRequest].
func (c *client) do(method, target, body string, headers ...string) apitest.Response {
	return apitest.NewRequest(method+" "+target, body, headers...).To(c.handler)
}

// A hook is one as clients read it.
type hook struct {
	ID, Status, VerificationStatus, Name, LastUpdated string
	Description, CreatedBy                            *string
	Events                                            struct {
		Items  []string
		Filter *struct {
			EventFilterMap []struct {
				Event     string
				Condition struct{ Expression string }
			}
		}
	}
	Channel struct {
		Config struct {
			URI        string
			Headers    []struct{ Key, Value string }
			AuthScheme *struct{ Type, Key, Value string }
		}
	}
	Links map[string]struct{ Href string } `json:"_links"`
}

// state is the status of a hook and its verification.
func (h hook) state() string { return h.Status + " " + h.VerificationStatus }

// fails checks that a response is an error in Okta's form, and returns its code
// and causes.
func fails(t testing.TB, a apitest.Response) (code string, causes []string) {
	t.Helper()
	e := apitest.Want[struct {
		ErrorCode, ErrorSummary, ErrorLink string
		ErrorID                            string `json:"errorId"`
		ErrorCauses                        []struct{ ErrorSummary string }
	}](t, a, a.Status)
	assert.GreaterOrEqual(t, a.Status, 400)
	assert.NotEmpty(t, e.ErrorSummary)
	assert.Equal(t, e.ErrorCode, e.ErrorLink)
	assert.Regexp(t, `^oae[\w-]{22}$`, e.ErrorID)
	assert.NotNil(t, e.ErrorCauses)
	assert.NotEmpty(t, a.Header.Get("X-Okta-Request-Id"))
	for _, cause := range e.ErrorCauses {
		causes = append(causes, cause.ErrorSummary)
	}
	return e.ErrorCode, causes
}

const path = "/api/v1/eventHooks"

// body is that of a hook. config has further members of the config, and more of
// the hook, each after a comma.
func body(name, events, uri, config, more string) string {
	return `{"name":"` + name + `","events":{"type":"EVENT_TYPE","items":["` + strings.ReplaceAll(events, ",", `","`) + `"]},` +
		`"channel":{"type":"HTTP","version":"1.0.0","config":{"uri":"` + uri + `"` + config + `}}` + more + `}`
}

func (c *client) create(body string) hook {
	c.t.Helper()
	return apitest.Want[hook](c.t, c.do("POST", path, body), 200)
}

// lifecycle moves a hook on.
func (c *client) lifecycle(id, verb string) apitest.Response {
	c.t.Helper()
	return c.do("POST", path+"/"+id+"/lifecycle/"+verb, "")
}

// challenged is an endpoint whose first request is to be the challenge; the
// others get this response, with 200 if nothing is given.
func (c *client) challenged(responses ...hookstest.Response) *hookstest.Receiver {
	c.t.Helper()
	c.hosts++
	if len(responses) == 0 {
		responses = []hookstest.Response{hookstest.Status(200)}
	}
	challenge := hookstest.Response(okta.ChallengeHandler(http.NotFoundHandler()).ServeHTTP)
	return c.network.Receiver(c.t, fmt.Sprintf("host%d.example", c.hosts), append([]hookstest.Response{challenge}, responses...)...)
}

// endpoint makes a hook that is active and verified.
func (c *client) endpoint(events string, responses ...hookstest.Response) (hook, *hookstest.Receiver) {
	c.t.Helper()
	r := c.challenged(responses...)
	h := c.create(body(fmt.Sprintf("hook %d", c.hosts), events, r.URL, "", ""))
	h = apitest.Want[hook](c.t, c.lifecycle(h.ID, "verify"), 200)
	r.Next() // the challenge
	return h, r
}

func (c *client) trigger(e hooks.Event) {
	c.t.Helper()
	e.Tenant = "acme"
	_, err := c.Trigger(c.t.Context(), e)
	require.NoError(c.t, err)
}

// deliveries returns those of a hook, oldest first.
func (c *client) deliveries(id string) []hooks.Delivery {
	c.t.Helper()
	page, err := c.Deliveries(c.t.Context(), hooks.LogQuery{Tenant: "acme", HookID: id, PageQuery: hooks.PageQuery{OldestFirst: true}})
	require.NoError(c.t, err)
	return page.Items
}
