package hooks

import (
	"slices"
	"time"

	"github.com/seed-2c6e3a5a/hooks/internal/dispatch"
)

// A worker makes requests, one at a time.
type worker struct {
	*engine
	deadline *deadline
	request  dispatch.Request[Ref, item]
	items    []item // of the request
}

// work is the loop of a worker: it sends what the dispatcher gives it. If a protocol
// ends the goroutine, another worker takes its place.
func (e *engine) work() {
	w := &worker{engine: e, deadline: newDeadline(e.requests)}
	defer w.deadline.close()
	stopped := false
	defer func() {
		if !stopped {
			e.workers.Go(e.work)
		}
	}()
	for e.results.wait(); e.dispatch.Next(&w.request); e.results.wait() {
		w.send()
	}
	stopped = true
}

// send makes a request, and tells the dispatcher when it has ended, in whatever way.
func (w *worker) send() {
	clear(w.items)
	w.items = w.items[:0]
	for _, it := range w.request.Items {
		w.items = append(w.items, it.Value)
	}
	clear(w.request.Items)
	var o dispatch.Outcome
	defer func() { w.dispatch.Done(&w.request, o) }()
	w.deliver(w.items, &o)
}

// deliver makes one request for deliveries of one hook and passes the results to the
// settler. o gets what is known of the endpoint afterwards.
func (w *worker) deliver(items []item, o *dispatch.Outcome) {
	began := time.Now()
	c, gone := w.hook(items[0])
	if gone != "" {
		for _, it := range items {
			w.results.put(cancelled(it.Claimed, gone))
		}
		return
	}
	if c == nil {
		w.postpone(items)
		return
	}
	// The hook may have changed since the items were taken for a batch.
	most := min(len(items), c.batch)
	w.giveBack(items[most:])
	items = items[:most]
	if slices.ContainsFunc(items, item.undecided) {
		if items, *o = w.decide(w.requests, c, items); len(items) == 0 {
			return
		}
		began = time.Now()
	}
	until := items[0].Delivery.Lease.Until
	for _, it := range items {
		if it.Delivery.Lease.Until.Before(until) {
			until = it.Delivery.Lease.Until
		}
	}
	if until.Sub(began) < c.timeout+w.m.cfg.Lease/8 {
		w.giveBack(items)
		return
	}
	var result attempted
	defer func() { // also when the protocol ends the goroutine
		w.deadline.stop()
		*o = w.conclude(c, items, result)
	}()
	w.m.attempt(w.deadline.start(began.Add(c.timeout)), w.m.send, c, items, began, &result)
}

// giveBack makes deliveries pending again, as they were.
func (e *engine) giveBack(items []item) {
	for _, it := range items {
		e.results.put(givenBack(it.Claimed))
	}
}

// postpone makes deliveries pending again, due after unopenedPause.
func (e *engine) postpone(items []item) {
	at := roundUp(time.Now().Add(unopenedPause))
	for _, it := range items {
		r := givenBack(it.Claimed)
		it.Delivery.Due, r.Due = at, at
		e.results.put(r)
	}
}

// unopenedPause is how long deliveries wait if Config.Open fails temporarily.
const unopenedPause = 5 * time.Second

// conclude passes the results of an attempt to the settler, and returns what is known
// of the endpoint afterwards.
func (e *engine) conclude(c *compiled, items []item, result attempted) dispatch.Outcome {
	o := dispatch.Outcome{Success: result.verdict.Success, Failed: !result.verdict.Success && !result.interrupted()}
	if o.Failed {
		o.Stalled = result.verdict.Throttle || result.verdict.Disable != "" || result.response.class() == ClassTimeout
		if result.verdict.Throttle {
			o.Throttled = result.throttledUntil(e.dispatch.Failures(items[0].Delivery.HookRef()))
		}
	}
	for i, it := range items {
		e.results.put(finished(it.Claimed, c, result, i, o.Throttled))
	}
	if result.verdict.Disable != "" {
		// Nothing more is sent while the hook is being disabled.
		o.Throttled = result.ended.Add(settleTimeout)
	}
	return o
}

// hook returns the item's hook as it is now. If nothing may be sent to it any more,
// gone says why. If it cannot be read for a while, both are zero.
func (e *engine) hook(it item) (c *compiled, gone string) {
	x := it.hook
	if x == nil || x.replaced.Load() {
		x = e.m.index.get(it.Delivery.HookRef())
	}
	if x == nil {
		return nil, "the hook was deleted"
	}
	if x.unopened {
		return nil, ""
	}
	if x.hook.Disabled {
		return nil, "the hook is disabled"
	}
	c, err := x.compileOnce()
	if err != nil {
		schedule := e.m.cfg.Schedule
		if x.outline != nil {
			schedule = x.outline.schedule
		}
		return brokenHook(x.hook, schedule, err), ""
	}
	if c.traits.RequireVerified && !c.hook.Verified {
		return nil, "the hook is not verified"
	}
	return c, ""
}
