package hooks_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
	"github.com/seed-2c6e3a5a/hooks/internal/signature/signaturetest"
)

// The Standard Webhooks protocol from end to end, rule by rule: each test is a
// section of the specification, each of its cases a rule.

// A specRule is a case of a section. It has a Manager of its own, in a bubble.
type specRule struct {
	name  string
	check func(t *testing.T, harness *hookstest.Harness)
}

func checkRules(t *testing.T, rules []specRule) {
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				harness := hookstest.New(t, seldom)
				synctest.Wait() // Run is waiting for work
				r.check(t, harness)
			})
		})
	}
}

// send triggers an event and returns what the endpoint is sent next.
func send(t *testing.T, harness *hookstest.Harness, e *hookstest.Endpoint, event hooks.Event) hookstest.Request {
	t.Helper()
	if event.Type == "" {
		event.Type = "order.paid"
	}
	_, err := harness.Manager.Trigger(t.Context(), event)
	require.NoError(t, err)
	return e.Next()
}

// requireField requires an InvalidError about the field, with a reason.
func requireField(t *testing.T, err error, field string) {
	t.Helper()
	var invalid *hooks.InvalidError
	require.ErrorAs(t, err, &invalid)
	assert.Equal(t, field, invalid.Field)
	assert.NotEmpty(t, invalid.Reason)
}

// referenceAccepts reports whether the reference library accepts the request,
// at this moment and with this secret.
func referenceAccepts(t *testing.T, secret hooks.Secret, r hookstest.Request) bool {
	t.Helper()
	wh, err := standardwebhooks.NewWebhook(string(secret))
	require.NoError(t, err)
	return wh.Verify(r.Body, r.Header) == nil
}

// accepts reports whether our own verifier accepts the request, at this moment.
func accepts(t *testing.T, secret hooks.Secret, r hookstest.Request) bool {
	t.Helper()
	return newVerifier(t, secret).Verify(r.Header, r.Body) == nil
}

func symmetricKey(size int) hooks.Secret {
	return hooks.Secret("whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", size))))
}

func hookWith(secrets ...hooks.Secret) hooks.Hook {
	h := hooks.Hook{Events: []string{"*"}}
	for _, s := range secrets {
		h.Secrets = append(h.Secrets, hooks.SigningSecret{Secret: s})
	}
	return h
}

