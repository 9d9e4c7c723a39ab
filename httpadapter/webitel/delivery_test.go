package webitel_test

import (
	"encoding/json"
	"net/http"
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

// quote is a text as JSON.
func quote(text string) string {
	quoted, _ := json.Marshal(text)
	return string(quoted)
}

// What placeholders in a body of the hook's own stand for, and what becomes of the
// body.
func TestCustomBody(t *testing.T) {
	const event = `{"id":"7","variable_id":"v7","zero":0,"no":false,"nil":null,"empty":"","variable_empty":"","variable_none":null,"none":"n",` +
		`"n":1.50,"big":12345678901234567890,"yes":true,"list":[1,[null,"x"],{}],"deep":{"a":{"b":[{"c":"found"}]},"x.y":1},"a.b":"literal",` +
		`" a ":"spaces","a{b":"brace","quote":"say \"hi\"\n\\ \u0000 \u2028 <é>","json":"{\"x\":1}","count":"5"}`
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		for name, test := range map[string]struct{ raw, want string }{
			"no placeholders, white space":    {" { \"a\" : [ 1 , \"x y\" ] } ", `{"a":[1,"x y"]}`},
			"the prefix variable_ first":      {`["${id}"]`, `["v7"]`},
			"the prefix in full":              {`["${variable_id}"]`, `["v7"]`},
			"without the prefix, if need be":  {`["${none}","${count}"]`, `["n","5"]`},
			"what is not there":               {`["${x}","${X}","${}"]`, `["","",""]`},
			"what does not count as true":     {`["${zero}","${no}","${nil}","${empty}"]`, `["","","",""]`},
			"numbers and true":                {`["${n}","${big}",${big},${yes}]`, `["1.5","12345678901234567890",12345678901234567890,true]`},
			"lists and objects":               {`["${list}","${deep}"]`, `["1,,x,[object Object]","[object Object]"]`},
			"paths":                           {`["${deep.a.b.0.c}","${deep.a.b.1.c}","${deep.a.b.00.c}","${deep.a.b.c}","${id.x}","${list.1.1}"]`, `["found","","","","","x"]`},
			"paths have no prefix":            {`["${none.x}"]`, `[""]`},
			"names with a dot are paths":      {`["${a.b}","${deep.x.y}"]`, `["",""]`},
			"names are not trimmed":           {`["${ a }","${a }"]`, `["spaces",""]`},
			"names end at the first brace":    {`["${a{b}","${a${b}}"]`, `["brace","}"]`},
			"names over several lines":        {`["` + "${a\nb}" + `"]`, `[""]`},
			"dollars and braces that are not": {`["$","$$","{id}","$ {id}","${id"]`, `["$","$$","{id}","$ {id}","${id"]`},
			"once only":                       {`["${json}"]`, `["{\"x\":1}"]`},
			"texts in strings are escaped":    {`["${quote}"]`, `["say \"hi\"\n\\ \u0000 \u2028 <é>"]`},
			"names of members":                {`{"${id}":{"${quote}":1}}`, `{"v7":{"say \"hi\"\n\\ \u0000 \u2028 <é>":1}}`},
			"behind quotes in strings":        {`["\"${quote}\\",${count}]`, `["\"say \"hi\"\n\\ \u0000 \u2028 <é>\\",5]`},
			"outside of strings as it is":     {`{"n":${count},"o":${json}}`, `{"n":5,"o":{"x":1}}`},
			"a list":                          {`[]`, `[]`},
			"a string":                        {`"x"`, `"x"`},
			"a number":                        {`12`, `12`},
			"true is no body":                 {`true`, ``},
			"false is no body":                {`false`, ``},
			"null is no body":                 {`null`, ``},
			"0 is no body":                    {`0`, ``},
			"an empty string is no body":      {`""`, ``},
			"a string that becomes empty":     {`"${x}"`, ``},
		} {
			requests, _ := c.deliver(`,"customBody":true,"rawBody":`+quote(test.raw), event)
			if !assert.Len(t, requests, 1, name) {
				continue
			}
			assert.Equal(t, test.want, string(requests[0].Body), name)
			contentType := "application/json"
			if test.want == "" {
				contentType = ""
			}
			assert.Equal(t, contentType, requests[0].Header.Get("Content-Type"), name)
			assert.Equal(t, "application/json", requests[0].Header.Get("Accept"), name)
		}
		for name, test := range map[string]struct{ raw, reason string }{
			"nothing":                  {``, "unexpected end of JSON input"},
			"no JSON":                  {`{"a":}`, "invalid character '}'"},
			"nothing where a value is": {`{"n":${x}}`, "invalid character '}'"},
			"a text where a value is":  {`{"n":${none}}`, "invalid character"},
			"quotes where a value is":  {`[${quote}]`, "invalid character 's'"},
			"two values":               {`{} {}`, "invalid character '{' after top-level value"},
		} {
			requests, attempts := c.deliver(`,"customBody":true,"rawBody":`+quote(test.raw), event)
			assert.Empty(t, requests, name)
			require.Len(t, attempts, 1, name)
			assert.Equal(t, hooks.ClassRequest, attempts[0].Class, name)
			assert.Contains(t, attempts[0].Error, "invalid settings.rawBody: must be JSON with its placeholders filled in: "+test.reason, name)
			assert.Equal(t, hooks.Dead, attempts[0].State)
		}
	})
}

