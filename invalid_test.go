package hooks_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/memory"
)

// A spyStore counts what it is asked for.
type spyStore struct {
	*memory.Store
	written, reads atomic.Int64
}

// writes returns how often a Manager has tried to store something.
func (s *spyStore) writes() int64 { return s.written.Load() }

func (s *spyStore) CreateHook(ctx context.Context, h hooks.Hook, limit int) error {
	s.written.Add(1)
	return s.Store.CreateHook(ctx, h, limit)
}

func (s *spyStore) UpdateHook(ctx context.Context, h hooks.Hook) error {
	s.written.Add(1)
	return s.Store.UpdateHook(ctx, h)
}

func (s *spyStore) Enqueue(ctx context.Context, now time.Time, entries []hooks.Entry) error {
	s.written.Add(1)
	return s.Store.Enqueue(ctx, now, entries)
}

func (s *spyStore) Settle(ctx context.Context, now time.Time, st []hooks.Settlement) ([]hooks.Settled, error) {
	s.written.Add(1)
	return s.Store.Settle(ctx, now, st)
}

func (s *spyStore) Redeliver(ctx context.Context, now time.Time, tenant, id string) (hooks.Delivery, error) {
	s.written.Add(1)
	return s.Store.Redeliver(ctx, now, tenant, id)
}

func (s *spyStore) Deliveries(ctx context.Context, q hooks.LogQuery) (hooks.Page[hooks.Delivery], error) {
	s.reads.Add(1)
	return s.Store.Deliveries(ctx, q)
}

func (s *spyStore) Attempts(ctx context.Context, q hooks.LogQuery) (hooks.Page[hooks.Attempt], error) {
	s.reads.Add(1)
	return s.Store.Attempts(ctx, q)
}

// refused asserts that err is an InvalidError of this field whose reason holds
// the rule, and that its text names both.
func refused(t *testing.T, err error, field, rule string) {
	t.Helper()
	var invalid *hooks.InvalidError
	if !assert.ErrorAs(t, err, &invalid) {
		return
	}
	assert.Equal(t, field, invalid.Field)
	assert.Contains(t, invalid.Reason, rule)
	assert.Contains(t, err.Error(), field)
	assert.Contains(t, err.Error(), rule)
}

// A rule is one sentence of a doc comment: what is just accepted (if there is
// such a thing) and what is just refused.
type rule[T any] struct {
	name, field, reason string
	accepted, refused   func(*T)
}

func entries(n, bytesEach int) map[string]string {
	m := make(map[string]string, n)
	for i := range n {
		key := fmt.Sprintf("X-%02d", i)
		m[key] = strings.Repeat("x", bytesEach-len(key))
	}
	return m
}

func secrets(n int) []hooks.SigningSecret {
	list := make([]hooks.SigningSecret, n)
	for i := range list {
		list[i].Secret = hooks.NewSecret()
	}
	return list
}

func keyOf(prefix string, size int) hooks.Secret {
	return hooks.Secret(prefix + base64.StdEncoding.EncodeToString(make([]byte, size)))
}

func patterns(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("type.%d", i)
	}
	return list
}

func oneSecret(s hooks.Secret) func(*hooks.Hook) {
	return func(h *hooks.Hook) {
		h.Secrets = []hooks.SigningSecret{{Secret: hooks.NewSecret()}, {Secret: s}}
	}
}

func withURL(s string) func(*hooks.Hook)       { return func(h *hooks.Hook) { h.URL = s } }
func withFilter(s string) func(*hooks.Hook)    { return func(h *hooks.Hook) { h.Filter = s } }
func withEvents(s ...string) func(*hooks.Hook) { return func(h *hooks.Hook) { h.Events = s } }

func withHeader(name, value string) func(*hooks.Hook) {
	return func(h *hooks.Hook) { h.Headers = map[string]string{name: value} }
}

func withMetadata(key, value string) func(*hooks.Hook) {
	return func(h *hooks.Hook) { h.Metadata = map[string]string{key: value} }
}

func withSettings(p, s string) func(*hooks.Hook) {
	return func(h *hooks.Hook) { h.Protocol, h.Settings = p, json.RawMessage(s) }
}

