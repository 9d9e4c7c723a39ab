package webitel_test

import (
	"context"
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

// A filter ends with its context, between its conditions and within a pattern.
func TestAFilterEndsWithItsContext(t *testing.T) {
	for name, filter := range map[string]string{
		"patterns":   `{"a":{"operation":"reg","value":"^(a+)+$"},"b":{"operation":"reg","value":"^(a+)+$"}}`,
		"conditions": `{"a":{"operation":"!=","value":1},"b":{"operation":"!=","value":1}}`,
	} {
		endpoint, err := new(webitel.Protocol).Compile(hooks.Hook{URL: "https://example.com", Settings: []byte(`{"filter":` + filter + `}`)})
		require.NoError(t, err)
		event := &hooks.Event{ID: "e1", Type: "a", Data: []byte(`{"a":"` + strings.Repeat("a", 40) + `!"}`)}
		limits := []time.Duration{0}
		if name == "patterns" {
			limits = append(limits, 20*time.Millisecond)
		}
		for _, limit := range limits {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			_, err = endpoint.Accepts(ctx, event)
			cancel()
			require.ErrorIs(t, err, context.DeadlineExceeded, name)
		}
	}
}

// Patterns that ignore case may have wide ranges, but not many.
func TestManyWideRanges(t *testing.T) {
	condition := `"%d":{"operation":"reg","value":"/[\u0100-\uffff]/i"}`
	for n, fine := range map[int]bool{2: true, 3: false} {
		var conditions []string
		for i := range n {
			conditions = append(conditions, fmt.Sprintf(condition, i))
		}
		_, err := new(webitel.Protocol).Compile(hooks.Hook{URL: "https://example.com", Settings: []byte(`{"filter":{` + strings.Join(conditions, ",") + `}}`)})
		if fine {
			require.NoError(t, err)
			continue
		}
		require.ErrorAs(t, err, new(*hooks.InvalidError))
		assert.Contains(t, err.Error(), `settings.filter["2"].value: must have narrower ranges`)
	}
}

// Templates that would fill the memory, and values that would break out.
func TestHostileTemplates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		large := `{"large":"` + strings.Repeat("x", 100<<10) + `","list":[` + strings.Repeat("[],", 20_000) + `[]],"a":"b",` +
			`"c":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `,"chain":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`
		for name, members := range map[string]string{
			"10,000 placeholders":        `,"customBody":true,"rawBody":"[\"` + strings.Repeat("${a}", 10_000) + `\"]"`,
			"10,000 of nothing":          `,"customBody":true,"rawBody":"[\"` + strings.Repeat("${}", 10_000) + `\"]"`,
			"10,000 of a chain of lists": `,"customBody":true,"rawBody":"[\"` + strings.Repeat("${chain}", 7000) + `\"]"`,
			"nested braces":              `,"customBody":true,"rawBody":"[\"` + strings.Repeat("${", 10_000) + strings.Repeat("}", 10_000) + `\"]"`,
			"braces that do not close":   `,"customBody":true,"rawBody":"[\"` + strings.Repeat("${", 20_000) + `\"]"`,
			"a header of chains":         `,"headers":{"X-A":"` + strings.Repeat("${chain}", 1500) + `"}`,
			"a header of nothing":        `,"headers":{"X-A":"` + strings.Repeat("${c}", 4000) + `"}`,
		} {
			requests, attempts := c.deliver(members, large)
			assert.Len(t, requests, 1, name)
			assert.Equal(t, hooks.Succeeded, attempts[0].State, "%s: %s", name, attempts[0].Error)
		}
		for name, test := range map[string]struct{ members, reason string }{
			"a body of 700 MB": {`,"customBody":true,"rawBody":"[\"` + strings.Repeat("${large}", 7000) + `\"]"`, "invalid settings.rawBody: must be at most"},
			"a list in a body": {`,"customBody":true,"rawBody":"[\"` + strings.Repeat("${list}", 7000) + `\"]"`, "invalid settings.rawBody: must be at most"},
			"a large header":   {`,"headers":{"X-A":"${large}"}`, `invalid headers["X-A"]: must not make the values of all longer than 65536 bytes`},
			"large headers":    {`,"headers":{"X-A":"${list}","X-B":"${list}","X-C":"${list}","X-D":"${list}"}`, `invalid headers["X-D"]: must not make the values of all longer than 65536 bytes`},
		} {
			requests, attempts := c.deliver(test.members, large)
			assert.Empty(t, requests, name)
			assert.Contains(t, attempts[0].Error, test.reason, name)
		}
		auth := c.receiver(hookstest.Status(200))
		params := `"a":"` + strings.Repeat("${large}", 7) + `","b":"` + strings.Repeat("${large}", 7) + `"`
		requests, attempts := c.deliver(`,"auth":{"enabled":true,"url":"`+auth.URL+`","method":"POST","map":{`+params+`}}`, large)
		assert.Empty(t, requests)
		assert.Empty(t, auth.Requests())
		assert.Contains(t, attempts[0].Error, `invalid settings.auth.map["b"]: must not make the values of all longer than 1048576 bytes`)
		for name, test := range map[string]struct{ object, reason string }{
			"deep":    {`{"a":` + strings.Repeat(`{"a":`, 40) + `1` + strings.Repeat(`}`, 40) + `}`, "the query would have values in more than 32 brackets"},
			"deepest": {`{"a":` + strings.Repeat(`[`, 9000) + strings.Repeat(`]`, 9000) + `}`, "the query would have values in more than 32 brackets"},
			"wide":    {`{"` + strings.Repeat("é", 1000) + `":[` + strings.Repeat(`1,`, 1000) + `1]}`, "the query would be longer than 1048576 bytes"},
		} {
			r := c.receiver(hookstest.Status(200))
			id := c.create(strings.Replace(body("E", r.URL, ""), "POST", "GET", 1))
			c.trigger("E", test.object)
			time.Sleep(time.Minute)
			assert.Empty(t, r.Requests(), name)
			assert.Contains(t, c.attempts(id)[0].Error, test.reason, name)
			c.do("DELETE "+path+"/"+id, "")
		}
	})
}

// Values that would break out of strings and headers do not.
func TestHostileValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		for _, value := range []string{`"`, `\`, `\"`, `","admin":"yes`, "\r\nX-Evil: 1\r\n\r\n", "\x00", "\u2028", `${a}`, "\\u0022", "\x7f", "é😀"} {
			event := `{"a":"b","v":` + quote(value) + `}`
			requests, _ := c.deliver(`,"customBody":true,"rawBody":"{\"v\":\"<${v}>\"}"`, event)
			require.Len(t, requests, 1)
			assert.Equal(t, map[string]any{"v": "<" + value + ">"}, decoded(t, string(requests[0].Body)))
			requests, attempts := c.deliver(`,"headers":{"X-V":"<${v}>"}`, event)
			if strings.ContainsAny(value, "\r\n\x00\x7f") {
				assert.Empty(t, requests, "%q", value)
				assert.Contains(t, attempts[0].Error, "without control characters", "%q", value)
				continue
			}
			require.Len(t, requests, 1, "%q", value)
			assert.Equal(t, "<"+value+">", requests[0].Header.Get("X-V"))
		}
		// What is no text in UTF-8 cannot come with events, but with responses.
		auth := c.receiver(hookstest.Status(200).Header("X-T", "a\xffb").Body("{\"t\":\"a\xffb\"}"))
		login := `,"auth":{"enabled":true,"url":"` + auth.URL + `"}`
		requests, _ := c.deliver(login+`,"customBody":true,"rawBody":"[\"${auth:header:x-t}\",\"${auth:body:t}\"]"`, `{}`)
		assert.JSONEq(t, `["a\ufffdb","a\ufffdb"]`, string(requests[0].Body))
		_, attempts := c.deliver(login+`,"headers":{"X-T":"${auth:header:x-t}"}`, `{}`)
		assert.Contains(t, attempts[0].Error, "must have a value in UTF-8")
	})
}

