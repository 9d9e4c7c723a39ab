package hookstest

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/memory"
)

// A Harness is a running Manager with a store and a network of its own, for one test.
// Its methods are for the goroutine of the test.
type Harness struct {
	Manager *hooks.Manager
	// Store is the Manager's store if that is in memory, otherwise nil; see
	// [Over]. Use its Begin to test code that calls [hooks.Manager.TriggerTx].
	Store *memory.Store
	// Network is the only one that the Manager reaches.
	Network *Network

	t         testing.TB
	endpoints int
}

// New returns a Harness with a store in memory, which stops when the test ends. Each
// adjust may change the configuration of its Manager, whose defaults are those of
// [hooks.Config] but for Dial (the network), AllowHTTP (true) and Logger (the output
// of the test).
//
// Called within [testing/synctest.Test], with the t of the bubble, all of it
// lives in the bubble: retries that take days take no time.
func New(t testing.TB, adjust ...func(*hooks.Config)) *Harness {
	t.Helper()
	return Over(t, memory.New(memory.Options{}), adjust...)
}

// Over is New with a store of the test's own, such as one in a SQLite file below
// t.TempDir(). If the test closes the store in t.Cleanup, it must call t.Cleanup
// before Over, so that the Manager stops first.
//
// A SQLite file works in a bubble if it is opened there. The bubble's clock stands
// still during calls of SQLite, so end each transaction before you wait for
// anything. In a bubble, PollInterval is a minute by default unless the store is a
// [hooks.Notifier], because each poll takes real time. So call
// [hooks.Manager.Wake] after a commit, or wait for that minute.
func Over(t testing.TB, store hooks.Store, adjust ...func(*hooks.Config)) *Harness {
	t.Helper()
	network := new(Network)
	cfg := hooks.Config{
		Dial:      network.Dial,
		AllowHTTP: true,
		Logger:    slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	if _, ok := store.(hooks.Notifier); !ok && inBubble() {
		cfg.PollInterval = time.Minute
	}
	for _, change := range adjust {
		change(&cfg)
	}
	m, err := hooks.New(store, cfg)
	if err != nil {
		t.Fatalf("hookstest: no manager: %v", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("hookstest: the manager failed: %v", err)
		}
	})
	inMemory, _ := store.(*memory.Store)
	return &Harness{Manager: m, Store: inMemory, Network: network, t: t}
}

// An Endpoint is a receiver that is registered as a hook.
type Endpoint struct {
	*Receiver
	// Hook is the hook as it was registered, with its ID and Secrets.
	Hook hooks.Hook

	manager *hooks.Manager
}

// Endpoint registers a hook of the tenant "" for these events ("order.paid",
// "order.*", "*") at a receiver of its own, which verifies the signatures and
// responds with 200 unless [Receiver.Respond] says otherwise.
func (r *Harness) Endpoint(events ...string) *Endpoint {
	r.t.Helper()
	return r.EndpointFor(hooks.Hook{Events: events})
}

// EndpointFor is Endpoint for a hook with more to it than Events. Its URL is
// replaced by the receiver's. Signatures are verified if the hook's protocol
// is Standard Webhooks. A hook that the Manager refuses ends the test.
func (r *Harness) EndpointFor(h hooks.Hook) *Endpoint {
	r.t.Helper()
	r.endpoints++
	receiver := r.Network.Receiver(r.t, fmt.Sprintf("endpoint-%d.example.com", r.endpoints))
	h.URL = receiver.URL
	h, err := r.Manager.Register(context.Background(), h)
	if err != nil {
		r.t.Fatalf("hookstest: no endpoint: %v", err)
	}
	if h.Protocol == hooks.StandardWebhooks {
		secrets := make([]hooks.Secret, len(h.Secrets))
		for i, s := range h.Secrets {
			secrets[i] = s.Secret
		}
		receiver.Verify(secrets...)
	}
	return &Endpoint{Receiver: receiver, Hook: h, manager: r.Manager}
}

// Settle waits until every delivery to the endpoint has ended (succeeded, dead
// or cancelled), retries included, and returns them, the latest first. It ends
// the test if that takes longer than e.Patience.
func (e *Endpoint) Settle() []hooks.Delivery {
	e.t.Helper()
	start := time.Now()
	for {
		all := e.deliveries()
		open := slices.IndexFunc(all, func(d hooks.Delivery) bool { return !d.State.Ended() })
		if open < 0 {
			return all
		}
		waited := time.Since(start)
		if waited >= e.Patience {
			d := all[open]
			e.t.Fatalf("hookstest: after %v, delivery %s of %s to %s is %s, with %d attempts: %s",
				waited, d.ID, d.EventType, e.URL, d.State, d.Attempts, d.Reason)
		}
		// A tenth more each time: prompt in real time, and few steps for days
		// of virtual time.
		time.Sleep(max(time.Millisecond, waited/10))
	}
}

// deliveries returns all deliveries to the endpoint, the latest first.
func (e *Endpoint) deliveries() []hooks.Delivery {
	e.t.Helper()
	var all []hooks.Delivery
	q := hooks.LogQuery{Tenant: e.Hook.Tenant, HookID: e.Hook.ID}
	for {
		page, err := e.manager.Deliveries(context.Background(), q)
		if err != nil {
			e.t.Fatalf("hookstest: no deliveries of hook %s: %v", e.Hook.ID, err)
		}
		all = append(all, page.Items...)
		if page.Next.IsZero() {
			return all
		}
		q.After = page.Next
	}
}
