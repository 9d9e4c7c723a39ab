package hooks_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
)

// decorates adds headers to every request.
func decorates(f func(*hooks.Event, http.Header)) func(*hooks.Config) {
	return func(c *hooks.Config) { c.Decorate = f }
}

// trace adds the event's ID as a traceparent would be.
func trace(e *hooks.Event, h http.Header) { h.Set("traceparent", "00-"+e.ID) }

// The headers of the application are sent on each attempt, and logged, whether or not the
// protocol signs and says what to log.
func TestDecoratedRequests(t *testing.T) {
	for _, name := range []string{hooks.StandardWebhooks, "plain"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				plain := speaks(&testProtocol{name: "plain"})
				h := runningHarness(t, decorates(trace), plain)
				r, hook := h.endpoint(hooks.Hook{
					Protocol: name, Events: []string{"*"}, Schedule: hooks.Retries(time.Minute), Headers: map[string]string{"X-Key": "s3cr3t"},
				}, hookstest.Status(500), hookstest.Status(200))
				if name == hooks.StandardWebhooks {
					r.Verify(hook.Secrets[0].Secret)
				}
				h.trigger(hooks.Event{ID: "e", Type: "order.paid"})
				pass(time.Hour)
				tested, err := h.Test(t.Context(), hook, hooks.Event{ID: "t", Type: "order.paid"})
				require.NoError(t, err)

				requests := r.Requests()
				require.Len(t, requests, 3)
				logged := append(h.attempts(hooks.LogQuery{PageQuery: hooks.PageQuery{OldestFirst: true}}), tested...)
				for i, want := range []string{"00-e", "00-e", "00-t"} {
					assert.Equal(t, []string{want}, requests[i].Header["Traceparent"])
					assert.Equal(t, []string{want}, logged[i].Request.Header["Traceparent"])
					assert.NotContains(t, fmt.Sprint(logged[i].Request.Header), "s3cr3t")
					if name == hooks.StandardWebhooks {
						assert.NoError(t, requests[i].SignatureErr)
					}
				}
				undecorated, err := h.manager(h.store, plain).Test(t.Context(), hook, hooks.Event{ID: "p", Type: "order.paid"})
				require.NoError(t, err)
				delete(logged[2].Request.Header, "Traceparent")
				assert.Equal(t, undecorated[0].Request.Header, logged[2].Request.Header, "the rest is logged as ever")
			})
		})
	}
}

// What the application must not set is not sent, the rest is, and the log tells once.
func TestDecorateCannotReplaceHeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := http.Header{
			"Webhook-Id": {"x"}, "webhook-signature": {"v1,x"}, "Webhook_Timestamp": {"1"}, "CONTENT-TYPE": {"text/plain"}, "user_agent": {"x"},
			"X-Of-The-Hook": {"x"}, "Host": {"x"}, "content-length": {"1"}, "Connection": {"close"}, "Transfer-Encoding": {"chunked"}, "Te": {"x"},
			"X-Broken": {"a\r\nX-Injected: b"}, "X-Nul": {"ok", "\x00"}, "X-Latin": {"caf\xe9"}, "no token": {"x"}, "": {"x"}, "X-Long": {strings.Repeat("x", 16<<10)},
		}
		var log bytes.Buffer
		h := runningHarness(t, func(c *hooks.Config) {
			c.Logger = slog.New(slog.NewTextHandler(&log, nil))
			c.Decorate = func(e *hooks.Event, header http.Header) {
				assert.Empty(t, header)
				for name, values := range bad {
					header[name] = slices.Clone(values)
				}
				header["x-lower"] = []string{"1"}
				header["X-Lower"] = []string{"2"}
				header.Add("Tracestate", "a=b")
				header.Add("Tracestate", "c=d")
				header["X-Nothing"] = nil
			}
		})
		r, hook := h.endpoint(hooks.Hook{Events: []string{"*"}, Headers: map[string]string{"x-of-the-hook": "mine"}})
		r.Verify(hook.Secrets[0].Secret)
		for range 3 {
			h.trigger(hooks.Event{Type: "a"})
		}
		synctest.Wait()
		requests := r.Requests()
		require.Len(t, requests, 3)
		attempts := h.attempts(hooks.LogQuery{})
		want := []string{"Accept-Encoding", "Content-Length", "Content-Type", "Tracestate", "User-Agent", "Webhook-Id", "Webhook-Signature", "Webhook-Timestamp", "X-Lower", "X-Of-The-Hook"}
		for i, request := range requests {
			assert.NoError(t, request.SignatureErr)
			names := []string{}
			for name := range request.Header {
				names = append(names, name)
			}
			assert.Subset(t, want, names)
			assert.Equal(t, "application/json", request.Header.Get("Content-Type"))
			assert.Equal(t, "mine", request.Header.Get("X-Of-The-Hook"))
			assert.Equal(t, []string{"2", "1"}, request.Header["X-Lower"])
			assert.Equal(t, []string{"a=b", "c=d"}, request.Header["Tracestate"])
			assert.Equal(t, []string{"a=b", "c=d"}, attempts[i].Request.Header["Tracestate"])
			assert.Equal(t, []string{"[redacted]"}, attempts[i].Request.Header["X-Of-The-Hook"])
			for name := range bad {
				if _, ok := request.Header[name]; !ok {
					assert.NotContains(t, attempts[i].Request.Header, name)
				}
			}
		}
		for name := range bad {
			assert.Equal(t, 1, strings.Count(log.String(), fmt.Sprintf("header=%s ", quoted(name))), "%q in %s", name, log.String())
		}
	})
}

