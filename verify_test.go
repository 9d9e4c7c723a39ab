package hooks_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
	"github.com/seed-2c6e3a5a/hooks/memory"
)

func TestTestSendsWhatADeliveryWould(t *testing.T) {
	for _, stored := range []bool{true, false} {
		t.Run(fmt.Sprintf("stored: %v", stored), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				spy := &spyStore{Store: memory.New(memory.Options{})}
				h := newHarness(t)
				var observed record[hooks.Attempt]
				h.Manager = h.manager(spy, func(c *hooks.Config) {
					c.Observer.Attempt = func(_ hooks.Delivery, a hooks.Attempt, _ *hooks.Event) { observed.add(a) }
				})
				h.run(h.Manager)
				// The later ones are answered first.
				r := h.receiver(func(w http.ResponseWriter, r *http.Request) {
					delay := map[string]time.Duration{"e1": 3 * time.Second, "e2": 2 * time.Second, "e3": time.Second}
					hookstest.Status(201).Body("thanks for "+r.Header.Get("Webhook-Id")).After(delay[r.Header.Get("Webhook-Id")])(w, r)
				})
				secret := hooks.NewSecret()
				r.Verify(secret)
				hook := hooks.Hook{
					Tenant: "acme", URL: r.URL, Events: []string{"other"}, Filter: "false", Disabled: true,
					Headers: map[string]string{"X-Key": "s3cr3t"}, Secrets: []hooks.SigningSecret{{Secret: secret}},
				}
				if stored {
					hook = h.register(hook)
				}
				writes := spy.writes()
				attempts, err := h.Test(t.Context(), hook,
					hooks.Event{ID: "e1", Type: "a", Data: json.RawMessage(`[ 1 ]`)},
					hooks.Event{ID: "e2", Type: "b", Tenant: "not acme"},
					hooks.Event{ID: "e3", Type: "c", OrderingKey: "key"})
				require.NoError(t, err)
				require.Len(t, attempts, 3)
				for i, a := range attempts {
					assert.Equal(t, fmt.Sprintf("e%d", i+1), a.EventID, "in the order of the events")
					assert.Equal(t, string(rune('a'+i)), a.EventType)
					assert.Equal(t, "acme", a.Tenant)
					assert.Equal(t, 1, a.Number)
					assert.Equal(t, hooks.Succeeded, a.State)
					assert.Empty(t, a.Class)
					assert.Empty(t, a.Error)
					assert.Equal(t, time.Duration(3-i)*time.Second, a.Duration)
					assert.Equal(t, "POST", a.Request.Method)
					assert.Equal(t, r.URL, a.Request.URL)
					assert.Equal(t, []string{"[redacted]"}, a.Request.Header["X-Key"])
					assert.Equal(t, 201, a.Response.Status)
					assert.Equal(t, "thanks for "+a.EventID, string(a.Response.Body))
					if stored {
						assert.Equal(t, hook.ID, a.HookID)
					}
				}
				for _, request := range r.Requests() {
					assert.NoError(t, request.SignatureErr)
					if request.ID == "e1" {
						assert.Equal(t, `[ 1 ]`, string(request.Data))
					}
				}
				assert.Equal(t, writes, spy.writes(), "something was stored")
				assert.Empty(t, h.deliveries(hooks.LogQuery{Tenant: "acme"}))
				assert.Empty(t, h.attempts(hooks.LogQuery{Tenant: "acme"}))
				assert.Empty(t, observed.all())
			})
		})
	}
}

func TestTestOfAFailingEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		r, hook := h.endpoint(hooks.Hook{Events: []string{"*"}, Timeout: 2 * time.Second},
			hookstest.Status(410).Body("no more"), hookstest.Hang(), hookstest.Reset(), hookstest.Reset(), hookstest.Redirect(302, "http://elsewhere.example"))
		for _, want := range []hooks.ErrorClass{hooks.ClassStatus, hooks.ClassTimeout, hooks.ClassConnect, hooks.ClassRedirect} {
			attempts, err := h.Test(t.Context(), hook, hooks.Event{Type: "a"})
			require.NoError(t, err)
			require.Len(t, attempts, 1)
			assert.Equal(t, hooks.Dead, attempts[0].State, "there is one attempt")
			assert.Equal(t, want, attempts[0].Class)
			assert.NotEmpty(t, attempts[0].Error)
			assert.Zero(t, attempts[0].NextAt)
		}
		assert.Len(t, r.Requests(), 5, "a request whose connection is lost is repeated")
		assert.Equal(t, hook, h.hook(hook.Ref()), "not even a 410 changes the hook")

		attempts, err := h.Test(t.Context(), hook)
		require.NoError(t, err)
		assert.Empty(t, attempts)
	})
}

