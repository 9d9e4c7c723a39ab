package logto_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/apitest"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/logto"
)

func signature(key, body string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(body))
	return hex.EncodeToString(mac.Sum(nil))
}

// The vectors are those of Logto's own tests.
func TestSignatureOfDeliveries(t *testing.T) {
	assert.Equal(t, "436958f1dbfefab37712fb3927760490fbf7757da8c0b2306ee7b485f0360eee", signature("foo", `{"bar":"bar","foo":"foo"}`))
	assert.Equal(t, "c76356efa19d219d1d7e08ccb20b1d26db53b143156f406c99dcb8e0876d6c55", signature("foo", `{}`))
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		made, r := c.endpoint("User.Created", `,"headers":{"USER-agent":"mine","Content-TYPE":"application/x","X-Other":"é"}`)
		c.trigger(hooks.Event{Type: logto.UserCreated})
		got := r.Next()
		assert.Equal(t, "POST", got.Method)
		for _, ofHTTP := range []string{"Accept-Encoding", "Content-Length"} {
			got.Header.Del(ofHTTP)
		}
		assert.Equal(t, http.Header{
			"Content-Type": {"application/x"}, "User-Agent": {"mine"}, "X-Other": {"é"},
			"Logto-Signature-Sha-256": {signature(made.SigningKey, string(got.Body))},
		}, got.Header)
		made, r = c.endpoint("User.Created", "")
		c.trigger(hooks.Event{Type: logto.UserCreated})
		got = r.Next()
		assert.Equal(t, "application/json", got.Header.Get("Content-Type"))
		assert.Equal(t, "Logto (https://logto.io/)", got.Header.Get("User-Agent"))
		assert.Equal(t, signature(made.SigningKey, string(got.Body)), got.Header.Get("Logto-Signature-Sha-256"))
	})
}

func TestPayload(t *testing.T) {
	at := time.Date(2026, 2, 3, 4, 5, 6, 7e6, time.FixedZone("", 3600))
	const start, end = `"createdAt":"2026-02-03T03:05:06.007Z",`, `"hookId":"{id}"}`
	for name, c := range map[string]struct{ eventType, data, want string }{
		"no data":                  {logto.UserCreated, ``, `{"event":"User.Created",` + start + end},
		"members in their order":   {logto.UserCreated, `{"z":1,"a":{"y":2,"b":3}}`, `{"event":"User.Created",` + start + `"z":1,"a":{"y":2,"b":3},` + end},
		"white space":              {logto.UserCreated, " {\n\"a\" : [ 1 ,\t2 ] }\n", `{"event":"User.Created",` + start + `"a":[1,2],` + end},
		"numbers":                  {logto.UserCreated, `{"a":1.0,"b":1e400,"c":12345678901234567890}`, `{"event":"User.Created",` + start + `"a":1,"b":1e400,"c":12345678901234567890,` + end},
		"text":                     {logto.UserCreated, `{"a<\u00e9é":"<>&\u003c\ud83d\ude00😀\/"}`, `{"event":"User.Created",` + start + `"a<éé":"<>&<😀😀/",` + end},
		"array indices":            {logto.UserCreated, `{"b":1,"10":2,"a":{"1":1,"0":0},"2":3}`, `{"2":3,"10":2,"event":"User.Created",` + start + `"b":1,"a":{"0":0,"1":1},` + end},
		"a name twice":             {logto.UserCreated, `{"a":1,"b":2,"a":3,"\u0065vent":4}`, `{"event":"User.Created",` + start + `"a":3,"b":2,` + end},
		"reserved names":           {logto.UserCreated, `{"event":1,"hookId":2,"createdAt":3,"userId":4}`, `{"event":"User.Created",` + start + `"userId":4,` + end},
		"an array":                 {logto.UserCreated, `[1]`, `{"event":"User.Created",` + start + `"data":[1],` + end},
		"a text":                   {logto.UserCreated, `"x"`, `{"event":"User.Created",` + start + `"data":"x",` + end},
		"null":                     {logto.UserCreated, `null`, `{"event":"User.Created",` + start + `"data":null,` + end},
		"a registration":           {logto.PostRegister, `{"userId":"u"}`, `{"event":"PostRegister","interactionEvent":"Register",` + start + `"userId":"u",` + end},
		"a sign-in":                {logto.PostSignIn, `{}`, `{"event":"PostSignIn","interactionEvent":"SignIn",` + start + end},
		"a risky sign-in":          {logto.PostSignInAdaptiveMfaTriggered, `{}`, `{"event":"PostSignInAdaptiveMfaTriggered","interactionEvent":"SignIn",` + start + end},
		"a new password":           {logto.PostResetPassword, `{}`, `{"event":"PostResetPassword","interactionEvent":"ForgotPassword",` + start + end},
		"an interaction given":     {logto.PostSignIn, `{"interactionEvent":"Register"}`, `{"event":"PostSignIn",` + start + `"interactionEvent":"Register",` + end},
		"no interaction":           {logto.PostSignIn, `{"interactionEvent":null}`, `{"event":"PostSignIn",` + start + end},
		"an interaction elsewhere": {logto.UserCreated, `{"interactionEvent":"Register"}`, `{"event":"User.Created",` + start + `"interactionEvent":"Register",` + end},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := newClient(t)
				first, r1 := client.endpoint("*", "")
				second, r2 := client.endpoint("*", "")
				client.trigger(hooks.Event{Type: c.eventType, Time: at, Data: []byte(c.data)})
				assert.Equal(t, strings.ReplaceAll(c.want, "{id}", first.ID), string(r1.Next().Body))
				assert.Equal(t, strings.ReplaceAll(c.want, "{id}", second.ID), string(r2.Next().Body))
			})
		})
	}
}

