package hookstest_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
)

const (
	secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	other  = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
)

// sign makes the headers of a webhook with an implementation that is not ours.
func sign(t *testing.T, id string, at time.Time, body string) http.Header {
	t.Helper()
	wh, err := standardwebhooks.NewWebhook(secret)
	require.NoError(t, err)
	signature, err := wh.Sign(id, at, []byte(body))
	require.NoError(t, err)
	h := http.Header{}
	h.Set("webhook-id", id)
	h.Set("webhook-timestamp", fmt.Sprint(at.Unix()))
	h.Set("webhook-signature", signature)
	return h
}

func deliver(t *testing.T, r *hookstest.Receiver, url string, header http.Header, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, strings.NewReader(body))
	if !assert.NoError(t, err) {
		return
	}
	req.Header = header
	response, err := r.Client().Do(req)
	if assert.NoError(t, err) {
		assert.NoError(t, response.Body.Close())
	}
}

func TestWhatIsRecorded(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		r := p.receive(t)
		r.Verify(other, secret)
		const body = `{"type":"order.paid","timestamp":"2025-01-02T03:04:05.006Z","data":{"total": 1.50}}`
		before := time.Now()
		deliver(t, r, r.URL+"/in/1?a=b", sign(t, "msg_1", time.Now(), body), body)

		got := r.Next()
		assert.NoError(t, got.SignatureErr)
		assert.Equal(t, "PUT", got.Method)
		assert.Equal(t, r.URL+"/in/1?a=b", got.URL.String())
		assert.Equal(t, "msg_1", got.Header.Get("Webhook-Id"))
		assert.Equal(t, "msg_1", got.ID)
		assert.Equal(t, body, string(got.Body))
		assert.Equal(t, "order.paid", got.Type)
		assert.Equal(t, time.Date(2025, 1, 2, 3, 4, 5, 6e6, time.UTC), got.Timestamp)
		assert.Equal(t, `{"total": 1.50}`, string(got.Data))
		assert.False(t, got.ReceivedAt.Before(before) || got.ReceivedAt.After(time.Now()))
	})
}

func TestWhatIsRecordedOfSvix(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		r := p.receive(t)
		r.Verify(secret)
		header := http.Header{}
		for name, values := range sign(t, "msg_1", time.Now(), "{}") {
			header[strings.Replace(name, "Webhook-", "Svix-", 1)] = values
		}
		deliver(t, r, r.URL, header, "{}")
		got := r.Next()
		assert.NoError(t, got.SignatureErr)
		assert.Equal(t, "msg_1", got.ID)
	})
}

func TestBodiesThatAreNoEnvelope(t *testing.T) {
	r := hookstest.NewReceiver(t)
	for _, body := range []string{"", "text", "[]", `{"type":1}`, `{"type":"order.paid","timestamp":"yesterday"}`} {
		deliver(t, r, r.URL, http.Header{}, body)
		got := r.Next()
		assert.Equal(t, body, string(got.Body))
		assert.Empty(t, got.ID, body)
		assert.Empty(t, got.Type, body)
		assert.Zero(t, got.Timestamp, body)
		assert.Empty(t, got.Data, body)
	}
}

func TestSignatureErr(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := new(hookstest.Network).Receiver(t, "shop.example")
		const body = `{}`
		now := sign(t, "msg_1", time.Now(), body)
		check := func(header http.Header, body string, ok bool, name string) {
			t.Helper()
			deliver(t, r, r.URL, header, body)
			assert.Equal(t, ok, r.Next().SignatureErr == nil, name)
		}
		check(now, body, false, "no secrets given")
		r.Verify(secret)
		check(now, body, true, "right")
		check(now, body+" ", false, "another body")
		check(http.Header{}, body, false, "no signature")
		r.Verify(other)
		check(now, body, false, "another secret")
		r.Verify(secret)
		time.Sleep(6 * time.Minute)
		check(now, body, false, "old: the time is that of the bubble")
	})
}

func TestNextReturnsEachRequestOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := new(hookstest.Network).Receiver(t, "shop.example")
		start := time.Now()
		go func() {
			for i := range 3 {
				time.Sleep(24 * time.Hour)
				deliver(t, r, r.URL, http.Header{"Webhook-Id": {fmt.Sprint(i)}}, "")
			}
		}()
		assert.Equal(t, "0", r.Next().ID)
		assert.Equal(t, 24*time.Hour, time.Since(start))
		all := r.Wait(3)
		assert.Equal(t, 72*time.Hour, time.Since(start))
		assert.Len(t, all, 3)
		assert.Equal(t, "1", r.Next().ID)
		assert.Equal(t, "2", r.Next().ID)
		assert.Len(t, r.Wait(0), 3, "waiting for what has come returns all")
		assert.Equal(t, 72*time.Hour, time.Since(start))
		synctest.Wait() // for the last response
	})
}

// A fatal is a test that records how it was ended.
type fatal struct {
	testing.TB
	message string
}

func (f *fatal) Helper() {}
func (f *fatal) Fatalf(format string, args ...any) {
	f.message = fmt.Sprintf(format, args...)
	panic(f)
}

// fails returns the message with which f ended its test.
func fails(t *testing.T, f func(t testing.TB)) string {
	t.Helper()
	tb := &fatal{TB: t}
	assert.PanicsWithValue(t, tb, func() { f(tb) })
	return tb.message
}

func TestWaitGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		message := fails(t, func(t testing.TB) {
			r := new(hookstest.Network).Receiver(t, "shop.example")
			response, err := r.Client().Post(r.URL, "", strings.NewReader(`{"type":"order.paid"}`))
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			r.Wait(2)
		})
		assert.Equal(t, 7*24*time.Hour, time.Since(start))
		assert.Contains(t, message, "waited 168h0m0s for 2 requests to http://shop.example, got 1")
		assert.Contains(t, message, "POST http://shop.example/")

		start = time.Now()
		fails(t, func(t testing.TB) {
			r := new(hookstest.Network).Receiver(t, "shop.example")
			r.Patience = time.Hour
			r.Next()
		})
		assert.Equal(t, time.Hour, time.Since(start))
	})
}

func TestPatienceOutsideOfABubble(t *testing.T) {
	assert.Equal(t, 10*time.Second, hookstest.NewReceiver(t).Patience)
}

func TestASecretThatIsNoneEndsTheTest(t *testing.T) {
	message := fails(t, func(t testing.TB) {
		hookstest.NewReceiver(t).Verify(hooks.Secret("hunter2"))
	})
	assert.Contains(t, message, "no verifier")
	assert.NotContains(t, message, "hunter2")
}

func TestReceiversAreSafeForConcurrentUse(t *testing.T) {
	r := hookstest.NewReceiver(t)
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			r.Respond(hookstest.Status(201), hookstest.Status(202))
			r.Verify(secret)
			response, err := r.Client().Get(r.URL)
			if assert.NoError(t, err) {
				assert.NoError(t, response.Body.Close())
			}
			r.Requests()
		})
	}
	assert.Len(t, r.Wait(20), 20)
	group.Wait()
}
