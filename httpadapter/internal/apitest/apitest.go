// Package apitest is for tests of the REST APIs: it makes requests to a handler,
// and keeps their responses in golden files.
package apitest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/memory"
)

var update = flag.Bool("update", false, "write the golden files")

// A Request is one to an API.
type Request struct {
	line, body string
	headers    []string
}

// NewRequest returns a request of a method and a target, as in "GET /hooks".
// Headers are given as "Name: value". The body is JSON unless they say otherwise.
func NewRequest(line, body string, headers ...string) Request { return Request{line, body, headers} }

// A Response is what a handler responds with.
type Response struct {
	Status int
	Header http.Header
	Body   string
}

// To makes the request to a handler.
func (r Request) To(h http.Handler) Response {
	method, target, _ := strings.Cut(r.line, " ")
	request := httptest.NewRequestWithContext(context.Background(), method, target, strings.NewReader(r.body))
	request.Header.Set("Content-Type", "application/json")
	for _, header := range r.headers {
		name, value, _ := strings.Cut(header, ": ")
		request.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, request)
	return Response{w.Code, w.Header(), w.Body.String()}
}

// Want checks the status of a response and decodes its body.
func Want[T any](t testing.TB, a Response, status int) (value T) {
	t.Helper()
	require.Equal(t, status, a.Status, a.Body)
	require.NoError(t, json.Unmarshal([]byte(a.Body), &value), a.Body)
	return value
}

// Run returns a Manager that runs until the test ends.
func Run(t testing.TB, store hooks.Store, cfg hooks.Config) *hooks.Manager {
	t.Helper()
	m, err := hooks.New(store, cfg)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-ended)
	})
	return m
}

// Idle returns a Manager in memory that does not run, reaches no network, and takes
// any number of hooks.
func Idle(t testing.TB, protocol hooks.Protocol) *hooks.Manager {
	t.Helper()
	m, err := hooks.New(memory.New(memory.Options{}), hooks.Config{
		Protocols: []hooks.Protocol{protocol}, MaxHooks: -1,
		Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("there is no network")
		},
	})
	require.NoError(t, err)
	return m
}

// Fuzz asks the API of a Manager for whatever a fuzz target came up with. The
// response has to be JSON, if it has a body, and no failure of the API's own; what
// is refused changes no hook of the tenant "default".
func Fuzz(t *testing.T, m *hooks.Manager, api http.Handler, method, target, contentType, body string) Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://localhost", strings.NewReader(body))
	if err != nil {
		t.Skip("no server gets such a method")
	}
	if r.URL, err = r.URL.Parse(target); err != nil {
		t.Skip("no server gets such a target")
	}
	r.RequestURI = target
	r.Header.Set("Content-Type", contentType)
	stored := func() hooks.Page[hooks.Hook] {
		page, err := m.Hooks(t.Context(), hooks.HookQuery{Tenant: "default"})
		require.NoError(t, err)
		return page
	}
	before := stored()
	w := httptest.NewRecorder()
	api.ServeHTTP(w, r)
	assert.Less(t, w.Code, 500, w.Body)
	if w.Body.Len() > 0 {
		assert.True(t, json.Valid(w.Body.Bytes()), w.Body)
	}
	if w.Code >= 400 {
		assert.Equal(t, before, stored())
	}
	return Response{w.Code, w.Header(), w.Body.String()}
}

// Compact is JSON without white space.
func Compact(t testing.TB, value []byte) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, json.Compact(&b, value))
	return b.String()
}

// A Golden is a text of requests and their responses.
type Golden struct {
	// Headers are the names of the headers that are shown of a response.
	Headers []string
	// Names stand for texts that differ from run to run: in requests they are
	// replaced by the texts, in responses the texts by them.
	Names map[string]string
	// Hide replaces what else is random in responses.
	Hide func(string) string

	text strings.Builder
}

// Ask makes a request to a handler, and adds it and its response.
func (g *Golden) Ask(t testing.TB, h http.Handler, r Request) {
	t.Helper()
	fmt.Fprintf(&g.text, "=== %s\n", strings.Join(append([]string{r.line}, r.headers...), "\n"))
	switch {
	case len(r.body) > 1000:
		fmt.Fprintf(&g.text, "(%d bytes)\n", len(r.body))
	case r.body != "":
		fmt.Fprintln(&g.text, r.body)
	}
	for name, text := range g.Names {
		r.line, r.body = strings.ReplaceAll(r.line, name, text), strings.ReplaceAll(r.body, name, text)
	}
	a := r.To(h)
	fmt.Fprintf(&g.text, "--- %d\n", a.Status)
	for _, name := range g.Headers {
		for _, value := range a.Header.Values(name) {
			fmt.Fprintf(&g.text, "%s: %s\n", name, g.shown(value))
		}
	}
	if a.Body != "" {
		var indented bytes.Buffer
		require.NoError(t, json.Indent(&indented, []byte(a.Body), "", "  "), a.Body)
		fmt.Fprintln(&g.text, g.shown(indented.String()))
	}
	g.text.WriteString("\n")
}

func (g *Golden) shown(s string) string {
	for name, text := range g.Names {
		s = strings.ReplaceAll(s, text, name)
	}
	return g.Hide(s)
}

// Compare compares what was added with a file, or writes it there if the flag
// -update is set.
func (g *Golden) Compare(t testing.TB, file string) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(g.text.String()), 0o600))
	}
	golden, err := os.ReadFile(file)
	require.NoError(t, err)
	want, got := strings.Split(string(golden), "=== "), strings.Split(g.text.String(), "=== ")
	require.Len(t, got, len(want))
	for i := range want {
		assert.Equal(t, want[i], got[i])
	}
}

// A BrokenStore cannot read hooks.
type BrokenStore struct{ hooks.Store }

// Hooks fails.
func (BrokenStore) Hooks(context.Context, hooks.HookQuery) (hooks.Page[hooks.Hook], error) {
	return hooks.Page[hooks.Hook]{}, errors.New("the disk is on fire")
}
