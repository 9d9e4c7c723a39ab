package webitel_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
	"github.com/seed-2c6e3a5a/hooks/httpadapter"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/apitest"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/webitel"
	"github.com/seed-2c6e3a5a/hooks/memory"
)

// full is a hook that has everything, but for its URL.
const full = `{"event":"CUSTOM->shop::order_paid","enable":true,"description":"Tells the shop","retries":3,"delay":60,` +
	`"action":{"type":"web","method":"PUT","url":"https://shop.example/in"},` +
	`"fields":["Unique-ID","b"],"map":{"Unique-ID":"uuid","b":"a"},` +
	`"filter":{"Caller-Destination-Number":{"operation":"reg","value":"/^38/i"},"n":{"operation":">=","value":2}},` +
	`"headers":{"X-Call":"${Unique-ID}"},` +
	`"auth":{"enabled":true,"url":"https://shop.example/login","method":"POST","cookie":true,"headers":{"A":"b"},"map":{"user":"${user}"}},` +
	`"customBody":true,"rawBody":"{\"a\":\"${b}\"}"}`

// without is a JSON object without some of its members.
func without(object map[string]any, names ...string) map[string]any {
	less := map[string]any{}
	for name, value := range object {
		less[name] = value
	}
	for _, name := range names {
		delete(less, name)
	}
	return less
}

func decoded(t testing.TB, object string) (value map[string]any) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(object), &value))
	return value
}

// The life of a hook in Webitel's web UI.
func TestLifeInTheUI(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, func(_ *hooks.Config, api *webitel.Config) {
			api.Authenticate = func(*http.Request) (httpadapter.Identity, error) {
				return httpadapter.Identity{Root: true, Read: true, Write: true}, nil
			}
		})
		list := func() []map[string]any {
			return data[[]map[string]any](t, c.do("GET /api/v2/hooks/?domain="+domain+"&page=1&limit=5000&columns=_id,name,enable,event,action.type,description&", ""))
		}
		assert.Empty(t, list())
		r := c.receiver(hookstest.Status(200))
		// As its form sends it: without what nobody entered.
		form := `{"event":"CUSTOM->ACR::HOOK","enable":true,"description":"","action":{"type":"web","method":"POST","url":"` + r.URL + `"},"customBody":false,"rawBody":"",` +
			`"auth":{"headers":{},"map":{},"enabled":false},"map":{"a":"x"},"filter":{},"fields":["a"],"headers":{}}`
		id := data[struct{ InsertedIDs []string }](t, c.do("POST /api/v2/hooks/?domain="+domain, form)).InsertedIDs[0]
		assert.Equal(t, []map[string]any{{"_id": id, "enable": true, "event": "CUSTOM->ACR::HOOK", "action": map[string]any{"type": "web"}, "description": ""}}, list())

		item := "/api/v2/hooks/" + id + "/?domain=" + domain
		trigger := func() []hookstest.Request {
			c.trigger("CUSTOM->ACR::HOOK", `{"a":1,"b":2}`)
			time.Sleep(time.Minute)
			return r.Requests()
		}
		assert.Equal(t, `{"x":1}`, sentData(t, trigger()[0]))
		edited := strings.ReplaceAll(strings.ReplaceAll(form, `"a":"x"`, `"b":"y"`), `["a"]`, `["b"]`)
		assert.Equal(t, 1, data[changed](t, c.do("PUT "+item, edited)).N)
		assert.Equal(t, `{"y":2}`, sentData(t, trigger()[1]))
		toggled := strings.Replace(edited, `"enable":true`, `"enable":false`, 1)
		assert.Equal(t, 1, data[changed](t, c.do("PUT "+item, toggled)).N)
		assert.Equal(t, false, list()[0]["enable"])
		assert.Len(t, trigger(), 2, "it is disabled")

		// Exported, deleted, and imported: with the ID if that is there, or as new.
		exported := c.do("GET "+item, "")
		document := data[map[string]any](t, exported)
		again, err := json.Marshal(document)
		require.NoError(t, err)
		assert.Equal(t, 1, data[changed](t, c.do("PUT "+item, string(again))).N)
		assert.Equal(t, exported.Body, c.do("GET "+item, "").Body)
		assert.Equal(t, 1, data[changed](t, c.do("DELETE "+item, "")).N)
		assert.Empty(t, list())
		imported := data[struct{ InsertedIDs []string }](t, c.do("POST /api/v2/hooks/?domain="+domain, string(again))).InsertedIDs[0]
		assert.NotEqual(t, id, imported)
		got := data[map[string]any](t, c.do("GET /api/v2/hooks/"+imported+"/?domain="+domain, ""))
		assert.Equal(t, without(document, "_id"), without(got, "_id"))
	})
}

