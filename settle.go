package hooks

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// settle is the settler: it stores results until they are closed and empty, or
// ctx ends.
func (e *engine) settle(ctx context.Context) error {
	var b batch
	for e.results.take(&b) {
		for failures := 0; ; failures++ {
			settled, err := e.settleOnce(ctx, b.settlements)
			if err == nil {
				e.settled(ctx, b, settled)
				break
			}
			e.m.report("store the results of deliveries", err)
			if !sleep(ctx, min(50*time.Millisecond<<min(failures, 7), 5*time.Second)) {
				n := len(b.about)
				if e.results.take(&b) {
					n += len(b.about)
				}
				return fmt.Errorf("%d results could not be stored, their deliveries will be sent again: %w", n, err)
			}
		}
	}
	return nil
}

func (e *engine) settleOnce(ctx context.Context, s []Settlement) ([]Settled, error) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	return e.m.store.Settle(ctx, now(), s)
}

// settled acts on what the store now holds.
func (e *engine) settled(ctx context.Context, b batch, settled []Settled) {
	for i := range b.settlements {
		s, d := &b.settlements[i], b.about[i].delivery
		switch err := settled[i].Err; {
		case err != nil && !errors.Is(err, ErrLeaseLost):
			e.m.report("store the result of delivery "+s.DeliveryID, err)
			continue
		case err != nil:
			e.m.log.Warn("hooks: a result was refused because the lease had been lost; another took the delivery",
				"delivery", s.DeliveryID, "error", err)
			continue
		}
		if s.State == Pending {
			e.dueAt(s.Due)
		} else if d.Key != "" {
			e.dueAt(now())
		}
		if s.Attempt == nil {
			continue
		}
		reason := b.about[i].disable
		if reason == "" {
			reason = e.failedTooLong(settled[i].Health, s.Reason)
		}
		if reason != "" {
			e.disable(ctx, d.HookRef(), reason)
		}
	}
	e.observeAttempts(b, settled)
}

// observeAttempts tells the observer of the attempts that were stored. If its code
// panics at one of them, it is told of the others all the same.
func (e *engine) observeAttempts(b batch, settled []Settled) {
	observer := e.m.cfg.Observer.Attempt
	for i := 0; observer != nil && i < len(settled); {
		e.m.observe(func() {
			for i < len(settled) {
				s, d, stored := &b.settlements[i], b.about[i].delivery, settled[i].Err == nil
				i++
				if stored && s.Attempt != nil {
					observer(*d, *s.Attempt)
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

// disable disables a hook, beside the settler and once at a time.
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
		e.m.log.Warn("hooks: disabled a hook", "tenant", ref.Tenant, "hook", ref.ID, "reason", reason)
		if observer := e.m.cfg.Observer.HookDisabled; observer != nil {
			e.m.observe(func() { observer(h) })
		}
	}
}
