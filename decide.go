package hooks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed-2c6e3a5a/hooks/internal/dispatch"
)

const (
	// runTime is how long the filter of a hook may take in Run each time, if the
	// hook's timeout and Config.Lease leave as much.
	runTime = time.Second
	// slotWait is how long Run waits for a slot.
	slotWait = time.Second
	// A hook is disabled when its filter was not evaluated in time so often
	// in a row, for so long: a machine that is slow for a moment disables none.
	maxTimeouts   = 5
	timeoutPeriod = time.Minute
)

// undecided reports whether the hook's filter is still to be evaluated.
func (it item) undecided() bool { return it.Delivery.Undecided }

// decide evaluates the hook's filter for those of the deliveries that are
// undecided, and returns those to send now. It leaves the results of the others for
// the settler. If there is none to send, the outcome is that of the others.
func (e *engine) decide(ctx context.Context, c *compiled, items []item) (send []item, o dispatch.Outcome) {
	if _, broken := c.endpoint.(brokenEndpoint); broken {
		return items, o // The attempt will say so.
	}
	began := time.Now()
	verdicts := make([]verdict, len(items))
	for i, it := range items {
		if !it.undecided() {
			verdicts[i] = wanted
		}
	}
	if !c.history.isSlow(began) && c.isQuick(items) {
		e.evaluate(ctx, c, items, verdicts, began.Add(quickTime))
	}
	// The first that remains gets all of the time that a filter has, if it needs
	// it. Those for which there is no time then go back to the store.
	first := slices.Index(verdicts, undecided)
	hasSlot := first >= 0 && e.waitForSlot(ctx, c, items, verdicts)
	if hasSlot {
		e.evaluateInSlot(ctx, c, items, verdicts)
	}
	for i, it := range items {
		switch {
		case verdicts[i] == wanted:
			it.Delivery.Undecided = false
			send = append(send, it)
		case verdicts[i] == unwanted:
		case ctx.Err() != nil:
			e.results.put(givenBack(it.Claimed))
		case hasSlot && i == first:
			o = e.timedOut(ctx, c, it, began)
		default:
			it.Delivery.Due = roundUp(e.m.filterSlots.retryTime(c.hook.Tenant))
			e.results.put(givenBack(it.Claimed))
		}
	}
	return send, o
}

// isQuick reports whether the hook's filter certainly takes no longer than a moment
// for any of the deliveries, including the time to decode their data. Nothing is known
// of the filters of protocols. Hundreds of workers may call this at a time.
func (c *compiled) isQuick(items []item) bool {
	return c.hook.Protocol == StandardWebhooks && !slices.ContainsFunc(items, func(it item) bool {
		view := viewOf(it.Event)
		return view.IsLarge() || c.filter != nil && c.filter.TakesLong(&view)
	})
}

// waitForSlot takes a slot for the hook's tenant. It waits no longer than the leases
// of those last that may still be sent, with the time for the filter and for the
// request. What is unwanted was cancelled, and has no lease any more.
func (e *engine) waitForSlot(ctx context.Context, c *compiled, items []item, verdicts []verdict) bool {
	until := time.Now().Add(slotWait)
	for i, it := range items {
		last := it.Delivery.Lease.Until.Add(-c.filterTime - c.timeout - e.m.cfg.Lease/8)
		if verdicts[i] != unwanted && last.Before(until) {
			until = last
		}
	}
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	return ctx.Err() == nil && e.m.filterSlots.acquire(ctx, c.hook.Tenant)
}

// evaluate fills in the verdicts that are undecided, as far as there is time
// until then. It cancels what is unwanted.
func (e *engine) evaluate(ctx context.Context, c *compiled, items []item, verdicts []verdict, until time.Time) {
	for i, it := range items {
		if verdicts[i] != undecided {
			continue
		}
		if ctx.Err() != nil || !time.Now().Before(until) {
			return
		}
		err := isolate(func() (err error) {
			view := viewOf(it.Event)
			verdicts[i], err = c.decide(ctx, it.Event, &view, until)
			return err
		})
		if errors.Is(err, errExited) {
			verdicts[i] = unwanted
		}
		if verdicts[i] == unwanted {
			reason := "the hook's filter did not let the event through"
			if err != nil {
				e.m.reportFilter(c.hook, it.Event, err)
				reason = errorText(err)
			}
			e.results.put(cancelled(it.Claimed, reason))
		}
	}
}

// evaluateInSlot is evaluate for the filter's time, with a slot, which it releases.
func (e *engine) evaluateInSlot(ctx context.Context, c *compiled, items []item, verdicts []verdict) {
	defer e.m.filterSlots.release(c.hook.Tenant)
	e.evaluate(ctx, c, items, verdicts, time.Now().Add(c.filterTime))
}

// timedOut makes a failed attempt of a delivery for which the filter could not be
// evaluated, and disables the hook if that has happened too often.
func (e *engine) timedOut(ctx context.Context, c *compiled, it item, began time.Time) dispatch.Outcome {
	failing := *c
	failing.endpoint = brokenEndpoint{&AttemptError{
		Class: ClassFilter, Err: fmt.Errorf("the hook's filter could not be evaluated in %v", c.filterTime),
	}}
	var result attempted
	e.m.attempt(ctx, e.m.send, &failing, []item{it}, began, &result)
	o := dispatch.Outcome{Failed: true, Stalled: true}
	c.history.markSlow(result.ended)
	if n, since := c.history.timedOut(result.ended); n >= maxTimeouts && result.ended.Sub(since) >= timeoutPeriod {
		result.verdict.Disable = fmt.Sprintf("its filter could not be evaluated in time, %d times in a row since %s", n, since.UTC().Format(time.RFC3339))
		o.Throttled = result.ended.Add(settleTimeout)
	}
	e.results.put(finished(it.Claimed, c, result, 0, time.Time{}))
	return o
}