// A hook that has everything reads as it was written, is replaced as a whole, and
// what is no member of hooks is dropped.
func TestDocuments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		want := decoded(t, full)
		id := c.create(strings.Replace(full, `{`, `{"_id":"x","domain":"other.example","name":"n","_filters":[],"x":{"$y":1},`, 1))
		assert.Regexp(t, `^[0-9a-f]{24}$`, id)
		got := c.get(id)
		assert.Equal(t, id, got["_id"])
		assert.Equal(t, domain, got["domain"])
		assert.Equal(t, want, without(got, "_id", "domain"))
		assert.Equal(t, got, c.get(strings.ToUpper(id)))

		minimal := `{"event":"E","action":{"type":"web","method":"get","url":"x"}}`
		one := 1
		assert.Equal(t, changed{1, 1, &one}, data[changed](t, c.do("PUT "+path+"/"+id, minimal)))
		assert.Equal(t, map[string]any{
			"_id": id, "domain": domain, "event": "E", "enable": false, "description": "", "retries": nil, "delay": nil,
			"action": map[string]any{"type": "web", "method": "get", "url": "x"}, "fields": nil, "map": nil, "filter": nil,
			"headers": map[string]any{}, "auth": nil, "customBody": nil, "rawBody": nil,
		}, c.get(id))
		empty := `{"event":"E","enable":null,"retries":"07","delay":" ","action":{"type":"web","method":"get","url":"x"},"fields":[],"map":{},"filter":{"a":{"operation":"=="}},"headers":{},"auth":{},"customBody":false,"rawBody":""}`
		assert.Equal(t, "Bad request: delay must be a number", info(t, c.do("PUT "+path+"/"+id, empty), 400))
		assert.Equal(t, "get", c.get(id)["action"].(map[string]any)["method"])
		assert.Equal(t, 1, data[changed](t, c.do("PUT "+path+"/"+id, strings.Replace(empty, `" "`, `"1e1"`, 1))).N)
		got = c.get(id)
		for name, value := range map[string]any{
			"retries": "07", "delay": "1e1", "fields": []any{}, "map": map[string]any{}, "filter": map[string]any{"a": map[string]any{"operation": "=="}},
			"auth":       map[string]any{},
			"customBody": false, "rawBody": "",
		} {
			assert.Equal(t, value, got[name], name)
		}
	})
}

// What is no ID, and what is the ID of nothing.
func TestIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		hook := body("E", "https://example.com", "")
		for _, id := range []string{"x", "0123456789abcdef0123456", "0123456789abcdef012345678", "0123456789abcdef0123456g", "twelve-chars", "%00", "null"} {
			assert.Equal(t, "Bad id", info(t, c.do("GET "+path+"/"+id, ""), 400), id)
			assert.Equal(t, "Bad id", info(t, c.do("PUT "+path+"/"+id, hook), 400), id)
			assert.Equal(t, "Bad id", info(t, c.do("DELETE "+path+"/"+id, ""), 400), id)
		}
		zero := 0
		assert.Nil(t, c.get(unknown))
		assert.Contains(t, c.do("GET "+path+"/"+unknown, "").Body, `"data":null`)
		assert.Equal(t, changed{0, 1, &zero}, data[changed](t, c.do("PUT "+path+"/"+unknown, hook)))
		assert.Equal(t, changed{0, 1, nil}, data[changed](t, c.do("DELETE "+path+"/"+unknown, "")))
		assert.Empty(t, data[[]any](t, c.do("GET "+path, "")), "nothing was made")
	})
}

