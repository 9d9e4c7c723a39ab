package hooks

import (
	"context"
	"time"
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
		delay := jittered(c.schedule[s.Step], c.traits.Jitter, result.jitter)
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
	return result{s, about{claimed, a.verdict.Disable}}
}

// throttledUntil is when the endpoint may be asked again after a response that
// throttles it.
func (a attempted) throttledUntil(failures int) time.Time {
	wait, ok := a.response.RetryAfter(a.ended)
	if !ok {
		wait = throttleFor(failures)
	}
	return roundUp(a.ended.Add(wait))
}

// givenBack ends the lease of a delivery and leaves it as it was.
func givenBack(claimed *Claimed) result {
	d := &claimed.Delivery
	return result{Settlement{
		DeliveryID: d.ID, Token: d.Lease.Token, State: Pending, Due: d.Due, Step: d.Step, Undecided: d.Undecided, Reason: d.Reason,
	}, about{Claimed: claimed}}
}

// cancelled ends a delivery without an attempt. It brings the delivery up to
// date.
func cancelled(claimed *Claimed, reason string) result {
	d := &claimed.Delivery
	d.State, d.Due, d.Reason, d.Lease = Cancelled, time.Time{}, reason, Lease{Token: d.Lease.Token}
	return result{Settlement{
		DeliveryID: d.ID, Token: d.Lease.Token, State: Cancelled, Step: d.Step, Undecided: d.Undecided, Reason: reason,
	}, about{Claimed: claimed}}
}

// brokenHook stands in for a stored hook that does not compile, say, because
// its protocol is no longer configured: its deliveries fail with the reason, on
// the given schedule if it has none itself.
func brokenHook(h *Hook, schedule []time.Duration, err error) *compiled {
	c := &compiled{hook: h, endpoint: brokenEndpoint{err}, schedule: h.Schedule, timeout: time.Second, batch: 1}
	if len(c.schedule) == 0 {
		c.schedule = schedule
	}
	c.schedule = bounded(c.schedule)
	return c
}

type brokenEndpoint struct{ err error }

func (e brokenEndpoint) Accepts(context.Context, *Event) (bool, error) { return false, e.err }

func (e brokenEndpoint) Request(context.Context, Send, []Message) (Request, error) {
	return Request{}, e.err
}

func (brokenEndpoint) Judge(Response) Verdict { return Verdict{} }

func (e brokenEndpoint) Verify(context.Context, Send) error { return e.err }
