package hookstest_test

import (
	"bufio"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks/hookstest"
)

// A place is where receivers run.
type place struct {
	name string
	// run calls a test of the place, in a bubble where that is possible.
	run     func(t *testing.T, f func(*testing.T))
	receive func(t testing.TB, answers ...hookstest.Answer) *hookstest.Receiver
}

func places() []place {
	here := func(t *testing.T, f func(*testing.T)) { f(t) }
	return []place{
		{"tcp", here, hookstest.NewReceiver},
		{"tcp with tls", here, hookstest.NewTLSReceiver},
		{"memory", synctest.Test, func(t testing.TB, answers ...hookstest.Answer) *hookstest.Receiver {
			return new(hookstest.Network).Receiver(t, "shop.example", answers...)
		}},
		{"memory with tls", synctest.Test, func(t testing.TB, answers ...hookstest.Answer) *hookstest.Receiver {
			return new(hookstest.Network).TLSReceiver(t, "shop.example.com", answers...)
		}},
	}
}

// everywhere runs a test in all places.
func everywhere(t *testing.T, f func(t *testing.T, p place)) {
	for _, p := range places() {
		t.Run(p.name, func(t *testing.T) { p.run(t, func(t *testing.T) { f(t, p) }) })
	}
}

// post sends a webhook, without following redirects.
func post(ctx context.Context, r *hookstest.Receiver) (*http.Response, error) {
	client := *r.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL+"/in", strings.NewReader(`{"type":"order.paid"}`))
	if err != nil {
		return nil, err
	}
	return client.Do(req)
}

// exchange sends a webhook and reads the answer as far as it comes, at most
// 4 MiB of it.
func exchange(t *testing.T, ctx context.Context, r *hookstest.Receiver) (*http.Response, string, error) {
	t.Helper()
	answer, err := post(ctx, r)
	if err != nil {
		return nil, "", err
	}
	defer func() { assert.NoError(t, answer.Body.Close()) }()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 4<<20))
	return answer, string(body), err
}

func TestAnswersThatAreHTTP(t *testing.T) {
	tests := map[string]struct {
		answer hookstest.Answer
		status int
		header http.Header
		body   string
	}{
		"status": {answer: hookstest.Status(503), status: 503},
		"header and body": {
			answer: hookstest.Status(429).Body("slow").Header("Retry-After", "120").Body(" down"),
			status: 429, header: http.Header{"Retry-After": {"120"}}, body: "slow down",
		},
		"redirect": {
			answer: hookstest.Redirect(301, "http://elsewhere.example/"),
			status: 301, header: http.Header{"Location": {"http://elsewhere.example/"}},
		},
		"large body": {
			answer: hookstest.Status(200).Body("{").LargeBody(1 << 20),
			status: 200, body: "{" + strings.Repeat("x", 1<<20),
		},
		"huge header": {
			answer: hookstest.Status(200).HugeHeader(),
			status: 200,
			header: http.Header{"X-Huge": slices.Repeat([]string{strings.Repeat("x", 1014)}, 1024)},
		},
		"echo of one's own": {
			answer: func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) },
			status: 200, body: `{"type":"order.paid"}`,
		},
	}
	everywhere(t, func(t *testing.T, p place) {
		for name, tt := range tests {
			r := p.receive(t, tt.answer)
			answer, body, err := exchange(t, t.Context(), r)
			require.NoError(t, err, name)
			assert.Equal(t, tt.status, answer.StatusCode, name)
			assert.Equal(t, tt.body, body, name)
			for key := range tt.header {
				assert.Equal(t, tt.header[key], answer.Header[key], name)
			}
			r.Close()
		}
	})
}

func TestAnswersThatBreakOff(t *testing.T) {
	tests := map[string]struct {
		answer hookstest.Answer
		status int // 0: no answer
		body   string
		check  func(error) bool
	}{
		"reset":   {answer: hookstest.Reset(), check: isReset},
		"garbage": {answer: hookstest.Garbage(), check: func(err error) bool { return err != nil && !isReset(err) }},
		"reset in the body": {
			answer: hookstest.Status(200).Body(`{"ok":`).ThenReset(),
			status: 200, body: `{"ok":`, check: isReset,
		},
	}
	everywhere(t, func(t *testing.T, p place) {
		for name, tt := range tests {
			r := p.receive(t, tt.answer)
			answer, body, err := exchange(t, t.Context(), r)
			assert.True(t, tt.check(err), "%s: %v", name, err)
			if tt.status == 0 {
				assert.Nil(t, answer, name)
			} else if assert.NotNil(t, answer, name) {
				assert.Equal(t, tt.status, answer.StatusCode, name)
				assert.Equal(t, tt.body, body, name)
			}
			r.Close()
		}
	})
}