func TestList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		var ids []string
		for i := range 45 {
			ids = append(ids, c.create(body(fmt.Sprintf("E%d", i), "https://example.com", `,"filter":{"a":{"operation":"==","value":1}}`)))
		}
		listed := func(query string) []map[string]any { return data[[]map[string]any](t, c.do("GET "+path+query, "")) }
		for query, want := range map[string][]string{
			"":                                  ids[:40],
			"?limit=0":                          ids[:40],
			"?limit=x&page=x":                   ids[:40],
			"?limit=-1&page=-1":                 ids[:40],
			"?limit=5000":                       ids,
			"?limit=99999999999999999999":       ids[:40],
			"?limit=3":                          ids[:3],
			"?limit=3&page=1":                   ids[:3],
			"?limit=3&page=2":                   ids[3:6],
			"?page=2":                           ids[40:],
			"?page=3":                           {},
			"?limit=2000000000&page=20000":      {},
			"?limit=2147483648&page=2147483648": {},
			"?limit=2&sort=-event&filter={}&domain=x":        ids[:2],
			"?limit=45&page=1&columns=_id,name&access_token": ids,
		} {
			got := []string{}
			for _, h := range listed(query) {
				got = append(got, h["_id"].(string))
			}
			assert.Equal(t, want, got, query)
		}
		whole := c.get(ids[0])
		action := whole["action"].(map[string]any)
		for columns, want := range map[string]map[string]any{
			"":                                without(whole, "_id"),
			",":                               without(whole, "_id"),
			"_id":                             {},
			"name":                            {},
			"event,enable":                    {"event": "E0", "enable": true},
			"action":                          {"action": action},
			"action.url,action.type":          {"action": map[string]any{"type": "web", "url": "https://example.com"}},
			"action.type,action":              {"action": action},
			"action.x":                        {"action": map[string]any{}},
			"action.type.x,event.x":           {"action": map[string]any{}},
			"filter.a.value":                  {"filter": map[string]any{"a": map[string]any{"value": 1.0}}},
			"retries,auth.url,x.y,.,a.,Event": {"retries": nil},
		} {
			got := listed("?limit=1&columns=" + url.QueryEscape(columns))[0]
			assert.Equal(t, ids[0], got["_id"], columns)
			assert.Equal(t, want, without(got, "_id"), columns)
		}
		assert.Equal(t, "Bad request: columns must not be there twice", info(t, c.do("GET "+path+"?columns=a&columns=b", ""), 400))
	})
}

