package receive_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks/internal/signature/signaturetest"
	"github.com/seed-2c6e3a5a/hooks/receive"
)

// deliver gives the handler a signed request.
func deliver(t require.TestingT, h http.Handler, id, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header = signedHeader(t, id, body)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestMiddlewareHandsTheBodyOn(t *testing.T) {
	const body = `{"type":"order.paid","timestamp":"2026-01-01T00:00:00Z","data":{}}`
	var got string
	h := newVerifier(t, testSecret).Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		read, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		got = string(read)
		assert.EqualValues(t, len(body), r.ContentLength)
		assert.Equal(t, "msg_1", r.Header.Get("webhook-id"))
		assert.NoError(t, http.NewResponseController(w).Flush())
		w.WriteHeader(http.StatusAccepted)
	}))
	r := httptest.NewRequest(http.MethodPost, "/", io.NopCloser(strings.NewReader(body))) // of unknown length
	r.Header = signedHeader(t, "msg_1", body)
	original := r.Body
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	assert.Equal(t, body, got)
	assert.True(t, w.Flushed)
	assert.Equal(t, original, r.Body, "the caller's request must not change")
}

func TestMiddlewareRefuses(t *testing.T) {
	now := time.Now()
	large := strings.Repeat("x", 1<<20+1)
	old := now.Add(-time.Hour)
	challenge := `{"type":"hook.verification","timestamp":"2026-01-01T00:00:00Z","data":{"challenge":"c"}}`
	tests := []struct {
		name   string
		header http.Header
		body   io.Reader
		status int
		text   string
	}{
		{"unsigned", http.Header{}, strings.NewReader("body"), 401, "no webhook-id"},
		{"signed with another secret", signaturetest.Header("a", signaturetest.Unix(now), signaturetest.Reference(t, otherSecret, "a", now, "body")), strings.NewReader("body"), 401, "none matches"},
		{"old", signaturetest.Header("a", signaturetest.Unix(old), signaturetest.Reference(t, testSecret, "a", old, "body")), strings.NewReader("body"), 401, "old"},
		{"unsigned challenge", signaturetest.Header("a", signaturetest.Unix(now), "v1,c2lnbmVk"), strings.NewReader(challenge), 401, "none matches"},
		{"over 1 MiB", signedHeader(t, "a", large), strings.NewReader(large), 413, "too large"},
		{"broken off", signedHeader(t, "a", "body"), iotest.ErrReader(errors.New("secret cause")), 400, "not complete"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newVerifier(t, testSecret).Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				t.Error("refused requests must not reach the handler")
			}))
			r := httptest.NewRequest(http.MethodPost, "/", tt.body)
			r.Header = tt.header
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			assert.Equal(t, tt.status, w.Code)
			assert.Contains(t, w.Body.String(), tt.text)
			assert.NotContains(t, w.Body.String(), "secret cause")
			assert.NotContains(t, w.Body.String(), "challenge")
		})
	}
}

func TestMiddlewareBoundsTheBody(t *testing.T) {
	v := newVerifier(t, testSecret)
	v.MaxBody = 8
	h := v.Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	assert.Equal(t, 200, deliver(t, h, "a", "12345678").Code)
	assert.Equal(t, 413, deliver(t, h, "b", "123456789").Code)
}

func TestMiddlewareRespondsToTheVerificationQuestion(t *testing.T) {
	reached := 0
	h := newVerifier(t, testSecret).Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached++ }))
	question := `{"type":"hook.verification","timestamp":"2026-01-01T00:00:00Z","data":{"challenge":"a\"<é"}}`
	for range 2 {
		w := deliver(t, h, "msg_1", question)
		assert.Equal(t, 200, w.Code)
		assert.Equal(t, "application/json", w.Header().Get("Content-Type"))
		var response map[string]string
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &response))
		assert.Equal(t, map[string]string{"challenge": `a"<é`}, response)
	}
	assert.Zero(t, reached)

	for i, other := range []string{
		`{"type":"order.paid","data":{"challenge":"hook.verification"}}`,
		`{"type":"hook.verification","data":{}}`,
		`{"type":"hook.verification","data":{"challenge":1}}`,
		`hook.verification`,
	} {
		w := deliver(t, h, strconv.Itoa(i), other)
		assert.Equal(t, 200, w.Code)
		assert.Empty(t, w.Body.String())
		assert.Equal(t, i+1, reached, "%s is for the handler", other)
	}
}

func TestMiddlewareHandlesAWebhookOnce(t *testing.T) {
	tests := []struct {
		name     string
		response http.HandlerFunc
		again    bool
	}{
		{"nothing said", func(http.ResponseWriter, *http.Request) {}, false},
		{"200", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) }, false},
		{"204", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, false},
		{"a body", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }, false},
		{"early hints", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103); w.WriteHeader(200) }, false},
		{"early hints, then failure", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103); w.WriteHeader(500) }, true},
		{"failure after success", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200); w.WriteHeader(500) }, false},
		{"failure after a body", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok"); w.WriteHeader(500) }, false},
		{"302", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(302) }, true},
		{"404", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, true},
		{"500", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", 500) }, true},
		{"panic", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := newVerifier(t, testSecret)
			var handled []string
			v.Handled = func(_ context.Context, id string) { handled = append(handled, id) }
			calls := 0
			h := v.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if calls++; calls == 1 {
					tt.response(w, r)
				}
			}))
			func() {
				defer func() { _ = recover() }()
				deliver(t, h, "msg_1", "body")
			}()
			if tt.again {
				assert.Empty(t, handled)
			} else {
				assert.Equal(t, []string{"msg_1"}, handled)
			}
			for range 2 {
				assert.Equal(t, 200, deliver(t, h, "msg_1", "body").Code)
			}
			want := 1
			if tt.again {
				want = 2
			}
			assert.Equal(t, want, calls)
			assert.Equal(t, []string{"msg_1"}, handled)
			deliver(t, h, "msg_2", "body")
			assert.Equal(t, want+1, calls, "another id is another webhook")
		})
	}
}

