package hooks_test

import (
	"context"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
)

// The rule is for the owner of the hook, and the hint for the operator.
func TestWhatCanBeAllowedIsAHint(t *testing.T) {
	for _, tt := range []struct{ url, rule, hint string }{
		{"https://10.1.2.3/", "must not lead to 10.1.2.3, which is not a public address", "Config.AllowNetworks can allow it"},
		{"https://example.com:25/", "must not have the port 25, which belongs to another protocol", "Config.AllowPorts can allow it"},
		{"https://example.org/", "must have a host that requests may go to", "Config.AllowHosts can allow it"},
		{"http://example.com/", "must be https", "Config.AllowHTTP can allow http"},
		{"https://example.com:0/", "must have a port of 1 to 65535, or none and no colon before it", ""},
	} {
		h, spy := strictHarness(t, func(c *hooks.Config) { c.AllowHosts = []string{"example.com", "10.1.2.3"} })
		for _, protocol := range []string{"", "any-url"} {
			if protocol != "" && (tt.hint == "" || strings.HasPrefix(tt.url, "http:")) {
				continue // Such a protocol stores it, and the deliveries fail.
			}
			_, err := h.Register(t.Context(), hooks.Hook{URL: tt.url, Events: []string{"*"}, Protocol: protocol})
			want := &hooks.InvalidError{Field: "url", Reason: tt.rule, Hint: tt.hint}
			assert.Equal(t, want, err)
			assert.NotContains(t, want.Reason, "Config.")
			if tt.hint != "" {
				assert.EqualError(t, err, "invalid url: "+tt.rule+" ("+tt.hint+")")
			}
		}
		assert.Zero(t, spy.writes())
	}
}

// Ports and host names are looked at for each request, whoever makes it, with a
// dialer of the application's as well.
func TestPortsAndHostsOfEachRequest(t *testing.T) {
	loginAt := func(u string) *testProtocol {
		return &testProtocol{name: "logging-in", request: func(ctx context.Context, send hooks.Send, h hooks.Hook, _ []hooks.Message) (hooks.Request, error) {
			login, _ := url.Parse(u)
			if res := send(ctx, hooks.Request{URL: login}); res.Err != nil {
				return hooks.Request{}, res.Err
			}
			own, err := url.Parse(h.URL)
			return hooks.Request{URL: own}, err
		}}
	}
	for name, tt := range map[string]struct {
		url, login string
		change     func(*hooks.Config)
		says, hint string // Empty: it is delivered.
	}{
		"all":                 {"http://shop.example", "", func(*hooks.Config) {}, "", ""},
		"the host":            {"http://shop.example", "", func(c *hooks.Config) { c.AllowHosts = []string{"other.example"} }, "the host is not one that it allows", "Config.AllowHosts"},
		"a host that is":      {"http://shop.example", "", func(c *hooks.Config) { c.AllowHosts = []string{"*.example"} }, "", ""},
		"the port":            {"http://shop.example:6667", "", func(*hooks.Config) {}, "the port belongs to another protocol", "Config.AllowPorts"},
		"a port that is":      {"http://shop.example:25", "", func(c *hooks.Config) { c.AllowPorts = []int{25} }, "", ""},
		"the port of a login": {"http://shop.example", "http://shop.example:22", func(*hooks.Config) {}, "the port belongs to another protocol", "Config.AllowPorts"},
		"no TLS":              {"http://shop.example", "", func(c *hooks.Config) { c.AllowHTTP = false }, "http has no TLS", "Config.AllowHTTP"},
		"the host of a login": {"http://shop.example", "http://login.example", func(c *hooks.Config) { c.AllowHosts = []string{"shop.example"} }, "the host is not one that it allows", "Config.AllowHosts"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t, func(c *hooks.Config) { c.AllowPorts = []int{25, 6667} }, speaks(loginAt(tt.login)))
				r := h.network.Receiver(t, "shop.example")
				login := h.network.Receiver(t, "login.example")
				hook := hooks.Hook{URL: tt.url, Events: []string{"*"}}
				if tt.login != "" {
					hook.Protocol = "logging-in"
				}
				h.register(hook)
				var told lockedBuffer
				m := h.manager(h.store, speaks(loginAt(tt.login)), func(c *hooks.Config) { c.Logger = slog.New(slog.NewTextHandler(&told, nil)) }, tt.change)
				h.run(m)
				_, err := m.Trigger(t.Context(), hooks.Event{Type: "a"})
				require.NoError(t, err)
				synctest.Wait()
				a := onlyAttempt(t, m)
				if tt.says == "" {
					assert.Equal(t, hooks.Succeeded, a.State, a.Error)
					assert.Len(t, r.Requests(), 1)
					return
				}
				assert.Equal(t, hooks.ClassForbidden, a.Class)
				assert.Equal(t, "the egress policy forbids it: "+tt.says, a.Error)
				assert.Empty(t, r.Requests())
				assert.Empty(t, login.Requests())
				assert.Equal(t, 1, strings.Count(told.String(), tt.hint+" can allow "), "%s", &told)
			})
		})
	}
}