func withSchedule(d ...time.Duration) func(*hooks.Hook) {
	return func(h *hooks.Hook) { h.Schedule = d }
}

func withRate(r float64) func(*hooks.Hook) { return func(h *hooks.Hook) { h.RateLimit = r } }

// text returns the rules of a field that holds text of limited size.
func text[T any](field string, limit int, set func(*T, string)) []rule[T] {
	return []rule[T]{
		{field, field, fmt.Sprintf("at most %d bytes", limit),
			func(v *T) { set(v, strings.Repeat("é", limit/2)) }, func(v *T) { set(v, strings.Repeat("é", limit/2)+"x") }},
		{field + " with NUL", field, "NUL", nil, func(v *T) { set(v, "a\x00") }},
		{field + " in Latin 1", field, "UTF-8", nil, func(v *T) { set(v, "caf\xe9") }},
	}
}

func hookRules() []rule[hooks.Hook] {
	const lenient, anyURL = "lenient", "any-url"
	week := 7 * 24 * time.Hour
	pad := func(n int) string { return strings.Repeat("x", n) }
	url, secretForm := "must be an absolute http or https URL", "must start with"
	rules := []rule[hooks.Hook]{
		{"ID", "id", "1 to 128", func(h *hooks.Hook) { h.ID = pad(128) }, func(h *hooks.Hook) { h.ID = pad(129) }},
		{"ID of letters", "id", "a-z, A-Z, 0-9", func(h *hooks.Hook) { h.ID = "-azAZ09_" }, func(h *hooks.Hook) { h.ID = "ä" }},
		{"ID without dots", "id", "characters", nil, func(h *hooks.Hook) { h.ID = "a.b" }},
		{"ID without slashes", "id", "characters", nil, func(h *hooks.Hook) { h.ID = "a/b" }},
		{"ID without spaces", "id", "characters", nil, func(h *hooks.Hook) { h.ID = " " }},

		{"no events", "events", "1 to 1000", nil, withEvents()},
		{"many events", "events", "1 to 1000", withEvents(patterns(1000)...), withEvents(patterns(1001)...)},
		{"a long event", "events[0]", "at most 256 bytes", withEvents(pad(256)), withEvents(pad(257))},
		{"an empty event", "events[1]", "not be empty", nil, withEvents("a", "")},
		{"an event twice", "events[2]", `"a.*" is there twice`, withEvents("a.*", "a", "*"), withEvents("a.*", "a", "a.*")},
		{"characters of events", "events[0]", "event type", withEvents("A-Z_0:>9.b"), withEvents("order paid")},
		{"dots of events", "events[0]", "separated by single dots", withEvents("a.b.c.*"), withEvents("a..b")},
		{"a star inside", "events[0]", "beginning of one", nil, withEvents("a.*.b")},
		{"a star after no dot", "events[0]", "beginning of one", nil, withEvents("order*")},
		{"a star after nothing", "events[0]", "beginning of one", nil, withEvents(".*")},

		{"a long filter", "filter", "at most 4096 bytes",
			withFilter(`type != "` + pad(4096-10) + `"`), withFilter(`type != "` + pad(4096-9) + `"`)},
		{"a broken filter", "filter", "is not an expression", withFilter("true"), withFilter("data.total >")},
		{"a filter of other names", "filter", "", withFilter("metadata.a == 'b'"), withFilter("secrets.a == 'b'")},
		{"a filter that gives a number", "filter", "true or false", nil, withFilter("1 * 1")},

		{"a long URL", "url", "at most 2048 bytes", withURL("https://example.com/" + pad(2028)), withURL("https://example.com/" + pad(2029))},
		{"no URL", "url", url, nil, withURL("")},
		{"a relative URL", "url", url, nil, withURL("/a")},
		{"a URL without a scheme", "url", url, nil, withURL("example.com/a")},
		{"another scheme", "url", url, withURL("HTTPS://EXAMPLE.com"), withURL("ftp://example.com/")},
		{"plain HTTP", "url", "https", nil, withURL("http://example.com/")},
		{"a URL without host", "url", "host", nil, withURL("https:///a")},
		{"userinfo", "url", "user name or password", nil, withURL("https://me:s3cr3t@example.com/")},
		{"a fragment", "url", "fragment", withURL("https://example.com/%23"), withURL("https://example.com/#a")},
		{"a space", "url", "spaces", withURL("https://example.com/a%20b"), withURL("https://example.com/a b")},
		{"a line feed", "url", "ASCII", nil, withURL("https://example.com/\n")},
		{"an umlaut", "url", "ASCII", withURL("https://xn--bcher-kva.example/"), withURL("https://bücher.example/")},
		{"a port", "url", "1 to 65535", withURL("https://example.com:65535/"), withURL("https://example.com:65536/")},
		{"port 0", "url", "1 to 65535", withURL("https://example.com:1024/"), withURL("https://example.com:0/")},
		{"a private address", "url", "10.0.0.1", withURL("https://93.184.215.14/"), withURL("https://10.0.0.1/")},
		{"a loopback address", "url", "::1", withURL("https://[2606:4700::1111]/"), withURL("https://[::1]/")},
		{"an odd address", "url", "IP address", nil, withURL("https://127.1/")},
		{"any URL to a private address", "url", "10.0.0.1",
			func(h *hooks.Hook) { h.Protocol, h.URL = anyURL, "not_work_url" },
			func(h *hooks.Hook) { h.Protocol, h.URL = anyURL, "https://10.0.0.1/" }},
		{"any URL, a long one", "url", "at most 2048 bytes",
			func(h *hooks.Hook) { h.Protocol, h.URL = anyURL, pad(2048) },
			func(h *hooks.Hook) { h.Protocol, h.URL = anyURL, pad(2049) }},
		{"any URL with NUL", "url", "", nil, func(h *hooks.Hook) { h.Protocol, h.URL = anyURL, "a\x00" }},
		{"any URL in Latin 1", "url", "", nil, func(h *hooks.Hook) { h.Protocol, h.URL = anyURL, "caf\xe9" }},

		{"method", "method", "POST", func(h *hooks.Hook) { h.Method = "POST" }, func(h *hooks.Hook) { h.Method = "PUT" }},

		{"many headers", "headers", "at most 50", func(h *hooks.Hook) { h.Headers = entries(50, 100) }, func(h *hooks.Hook) { h.Headers = entries(51, 100) }},
		{"large headers", "headers", "16384 bytes in all", withHeader("X", pad(16<<10-1)), withHeader("X", pad(16<<10))},
		{"header name", `headers["X Key"]`, "token", withHeader("!#$%&'*+-.^_`|~09azAZ", ""), withHeader("X Key", "1")},
		{"empty header name", `headers[""]`, "token", nil, withHeader("", "1")},
		{"header name with line feed", `headers["X-Key\n"]`, "token", nil, withHeader("X-Key\n", "1")},
		{"header value with line feed", `headers["X-Key"]`, "control characters", withHeader("X-Key", "a\tb é"), withHeader("X-Key", "1\nX-Other: 2")},
		{"header value with return", `headers["X-Key"]`, "control characters", nil, withHeader("X-Key", "1\r")},
		{"header value with NUL", `headers["X-Key"]`, "control characters", nil, withHeader("X-Key", "\x00")},
		{"header value with DEL", `headers["X-Key"]`, "control characters", nil, withHeader("X-Key", "\x7f")},

		{"no secret left", "secrets", "not be empty", nil, nil}, // for Update alone
		{"many secrets", "secrets", "at most 10", func(h *hooks.Hook) { h.Secrets = secrets(10) }, func(h *hooks.Hook) { h.Secrets = secrets(11) }},
		{"a secret without prefix", "secrets[1]", secretForm, nil, oneSecret("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")},
		{"an empty secret", "secrets[1]", secretForm, nil, oneSecret("")},
		{"a secret that is not base64", "secrets[1]", "base64", nil, oneSecret("whsec_not base64")},
		{"a short secret", "secrets[1]", "24 to 64 bytes", oneSecret(keyOf("whsec_", 24)), oneSecret(keyOf("whsec_", 23))},
		{"a long secret", "secrets[1]", "24 to 64 bytes", oneSecret(keyOf("whsec_", 64)), oneSecret(keyOf("whsec_", 65))},
		{"a short private key", "secrets[1]", "64 bytes, or its seed of 32", oneSecret(keyOf("whsk_", 32)), oneSecret(keyOf("whsk_", 31))},
		{"a private key of another public one", "secrets[1]", "belongs to its seed", nil, oneSecret(keyOf("whsk_", 64))},
		{"a public key", "secrets[1]", "public key", nil, oneSecret(keyOf("whpk_", 32))},

		{"many delays", "schedule", "at most 101", withSchedule(make([]time.Duration, 101)...), withSchedule(make([]time.Duration, 102)...)},
		{"a long delay", "schedule[1]", "0 to 168h", withSchedule(0, week), withSchedule(0, week+1)},
		{"a negative delay", "schedule[0]", "0 to 168h", nil, withSchedule(-1)},
		{"timeout", "timeout", "to 30s", func(h *hooks.Hook) { h.Timeout = 30 * time.Second }, func(h *hooks.Hook) { h.Timeout = 30*time.Second + 1 }},
		{"a negative timeout", "timeout", "", nil, func(h *hooks.Hook) { h.Timeout = -1 }},
		{"rate limit", "rateLimit", "1000000", withRate(1e6), withRate(1e6 + 1)},
		{"a small rate limit", "rateLimit", "0.0001", withRate(1e-4), withRate(0.99e-4)},
		{"a negative rate limit", "rateLimit", "0 (none)", nil, withRate(-1)},
		{"no rate limit at all", "rateLimit", "0 (none)", nil, withRate(math.NaN())},
		{"an endless rate limit", "rateLimit", "0 (none)", nil, withRate(math.Inf(1))},
		{"max in flight", "maxInFlight", "10000", func(h *hooks.Hook) { h.MaxInFlight = 10_000 }, func(h *hooks.Hook) { h.MaxInFlight = 10_001 }},
		{"max batch", "maxBatch", "must be at most 1 for", func(h *hooks.Hook) { h.MaxBatch = 1 }, func(h *hooks.Hook) { h.MaxBatch = 2 }},
		{"negative max batch", "maxBatch", "negative", nil, func(h *hooks.Hook) { h.MaxBatch = -1 }},
		{"batch window", "batchWindow", "at most 10s", func(h *hooks.Hook) { h.BatchWindow = 10 * time.Second }, func(h *hooks.Hook) { h.BatchWindow = 10*time.Second + 1 }},
		{"negative batch window", "batchWindow", "", nil, func(h *hooks.Hook) { h.BatchWindow = -1 }},
		{"negative max in flight", "maxInFlight", "", nil, func(h *hooks.Hook) { h.MaxInFlight = -1 }},

		{"protocol", "protocol", `"smoke signals"`, func(h *hooks.Hook) { h.Protocol = lenient }, func(h *hooks.Hook) { h.Protocol = "smoke signals" }},
		{"large settings", "settings", "at most 65536 bytes",
			withSettings(lenient, `"`+pad(64<<10-2)+`"`), withSettings(lenient, `"`+pad(64<<10-1)+`"`)},
		{"settings that are not JSON", "settings", "JSON", withSettings(lenient, " {}\n"), withSettings(lenient, "{")},
		{"settings in Latin 1", "settings", "UTF-8", nil, withSettings(lenient, "\"caf\xe9\"")},
		{"settings of the default protocol", "settings", "must be empty", withSettings("", "null"), withSettings("", `{"a":1}`)},
		{"the protocol's own rule", "settings", "must not be 13", withSettings(lenient, "12"), withSettings(lenient, "13")},

		{"much metadata", "metadata", "at most 50", func(h *hooks.Hook) { h.Metadata = entries(50, 100) }, func(h *hooks.Hook) { h.Metadata = entries(51, 100) }},
		{"large metadata", "metadata", "16384 bytes", withMetadata("a", pad(16<<10-1)), func(h *hooks.Hook) { h.Metadata = entries(2, 8<<10+1) }},
		{"metadata with NUL", `metadata["a"]`, "NUL", withMetadata("", "é\n"), withMetadata("a", "\x00")},
		{"metadata in Latin 1", `metadata["caf\xe9"]`, "UTF-8", nil, withMetadata("caf\xe9", "")},
		// "\xc3\xa9" is "é", but neither half is UTF-8.
		{"metadata with half a character", `metadata["\xc3"]`, "UTF-8", nil, withMetadata("\xc3", "\xa9")},
	}
	for _, name := range []string{
		"Connection", "connection", "Content-Length", "Host", "hOsT", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
		"Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "Expect", "HTTP2-Settings", "Proxy",
		"Transfer_Encoding", "transfer.encoding", "CONTENT_LENGTH", "Content~Length", "Http2_settings", "proxy_connection", "Keep|Alive",
	} {
		rules = append(rules, rule[hooks.Hook]{name, fmt.Sprintf("headers[%q]", name), "belongs to the connection", nil, withHeader(name, "1")})
	}
	for _, name := range []string{
		"webhook-id", "Webhook-Timestamp", "WEBHOOK-SIGNATURE", "Webhook_Id", "webhook_timestamp", "WEBHOOK.signature", "Content_Type", "user.agent",
	} {
		rules = append(rules, rule[hooks.Hook]{name, fmt.Sprintf("headers[%q]", name), "set by the protocol",
			func(h *hooks.Hook) { h.Protocol, h.Headers = lenient, map[string]string{name: "1"} }, withHeader(name, "1")})
	}
	rules = append(rules, text("tenant", 256, func(h *hooks.Hook, s string) { h.Tenant = s })...)
	rules = append(rules, text("name", 1024, func(h *hooks.Hook, s string) { h.Name = s })...)
	rules = append(rules, text("description", 4096, func(h *hooks.Hook, s string) { h.Description = s })...)
	rules = append(rules, text("disabledReason", 4096, func(h *hooks.Hook, s string) { h.Disabled, h.DisabledReason = true, s })...)
	return rules
}

