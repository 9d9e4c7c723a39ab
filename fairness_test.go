package hooks_test

import (
	"fmt"
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
// answers at once, and others that it must not notice.
type neighbourhood struct {
	*hooks.Manager
	t       *testing.T
	network *hookstest.Network
	stop    chan struct{}
	others  sync.WaitGroup
}

// tenants lets so many tenants trigger events for so many hooks each.
func (n *neighbourhood) tenants(tenants, count int, interval time.Duration, answer hookstest.Answer) {
	for i := range tenants {
		name := fmt.Sprintf("attacker-%d", i)
		for range count {
			n.hook(name, answer)
		}
		n.others.Go(func() {
			time.Sleep(interval * time.Duration(i) / time.Duration(tenants))
			n.every(interval, func() { n.trigger(name) })
		})
	}
}

func (n *neighbourhood) hook(tenant string, answer hookstest.Answer) hooks.Hook {
	r := n.network.Receiver(n.t, fmt.Sprintf("%s.example.com", hooksID()), answer)
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
// returns how long each took to arrive.
func waits(t *testing.T, adjust func(*hooks.Config), attack func(*neighbourhood)) (waits []time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		network := new(hookstest.Network)
		configs := []func(*hooks.Config){}
		if adjust != nil {
			configs = append(configs, adjust)
		}
		m := newManager(t, memory.New(memory.Options{}), network, configs...)
		n := &neighbourhood{Manager: m, t: t, network: network, stop: make(chan struct{})}
		r := network.Receiver(t, "neighbour.example.com", hookstest.Status(200).After(time.Millisecond))
		_, err := m.Register(t.Context(), hooks.Hook{Tenant: "neighbour", URL: r.URL, Events: []string{"*"}})
		require.NoError(t, err)
		stop := start(t, m)
		attack(n)
		began := time.Now()
		const events = 100
		for range events {
			n.trigger("neighbour")
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(time.Second)
		requests := r.Requests()
		require.Len(t, requests, events, "the neighbour gets everything")
		for i, r := range requests {
			waits = append(waits, r.ReceivedAt.Sub(began.Add(time.Duration(i)*100*time.Millisecond)))
		}
		close(n.stop)
		n.others.Wait()
		stop()
	})
	slices.Sort(waits)
	return waits
}

var neighbours = map[string]struct {
	adjust func(*hooks.Config)
	attack func(*neighbourhood)
}{
	"one tenant, 100 hooks, 4 s": {attack: func(n *neighbourhood) {
		n.tenants(1, 100, 100*time.Millisecond, hookstest.Status(200).After(4*time.Second))
	}},
	"one tenant, 8 hooks, 2 s": {attack: func(n *neighbourhood) {
		n.tenants(1, 8, 100*time.Millisecond, hookstest.Status(200).After(2*time.Second))
	}},
	"one tenant, 100 hooks that hang": {attack: func(n *neighbourhood) {
		n.tenants(1, 100, 100*time.Millisecond, hookstest.Hang())
	}},
	"20 tenants, 100 hooks, 4 s": {attack: func(n *neighbourhood) {
		n.tenants(20, 100, 500*time.Millisecond, hookstest.Status(200).After(4*time.Second))
	}},
	"200 tenants, 1 hook, 4 s": {attack: func(n *neighbourhood) {
		n.tenants(200, 1, 100*time.Millisecond, hookstest.Status(200).After(4*time.Second))
	}},
	"2,000 tenants, 1 hook that hangs": {attack: func(n *neighbourhood) {
		n.tenants(2000, 1, time.Second, hookstest.Hang())
	}},
}

func TestNoTenantIsSlowerBecauseOfAnother(t *testing.T) {
	t.Parallel()
	for name, test := range neighbours {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := waits(t, test.adjust, test.attack)
			fmt.Println(name, got[50], got[95], got[99])
		})
	}
}