// What values of headers become.
func TestHeaders(t *testing.T) {
	const event = `{"a":"b","variable_v":"x","deep":{"a":1},"n":5,"crlf":"x\r\nX-Evil: 1","nul":"\u0000","é":"ü","list":[1,2],"Unique-ID":"u1"}`
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		for template, want := range map[string]string{
			`plain`:                     `plain`,
			`${a}-${n}-${list}`:         `b-5-1,2`,
			`Bearer ${Unique-ID}`:       `Bearer u1`,
			`[${v}] [${deep.a}] [${A}]`: `[] [] []`,
			`${variable_v}`:             `x`,
			`${ a}|${a`:                 `|${a`,
			`${é}`:                      `ü`,
		} {
			requests, attempts := c.deliver(`,"headers":{"x-test":`+quote(template)+`,"accept":"text/html","content-type":"text/plain","User-Agent":"me"}`, event)
			if !assert.Len(t, requests, 1, template) {
				continue
			}
			header := requests[0].Header
			assert.Equal(t, want, header.Get("X-Test"), template)
			assert.Equal(t, "text/html text/plain me", header.Get("Accept")+" "+header.Get("Content-Type")+" "+header.Get("User-Agent"))
			assert.True(t, json.Valid(requests[0].Body), "the body is JSON all the same")
			assert.Equal(t, "[redacted]", attempts[0].Request.Header.Get("X-Test"))
		}
		for _, member := range []string{"crlf", "nul"} {
			requests, attempts := c.deliver(`,"retries":1,"headers":{"X-Test":"a ${`+member+`}"}`, event)
			assert.Empty(t, requests)
			require.Len(t, attempts, 2, "it is tried again")
			assert.Equal(t, `invalid headers["X-Test"]: must have a value in UTF-8 without control characters (RFC 9110, section 5.5)`, attempts[1].Error)
		}
	})
}

// Which methods send what.
func TestMethods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		for _, method := range []string{"post", "PUT", "Delete", "PATCH"} {
			r := c.receiver(hookstest.Status(200))
			c.create(`{"event":"E->` + method + `","enable":true,"action":{"type":"web","method":"` + method + `","url":"` + r.URL + `/${a}?own=1#part"}}`)
			_, err := c.Trigger(t.Context(), hooks.Event{ID: "id-" + method, Type: "E->" + method, Tenant: domain, Data: []byte(`{"a":1}`)})
			require.NoError(t, err)
			got := r.Next()
			assert.Equal(t, strings.ToUpper(method), got.Method)
			assert.Equal(t, "/$%7Ba%7D?own=1", got.URL.RequestURI(), "the URL is no template")
			assert.Equal(t, `{"id":"id-`+method+`","action":"E->`+method+`","data":{"a":1}}`, string(got.Body))
			assert.Equal(t, http.Header{"Accept": {"application/json"}, "Content-Type": {"application/json"}, "Content-Length": got.Header["Content-Length"]}, got.Header)
		}
	})
}