func TestVerificationOfAnEndpointThatWantsTheTraffic(t *testing.T) {
	private, public := hooks.NewKeyPair()
	checkRules(t, []specRule{
		{"the middleware of a verifier answers", func(t *testing.T, harness *hookstest.Harness) {
			for secret, verifying := range map[hooks.Secret]hooks.Secret{testSecret: testSecret, private: hooks.Secret(public)} {
				var handled []string
				e := harness.EndpointFor(hookWith(secret))
				e.Respond(newVerifier(t, verifying).Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					handled = append(handled, r.Header.Get("webhook-id"))
				})).ServeHTTP)
				assert.False(t, e.Hook.Verified)
				verified, err := harness.Manager.Verify(t.Context(), "", e.Hook.ID)
				require.NoError(t, err)
				assert.True(t, verified.Verified)
				assert.Equal(t, verified, stored(t, harness.Manager, e.Hook))

				question := e.Next()
				assert.NoError(t, question.SignatureErr, "it is signed")
				assert.Equal(t, http.MethodPost, question.Method)
				assert.Equal(t, "hook.verification", question.Type)
				assert.Empty(t, handled, "it is no event")
				assert.Equal(t, hooks.Health{}, verified.Health)
				send(t, harness, e, hooks.Event{ID: "e" + strconv.Itoa(len(secret))})
				e.Settle()
				assert.Len(t, handled, 1)
				require.NoError(t, harness.Manager.Delete(t.Context(), "", e.Hook.ID))
			}
		}},
		{"each question has a challenge of its own", func(t *testing.T, harness *hookstest.Harness) {
			e := harness.Endpoint("*")
			e.Respond(echo)
			for range 2 {
				_, err := harness.Manager.Verify(t.Context(), "", e.Hook.ID)
				require.NoError(t, err)
			}
			first, second := e.Next(), e.Next()
			assert.NotEqual(t, first.ID, second.ID)
			assert.NotEqual(t, string(first.Data), string(second.Data))
			assert.Greater(t, len(first.Data), len(`{"challenge":""}`)+20, "it cannot be guessed")
		}},
		{"a change of URL ends it, another does not", func(t *testing.T, harness *hookstest.Harness) {
			e := harness.Endpoint("*")
			e.Respond(echo)
			_, err := harness.Manager.Verify(t.Context(), "", e.Hook.ID)
			require.NoError(t, err)
			for _, change := range []struct {
				change func(*hooks.Hook)
				want   bool
			}{
				{func(h *hooks.Hook) { h.Name = "shop" }, true},
				{func(h *hooks.Hook) { h.Disabled = true }, true},
				{func(h *hooks.Hook) { h.URL += "/elsewhere" }, false},
			} {
				h, err := harness.Manager.Update(t.Context(), "", e.Hook.ID, func(h *hooks.Hook) error {
					change.change(h)
					return nil
				})
				require.NoError(t, err)
				assert.Equal(t, change.want, h.Verified)
				assert.Equal(t, change.want, stored(t, harness.Manager, h).Verified)
			}
		}},
		{"a change meanwhile is a conflict", func(t *testing.T, harness *hookstest.Harness) {
			e := harness.Endpoint("*")
			e.Respond(func(w http.ResponseWriter, r *http.Request) {
				_, err := harness.Manager.Update(r.Context(), "", e.Hook.ID, func(h *hooks.Hook) error {
					h.URL += "/elsewhere"
					return nil
				})
				assert.NoError(t, err)
				echo(w, r)
			})
			_, err := harness.Manager.Verify(t.Context(), "", e.Hook.ID)
			assert.ErrorIs(t, err, hooks.ErrConflict)
			assert.False(t, stored(t, harness.Manager, e.Hook).Verified)
		}},
		{"a hook that is not there is not found", func(t *testing.T, harness *hookstest.Harness) {
			e := harness.Endpoint("*")
			_, err := harness.Manager.Verify(t.Context(), "another tenant", e.Hook.ID)
			assert.ErrorIs(t, err, hooks.ErrNotFound)
			assert.Empty(t, e.Requests())
		}},
	})
}

