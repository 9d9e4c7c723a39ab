package hooks_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/memory"
)

// chat posts events as texts, as chat systems take them. It does not sign.
type chat struct{}

func (chat) Name() string { return "chat" }

func (chat) Traits() hooks.Traits {
	return hooks.Traits{Schedule: hooks.Retries(time.Second, time.Minute), Timeout: 5 * time.Second}
}

func (chat) NewSecret() (hooks.Secret, error) { return "", nil }

func (chat) Compile(h hooks.Hook) (hooks.Endpoint, error) {
	if h.Method != "" {
		return nil, &hooks.InvalidError{Field: "method", Reason: "must be empty for chat"}
	}
	u, err := url.Parse(h.URL)
	if err != nil {
		return nil, &hooks.InvalidError{Field: "url", Reason: "must be a URL"}
	}
	header := http.Header{"Content-Type": {"text/plain; charset=utf-8"}, "User-Agent": {"chat-example"}}
	for name, value := range h.Headers {
		header.Set(name, value)
	}
	return &channel{u, header}, nil
}

// A channel is the endpoint of a hook.
type channel struct {
	url    *url.URL
	header http.Header
}

func (*channel) Accepts(context.Context, *hooks.Event) (bool, error) { return true, nil }

func (c *channel) Request(_ context.Context, _ hooks.Send, msgs []hooks.Message) (hooks.Request, error) {
	e := msgs[0].Event
	return hooks.Request{URL: c.url, Header: c.header, Body: fmt.Appendf(nil, "%s: %s", e.Type, e.Data)}, nil
}

func (*channel) Judge(r hooks.Response) hooks.Verdict {
	return hooks.Verdict{
		Success:   r.Err == nil && r.Status == http.StatusOK,
		Permanent: r.Status == http.StatusForbidden,
		Throttle:  r.Status == http.StatusTooManyRequests,
	}
}

func (*channel) Verify(context.Context, hooks.Send) error { return nil }

// A protocol of the application's own, and a hook that uses it.
func ExampleProtocol() {
	received := make(chan string, 1)
	team := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		received <- fmt.Sprintf("%s %s %v", r.Header.Get("X-Team"), text, err)
	}))
	m, err := hooks.New(memory.New(memory.Options{}), hooks.Config{
		Protocols: []hooks.Protocol{chat{}},
		AllowHTTP: true, AllowNetworks: []string{"127.0.0.0/8"},
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- m.Run(ctx) }()

	_, err = m.Register(ctx, hooks.Hook{
		Protocol: "chat", URL: team.URL, Events: []string{"deploy.*"}, Headers: map[string]string{"X-Team": "shop"},
	})
	if err != nil {
		log.Fatal(err)
	}
	_, err = m.Trigger(ctx, hooks.Event{Type: "deploy.done", Data: []byte(`"v1.2.0"`)})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-received)
	stop()
	if err := <-stopped; err != nil {
		log.Fatal(err)
	}
	team.Close()
	// Output: shop deploy.done: "v1.2.0" <nil>
}
