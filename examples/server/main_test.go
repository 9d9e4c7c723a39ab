package main_test

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/internal/pgtest"
	"github.com/seed-2c6e3a5a/hooks/sqlite"
)

// program is the server, built.
var program string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "server")
		if err != nil {
			panic(err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		program = filepath.Join(dir, "server")
		if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
			panic(string(out))
		}
		return m.Run()
	}())
}

// A process is a server that runs, and a client of it.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	url   string
	token string
}

// start runs the server with -addr and the flags. Its token is T.
func start(t *testing.T, flags ...string) *process {
	t.Helper()
	return startWithToken(t, "T", flags...)
}

// startWithToken runs the server with -addr, the flags, and a token in its
// environment.
func startWithToken(t *testing.T, token string, flags ...string) *process {
	t.Helper()
	p := &process{t: t, token: token}
	p.cmd = exec.Command(program, append([]string{"-addr", "127.0.0.1:0"}, flags...)...)
	p.cmd.Stderr = t.Output()
	p.cmd.Env = append(os.Environ(), "HOOKS_TOKEN="+token)
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			_ = p.cmd.Process.Kill()
			_ = p.cmd.Wait()
		}
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if token, ok := strings.CutPrefix(lines.Text(), "token: "); ok {
			p.token = token
		}
		if url, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
			p.url = url
			return p
		}
	}
	require.FailNow(t, "the server does not listen")
	return nil
}

// terminate ends the server with SIGTERM, and expects it to exit well.
func (p *process) terminate() {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(p.t, p.cmd.Wait())
}

// do makes a request and returns status and body of the response. Headers are
// given as "Name: value"; without any, the token is sent.
func (p *process) do(method, path, body string, headers ...string) (int, string) {
	p.t.Helper()
	if len(headers) == 0 {
		headers = []string{"Authorization: Bearer " + p.token}
	}
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, p.url+path, strings.NewReader(body))
	require.NoError(p.t, err)
	r.Header.Set("Content-Type", "application/json")
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(r)
	require.NoError(p.t, err)
	defer func() { _ = res.Body.Close() }()
	response, err := io.ReadAll(res.Body)
	require.NoError(p.t, err)
	return res.StatusCode, strings.TrimSpace(string(response))
}

// hook makes a Logto hook and returns its ID and signing key.
func (p *process) hook(url string) (id, key string) {
	p.t.Helper()
	status, body := p.do("POST", "/api/hooks", `{"events":["User.Created"],"config":{"url":"`+url+`"}}`)
	require.Equal(p.t, 201, status, body)
	var hook struct{ ID, SigningKey string }
	require.NoError(p.t, json.Unmarshal([]byte(body), &hook))
	return hook.ID, hook.SigningKey
}

// A delivery is what a receiver got.
type delivery struct{ body, signature string }

// receiver responds to each request with the next status, the last one for ever.
func receiver(t *testing.T, statuses ...int) (url string, received chan delivery) {
	received = make(chan delivery, 100)
	next := make(chan int, len(statuses))
	for _, status := range statuses {
		next <- status
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if !assert.NoError(t, err) {
			return
		}
		received <- delivery{string(body), r.Header.Get("Logto-Signature-Sha-256")}
		status := statuses[len(statuses)-1]
		select {
		case status = <-next:
		default:
		}
		w.Header().Set("Retry-After", "2")
		w.WriteHeader(status)
	}))
	t.Cleanup(server.Close)
	return server.URL, received
}

func next(t *testing.T, received chan delivery) delivery {
	t.Helper()
	select {
	case d := <-received:
		return d
	case <-time.After(time.Minute):
		require.FailNow(t, "nothing was delivered")
		return delivery{}
	}
}

func TestAnEventIsDeliveredSigned(t *testing.T) {
	for _, store := range []string{"memory", "sqlite:" + filepath.Join(t.TempDir(), "hooks.db")} {
		p := start(t, "-dev", "-store", store)
		url, received := receiver(t, 200)
		_, key := p.hook(url)
		status, body := p.do("POST", "/trigger", `{"id":"e1","type":"User.Created","data":{"data":{"id":"u1"}}}`)
		assert.Equal(t, 202, status)
		assert.JSONEq(t, `{"id":"e1","deliveries":1}`, body)
		got := next(t, received)
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write([]byte(got.body))
		assert.Equal(t, hex.EncodeToString(mac.Sum(nil)), got.signature)
		assert.Contains(t, got.body, `"data":{"id":"u1"}`)
		p.terminate()
	}
}