// echo repeats the challenge of a question.
func echo(w http.ResponseWriter, r *http.Request) {
	var question struct {
		Data struct {
			Challenge string `json:"challenge"`
		} `json:"data"`
	}
	if err := json.NewDecoder(r.Body).Decode(&question); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_ = json.NewEncoder(w).Encode(question.Data)
}

func TestVerificationOfAnEndpointThatDoesNot(t *testing.T) {
	echoing := func(status int) hookstest.Response {
		return func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			echo(w, r)
		}
	}
	stranger := newVerifier(t, otherSecret).Middleware(http.NotFoundHandler())
	tests := map[string]struct {
		response hookstest.Response
		class    hooks.ErrorClass
		status   int // 0: no response
	}{
		"no words":                {hookstest.Status(200), hooks.ClassBody, 200},
		"words that are not JSON": {hookstest.Status(200).Body("ok"), hooks.ClassBody, 200},
		"JSON without challenge":  {hookstest.Status(200).Body(`{"ok":true}`), hooks.ClassBody, 200},
		"another challenge":       {hookstest.Status(200).Body(`{"challenge":"x"}`), hooks.ClassBody, 200},
		"an empty challenge":      {hookstest.Status(200).Body(`{"challenge":""}`), hooks.ClassBody, 200},
		"an echo too long":        {echoing(200).LargeBody(1 << 20), hooks.ClassBody, 200},
		"its own request back": {
			func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }, hooks.ClassBody, 200,
		},
		"an echo with 500":        {echoing(500), hooks.ClassStatus, 500},
		"an echo with 302":        {echoing(302), hooks.ClassRedirect, 302},
		"404":                     {hookstest.Status(404), hooks.ClassStatus, 404},
		"410":                     {hookstest.Status(410), hooks.ClassStatus, 410},
		"another secret":          {stranger.ServeHTTP, hooks.ClassStatus, 401},
		"silence":                 {hookstest.Hang(), hooks.ClassTimeout, 0},
		"silence in the body":     {hookstest.Status(200).Body(`{"challenge":`).ThenHang(), hooks.ClassTimeout, 200},
		"a reset":                 {hookstest.Reset(), hooks.ClassConnect, 0},
		"bytes that are not HTTP": {hookstest.Garbage(), hooks.ClassHTTP, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				harness := hookstest.New(t)
				e := harness.EndpointFor(hookWith(testSecret))
				e.Respond(tt.response)
				start := time.Now()
				_, err := harness.Manager.Verify(t.Context(), "", e.Hook.ID)
				checkVerificationError(t, err, tt.class, tt.status)
				if tt.class == hooks.ClassTimeout {
					assert.Equal(t, 15*time.Second, time.Since(start))
				}
				assert.Equal(t, e.Hook, stored(t, harness.Manager, e.Hook), "the hook is as it was")
				asked := 1
				if tt.class == hooks.ClassConnect {
					asked = 2 // on a second connection
				}
				assert.Len(t, e.Requests(), asked)
				logs, err := harness.Manager.Logs(t.Context(), hooks.LogQuery{})
				require.NoError(t, err)
				assert.Empty(t, logs.Items)
			})
		})
	}
}

func checkVerificationError(t *testing.T, err error, class hooks.ErrorClass, status int) {
	t.Helper()
	var failure *hooks.AttemptError
	require.ErrorAs(t, err, &failure)
	assert.Equal(t, class, failure.Class)
	assert.NotEmpty(t, failure.Error())
	if status == 0 {
		assert.Nil(t, failure.Response)
		return
	}
	require.NotNil(t, failure.Response)
	assert.Equal(t, status, failure.Response.Status)
}

