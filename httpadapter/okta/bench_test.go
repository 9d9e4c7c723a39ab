package okta_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/okta"
)

// BenchmarkDelivery does what a delivery costs beside the network: it evaluates
// the filter and makes the request, for an event that each of the endpoints gets,
// for one event after another, and for a hundred in one request.
func BenchmarkDelivery(b *testing.B) {
	endpoint, err := new(okta.Protocol).Compile(hooks.Hook{
		ID: "hook", URL: "https://example.com/webhooks", Secrets: []hooks.SigningSecret{{Secret: "s"}},
		Settings: []byte(`{"authHeader":"Authorization","filters":[{"event":"user.create","expression":"event.target.?[type eq 'User' && displayName eq 'Ada'].size() > 0"}]}`),
	})
	require.NoError(b, err)
	messages := make([]hooks.Message, 100)
	for i := range messages {
		messages[i] = hooks.Message{DeliveryID: fmt.Sprintf("delivery-%d", i), Now: time.Now(), Event: &hooks.Event{
			ID: fmt.Sprintf("event-%d", i), Type: "user.create", Time: time.Now(),
			Data: []byte(`{"actor":{"id":"00u1","type":"User"},"outcome":{"result":"SUCCESS"},"target":[{"id":"00u2","type":"User","displayName":"Ada"}]}`),
		}}
	}
	for _, c := range []struct {
		name  string
		batch func(i int) []hooks.Message
	}{
		{"FanOut", func(int) []hooks.Message { return messages[:1] }},
		{"One", func(i int) []hooks.Message { return messages[i%100:][:1] }},
		{"Batch100", func(int) []hooks.Message { return messages }},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				batch := c.batch(i)
				for _, msg := range batch {
					accepted, err := endpoint.Accepts(b.Context(), msg.Event)
					require.NoError(b, err)
					require.True(b, accepted)
				}
				_, err := endpoint.Request(b.Context(), nil, batch)
				require.NoError(b, err)
			}
		})
	}
}