// With GET, the data is in the query.
func TestQuery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		for name, test := range map[string]struct{ own, members, object, want string }{
			"values":                     {"", "", `{"a":"x y&=+'é","b":1.50,"c":true,"d":null,"e":""}`, "a=x%20y%26%3D%2B%27%C3%A9&b=1.5&c=true&d=&e="},
			"what is nested":             {"", "", `{"o":{"k":{"l":"v"},"j":2},"arr":["x",[3]],"none":{},"nothing":[]}`, "o%5Bj%5D=2&o%5Bk%5D%5Bl%5D=v&arr%5B0%5D=x&arr%5B1%5D%5B0%5D=3"},
			"names":                      {"", "", `{"a b&[":{"]":1}}`, "a%20b%26%5B%5B%5D%5D=1"},
			"no data":                    {"", "", `{}`, ""},
			"the URL's own":              {"?x=1&y=%20+", "", `{"a":1}`, "x=1&y=%20+&a=1"},
			"the URL's own, replaced":    {"?a=0&x=1&a[b]=2&a%5B]=3&%61=4&b[c]=5&novalue&ab=6", "", `{"a":{"z":1}}`, "x=1&b[c]=5&novalue&ab=6&a%5Bz%5D=1"},
			"the URL's own alone":        {"?x=1", "", `{}`, "x=1"},
			"the URL's own and a part":   {"?x=1#part", "", `{"a":1}`, "x=1&a=1"},
			"fields and map":             {"", `,"fields":["a","b"],"map":{"a":"z"}`, `{"a":1,"b":2,"c":3}`, "z=1&b=2"},
			"a body of its own":          {"", `,"customBody":true,"rawBody":"{\"q\":\"${a}\",\"p\":[{}, 2]}"`, `{"a":"<1>"}`, "q=%3C1%3E&p%5B1%5D=2"},
			"a body that is a list":      {"?x=1", `,"customBody":true,"rawBody":"[1,{\"a\":2}]"`, `{}`, "x=1&0=1&1%5Ba%5D=2"},
			"a body that is a string":    {"?x=1", `,"customBody":true,"rawBody":"\"s\""`, `{}`, "x=1"},
			"a body that is no body":     {"?x=1", `,"customBody":true,"rawBody":"null"`, `{}`, "x=1"},
			"data that is not an object": {"", ``, `[1]`, "data%5B0%5D=1"},
		} {
			r := c.receiver(hookstest.Status(200))
			id := c.create(`{"event":"E","enable":true,"action":{"type":"web","method":"get","url":"` + r.URL + `/in` + test.own + `"}` + test.members + `}`)
			c.trigger("E", test.object)
			got := r.Next()
			assert.Equal(t, "GET", got.Method, name)
			assert.Equal(t, "/in", got.URL.Path, name)
			assert.Equal(t, test.want, got.URL.RawQuery, name)
			assert.Empty(t, got.Body, name)
			assert.Empty(t, got.Header, "%s: neither Accept nor User-Agent", name)
			time.Sleep(time.Second)
			assert.NotContains(t, c.attempts(id)[0].Request.URL, "?", "%s: the log has no data", name)
			c.do("DELETE "+path+"/"+id, "")
		}
	})
}