func TestVerificationOfAnEndpointThatIsNotThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		harness := hookstest.New(t)
		e := harness.Endpoint("*")
		e.Close()
		_, err := harness.Manager.Verify(t.Context(), "", e.Hook.ID)
		checkVerificationError(t, err, hooks.ClassConnect, 0)
		h, err := harness.Manager.Register(t.Context(), hooks.Hook{Events: []string{"*"}, URL: "http://nowhere.example"})
		require.NoError(t, err)
		_, err = harness.Manager.Verify(t.Context(), "", h.ID)
		checkVerificationError(t, err, hooks.ClassDNS, 0)

		swallowing := harness.Network.Listen("swallowing.example")
		defer func() { assert.NoError(t, swallowing.Close()) }()
		h, err = harness.Manager.Register(t.Context(), hooks.Hook{Events: []string{"*"}, URL: "http://swallowing.example", Timeout: time.Second})
		require.NoError(t, err)
		start := time.Now()
		_, err = harness.Manager.Verify(t.Context(), "", h.ID)
		checkVerificationError(t, err, hooks.ClassTimeout, 0)
		assert.Equal(t, time.Second, time.Since(start), "the hook's own timeout")
	})
}

func TestOnlyVerifiedHooksReceive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := runningHarness(t, speaks(verifying()))
		echo := hookstest.Response(func(w http.ResponseWriter, r *http.Request) {
			assert.Equal(t, "GET", r.Method)
			_, _ = fmt.Fprintf(w, `{"verification":%q}`, r.Header.Get("X-Challenge"))
		})
		r, hook := h.endpoint(hooks.Hook{Tenant: "acme", Events: []string{"*"}, Protocol: "verifying"})
		require.False(t, hook.Verified)
		event := hooks.Event{Tenant: "acme", Type: "a"}
		assert.Zero(t, h.trigger(event).Deliveries)

		for _, tt := range []struct {
			response hookstest.Response
			class    hooks.ErrorClass
			status   int
		}{
			{hookstest.Status(200).Body(`{"verification":"guess"}`), hooks.ClassBody, 200},
			{hookstest.Status(500).Body(`{"verification":"c4a1"}`), hooks.ClassStatus, 500},
			{hookstest.Redirect(302, "http://elsewhere.example/"), hooks.ClassStatus, 302},
			{hookstest.Hang(), hooks.ClassTimeout, 0},
			{hookstest.Reset(), hooks.ClassConnect, 0},
		} {
			r.Respond(tt.response)
			_, err := h.Verify(t.Context(), "acme", hook.ID)
			var failure *hooks.AttemptError
			require.ErrorAs(t, err, &failure)
			assert.Equal(t, tt.class, failure.Class)
			if tt.status > 0 {
				assert.Equal(t, tt.status, failure.Response.Status)
			}
			assert.Equal(t, hook, h.hook(hook.Ref()), "the hook stays as it was")
			assert.Zero(t, h.trigger(event).Deliveries)
		}

		r.Respond(echo, hookstest.Status(200))
		verified, err := h.Verify(t.Context(), "acme", hook.ID)
		require.NoError(t, err)
		assert.True(t, verified.Verified)
		assert.Equal(t, verified, h.hook(hook.Ref()))
		before := len(r.Requests())
		assert.Equal(t, 1, h.trigger(event).Deliveries)
		assert.Equal(t, "POST", r.Wait(before + 1)[before].Method)
		synctest.Wait()

		moved := h.update(hook.Ref(), func(hook *hooks.Hook) { hook.URL += "/new" })
		assert.False(t, moved.Verified)
		assert.Zero(t, h.trigger(event).Deliveries)
		assert.Len(t, h.attempts(hooks.LogQuery{Tenant: "acme"}), 1, "verifications are not logged")
	})
}

func TestVerifyNoticesAChangeMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := verifying()
		h := newHarness(t, speaks(p))
		_, hook := h.endpoint(hooks.Hook{Events: []string{"*"}, Protocol: "verifying"})
		p.verify = func(context.Context, hooks.Send, hooks.Hook) error {
			h.update(hook.Ref(), func(hook *hooks.Hook) { hook.URL = "http://elsewhere.example" })
			return nil
		}
		_, err := h.Verify(t.Context(), "", hook.ID)
		assert.ErrorIs(t, err, hooks.ErrConflict)
		assert.False(t, h.hook(hook.Ref()).Verified)
	})
}
