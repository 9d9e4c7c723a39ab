package logto_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/apitest"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/logto"
	"github.com/seed-2c6e3a5a/hooks/memory"
	"github.com/seed-2c6e3a5a/hooks/sqlite"
)

// eachStore runs a test on the stores, in real time.
func eachStore(t *testing.T, test func(t *testing.T, c *client)) {
	loopback := func(cfg *hooks.Config) { cfg.Dial, cfg.AllowNetworks = nil, []string{"127.0.0.0/8"} }
	t.Run("memory", func(t *testing.T) { test(t, newClientOf(t, memory.New(memory.Options{}), loopback)) })
	t.Run("sqlite", func(t *testing.T) {
		store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "hooks.db"), sqlite.Options{})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, store.Close()) })
		test(t, newClientOf(t, store, loopback))
	})
}

// Fifty PATCHes at once all count, whether of several members or of one.
func TestConcurrentChangesLoseNothing(t *testing.T) {
	eachStore(t, func(t *testing.T, c *client) {
		var made []hook
		for range 10 {
			made = append(made, c.create(`"events":["PostSignIn"],"config":{"url":"https://example.com"}`))
		}
		var group errgroup.Group
		for i, h := range made {
			for _, body := range []string{
				fmt.Sprintf(`{"name":"changed %d"}`, i), `{"enabled":false}`, `{"events":["User.Created","Role.Created"]}`,
				`{"event":"PostRegister"}`, fmt.Sprintf(`{"config":{"url":"https://example.com/%d","retries":1}}`, i),
			} {
				group.Go(func() error {
					if a := c.do("PATCH", "/api/hooks/"+h.ID, body); a.Status != 200 {
						return fmt.Errorf("%s: %d %s", body, a.Status, a.Body)
					}
					return nil
				})
			}
		}
		require.NoError(t, group.Wait())
		for i, h := range made {
			got := apitest.Want[hook](t, c.do("GET", "/api/hooks/"+h.ID, ""), 200)
			register, one := "PostRegister", 1.0
			h.Name, h.Enabled, h.Event = fmt.Sprintf("changed %d", i), false, &register
			h.Events = []string{"User.Created", "Role.Created"}
			h.Config.URL, h.Config.Retries = fmt.Sprintf("https://example.com/%d", i), &one
			assert.Equal(t, h, got)
		}

		h := made[0]
		before, err := c.Hook(t.Context(), "default", h.ID)
		require.NoError(t, err)
		for i := range 50 {
			group.Go(func() error {
				a := c.do("PATCH", "/api/hooks/"+h.ID, fmt.Sprintf(`{"name":"%d"}`, i))
				if a.Status != 200 || !strings.Contains(a.Body, fmt.Sprintf(`"name":"%d"`, i)) {
					return fmt.Errorf("%d: %d %s", i, a.Status, a.Body)
				}
				return nil
			})
		}
		require.NoError(t, group.Wait())
		after, err := c.Hook(t.Context(), "default", h.ID)
		require.NoError(t, err)
		assert.Equal(t, before.Version+50, after.Version, "each change is one")
	})
}

