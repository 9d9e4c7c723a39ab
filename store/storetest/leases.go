package storetest

import (
	"fmt"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/store"
)

var leaseRules = []rule{
	{"expiry", "A leased delivery is due again when its Until is not after now, not a millisecond earlier.", func(c *check) {
		c.create("a")
		c.enqueue(0, job{n: 1})
		c.equal("claimed", c.take(0, many), []int{1})
		c.equal("a millisecond before the end", c.take(leaseTime-ms, many), []int{})
		claimed, _ := c.request(hooks.ClaimRequest{Owner: "another", Now: at(leaseTime), Limit: upTo(many)})
		c.equal("claimed at the end", numbers(claimed), []int{1})
		c.equal("lease", c.delivery(1).Lease, hooks.Lease{Owner: "another", Token: 2, Until: at(2 * leaseTime)})
	}},
	{"token", "Each claim adds one to the Token, which nothing else changes.", func(c *check) {
		c.create("a")
		c.enqueue(0, job{n: 1})
		token := func(what string, want int64) {
			c.Helper()
			c.equal("Token "+what, c.delivery(1).Lease.Token, want)
		}
		claim := func(now time.Duration, want int64) {
			c.Helper()
			c.equal("claimed", c.take(now, many), []int{1})
			token("of a claim", want)
		}
		token("before all", 0)
		claim(0, 1)
		c.end(0, 1, pending)
		token("when pending again", 1)
		claim(time.Hour, 2)
		claim(2*time.Hour, 3)
		c.end(2*time.Hour, 1, dead)
		token("when dead", 3)
		c.redeliver(3*time.Hour, 1)
		token("when redelivered", 3)
		claim(3*time.Hour, 4)
		c.end(3*time.Hour, 1, pending)
		c.cancel(4*time.Hour, 1)
		token("when cancelled", 4)
	}},
	{"outcome", "Settle stores the new state: Due and Step if it is pending, EndedAt if not, and the Reason; the lease is over.", settleOutcomes},
	{"attempt", "Settle logs the attempt and counts it.", func(c *check) {
		c.create("a")
		c.enqueue(0, job{n: 1, leased: time.Minute}, job{n: 2, leased: time.Minute})
		c.endWith(time.Second, retry(c.delivery(1)))
		c.equal("attempts", c.attempts(home), []hooks.Attempt{*fullAttempt(c.delivery(1))})
		c.equal("count", c.delivery(1).Attempts, 1)
		c.equal("count of another", c.delivery(2).Attempts, 0)

		c.equal("claimed", c.take(time.Minute-ms, many), []int{1})
		c.end(time.Minute, 1, succeeded)
		c.equal("count", c.delivery(1).Attempts, 2)
		c.equal("attempts", attemptNames(c.attempts(home)), []string{"1#2", "1#1"})
	}},
	{"attempt_none", "A nil Attempt says that none was made: none is logged or counted.", func(c *check) {
		c.create("a")
		c.enqueue(0, job{n: 1, leased: time.Minute}, job{n: 2, leased: time.Minute})
		c.endWith(ms, hooks.Settlement{DeliveryID: id(1), Token: 1, State: pending, Due: at(ms)})
		c.endWith(ms, hooks.Settlement{DeliveryID: id(2), Token: 1, State: cancelled, Reason: "disabled"})
		c.equal("attempts", c.attempts(home), []hooks.Attempt{})
		c.equal("counts", []int{c.delivery(1).Attempts, c.delivery(2).Attempts}, []int{0, 0})
		c.equal("claimed", c.take(ms, many), []int{1})
	}},
	{"dropped", "Storing an attempt drops the response to the one before it unless KeepsResponse keeps that; Dropped says so, and nothing else changes.", droppedResponses},
	{"stale_token", "The result of a settlement whose Token is not the lease's is LeaseLost, and nothing of it is written; the others are not affected.", func(c *check) {
		c.create("a", "b", "c")
		c.enqueue(0, job{n: 1}, job{n: 2, hook: "b"}, job{n: 3, hook: "c"})
		c.equal("claimed", len(c.claim(0, many)), 3)
		old := outcome(c.delivery(2), time.Second, succeeded)
		c.equal("claimed again", len(c.claim(leaseTime, many)), 3)
		early := outcome(c.delivery(2), time.Second, dead)
		early.Token++
		before := c.snapshot()
		for _, s := range c.settle(leaseTime, old, early) {
			c.is("stale settlement", refusal(s), errLeaseLost)
		}
		c.unchanged("refused settlement", before)

		first, last := outcome(c.delivery(1), time.Second, dead), outcome(c.delivery(3), time.Second, succeeded)
		settled := c.settle(leaseTime, first, old, last, early)
		for i, want := range []error{nil, errLeaseLost, nil, errLeaseLost} {
			c.is(fmt.Sprintf("settlement %d", i), refusal(settled[i]), want)
		}
		c.equal("states", c.states(1, 2, 3), []hooks.State{dead, leased, succeeded})
		c.equal("attempts", attemptNames(c.attempts(home)), []string{"3#1", "1#1"})
		c.equal("health", c.hook(home, "b").Health, hooks.Health{})
		c.end(leaseTime, 2, succeeded)
	}},
	{"not_leased", "The result of a settlement of a delivery that is not leased is LeaseLost, whatever its Token.", func(c *check) {
		c.create("a")
		c.enqueue(0, job{n: 1}, job{n: 2, leased: time.Minute}, job{n: 3, leased: time.Minute}, job{n: 4, key: "k"}, job{n: 5, key: "k"})
		c.end(0, 2, pending)
		c.end(0, 3, dead)
		before := c.snapshot()
		for _, n := range []int{1, 2, 3, 4, 5} {
			c.is(fmt.Sprintf("delivery %d", n), refusal(c.settle(ms, outcome(c.delivery(n), ms, succeeded))[0]), errLeaseLost)
		}
		unknown := hooks.Settlement{DeliveryID: id(99), Token: 1, State: succeeded}
		c.is("unknown delivery", refusal(c.settle(ms, unknown)[0]), errLeaseLost)
		c.unchanged("refused settlement", before)
	}},
	{"twice", "A lease can be settled once, also within a call.", func(c *check) {
		c.create("a")
		c.enqueue(0, job{n: 1, leased: time.Minute})
		s := outcome(c.delivery(1), 0, pending)
		settled := c.settle(0, s, s)
		c.is("first settlement", refusal(settled[0]), nil)
		c.is("second settlement", refusal(settled[1]), errLeaseLost)
		c.is("third settlement", refusal(c.settle(0, s)[0]), errLeaseLost)
		c.equal("attempts", attemptNames(c.attempts(home)), []string{"1#1"})
		c.equal("failures", c.hook(home, "a").Health.Failures, 1)
	}},
	{"late", "A settlement is accepted after the lease's time has passed, as long as the delivery has not been claimed again.", func(c *check) {
		c.create("a")
		c.enqueue(0, job{n: 1})
		c.equal("claimed", c.take(0, many), []int{1})
		c.end(time.Hour, 1, succeeded)
		c.equal("states", c.states(1), []hooks.State{succeeded})
		c.equal("claimed later", c.take(2*time.Hour, many), []int{})
	}},
	{"results", "The result of Settle has one element for each settlement, in order, with the hook's health after it.", func(c *check) {
		c.create("a", "b")
		c.enqueue(0, job{n: 1, leased: time.Minute}, job{n: 2, hook: "b", leased: time.Minute},
			job{n: 3, leased: time.Minute}, job{n: 4, leased: time.Minute})
		c.equal("settled", len(c.settle(0)), 0)
		settled := c.settle(time.Second,
			outcome(c.delivery(1), 0, dead), outcome(c.delivery(2), 0, pending),
			outcome(c.delivery(3), 0, pending), outcome(c.delivery(4), 0, succeeded))
		failing := func(n int) hooks.Settled {
			return hooks.Settled{Health: hooks.Health{Failures: n, FailingSince: at(time.Second)}}
		}
		c.equal("settled", settled, []hooks.Settled{failing(1), failing(1), failing(2), {}})
		c.equal("health of a", c.hook(home, "a").Health, hooks.Health{})
		c.equal("health of b", c.hook(home, "b").Health, failing(1).Health)
	}},
	{"health", "Settle applies Health.After to the hook: a success clears it, a failed attempt counts and may throttle, anything else changes nothing.", settleHealth},
}

