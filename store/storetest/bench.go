package storetest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

// Bench measures the stores of h. Where deliveries/s is reported, that is the
// figure to look at; ns/op is for one call, or one round of calls.
func Bench(b *testing.B, h Harness) {
	for _, size := range []int{1, 64, 256} {
		b.Run(fmt.Sprintf("enqueue/batch=%d", size), func(b *testing.B) {
			w := newWork(b, h, 16)
			for b.Loop() {
				w.enqueue(size, 1)
			}
			w.report(size)
		})
	}
	b.Run("enqueue/fanout=100", func(b *testing.B) {
		w := newWork(b, h, 100)
		for b.Loop() {
			w.enqueue(1, 100)
		}
		w.report(100)
	})
	for _, size := range []int{1, 64, 256} {
		b.Run(fmt.Sprintf("life/batch=%d", size), func(b *testing.B) {
			w := newWork(b, h, 16)
			for b.Loop() {
				w.enqueue(size, 1)
				w.deliver(size)
			}
			w.report(size)
		})
	}
	b.Run("life/fanout=100", func(b *testing.B) {
		w := newWork(b, h, 100)
		for b.Loop() {
			w.enqueue(1, 100)
			w.deliver(100)
		}
		w.report(100)
	})
	// A claim should cost the same however many deliveries wait.
	for _, backlog := range []int{1_000, 30_000} {
		b.Run(fmt.Sprintf("claim/backlog=%d", backlog), func(b *testing.B) {
			w := newWork(b, h, 16)
			for range backlog / 1000 {
				w.enqueue(1000, 1)
			}
			for b.Loop() {
				w.claim(64)
			}
		})
	}
	// Nor should it matter whose it is: the hooks of few tenants or of many.
	for _, size := range []struct{ tenants, hooks int }{{1, 64}, {1, 10_000}, {2, 10_000}, {64, 64}, {10_000, 10_000}} {
		b.Run(fmt.Sprintf("claim/tenants=%d/hooks=%d", size.tenants, size.hooks), func(b *testing.B) {
			w := newWork(b, h, 0)
			w.tenants, w.hooks = size.tenants, size.hooks
			for range 20 {
				w.enqueue(1000, 1)
			}
			w.claim(64) // From here on the hooks have turns.
			for b.Loop() {
				w.claim(64)
			}
		})
	}
}

// work is a load for one store. Its clock stands still except for claims.
type work struct {
	*check
	b       *testing.B
	hooks   int
	tenants int             // The hooks are of so many, in turn.
	data    json.RawMessage // 1 KiB.
	made    int             // Counts the deliveries.
	now     time.Duration
}

func newWork(b *testing.B, h Harness, hooks int) *work {
	w := &work{check: &check{TB: b, Store: h.Open(b), h: h}, b: b, hooks: hooks, tenants: 1}
	w.data = json.RawMessage(`{"text":"` + strings.Repeat("x", 1024-11) + `"}`)
	for i := range hooks {
		w.create(hookName(i))
	}
	b.ReportAllocs()
	return w
}

func hookName(i int) string { return fmt.Sprintf("hook-%d", i) }

// tenant is that of the hook with this number.
func (w *work) tenant(hook int) string {
	if w.tenants == 1 {
		return home
	}
	return fmt.Sprintf("tenant-%d", hook%w.tenants)
}

// enqueue records events in one call, each for fanOut hooks.
func (w *work) enqueue(events, fanOut int) {
	list := make([]hooks.Entry, events)
	for i := range list {
		tenant := w.tenant(w.made % w.hooks)
		event := &hooks.Event{ID: fmt.Sprintf("event-%d", w.made), Tenant: tenant, Type: "thing.done", Time: start, Data: w.data}
		jobs := make([]job, fanOut)
		for j := range jobs {
			jobs[j] = job{n: w.made, tenant: tenant, hook: hookName(w.made % w.hooks)}
			w.made++
		}
		list[i] = entry(w.now, event, jobs...)
	}
	w.ok(w.Enqueue(w.Context(), at(w.now), list))
}

// claim claims up to limit deliveries, all leases of earlier claims having
// ended.
func (w *work) claim(limit int) []hooks.Claimed {
	w.now += leaseTime
	claimed := w.check.claim(w.now, limit)
	if len(claimed) == 0 {
		w.b.Fatal("Claim found nothing")
	}
	return claimed
}

// deliver claims and settles count deliveries.
func (w *work) deliver(count int) {
	for count > 0 {
		claimed := w.claim(count)
		settlements := make([]hooks.Settlement, len(claimed))
		for i, cl := range claimed {
			settlements[i] = outcome(cl.Delivery, w.now, succeeded)
		}
		for _, s := range w.settle(w.now, settlements...) {
			w.ok(refusal(s))
		}
		count -= len(claimed)
	}
}

// report reports deliveries a second.
func (w *work) report(perRound int) {
	w.b.ReportMetric(float64(w.b.N*perRound)/w.b.Elapsed().Seconds(), "deliveries/s")
}
