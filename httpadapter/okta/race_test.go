package okta_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/apitest"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/okta"
	"github.com/seed-2c6e3a5a/hooks/memory"
	"github.com/seed-2c6e3a5a/hooks/sqlite"
)

// atOnce makes fifty requests at the same time, and returns how many were
// answered with 200. The others have to be refused with E0000001.
func atOnce(t *testing.T, ask func(i int) apitest.Response) int {
	t.Helper()
	var group errgroup.Group
	var done atomic.Int64
	for i := range 50 {
		group.Go(func() error {
			a := ask(i)
			if a.Status == 200 {
				done.Add(1)
			} else if a.Status != 400 || !strings.Contains(a.Body, "E0000001") {
				return fmt.Errorf("%d %s", a.Status, a.Body)
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
	return int(done.Load())
}

// Names are unique, no more than 25 hooks are active, and no change is lost,
// however many requests there are at the same time.
func TestConcurrentRequests(t *testing.T) {
	file, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "hooks.db"), sqlite.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, file.Close()) })
	for name, store := range map[string]hooks.Store{"memory": memory.New(memory.Options{}), "sqlite": file} {
		t.Run(name, func(t *testing.T) {
			c := newClientOf(t, store)
			const uri = "https://example.com"
			assert.Equal(t, 1, atOnce(t, func(int) apitest.Response {
				return c.do("POST", path, body("the same", "a.b", uri, "", ""))
			}))
			assert.Equal(t, 24, atOnce(t, func(i int) apitest.Response {
				return c.do("POST", path, body(fmt.Sprintf("hook %d", i), "a.b", uri, "", ""))
			}))
			var resting []string
			for i := range 50 {
				resting = append(resting, c.create(body(fmt.Sprintf("resting %d", i), "a.b", uri, "", `,"status":"INACTIVE"`)).ID)
			}
			first := apitest.Want[[]hook](t, c.do("GET", path, ""), 200)[0]
			apitest.Want[hook](t, c.lifecycle(first.ID, "deactivate"), 200)
			assert.Equal(t, 1, atOnce(t, func(i int) apitest.Response { return c.lifecycle(resting[i], "activate") }))
			assert.Equal(t, 1, atOnce(t, func(i int) apitest.Response {
				return c.do("PUT", path+"/"+resting[i], body("renamed", "a.b", uri, "", ""))
			}))
			active := 0
			for _, h := range apitest.Want[[]hook](t, c.do("GET", path, ""), 200) {
				if h.Status == "ACTIVE" {
					active++
				}
			}
			assert.Equal(t, 25, active)

			before, err := c.Hook(t.Context(), "acme", first.ID)
			require.NoError(t, err)
			assert.Equal(t, 50, atOnce(t, func(i int) apitest.Response {
				return c.do("PUT", path+"/"+first.ID, body(fmt.Sprintf("first %d", i), "a.b", uri, "", `,"status":"INACTIVE"`))
			}))
			after, err := c.Hook(t.Context(), "acme", first.ID)
			require.NoError(t, err)
			assert.Equal(t, before.Version+50, after.Version, "each change is one")
		})
	}
}

// A hook that is changed while its endpoint is asked is not verified: what was
// asked is not what it is.
func TestAChangeDuringVerification(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		r := c.network.Receiver(t, "slow.example", hookstest.Response(okta.ChallengeHandler(nil).ServeHTTP).After(2*time.Second))
		h := c.create(body("n", "a.b", r.URL, "", ""))
		verified := make(chan apitest.Response)
		go func() { verified <- c.lifecycle(h.ID, "verify") }()
		time.Sleep(time.Second)
		apitest.Want[hook](t, c.do("PUT", path+"/"+h.ID, body("n", "a.b", "https://another.example", "", "")), 200)
		_, causes := fails(t, <-verified)
		assert.Equal(t, "the event hook was changed while its endpoint was asked", causes[1])
		assert.Equal(t, "ACTIVE UNVERIFIED", apitest.Want[hook](t, c.do("GET", path+"/"+h.ID, ""), 200).state())
	})
}

// No value of an authentication header gets into a response, a log or an attempt.
func TestSecretsStaySecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
		c := newClient(t, func(cfg *hooks.Config, api *okta.Config) { cfg.Logger, api.Logger = logger, logger })
		const secret = "s3cr3t-value"
		auth := `,"authScheme":{"type":"HEADER","key":"Authorization","value":"` + secret + `"}`
		r := c.challenged(hookstest.Status(400))
		made := c.do("POST", path, body("n", "a.b", r.URL, auth, ""))
		id := apitest.Want[hook](t, made, 200).ID
		shown := []string{made.Body, c.lifecycle(id, "verify").Body, c.lifecycle(id, "verify").Body}
		assert.Contains(t, shown[2], "status: the endpoint responded with 400")
		for _, body := range []string{
			body("n", "a.b", r.URL, auth, ""),
			body("n", "a.b", "https://10.0.0.1", auth, ""),
			body("n", "a.b", r.URL, `,"authScheme":{"key":"Authorization","value":"`+secret+`\u0000"}`, ""),
			body("n", "a.b", r.URL, `,"authScheme":{"key":"Authorization","value":["`+secret+`"]}`, ""),
			body("n", "a.b", r.URL, `,"authScheme":{"key":"Host","value":"`+secret+`"}`, ""),
			body("n", "a.b", r.URL, auth+`,"headers":[{"key":"authorization","value":"`+secret+`"}]`, ""),
		} {
			shown = append(shown, c.do("PUT", path+"/"+id, body).Body)
		}
		c.trigger(hooks.Event{Type: "a.b"})
		time.Sleep(time.Minute)
		delivered := r.Requests()
		assert.Equal(t, secret, delivered[len(delivered)-1].Header.Get("Authorization"))
		logs, err := c.Logs(t.Context(), hooks.LogQuery{Tenant: "acme", HookID: id})
		require.NoError(t, err)
		require.NotEmpty(t, logs.Items)
		shown = append(shown, fmt.Sprintf("%+v", logs.Items), c.do("GET", path, "").Body, logged.String())
		require.Contains(t, logged.String(), id)
		for _, text := range shown {
			assert.NotContains(t, text, secret)
		}
	})
}