// quoted is a value as slog's text handler writes it.
func quoted(s string) string {
	if s == "" || strings.Contains(s, " ") {
		return fmt.Sprintf("%q", s)
	}
	return s
}

func TestDecoratedHeadersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		h := runningHarness(t, func(c *hooks.Config) {
			c.Logger = slog.New(slog.NewTextHandler(&log, nil))
			c.Decorate = func(e *hooks.Event, header http.Header) {
				for i := range 1000 {
					header.Set(fmt.Sprintf("X-%s-%03d", e.ID, i), "1")
				}
			}
		})
		r, _ := h.endpoint(hooks.Hook{Events: []string{"*"}})
		for _, id := range []string{"A", "B"} {
			h.trigger(hooks.Event{ID: id, Type: "a"})
			n := 0
			for name := range r.Next().Header {
				if strings.HasPrefix(name, "X-"+id) {
					n++
				}
			}
			assert.Equal(t, 50, n)
		}
		assert.Equal(t, 100, strings.Count(log.String(), "\n"), "the log is bounded as well")
	})
}

// A request with several events is decorated for each of them.
func TestADecoratedBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, speaks(batching()), decorates(func(e *hooks.Event, header http.Header) {
			trace(e, header)
			header.Add("X-Event", e.ID)
		}))
		r, _ := h.endpoint(hooks.Hook{Events: []string{"*"}, Protocol: "batching", MaxBatch: 10})
		for _, id := range []string{"1", "2", "3"} {
			h.trigger(hooks.Event{ID: id, Type: "a"})
		}
		h.run(h.Manager)
		got := r.Next().Header
		assert.Equal(t, []string{"1", "2", "3"}, got["X-Event"])
		assert.Equal(t, []string{"00-3"}, got["Traceparent"])
		for _, a := range h.attempts(hooks.LogQuery{}) {
			assert.Equal(t, []string{"1", "2", "3"}, a.Request.Header["X-Event"])
		}
	})
}

func TestDecorateThatPanicsOrEndsItsGoroutine(t *testing.T) {
	for name, end := range map[string]func(){"a panic": func() { panic("boom") }, "runtime.Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				h := runningHarness(t, decorates(func(e *hooks.Event, header http.Header) {
					trace(e, header)
					end()
				}), func(c *hooks.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
				r, hook := h.endpoint(hooks.Hook{Events: []string{"*"}})
				r.Verify(hook.Secrets[0].Secret)
				h.trigger(hooks.Event{ID: "e", Type: "a"})
				got := r.Next()
				assert.NoError(t, got.SignatureErr)
				assert.NotContains(t, got.Header, "Traceparent")
				synctest.Wait()
				assert.Equal(t, hooks.Succeeded, h.delivery("", "e").State)
				assert.Contains(t, log.String(), "Config.Decorate")
			})
		})
	}
}

// Only what carries an event is decorated: neither the question whether an
// endpoint wants the traffic nor what a protocol asks before a delivery.
func TestOtherRequestsAreNotDecorated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asking := verifying()
		asking.request = func(ctx context.Context, send hooks.Send, h hooks.Hook, msgs []hooks.Message) (hooks.Request, error) {
			req, err := post(h, msgs[0])
			send(ctx, req)
			return req, err
		}
		h := newHarness(t, decorates(trace), speaks(asking))
		r, hook := h.endpoint(hooks.Hook{Events: []string{"*"}, Protocol: "verifying", Verified: true})
		_, err := h.Verify(t.Context(), "", hook.ID)
		require.Error(t, err, "the endpoint does not repeat the header")
		assert.NotContains(t, r.Next().Header, "Traceparent")
		_, err = h.Test(t.Context(), hook, hooks.Event{Type: "a"})
		require.NoError(t, err)
		assert.NotContains(t, r.Next().Header, "Traceparent")
		assert.Contains(t, r.Next().Header, "Traceparent")
	})
}

// A protocol may send the same header with each request: what is added to one of
// them is in no other.
func TestDecorateLeavesTheHeaderOfTheProtocolAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := &testProtocol{name: "shared"}
		header := http.Header{"X-Shared": {"1"}}
		shared.request = func(_ context.Context, _ hooks.Send, h hooks.Hook, msgs []hooks.Message) (hooks.Request, error) {
			req, err := post(h, msgs[0])
			req.Header, req.LogHeader = header, header
			return req, err
		}
		h := runningHarness(t, speaks(shared), decorates(func(e *hooks.Event, header http.Header) { header.Set("X-Event-"+e.ID, "1") }))
		r, _ := h.endpoint(hooks.Hook{Events: []string{"*"}, Protocol: "shared"})
		for _, id := range []string{"A", "B"} {
			h.trigger(hooks.Event{ID: id, Type: "a"})
			got := r.Next().Header
			assert.Contains(t, got, "X-Event-"+id)
			assert.Contains(t, got, "X-Shared")
		}
		assert.NotContains(t, r.Requests()[1].Header, "X-Event-A")
		assert.Equal(t, http.Header{"X-Shared": {"1"}}, header)
	})
}