// Which responses are success, and how often and when what fails is tried again.
func TestRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		for _, status := range []int{200, 201, 202, 204, 299} {
			requests, attempts := c.deliver(`,"retries":1`, `{}`, hookstest.Status(status))
			assert.Len(t, requests, 1, status)
			assert.Equal(t, hooks.Succeeded, attempts[0].State, status)
		}
		for name, response := range map[string]hookstest.Response{
			"300": hookstest.Status(300), "400": hookstest.Status(400), "404": hookstest.Status(404), "429": hookstest.Status(429), "500": hookstest.Status(500), "503": hookstest.Status(503),
			"302": hookstest.Redirect(302, "/elsewhere"), "307": hookstest.Redirect(307, "/elsewhere"),
			"no response": hookstest.Hang(), "garbage": hookstest.Garbage(), "half a response": hookstest.Status(200).Body("x").ThenReset(),
		} {
			requests, attempts := c.deliver(`,"retries":1`, `{}`, response)
			require.Len(t, requests, 2, name)
			assert.Equal(t, requests[0].Body, requests[1].Body, name)
			assert.Equal(t, "/in", requests[1].URL.Path, name)
			assert.Equal(t, hooks.Dead, attempts[1].State, name)
		}
		for members, test := range map[string]struct {
			tries int
			delay time.Duration
		}{
			``:                            {1, 0},
			`,"retries":null`:             {1, 0},
			`,"retries":0,"delay":5`:      {1, 0},
			`,"retries":-1,"delay":1`:     {1, 0},
			`,"retries":0.9,"delay":1`:    {1, 0},
			`,"retries":2.9,"delay":1`:    {3, time.Second},
			`,"retries":"2","delay":" 3"`: {3, 3 * time.Second},
			`,"retries":1`:                {2, time.Minute},
			`,"retries":1,"delay":null`:   {2, time.Minute},
			`,"retries":1,"delay":0`:      {2, time.Minute},
			`,"retries":1,"delay":-5`:     {2, time.Minute},
			`,"retries":1,"delay":0.25`:   {2, 250 * time.Millisecond},
			`,"retries":100,"delay":1`:    {101, time.Second},
		} {
			requests, attempts := c.deliver(members, `{}`, hookstest.Status(500))
			require.Len(t, requests, test.tries, members)
			assert.Equal(t, hooks.Dead, attempts[test.tries-1].State, members)
			for i := range test.tries - 1 {
				pause := requests[i+1].ReceivedAt.Sub(requests[i].ReceivedAt)
				assert.GreaterOrEqual(t, pause, test.delay, members)
				assert.LessOrEqual(t, pause, test.delay*6/5+2*time.Millisecond, members)
			}
		}
		requests, _ := c.deliver(`,"retries":1,"delay":1`, `{}`, hookstest.Status(429).Header("Retry-After", "30"), hookstest.Status(200))
		assert.GreaterOrEqual(t, requests[1].ReceivedAt.Sub(requests[0].ReceivedAt), 30*time.Second, "Retry-After is longer")
		requests, _ = c.deliver(`,"retries":1,"delay":60`, `{}`, hookstest.Status(429).Header("Retry-After", "5"), hookstest.Status(200))
		assert.GreaterOrEqual(t, requests[1].ReceivedAt.Sub(requests[0].ReceivedAt), time.Minute, "the delay is longer")
	})
}

// A hook that fails is tried again by itself, and what it makes of the event is its
// own.
func TestHooksOfOneEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		auth := c.receiver(hookstest.Status(200).Body(`{"token":"t1"}`))
		failing := c.receiver(hookstest.Status(500), hookstest.Status(500), hookstest.Status(200))
		fine := c.receiver(hookstest.Status(200))
		c.create(body("E", failing.URL, `,"retries":2,"delay":1,"map":{"a":"renamed"},"headers":{"X-Token":"${auth:body:token}"},"auth":{"enabled":true,"url":"`+auth.URL+`"}`))
		c.create(body("E", fine.URL, `,"retries":2,"delay":1,"filter":{"a":{"operation":"==","value":1}},"headers":{"X-Token":"[${auth:body:token}]"}`))
		c.trigger("E", `{"a":1,"b":2}`)
		time.Sleep(time.Hour)
		require.Len(t, fine.Requests(), 1)
		assert.Equal(t, `{"a":1,"b":2}`, sentData(t, fine.Requests()[0]))
		assert.Equal(t, "[]", fine.Requests()[0].Header.Get("X-Token"))
		require.Len(t, failing.Requests(), 3)
		assert.Len(t, auth.Requests(), 3, "each attempt logs in")
		var envelope, other struct{ ID string }
		require.NoError(t, json.Unmarshal(fine.Requests()[0].Body, &other))
		for _, r := range failing.Requests() {
			assert.Equal(t, `{"renamed":1,"b":2}`, sentData(t, r))
			assert.Equal(t, "t1", r.Header.Get("X-Token"))
			require.NoError(t, json.Unmarshal(r.Body, &envelope))
			assert.Equal(t, other.ID, envelope.ID, "of all hooks and attempts")
		}
	})
}

