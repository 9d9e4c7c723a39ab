package hooks_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
)

// What the log keeps of responses.

// respondWith is a response with these fields and no others.
func respondWith(status int, header http.Header) hookstest.Response {
	return func(w http.ResponseWriter, _ *http.Request) {
		for name, values := range header {
			w.Header()[name] = values
		}
		w.Header()["Date"] = nil
		w.WriteHeader(status)
	}
}

func TestTheHeaderThatTheLogKeeps(t *testing.T) {
	numberedFields := func(n, size int) http.Header {
		h := http.Header{"Content-Length": {"0"}}
		for i := range n {
			h[fmt.Sprintf("A%03d", i)] = []string{strings.Repeat("x", size-len("A000"))}
		}
		return h
	}
	with := func(h http.Header, name string, values ...string) http.Header {
		h[name] = values
		return h
	}
	const own = len("Content-Length") + len("0")
	for name, tt := range map[string]struct {
		sent      http.Header
		fields    int
		kept      map[string]int // how many values of these
		truncated bool
	}{
		"little":          {sent: numberedFields(3, 10), fields: 4},
		"50 fields":       {sent: numberedFields(49, 10), fields: 50},
		"51 fields":       {sent: numberedFields(50, 10), fields: 50, kept: map[string]int{"A000": 1, "A049": 1, "Content-Length": 0}, truncated: true},
		"8 KiB":           {sent: with(numberedFields(0, 0), "A", strings.Repeat("x", 8<<10-1-own)), fields: 2},
		"8 KiB and 1":     {sent: with(numberedFields(0, 0), "A", strings.Repeat("x", 8<<10-own)), fields: 1, kept: map[string]int{"A": 1}, truncated: true},
		"64 KiB":          {sent: numberedFields(30, 2<<10), fields: 4, kept: map[string]int{"A003": 1, "A004": 0, "Content-Length": 0}, truncated: true},
		"many of a name":  {sent: with(numberedFields(0, 0), "Set-Cookie", strings.Split(strings.Repeat("a=b ", 60), " ")[:60]...), fields: 50, kept: map[string]int{"Set-Cookie": 49}, truncated: true},
		"what is too big": {sent: with(numberedFields(2, 100), "A0", strings.Repeat("x", 9<<10)), fields: 3, kept: map[string]int{"A0": 0, "A001": 1}, truncated: true},
		"wanted first": {
			sent:   with(with(with(numberedFields(200, 300), "Retry-After", "7"), "Content-Type", "text/html"), "Location", "/x"),
			fields: 31, kept: map[string]int{"Retry-After": 1, "Content-Type": 1, "Location": 1, "A026": 1, "A027": 0}, truncated: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var judged http.Header
				h := runningHarness(t, speaks(&testProtocol{name: "seeing", judge: func(r hooks.Response) hooks.Verdict {
					judged = r.Header
					return hooks.Verdict{}
				}}))
				h.endpoint(hooks.Hook{Events: []string{"*"}, Protocol: "seeing", Schedule: once}, respondWith(500, tt.sent))
				h.trigger(hooks.Event{Type: "a"})
				synctest.Wait()
				assert.Equal(t, tt.sent, judged, "a protocol sees all of it")
				log := h.attempts(hooks.LogQuery{})
				require.Len(t, log, 1)
				got := log[0].Response
				assert.Equal(t, tt.truncated, got.HeaderTruncated)
				assert.False(t, got.Truncated)
				fields, size := 0, 0
				for name, values := range got.Header {
					assert.Equal(t, tt.sent[name][:len(values)], values)
					for _, value := range values {
						fields, size = fields+1, size+len(name)+len(value)
					}
				}
				assert.Equal(t, tt.fields, fields)
				assert.LessOrEqual(t, size, 8<<10)
				for name, n := range tt.kept {
					assert.Len(t, got.Header[name], n, name)
				}
			})
		})
	}
}

func TestTheBodyThatTheLogKeeps(t *testing.T) {
	for _, tt := range []struct{ limit, size, kept int }{
		{0, 16<<10 + 1, 16 << 10},
		{1, 1, 1},
		{1, 2, 1},
		{-1, 0, 0},
		{-1, 5, 0},
		{20 << 10, 20 << 10, 20 << 10},
		{20 << 10, 20<<10 + 1, 20 << 10},
		{1 << 20, 2 << 20, 1 << 20},
	} {
		t.Run(fmt.Sprintf("%d of %d", tt.limit, tt.size), func(t *testing.T) {
			h := newHarness(t, func(c *hooks.Config) { c.MaxResponse = tt.limit })
			r := h.receiver(hookstest.Status(200).LargeBody(int64(tt.size)))
			attempts, err := h.Test(t.Context(), hooks.Hook{URL: r.URL, Events: []string{"*"}}, hooks.Event{Type: "a"})
			require.NoError(t, err)
			assert.Equal(t, hooks.Succeeded, attempts[0].State, attempts[0].Error)
			assert.Len(t, attempts[0].Response.Body, tt.kept)
			assert.Equal(t, tt.kept < tt.size, attempts[0].Response.Truncated)
		})
	}
}