// TestRetries tells how often an endpoint is asked, and when.
func TestRetries(t *testing.T) {
	status := hookstest.Status
	for name, c := range map[string]struct {
		config   string
		response hookstest.Response
		want     int
		result   string
	}{
		"200":                        {"", status(200), 1, "Success"},
		"299":                        {"", status(299), 1, "Success"},
		"300":                        {"", status(300), 1, "HTTPError: Request failed with status code 300 Multiple Choices"},
		"a redirect":                 {"", hookstest.Redirect(302, "http://host1.example/else"), 1, "HTTPError: Request failed with status code 302 Found"},
		"400":                        {"", status(400), 1, "HTTPError: Request failed with status code 400 Bad Request"},
		"429":                        {"", status(429), 1, "HTTPError: Request failed with status code 429 Too Many Requests"},
		"500":                        {"", status(500), 4, "HTTPError: Request failed with status code 500 Internal Server Error"},
		"599":                        {"", status(599), 4, "HTTPError: Request failed with status code 599"},
		"600":                        {"", status(600), 1, "HTTPError: Request failed with status code 600"},
		"no HTTP":                    {"", hookstest.Garbage(), 4, "TypeError: fetch failed: "},
		"no response":                {"", hookstest.Hang(), 4, "TimeoutError: Request timed out"},
		"no retries":                 {`,"retries":0`, status(500), 1, "HTTPError: "},
		"one retry":                  {`,"retries":1`, status(500), 2, "HTTPError: "},
		"one retry and a half":       {`,"retries":1.5`, status(500), 2, "HTTPError: "},
		"three retries":              {`,"retries":3`, status(500), 4, "HTTPError: "},
		"a response that breaks off": {"", status(200).Body("x").ThenReset(), 4, "TypeError: fetch failed: "},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := newClient(t)
				made, r := client.endpoint("User.Created", c.config, c.response)
				client.trigger(hooks.Event{Type: logto.UserCreated})
				time.Sleep(time.Minute)
				requests := r.Requests()
				require.Len(t, requests, c.want)
				for i, least := range []time.Duration{300 * time.Millisecond, 600 * time.Millisecond, 1200 * time.Millisecond}[:c.want-1] {
					waited := requests[i+1].ReceivedAt.Sub(requests[i].ReceivedAt)
					assert.GreaterOrEqual(t, waited, least)
					assert.Less(t, waited, least*5/4+10*time.Second, "a fifth of jitter, and the timeout")
					assert.Equal(t, requests[0].Body, requests[i+1].Body)
				}
				rows := client.logs(made.ID, "")
				require.Len(t, rows, 1, "one row for a delivery")
				if c.result == "Success" {
					assert.Equal(t, "Success", rows[0].Payload.Result)
					assert.Empty(t, rows[0].Payload.Error)
					return
				}
				assert.Equal(t, "Error", rows[0].Payload.Result)
				assert.Contains(t, rows[0].Payload.Error, c.result)
			})
		})
	}
}

func TestRetryAfterIsHonouredWhenLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		_, r := c.endpoint("User.Created", "", hookstest.Status(503).Header("Retry-After", "60"), hookstest.Status(503).Header("Retry-After", "0"), hookstest.Status(200))
		c.trigger(hooks.Event{Type: logto.UserCreated})
		requests := r.Wait(3)
		assert.GreaterOrEqual(t, requests[1].ReceivedAt.Sub(requests[0].ReceivedAt), time.Minute)
		assert.GreaterOrEqual(t, requests[2].ReceivedAt.Sub(requests[1].ReceivedAt), 600*time.Millisecond)
	})
}

func TestTheHostCanMakeTheScheduleLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, func(cfg *hooks.Config) {
			cfg.Protocols = []hooks.Protocol{&logto.Protocol{Schedule: make([]time.Duration, 7)}}
		})
		_, r := c.endpoint("User.Created", "", hookstest.Status(500))
		c.trigger(hooks.Event{Type: logto.UserCreated})
		time.Sleep(10 * time.Minute)
		assert.Len(t, r.Requests(), 7)

		made, r := c.endpoint("User.Deleted", "", hookstest.Status(500))
		_, err := c.Update(t.Context(), "default", made.ID, func(h *hooks.Hook) error {
			h.Schedule = make([]time.Duration, 9)
			return nil
		})
		require.NoError(t, err)
		apitest.Want[hook](t, c.do("PATCH", "/api/hooks/"+made.ID, `{"name":"x","config":{"url":"`+r.URL+`"}}`), 200)
		c.trigger(hooks.Event{Type: logto.UserDeleted})
		time.Sleep(10 * time.Minute)
		assert.Len(t, r.Requests(), 9)
	})
}

// A hook has a list of events, or the older single one.
func TestWhichEventsAHookGets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		r := c.network.Receiver(t, "all.example")
		made := c.create(`"event":"User.Created","config":{"url":"` + r.URL + `"}`)
		got := 0
		gets := func(eventType string, wanted bool) {
			t.Helper()
			c.trigger(hooks.Event{Type: eventType})
			time.Sleep(time.Second)
			if wanted {
				got++
			}
			require.Len(t, r.Requests(), got, eventType)
		}
		patch := func(body string) hook {
			t.Helper()
			return apitest.Want[hook](t, c.do("PATCH", "/api/hooks/"+made.ID, body), 200)
		}
		gets("User.Created", true)
		gets("User.Deleted", false)
		assert.Empty(t, patch(`{"event":"User.Deleted"}`).Events)
		gets("User.Created", false)
		gets("User.Deleted", true)
		assert.Nil(t, patch(`{"event":null}`).Event)
		gets("User.Deleted", false)
		patch(`{"name":"still nothing"}`)
		gets("User.Deleted", false)
		patch(`{"event":"User.Created"}`)
		gets("User.Created", true)
		assert.Equal(t, []string{"Role.Created"}, patch(`{"events":["Role.Created"]}`).Events)
		gets("User.Created", false)
		gets("Role.Created", true)
		patch(`{"enabled":false}`)
		gets("Role.Created", false)
		patch(`{"enabled":true}`)
		gets("Role.Created", true)
	})
}

// An endpoint that says until when to leave it alone gets no other delivery before.
func TestAnOverloadedEndpointIsLeftAlone(t *testing.T) {
	for name, test := range map[string]struct {
		response hookstest.Response
		pause    time.Duration
	}{
		"429":                   {hookstest.Status(429).Header("Retry-After", "60"), time.Minute},
		"429 that does not say": {hookstest.Status(429), 0},
		"503":                   {hookstest.Status(503).Header("Retry-After", "60"), time.Minute},
		"503 that does not say": {hookstest.Status(503), 0},
		"500":                   {hookstest.Status(500).Header("Retry-After", "60"), 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClient(t)
				_, r := c.endpoint("User.Created", `,"retries":0`, test.response, hookstest.Status(200))
				c.trigger(hooks.Event{Type: logto.UserCreated})
				synctest.Wait()
				c.trigger(hooks.Event{Type: logto.UserCreated})
				requests := r.Wait(2)
				pause := requests[1].ReceivedAt.Sub(requests[0].ReceivedAt)
				assert.GreaterOrEqual(t, pause, test.pause)
				assert.LessOrEqual(t, pause, test.pause+time.Second)
			})
		})
	}
}
