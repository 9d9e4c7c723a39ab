package hooks_test

import (
	"fmt"
	"net/http"
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

// A neighbourhood is a Manager with a tenant, the neighbour, whose endpoint
// responds at once, and others that it must not notice.
type neighbourhood struct {
	*hooks.Manager
	t       *testing.T
	network *hookstest.Network
	stop    chan struct{}
	others  sync.WaitGroup
}

// tenants lets so many tenants trigger events for so many hooks each.
func (n *neighbourhood) tenants(tenants, count int, interval time.Duration, response hookstest.Response) {
	for i := range tenants {
		name := fmt.Sprintf("attacker-%d", i)
		for range count {
			n.hook(name, response)
		}
		n.others.Go(func() {
			time.Sleep(interval * time.Duration(i) / time.Duration(tenants))
			n.every(interval, func() { n.trigger(name) })
		})
	}
}

func (n *neighbourhood) hook(tenant string, response hookstest.Response) hooks.Hook {
	r := n.network.Receiver(n.t, fmt.Sprintf("%s.example.com", hooksID()), response)
	h, err := n.Register(n.t.Context(), hooks.Hook{Tenant: tenant, URL: r.URL, Events: []string{"*"}})
	require.NoError(n.t, err)
	return h
}

var hooksID = func() func() string {
	var mu sync.Mutex
	n := 0
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		n++
		return fmt.Sprint(n)
	}
}()

func (n *neighbourhood) trigger(tenant string) {
	_, err := n.Trigger(n.t.Context(), hooks.Event{Tenant: tenant, Type: "a"})
	assert.NoError(n.t, err)
}

// every calls f at intervals until the end of the attack.
func (n *neighbourhood) every(interval time.Duration, f func()) {
	for {
		f()
		select {
		case <-n.stop:
			return
		case <-time.After(interval):
		}
	}
}

// waits lets the neighbour trigger an event each 100 ms beside others, and
// returns how long each took to arrive, and the longest of the first second.
func waits(t *testing.T, attack func(*neighbourhood), adjust ...func(*hooks.Config)) (waits []time.Duration, first time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		network := new(hookstest.Network)
		m := newManager(t, memory.New(memory.Options{}), network, adjust...)
		n := &neighbourhood{Manager: m, t: t, network: network, stop: make(chan struct{})}
		r := network.Receiver(t, "neighbour.example.com", hookstest.Status(200).After(time.Millisecond))
		_, err := m.Register(t.Context(), hooks.Hook{Tenant: "neighbour", URL: r.URL, Events: []string{"*"}})
		require.NoError(t, err)
		stop := start(t, m)
		attack(n)
		began := time.Now()
		const events = 60
		for range events {
			n.trigger("neighbour")
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(time.Second)
		requests := r.Requests()
		require.Len(t, requests, events, "the neighbour gets everything, once")
		for i, r := range requests {
			wait := r.ReceivedAt.Sub(began.Add(time.Duration(i) * 100 * time.Millisecond))
			waits = append(waits, wait)
			if i < 10 {
				first = max(first, wait)
			}
		}
		close(n.stop)
		n.others.Wait()
		stop()
	})
	slices.Sort(waits)
	return waits, first
}