// Events have names of their own, and only hooks of that name get them.
func TestNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		receivers := map[string]*hookstest.Receiver{}
		for _, name := range []string{"CUSTOM", "CUSTOM->engine::dialer_member_end", "CUSTOM->ACR::HOOK", "CUSTOM->engine", "custom->ACR::HOOK", "CHANNEL_ANSWER"} {
			receivers[name] = c.receiver(hookstest.Status(200))
			c.create(body(name, receivers[name].URL, ""))
		}
		for _, object := range []map[string]any{
			{"Event-Name": "CUSTOM", "variable_domain_name": domain},
			{"Event-Name": "CUSTOM", "Event-Subclass": "engine::dialer_member_end", "variable_domain_name": domain},
			{"Event-Name": "CUSTOM", "Event-Subclass": "ACR::HOOK", "variable_domain_name": domain},
			{"Event-Name": "CHANNEL_ANSWER", "Channel-Presence-ID": "200@" + domain},
			{"Event-Name": "CHANNEL_ANSWER", "Channel-Presence-ID": "200@other.example"},
			{"Event-Name": "CHANNEL_ANSWER", "Event-Subclass": "x", "variable_domain_name": domain},
		} {
			e, err := webitel.Event(object)
			require.NoError(t, err)
			_, err = c.Trigger(t.Context(), e)
			require.NoError(t, err)
		}
		time.Sleep(time.Hour)
		for name, want := range map[string]int{
			"CUSTOM": 1, "CUSTOM->engine::dialer_member_end": 1, "CUSTOM->ACR::HOOK": 1, "CUSTOM->engine": 0, "custom->ACR::HOOK": 0, "CHANNEL_ANSWER": 1,
		} {
			got := receivers[name].Requests()
			if assert.Len(t, got, want, name) && want > 0 {
				assert.Contains(t, string(got[0].Body), `"action":`+strings.ReplaceAll(quote(name), `\u003e`, ">"), name)
			}
		}
	})
}

// What becomes of deliveries that wait when their hook changes.
func TestChangesTakeEffectAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		for name, change := range map[string]func(id, url string) int{
			"another body": func(id, url string) int {
				assert.Equal(t, 1, data[changed](t, c.do("PUT "+path+"/"+id, body("E", url, `,"retries":1,"customBody":true,"rawBody":"{\"new\":1}"`))).N)
				return 2
			},
			"disabled": func(id, url string) int {
				off := strings.Replace(body("E", url, `,"retries":1`), `"enable":true,`, "", 1)
				assert.Equal(t, 1, data[changed](t, c.do("PUT "+path+"/"+id, off)).N)
				return 1
			},
			"deleted": func(id, _ string) int {
				assert.Equal(t, 1, data[changed](t, c.do("DELETE "+path+"/"+id, "")).N)
				return 1
			},
		} {
			r := c.receiver(hookstest.Status(500), hookstest.Status(200))
			id := c.create(body("E", r.URL, `,"retries":1`))
			c.trigger("E", `{}`)
			time.Sleep(time.Second)
			want := change(id, r.URL)
			time.Sleep(time.Hour)
			if got := r.Requests(); assert.Len(t, got, want, name) && want == 2 {
				assert.Equal(t, `{"new":1}`, string(got[1].Body))
			}
			c.do("DELETE "+path+"/"+id, "")
		}
	})
}

// An action that is no web request does nothing, and the observer is called.
func TestOtherActions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		r := c.receiver(hookstest.Status(200))
		id := c.create(strings.Replace(body("E", r.URL, ""), `"web"`, `"mail"`, 1))
		c.trigger("E", `{}`)
		time.Sleep(time.Hour)
		assert.Empty(t, r.Requests())
		assert.Empty(t, c.attempts(id))
		assert.Equal(t, []string{`an action of the type "mail" does nothing`}, c.skipped)
	})
}

// URLs that no request can be made of are stored, and fail.
func TestBadURLs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		for url, reason := range map[string]string{
			"://x":                       "the URL of the hook is none",
			"mailto:x@example.com":       "the URL is not an absolute http or https URL without userinfo",
			"/relative":                  "the URL is not an absolute http or https URL without userinfo",
			"https://a:b@example.com":    "the URL is not an absolute http or https URL without userinfo",
			"http://unknown.example/x":   "the host name has no address that requests may go to",
			"http://host 1.example/${a}": "the URL of the hook is none",
		} {
			id := c.create(body("E", url, ""))
			c.trigger("E", `{}`)
			time.Sleep(time.Hour)
			attempts := c.attempts(id)
			require.Len(t, attempts, 1, url)
			assert.Contains(t, attempts[0].Error, reason, url)
			c.do("DELETE "+path+"/"+id, "")
		}
	})
}