func isReset(err error) bool { return errors.Is(err, syscall.ECONNRESET) }

func TestAHugeHeaderIsOneMebibyte(t *testing.T) {
	r := hookstest.NewReceiver(t, hookstest.Status(200).HugeHeader())
	limits := map[int64]bool{1 << 20: false, 1<<20 + 4096: true}
	for limit, ok := range limits {
		transport := &http.Transport{MaxResponseHeaderBytes: limit, DisableKeepAlives: true}
		answer, err := (&http.Client{Transport: transport}).Get(r.URL)
		assert.Equal(t, ok, err == nil, "limit %d: %v", limit, err)
		if err == nil {
			assert.NoError(t, answer.Body.Close())
		}
	}
}

// A client that gives up ends the answer, at once and without an error.
func TestAnswersThatDoNotEnd(t *testing.T) {
	tests := map[string]struct {
		answer hookstest.Answer
		status int
	}{
		"hang":               {hookstest.Hang(), 0},
		"hang in the body":   {hookstest.Status(200).Body("half").ThenHang(), 200},
		"hang in the header": {hookstest.Status(202).ThenHang(), 202},
		"after a year":       {hookstest.Status(200).After(365 * 24 * time.Hour), 0},
		"endless":            {hookstest.Status(200).EndlessBody(0), 200},
		"endless and slow":   {hookstest.Status(200).EndlessBody(time.Minute), 200},
	}
	everywhere(t, func(t *testing.T, p place) {
		for name, tt := range tests {
			ended := make(chan struct{})
			r := p.receive(t, func(w http.ResponseWriter, r *http.Request) {
				defer close(ended)
				tt.answer(w, r)
			})
			ctx, cancel := context.WithCancel(t.Context())
			answers := make(chan int, 1)
			go func() {
				answer, err := post(ctx, r)
				if err != nil {
					answers <- 0
					return
				}
				answers <- answer.StatusCode
				<-ctx.Done()
				_ = answer.Body.Close() // the client hung up
			}()
			if tt.status == 0 {
				r.Wait(1)
				cancel()
			}
			assert.Equal(t, tt.status, <-answers, name)
			cancel()
			<-ended
			r.Close()
		}
	})
}

// What waits for its client is also ended by Close, and is not taken for an
// answer by the client.
func TestCloseEndsAnswers(t *testing.T) {
	answers := map[string]hookstest.Answer{
		"hang":             hookstest.Hang(),
		"hang in the body": hookstest.Status(200).Body("half").ThenHang(),
		"later":            hookstest.Status(200).After(24 * time.Hour),
		"endless":          hookstest.Status(200).EndlessBody(0),
		"endless and slow": hookstest.Status(200).EndlessBody(time.Hour),
		"endless, no body": hookstest.Status(204).EndlessBody(0),
	}
	everywhere(t, func(t *testing.T, p place) {
		for name, answer := range answers {
			r := p.receive(t, answer)
			errs := make(chan error, 1)
			go func() {
				answer, err := post(t.Context(), r)
				if err == nil {
					_, err = io.Copy(io.Discard, answer.Body)
					_ = answer.Body.Close() // what counts is the error of reading it
				}
				errs <- err
			}()
			r.Wait(1)
			r.Close()
			assert.True(t, <-errs != nil || name == "endless, no body", name)
			_, err := post(t.Context(), r)
			assert.ErrorIs(t, err, syscall.ECONNREFUSED, name)
			r.Close() // closing twice is no fault
		}
	})
}

// A body that is never sent does not fail to be sent when the client has gone.
func TestCloseEndsAnEndlessAnswerToHEAD(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		r := p.receive(t, hookstest.Status(200).EndlessBody(0))
		answer, err := r.Client().Head(r.URL)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		r.Close()
	})
}

func TestATimedBodyTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := new(hookstest.Network).Receiver(t, "shop.example",
			hookstest.Status(200).After(14*time.Second),
			hookstest.Status(200).EndlessBody(time.Second))
		start := time.Now()
		_, _, err := exchange(t, t.Context(), r)
		require.NoError(t, err)
		assert.Equal(t, 14*time.Second, time.Since(start))

		start = time.Now()
		answer, err := post(t.Context(), r)
		require.NoError(t, err)
		_, err = io.CopyN(io.Discard, answer.Body, 10<<10)
		require.NoError(t, err)
		assert.Equal(t, 9*time.Second, time.Since(start))
		assert.NoError(t, answer.Body.Close())
	})
}

func TestTheScript(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		r := p.receive(t)
		statuses := func(n int) (all []int) {
			for range n {
				answer, _, err := exchange(t, t.Context(), r)
				require.NoError(t, err)
				all = append(all, answer.StatusCode)
			}
			return all
		}
		assert.Equal(t, []int{200, 200}, statuses(2), "no script")
		r.Answer(hookstest.Status(500), hookstest.Status(429), hookstest.Status(201))
		assert.Equal(t, []int{500, 429, 201, 201}, statuses(4), "the last answer repeats")
		r.Answer(hookstest.Status(500), hookstest.Status(429))
		assert.Equal(t, []int{500}, statuses(1))
		r.Answer(hookstest.Status(410))
		assert.Equal(t, []int{410, 410}, statuses(2), "a new script replaces the old one")
		r.Answer()
		assert.Equal(t, []int{200}, statuses(1), "no script again")
	})
}

func TestACertificateMustBeTrusted(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		r := p.receive(t)
		if !strings.HasPrefix(r.URL, "https:") {
			assert.Nil(t, r.Certificate())
			return
		}
		transport := r.Client().Transport.(*http.Transport).Clone()
		transport.TLSClientConfig.RootCAs = x509.NewCertPool()
		client := &http.Client{Transport: transport}
		defer client.CloseIdleConnections()
		_, err := client.Get(r.URL)
		var unknown x509.UnknownAuthorityError
		require.ErrorAs(t, err, &unknown)

		transport.TLSClientConfig.RootCAs.AddCert(r.Certificate())
		answer, err := client.Get(r.URL)
		require.NoError(t, err)
		assert.NoError(t, answer.Body.Close())
		assert.Equal(t, r.URL+"/", r.Next().URL.String())
	})
}

func TestRequestsThatBreakOffAreNotRecorded(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		r := p.receive(t)
		brokenOff := errors.New("the client broke off")
		_, err := r.Client().Post(r.URL, "application/json", io.MultiReader(strings.NewReader(`{"half":`), failing{brokenOff}))
		require.ErrorIs(t, err, brokenOff)
		_, _, err = exchange(t, t.Context(), r)
		require.NoError(t, err)
		assert.Len(t, r.Requests(), 1)
	})
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// A connection over which no request has come does not keep Close waiting.
func TestCloseEndsSilentConnections(t *testing.T) {
	r := hookstest.NewReceiver(t)
	c, err := net.Dial("tcp", strings.TrimPrefix(r.URL, "http://"))
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	_, err = fmt.Fprint(c, "POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n")
	require.NoError(t, err)
	line, err := bufio.NewReader(c).ReadString('\n')
	require.NoError(t, err)
	assert.Equal(t, "HTTP/1.1 100 Continue\r\n", line)
	r.Close()
	assert.Empty(t, r.Requests())
}

// Outside of a bubble, where leaks fail the test by themselves, goroutines are
// looked for by name.
func TestNothingIsLeftRunning(t *testing.T) {
	t.Run("test", func(t *testing.T) {
		for _, p := range places()[:2] {
			for _, answer := range []hookstest.Answer{hookstest.Hang(), hookstest.Status(200).EndlessBody(0), hookstest.Reset(), hookstest.Status(200)} {
				r := p.receive(t, answer)
				ctx, cancel := context.WithCancel(t.Context())
				t.Cleanup(cancel)
				go func() {
					if answer, err := post(ctx, r); err == nil {
						_, _ = io.Copy(io.Discard, answer.Body) // ends in an error or not
						_ = answer.Body.Close()
					}
				}()
				r.Wait(1)
			}
		}
	})
	assert.NotContains(t, stacks(), "hookstest.(*Receiver).serve")
}

func stacks() string {
	buf := make([]byte, 1<<20)
	return string(buf[:runtime.Stack(buf, true)])
}
