// Package e2e drives the APIs with the clients of the systems themselves. It is a
// module of its own, so that hooks does not require them.
package e2e_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	sdk "github.com/okta/okta-sdk-golang/v5/okta"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/okta"
	"github.com/seed-2c6e3a5a/hooks/memory"
)

const token = "a-token-of-the-tests"

// startServer builds and runs the example server over a SQLite file, and returns
// its address. At the end of the test, SIGTERM ends it.
func startServer(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "server")
	build := exec.Command("go", "build", "-o", program, "./examples/server")
	build.Dir = "../.."
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	server := exec.Command(program, "-addr", "127.0.0.1:0", "-dev", "-store", "sqlite:"+filepath.Join(t.TempDir(), "hooks.db"))
	server.Env = append(os.Environ(), "HOOKS_TOKEN="+token)
	stdout, err := server.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, server.Start())
	t.Cleanup(func() {
		assert.NoError(t, server.Process.Signal(syscall.SIGTERM))
		assert.NoError(t, server.Wait())
	})
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if address, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
			return address
		}
	}
	require.FailNow(t, "the server does not listen")
	return ""
}

// newClient returns a client of the API at an address.
func newClient(t *testing.T, address string, options ...sdk.ConfigSetter) sdk.EventHookAPI {
	t.Helper()
	options = append([]sdk.ConfigSetter{sdk.WithOrgUrl(address), sdk.WithToken(token), sdk.WithCache(false)}, options...)
	cfg, err := sdk.NewConfiguration(options...)
	require.NoError(t, err)
	parsed, err := url.Parse(address)
	require.NoError(t, err)
	cfg.Host = parsed.Host // WithOrgUrl leaves the port out.
	return sdk.NewAPIClient(cfg).EventHookAPI
}

// A received request is what an endpoint got.
type received struct {
	method string
	header http.Header
	body   envelope
}

type envelope struct {
	EventType, EventID, Source string
	Data                       struct {
		Events []struct {
			UUID, EventType string
			Actor           struct{ ID string }
		}
	}
}

// startEndpoint serves requests with the handler, and hands on what it gets.
func startEndpoint(t *testing.T, handler http.Handler) (string, chan received) {
	t.Helper()
	got := make(chan received, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request := received{method: r.Method, header: r.Header}
		if r.Method == http.MethodPost && !assert.NoError(t, json.NewDecoder(r.Body).Decode(&request.body)) {
			return
		}
		handler.ServeHTTP(w, r)
		got <- request
	}))
	t.Cleanup(server.Close)
	return server.URL + "/webhooks", got
}

func next(t *testing.T, got chan received) received {
	t.Helper()
	select {
	case request := <-got:
		return request
	case <-time.After(time.Minute):
		require.FailNow(t, "no request came")
		return received{}
	}
}

// trigger has the server record an event.
func trigger(t *testing.T, address, event string) (deliveries int) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address+"/trigger", strings.NewReader(event))
	require.NoError(t, err)
	r.Header.Set("Authorization", "SSWS "+token)
	res, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	var response struct{ Deliveries int }
	require.NoError(t, errors.Join(json.NewDecoder(res.Body).Decode(&response), res.Body.Close()))
	require.Equal(t, http.StatusAccepted, res.StatusCode)
	return response.Deliveries
}

func newHook(name, uri string) sdk.EventHook {
	config := sdk.NewEventHookChannelConfig(uri)
	return *sdk.NewEventHook(*sdk.NewEventHookChannel(*config, "HTTP", "1.0.0"), *sdk.NewEventSubscriptions([]string{"user.lifecycle.create"}, "EVENT_TYPE"), name)
}

// state is the status of a hook and its verification.
func state(h *sdk.EventHook) string { return h.GetStatus() + " " + h.GetVerificationStatus() }

