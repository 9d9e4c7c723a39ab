package hooks_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
	"github.com/seed-2c6e3a5a/hooks/memory"
)

// A harness is an application under test: a Manager with a store in memory. It reaches a
// network of its own, or the loopback interface (see loopbackHarness). Its methods end the
// test if something fails that must not.
type harness struct {
	*hooks.Manager
	t         testing.TB
	check     require.TestingT // t, or that of a property
	store     *memory.Store
	network   *hookstest.Network // nil: the loopback interface
	receivers int
	// observed and disabled get what the observer is called with, if the network is the
	// loopback interface.
	observed chan observed
	disabled chan hooks.Hook
}

// newHarness returns a harness whose Manager does not run yet.
func newHarness(t testing.TB, adjust ...func(*hooks.Config)) *harness {
	h := &harness{t: t, check: t, store: memory.New(memory.Options{}), network: new(hookstest.Network)}
	h.Manager = h.manager(h.store, adjust...)
	return h
}

// runningHarness returns a harness, in a bubble, whose Manager runs until the test ends.
func runningHarness(t testing.TB, adjust ...func(*hooks.Config)) *harness {
	h := newHarness(t, adjust...)
	h.run(h.Manager)
	return h
}

// manager returns another Manager.
func (h *harness) manager(store hooks.Store, adjust ...func(*hooks.Config)) *hooks.Manager {
	cfg := hooks.Config{AllowHTTP: true, Logger: slog.New(slog.DiscardHandler)}
	if h.network != nil {
		cfg.Dial = h.network.Dial
	}
	for _, change := range adjust {
		change(&cfg)
	}
	m, err := hooks.New(store, cfg)
	require.NoError(h.check, err)
	return m
}

// start runs a Manager until stop is called or the test ends.
func (h *harness) start(m *hooks.Manager) (stop func()) {
	ctx, cancel := context.WithCancel(h.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		assert.NoError(h.check, <-ended)
	})
	h.t.Cleanup(stop)
	return stop
}

// run is start in a bubble. It returns when the Manager is ready to take deliveries over
// from triggers.
func (h *harness) run(m *hooks.Manager) (stop func()) {
	stop = h.start(m)
	synctest.Wait()
	return stop
}

// receiver returns a receiver at an address of its own.
func (h *harness) receiver(responses ...hookstest.Response) *hookstest.Receiver {
	h.receivers++
	return h.network.Receiver(h.t, fmt.Sprintf("receiver-%d.example", h.receivers), responses...)
}

// endpoint registers a hook at a receiver of its own.
func (h *harness) endpoint(hook hooks.Hook, responses ...hookstest.Response) (*hookstest.Receiver, hooks.Hook) {
	r := h.receiver(responses...)
	hook.URL = r.URL
	return r, h.register(hook)
}

func (h *harness) register(hook hooks.Hook) hooks.Hook {
	hook, err := h.Register(h.t.Context(), hook)
	require.NoError(h.check, err)
	return hook
}

// hook returns a hook as it is stored.
func (h *harness) hook(ref hooks.Ref) hooks.Hook {
	hook, err := h.Hook(h.t.Context(), ref.Tenant, ref.ID)
	require.NoError(h.check, err)
	return hook
}

func (h *harness) update(ref hooks.Ref, change func(*hooks.Hook)) hooks.Hook {
	hook, err := h.Update(h.t.Context(), ref.Tenant, ref.ID, func(hook *hooks.Hook) error {
		change(hook)
		return nil
	})
	require.NoError(h.check, err)
	return hook
}

func (h *harness) trigger(e hooks.Event) hooks.Receipt {
	receipt, err := h.Trigger(h.t.Context(), e)
	require.NoError(h.check, err)
	return receipt
}

// deliveries returns all deliveries that match, newest first.
func (h *harness) deliveries(q hooks.LogQuery) []hooks.Delivery {
	var all []hooks.Delivery
	for d, err := range h.AllDeliveries(h.t.Context(), q) {
		require.NoError(h.check, err)
		all = append(all, d)
	}
	return all
}

// delivery returns the only delivery of an event.
func (h *harness) delivery(tenant, eventID string) hooks.Delivery {
	all := h.deliveries(hooks.LogQuery{Tenant: tenant, EventID: eventID})
	require.Len(h.check, all, 1)
	return all[0]
}

// attempts returns all attempts that match, newest first.
func (h *harness) attempts(q hooks.LogQuery) []hooks.Attempt {
	var all []hooks.Attempt
	for a, err := range h.AllLogs(h.t.Context(), q) {
		require.NoError(h.check, err)
		all = append(all, a)
	}
	return all
}

// inBubble runs one check of a property in a bubble of its own. What a check
// draws, skips and fails within counts.
func inBubble(t *testing.T, f func(t *testing.T)) {
	var fault any
	synctest.Test(t, func(t *testing.T) {
		defer func() { fault = recover() }()
		f(t)
	})
	if fault != nil {
		panic(fault)
	}
}

// A record is a list that goroutines may add to while the test reads it.
type record[T any] struct {
	mu   sync.Mutex
	list []T
}

func (r *record[T]) add(v T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, v)
}

func (r *record[T]) all() []T {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.list)
}

// pass lets time pass in a bubble, and waits for all that happens then.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func hookIDs(list []hooks.Hook) []string {
	ids := make([]string, len(list))
	for i, h := range list {
		ids[i] = h.ID
	}
	return ids
}

func eventIDs(list []hooks.Delivery) []string {
	ids := make([]string, len(list))
	for i, d := range list {
		ids[i] = d.EventID
	}
	return ids
}

func receivedIDs(r *hookstest.Receiver) []string {
	var ids []string
	for _, request := range r.Requests() {
		ids = append(ids, request.ID)
	}
	return ids
}

func deliveryIDs(list []hooks.Delivery) []string {
	ids := make([]string, len(list))
	for i, d := range list {
		ids[i] = d.ID
	}
	return ids
}

// attemptIDs names attempts by delivery and number.
func attemptIDs(list []hooks.Attempt) []string {
	ids := make([]string, len(list))
	for i, a := range list {
		ids[i] = fmt.Sprint(a.DeliveryID, " ", a.Number)
	}
	return ids
}