func settleOutcomes(c *check) {
	c.create("a")
	for n, state := range []hooks.State{pending, succeeded, dead, cancelled} {
		now := time.Duration(n) * time.Hour
		c.enqueue(now, job{n: n, step: 3, leased: time.Minute})
		want := c.delivery(n)
		s := outcome(want, now, state)
		c.endWith(now+time.Second, s)

		want.State, want.Reason, want.Lease = state, s.Reason, hooks.Lease{Token: 1}
		if state == pending {
			want.Due, want.Step = s.Due, s.Step
		} else {
			want.Due, want.EndedAt = time.Time{}, at(now+time.Second)
		}
		if s.Attempt != nil {
			want.Attempts = 1
		}
		got := c.delivery(n)
		if state.Ended() {
			got.Step = want.Step // Of no meaning in the end.
		}
		c.equal("delivery", got, want)
		if state == pending {
			c.equal("claimed", c.take(now+10*time.Second, many), []int{n})
			c.end(now+11*time.Second, n, succeeded)
			c.equal("Reason after a success", c.delivery(n).Reason, "")
		}
		c.equal("claimed in the end", c.take(now+time.Hour-ms, many), []int{})
	}
}

func settleHealth(c *check) {
	c.create("a", "b")
	var want hooks.Health
	for n, s := range []struct {
		state    hooks.State
		class    hooks.ErrorClass
		none     bool // No attempt was made.
		throttle time.Duration
	}{
		{state: succeeded},
		{state: pending, class: hooks.ClassTimeout},
		{state: dead, class: hooks.ClassStatus, throttle: time.Hour},
		{state: pending, class: hooks.ClassInterrupted, throttle: 2 * time.Hour},
		{state: pending, class: hooks.ClassStatus, throttle: 30 * time.Minute},
		{state: cancelled, none: true, throttle: 2 * time.Hour},
		{state: pending, none: true},
		{state: pending, class: hooks.ClassStatus, throttle: 3 * time.Hour},
		{state: succeeded},
		{state: dead, class: hooks.ClassDNS},
	} {
		now := time.Duration(n) * time.Second
		c.enqueue(now, job{n: n, leased: time.Minute})
		settlement := outcome(c.delivery(n), now, s.state)
		if s.none {
			settlement.Attempt = nil
		} else {
			settlement.Attempt.Class = s.class
		}
		if s.throttle > 0 {
			settlement.ThrottleUntil = at(s.throttle)
		}
		want = want.After(settlement, at(now+ms))
		what := fmt.Sprintf("health after settlement %d", n)
		c.equal(what+", as Settle returns it", c.endWith(now+ms, settlement), want)
		c.equal(what+", as stored", c.hook(home, "a").Health, want)
	}
	c.equal("health of another hook", c.hook(home, "b").Health, hooks.Health{})
}