// Keys change while deliveries flow: each delivery verifies with a key that was
// current between its trigger and its receipt, so what is triggered after a
// change does not with the old one.
func TestRotationInTheMiddleOfDeliveries(t *testing.T) {
	eachStore(t, func(t *testing.T, c *client) {
		type receipt struct {
			body, signature string
			at              time.Time
		}
		received := make(chan receipt, 10_000)
		endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if !assert.NoError(t, err) {
				return
			}
			received <- receipt{string(body), r.Header.Get("Logto-Signature-Sha-256"), time.Now()}
		}))
		t.Cleanup(endpoint.Close)
		made := c.create(`"events":["User.Created"],"config":{"url":"` + endpoint.URL + `"}`)

		// A key was surely current from the response that brought it to the
		// request that replaced it, and perhaps from the request for it to the
		// response that brought the next.
		type key struct {
			text     string
			from, to time.Time
		}
		keys := []key{{text: made.SigningKey}}
		triggered := map[string]time.Time{}
		next := 0
		trigger := func() {
			next++
			name := fmt.Sprintf("user-%d", next)
			triggered[name] = time.Now()
			c.trigger(hooks.Event{Type: logto.UserCreated, Data: []byte(`{"userId":"` + name + `"}`)})
		}
		for range 20 {
			for range 20 {
				trigger()
			}
			asked := time.Now()
			rotated := apitest.Want[hook](t, c.do("PATCH", "/api/hooks/"+made.ID+"/signing-key", ""), 200)
			keys[len(keys)-1].to = time.Now()
			keys = append(keys, key{text: rotated.SigningKey, from: asked})
			trigger()
		}
		keys[len(keys)-1].to = time.Now().Add(time.Hour)
		for range next {
			var got receipt
			select {
			case got = <-received:
			case <-time.After(time.Minute):
				require.FailNow(t, "a delivery is missing")
			}
			_, name, _ := strings.Cut(got.body, `"userId":"`)
			name, _, _ = strings.Cut(name, `"`)
			verified := false
			for _, k := range keys {
				current := !k.from.After(got.at) && !k.to.Before(triggered[name])
				verified = verified || current && signature(k.text, got.body) == got.signature
			}
			assert.True(t, verified, name)
		}
	})
}

// No key and no header value of a hook gets into a log or into an error.
func TestSecretsStaySecret(t *testing.T) {
	var logged bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) }))
	t.Cleanup(endpoint.Close)
	m, err := hooks.New(memory.New(memory.Options{}), hooks.Config{
		Protocols: []hooks.Protocol{&logto.Protocol{}}, AllowHTTP: true, AllowNetworks: []string{"127.0.0.0/8"}, Logger: logger,
	})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	api, err := logto.New(m, httpadapter.Config{Authenticate: httpadapter.Open("default"), Logger: logger})
	require.NoError(t, err)
	c := &client{Manager: m, t: t, handler: api}

	const value = "s3cr3t-value"
	config := `"config":{"url":"` + endpoint.URL + `","headers":{"Authorization":"` + value + `"}}`
	made := c.create(`"events":["User.Created"],` + config)
	keys := []string{made.SigningKey}
	keys = append(keys, apitest.Want[hook](t, c.do("PATCH", "/api/hooks/"+made.ID+"/signing-key", ""), 200).SigningKey)
	var failures strings.Builder
	path := "/api/hooks/" + made.ID
	test := func(body string) apitest.Response { return c.do("POST", path+"/test", body) }
	patch := func(body string) apitest.Response { return c.do("PATCH", path, body) }
	for _, a := range []apitest.Response{
		test(`{"events":["PostSignIn"],` + config + `}`),
		test(`{"events":["PostSignIn"],"config":{"url":"","headers":{"Authorization":"` + value + `"}}}`),
		test(`{"events":["PostSignIn"],"config":{"url":"x","headers":{"a b":"` + value + `"}}}`),
		patch(`{"config":{"url":"https://10.0.0.1","headers":{"Authorization":"` + value + `"}}}`),
		patch(`{"config":{"url":"","headers":{"Host":"` + value + `"}}}`),
		patch(`{"config":{"url":"","headers":{"X":"` + value + `\u0001"}}}`),
		patch(`{"config":{"url":"","headers":{"X":["` + value + `"]}}}`),
	} {
		require.GreaterOrEqual(t, a.Status, 400)
		failures.WriteString(a.Body)
	}
	c.trigger(hooks.Event{Type: logto.UserCreated})
	require.Eventually(t, func() bool { return len(c.logs(made.ID, "")) == 1 }, time.Minute, time.Millisecond)
	failures.WriteString(c.do("GET", "/api/hooks/"+made.ID+"/recent-logs", "").Body)
	stop()
	require.NoError(t, <-ended)
	require.Contains(t, logged.String(), made.ID)
	for _, secret := range append(keys, value) {
		assert.NotContains(t, logged.String(), secret)
		assert.NotContains(t, failures.String(), secret)
	}
}