// A hook that was registered with the Manager, not by the API.
func TestRegistered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		r := c.receiver(hookstest.Status(200))
		registered := hooks.Hook{
			ID: "mine", Tenant: domain, Protocol: webitel.Name, URL: r.URL, Events: []string{"CUSTOM->engine", "E"},
			Headers: map[string]string{"X-Call": "${id}", "user-agent": "me"}, Settings: json.RawMessage(`{"fields":["id"],"map":{"id":"call"}}`),
		}
		_, err := c.Register(t.Context(), registered)
		require.NoError(t, err)
		c.trigger("E", `{"id":"7"}`)
		got := r.Next()
		assert.Equal(t, `{"call":"7"}`, sentData(t, got))
		assert.Equal(t, "7", got.Header.Get("X-Call"))
		assert.Equal(t, "me", got.Header.Get("User-Agent"))
		shown := c.get("mine")
		assert.Equal(t, "CUSTOM->engine,E", shown["event"])
		assert.Equal(t, map[string]any{"type": "web", "method": "POST", "url": r.URL}, shown["action"])
		assert.Equal(t, 1, data[changed](t, c.do("PUT "+path+"/mine", body("E", r.URL, ""))).N)
		assert.Equal(t, 1, data[changed](t, c.do("DELETE "+path+"/mine", "")).N)

		_, err = c.Register(t.Context(), hooks.Hook{ID: "other", Tenant: domain, URL: r.URL, Events: []string{"*"}})
		require.NoError(t, err)
		assert.Equal(t, "Bad id", info(t, c.do("GET "+path+"/other", ""), 400), "it is of another protocol")

		for field, change := range map[string]func(*hooks.Hook){
			"settings":                       func(h *hooks.Hook) { h.Settings = json.RawMessage(`[]`) },
			"settings.map":                   func(h *hooks.Hook) { h.Settings = json.RawMessage(`{"map":[]}`) },
			`settings.map["a"]`:              func(h *hooks.Hook) { h.Settings = json.RawMessage(`{"map":{"a":""}}`) },
			`settings.filter["a"].operation`: func(h *hooks.Hook) { h.Settings = json.RawMessage(`{"filter":{"a":{}}}`) },
			`settings.filter["a"].value`:     func(h *hooks.Hook) { h.Settings = json.RawMessage(`{"filter":{"a":{"operation":"reg","value":"("}}}`) },
			`settings.auth.headers["Host"]`:  func(h *hooks.Hook) { h.Settings = json.RawMessage(`{"auth":{"headers":{"Host":"x"}}}`) },
			`settings.auth.method`:           func(h *hooks.Hook) { h.Settings = json.RawMessage(`{"auth":{"method":"HEAD"}}`) },
			`settings.auth.url`:              func(h *hooks.Hook) { h.Settings = json.RawMessage(`{"auth":{"enabled":true,"url":"://"}}`) },
			"method":                         func(h *hooks.Hook) { h.Method = "connect" },
			`headers["Transfer-Encoding"]`:   func(h *hooks.Hook) { h.Headers = map[string]string{"Transfer-Encoding": "x"} },
		} {
			h := registered
			h.ID = "broken"
			change(&h)
			_, err := c.Register(t.Context(), h)
			var invalid *hooks.InvalidError
			require.ErrorAs(t, err, &invalid, field)
			assert.Equal(t, field, invalid.Field, invalid)
		}
	})
}

// There is no verification to ask for.
func TestVerify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		id := c.create(body("E", "https://example.com", ""))
		_, err := c.Verify(t.Context(), domain, id)
		assert.ErrorContains(t, err, "Webitel hooks have no verification")
	})
}

// An endpoint that says until when to leave it alone gets no other delivery before.
func TestAnOverloadedEndpointIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		r := c.receiver(hookstest.Status(503).Header("Retry-After", "60"), hookstest.Status(200))
		c.create(body("E", r.URL, ""))
		for range 2 {
			_, err := c.Trigger(t.Context(), hooks.Event{Type: "E", Tenant: domain})
			require.NoError(t, err)
			synctest.Wait()
		}
		requests := r.Wait(2)
		assert.GreaterOrEqual(t, requests[1].ReceivedAt.Sub(requests[0].ReceivedAt), time.Minute)
	})
}