// Alone, the neighbour's deliveries take no time in these tests. They take as good
// as none whatever the others do, from the first second on.
func TestNoTenantIsSlowerBecauseOfAnother(t *testing.T) {
	t.Parallel()
	const interval = 100 * time.Millisecond
	late := hookstest.Status(200).After(4 * time.Second)
	some := func(tenants, count int, response hookstest.Response) func(*neighbourhood) {
		return func(n *neighbourhood) { n.tenants(tenants, count, interval, response) }
	}
	seldom := func(tenants, count int, response hookstest.Response) func(*neighbourhood) {
		return func(n *neighbourhood) { n.tenants(tenants, count, time.Second, response) }
	}
	for name, attack := range map[string]func(*neighbourhood){
		"100 hooks that respond after 4 s":          some(1, 100, late),
		"8 hooks that respond after 2 s":            some(1, 8, hookstest.Status(200).After(2*time.Second)),
		"100 hooks that hang":                       some(1, 100, hookstest.Hang()),
		"20 tenants, 50 hooks, 4 s":                 seldom(20, 50, late),
		"200 tenants, 1 hook, 4 s":                  seldom(200, 1, late),
		"1,000 tenants, 1 hook that hangs":          seldom(1000, 1, hookstest.Hang()),
		"100 hooks whose responses trickle":         some(1, 100, hookstest.Status(200).EndlessBody(time.Second)),
		"100 hooks that redirect":                   some(1, 100, hookstest.Redirect(302, "https://example.com/").After(20*time.Millisecond)),
		"100 hooks that reset the connection":       some(1, 100, hookstest.Reset()),
		"100 hooks that are overloaded":             some(1, 100, hookstest.Status(429).After(time.Second)),
		"a burst of 10,000, 50 ms":                  burst(hookstest.Status(200).After(50 * time.Millisecond)),
		"a burst of 10,000 that hang":               burst(hookstest.Hang()),
		"registered anew all the time":              registeredAnew,
		"new tenants all the time":                  newTenants,
		"quick for 2 s, then after 4 s":             some(1, 100, turning(2*time.Second)),
		"20 tenants, quick for 2 s, then after 4 s": seldom(20, 50, turning(2*time.Second)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			waits, first := waits(t, attack)
			assert.LessOrEqual(t, waits[len(waits)*95/100], 50*time.Millisecond, "p95")
			assert.LessOrEqual(t, waits[len(waits)-1], 200*time.Millisecond, "the longest")
			assert.LessOrEqual(t, first, 100*time.Millisecond, "in the first second")
		})
	}
	t.Run("30 hooks that hang, 60 events each, 16 slots", func(t *testing.T) {
		t.Parallel()
		waits, first := waits(t, func(n *neighbourhood) {
			for range 30 {
				n.hook("attacker", hookstest.Hang())
			}
			for range 60 {
				n.trigger("attacker")
			}
		}, func(c *hooks.Config) { c.MaxInFlight = 16 })
		assert.LessOrEqual(t, waits[len(waits)-1], 100*time.Millisecond, "the longest")
		assert.LessOrEqual(t, first, 100*time.Millisecond, "in the first second")
	})
}

// burst is 10,000 deliveries at once.
func burst(response hookstest.Response) func(*neighbourhood) {
	return func(n *neighbourhood) {
		for range 20 {
			n.hook("attacker", response)
		}
		_, err := n.TriggerBatch(n.t.Context(), slices.Repeat([]hooks.Event{{Tenant: "attacker", Type: "a"}}, 500)...)
		require.NoError(n.t, err)
	}
}

// registeredAnew deletes and registers a tenth of a hundred hooks that hang, each
// 100 ms.
func registeredAnew(n *neighbourhood) {
	var registered []hooks.Hook
	for range 100 {
		registered = append(registered, n.hook("attacker", hookstest.Hang()))
	}
	n.others.Go(func() {
		n.every(100*time.Millisecond, func() {
			n.trigger("attacker")
			for range 10 {
				assert.NoError(n.t, n.Delete(n.t.Context(), "attacker", registered[0].ID))
				registered = append(registered[1:], n.hook("attacker", hookstest.Hang()))
			}
		})
	})
}

// newTenants has two tenants more each 50 ms, whose hooks hang.
func newTenants(n *neighbourhood) {
	i := 0
	n.others.Go(func() {
		n.every(25*time.Millisecond, func() {
			i++
			name := fmt.Sprintf("attacker-%d", i)
			for range 5 {
				n.hook(name, hookstest.Hang())
			}
			n.trigger(name)
		})
	})
}

// turning responds at once for so long, and late from then on.
func turning(quick time.Duration) hookstest.Response {
	began := time.Now()
	var once sync.Once
	return func(w http.ResponseWriter, r *http.Request) {
		once.Do(func() { began = time.Now() })
		if time.Since(began) > quick {
			time.Sleep(4 * time.Second)
		}
		w.WriteHeader(http.StatusOK)
	}
}