func TestStandardPayload(t *testing.T) {
	checkRules(t, []specRule{
		{"a POST whose body is the payload, JSON by default", func(t *testing.T, harness *hookstest.Harness) {
			r := send(t, harness, harness.Endpoint("*"), hooks.Event{Data: []byte(`{"total":1}`)})
			assert.Equal(t, http.MethodPost, r.Method)
			assert.Equal(t, []string{"application/json"}, r.Header["Content-Type"])
			assert.True(t, json.Valid(r.Body))
			assert.Equal(t, strconv.Itoa(len(r.Body)), r.Header.Get("Content-Length"))
			_, err := harness.Manager.Register(t.Context(), hooks.Hook{Events: []string{"*"}, URL: "https://example.com", Method: "PUT"})
			requireField(t, err, "method")
		}},
		{"other content types are allowed", func(t *testing.T, harness *hookstest.Harness) {
			for _, name := range []string{"Content-Type", "content-type"} {
				e := harness.EndpointFor(hooks.Hook{Events: []string{"*"}, Headers: map[string]string{
					name: "application/vnd.shop+json; charset=utf-8", "User-Agent": "shop/1", "Authorization": "Bearer t",
				}})
				r := send(t, harness, e, hooks.Event{})
				assert.NoError(t, r.SignatureErr)
				assert.Equal(t, []string{"application/vnd.shop+json; charset=utf-8"}, r.Header["Content-Type"])
				assert.Equal(t, []string{"shop/1"}, r.Header["User-Agent"])
				assert.Equal(t, []string{"Bearer t"}, r.Header["Authorization"])
			}
		}},
		{"type, timestamp of the event and data", func(t *testing.T, harness *hookstest.Harness) {
			happened := time.Date(1999, 12, 31, 23, 59, 58, 123_456_789, time.FixedZone("", 2*3600))
			r := send(t, harness, harness.Endpoint("*"), hooks.Event{
				Type: "order_2.line9.Paid", Time: happened, Data: []byte(`{"total":1}`), Metadata: map[string]string{"not": "sent"},
			})
			assert.Equal(t, `{"type":"order_2.line9.Paid","timestamp":"1999-12-31T21:59:58.123Z","data":{"total":1}}`, string(r.Body))

			e := harness.Endpoint("*")
			r = send(t, harness, e, hooks.Event{})
			assert.Equal(t, time.Now().UTC(), r.Timestamp, "now, if the application does not say")
			assert.Equal(t, "{}", string(r.Data))
		}},
		{"data is sent byte for byte", func(t *testing.T, harness *hookstest.Harness) {
			e := harness.Endpoint("*")
			for _, data := range []string{
				`{}`, `null`, `true`, `"text"`, `0`, `[]`,
				" { \"b\" :\t1 ,\r\n \"a\" : [ ] } \n",
				`{"n":1.0,"e":1E+2,"z":-0,"big":123456789012345678901234567890,"tiny":0.1000000000000000055511151231257827}`,
				`{"a":1,"a":2}`,
				`{"é":"\u00e9","html":"<b>&amp;</b>","slash":"\/","line":"\u2028` + "\u2028" + `","nul":"\u0000","half":"\ud800"}`,
				`"` + strings.Repeat("x", 100_000) + `"`,
			} {
				r := send(t, harness, e, hooks.Event{Data: []byte(data)})
				assert.NoError(t, r.SignatureErr)
				_, rest, found := strings.Cut(string(r.Body), `","data":`)
				assert.True(t, found)
				assert.Equal(t, data+"}", rest)
				assert.True(t, json.Valid(r.Body))
			}
		}},
		{"a type is segments separated by dots", func(t *testing.T, harness *hookstest.Harness) {
			for _, bad := range []string{"", ".", "order.", ".paid", "order..paid", "order paid", `order"`, "order\n", "örder", "*", "order.*"} {
				_, err := harness.Manager.Trigger(t.Context(), hooks.Event{Type: bad})
				requireField(t, err, "type")
			}
		}},
		{"payloads are limited to 256 KiB", func(t *testing.T, harness *hookstest.Harness) {
			checkPayloadLimit(t, harness, 256<<10)
		}},
		{"the limit of payloads is the application's to set", func(t *testing.T, _ *hookstest.Harness) {
			harness := hookstest.New(t, func(c *hooks.Config) { c.MaxPayload = 1000 })
			checkPayloadLimit(t, harness, 1000)
		}},
		{"what is no JSON is refused", func(t *testing.T, harness *hookstest.Harness) {
			for _, data := range []string{" ", "{", "{} {}", "nil", "\"\xff\"", "NaN"} {
				_, err := harness.Manager.Trigger(t.Context(), hooks.Event{Type: "order.paid", Data: []byte(data)})
				requireField(t, err, "data")
			}
		}},
	})
}

// checkPayloadLimit checks that data of this size is delivered, and a byte more
// is refused, with both sizes, and leaves nothing behind.
func checkPayloadLimit(t *testing.T, harness *hookstest.Harness, limit int) {
	t.Helper()
	e := harness.Endpoint("*")
	data := func(size int) []byte { return []byte(`"` + strings.Repeat("x", size-2) + `"`) }
	r := send(t, harness, e, hooks.Event{ID: "fits", Data: data(limit)})
	assert.NoError(t, r.SignatureErr)
	assert.Len(t, r.Data, limit)

	_, err := harness.Manager.Trigger(t.Context(), hooks.Event{ID: "too-much", Type: "order.paid", Data: data(limit + 1)})
	requireField(t, err, "data")
	assert.ErrorContains(t, err, strconv.Itoa(limit+1))
	assert.ErrorContains(t, err, strconv.Itoa(limit))
	_, err = harness.Manager.Event(t.Context(), "", "too-much")
	assert.ErrorIs(t, err, hooks.ErrNotFound)
	e.Settle()
	assert.Len(t, e.Requests(), 1)
}

