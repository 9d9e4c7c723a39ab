package hooks

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-2c6e3a5a/hooks/internal/backoff"
)

// settleBackoff is how long the settler waits after the store has failed.
var settleBackoff = backoff.Exponential{First: 50 * time.Millisecond, Max: 5 * time.Second}

// maxRest is the longest rest of the settler.
const maxRest = 20 * time.Millisecond

// settle is the settler: it stores results until their queue is closed and empty, or
// ctx ends. After each call of the store it rests for twice as long as the call took, so
// that the next has more results.
func (e *engine) settle(ctx context.Context) error {
	var list resultList
	var took time.Duration
	for e.results.takeAll(&list, min(2*took, maxRest)) {
		start := time.Now()
		for failures := 0; ; failures++ {
			at := now()
			settled, err := e.settleOnce(ctx, at, list.settlements)
			if err == nil {
				took = time.Since(start)
				e.settled(ctx, at, list, settled)
				break
			}
			e.m.report("store the results of deliveries", err)
			if !sleep(ctx, settleBackoff.Delay(failures)) {
				n := len(list.subjects)
				if e.results.takeAll(&list, 0) {
					n += len(list.subjects)
				}
				return fmt.Errorf("%d results could not be stored, their deliveries will be sent again: %w", n, err)
			}
		}
	}
	return nil
}

func (e *engine) settleOnce(ctx context.Context, at time.Time, s []Settlement) ([]Settled, error) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	return e.m.store.Settle(ctx, at, s)
}

// settled acts on what the store holds since at.
func (e *engine) settled(ctx context.Context, at time.Time, list resultList, settled []Settled) {
	for i := range list.settlements {
		s, d := &list.settlements[i], &list.subjects[i].Delivery
		switch err := settled[i].Err; {
		case settled[i].LeaseLost:
			e.m.log.Warn("hooks: a result was refused because the lease had been lost; another took the delivery", "delivery", s.DeliveryID)
			continue
		case err != nil:
			e.m.report("store the result of delivery "+s.DeliveryID, err)
			continue
		}
		if s.State == Pending {
			e.claimAt(s.Due)
		} else {
			d.EndedAt = at
			d.Held = d.Held && e.m.index.get(d.HookRef()) != nil // Nothing is held for a hook that is gone.
			if d.OrderingKey != "" {
				e.claimAt(now())
			}
		}
		if s.Attempt == nil {
			continue
		}
		reason := list.subjects[i].disable
		if reason == "" {
			reason = e.failedTooLong(settled[i].Health, s.Reason)
		}
		if reason != "" {
			e.disable(ctx, d.HookRef(), reason)
		}
	}
	if observer := e.m.cfg.Observer.Attempt; observer != nil {
		e.observeEach(settled, func(i int) {
			if a := list.settlements[i].Attempt; a != nil {
				observer(list.subjects[i].Delivery, *a, list.subjects[i].Event)
			}
		})
	}
	if observer := e.m.cfg.Observer.Ended; observer != nil {
		e.observeEach(settled, func(i int) {
			if d := list.subjects[i].Delivery; list.settlements[i].State.Ended() {
				observer(d, list.subjects[i].Event)
			}
		})
	}
}

// observeEach calls the observer for each result that was stored. If it panics for one
// of them, it is still called for the others.
func (e *engine) observeEach(settled []Settled, observer func(i int)) {
	for i := 0; i < len(settled); {
		e.m.observe(func() {
			for i < len(settled) {
				i++
				if s := settled[i-1]; !s.LeaseLost && s.Err == nil {
					observer(i - 1)
				}
			}
		})
	}
}

// failedTooLong says why to disable a hook with this health, or "".
func (e *engine) failedTooLong(h Health, lastError string) string {
	after := e.m.cfg.DisableAfter
	if after <= 0 || h.FailingSince.IsZero() || now().Sub(h.FailingSince) < after {
		return ""
	}
	return fmt.Sprintf("no delivery has succeeded since %s; the last error: %s", h.FailingSince.Format(time.RFC3339), lastError)
}

// disable disables a hook in a goroutine of its own, unless one is doing so already.
func (e *engine) disable(ctx context.Context, ref Ref, reason string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.disabling[ref] {
		return
	}
	e.disabling[ref] = true
	e.others.Go(func() {
		e.disableNow(ctx, ref, reason)
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.disabling, ref)
	})
}

var errNothingToDo = errors.New("nothing to do")

func (e *engine) disableNow(ctx context.Context, ref Ref, reason string) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	h, err := e.m.Update(ctx, ref.Tenant, ref.ID, func(h *Hook) error {
		if h.Disabled {
			return errNothingToDo
		}
		h.Disabled, h.DisabledReason = true, reason
		return nil
	})
	switch {
	case errors.Is(err, errNothingToDo), errors.Is(err, ErrNotFound):
	case err != nil:
		e.m.report("disable a hook", err)
	default:
		e.m.log.Warn("hooks: disabled a hook", "tenant", printable(ref.Tenant), "hook", ref.ID, "reason", reason)
		if observer := e.m.cfg.Observer.HookDisabled; observer != nil {
			e.m.observe(func() { observer(h) })
		}
	}
}