func TestTokens(t *testing.T) {
	p := startWithToken(t, "", "-store", "memory")
	require.Greater(t, len(p.token), 20, "a token is made and printed")
	for _, header := range []string{
		"Authorization: Bearer " + p.token, "Authorization: bearer " + p.token, "Authorization: Bearer" + p.token,
		"Authorization: SSWS " + p.token, "Authorization: SSWS" + p.token, "X-Access-Token: " + p.token,
	} {
		for _, path := range []string{"/api/hooks", "/api/v1/eventHooks", "/api/v2/hooks?domain=default"} {
			status, _ := p.do("GET", path, "", header)
			assert.Equal(t, 200, status, header)
		}
		status, _ := p.do("POST", "/trigger", `{"type":"a"}`, header)
		assert.Equal(t, 202, status, header)
	}
	for path, want := range map[string]int{
		"/api/v2/hooks?domain=default&access_token=" + p.token: 200, "/api/v2/hooks?domain=default&access_token=wrong": 401,
		"/api/v2/hooks?domain=default&access_token=": 401, "/api/hooks?access_token=" + p.token: 401,
	} {
		status, _ := p.do("GET", path, "", "X-Nothing: 1")
		assert.Equal(t, want, status, path)
	}
	status, _ := startWithToken(t, "of-the-environment", "-store", "memory", "-token", "F").do("GET", "/api/hooks", "", "Authorization: Bearer F")
	assert.Equal(t, 200, status, "the flag wins")
	for header, code := range map[string]string{
		"X-Nothing: 1":                    "auth.authorization_header_missing",
		"X-Access-Token: wrong":           "auth.authorization_header_missing",
		"Authorization: Bearer wrong":     "auth.unauthorized",
		"Authorization: Basic " + p.token: "auth.authorization_token_type_not_supported",
	} {
		status, body := p.do("GET", "/api/hooks", "", header)
		assert.Equal(t, 401, status, header)
		assert.Contains(t, body, `"`+code+`"`, header)
		status, body = p.do("POST", "/trigger", `{"type":"a"}`, header)
		assert.Equal(t, 401, status, header)
		assert.Contains(t, body, "token", header)
	}
	status, body := p.do("GET", "/healthz", "", "X-Nothing: 1")
	assert.Equal(t, 200, status)
	assert.JSONEq(t, `{"status":"ok"}`, body)
}

// All APIs are in one mux, beside the application's own paths, and keep to their hooks.
func TestAllSystemsSideBySide(t *testing.T) {
	p := start(t, "-store", "memory")
	p.hook("https://example.com")
	for target, want := range map[string]string{
		"/api/hooks":                             `[{"tenantId":"default",`,
		"/api/v1/eventHooks":                     `[]`,
		"/api/v2/hooks?domain=default":           `{"status":"OK","data":[]}`,
		"/api/v2/hooks/?domain=default&limit=40": `{"status":"OK","data":[]}`,
	} {
		status, body := p.do("GET", target, "")
		assert.Equal(t, 200, status, target)
		assert.True(t, strings.HasPrefix(body, want), "%s: %s", target, body)
	}
	status, body := p.do("GET", "/api/v2/hooks", "")
	assert.Equal(t, 400, status)
	assert.Contains(t, body, "domain is required")
	status, body = p.do("GET", "/api/v2/hooks", "", "X-Access-Token: wrong", "Authorization: none")
	assert.Equal(t, 401, status)
	assert.Contains(t, body, "Invalid token")
}

func TestTriggerRefuses(t *testing.T) {
	p := start(t, "-store", "memory")
	status, _ := p.do("POST", "/trigger", `{"id":"taken","type":"a"}`)
	require.Equal(t, 202, status)
	status, body := p.do("POST", "/trigger", `{"id":"taken","type":"a","tenant":"another"}`)
	assert.Equal(t, 202, status, body)
	for name, c := range map[string]struct {
		body   string
		status int
		field  string
	}{
		"a duplicate":        {`{"id":"taken","type":"a"}`, 409, "id"},
		"a bad id":           {`{"id":"a b","type":"a"}`, 400, "id"},
		"no type":            {`{}`, 400, "type"},
		"a bad type":         {`{"type":"a b"}`, 400, "type"},
		"a type of type":     {`{"type":1}`, 400, "type"},
		"a long tenant":      {`{"type":"a","tenant":"` + strings.Repeat("x", 257) + `"}`, 400, "tenant"},
		"a long key":         {`{"type":"a","orderingKey":"` + strings.Repeat("x", 257) + `"}`, 400, "orderingKey"},
		"large data":         {`{"type":"a","data":"` + strings.Repeat("x", 300<<10) + `"}`, 400, "data"},
		"an unknown member":  {`{"type":"a","dat":{}}`, 400, "body"},
		"no JSON":            {`{"type":`, 400, "body"},
		"nothing":            {``, 400, "body"},
		"an array":           {`[]`, 400, "body"},
		"more than a value":  {`{"type":"a"}{}`, 400, "body"},
		"a body that is too": {`{"type":"a","data":"` + strings.Repeat("x", 600<<10) + `"}`, 413, ""},
	} {
		status, body := p.do("POST", "/trigger", c.body)
		assert.Equal(t, c.status, status, name)
		var got struct{ Error, Field string }
		require.NoError(t, json.Unmarshal([]byte(body), &got), name)
		assert.Equal(t, c.field, got.Field, name)
		assert.NotEmpty(t, got.Error, name)
	}
	for _, path := range []string{"/trigger", "/healthz"} {
		status, _ := p.do("DELETE", path, "")
		assert.Equal(t, 405, status, path)
	}
	status, body = p.do("GET", "/nothing", "")
	assert.Equal(t, 404, status)
	assert.JSONEq(t, `{"error":"not found"}`, body)
}

