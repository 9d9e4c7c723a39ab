package webitel_test

import (
	"cmp"
	"fmt"
	"io"
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
	"github.com/seed-2c6e3a5a/hooks/memory"
)

// What auth requests look like.
func TestAuthRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		const event = `{"user":"u1","variable_v":"x","auth:body:token":"of the event","deep":{"a":1}}`
		for name, test := range map[string]struct {
			auth   string // members beside enabled and url
			method string
			uri    string
			body   string
			header http.Header
		}{
			"by default":          {``, "GET", "/login?own=1", "", http.Header{}},
			"null":                {`,"method":"","headers":null,"map":null`, "GET", "/login?own=1", "", http.Header{}},
			"GET with parameters": {`,"method":"get","map":{"u":"${user} &","own":"2"}`, "GET", "/login?own=2&u=u1%20%26", "", http.Header{}},
			"POST": {`,"method":"post","map":{"u":"${user}","v":"[${v}${deep.a}]","t":"${auth:body:token}"}`, "POST", "/login?own=1",
				`{"t":"of the event","u":"u1","v":"[]"}`, http.Header{"Accept": {"application/json"}, "Content-Type": {"application/json"}}},
			"without parameters": {`,"method":"DELETE","headers":{"x-user":"${user}","accept":"*/*"}`, "DELETE", "/login?own=1", `{}`,
				http.Header{"Accept": {"*/*"}, "Content-Type": {"application/json"}, "X-User": {"u1"}}},
		} {
			auth := c.receiver(hookstest.Status(204))
			requests, _ := c.deliver(`,"auth":{"enabled":true,"url":"`+auth.URL+`/login?own=1"`+test.auth+`}`, event)
			assert.Len(t, requests, 1, name)
			got := auth.Next()
			assert.Equal(t, test.method+" "+test.uri, got.Method+" "+got.URL.RequestURI(), name)
			assert.Equal(t, test.body, string(got.Body), name)
			got.Header.Del("Content-Length")
			assert.Equal(t, test.header, got.Header, name)
		}
	})
}

// What answers to auth requests bring, and where it gets.
func TestAuthResults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		response := hookstest.Response(func(w http.ResponseWriter, _ *http.Request) {
			header := w.Header()
			header["X-Token"] = []string{"h1", "h2"}
			header["Content-Type"] = []string{"text/plain"}
			header["Set-Cookie"] = []string{"SID=abc; Path=/; HttpOnly", `T="x y"; Secure`, "SID=second", "nothing", "=x"}
			w.WriteHeader(201)
			_, _ = io.WriteString(w, ` {"token":"t\"1","n":5,"yes":true,"nil":null,"deep":{"a":"b"},"list":["x"],"empty":""} `)
		})
		all := []string{
			"auth:body:token", "auth:body:n", "auth:body:yes", "auth:body:nil", "auth:body:deep", "auth:body:empty", "auth:body:0", "auth:body:Token",
			"auth:header:x-token", "auth:header:X-Token", "auth:header:SID", "auth:header:sid", "auth:header:T", "auth:header:set-cookie", "auth:header:content-type",
		}
		want := []string{
			`t"1`, "", "", "", "", "", "", "",
			"h1;h2", "", "second", "", `"x y"`, `SID=abc; Path=/; HttpOnly;T="x y"; Secure;SID=second;nothing;=x`, "text/plain",
		}
		template := "${" + strings.Join(all, "}|${") + "}"
		for _, method := range []string{"GET", "POST"} {
			auth := c.receiver(response)
			settings := `,"auth":{"enabled":true,"cookie":true,"method":"` + method + `","url":"` + auth.URL + `"}`
			requests, attempts := c.deliver(settings+`,"headers":{"X-All":"`+template+`","cookie":"other"},"fields":["auth:body:token","a"]`, `{"a":1}`)
			require.Len(t, requests, 1)
			assert.Equal(t, strings.Join(want, "|"), requests[0].Header.Get("X-All"), method)
			assert.Equal(t, []string{`SID=second; T="x y"`}, requests[0].Header["Cookie"], method)
			assert.Equal(t, `{"a":1}`, sentData(t, requests[0]), "results are no data")
			assert.NotContains(t, fmt.Sprintf("%+v", attempts), "second", "nor are they logged")

			requests, _ = c.deliver(settings+`,"customBody":true,"rawBody":"[\"${auth:body:token}\",\"${auth:header:SID}\"]"`, `{"variable_auth:body:token":""}`)
			assert.Equal(t, `["t\"1","second"]`, string(requests[0].Body), method)
			requests, _ = c.deliver(settings, `{"a":1}`)
			assert.Equal(t, `{"a":1}`, sentData(t, requests[0]))
		}

		auth := c.receiver(hookstest.Status(200).Body(`["no object"]`), hookstest.Status(200).Body(`{"token":`), hookstest.Status(200))
		for range 3 {
			requests, _ := c.deliver(`,"headers":{"X-T":"[${auth:body:token}${auth:body:0}]","Cookie":"own"},"auth":{"enabled":true,"cookie":true,"url":"`+auth.URL+`"}`, `{}`)
			require.Len(t, requests, 1)
			assert.Equal(t, "[]", requests[0].Header.Get("X-T"))
			assert.Equal(t, "own", requests[0].Header.Get("Cookie"), "there are none to replace it")
		}
		thousand := hookstest.Response(func(w http.ResponseWriter, _ *http.Request) {
			for i := range 1000 {
				w.Header().Add("Set-Cookie", fmt.Sprintf("c%03d=%d; Path=/", i, i))
			}
		})
		requests, _ := c.deliver(`,"auth":{"enabled":true,"cookie":true,"url":"`+c.receiver(thousand).URL+`"}`, `{}`)
		require.Len(t, requests, 1)
		assert.Len(t, requests[0].Header["Cookie"], 1)
		assert.Equal(t, 999, strings.Count(requests[0].Header.Get("Cookie"), "; "))

		requests, _ = c.deliver(`,"auth":{"enabled":true,"cookie":false,"url":"`+c.receiver(response).URL+`"}`, `{}`)
		assert.Empty(t, requests[0].Header["Cookie"])
		for _, off := range []string{`null`, `{}`, `{"enabled":true}`, `{"enabled":true,"url":""}`, `{"enabled":false,"cookie":true,"url":"` + auth.URL + `"}`} {
			requests, _ := c.deliver(`,"auth":`+off, `{}`)
			assert.Len(t, requests, 1, off)
		}
		requests, _ = c.deliver(`,"filter":{"a":{"operation":"==","value":1}},"auth":{"enabled":true,"url":"`+auth.URL+`"}`, `{"a":2}`)
		assert.Empty(t, requests)
		assert.Len(t, auth.Requests(), 3, "there is no login for what the filter holds back")
	})
}

