package logto_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/logto"
	"github.com/seed-2c6e3a5a/hooks/sqlite"
)

// BenchmarkRead asks a server on loopback, over a SQLite file with 10,000 hooks
// and 1,000,000 deliveries of the last 24 hours, as many for each hook. It
// reports the median. With -short the file is a hundredth of that.
func BenchmarkRead(b *testing.B) {
	hookCount, logsOfEach := 10_000, 100
	if testing.Short() {
		hookCount, logsOfEach = 1000, 10
	}
	store, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "hooks.db"), sqlite.Options{Synchronous: sqlite.Normal})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, store.Close()) })
	m, err := hooks.New(store, hooks.Config{Protocols: []hooks.Protocol{&logto.Protocol{}}, MaxHooks: -1})
	require.NoError(b, err)
	ids := registerMany(b, m, hookCount)
	logMany(b, store, ids, logsOfEach)
	api, err := logto.New(m, httpadapter.Config{Authenticate: httpadapter.Open("default"), Logger: slog.New(slog.DiscardHandler)})
	require.NoError(b, err)
	server := httptest.NewServer(api)
	b.Cleanup(server.Close)

	one := ids[hookCount/2]
	for _, request := range []struct{ name, path string }{
		{"list/first", "/api/hooks?page=1&page_size=20"},
		{"list/100th", fmt.Sprintf("/api/hooks?page=100&page_size=%d", min(20, hookCount/100))},
		{"list/last", fmt.Sprintf("/api/hooks?page=%d&page_size=100", hookCount/100)},
		{"list/stats", "/api/hooks?page=1&page_size=20&includeExecutionStats=true"},
		{"get/stats", "/api/hooks/" + one + "?includeExecutionStats=true"},
		{"logs/first", "/api/hooks/" + one + "/recent-logs?page=1"},
		{"logs/last", fmt.Sprintf("/api/hooks/%s/recent-logs?page=%d&page_size=10", one, logsOfEach/10)},
		{"logs/key", "/api/hooks/" + one + "/recent-logs?logKey=TriggerHook.User.Created&enableCap=true"},
	} {
		b.Run(request.name, func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				start := time.Now()
				res, err := http.Get(server.URL + request.path)
				require.NoError(b, err)
				body, err := io.ReadAll(res.Body)
				took = append(took, time.Since(start))
				require.NoError(b, err)
				require.NoError(b, res.Body.Close())
				require.Equal(b, http.StatusOK, res.StatusCode, "%s", body)
				require.Greater(b, len(body), 100, "%s", body)
			}
			slices.Sort(took)
			b.ReportMetric(took[len(took)/2].Seconds()*1e3, "ms-median")
		})
	}
}

func registerMany(b *testing.B, m *hooks.Manager, n int) []string {
	ids := make([]string, n)
	for i := range ids {
		h, err := m.Register(b.Context(), hooks.Hook{
			Tenant: "default", Protocol: logto.Name, Name: fmt.Sprintf("Hook %d", i), URL: "https://example.com/webhooks",
			Events: []string{logto.UserCreated, logto.UserDeleted}, Headers: map[string]string{"X-Number": fmt.Sprint(i)},
		})
		require.NoError(b, err)
		ids[i] = h.ID
	}
	return ids
}

// logMany stores events that each go to a thousand of the hooks, and succeed.
func logMany(b *testing.B, s hooks.Store, ids []string, logsOfEach int) {
	const fanOut = 1000
	steps := logsOfEach * len(ids) / fanOut
	at := time.Now().UTC().Truncate(time.Millisecond).Add(-23 * time.Hour)
	for step := range steps {
		at = at.Add(22 * time.Hour / time.Duration(steps))
		e := &hooks.Event{
			ID: fmt.Sprintf("event-%d", step), Tenant: "default", Type: logto.UserCreated, Time: at,
			Data: []byte(`{"path":"/users","method":"POST","status":200,"params":{},"data":{"id":"u1","username":"ada","customData":{"theme":"light"}}}`),
		}
		deliveries, settlements := make([]hooks.Delivery, fanOut), make([]hooks.Settlement, fanOut)
		for i := range deliveries {
			d := hooks.Delivery{
				ID: fmt.Sprintf("%s-%d", e.ID, i), Tenant: e.Tenant, HookID: ids[(step*fanOut+i)%len(ids)], EventID: e.ID, EventType: e.Type,
				State: hooks.Leased, Due: at, CreatedAt: at, Lease: hooks.Lease{Owner: "o", Token: 1, Until: at.Add(time.Minute)},
			}
			deliveries[i] = d
			settlements[i] = hooks.Settlement{DeliveryID: d.ID, Token: 1, State: hooks.Succeeded, Attempt: &hooks.Attempt{
				DeliveryID: d.ID, Number: 1, Tenant: d.Tenant, HookID: d.HookID, EventID: d.EventID, EventType: d.EventType,
				StartedAt: at, Duration: time.Millisecond, State: hooks.Succeeded,
				Request:  hooks.AttemptRequest{Method: "POST", URL: "https://example.com/webhooks", BodySize: 200},
				Response: hooks.AttemptResponse{Status: 200, Body: []byte(`{"ok":true}`)},
			}}
		}
		require.NoError(b, s.Enqueue(b.Context(), at, []hooks.Entry{{Event: e, Deliveries: deliveries}}))
		settled, err := s.Settle(b.Context(), at, settlements)
		require.NoError(b, err)
		for _, result := range settled {
			require.NoError(b, result.Err)
			require.False(b, result.LeaseLost)
		}
	}
}
