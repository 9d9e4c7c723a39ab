package hooks_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/memory"
)

func TestCatalogue(t *testing.T) {
	catalogue := []hooks.EventType{
		{Name: "order.paid", Description: "An order was paid.", Example: json.RawMessage(`{"total":1}`)},
		{Name: "order.sent"}, {Name: "ping"},
	}
	want := slices.Clone(catalogue)
	want[0].Example = bytes.Clone(want[0].Example)
	h := newHarness(t, func(c *hooks.Config) { c.Catalogue = catalogue })
	catalogue[0].Name = "changed"
	catalogue[0].Example[0] = '['
	assert.Equal(t, want, h.EventTypes(), "New copies its configuration")
	h.EventTypes()[0].Name = "changed"
	h.EventTypes()[0].Example[0] = '['
	assert.Equal(t, want, h.EventTypes())
	assert.Empty(t, newHarness(t).EventTypes())

	hook := hooks.Hook{URL: "https://example.com", Events: []string{"order.paid", "order.*", "refund.*", "*"}}
	h.register(hook)
	var invalid *hooks.InvalidError
	hook.Events[2] = "refund.paid"
	_, err := h.Register(t.Context(), hook)
	require.ErrorAs(t, err, &invalid)
	assert.Equal(t, "events[2]", invalid.Field)
	assert.Contains(t, invalid.Reason, `"refund.paid" is not in the catalogue`)

	h.trigger(hooks.Event{Type: "ping"})
	_, err = h.Trigger(t.Context(), hooks.Event{ID: "e", Type: "order.piad"})
	require.ErrorAs(t, err, &invalid)
	assert.Equal(t, "type", invalid.Field)
	assert.Contains(t, invalid.Reason, `"order.piad" is not in the catalogue`)
	_, err = h.Test(t.Context(), hook, hooks.Event{Type: "order.paid"}, hooks.Event{Type: "order.piad"})
	require.ErrorAs(t, err, &invalid)
	_, err = h.Event(t.Context(), "", "e")
	require.ErrorIs(t, err, hooks.ErrNotFound)
}

// odd is a protocol with exactly these traits.
type odd struct {
	*testProtocol
	traits hooks.Traits
}

func (p odd) Traits() hooks.Traits { return p.traits }