// strictHarness has a Manager with the default policy whose store is spied on.
func strictHarness(t testing.TB, adjust ...func(*hooks.Config)) (*harness, *spyStore) {
	h := newHarness(t)
	spy := &spyStore{Store: h.store}
	lenient := &testProtocol{name: "lenient", compile: func(h hooks.Hook) error {
		if string(h.Settings) == "13" {
			return &hooks.InvalidError{Field: "settings", Reason: "must not be 13"}
		}
		return nil
	}}
	anyURL := &testProtocol{name: "any-url", traits: hooks.Traits{AnyURL: true}}
	adjust = append([]func(*hooks.Config){speaks(lenient, anyURL), func(c *hooks.Config) { c.AllowHTTP = false }}, adjust...)
	h.Manager = h.manager(spy, adjust...)
	return h, spy
}

func TestRegisterRefusesBadHooks(t *testing.T) {
	for _, tt := range hookRules() {
		if tt.refused == nil {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			h, spy := strictHarness(t)
			good := hooks.Hook{URL: "https://example.com/", Events: []string{"*"}}
			bad := good
			tt.refused(&bad)
			_, err := h.Register(t.Context(), bad)
			refused(t, err, tt.field, tt.reason)
			_, err = h.Test(t.Context(), bad, hooks.Event{Type: "a"})
			refused(t, err, tt.field, tt.reason)
			assert.Zero(t, spy.writes(), "something was stored")
			page, err := h.Hooks(t.Context(), hooks.HookQuery{Tenant: bad.Tenant})
			require.NoError(t, err)
			assert.Empty(t, page.Items)

			if tt.accepted != nil {
				tt.accepted(&good)
				got, err := h.Register(t.Context(), good)
				require.NoError(t, err)
				assert.Equal(t, got, h.hook(got.Ref()))
			}
		})
	}
}