func TestStandardIdentity(t *testing.T) {
	checkRules(t, []specRule{
		{"webhook-id is the event's and the same on every retry", func(t *testing.T, harness *hookstest.Harness) {
			first, second := harness.Endpoint("*"), harness.Endpoint("*")
			first.Respond(hookstest.Status(500), hookstest.Reset(), hookstest.Reset(), hookstest.Hang(), hookstest.Status(200))
			receipt, err := harness.Manager.Trigger(t.Context(), hooks.Event{Type: "order.paid"})
			require.NoError(t, err)
			assert.Equal(t, 2, receipt.Deliveries)
			first.Settle()
			second.Settle()
			all := append(first.Requests(), second.Requests()...)
			require.Len(t, all, 6)
			for _, r := range all {
				assert.Equal(t, []string{receipt.EventID}, r.Header["Webhook-Id"])
				assert.Equal(t, all[0].Body, r.Body)
			}
			third := harness.Endpoint("*")
			assert.Equal(t, "chosen-by-the-application", send(t, harness, third, hooks.Event{ID: "chosen-by-the-application"}).ID)
		}},
		{"webhook-timestamp is the time of this attempt in integer seconds", func(t *testing.T, harness *hookstest.Harness) {
			e := harness.EndpointFor(hooks.Hook{Events: []string{"*"}, Schedule: []time.Duration{1500 * time.Millisecond, time.Minute, time.Hour}})
			e.Respond(hookstest.Status(500))
			send(t, harness, e, hooks.Event{Time: time.Now().Add(-24 * time.Hour)})
			e.Settle()
			requests := e.Requests()
			require.Len(t, requests, 3)
			for _, r := range requests {
				assert.Equal(t, signaturetest.Unix(r.ReceivedAt), r.Header.Get("webhook-timestamp"))
				assert.NoError(t, r.SignatureErr)
			}
		}},
		{"an id cannot hold a dot", func(t *testing.T, harness *hookstest.Harness) {
			for _, bad := range []string{"a.b", ".", "a b", "a\n", "ä", "a/b", strings.Repeat("a", 129)} {
				_, err := harness.Manager.Trigger(t.Context(), hooks.Event{ID: bad, Type: "order.paid"})
				requireField(t, err, "id")
			}
			e := harness.Endpoint("*")
			for _, good := range []string{"a", "A-z_09", strings.Repeat("a", 128)} {
				assert.Equal(t, good, send(t, harness, e, hooks.Event{ID: good}).ID)
			}
			assert.NotContains(t, send(t, harness, e, hooks.Event{}).ID, ".", "nor one of our own")
		}},
		{"neither can the headers of the protocol be chosen by a hook", func(t *testing.T, harness *hookstest.Harness) {
			for _, name := range []string{
				"webhook-id", "Webhook-Timestamp", "WEBHOOK-SIGNATURE", "Host", "host", "Content-Length", "Transfer-Encoding",
				"Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "TE", "Trailer", "Upgrade", "Expect",
			} {
				refuseHeader(t, harness, name, "1")
			}
			for _, name := range []string{"", "a b", "a:", "a\r\nb", "ä"} {
				refuseHeader(t, harness, name, "1")
			}
			for _, value := range []string{"a\r\nwebhook-id: b", "a\nb", "a\rb", "a\x00b"} {
				refuseHeader(t, harness, "X-Note", value)
			}
		}},
	})
}

func refuseHeader(t *testing.T, harness *hookstest.Harness, name, value string) {
	t.Helper()
	_, err := harness.Manager.Register(t.Context(), hooks.Hook{
		Events: []string{"*"}, URL: "https://example.com", Headers: map[string]string{name: value},
	})
	requireField(t, err, fmt.Sprintf("headers[%q]", name))
}

