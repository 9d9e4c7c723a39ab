package webitel_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/webitel"
)

func TestTooManyHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, func(cfg *hooks.Config, _ *webitel.Config) { cfg.MaxHooks = 2 })
		c.create(body("E", "https://example.com", ""))
		id := c.create(body("E", "https://example.com", ""))
		a := c.do("POST "+path, body("E", "https://example.com", ""))
		assert.Equal(t, "Bad request: the domain has as many hooks as it may have", info(t, a, 400))
		c.do("DELETE "+path+"/"+id, "")
		c.create(body("E", "https://example.com", ""))
	})
}

// A list has at most 5000 hooks, and the pages behind it the others.
func TestLongLists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, func(cfg *hooks.Config, _ *webitel.Config) { cfg.MaxHooks = -1 })
		for range 5003 {
			_, err := c.Register(t.Context(), hooks.Hook{Tenant: domain, Protocol: webitel.Name, URL: "https://example.com", Events: []string{"E"}})
			require.NoError(t, err)
		}
		for query, want := range map[string]int{"limit=1000000": 5000, "limit=1000000&page=2": 3, "limit=5000&page=201": 0, "limit=5000&page=202": 0} {
			list := data[[]map[string]any](t, c.do("GET "+path+"?columns=_id&"+query, ""))
			assert.Len(t, list, want, query)
		}
	})
}

func TestManyColumns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		c.create(body("E", "https://example.com", ""))
		columns := strings.Repeat("action.type,", 341) + "_id" // 4095 bytes
		list := data[[]map[string]any](t, c.do("GET "+path+"?columns="+columns, ""))
		assert.Equal(t, map[string]any{"type": "web"}, without(list[0], "_id")["action"])
		assert.Len(t, list[0], 2)
		assert.Equal(t, "Bad request: columns must have at most 4096 bytes", info(t, c.do("GET "+path+"?columns="+columns+",x", ""), 400))
	})
}

func TestQuickRetriesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		r := c.receiver(hookstest.Status(500))
		c.create(body("E", r.URL, `,"retries":100,"delay":0.1`))
		c.trigger("E", `{}`)
		time.Sleep(10 * time.Second)
		assert.Len(t, r.Requests(), 6, "at 0, 0.1, 0.2, 1.2, 3.2 and 7.2 s, and up to a fifth later")
	})
}

// What takes long to read in the wrong way.
func TestLongSettingsAndNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		auth := c.receiver(hookstest.Status(200))
		var headers []string
		for i := range 4000 {
			headers = append(headers, fmt.Sprintf(`"X-%d":""`, i))
		}
		many := `,"auth":{"enabled":true,"url":"` + auth.URL + `","headers":{` + strings.Join(headers, ",") + `%s}}`
		id := c.create(body("E", "https://example.com", fmt.Sprintf(many, "")))
		assert.Len(t, c.get(id)["auth"].(map[string]any)["headers"], 4000)
		a := c.do("POST "+path, body("E", "https://example.com", fmt.Sprintf(many, `,"x-3999":""`)))
		assert.Equal(t, `Bad request: auth.headers["x-3999"] is there twice: header names have no letter case, and receivers may take "_" and the like for "-"`, info(t, a, 400))

		r := c.receiver(hookstest.Status(200))
		c.create(strings.Replace(body("Get", r.URL, ""), "POST", "GET", 1))
		name := strings.Repeat("n", 96<<10)
		c.trigger("Get", `{"`+name+`":[`+strings.Repeat("[],{},", 20_000)+`[[],{"a":"b"}]]}`)
		time.Sleep(time.Second)
		requests := r.Requests()
		require.Len(t, requests, 1)
		assert.Equal(t, name+"%5B40000%5D%5B1%5D%5Ba%5D=b", requests[0].URL.RawQuery)
	})
}

// A placeholder may stand for something else once the hook has logged in.
func TestALoginReplacesWhatItBrings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		auth := c.receiver(hookstest.Status(200).Header("X-Token", "of the login"))
		const headers = `"headers":{"X-Sent":"${auth:header:x-token}${auth:header:x-token}"}`
		requests, _ := c.deliver(`,`+headers+`,"auth":{"enabled":true,"url":"`+auth.URL+`",`+headers+`}`, `{"auth:header:x-token":"of the event"}`)
		require.Len(t, requests, 1)
		assert.Equal(t, "of the eventof the event", auth.Requests()[0].Header.Get("X-Sent"))
		assert.Equal(t, "of the loginof the login", requests[0].Header.Get("X-Sent"))
	})
}