func TestWithoutDevNothingOfThisMachineIsReached(t *testing.T) {
	p := start(t, "-store", "memory")
	status, body := p.do("POST", "/api/hooks", `{"events":["User.Created"],"config":{"url":"http://127.0.0.1:1024/"}}`)
	assert.Equal(t, 422, status)
	assert.Contains(t, body, "hook.endpoint_not_allowed")

	url, received := receiver(t, 200)
	id, _ := p.hook(strings.Replace(url, "http://127.0.0.1", "https://localhost", 1))
	status, body = p.do("POST", "/api/hooks/"+id+"/test", `{"events":["User.Created"],"config":{"url":"`+strings.Replace(url, "127.0.0.1", "localhost", 1)+`"}}`)
	assert.Equal(t, 422, status)
	assert.Contains(t, body, "egress policy")
	status, _ = p.do("POST", "/trigger", `{"type":"User.Created"}`)
	assert.Equal(t, 202, status)
	require.Eventually(t, func() bool {
		_, body := p.do("GET", "/api/hooks/"+id+"/recent-logs", "")
		return strings.Contains(body, "the host name has no address that requests may go to")
	}, time.Minute, 10*time.Millisecond)
	assert.Empty(t, received)
}

// settled waits until no delivery in the file is being sent.
func settled(t *testing.T, file string) {
	t.Helper()
	store, err := sqlite.Open(t.Context(), file, sqlite.Options{})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		page, err := store.Deliveries(t.Context(), hooks.LogQuery{Tenant: "default", States: []hooks.State{hooks.Leased}})
		return assert.NoError(t, err) && len(page.Items) == 0
	}, time.Minute, 10*time.Millisecond)
	require.NoError(t, store.Close())
}

func TestARestartLosesNothing(t *testing.T) {
	for name, end := range map[string]func(*process){
		"SIGTERM": (*process).terminate,
		"SIGKILL": func(p *process) {
			require.NoError(t, p.cmd.Process.Kill())
			require.Error(t, p.cmd.Wait())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "hooks.db")
			flags := []string{"-dev", "-store", "sqlite:" + file}
			p := start(t, flags...)
			url, received := receiver(t, 503, 200)
			id, _ := p.hook(url)
			status, _ := p.do("POST", "/trigger", `{"id":"e1","type":"User.Created"}`)
			require.Equal(t, 202, status)
			first := next(t, received)
			// What a dead process was sending waits for the end of its lease, a
			// minute. So the first attempt has to be settled.
			settled(t, file)
			end(p)
			p = start(t, flags...)
			assert.Equal(t, first, next(t, received), "a retry has the same body and signature")
			require.Eventually(t, func() bool {
				_, body := p.do("GET", "/api/hooks/"+id+"?includeExecutionStats=1", "")
				return strings.Contains(body, `"successCount":1,"requestCount":1`)
			}, time.Minute, 10*time.Millisecond)
			p.terminate()
		})
	}
}

// Two servers over one database are one.
func TestServersShareAPostgresDatabase(t *testing.T) {
	t.Parallel()
	flags := []string{"-dev", "-store", pgtest.New(t).URL()}
	first := start(t, flags...)
	url, received := receiver(t, 200)
	id, _ := first.hook(url)
	second := start(t, flags...)
	status, _ := second.do("POST", "/trigger", `{"id":"e1","type":"User.Created"}`)
	require.Equal(t, 202, status)
	next(t, received)
	require.Eventually(t, func() bool {
		_, body := first.do("GET", "/api/hooks/"+id+"?includeExecutionStats=1", "")
		return strings.Contains(body, `"successCount":1,"requestCount":1`)
	}, time.Minute, 10*time.Millisecond)
	first.terminate()
	second.terminate()
}

func TestBadFlags(t *testing.T) {
	for _, flags := range [][]string{
		{"-store", "postgres:x"}, {"-store", "postgres:///x?host=/nowhere"}, {"-store", "sqlite:"}, {"-addr", "nowhere"}, {"extra"}, {"-store", "sqlite:" + filepath.Join(t.TempDir(), "no", "dir")},
	} {
		cmd := exec.Command(program, flags...)
		cmd.Dir = t.TempDir() // The store is there by default.
		out, err := cmd.CombinedOutput()
		require.Error(t, err, flags)
		assert.Contains(t, string(out), "server:", flags)
	}
}