// What is refused, and why. Nothing is stored, and nothing changed.
func TestBadHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, func(cfg *hooks.Config, _ *webitel.Config) {
			cfg.Catalogue = []hooks.EventType{{Name: "E"}}
		})
		id := c.create(body("E", "https://example.com", ""))
		before := c.get(id)
		with := func(more string) string { return body("E", "https://example.com", ","+more) }
		action := func(members string) string { return `{"event":"E","action":{` + members + `}}` }
		const eventRequired, actionRequired = "event name is required.", "action options is required."
		for sent, want := range map[string]string{
			``:                                     eventRequired,
			`null`:                                 eventRequired,
			`{}`:                                   eventRequired,
			`{"event":""}`:                         eventRequired,
			`{"event":null}`:                       eventRequired,
			`{"fields":1}`:                         "fields has a value of the type number where it must have a list",
			`{"event":1}`:                          "event has a value of the type number where it must have a string",
			`{"event":"E"}`:                        actionRequired,
			`{"event":"E","action":null}`:          actionRequired,
			`{"event":"E","action":"web"}`:         "action has a value of the type string where it must have an object",
			action(`"url":"x","method":"POST"`):    actionRequired,
			action(`"type":"web","method":"POST"`): actionRequired,
			action(`"type":"web","url":"x"`):       actionRequired,
			action(`"type":"web","url":"x","method":""`):                                    actionRequired,
			action(`"type":"web","url":5,"method":"POST"`):                                  "action.url has a value of the type number where it must have a string",
			action(`"type":"web","url":"x","method":"PO ST"`):                               "action.method must be GET, POST, PUT, PATCH or DELETE",
			action(`"type":"web","url":"x","method":"head"`):                                "action.method must be GET, POST, PUT, PATCH or DELETE",
			action(`"type":"web","url":"http://127.0.0.1/","method":"GET"`):                 "action.url must not lead to 127.0.0.1, which is not a public address",
			action(`"type":"web","url":"` + strings.Repeat("x", 2049) + `","method":"GET"`): "action.url must be at most 2048 bytes",
			body("a.*", "x", ""):                    `event must have nothing but a-z, A-Z, 0-9, "_", "-", ":", ">" and single dots in between`,
			body(".a", "x", ""):                     `event must have nothing but a-z, A-Z, 0-9, "_", "-", ":", ">" and single dots in between`,
			body(strings.Repeat("x", 257), "x", ""): "event must be at most 256 bytes",
			body("*", "x", ""):                      `event must have nothing but a-z, A-Z, 0-9, "_", "-", ":", ">" and single dots in between`,
			body("E F", "x", ""):                    `event must have nothing but a-z, A-Z, 0-9, "_", "-", ":", ">" and single dots in between`,
			body("F", "x", ""):                      `event "F" is not in the catalogue of event types`,
			with(`"enable":"true"`):                 "enable has a value of the type string where it must have true or false",
			with(`"enable":1`):                      "enable has a value of the type number where it must have true or false",
			with(`"description":{}`):                "description has a value of the type object where it must have a string",
			with(`"description":"` + strings.Repeat("x", 4097) + `"`): "description must be at most 4096 bytes",
			with(`"retries":101`):                                          "retries must be at most 100",
			with(`"retries":"1e9"`):                                        "retries must be at most 100",
			with(`"retries":true`):                                         "retries must be a number",
			with(`"retries":"many"`):                                       "retries must be a number",
			with(`"retries":[1]`):                                          "retries must be a number",
			with(`"retries":1e999`):                                        "retries must be a number",
			with(`"delay":"NaN"`):                                          "delay must be a number",
			with(`"delay":604801`):                                         "delay must be 0.1 to 604800 seconds",
			with(`"delay":1e-10`):                                          "delay must be 0.1 to 604800 seconds",
			with(`"delay":"0.0999"`):                                       "delay must be 0.1 to 604800 seconds",
			with(`"fields":{}`):                                            "fields has a value of the type object where it must have a list",
			with(`"fields":["a",1]`):                                       "fields has a value of the type number where it must have a string",
			with(`"fields":[null]`):                                        "fields has a value of the type null where it must have a string",
			with(`"map":["a"]`):                                            "map must be an object",
			with(`"map":{"a":1}`):                                          `map["a"] must be a string that is not empty`,
			with(`"map":{"a":null}`):                                       `map["a"] must be a string that is not empty`,
			with(`"filter":[]`):                                            "filter has a value of the type array where it must have an object",
			with(`"filter":{"x":null}`):                                    `filter["x"].operation must be one of "==", "!=", "<", "<=", ">", ">=" and "reg"`,
			with(`"filter":{"x":"y"}`):                                     "filter has a value of the type string where it must have an object",
			with(`"filter":{"x":{"value":1}}`):                             `filter["x"].operation must be one of "==", "!=", "<", "<=", ">", ">=" and "reg"`,
			with(`"filter":{"x":{"operation":"===","value":1}}`):           `filter["x"].operation must be one of "==", "!=", "<", "<=", ">", ">=" and "reg"`,
			with(`"filter":{"x":{"operation":5}}`):                         "filter.operation has a value of the type number where it must have a string",
			with(`"filter":{"x":{"operation":"==","value":[1]}}`):          `filter["x"].value must be a string, a number, true, false or null`,
			with(`"filter":{"x":{"operation":"reg","value":5}}`):           `filter["x"].value must be a string that is not empty for "reg"`,
			with(`"filter":{"x":{"operation":"reg","value":""}}`):          `filter["x"].value must be a string that is not empty for "reg"`,
			with(`"filter":{"x":{"operation":"reg","value":"(a"}}`):        `filter["x"].value must be a regular expression of JavaScript: error parsing regexp: missing closing ) in ` + "`(a`",
			with(`"filter":{"x":{"operation":"reg","value":"(\n\u001b"}}`): `filter["x"].value must be a regular expression of JavaScript: error parsing regexp: missing closing ) in ` + "`(\\n\\x1b`",
			with(`"filter":{"x":{"operation":"reg","value":"/a/gg"}}`):     `filter["x"].value must be a regular expression of JavaScript: the flag g is there twice`,
			with(`"headers":{"X-A":1}`):                                    "headers has a value of the type number where it must have a string",
			with(`"headers":{"X-A":null}`):                                 "headers has a value of the type null where it must have a string",
			with(`"headers":{"X A":"1"}`):                                  `headers["X A"] must be a token (RFC 9110, section 5.6.2)`,
			with(`"headers":{"X-${a}":"1"}`):                               `headers["X-${a}"] must be a token (RFC 9110, section 5.6.2)`,
			with(`"headers":{"transfer_encoding":"x"}`):                    `headers["transfer_encoding"] belongs to the connection and cannot be set`,
			with(`"headers":{"host":"x"}`):                                 `headers["host"] belongs to the connection and cannot be set`,
			with(`"headers":{"X-A":"a\r\nb"}`):                             `headers["X-A"] must have a value in UTF-8 without control characters (RFC 9110, section 5.5)`,
			with(`"auth":true`):                                            "auth has a value of the type bool where it must have an object",
			with(`"auth":{"enabled":"yes"}`):                               "auth.enabled has a value of the type string where it must have true or false",
			with(`"auth":{"cookie":1}`):                                    "auth.cookie has a value of the type number where it must have true or false",
			with(`"auth":{"headers":{"A":null}}`):                          "auth.headers has a value of the type null where it must have a string",
			with(`"auth":{"headers":{"A":"1","a":"2"}}`):                   `auth.headers["a"] is there twice: header names have no letter case, and receivers may take "_" and the like for "-"`,
			with(`"auth":{"map":{"A":null}}`):                              "auth.map has a value of the type null where it must have a string",
			with(`"auth":{"map":{"A":{}}}`):                                "auth.map has a value of the type object where it must have a string",
			with(`"auth":{"method":"poſt"}`):                               "auth.method must be GET, POST, PUT, PATCH or DELETE",
			action(`"type":"web","url":"x","method":"OPTIONS"`):            "action.method must be GET, POST, PUT, PATCH or DELETE",
			action(`"type":"web","url":"x","method":"REPORT"`):             "action.method must be GET, POST, PUT, PATCH or DELETE",
			with(`"auth":{"method":"TRACE"}`):                              "auth.method must be GET, POST, PUT, PATCH or DELETE",
			with(`"auth":{"enabled":true,"url":"://"}`):                    "auth.url must be a URL",
			with(`"customBody":"true"`):                                    "customBody has a value of the type string where it must have true or false",
			with(`"rawBody":{}`):                                           "rawBody has a value of the type object where it must have a string",
			with(`"rawBody":"` + strings.Repeat("x", 1<<20) + `"`):         "fields, map, filter, auth and rawBody together must be at most 65536 bytes",
			`[]`:                   "the body must be an object",
			`{"event":`:            "the body must be JSON: unexpected end of JSON input",
			"{\"event\":\"\xff\"}": "the body must be UTF-8",
		} {
			assert.Equal(t, "Bad request: "+want, info(t, c.do("POST "+path, sent), 400), sent)
			assert.Equal(t, "Bad request: "+want, info(t, c.do("PUT "+path+"/"+id, sent), 400), sent)
		}
		assert.Equal(t, "Bad request: "+eventRequired, info(t, c.do("POST "+path, with(`"x":1`), "Content-Type: text/plain"), 400))
		assert.Len(t, data[[]any](t, c.do("GET "+path, "")), 1)
		assert.Equal(t, before, c.get(id))
	})
}