func TestUpdateRefusesBadHooks(t *testing.T) {
	for _, tt := range hookRules() {
		if tt.field == "id" || tt.field == "tenant" {
			continue // they never change
		}
		if tt.name == "no secret left" {
			tt.refused = func(h *hooks.Hook) { h.Secrets = nil }
		}
		t.Run(tt.name, func(t *testing.T) {
			h, spy := strictHarness(t)
			old := h.register(hooks.Hook{URL: "https://example.com/", Events: []string{"*"}})
			writes := spy.writes()
			_, err := h.Update(t.Context(), "", old.ID, func(hook *hooks.Hook) error {
				tt.refused(hook)
				return nil
			})
			refused(t, err, tt.field, tt.reason)
			assert.Equal(t, writes, spy.writes(), "something was stored")
			assert.Equal(t, old, h.hook(old.Ref()))
			if tt.accepted != nil {
				got := h.update(old.Ref(), tt.accepted)
				assert.Equal(t, got, h.hook(old.Ref()))
			}
		})
	}
}

func TestUpdateRefusesAnotherIDOrTenant(t *testing.T) {
	h, spy := strictHarness(t)
	old := h.register(hooks.Hook{URL: "https://example.com/", Events: []string{"*"}})
	for field, change := range map[string]func(*hooks.Hook){
		"id":     func(h *hooks.Hook) { h.ID += "x" },
		"tenant": func(h *hooks.Hook) { h.Tenant = "acme" },
	} {
		writes := spy.writes()
		_, err := h.Update(t.Context(), "", old.ID, func(hook *hooks.Hook) error {
			change(hook)
			return nil
		})
		refused(t, err, field, "cannot be changed")
		assert.Equal(t, writes, spy.writes(), "something was stored")
		assert.Equal(t, old, h.hook(old.Ref()))
	}
}