func TestStandardDelivery(t *testing.T) {
	checkRules(t, []specRule{
		{"retries over several days, each pause with jitter", func(t *testing.T, harness *hookstest.Harness) {
			e := harness.Endpoint("*")
			e.Respond(hookstest.Status(500))
			send(t, harness, e, hooks.Event{})
			d := e.Settle()[0]
			assert.Equal(t, hooks.Dead, d.State)
			requests := e.Requests()
			require.Len(t, requests, len(standardSchedule))
			longer := 0
			for i := 1; i < len(requests); i++ {
				pause := requests[i].ReceivedAt.Sub(requests[i-1].ReceivedAt)
				checkPause(t, i+1, standardSchedule[i], pause)
				if pause > standardSchedule[i] {
					longer++
				}
			}
			assert.Positive(t, longer)
			assert.Greater(t, requests[9].ReceivedAt.Sub(requests[0].ReceivedAt), 3*day)
		}},
		{"200 to 299 is success, everything else failure, and redirects are not followed", func(t *testing.T, harness *hookstest.Harness) {
			elsewhere := harness.Network.Receiver(t, "elsewhere.example")
			e := harness.EndpointFor(hooks.Hook{Events: []string{"*"}, Schedule: []time.Duration{0}})
			for _, status := range []int{
				200, 201, 202, 203, 204, 205, 206, 226, 299,
				300, 301, 302, 303, 304, 307, 308, 399,
				400, 401, 403, 404, 406, 408, 409, 413, 422, 451, 499, 500, 501, 503, 505, 599, 600, 999,
			} {
				e.Respond(hookstest.Redirect(status, elsewhere.URL))
				send(t, harness, e, hooks.Event{})
				d := e.Settle()[0]
				want := hooks.Dead
				if status >= 200 && status <= 299 {
					want = hooks.Succeeded
				}
				assert.Equal(t, want, d.State, status)
				logs, err := harness.Manager.Logs(t.Context(), hooks.LogQuery{DeliveryIDs: []string{d.ID}})
				require.NoError(t, err)
				require.Len(t, logs.Items, 1)
				assert.Equal(t, status, logs.Items[0].Response.Status)
				assert.Equal(t, status >= 300 && status <= 399, logs.Items[0].Class == hooks.ClassRedirect, status)
				assert.Equal(t, status >= 400, logs.Items[0].Class == hooks.ClassStatus, status)
			}
			assert.Empty(t, elsewhere.Requests())
		}},
		{"410 disables the hook and ends the sending", func(t *testing.T, harness *hookstest.Harness) {
			e := harness.Endpoint("*")
			e.Respond(hookstest.Status(410))
			send(t, harness, e, hooks.Event{})
			synctest.Wait()
			h := stored(t, harness.Manager, e.Hook)
			assert.True(t, h.Disabled)
			assert.Contains(t, h.DisabledReason, "410")
			receipt, err := harness.Manager.Trigger(t.Context(), hooks.Event{Type: "order.paid"})
			require.NoError(t, err)
			assert.Zero(t, receipt.Deliveries)
			assert.Equal(t, hooks.Dead, e.Settle()[0].State, "no attempt follows")
			time.Sleep(time.Hour)
			assert.Len(t, e.Requests(), 1)
		}},
		{"429, 502 and 504 throttle the endpoint", func(t *testing.T, harness *hookstest.Harness) {
			for _, status := range []int{429, 502, 504} {
				e := harness.Endpoint("*")
				e.Respond(hookstest.Status(status), hookstest.Status(200))
				start := time.Now()
				send(t, harness, e, hooks.Event{})
				synctest.Wait()
				until := stored(t, harness.Manager, e.Hook).Health.ThrottledUntil
				assert.True(t, until.After(start), status)
				send(t, harness, e, hooks.Event{})
				assert.False(t, e.Requests()[1].ReceivedAt.Before(until), "another delivery waits too")
				e.Settle()
				require.NoError(t, harness.Manager.Delete(t.Context(), "", e.Hook.ID))
			}
		}},
		{"Retry-After moves the next attempt, never earlier than asked, at most 24 hours", func(t *testing.T, harness *hookstest.Harness) {
			date := func(d time.Duration) func() string {
				return func() string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
			}
			seconds := func(value string) func() string { return func() string { return value } }
			for _, tt := range []struct {
				value func() string
				want  time.Duration
			}{
				{seconds("7200"), 2 * time.Hour},
				{date(3 * time.Hour), 3 * time.Hour},
				{seconds("86400"), day},
				{seconds("86401"), day},
				{seconds("99999999999999999999"), day},
				{date(30 * day), day},
				// Sooner than the schedule's 5 s, or none:
				{seconds("0"), 5 * time.Second},
				{seconds("-1"), 5 * time.Second},
				{date(time.Second), 5 * time.Second},
				{date(-time.Hour), 5 * time.Second},
				{seconds("soon"), 5 * time.Second},
			} {
				time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second))) // dates are in seconds
				value, start := tt.value(), time.Now()
				e := harness.Endpoint("*")
				e.Respond(hookstest.Status(503).Header("Retry-After", value), hookstest.Status(200))
				send(t, harness, e, hooks.Event{})
				pause := e.Next().ReceivedAt.Sub(start)
				assert.GreaterOrEqual(t, pause, tt.want, value)
				assert.LessOrEqual(t, pause, tt.want+time.Second+time.Millisecond, value)
				require.NoError(t, harness.Manager.Delete(t.Context(), "", e.Hook.ID))
			}
		}},
		{"a request takes 15 s at most", func(t *testing.T, harness *hookstest.Harness) {
			e := harness.Endpoint("*")
			e.Respond(hookstest.Hang())
			send(t, harness, e, hooks.Event{})
			time.Sleep(15 * time.Second)
			synctest.Wait()
			a := onlyAttempt(t, harness.Manager)
			assert.Equal(t, 15*time.Second, a.Duration)
			assert.Equal(t, hooks.ClassTimeout, a.Class)
			_, err := harness.Manager.Update(t.Context(), "", e.Hook.ID, func(h *hooks.Hook) error {
				h.Timeout = 30*time.Second + 1
				return nil
			})
			requireField(t, err, "timeout")
		}},
		{"the body and the headers of the response are bounded", func(t *testing.T, harness *hookstest.Harness) {
			e := harness.EndpointFor(hooks.Hook{Events: []string{"*"}, Schedule: []time.Duration{0, 0, 0}})
			e.Respond(hookstest.Status(500).EndlessBody(time.Millisecond), hookstest.Status(200).HugeHeader(), hookstest.Status(200).LargeBody(1<<20))
			send(t, harness, e, hooks.Event{})
			assert.Equal(t, hooks.Succeeded, e.Settle()[0].State)
			logs, err := harness.Manager.Logs(t.Context(), hooks.LogQuery{})
			require.NoError(t, err)
			require.Len(t, logs.Items, 3)
			for _, a := range logs.Items {
				switch a.Number {
				case 1, 3:
					assert.Len(t, a.Response.Body, responseLimit)
					assert.True(t, a.Response.Truncated)
				case 2:
					assert.Equal(t, hooks.ClassHTTP, a.Class)
					assert.Empty(t, a.Response.Header)
				}
			}
		}},
		{"after 5 days without a success the hook is disabled and the application told", func(t *testing.T, _ *hookstest.Harness) {
			var w watcher
			harness := hookstest.New(t, seldom, w.watch)
			e := harness.EndpointFor(hooks.Hook{Events: []string{"*"}, Schedule: []time.Duration{0}})
			e.Respond(hookstest.Status(500))
			for range 6 {
				synctest.Wait()
				assert.False(t, stored(t, harness.Manager, e.Hook).Disabled)
				send(t, harness, e, hooks.Event{})
				time.Sleep(day)
			}
			assert.True(t, stored(t, harness.Manager, e.Hook).Disabled)
			require.Len(t, w.disabled, 1)
			assert.NotEmpty(t, w.disabled[0].DisabledReason)
		}},
	})
}