// The API takes the names that events can have, and no patterns.
func TestNamesOfEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		names := []string{"é", "a..b", ".a", "a.", "a.b", "a.*", "*", strings.Repeat("x", 256), strings.Repeat("x", 257)}
		for r := rune(' '); r <= '~'; r++ {
			names = append(names, string(r), "a"+string(r)+"b")
		}
		accepted := 0
		for _, name := range names {
			_, err := c.Trigger(t.Context(), hooks.Event{Type: name, Tenant: domain})
			made := c.do("POST "+path, `{"event":`+quote(name)+`,"action":{"type":"web","url":"x","method":"POST"}}`)
			assert.Equal(t, err == nil, made.Status == 200, "%q: %v", name, err)
			if err == nil {
				accepted++
			}
		}
		assert.Equal(t, 2*(26+26+10)+2*4+1+2, accepted, "letters, digits and four others, alone and in between, a dot in between, and two long ones")
	})
}

// Who asks decides on the domain; only root asks for one.
func TestDomains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := false
		c := newClient(t, func(_ *hooks.Config, api *webitel.Config) {
			api.Authenticate = func(*http.Request) (httpadapter.Identity, error) {
				return httpadapter.Identity{Tenant: domain, Root: root, Read: true, Write: true}, nil
			}
		})
		made := data[struct{ Ops []struct{ Domain string } }](t, c.do("POST "+path+"?domain=other.example", body("E", "https://example.com", `,"domain":"third.example"`)))
		assert.Equal(t, domain, made.Ops[0].Domain)
		assert.Len(t, data[[]any](t, c.do("GET "+path+"?domain=other.example", "")), 1)
		root = true
		for _, line := range []string{"GET " + path, "POST " + path, "GET " + path + "/" + unknown, "PUT " + path + "/" + unknown, "DELETE " + path + "/" + unknown, "GET " + path + "?domain="} {
			assert.Equal(t, "Bad request: domain is required.", info(t, c.do(line, ""), 400), line)
		}
		for _, bad := range []string{strings.Repeat("x", 257), "%ff", "a%00b"} {
			assert.Equal(t, "Bad request: domain must be at most 256 bytes of UTF-8 without NUL.", info(t, c.do("GET "+path+"?domain="+bad, ""), 400), bad)
		}
		assert.Empty(t, data[[]any](t, c.do("GET "+path+"?domain=other.example", "")))
		assert.Len(t, data[[]any](t, c.do("GET "+path+"?domain="+domain, "")), 1)
	})
}