// refused checks an error and returns its causes.
func refused(t *testing.T, res *sdk.APIResponse, err error, status int, code string) (causes []string) {
	t.Helper()
	var failure *sdk.GenericOpenAPIError
	require.ErrorAs(t, err, &failure)
	assert.Equal(t, status, res.StatusCode)
	var body sdk.Error
	require.NoError(t, json.Unmarshal(failure.Body(), &body), failure.Error())
	assert.Equal(t, code, body.GetErrorCode())
	assert.Regexp(t, "^oae", body.GetErrorId())
	for _, cause := range body.GetErrorCauses() {
		causes = append(causes, cause.GetErrorSummary())
	}
	return causes
}

func TestAnEventHookLives(t *testing.T) {
	address := startServer(t)
	client := newClient(t, address)
	ctx := t.Context()
	listed, _, err := client.ListEventHooks(ctx).Execute()
	require.NoError(t, err)
	assert.Empty(t, listed)

	uri, got := startEndpoint(t, okta.ChallengeHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	})))
	wanted := newHook("first", uri)
	scheme, key, secret := "HEADER", "Authorization", "Basic YWRtaW46c3VwZXJzZWNyZXQ="
	wanted.Channel.Config.SetAuthScheme(sdk.EventHookChannelConfigAuthScheme{Type: &scheme, Key: &key, Value: &secret})
	name, value := "X-Custom", "mine"
	wanted.Channel.Config.SetHeaders([]sdk.EventHookChannelConfigHeader{{Key: &name, Value: &value}})
	made, _, err := client.CreateEventHook(ctx).EventHook(wanted).Execute()
	require.NoError(t, err)
	id := made.GetId()
	assert.Regexp(t, "^who[0-9A-Za-z]{17}$", id)
	assert.Equal(t, "ACTIVE UNVERIFIED", state(made))
	auth := made.Channel.Config.GetAuthScheme()
	assert.Equal(t, key, auth.GetKey())
	assert.False(t, auth.HasValue(), "the secret is not shown")
	assert.WithinDuration(t, time.Now(), made.GetCreated(), time.Minute)
	self := made.Links.GetSelf()
	assert.Equal(t, address+"/api/v1/eventHooks/"+id, self.GetHref())
	listed, _, err = client.ListEventHooks(ctx).Execute()
	require.NoError(t, err)
	assert.Equal(t, []sdk.EventHook{*made}, listed)

	assert.Zero(t, trigger(t, address, `{"id":"too-early","type":"user.lifecycle.create"}`))
	verified, _, err := client.VerifyEventHook(ctx, id).Execute()
	require.NoError(t, err)
	assert.Equal(t, "ACTIVE VERIFIED", state(verified))
	challenge := next(t, got)
	assert.Equal(t, http.MethodGet, challenge.method)
	assert.Equal(t, secret, challenge.header.Get("Authorization"))

	assert.Equal(t, 1, trigger(t, address, `{"id":"e1","type":"user.lifecycle.create","data":{"actor":{"id":"00u1"}}}`))
	delivered := next(t, got)
	assert.Equal(t, http.MethodPost, delivered.method)
	assert.Equal(t, secret, delivered.header.Get("Authorization"))
	assert.Equal(t, value, delivered.header.Get(name))
	assert.Equal(t, "com.okta.event_hook", delivered.body.EventType)
	assert.Equal(t, self.GetHref(), delivered.body.Source)
	require.Len(t, delivered.body.Data.Events, 1)
	assert.Equal(t, "e1", delivered.body.Data.Events[0].UUID)
	assert.Equal(t, "00u1", delivered.body.Data.Events[0].Actor.ID)

	// What is read is sent back whole, with one change, and has no secret.
	read, _, err := client.GetEventHook(ctx, id).Execute()
	require.NoError(t, err)
	assert.Equal(t, verified, read)
	read.SetDescription("said")
	replaced, _, err := client.ReplaceEventHook(ctx, id).EventHook(*read).Execute()
	require.NoError(t, err)
	assert.Equal(t, "said", replaced.GetDescription())
	assert.Equal(t, "ACTIVE VERIFIED", state(replaced))
	assert.Equal(t, 1, trigger(t, address, `{"id":"e2","type":"user.lifecycle.create"}`))
	assert.Equal(t, secret, next(t, got).header.Get("Authorization"), "the secret is kept")

	res, err := client.DeleteEventHook(ctx, id).Execute()
	causes := refused(t, res, err, 400, "E0000001")
	assert.Contains(t, causes[0], "must be deactivated")
	for range 2 {
		deactivated, _, err := client.DeactivateEventHook(ctx, id).Execute()
		require.NoError(t, err)
		assert.Equal(t, "INACTIVE VERIFIED", state(deactivated))
	}
	assert.Zero(t, trigger(t, address, `{"id":"e3","type":"user.lifecycle.create"}`))
	activated, _, err := client.ActivateEventHook(ctx, id).Execute()
	require.NoError(t, err)
	assert.Equal(t, "ACTIVE VERIFIED", state(activated))
	assert.Equal(t, 1, trigger(t, address, `{"id":"e4","type":"user.lifecycle.create"}`))
	assert.Equal(t, "e4", next(t, got).body.Data.Events[0].UUID, "e3 was not for it")

	_, _, err = client.DeactivateEventHook(ctx, id).Execute()
	require.NoError(t, err)
	res, err = client.DeleteEventHook(ctx, id).Execute()
	require.NoError(t, err)
	assert.Equal(t, http.StatusNoContent, res.StatusCode)
	_, res, err = client.GetEventHook(ctx, id).Execute()
	refused(t, res, err, 404, "E0000007")
	_, res, err = newClient(t, address, sdk.WithToken("wrong")).ListEventHooks(ctx).Execute()
	refused(t, res, err, 401, "E0000011")
	assert.Empty(t, got)
}

