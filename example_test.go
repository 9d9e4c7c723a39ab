package hooks_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/memory"
)

// The Go code in the README and in docs is taken from the examples, which run.
func TestReadmeShowsTestedCode(t *testing.T) {
	lines := func(code string) string {
		trimmed := ""
		for line := range strings.Lines(code) {
			trimmed += strings.TrimSpace(line) + "\n"
		}
		return trimmed
	}
	tested := ""
	for _, file := range []string{"example_test.go", "protocol_test.go", "hookstest/example_test.go", "httpadapter/logto/example_test.go", "httpadapter/okta/example_test.go", "httpadapter/webitel/example_test.go", "sqlite/example_test.go", "postgres/example_test.go", "hookstest/example_sqlite_test.go", "receive/example_test.go", "store/copy_test.go"} {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		tested += lines(string(source))
	}
	for _, page := range []string{"README.md", "docs/testing.md", "docs/transactions.md", "docs/rest-apis.md", "docs/receiving.md", "docs/security.md", "docs/stores.md"} {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllSubmatch(text, -1)
		require.NotEmpty(t, blocks)
		for _, block := range blocks {
			if !strings.Contains(tested, lines(string(block[1]))) {
				t.Errorf("no example has this code of %s:\n%s", page, block[1])
			}
		}
	}
}

func Example() {
	received := make(chan string, 1)
	partner := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var payload struct {
			Type string
			Data json.RawMessage
		}
		err := json.NewDecoder(r.Body).Decode(&payload)
		received <- fmt.Sprintf("received %s %s %v", payload.Type, payload.Data, err)
	}))
	ctx, stop := context.WithCancel(context.Background())

	m, err := hooks.New(memory.New(memory.Options{}), hooks.Config{
		AllowHTTP: true, AllowNetworks: []string{"127.0.0.0/8"}, // for endpoints on this machine
	})
	if err != nil {
		log.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- m.Run(ctx) }() // delivers until ctx ends

	_, err = m.Register(ctx, hooks.Hook{URL: partner.URL, Events: []string{"order.*"}})
	if err != nil {
		log.Fatal(err)
	}
	_, err = m.Trigger(ctx, hooks.Event{Type: "order.paid", Data: []byte(`{"order":42}`)})
	if err != nil {
		log.Fatal(err)
	}

	fmt.Println(<-received)
	stop()
	if err := <-stopped; err != nil {
		log.Fatal(err)
	}
	for a, err := range m.AllLogs(context.Background(), hooks.LogQuery{}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("logged", a.EventType, a.Response.Status, a.State)
	}
	partner.Close()
	// Output:
	// received order.paid {"order":42} <nil>
	// logged order.paid 200 succeeded
}

// An event ID of one's own makes it safe to trigger again when it is not known
// whether the first time succeeded.
func ExampleManager_Trigger() {
	ctx := context.Background()
	m, err := hooks.New(memory.New(memory.Options{}), hooks.Config{})
	if err != nil {
		log.Fatal(err)
	}
	for _, h := range []hooks.Hook{
		{URL: "https://a.example.com", Events: []string{"*"}},
		{URL: "https://b.example.com", Events: []string{"order.paid"}, Filter: "data.total >= 100"},
		{URL: "https://c.example.com", Events: []string{"order.shipped"}},
	} {
		if _, err := m.Register(ctx, h); err != nil {
			log.Fatal(err)
		}
	}

	event := hooks.Event{ID: "order-42-paid", Type: "order.paid", Data: []byte(`{"total": 250}`)}
	receipt, err := m.Trigger(ctx, event)
	fmt.Println(receipt.EventID, "goes to", receipt.Deliveries, "hooks", err)
	_, err = m.Trigger(ctx, event)
	fmt.Println("again:", errors.Is(err, hooks.ErrDuplicate))
	// Output:
	// order-42-paid goes to 2 hooks <nil>
	// again: true
}

// The memory store has a stand-in for the transactions of a database.
func ExampleManager_TriggerTx() {
	ctx := context.Background()
	store := memory.New(memory.Options{})
	m, err := hooks.New(store, hooks.Config{})
	if err != nil {
		log.Fatal(err)
	}

	pay := func(order string, commit bool) error {
		tx := store.Begin()
		defer func() { _ = tx.Rollback() }() // does nothing after a commit
		// …the application's own changes, in the same transaction…
		if _, err := m.TriggerTx(ctx, tx, hooks.Event{ID: order + "-paid", Type: "order.paid"}); err != nil {
			return err
		}
		if !commit {
			return errors.New("the card was declined")
		}
		return tx.Commit()
	}
	fmt.Println(pay("order-1", true))
	fmt.Println(pay("order-2", false))

	for _, id := range []string{"order-1-paid", "order-2-paid"} {
		_, err := m.Event(ctx, "", id)
		fmt.Println(id, "is stored:", !errors.Is(err, hooks.ErrNotFound))
	}
	// Output:
	// <nil>
	// the card was declined
	// order-1-paid is stored: true
	// order-2-paid is stored: false
}

