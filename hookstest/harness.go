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
// Call its methods from the goroutine of the test only.
type Harness struct {
	Manager *hooks.Manager
	// Store is the Manager's store if that is in memory, otherwise nil; see
	// [Over]. Use its Begin to test code that calls [hooks.Manager.TriggerTx].
	Store *memory.Store
	// Network is the only network that the Manager reaches, unless Dial was changed.
	Network *Network

	t         testing.TB
	endpoints int
}

// New returns a Harness with a store in memory. It stops when the test ends. Each
// adjust may change the configuration of the Manager. The defaults are those of
// [hooks.Config], except for Dial (the network), AllowHTTP (true) and Logger (the
// output of the test). A configuration that [hooks.New] refuses ends the test.
//
// In [testing/synctest.Test], with the t of the bubble, all of it runs in the bubble:
// retries that take days take no time.
func New(t testing.TB, adjust ...func(*hooks.Config)) *Harness {
	t.Helper()
	return Over(t, memory.New(memory.Options{}), adjust...)
}

// Over is New with the given store, such as one in a SQLite file below t.TempDir(). If
// the test closes the store in t.Cleanup, it must call t.Cleanup before Over, so that
// the Manager stops first.
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
func (h *Harness) Endpoint(events ...string) *Endpoint {
	h.t.Helper()
	return h.EndpointFor(hooks.Hook{Events: events})
}

// EndpointFor is Endpoint for a hook with other fields than Events, too. It replaces
// the URL by the receiver's. The receiver verifies signatures if the hook's protocol is
// Standard Webhooks. A hook that the Manager refuses ends the test.
func (h *Harness) EndpointFor(hook hooks.Hook) *Endpoint {
	h.t.Helper()
	h.endpoints++
	receiver := h.Network.Receiver(h.t, fmt.Sprintf("endpoint-%d.example.com", h.endpoints))
	hook.URL = receiver.URL
	hook, err := h.Manager.Register(context.Background(), hook)
	if err != nil {
		h.t.Fatalf("hookstest: no endpoint: %v", err)
	}
	if hook.Protocol == hooks.StandardWebhooks {
		secrets := make([]hooks.Secret, len(hook.Secrets))
		for i, s := range hook.Secrets {
			secrets[i] = s.Secret
		}
		receiver.Verify(secrets...)
	}
	return &Endpoint{Receiver: receiver, Hook: hook, manager: h.Manager}
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
		// Each step is a tenth of the time waited so far: short ones in real time,
		// and few for days of virtual time.
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