func TestRoutesAndMethods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		for _, line := range []string{"GET /api/v2/hooks/", "GET /API/v2/Hooks", "GET //api/v2//hooks/?domain=x&", "GET /api/v2/HOOKS/" + unknown + "/", "HEAD /api/v2/hooks"} {
			assert.Equal(t, 200, c.do(line, "").Status, line)
		}
		for _, query := range []string{"?a=1&access_token=hunter2", "?access%5Ftoken=hunter2", "?x_key=hunter2", "?%zz&access_token=hunter2"} {
			assert.Equal(t, "/api/v2/no not found.", info(t, c.do("GET /api/v2/no"+query, ""), 404), "credentials are not repeated")
		}
		for _, line := range []string{"PATCH /api/v2/hooks/" + unknown, "DELETE /api/v2/hooks", "PUT /api/v2/hooks", "GET /api/v2/hook?x=1&y=%20", "POST /api/v2/hooks/searches/x", "GET /api/v2/hooks/" + unknown + "/queue"} {
			_, target, _ := strings.Cut(line, " ")
			assert.Equal(t, target+" not found.", info(t, c.do(line, ""), 404), line)
		}
	})
}

// Pages of other origins may use the API if the application says so.
func TestCORS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		allowed := func(c *client, line string, headers ...string) string {
			a := c.do(line, "", headers...)
			assert.Equal(t, 200, a.Status)
			return a.Header.Get("Access-Control-Allow-Origin")
		}
		const ui = "https://pbx.example.com"
		c := newClient(t, func(_ *hooks.Config, api *webitel.Config) { api.Origins = []string{"http://localhost:8080", ui} })
		preflight := c.do("OPTIONS "+path+"/"+unknown, "", "Origin: "+ui, "Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: x-access-token")
		assert.Equal(t, 200, preflight.Status)
		assert.Empty(t, preflight.Body)
		for name, want := range map[string]string{
			"Access-Control-Allow-Origin": ui, "Access-Control-Allow-Methods": "GET,POST,PUT,DELETE",
			"Access-Control-Allow-Headers": "Content-type,Accept,X-Access-Token,X-Key", "Access-Control-Max-Age": "86400", "Vary": "Origin",
		} {
			assert.Equal(t, want, preflight.Header.Get(name), name)
		}
		assert.Equal(t, ui, allowed(c, "GET "+path, "Origin: "+ui))
		assert.Equal(t, ui, c.do("GET /nothing", "", "Origin: "+ui).Header.Get("Access-Control-Allow-Origin"), "the page sees errors, too")
		for _, origin := range []string{"https://evil.example", "http://pbx.example.com", ui + ".evil.example", "null"} {
			assert.Empty(t, allowed(c, "GET "+path, "Origin: "+origin), origin)
		}
		assert.Empty(t, allowed(c, "GET "+path))
		open := newClient(t, func(_ *hooks.Config, api *webitel.Config) { api.Origins = []string{"*"} })
		assert.Equal(t, "https://any.example", allowed(open, "OPTIONS "+path, "Origin: https://any.example"))
		off := newClient(t)
		a := off.do("OPTIONS "+path, "", "Origin: "+ui, "Access-Control-Request-Method: GET")
		assert.Empty(t, a.Header.Get("Access-Control-Allow-Origin")+a.Header.Get("Vary"))
	})
}