func TestHeadersAreRefusedTwice(t *testing.T) {
	for _, other := range []string{"x-key", "X_Key", "x.key", "X|KEY"} {
		h, spy := strictHarness(t)
		_, err := h.Register(t.Context(), hooks.Hook{
			URL: "https://example.com/", Events: []string{"*"}, Headers: map[string]string{"X-Key": "1", other: "2"},
		})
		var invalid *hooks.InvalidError
		require.ErrorAs(t, err, &invalid)
		assert.Contains(t, []string{`headers["X-Key"]`, fmt.Sprintf("headers[%q]", other)}, invalid.Field)
		assert.Contains(t, invalid.Reason, "twice")
		assert.Zero(t, spy.writes())
	}
	h, _ := strictHarness(t)
	h.register(hooks.Hook{URL: "https://example.com/", Events: []string{"*"}, Headers: map[string]string{
		"X-Key": "1", "XKey": "2", "X-Key-": "3", "Content-Type": "text/plain", "user-agent": "x", "Webhook-Identity": "4", "X_Other": "5", "Proxy-Way": "6",
	}})
}

func TestAllowNetworksLetsHooksIn(t *testing.T) {
	hook := hooks.Hook{URL: "https://10.1.2.3/", Events: []string{"*"}}
	for _, networks := range [][]string{{"10.0.0.0/8"}, {"10.1.2.3"}, {"fd00::/8", "::ffff:10.1.2.0/120"}} {
		h, _ := strictHarness(t, func(c *hooks.Config) { c.AllowNetworks = networks })
		h.register(hook)
	}
	h, _ := strictHarness(t, func(c *hooks.Config) { c.AllowNetworks = []string{"10.2.0.0/16"} })
	_, err := h.Register(t.Context(), hook)
	refused(t, err, "url", "10.1.2.3")

	h, _ = strictHarness(t, func(c *hooks.Config) { c.AllowHTTP = true })
	h.register(hooks.Hook{URL: "http://example.com/", Events: []string{"*"}})
}

