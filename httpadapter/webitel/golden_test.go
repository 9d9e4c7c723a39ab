package webitel_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/apitest"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/webitel"
	"github.com/seed-2c6e3a5a/hooks/memory"
)

var (
	request = apitest.NewRequest
	madeID  = regexp.MustCompile(`386d[0-9a-f]{20}`) // of the time in bubbles
)

// TestResponses compares whole responses with testdata/responses.golden.
func TestResponses(t *testing.T) {
	golden := &apitest.Golden{
		Headers: []string{"Allow", "Content-Type", "Vary", "Access-Control-Allow-Origin", "Access-Control-Allow-Headers", "Access-Control-Allow-Methods", "Access-Control-Max-Age"},
		Hide:    func(s string) string { return madeID.ReplaceAllString(s, "{new}") },
	}
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, func(_ *hooks.Config, api *webitel.Config) { api.Origins = []string{"https://pbx.example.com"} })
		minimal := body("CHANNEL_ANSWER", "https://example.com", "")
		golden.Names = map[string]string{"{id}": c.create(full), "{other}": c.create(minimal), "{unknown}": unknown}
		const hook, other, none = path + "/{id}", path + "/{other}", path + "/{unknown}"
		for _, r := range []apitest.Request{
			request("POST "+path, full),
			request("POST "+path, minimal),
			request("POST "+path, `{"event":"E","enable":null,"action":{"type":"mail","method":"patch","url":"anything"},"fields":[],"map":{},"filter":{},"headers":{},"auth":null,"customBody":false,"rawBody":""}`),
			request("GET "+path, ""),
			request("GET "+path+"/?domain=acme.example&page=1&limit=5000&columns=_id,name,enable,event,action.type,description&", ""),
			request("GET "+path+"?limit=1&page=2&columns=action.url,auth.headers.A,map", ""),
			request("GET "+path+"?page=7", ""),
			request("GET "+hook, ""),
			request("GET "+other, ""),
			request("GET "+none, ""),
			request("GET "+path+"/12", ""),
			request("PUT "+other, minimal),
			request("PUT "+none, minimal),
			request("PUT "+path+"/12", minimal),
			request("DELETE "+other, ""),
			request("DELETE "+other, ""),
			request("DELETE "+path+"/12", ""),
			request("PATCH "+hook, minimal),
			request("DELETE "+path, ""),
			request("GET /api/v2/nothing?a=<b>", ""),
			request("OPTIONS "+hook, ""),
			request("OPTIONS "+hook, "", "Origin: https://pbx.example.com", "Access-Control-Request-Method: PUT"),
			request("OPTIONS "+hook, "", "Origin: https://evil.example", "Access-Control-Request-Method: PUT"),
			request("GET "+none, "", "Origin: https://pbx.example.com"),
			request("POST "+path, `{}`),
			request("POST "+path, minimal, "Content-Type: application/x-www-form-urlencoded"),
			request("POST "+path, `{"event":"E"}`),
			request("POST "+path, `{"event":"E","action":`),
			request("POST "+path, `{"event":"E","action":{"type":"web","url":"x","method":"POST"},"headers":{"a":"<\n>"}}`),
			request("POST "+path, body("E", "https://10.0.0.1", "")),
			request("PUT "+hook, body("E", "x", `,"retries":101`)),
			request("PUT "+hook, body("E", "x", `,"filter":{"a":{"operation":"reg","value":"[b-a]"}}`)),
			request("POST "+path, strings.Repeat(" ", 5<<20)+"{}"),
		} {
			golden.Ask(t, c.handler, r)
		}
		failures(t, golden)
	})
	golden.Compare(t, "testdata/responses.golden")
}

// failures adds the responses to those who may not ask, and to failures of the application.
func failures(t *testing.T, golden *apitest.Golden) {
	m, err := hooks.New(apitest.BrokenStore{Store: memory.New(memory.Options{})}, hooks.Config{Protocols: []hooks.Protocol{&webitel.Protocol{}}})
	require.NoError(t, err)
	ask := func(who httpadapter.Identity, err error, line string) {
		authenticate := func(*http.Request) (httpadapter.Identity, error) { return who, err }
		api, err := webitel.New(m, webitel.Config{Config: httpadapter.Config{Authenticate: authenticate, Logger: slog.New(slog.DiscardHandler)}})
		require.NoError(t, err)
		golden.Ask(t, api, request(line, ""))
	}
	for _, err := range []error{
		errors.New("no token"),
		&webitel.Error{Info: "Token Expired"},
		&webitel.Error{Status: 402, Info: "The bill is not paid."},
		fmt.Errorf("%w: no role", httpadapter.ErrForbidden),
	} {
		ask(httpadapter.Identity{}, err, "GET "+path)
	}
	ask(httpadapter.Identity{Read: true}, nil, "POST "+path)
	ask(httpadapter.Identity{Root: true, Read: true}, nil, "GET "+path)
	ask(httpadapter.Identity{Read: true}, nil, "GET "+path)
}