func TestNewChecksItsConfig(t *testing.T) {
	good, err := hooks.New(memory.New(memory.Options{}), hooks.Config{Protocols: []hooks.Protocol{&webitel.Protocol{}}})
	require.NoError(t, err)
	other, err := hooks.New(memory.New(memory.Options{}), hooks.Config{})
	require.NoError(t, err)
	open := httpadapter.Config{Authenticate: httpadapter.Open("")}
	for _, test := range []struct {
		field   string
		manager *hooks.Manager
		cfg     webitel.Config
	}{
		{"manager", nil, webitel.Config{Config: open}},
		{"manager", other, webitel.Config{Config: open}},
		{"config.authenticate", good, webitel.Config{}},
		{"config.origins[1]", good, webitel.Config{Config: open, Origins: []string{"*", "example.com"}}},
		{"config.origins[0]", good, webitel.Config{Config: open, Origins: []string{"https://example.com/"}}},
	} {
		_, err := webitel.New(test.manager, test.cfg)
		var invalid *hooks.InvalidError
		require.ErrorAs(t, err, &invalid)
		assert.Equal(t, test.field, invalid.Field)
	}
}

// A body of 5 MiB is read unless the application says otherwise.
func TestBodySize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		fits := `{"x":"` + strings.Repeat("x", 5<<20-8) + `"}`
		assert.Equal(t, "Bad request: event name is required.", info(t, c.do("POST "+path, fits), 400))
		assert.Equal(t, "The body is too large", info(t, c.do("POST "+path, fits+" "), 413))
		small := newClient(t, func(_ *hooks.Config, api *webitel.Config) { api.MaxBody = 10 })
		assert.Equal(t, "The body is too large", info(t, small.do("POST "+path, `{"event":1}`), 413))
	})
}