func TestEndpointsThatAreNotVerified(t *testing.T) {
	address := startServer(t)
	for name, test := range map[string]struct {
		handler  http.HandlerFunc
		requests int
		cause    string
	}{
		"a wrong response": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"verification":"wrong"}`) }, 1, "body: "},
		"500":              {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }, 2, "status: the endpoint responded with 500"},
		"silence":          {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, 2, "timeout: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			uri, got := startEndpoint(t, test.handler)
			client := newClient(t, address)
			made, _, err := client.CreateEventHook(t.Context()).EventHook(newHook(name, uri)).Execute()
			require.NoError(t, err)
			_, res, err := client.VerifyEventHook(t.Context(), made.GetId()).Execute()
			causes := refused(t, res, err, 400, "E0000001")
			require.Len(t, causes, 2)
			assert.Equal(t, fmt.Sprintf("Unable to verify event hook. Hook %s execution failed", name), causes[0])
			assert.Contains(t, causes[1], test.cause)
			for range test.requests {
				next(t, got)
			}
			assert.Empty(t, got)
			read, _, err := client.GetEventHook(t.Context(), made.GetId()).Execute()
			require.NoError(t, err)
			assert.Equal(t, "ACTIVE UNVERIFIED", state(read))
		})
	}
}

// A client that is above the rate limit tries again at the time that the response says, if that is
// not later than it likes to wait.
func TestRateLimit(t *testing.T) {
	quiet := slog.New(slog.DiscardHandler)
	m, err := hooks.New(memory.New(memory.Options{}), hooks.Config{Protocols: []hooks.Protocol{&okta.Protocol{}}, Logger: quiet})
	require.NoError(t, err)
	api, err := okta.New(m, okta.Config{Config: httpadapter.Config{Authenticate: httpadapter.Open("default"), Logger: quiet}, RateLimit: 1})
	require.NoError(t, err)
	retries := make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if retried := r.Header.Get("X-Okta-Retry-Count"); retried != "" {
			retries <- retried + " for " + r.Header.Get("X-Okta-Retry-For")
		}
		api.ServeHTTP(w, r)
	}))
	defer server.Close()
	client := newClient(t, server.URL, sdk.WithRateLimitMaxRetries(1), sdk.WithRateLimitMaxBackOff(0))
	// A minute may end between two requests, but not between all of these.
	var failure error
	for range 4 {
		if _, _, failure = client.ListEventHooks(t.Context()).Execute(); failure != nil {
			break
		}
	}
	require.EqualError(t, failure, "too many requests")
	assert.Regexp(t, "^1 for .+", <-retries)
}