func ExampleManager_Update() {
	ctx := context.Background()
	m, err := hooks.New(memory.New(memory.Options{}), hooks.Config{})
	if err != nil {
		log.Fatal(err)
	}
	hook, err := m.Register(ctx, hooks.Hook{URL: "https://partner.example.com", Events: []string{"order.paid"}})
	if err != nil {
		log.Fatal(err)
	}

	hook, err = m.Update(ctx, hook.Tenant, hook.ID, func(h *hooks.Hook) error {
		h.Events = append(h.Events, "order.refunded")
		h.RateLimit = 10 // attempts a second
		return nil
	})
	fmt.Println(hook.Events, hook.Version, err)

	_, err = m.Update(ctx, hook.Tenant, hook.ID, func(h *hooks.Hook) error {
		h.URL = "http://partner.example.com"
		return nil
	})
	var invalid *hooks.InvalidError
	if errors.As(err, &invalid) {
		fmt.Println("refused because of the", invalid.Field)
	}
	// Output:
	// [order.paid order.refunded] 2 <nil>
	// refused because of the url
}

func ExampleManager_Logs() {
	partner := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "out of paper", http.StatusInternalServerError)
	}))
	ctx, stop := context.WithCancel(context.Background())
	m, err := hooks.New(memory.New(memory.Options{}), hooks.Config{
		AllowHTTP: true, AllowNetworks: []string{"127.0.0.0/8"},
		Observer: hooks.Observer{Attempt: func(hooks.Delivery, hooks.Attempt, *hooks.Event) { stop() }},
	})
	if err != nil {
		log.Fatal(err)
	}
	hook, err := m.Register(ctx, hooks.Hook{URL: partner.URL, Events: []string{"*"}})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := m.Trigger(ctx, hooks.Event{Type: "order.paid"}); err != nil {
		log.Fatal(err)
	}
	if err := m.Run(ctx); err != nil { // until the first attempt is stored
		log.Fatal(err)
	}

	ctx = context.Background()
	attempts, err := m.Logs(ctx, hooks.LogQuery{HookID: hook.ID, Since: time.Now().Add(-time.Hour)})
	if err != nil {
		log.Fatal(err)
	}
	for _, a := range attempts.Items {
		fmt.Printf("%s, attempt %d: %d %s\n", a.EventType, a.Number, a.Response.Status, a.Error)
	}
	deliveries, err := m.Deliveries(ctx, hooks.LogQuery{HookID: hook.ID, States: []hooks.State{hooks.Pending}})
	if err != nil {
		log.Fatal(err)
	}
	for _, d := range deliveries.Items {
		fmt.Printf("%s is %s after %d attempt\n", d.EventType, d.State, d.Attempts)
	}
	partner.Close()
	// Output:
	// order.paid, attempt 1: 500 the endpoint responded with 500 Internal Server Error
	// order.paid is pending after 1 attempt
}

// A partner was down for too long, is well again, and wants what it missed.
func ExampleManager_Replay() {
	responses := make(chan int, 1)
	partner := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(<-responses)
	}))
	attempted := make(chan hooks.Delivery, 1)
	m, err := hooks.New(memory.New(memory.Options{}), hooks.Config{
		AllowHTTP: true, AllowNetworks: []string{"127.0.0.0/8"},
		Observer: hooks.Observer{Attempt: func(d hooks.Delivery, _ hooks.Attempt, _ *hooks.Event) { attempted <- d }},
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- m.Run(ctx) }()
	hook, err := m.Register(ctx, hooks.Hook{
		URL: partner.URL, Events: []string{"*"}, Schedule: hooks.Retries(), // one attempt, no retry
	})
	if err != nil {
		log.Fatal(err)
	}

	responses <- http.StatusServiceUnavailable
	if _, err := m.Trigger(ctx, hooks.Event{Type: "order.paid"}); err != nil {
		log.Fatal(err)
	}
	d := <-attempted
	fmt.Println(d.State, "because", d.Reason)

	responses <- http.StatusOK
	n, err := m.Replay(ctx, hooks.LogQuery{
		HookID: hook.ID, Since: time.Now().Add(-24 * time.Hour), States: []hooks.State{hooks.Dead},
	})
	if err != nil {
		log.Fatal(err)
	}
	d = <-attempted
	fmt.Println(n, "redelivered,", d.State, "after", d.Attempts, "attempts")

	stop()
	fmt.Println(<-stopped)
	partner.Close()
	// Output:
	// dead because the endpoint responded with 503 Service Unavailable
	// 1 redelivered, succeeded after 2 attempts
	// <nil>
}