func TestNewRefusesBadConfigs(t *testing.T) {
	good := hooks.Traits{Schedule: []time.Duration{0}, Timeout: 30 * time.Second}
	protocol := func(name string, traits hooks.Traits) hooks.Protocol { return odd{&testProtocol{name: name}, traits} }
	spoken := speaks
	networks := func(list ...string) func(*hooks.Config) {
		return func(c *hooks.Config) { c.AllowNetworks = list }
	}
	hosts := func(list ...string) func(*hooks.Config) { return func(c *hooks.Config) { c.AllowHosts = list } }
	agent := func(s string) func(*hooks.Config) { return func(c *hooks.Config) { c.UserAgent = s } }
	types := func(names ...string) func(*hooks.Config) {
		return func(c *hooks.Config) {
			for _, name := range names {
				c.Catalogue = append(c.Catalogue, hooks.EventType{Name: name})
			}
		}
	}
	schedule := func(s ...time.Duration) func(*hooks.Config) { return func(c *hooks.Config) { c.Schedule = s } }
	timeout := func(d time.Duration) func(*hooks.Config) { return func(c *hooks.Config) { c.Timeout = d } }
	example := func(s string) func(*hooks.Config) {
		return func(c *hooks.Config) { c.Catalogue = []hooks.EventType{{Name: "a", Example: json.RawMessage(s)}} }
	}
	limited := func(f func(*hooks.Config), payload int) func(*hooks.Config) {
		return func(c *hooks.Config) {
			f(c)
			c.MaxPayload = payload
		}
	}
	rules := []rule[hooks.Config]{
		{"max in flight", "config.maxInFlight", "1 to 10000", func(c *hooks.Config) { c.MaxInFlight = 10_000 }, func(c *hooks.Config) { c.MaxInFlight = 10_001 }},
		{"negative max in flight", "config.maxInFlight", "1 to 10000", func(c *hooks.Config) { c.MaxInFlight = 1 }, func(c *hooks.Config) { c.MaxInFlight = -1 }},
		{"max in flight per hook", "config.maxInFlightPerHook", "1 to 10000", func(c *hooks.Config) { c.MaxInFlightPerHook = 10_000 }, func(c *hooks.Config) { c.MaxInFlightPerHook = 10_001 }},
		{"negative max in flight per hook", "config.maxInFlightPerHook", "1 to 10000", func(c *hooks.Config) { c.MaxInFlightPerHook = 1 }, func(c *hooks.Config) { c.MaxInFlightPerHook = -1 }},
		{"max payload", "config.maxPayload", "16777216", func(c *hooks.Config) { c.MaxPayload = 16 << 20 }, func(c *hooks.Config) { c.MaxPayload = 16<<20 + 1 }},
		{"negative max payload", "config.maxPayload", "1 to", func(c *hooks.Config) { c.MaxPayload = 1 }, func(c *hooks.Config) { c.MaxPayload = -1 }},
		{"negative max log per hook", "config.maxLogPerHook", "negative", func(c *hooks.Config) { c.MaxLogPerHook = 1 }, func(c *hooks.Config) { c.MaxLogPerHook = -1 }},
		{"max response", "config.maxResponse", "1048576", func(c *hooks.Config) { c.MaxResponse = 1 << 20 }, func(c *hooks.Config) { c.MaxResponse = 1<<20 + 1 }},
		{"a short lease", "config.lease", "1s to 1h", func(c *hooks.Config) { c.Lease = time.Second }, func(c *hooks.Config) { c.Lease = time.Second - 1 }},
		{"a long lease", "config.lease", "1s to 1h", func(c *hooks.Config) { c.Lease = time.Hour }, func(c *hooks.Config) { c.Lease = time.Hour + 1 }},
		{"a negative lease", "config.lease", "1s to 1h", nil, func(c *hooks.Config) { c.Lease = -time.Second }},
		{"a short poll interval", "config.pollInterval", "1ms to 1m", func(c *hooks.Config) { c.PollInterval = time.Millisecond }, func(c *hooks.Config) { c.PollInterval = time.Millisecond - 1 }},
		{"a long poll interval", "config.pollInterval", "1ms to 1m", func(c *hooks.Config) { c.PollInterval = time.Minute }, func(c *hooks.Config) { c.PollInterval = time.Minute + 1 }},
		{"user agent", "config.userAgent", "printable ASCII", agent("shop/1.0 (+https://example.com) ~"), agent("shop\r\nX-Other: 1")},
		{"user agent beyond ASCII", "config.userAgent", "printable ASCII", nil, agent("café")},

		{"a long schedule", "config.schedule", "at most 101", schedule(make([]time.Duration, 101)...), schedule(make([]time.Duration, 102)...)},
		{"a long delay", "config.schedule[1]", "0 to 168h", schedule(0, 7*24*time.Hour), schedule(0, 7*24*time.Hour+1)},
		{"a negative delay", "config.schedule[0]", "0 to 168h", schedule(0), schedule(-1)},
		{"a long timeout", "config.timeout", "to 30s", timeout(30 * time.Second), timeout(30*time.Second + 1)},
		{"a negative timeout", "config.timeout", "to 30s", timeout(1), timeout(-1)},

		{"a port that is none", "config.allowPorts[1]", "1 to 65535", func(c *hooks.Config) { c.AllowPorts = []int{1, 65535} }, func(c *hooks.Config) { c.AllowPorts = []int{25, 65536} }},
		{"a negative port", "config.allowPorts[0]", "1 to 65535", nil, func(c *hooks.Config) { c.AllowPorts = []int{-1} }},
		{"a host that is none", "config.allowHosts[2]", "host name", hosts("example.com", "*.example.com", "10.0.0.1", "::1"), hosts("example.com", "*.example.com", "*")},
		{"a host with a port", "config.allowHosts[0]", "host name", nil, hosts("example.com:443")},
		{"a network that is none", "config.allowNetworks[1]", "CIDR", networks("10.0.0.0/8", "fd00::/8", "192.168.1.1", "::1"), networks("10.0.0.0/8", "intranet")},
		{"a network with more bits", "config.allowNetworks[0]", "10.1.0.0/16", networks("10.1.0.0/16"), networks("10.1.2.3/16")},
		{"an empty network", "config.allowNetworks[0]", "CIDR", nil, networks("")},
		{"a network with a zone", "config.allowNetworks[0]", "CIDR", nil, networks("fe80::1%eth0")},

		{"a protocol that is nil", "config.protocols[0]", "name", nil, spoken(nil)},
		{"a nil pointer to a protocol", "config.protocols[0]", "name", nil, spoken((*testProtocol)(nil))},
		{"a protocol without name", "config.protocols[1]", "name", spoken(protocol("a", good), protocol("b", good)), spoken(protocol("a", good), protocol("", good))},
		{"the default protocol again", "config.protocols[0]", "name of its own", nil, spoken(protocol(hooks.StandardWebhooks, good))},
		{"a protocol twice", "config.protocols[1]", `"a" is there twice`, nil, spoken(protocol("a", good), protocol("a", good))},
		{"a protocol without schedule", "config.protocols[0]", "schedule", nil, spoken(protocol("a", hooks.Traits{Timeout: time.Second}))},
		{"a protocol without timeout", "config.protocols[0]", "timeout", nil, spoken(protocol("a", hooks.Traits{Schedule: good.Schedule}))},
		{"a protocol with a long timeout", "config.protocols[0]", "30s", spoken(protocol("a", good)), spoken(protocol("a", hooks.Traits{Schedule: good.Schedule, Timeout: 30*time.Second + 1}))},
		{"a protocol with a negative delay", "config.protocols[0].schedule[1]", "0 to", spoken(protocol("a", good)), spoken(protocol("a", hooks.Traits{Schedule: hooks.Retries(-1), Timeout: good.Timeout}))},
		{"a protocol with a long schedule", "config.protocols[0].schedule", "101", spoken(protocol("a", hooks.Traits{Schedule: make([]time.Duration, 101), Timeout: good.Timeout})), spoken(protocol("a", hooks.Traits{Schedule: make([]time.Duration, 102), Timeout: good.Timeout}))},

		{"a type in the catalogue", "config.catalogue[1].name", "segments of", types("order.paid", "a"), types("order.paid", "order.*")},
		{"a long catalogue", "config.catalogue", "at most 10000", types(numbered("a", 10_000)...), types(numbered("a", 10_001)...)},
		{"an empty type in the catalogue", "config.catalogue[0].name", "not be empty", nil, types("")},
		{"a type twice in the catalogue", "config.catalogue[2].name", `"a" is there twice`, types("a", "b"), types("a", "b", "a")},
		{"an example that is no JSON", "config.catalogue[0].example", "JSON", example(` [1, {"a": null}] `), example(`{"a": 1,}`)},
		{"an example in two parts", "config.catalogue[0].example", "JSON", example("0"), example("0 0")},
		{"an example that is not UTF-8", "config.catalogue[0].example", "UTF-8", example(`"\u00e9"`), example("\"\xe9\"")},
		{"an example of spaces", "config.catalogue[0].example", "JSON", example(""), example("  ")},
		{"a long example", "config.catalogue[0].example", "has 262145 bytes, the limit is 262144", example(strings.Repeat("1", 256<<10)), example(strings.Repeat("1", 256<<10+1))},
		{"an example longer than a payload", "config.catalogue[0].example", "the limit is 4", limited(example("1234"), 4), limited(example("12345"), 4)},
		{"a long type in the catalogue", "config.catalogue[0].name", "256", types(strings.Repeat("x", 256)), types(strings.Repeat("x", 257))},
	}
	for _, tt := range rules {
		t.Run(tt.name, func(t *testing.T) {
			store := memory.New(memory.Options{})
			var bad, good hooks.Config
			tt.refused(&bad)
			_, err := hooks.New(store, bad)
			refused(t, err, tt.field, tt.reason)
			if tt.accepted != nil {
				tt.accepted(&good)
				_, err := hooks.New(store, good)
				assert.NoError(t, err)
			}
		})
	}
	for _, store := range []hooks.Store{nil, (*memory.Store)(nil)} {
		_, err := hooks.New(store, hooks.Config{})
		refused(t, err, "store", "must not be nil")
	}
	_, err := hooks.New(memory.New(memory.Options{}), hooks.Config{Grace: -1, DisableAfter: -1, Retention: -1})
	assert.NoError(t, err, "negative means never or not at all")
}