func eventRules() []rule[hooks.Event] {
	pad := func(n int) string { return strings.Repeat("x", n) }
	data := func(s string) func(*hooks.Event) {
		return func(e *hooks.Event) { e.Data = json.RawMessage(s) }
	}
	at := func(t time.Time) func(*hooks.Event) { return func(e *hooks.Event) { e.Time = t } }
	typed := func(s string) func(*hooks.Event) { return func(e *hooks.Event) { e.Type = s } }
	metadata := func(m map[string]string) func(*hooks.Event) { return func(e *hooks.Event) { e.Metadata = m } }
	rules := []rule[hooks.Event]{
		{"ID", "id", "1 to 128", func(e *hooks.Event) { e.ID = pad(128) }, func(e *hooks.Event) { e.ID = pad(129) }},
		{"ID of letters", "id", "a-z, A-Z, 0-9", func(e *hooks.Event) { e.ID = "-azAZ09_" }, func(e *hooks.Event) { e.ID = "a.b" }},
		{"ID with line feed", "id", "characters", nil, func(e *hooks.Event) { e.ID = "a\n" }},

		{"no type", "type", "not be empty", nil, typed("")},
		{"a long type", "type", "at most 256 bytes", typed(pad(256)), typed(pad(257))},
		{"characters of types", "type", "segments of", typed("A-Z_0:>9.b"), typed("a b")},
		{"a type that is a pattern", "type", "segments of", nil, typed("order.*")},
		{"a type that ends in a dot", "type", "separated by single dots", nil, typed("order.")},
		{"a type in Latin 1", "type", "segments of", nil, typed("caf\xe9")},

		{"large data", "data", "the limit is 1000", data(`"` + pad(998) + `"`), data(`"` + pad(999) + `"`)},
		{"data that is not JSON", "data", "JSON", data(" null\n"), data("nul")},
		{"two values", "data", "JSON", data("[1,2]"), data("1 2")},
		{"no value", "data", "JSON", data(""), data(" ")},
		{"data in Latin 1", "data", "UTF-8", data(`"café"`), data("\"caf\xe9\"")},

		{"late", "time", "years 1 to 9999", at(time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC)), at(time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC))},
		{"late in UTC", "time", "years 1 to 9999", nil, at(time.Date(9999, 12, 31, 23, 59, 0, 0, time.FixedZone("", -3600)))},
		{"early", "time", "years 1 to 9999", at(time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC)), at(time.Date(0, 12, 31, 23, 59, 59, 0, time.UTC))},

		{"much metadata", "metadata", "at most 50", metadata(entries(50, 100)), metadata(entries(51, 100))},
		{"large metadata", "metadata", "16384 bytes", metadata(map[string]string{"a": pad(16<<10 - 1)}), metadata(entries(2, 8<<10+1))},
		{"metadata with NUL", `metadata["a\x00"]`, "NUL", nil, metadata(map[string]string{"a\x00": ""})},
		{"metadata in Latin 1", `metadata["a"]`, "UTF-8", nil, metadata(map[string]string{"a": "caf\xe9"})},
		{"metadata with half a character", `metadata["\xc3"]`, "UTF-8", nil, metadata(map[string]string{"\xc3": "\xa9"})},
	}
	rules = append(rules, text("tenant", 256, func(e *hooks.Event, s string) { e.Tenant = s })...)
	return append(rules, text("orderingKey", 256, func(e *hooks.Event, s string) { e.OrderingKey = s })...)
}