// Auth requests that fail, or go nowhere, fail the delivery, which is not sent.
// Nothing of their responses is shown.
func TestAuthFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		const secret = "s3cr3t"
		manyCookies := hookstest.Status(200)
		for i := range 1000 {
			manyCookies = manyCookies.Header("Set-Cookie", fmt.Sprintf("c%d=%s", i, strings.Repeat("x", 100)))
		}
		for name, test := range map[string]struct {
			response hookstest.Response
			class    hooks.ErrorClass
			reason   string
		}{
			"refused":               {hookstest.Status(403).Body(secret), hooks.ClassStatus, "the auth request failed: the endpoint responded with 403 Forbidden"},
			"redirected":            {hookstest.Redirect(302, "http://169.254.169.254/latest/"+secret), hooks.ClassRedirect, "the auth request failed: the endpoint responded with 302 Found"},
			"silent":                {hookstest.Hang(), hooks.ClassTimeout, "the auth request failed: no complete response in time"},
			"slow":                  {hookstest.Status(200).After(time.Minute), hooks.ClassTimeout, "the auth request failed: no complete response in time"},
			"dripping":              {hookstest.Status(200).EndlessBody(time.Second), hooks.ClassTimeout, "the auth request failed: the response broke off"},
			"endless":               {hookstest.Status(200).EndlessBody(time.Millisecond), hooks.ClassBody, "the response to the auth request has more than 65536 bytes"},
			"large":                 {hookstest.Status(200).LargeBody(65537), hooks.ClassBody, "the response to the auth request has more than 65536 bytes"},
			"broken":                {hookstest.Reset(), hooks.ClassConnect, "the auth request failed: "},
			"a header of 1 MiB":     {hookstest.Status(200).HugeHeader(), hooks.ClassHTTP, "the auth request failed: "},
			"a thousand cookies":    {manyCookies, hooks.ClassHTTP, "the auth request failed: "},
			"a cookie that is none": {hookstest.Status(200).Header("Set-Cookie", secret+"=\x01"), hooks.ClassHTTP, "the auth request failed: the response is not valid HTTP, or has too many headers"},
		} {
			auth := c.receiver(test.response)
			requests, attempts := c.deliver(`,"retries":1,"auth":{"enabled":true,"cookie":true,"url":"`+auth.URL+`"}`, `{}`)
			assert.Empty(t, requests, name)
			asked := 2 // it is tried again
			if test.class == hooks.ClassConnect {
				asked = 4 // on two connections each time
			}
			assert.Len(t, auth.Requests(), asked, name)
			require.Len(t, attempts, 2, name)
			assert.Equal(t, test.class, attempts[1].Class, "%s: %s", name, attempts[1].Error)
			assert.Contains(t, attempts[1].Error, test.reason, name)
			assert.NotContains(t, fmt.Sprintf("%+v", attempts), secret, name)
			assert.LessOrEqual(t, attempts[1].Duration, 15*time.Second, name)
		}
		for url, reason := range map[string]string{
			"ftp://example.com":    "the auth request failed: the URL is not an absolute http or https URL",
			"//example.com":        "the auth request failed: the URL is not an absolute http or https URL",
			"http://u:p@x.example": "the auth request failed: the URL is not an absolute http or https URL without userinfo",
			"http://${host}":       "",
		} {
			made := c.do("POST "+path, body("E", "http://x.example", `,"auth":{"enabled":true,"url":"`+url+`"}`))
			if reason == "" {
				assert.Equal(t, "Bad request: auth.url must be a URL", info(t, made, 400))
				continue
			}
			_, attempts := c.deliver(`,"auth":{"enabled":true,"url":"`+url+`"}`, `{}`)
			assert.Contains(t, attempts[0].Error, reason)
		}
		auth := c.receiver(hookstest.Status(429).Header("Retry-After", "30"), hookstest.Status(200))
		requests, attempts := c.deliver(`,"retries":1,"delay":1,"auth":{"enabled":true,"url":"`+auth.URL+`"}`, `{}`)
		require.Len(t, requests, 1)
		assert.GreaterOrEqual(t, attempts[1].StartedAt.Sub(attempts[0].StartedAt), 30*time.Second)
	})
}