func TestStandardOperations(t *testing.T) {
	checkRules(t, []specRule{
		{"failures are listed with reasons, and replayed one by one and by range", func(t *testing.T, harness *hookstest.Harness) {
			e := harness.EndpointFor(hooks.Hook{Events: []string{"*"}, Schedule: []time.Duration{0}})
			e.Respond(hookstest.Status(500), hookstest.Hang(), hookstest.Garbage(), hookstest.Status(200))
			start := time.Now()
			for _, id := range []string{"e0", "e1", "e2", "e3"} {
				send(t, harness, e, hooks.Event{ID: id})
				time.Sleep(time.Hour)
			}
			failed := hooks.LogQuery{States: []hooks.State{hooks.Dead}}
			list, err := harness.Manager.Deliveries(t.Context(), failed)
			require.NoError(t, err)
			require.Len(t, list.Items, 3)
			for i, d := range list.Items {
				assert.Equal(t, fmt.Sprint("e", 2-i), d.EventID, "the newest first")
				assert.NotEmpty(t, d.Reason)
			}
			attempts, err := harness.Manager.Logs(t.Context(), failed)
			require.NoError(t, err)
			require.Len(t, attempts.Items, 3)
			for i, class := range []hooks.ErrorClass{hooks.ClassHTTP, hooks.ClassTimeout, hooks.ClassStatus} {
				assert.Equal(t, class, attempts.Items[i].Class)
				assert.NotEmpty(t, attempts.Items[i].Error)
			}

			e.Respond(hookstest.Status(200))
			_, err = harness.Manager.Redeliver(t.Context(), "", list.Items[2].ID)
			require.NoError(t, err)
			assert.Equal(t, "e0", e.Next().ID)
			failed.Since, failed.Until = start.Add(time.Hour), start.Add(2*time.Hour)
			n, err := harness.Manager.Replay(t.Context(), failed)
			require.NoError(t, err)
			assert.Equal(t, 1, n)
			assert.Equal(t, "e1", e.Next().ID)
			e.Settle()
			assert.Len(t, e.Requests(), 6)
		}},
		{"an event goes to several hooks, which can be added, listed and removed", func(t *testing.T, harness *hookstest.Harness) {
			list := func() (ids []string) {
				page, err := harness.Manager.Hooks(t.Context(), hooks.HookQuery{PageQuery: hooks.PageQuery{OldestFirst: true}})
				require.NoError(t, err)
				for _, h := range page.Items {
					ids = append(ids, h.ID)
				}
				return ids
			}
			trigger := func(eventType string) int {
				receipt, err := harness.Manager.Trigger(t.Context(), hooks.Event{Type: eventType})
				require.NoError(t, err)
				return receipt.Deliveries
			}
			var endpoints []*hookstest.Endpoint
			for i, events := range []string{"*", "order.*", "order.paid"} {
				endpoints = append(endpoints, harness.EndpointFor(hooks.Hook{ID: fmt.Sprint("h", i), Events: []string{events}}))
				time.Sleep(time.Second)
			}
			assert.Equal(t, []string{"h0", "h1", "h2"}, list())
			assert.Equal(t, 3, trigger("order.paid"))
			assert.Equal(t, 2, trigger("order.sent"))
			assert.Equal(t, 1, trigger("user.made"))
			synctest.Wait() // all is sent
			require.NoError(t, harness.Manager.Delete(t.Context(), "", "h1"))
			assert.ErrorIs(t, harness.Manager.Delete(t.Context(), "", "h1"), hooks.ErrNotFound)
			assert.Equal(t, []string{"h0", "h2"}, list())
			assert.Equal(t, 2, trigger("order.paid"))
			for i, want := range []int{4, 2, 2} {
				assert.Len(t, endpoints[i].Settle(), want)
				assert.Len(t, endpoints[i].Requests(), want)
			}
		}},
		{"private and special-purpose addresses are refused", func(t *testing.T, harness *hookstest.Harness) {
			for _, host := range []string{
				"127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255",
				"[::1]", "[::]", "[fe80::1]", "[fd00::1]", "[ff02::1]", "[::ffff:127.0.0.1]", "[64:ff9b::a00:1]", "[2002:a00:1::]",
				"2130706433", "0x7f.1", "127.1", "0177.0.0.1",
			} {
				_, err := harness.Manager.Register(t.Context(), hooks.Hook{Events: []string{"*"}, URL: "https://" + host + "/in"})
				requireField(t, err, "url")
			}
		}},
	})
}

// A name is looked up at each attempt, and what it leads to is checked then.
func TestStandardNoRequestsToPrivateAddresses(t *testing.T) {
	r := hookstest.NewReceiver(t)
	w := loopbackHarness(t, func(c *hooks.Config) { c.AllowNetworks = nil })
	url := "http://other.test" + port(r.URL) // at 127.0.0.1
	attempts, err := w.Test(t.Context(), hooks.Hook{Events: []string{"*"}, URL: url}, hooks.Event{Type: "order.paid"})
	require.NoError(t, err)
	require.Len(t, attempts, 1)
	assert.Equal(t, hooks.ClassDNS, attempts[0].Class)

	h, err := w.Register(t.Context(), hooks.Hook{Events: []string{"*"}, URL: url})
	require.NoError(t, err)
	_, err = w.Verify(t.Context(), "", h.ID)
	var failure *hooks.AttemptError
	require.ErrorAs(t, err, &failure)
	assert.Equal(t, hooks.ClassDNS, failure.Class)
	assert.Empty(t, r.Requests())
}

// Verification: the endpoint repeats a challenge, or stays unverified.
