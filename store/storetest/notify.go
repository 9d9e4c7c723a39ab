package storetest

import (
	"sync/atomic"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

// soon is when a wake that has not come counts as lost.
const soon = 10 * time.Second

var notifyRules = []rule{
	{"hooks", "Notify makes the store call wake whenever hooks may have changed, by whatever process.", func(c *check) {
		n, w := c.notifier(), c.with(c.second())
		h := plainHook(home, "a")
		wakes(c, n, "CreateHook", func() { w.create("a") })
		wakes(c, n, "UpdateHook", func() { w.ok(w.UpdateHook(c.Context(), h)) })
		wakes(c, n, "DeleteHook", func() { w.ok(w.DeleteHook(c.Context(), h.Ref(), start)) })
	}},
	{"deliveries", "Notify makes the store call wake whenever deliveries may have become due, by whatever process.", func(c *check) {
		n, w := c.notifier(), c.with(c.second())
		c.create("a", "b")
		wakes(c, n, "Enqueue", func() {
			w.enqueue(0, job{n: 1}, job{n: 2, key: "k"}, job{n: 3, key: "k"}, job{n: 4, key: "k"})
		})
		c.equal("claimed", sorted(c.take(0, many)), []int{1, 2})
		wakes(c, n, "Settle that gives a delivery back", func() {
			w.endWith(0, hooks.Settlement{DeliveryID: id(1), Token: 1, State: pending, Due: start})
		})
		wakes(c, n, "Settle that releases the next of a key", func() { w.end(0, 2, succeeded) })
		wakes(c, n, "Cancel that releases the next of a key", func() { w.cancel(0, 3) })
		w.cancel(0, 1)
		wakes(c, n, "Redeliver", func() { w.redeliver(0, 1) })
	}},
	{"listeners", "Each wake is called until its own stop.", func(c *check) {
		n := c.notifier()
		var stopped atomic.Int32
		stop := n.Notify(func() { stopped.Add(1) })
		woken := make(chan struct{}, 1)
		defer n.Notify(func() { wake(woken) })()
		stop()
		wakes(c, n, "Enqueue", func() { c.enqueue(0, job{n: 1}) })
		c.await(woken, "Enqueue")
		if stopped.Load() > 0 {
			c.Errorf("wake was called after stop")
		}
	}},
}

// notifier is the store, if it can notify.
func (c *check) notifier() hooks.Notifier {
	c.Helper()
	n, ok := c.Store.(hooks.Notifier)
	if !ok {
		c.Skip("the store is no Notifier")
	}
	return n
}

// wakes fails unless wake is called after the step.
func wakes(c *check, n hooks.Notifier, name string, step func()) {
	c.Helper()
	woken := make(chan struct{}, 1)
	stop := n.Notify(func() { wake(woken) })
	defer stop()
	step()
	c.await(woken, name)
}

func wake(woken chan<- struct{}) {
	select {
	case woken <- struct{}{}:
	default:
	}
}

func (c *check) await(woken <-chan struct{}, name string) {
	c.Helper()
	select {
	case <-woken:
	case <-time.After(soon):
		c.Errorf("wake was not called after %s", name)
	}
}