func TestMiddlewareRemembersTheLast10000(t *testing.T) {
	calls := map[string]int{}
	h := newVerifier(t, testSecret).Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		calls[r.Header.Get("webhook-id")]++
	}))
	for i := range 10_001 {
		deliver(t, h, strconv.Itoa(i), "")
	}
	for _, id := range []string{"10000", "1", "0", "2", "1"} { // "0" was forgotten for "10000", and now takes the place of "1"
		deliver(t, h, id, "")
	}
	assert.Equal(t, []int{2, 2, 1, 1}, []int{calls["0"], calls["1"], calls["2"], calls["10000"]})
}

func TestMiddlewareHandlersRememberOnTheirOwn(t *testing.T) {
	v := newVerifier(t, testSecret)
	calls := 0
	for range 2 {
		h := v.Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls++ }))
		deliver(t, h, "msg_1", "body")
	}
	assert.Equal(t, 2, calls)
}

func TestMiddlewareRefusesWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		h := newVerifier(t, testSecret).Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if r.Header.Get("webhook-id") == "slow" {
				<-release
			}
		}))
		go func() { assert.Equal(t, 200, deliver(t, h, "slow", "body").Code) }()
		synctest.Wait()
		assert.Equal(t, 409, deliver(t, h, "slow", "body").Code)
		assert.Equal(t, 200, deliver(t, h, "other", "body").Code)
		close(release)
		synctest.Wait()
		assert.Equal(t, 200, deliver(t, h, "slow", "body").Code)
	})
}

func TestMiddlewareAsksTheApplication(t *testing.T) {
	v := newVerifier(t, testSecret)
	var log bytes.Buffer
	v.Logger = slog.New(slog.NewTextHandler(&log, nil))
	handled := map[string]bool{"before": true}
	v.Seen = func(_ context.Context, id string) (bool, error) {
		if id == "unknown" {
			return false, errors.New("database is down")
		}
		return handled[id], nil
	}
	v.Handled = func(ctx context.Context, id string) {
		assert.NoError(t, ctx.Err(), "a sender that is gone must not stop the record")
		handled[id] = true
	}
	var reached []string
	ctx, cancel := context.WithCancel(t.Context())
	h := v.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached = append(reached, r.Header.Get("webhook-id"))
		cancel()
	}))

	assert.Equal(t, 200, deliver(t, h, "before", "").Code)
	w := deliver(t, h, "unknown", "")
	assert.Equal(t, 503, w.Code)
	assert.NotContains(t, w.Body.String(), "database")
	assert.Empty(t, reached)
	assert.Equal(t, 1, strings.Count(log.String(), "\n"))
	assert.Contains(t, log.String(), `webhook_id=unknown error="database is down"`)

	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", nil)
	r.Header = signedHeader(t, "new", "")
	h.ServeHTTP(httptest.NewRecorder(), r)
	assert.Equal(t, 200, deliver(t, h, "new", "").Code)
	assert.Equal(t, []string{"new"}, reached)

	delete(handled, "new")
	deliver(t, h, "new", "")
	assert.Equal(t, []string{"new", "new"}, reached, "only the application remembers")
}

// A handler finds the headers under one name, whoever sent them, and a webhook of
// Svix is handled once as well.
func TestMiddlewareTakesTheHeadersOfSvix(t *testing.T) {
	v := newVerifier(t, testSecret)
	var handled []string
	h := v.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		assert.NoError(t, v.Verify(r.Header, body), "what was verified can be verified again")
		assert.Equal(t, r.Header.Get("svix-id"), r.Header.Get("webhook-id"))
		handled = append(handled, r.Header.Get("webhook-id"))
	}))
	for _, id := range []string{"a", "b", "a"} {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("body"))
		r.Header = svixHeader(signedHeader(t, id, "body"))
		before := r.Header.Clone()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		assert.Equal(t, 200, w.Code)
		assert.Equal(t, before, r.Header, "the caller's request must not change")
	}
	assert.Equal(t, []string{"a", "b"}, handled)
	assert.Equal(t, 401, func() int {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("body"))
		r.Header = svixHeader(signedHeader(t, "c", "another body"))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}())
}

func ExampleVerifier_Middleware() {
	verifier, err := receive.NewVerifier("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		panic(err)
	}
	endpoint := verifier.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Printf("handled %s: %s\n", r.Header.Get("webhook-id"), body)
	}))

	// A sender: any that keeps to Standard Webhooks.
	sender, err := standardwebhooks.NewWebhook("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		panic(err)
	}
	send := func(signed, sent string) {
		now := time.Now()
		signature, _ := sender.Sign("msg_1", now, []byte(signed))
		r := httptest.NewRequest(http.MethodPost, "/webhooks", strings.NewReader(sent))
		r.Header.Set("webhook-id", "msg_1")
		r.Header.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
		r.Header.Set("webhook-signature", signature)
		w := httptest.NewRecorder()
		endpoint.ServeHTTP(w, r)
		fmt.Println(w.Result().Status)
	}
	send(`{"type":"order.paid"}`, `{"type":"order.lost"}`) // changed on its way
	send(`{"type":"order.paid"}`, `{"type":"order.paid"}`)
	send(`{"type":"order.paid"}`, `{"type":"order.paid"}`) // sent again
	// Output:
	// 401 Unauthorized
	// handled msg_1: {"type":"order.paid"}
	// 200 OK
	// 200 OK
}
