package httpadapter_test

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/logto"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/okta"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/webitel"
)

// What the application adds with Config.Decorate is sent and logged with the protocol of
// each system, and changes nothing else.
func TestDecoratedDeliveries(t *testing.T) {
	tests := map[string]hooks.Hook{
		logto.Name:   {},
		okta.Name:    {Verified: true},
		webitel.Name: {Method: http.MethodPost},
	}
	for name, hook := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				decorate := func(e *hooks.Event, h http.Header) {
					h.Set("traceparent", "00-"+e.ID)
					for _, name := range []string{"Content-Type", "X-Key", "logto-signature-sha-256", "Host"} {
						h.Set(name, "forged")
					}
				}
				speak := func(c *hooks.Config) {
					c.Protocols = []hooks.Protocol{&logto.Protocol{}, &okta.Protocol{}, &webitel.Protocol{}}
				}
				harness := hookstest.New(t, speak, func(c *hooks.Config) { c.Decorate = decorate })
				hook.Protocol, hook.Events, hook.Headers = name, []string{"*"}, map[string]string{"X-Key": "s3cr3t"}
				e := harness.EndpointFor(hook)
				_, err := harness.Manager.Trigger(t.Context(), hooks.Event{ID: "e", Type: "order.paid", Data: []byte(`{"x":1}`)})
				require.NoError(t, err)
				got := e.Next()
				assert.Equal(t, []string{"00-e"}, got.Header["Traceparent"])
				assert.Equal(t, []string{"s3cr3t"}, got.Header["X-Key"])
				assert.Contains(t, got.Header.Get("Content-Type"), "application/json")
				if name == logto.Name {
					assert.NotEqual(t, "forged", got.Header.Get("logto-signature-sha-256"))
				}
				e.Settle()
				page, err := harness.Manager.Logs(t.Context(), hooks.LogQuery{})
				require.NoError(t, err)
				require.Len(t, page.Items, 1)
				logged := page.Items[0].Request.Header
				assert.Equal(t, []string{"00-e"}, logged["Traceparent"])
				assert.NotContains(t, fmt.Sprint(logged), "s3cr3t")

				plain := hookstest.Over(t, harness.Store, speak, func(c *hooks.Config) { c.Dial = harness.Network.Dial })
				attempts, err := plain.Manager.Test(t.Context(), e.Hook, hooks.Event{Type: "order.paid", Data: []byte(`{"x":1}`)})
				require.NoError(t, err)
				delete(logged, "Traceparent")
				if name != logto.Name {
					delete(logged, "Logto-Signature-Sha-256") // which is nothing special to the others
				}
				assert.Equal(t, attempts[0].Request.Header, logged, "the rest is logged as ever")
			})
		})
	}
}