// A receiver has learned to verify ed25519 signatures, and the symmetric secret
// that it knew before is to sign no more.
func ExampleManager_RotateSecret() {
	ctx := context.Background()
	m, err := hooks.New(memory.New(memory.Options{}), hooks.Config{})
	if err != nil {
		log.Fatal(err)
	}
	hook, err := m.Register(ctx, hooks.Hook{URL: "https://partner.example.com", Events: []string{"*"}})
	if err != nil {
		log.Fatal(err)
	}
	old := hook.Secrets[0].Secret

	private, _ := hooks.NewKeyPair() // the public key is for the receiver
	hook, err = m.RotateSecret(ctx, hook.Tenant, hook.ID, hooks.Rotation{Secret: private})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(hook.Secrets), "secrets sign, the old one without an end:", hook.Secrets[1].ExpiresAt.IsZero())

	hook, err = m.Update(ctx, hook.Tenant, hook.ID, func(h *hooks.Hook) error {
		h.Secrets = slices.DeleteFunc(h.Secrets, func(s hooks.SigningSecret) bool { return s.Secret == old })
		return nil
	})
	fmt.Println(len(hook.Secrets), "secret signs,", err)
	// Output:
	// 2 secrets sign, the old one without an end: true
	// 1 secret signs, <nil>
}

func ExampleRetries() {
	fmt.Println(hooks.Retries(5*time.Second, time.Minute), "is three attempts")
	fmt.Println([]time.Duration{5 * time.Second, time.Minute}, "is two, the first after 5 s")
	// Output:
	// [0s 5s 1m0s] is three attempts
	// [5s 1m0s] is two, the first after 5 s
}

// The context of a trace travels in the event's metadata, which is stored with it
// and not sent, and becomes a header of each delivery.
func ExampleConfig_decorate() {
	partner := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		fmt.Println("received", r.Header.Get("traceparent"))
	}))
	cfg := hooks.Config{
		Decorate: func(e *hooks.Event, header http.Header) {
			if parent := e.Metadata["traceparent"]; parent != "" {
				header.Set("traceparent", parent)
			}
		},
	}
	cfg.AllowHTTP, cfg.AllowNetworks = true, []string{"127.0.0.0/8"}
	ended := make(chan hooks.Delivery, 1)
	cfg.Observer.Ended = func(d hooks.Delivery, _ *hooks.Event) { ended <- d }
	m, err := hooks.New(memory.New(memory.Options{}), cfg)
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- m.Run(ctx) }()
	if _, err := m.Register(ctx, hooks.Hook{URL: partner.URL, Events: []string{"*"}}); err != nil {
		log.Fatal(err)
	}
	_, err = m.Trigger(ctx, hooks.Event{
		Type: "order.paid", Metadata: map[string]string{"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
	})
	if err != nil {
		log.Fatal(err)
	}
	d := <-ended
	fmt.Println(d.EventType, d.State)
	stop()
	fmt.Println(<-stopped)
	partner.Close()
	// Output:
	// received 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
	// order.paid succeeded
	// <nil>
}

// The key comes from outside of the program and of its database.
func ExampleKey() {
	if err := os.Setenv("HOOKS_KEY", "c2l4dGVlbiBieXRlcyBhbmQgc2l4dGVlbiBtb3JlISE="); err != nil {
		log.Fatal(err)
	}
	key, err := base64.StdEncoding.DecodeString(os.Getenv("HOOKS_KEY")) // 32 bytes: openssl rand -base64 32
	if err != nil {
		log.Fatal(err)
	}
	cfg := hooks.Config{Keys: []hooks.Key{{ID: "2026-11", Secret: key}}}

	store := memory.New(memory.Options{}) // stands for one that keeps its data
	m, err := hooks.New(store, cfg)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	hook, err := m.Register(ctx, hooks.Hook{
		URL: "https://partner.example.com/", Events: []string{"*"}, Headers: map[string]string{"Authorization": "Bearer abc"},
	})
	if err != nil {
		log.Fatal(err)
	}
	stored, err := store.Hooks(ctx, hooks.HookQuery{IDs: []string{hook.ID}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("the store has", len(stored.Items[0].Secrets), "secrets and", len(stored.Items[0].Headers), "headers")
	hook, err = m.Hook(ctx, "", hook.ID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("the Manager has", len(hook.Secrets), "secret and", hook.Headers["Authorization"])
	fmt.Println(cfg.Keys, os.Unsetenv("HOOKS_KEY"))
	// Output:
	// the store has 0 secrets and 0 headers
	// the Manager has 1 secret and Bearer abc
	// [key 2026-11] <nil>
}