func TestEvent(t *testing.T) {
	for name, test := range map[string]struct{ object, eventType, tenant string }{
		"the first of four":       {`{"Event-Name":"A","variable_domain_name":"a","variable_w_domain":"b","Channel-Presence-ID":"x@c","variable_presence_id":"x@d"}`, "A", "a"},
		"the second":              {`{"Event-Name":"A","variable_domain_name":"","variable_w_domain":"b","Channel-Presence-ID":"x@c"}`, "A", "b"},
		"the third":               {`{"Event-Name":"A","variable_w_domain":null,"Channel-Presence-ID":"x@c@d","variable_presence_id":"x@e"}`, "A", "c@d"},
		"the fourth":              {`{"Event-Name":"A","Channel-Presence-ID":"x@","variable_presence_id":"x@d"}`, "A", "d"},
		"without an @":            {`{"Event-Name":"A","Channel-Presence-ID":"c"}`, "A", "c"},
		"the fourth without @":    {`{"Event-Name":"A","variable_presence_id":"d"}`, "A", "d"},
		"others do not count":     {`{"Event-Name":"A","Event-Domain":"x","Domain-Name":"y","presence_id":"z@z","variable_domain_name":"a"}`, "A", "a"},
		"a subclass":              {`{"Event-Name":"CUSTOM","Event-Subclass":"engine::x","variable_domain_name":"a"}`, "CUSTOM->engine::x", "a"},
		"an empty subclass":       {`{"Event-Name":"CUSTOM","Event-Subclass":"","variable_domain_name":"a"}`, "CUSTOM->", "a"},
		"a subclass that is none": {`{"Event-Name":"CUSTOM","Event-Subclass":null,"variable_domain_name":"a"}`, "CUSTOM", "a"},
		"a subclass of any event": {`{"Event-Name":"DTMF","Event-Subclass":"x","variable_domain_name":"a"}`, "DTMF->x", "a"},
	} {
		e, err := webitel.Event(decoded(t, test.object))
		require.NoError(t, err, name)
		assert.Equal(t, hooks.Event{Type: test.eventType, Tenant: test.tenant, Data: e.Data}, e, name)
		assert.JSONEq(t, test.object, string(e.Data), name)
	}
	for name, test := range map[string]struct {
		object map[string]any
		field  string
	}{
		"nothing":                   {nil, "Event-Name"},
		"no name":                   {map[string]any{"variable_domain_name": "a"}, "Event-Name"},
		"a name that is a number":   {map[string]any{"Event-Name": 1, "variable_domain_name": "a"}, "Event-Name"},
		"a subclass that is a list": {map[string]any{"Event-Name": "A", "Event-Subclass": []string{"x"}, "variable_domain_name": "a"}, "Event-Subclass"},
		"no domain":                 {map[string]any{"Event-Name": "A"}, "variable_domain_name"},
		"a domain that is none":     {map[string]any{"Event-Name": "A", "variable_w_domain": true}, "variable_w_domain"},
		"what has no JSON":          {map[string]any{"Event-Name": "A", "variable_domain_name": "a", "x": func() {}}, "data"},
	} {
		_, err := webitel.Event(test.object)
		var invalid *hooks.InvalidError
		require.ErrorAs(t, err, &invalid, name)
		assert.Equal(t, test.field, invalid.Field, name)
	}
}

// Whatever the application's errors say, responses do not.
func TestInternalErrors(t *testing.T) {
	m, err := hooks.New(apitest.BrokenStore{Store: memory.New(memory.Options{})}, hooks.Config{Protocols: []hooks.Protocol{&webitel.Protocol{}}})
	require.NoError(t, err)
	api, err := webitel.New(m, webitel.Config{Config: httpadapter.Config{Authenticate: httpadapter.Open(""), Logger: slog.New(slog.DiscardHandler)}})
	require.NoError(t, err)
	for _, line := range []string{"GET " + path, "GET " + path + "/" + unknown, "DELETE " + path + "/" + unknown} {
		assert.Equal(t, "Internal server error", info(t, apitest.NewRequest(line, "").To(api), 500), line)
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest("POST", path, iotest.ErrReader(io.ErrUnexpectedEOF))
	r.Header.Set("Content-Type", "application/json")
	api.ServeHTTP(w, r)
	assert.Equal(t, 400, w.Code)
	assert.Contains(t, w.Body.String(), "Bad request: the body is incomplete")
}