// A hostile hook and its endpoints fail by themselves: the other hook of the event,
// and that of another domain, get what is theirs.
func TestHostileNeighbours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		other, err := webitel.New(c.Manager, webitel.Config{Config: quietly("other.example")})
		require.NoError(t, err)
		auth := c.receiver(hookstest.Status(200).Header("Set-Cookie", "SID=s3cr3t").Body(`{"token":"s3cr3t","a":"s3cr3t"}`))
		hostile, fine, far := c.receiver(hookstest.Hang()), c.receiver(hookstest.Status(200)), c.receiver(hookstest.Status(200))
		const show = `,"headers":{"X-T":"[${auth:body:token}${auth:body:a}${auth:header:SID}]"}`
		c.create(body("E", hostile.URL, show+`,"retries":3,"map":{"a":"b","b":"a"},"auth":{"enabled":true,"cookie":true,"url":"`+auth.URL+`"}`))
		c.create(body("E", fine.URL, show))
		data[any](t, request("POST "+path, body("E", far.URL, show)).To(other))
		for i := range 3 {
			c.trigger("E", fmt.Sprintf(`{"a":%d,"b":"x"}`, i))
			_, err := c.Trigger(t.Context(), hooks.Event{Type: "E", Tenant: "other.example", Data: []byte(`{"a":"far"}`)})
			require.NoError(t, err)
		}
		time.Sleep(time.Hour)
		assert.Len(t, hostile.Requests(), 12)
		require.Len(t, fine.Requests(), 3)
		require.Len(t, far.Requests(), 3)
		var got []string
		for _, r := range fine.Requests() {
			got = append(got, sentData(t, r))
		}
		assert.ElementsMatch(t, []string{`{"a":0,"b":"x"}`, `{"a":1,"b":"x"}`, `{"a":2,"b":"x"}`}, got)
		for _, r := range append(fine.Requests(), far.Requests()...) {
			assert.Equal(t, "[]", r.Header.Get("X-T"))
			assert.Empty(t, r.Header.Get("Cookie"))
		}
		assert.Equal(t, `{"a":"far"}`, sentData(t, far.Requests()[0]))
	})
}
