package hooks

import (
	"time"

	"github.com/seed-2c6e3a5a/hooks/internal/backoff"
)

// settlement decides what an attempt makes of its delivery, and completes the
// attempt with that.
func (d Delivery) settlement(a *Attempt, c *compiled, result attempted) Settlement {
	s := Settlement{DeliveryID: d.ID, Token: d.Lease.Token, Step: d.Step, Undecided: d.Undecided, Reason: a.Error, Attempt: a}
	switch {
	case result.verdict.Success:
		s.State = Succeeded
	case a.Class == ClassInterrupted:
		s.State, s.Due = Pending, result.ended
	case result.verdict.Permanent || result.verdict.Disable != "" || d.Step+1 >= len(c.schedule):
		s.State, s.Hold = Dead, c.hook.HoldDead && d.OrderingKey != ""
	default:
		s.State, s.Step = Pending, d.Step+1
		delay := backoff.Jitter(c.schedule[s.Step], c.traits.Jitter, result.jitter)
		retryAfter, _ := result.response.RetryAfter(result.ended)
		s.Due = roundUp(result.ended.Add(max(delay, retryAfter)))
	}
	a.State, a.NextAt = s.State, s.Due
	return s
}

// finished is the result for the i-th delivery of an attempt. It brings the
// delivery up to date.
func finished(claimed *Claimed, c *compiled, a attempted, i int, throttled time.Time) result {
	d := &claimed.Delivery
	s := d.settlement(&a.attempts[i], c, a)
	s.ThrottleUntil = throttled
	d.State, d.Step, d.Due, d.Held, d.Reason = s.State, s.Step, s.Due, s.Hold, s.Reason
	d.Attempts++
	d.Lease = Lease{Token: d.Lease.Token}
	return result{s, subject{claimed, a.verdict.Disable}}
}

// throttledUntil is when the endpoint may be asked again after a response that
// throttles it.
func (a attempted) throttledUntil(failures int) time.Time {
	wait, ok := a.response.RetryAfter(a.ended)
	if !ok {
		wait = backoff.Throttle(failures)
	}
	return roundUp(a.ended.Add(wait))
}

// givenBack ends the lease of a delivery and leaves it as it was.
func givenBack(claimed *Claimed) result {
	d := &claimed.Delivery
	return result{Settlement{
		DeliveryID: d.ID, Token: d.Lease.Token, State: Pending, Due: d.Due, Step: d.Step, Undecided: d.Undecided, Reason: d.Reason,
	}, subject{Claimed: claimed}}
}

// cancelled ends a delivery without an attempt. It brings the delivery up to
// date.
func cancelled(claimed *Claimed, reason string) result {
	d := &claimed.Delivery
	d.State, d.Due, d.Reason, d.Lease = Cancelled, time.Time{}, reason, Lease{Token: d.Lease.Token}
	return result{Settlement{
		DeliveryID: d.ID, Token: d.Lease.Token, State: Cancelled, Step: d.Step, Undecided: d.Undecided, Reason: reason,
	}, subject{Claimed: claimed}}
}