func droppedResponses(c *check) {
	c.create("a")
	c.enqueue(0, job{n: 1}, job{n: 2, leased: 24 * time.Hour})
	ends := retry(c.delivery(2))
	ends.State = dead
	c.endWith(0, ends)
	other := first(c, c.attempts(home))
	var want []hooks.Attempt
	for i := range 11 {
		now := time.Duration(i+1) * time.Minute
		c.equal("claimed", c.take(now, 1), []int{1})
		d := c.delivery(1)
		s := outcome(d, now, pending)
		if i == 6 { // A redelivery does not start anew.
			s = outcome(d, now, dead)
		}
		if s.Attempt = fullAttempt(d); i == 4 {
			s.Attempt.Response = hooks.AttemptResponse{} // There was no response.
		}
		s.Attempt.Number, s.Attempt.StartedAt, s.Attempt.State, s.Attempt.NextAt = i+1, at(now), s.State, s.Due
		if i == 8 {
			s.Attempt.Response.Body = nil
		}
		want = append(want, *s.Attempt)
		if r := &want[max(0, i-1)].Response; i > 0 && !store.KeepsResponse(i) && (r.Body != nil || r.Header != nil) {
			r.Header, r.Body, r.Dropped = nil, nil, true
		}
		c.endWith(now, s)
		if i == 6 {
			c.redeliver(now, 1)
		}
		page, err := c.Attempts(c.Context(), hooks.LogQuery{Tenant: home, DeliveryIDs: []string{id(1)}, PageQuery: hooks.PageQuery{OldestFirst: true}})
		c.ok(err)
		c.equal(fmt.Sprintf("attempts after number %d", i+1), page.Items, want)
	}
	c.equal("attempt of another", c.attempts(home)[11], other)
}

// attemptNames are the attempts' deliveries and numbers.
func attemptNames(attempts []hooks.Attempt) []string {
	names := make([]string, len(attempts))
	for i, a := range attempts {
		names[i] = fmt.Sprintf("%d#%d", number(a.DeliveryID), a.Number)
	}
	return names
}
