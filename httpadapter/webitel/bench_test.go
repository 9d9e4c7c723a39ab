package webitel_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/apitest"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/webitel"
)

// BenchmarkDelivery does what a delivery costs beside the network, for an event of
// 100 members such as a call has: the whole of it, some renamed members behind a
// filter, a query, and a body and a header of placeholders; each for the same
// event again, as if it went to many endpoints, and for one event after another.
func BenchmarkDelivery(b *testing.B) {
	var object strings.Builder
	object.WriteString(`{"Event-Name":"CHANNEL_HANGUP","Caller-Destination-Number":"380441234567"`)
	for i := range 98 {
		fmt.Fprintf(&object, `,"variable_name_%d":"some value of the call"`, i)
	}
	object.WriteString("}")
	events := make([]hooks.Event, 100)
	for i := range events {
		events[i] = hooks.Event{ID: fmt.Sprintf("event-%d", i), Type: "CHANNEL_HANGUP", Data: []byte(object.String())}
	}
	for _, h := range []hooks.Hook{
		{Name: "Whole"},
		{Name: "Fields", Settings: []byte(`{"filter":{"Caller-Destination-Number":{"operation":">","value":380000000000}},"fields":["Event-Name","variable_name_1","variable_name_2"],"map":{"Event-Name":"event","variable_name_1":"one"}}`)},
		{Name: "Query", Method: "GET", Settings: []byte(`{"fields":["Event-Name","variable_name_1","variable_name_2"]}`)},
		{Name: "Template", Headers: map[string]string{"X-Call": "${variable_name_1}"}, Settings: []byte(`{"customBody":true,"rawBody":"{\"a\":\"${name_1}\",\"b\":\"${name_2}\",\"c\":{\"d\":\"${Event-Name}\"}}"}`)},
	} {
		h.URL = "https://example.com/webhooks"
		endpoint, err := new(webitel.Protocol).Compile(h)
		require.NoError(b, err)
		for _, n := range []int{1, len(events)} {
			b.Run(fmt.Sprintf("%s/%dEvents", h.Name, n), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					event := &events[i%n]
					accepted, err := endpoint.Accepts(b.Context(), event)
					require.NoError(b, err)
					require.True(b, accepted)
					_, err = endpoint.Request(b.Context(), nil, []hooks.Message{{Event: event, DeliveryID: "d1"}})
					require.NoError(b, err)
				}
			})
		}
	}
}

// BenchmarkList lists 5000 hooks: whole, and with the columns that the web UI asks
// for.
func BenchmarkList(b *testing.B) {
	m := apitest.Idle(b, &webitel.Protocol{})
	api, err := webitel.New(m, webitel.Config{Config: quietly("default")})
	require.NoError(b, err)
	for range 5000 {
		require.Equal(b, 200, request("POST "+path, full).To(api).Status)
	}
	for name, query := range map[string]string{"Whole": "", "Columns": "&columns=_id,name,enable,event,action.type,description"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				require.Equal(b, 200, request("GET "+path+"?limit=5000"+query, "").To(api).Status)
			}
		})
	}
}