func TestTriggerRefusesBadEvents(t *testing.T) {
	for _, tt := range eventRules() {
		t.Run(tt.name, func(t *testing.T) {
			h, spy := strictHarness(t, func(c *hooks.Config) { c.MaxPayload = 1000 })
			hook := h.register(hooks.Hook{URL: "https://example.com/", Events: []string{"*"}})
			good := hooks.Event{ID: "good", Type: "a"}
			bad := hooks.Event{ID: "bad", Type: "a"}
			tt.refused(&bad)
			writes := spy.writes()
			_, err := h.Trigger(t.Context(), bad)
			refused(t, err, tt.field, tt.reason)
			_, err = h.TriggerBatch(t.Context(), bad)
			refused(t, err, tt.field, tt.reason)
			_, err = h.TriggerBatch(t.Context(), good, good, bad)
			refused(t, err, "events[2]."+tt.field, tt.reason)
			tx := h.store.Begin()
			_, err = h.TriggerTx(t.Context(), tx, bad, good)
			refused(t, err, "events[0]."+tt.field, tt.reason)
			require.NoError(t, tx.Commit())
			if tt.field != "tenant" { // it is the hook's in a test
				_, err = h.Test(t.Context(), hook, bad)
				refused(t, err, tt.field, tt.reason)
			}
			assert.Equal(t, writes, spy.writes(), "something was stored")
			assert.Empty(t, h.deliveries(hooks.LogQuery{}))
			for _, e := range []hooks.Event{good, bad} {
				_, err = h.Event(t.Context(), e.Tenant, e.ID)
				assert.ErrorIs(t, err, hooks.ErrNotFound)
			}

			if tt.accepted != nil {
				tt.accepted(&good)
				receipt := h.trigger(good)
				got, err := h.Event(t.Context(), good.Tenant, receipt.EventID)
				require.NoError(t, err)
				if len(good.Data) > 0 {
					assert.Equal(t, good.Data, got.Data)
				}
				if !good.Time.IsZero() {
					assert.Equal(t, good.Time.Truncate(time.Millisecond), got.Time)
				}
				assert.Equal(t, good.Type, got.Type)
				assert.Equal(t, good.OrderingKey, got.OrderingKey)
				assert.Equal(t, good.Metadata, got.Metadata)
			}
		})
	}
}