// The egress policy is that of deliveries.
func TestAuthIsGuarded(t *testing.T) {
	m, err := hooks.New(memory.New(memory.Options{}), hooks.Config{Protocols: []hooks.Protocol{&webitel.Protocol{}}, AllowHTTP: true})
	require.NoError(t, err)
	for _, url := range []string{"http://127.0.0.1:1024/", "http://169.254.169.254/latest/meta-data/", "https://10.0.0.1/", "http://[::1]/", "http://[::ffff:127.0.0.1]/"} {
		attempts, err := m.Test(t.Context(), hooks.Hook{
			Protocol: webitel.Name, URL: "https://example.com", Events: []string{"E"}, Settings: []byte(`{"auth":{"enabled":true,"url":"` + url + `"}}`),
		}, hooks.Event{Type: "E"})
		require.NoError(t, err)
		assert.Equal(t, hooks.ClassForbidden, attempts[0].Class, url)
		assert.Contains(t, attempts[0].Error, "the auth request failed: the egress policy forbids", url)
	}
}

// What is not given of auth is not shown, and what is read can be put back.
func TestAuthIsShownAsItWasSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		for sent, shown := range map[string]string{
			`{}`: ``, `null`: `null`, `{"enabled":false}`: ``, `{"url":"https://shop.example"}`: ``, `{"enabled":true,"url":"","method":"","cookie":false,"headers":{},"map":{}}`: ``,
			`{"enabled":null,"url":null,"method":null,"cookie":null,"headers":null,"map":null}`: `{}`,
			`{"map":{"a":"b"},"method":"put","unknown":1}`:                                      `{"method":"put","map":{"a":"b"}}`,
		} {
			id := c.create(body("E", "https://example.com", `,"auth":`+sent))
			want := `"auth":` + cmp.Or(shown, sent) + `,`
			assert.Contains(t, c.do("GET "+path+"/"+id, "").Body, want, sent)
			assert.Contains(t, c.do("GET "+path, "").Body, want, sent)
			assert.Equal(t, 200, c.do("PUT "+path+"/"+id, body("E", "https://example.com", `,`+strings.TrimSuffix(want, ","))).Status)
			assert.Contains(t, c.do("GET "+path+"/"+id, "").Body, want, "after PUT")
			assert.Equal(t, 200, c.do("DELETE "+path+"/"+id, "").Status)
		}
	})
}
