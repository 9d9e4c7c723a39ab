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
	receive func(t testing.TB, responses ...hookstest.Response) *hookstest.Receiver
}

func places() []place {
	here := func(t *testing.T, f func(*testing.T)) { f(t) }
	return []place{
		{"tcp", here, hookstest.NewReceiver},
		{"tcp with tls", here, hookstest.NewTLSReceiver},
		{"memory", synctest.Test, func(t testing.TB, responses ...hookstest.Response) *hookstest.Receiver {
			return new(hookstest.Network).Receiver(t, "shop.example", responses...)
		}},
		{"memory with tls", synctest.Test, func(t testing.TB, responses ...hookstest.Response) *hookstest.Receiver {
			return new(hookstest.Network).TLSReceiver(t, "shop.example.com", responses...)
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

// exchange sends a webhook and reads the response as far as it comes, at most
// 4 MiB of it.
func exchange(t *testing.T, ctx context.Context, r *hookstest.Receiver) (*http.Response, string, error) {
	t.Helper()
	response, err := post(ctx, r)
	if err != nil {
		return nil, "", err
	}
	defer func() { assert.NoError(t, response.Body.Close()) }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 4<<20))
	return response, string(body), err
}

func TestResponsesThatAreHTTP(t *testing.T) {
	tests := map[string]struct {
		response hookstest.Response
		status   int
		header   http.Header
		body     string
	}{
		"status": {response: hookstest.Status(503), status: 503},
		"header and body": {
			response: hookstest.Status(429).Body("slow").Header("Retry-After", "120").Body(" down"),
			status:   429, header: http.Header{"Retry-After": {"120"}}, body: "slow down",
		},
		"redirect": {
			response: hookstest.Redirect(301, "http://elsewhere.example/"),
			status:   301, header: http.Header{"Location": {"http://elsewhere.example/"}},
		},
		"large body": {
			response: hookstest.Status(200).Body("{").LargeBody(1 << 20),
			status:   200, body: "{" + strings.Repeat("x", 1<<20),
		},
		"huge header": {
			response: hookstest.Status(200).HugeHeader(),
			status:   200,
			header:   http.Header{"X-Huge": slices.Repeat([]string{strings.Repeat("x", 1014)}, 1024)},
		},
		"echo of one's own": {
			response: func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) },
			status:   200, body: `{"type":"order.paid"}`,
		},
	}
	everywhere(t, func(t *testing.T, p place) {
		for name, tt := range tests {
			r := p.receive(t, tt.response)
			response, body, err := exchange(t, t.Context(), r)
			require.NoError(t, err, name)
			assert.Equal(t, tt.status, response.StatusCode, name)
			assert.Equal(t, tt.body, body, name)
			for key := range tt.header {
				assert.Equal(t, tt.header[key], response.Header[key], name)
			}
			r.Close()
		}
	})
}

func TestResponsesThatBreakOff(t *testing.T) {
	tests := map[string]struct {
		response hookstest.Response
		status   int // 0: no response
		body     string
		check    func(error) bool
	}{
		"reset":   {response: hookstest.Reset(), check: isReset},
		"garbage": {response: hookstest.Garbage(), check: func(err error) bool { return err != nil && !isReset(err) }},
		"reset in the body": {
			response: hookstest.Status(200).Body(`{"ok":`).ThenReset(),
			status:   200, body: `{"ok":`, check: isReset,
		},
	}
	everywhere(t, func(t *testing.T, p place) {
		for name, tt := range tests {
			r := p.receive(t, tt.response)
			response, body, err := exchange(t, t.Context(), r)
			assert.True(t, tt.check(err), "%s: %v", name, err)
			if tt.status == 0 {
				assert.Nil(t, response, name)
			} else if assert.NotNil(t, response, name) {
				assert.Equal(t, tt.status, response.StatusCode, name)
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
		response, err := (&http.Client{Transport: transport}).Get(r.URL)
		assert.Equal(t, ok, err == nil, "limit %d: %v", limit, err)
		if err == nil {
			assert.NoError(t, response.Body.Close())
		}
	}
}

// A client that gives up ends the response, at once and without an error.
func TestResponsesThatDoNotEnd(t *testing.T) {
	tests := map[string]struct {
		response hookstest.Response
		status   int
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
				tt.response(w, r)
			})
			ctx, cancel := context.WithCancel(t.Context())
			responses := make(chan int, 1)
			go func() {
				response, err := post(ctx, r)
				if err != nil {
					responses <- 0
					return
				}
				responses <- response.StatusCode
				<-ctx.Done()
				_ = response.Body.Close() // the client hung up
			}()
			if tt.status == 0 {
				r.Wait(1)
				cancel()
			}
			assert.Equal(t, tt.status, <-responses, name)
			cancel()
			<-ended
			r.Close()
		}
	})
}

// Close also ends what waits for its client, and the client does not take that for a
// complete response.
func TestCloseEndsResponses(t *testing.T) {
	responses := map[string]hookstest.Response{
		"hang":             hookstest.Hang(),
		"hang in the body": hookstest.Status(200).Body("half").ThenHang(),
		"later":            hookstest.Status(200).After(24 * time.Hour),
		"endless":          hookstest.Status(200).EndlessBody(0),
		"endless and slow": hookstest.Status(200).EndlessBody(time.Hour),
		"endless, no body": hookstest.Status(204).EndlessBody(0),
	}
	everywhere(t, func(t *testing.T, p place) {
		for name, response := range responses {
			r := p.receive(t, response)
			errs := make(chan error, 1)
			go func() {
				response, err := post(t.Context(), r)
				if err == nil {
					_, err = io.Copy(io.Discard, response.Body)
					_ = response.Body.Close() // what counts is the error of reading it
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
func TestCloseEndsAnEndlessResponseToHEAD(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		r := p.receive(t, hookstest.Status(200).EndlessBody(0))
		response, err := r.Client().Head(r.URL)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
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
		response, err := post(t.Context(), r)
		require.NoError(t, err)
		_, err = io.CopyN(io.Discard, response.Body, 10<<10)
		require.NoError(t, err)
		assert.Equal(t, 9*time.Second, time.Since(start))
		assert.NoError(t, response.Body.Close())
	})
}

func TestTheScript(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		r := p.receive(t)
		statuses := func(n int) (all []int) {
			for range n {
				response, _, err := exchange(t, t.Context(), r)
				require.NoError(t, err)
				all = append(all, response.StatusCode)
			}
			return all
		}
		assert.Equal(t, []int{200, 200}, statuses(2), "no script")
		r.Respond(hookstest.Status(500), hookstest.Status(429), hookstest.Status(201))
		assert.Equal(t, []int{500, 429, 201, 201}, statuses(4), "the last response repeats")
		r.Respond(hookstest.Status(500), hookstest.Status(429))
		assert.Equal(t, []int{500}, statuses(1))
		r.Respond(hookstest.Status(410))
		assert.Equal(t, []int{410, 410}, statuses(2), "a new script replaces the old one")
		r.Respond()
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
		response, err := client.Get(r.URL)
		require.NoError(t, err)
		assert.NoError(t, response.Body.Close())
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
			for _, response := range []hookstest.Response{hookstest.Hang(), hookstest.Status(200).EndlessBody(0), hookstest.Reset(), hookstest.Status(200)} {
				r := p.receive(t, response)
				ctx, cancel := context.WithCancel(t.Context())
				t.Cleanup(cancel)
				go func() {
					if response, err := post(ctx, r); err == nil {
						_, _ = io.Copy(io.Discard, response.Body) // ends in an error or not
						_ = response.Body.Close()
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