func TestTestSaysWhichEventIsBad(t *testing.T) {
	h, _ := strictHarness(t)
	hook := h.register(hooks.Hook{URL: "https://example.com/", Events: []string{"*"}})
	_, err := h.Test(t.Context(), hook, hooks.Event{Type: "a"}, hooks.Event{ID: "not an ID", Type: "a"})
	refused(t, err, "events[1].id", "characters")
}

func TestTheDefaultPayload(t *testing.T) {
	h, _ := strictHarness(t)
	data := []byte(`"` + strings.Repeat("x", 256<<10-2) + `"`)
	h.trigger(hooks.Event{Type: "a", Data: data})
	_, err := h.Trigger(t.Context(), hooks.Event{Type: "a", Data: append(data, ' ')})
	refused(t, err, "data", "262144")
}

func TestRotateSecretRefusesBadSecrets(t *testing.T) {
	h, spy := strictHarness(t)
	hook := h.register(hooks.Hook{URL: "https://example.com/", Events: []string{"*"}, Secrets: secrets(9)})
	for _, tt := range []struct {
		secret hooks.Secret
		rule   string
	}{
		{"n0thing", "must start with"},
		{keyOf("whsec_", 23), "24 to 64 bytes"},
		{keyOf("whpk_", 32), "must not be a public key"},
		{"whsec_" + "\n", "24 to 64 bytes"},
	} {
		writes := spy.writes()
		_, err := h.RotateSecret(t.Context(), "", hook.ID, hooks.Rotation{Secret: tt.secret})
		refused(t, err, "secrets[0]", tt.rule)
		assert.NotContains(t, err.Error(), string(tt.secret))
		assert.Equal(t, writes, spy.writes(), "something was stored")
	}
	assert.Equal(t, hook, h.hook(hook.Ref()))

	hook, err := h.RotateSecret(t.Context(), "", hook.ID, hooks.Rotation{Secret: keyOf("whsec_", 24)})
	require.NoError(t, err)
	writes := spy.writes()
	_, err = h.RotateSecret(t.Context(), "", hook.ID, hooks.Rotation{})
	refused(t, err, "secrets", "at most 10")
	assert.Equal(t, writes, spy.writes(), "something was stored")
	assert.Equal(t, hook, h.hook(hook.Ref()))
}

// What is refused before it is stored is not sent either.
func TestRefusedInputReachesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := runningHarness(t)
		r, hook := h.endpoint(hooks.Hook{Events: []string{"*"}})
		_, err := h.Test(t.Context(), hook, hooks.Event{Type: "a"}, hooks.Event{Type: "not a type"})
		require.Error(t, err)
		_, err = h.TriggerBatch(t.Context(), hooks.Event{ID: "e", Type: "a"}, hooks.Event{Type: "not a type"})
		require.Error(t, err)
		h.trigger(hooks.Event{ID: "good", Type: "a"})
		pass(time.Minute)
		assert.Equal(t, []string{"good"}, receivedIDs(r))
	})
}

func TestTheHintOfAnInvalidErrorIsInItsText(t *testing.T) {
	invalid := &hooks.InvalidError{Field: "url", Reason: "must be https"}
	assert.Equal(t, "invalid url: must be https", invalid.Error())
	invalid.Hint = "Config.AllowHTTP permits http"
	assert.Equal(t, "invalid url: must be https (Config.AllowHTTP permits http)", invalid.Error())
}
