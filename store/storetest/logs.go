package storetest

import (
	"fmt"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

var logRules = []rule{
	{"deliveries_order", "Deliveries returns those with the latest CreatedAt first and of those the greatest ID.", func(c *check) {
		c.enqueue(ms, job{n: 4}, job{n: 10}, job{n: 2})
		c.enqueue(0, job{n: 7, due: time.Hour}, job{n: 30})
		c.enqueue(2*ms, job{n: 1}, job{n: 5, hook: "b"})
		c.equal("deliveries", c.deliveryNumbers(hooks.LogQuery{}), []int{5, 1, 10, 4, 2, 30, 7})
	}},
	{"attempts_order", "Attempts returns those with the latest StartedAt first, of those the greatest DeliveryID and Number.", func(c *check) {
		c.enqueue(0, job{n: 1, leased: time.Hour}, job{n: 2, leased: time.Hour}, job{n: 10, leased: time.Hour})
		c.attempt(ms, 2)
		c.attempt(ms, 10)
		c.attempt(0, 2)
		for range 11 {
			c.attempt(ms, 1)
		}
		c.attempt(2*ms, 1)
		want := []string{"1#12", "10#1", "2#1"}
		for n := 11; n > 0; n-- {
			want = append(want, fmt.Sprintf("1#%d", n))
		}
		c.equal("attempts", attemptNames(c.attempts(home)), append(want, "2#2"))
	}},
	{"deliveries_filters", "Deliveries returns the deliveries that match q: every field narrows the result, Since includes its time, Until does not.", deliveryFilters},
	{"attempts_filters", "Attempts returns the attempts that match q: States are what they made of the delivery, Since and Until bound StartedAt.", attemptFilters},
	{"attempts_outlive", "The attempts of a delivery stay when it is redelivered or cancelled.", func(c *check) {
		c.create("a")
		c.enqueue(0, job{n: 1, leased: time.Minute})
		c.end(0, 1, dead)
		c.redeliver(ms, 1)
		before := c.attempts(home)
		c.cancel(2*ms, 1)
		c.equal("attempts", c.attempts(home), before)
		c.equal("attempts", attemptNames(before), []string{"1#1"})
	}},
}

func deliveryFilters(c *check) {
	c.create("a", "b")
	c.enqueue(0, job{n: 1, event: "x", typ: "t"}, job{n: 2, event: "x", typ: "t", hook: "b"})
	c.enqueue(ms, job{n: 3, event: "y", typ: "t"}, job{n: 4, event: "Y", typ: "t.u", key: "k"}, job{n: 5, typ: "T", key: "k"})
	c.enqueue(2*ms, job{n: 6, leased: time.Minute}, job{n: 7, leased: time.Minute}, job{n: 8, leased: time.Minute})
	c.end(3*ms, 6, succeeded)
	c.end(4*ms, 7, dead)
	c.cancel(5*ms, 2)
	for _, tc := range []struct {
		name string
		q    hooks.LogQuery
		want []int
	}{
		{"nothing", hooks.LogQuery{}, []int{8, 7, 6, 5, 4, 3, 2, 1}},
		{"empty lists", hooks.LogQuery{DeliveryIDs: []string{}, States: []hooks.State{}}, []int{8, 7, 6, 5, 4, 3, 2, 1}},
		{"HookID", hooks.LogQuery{HookID: "b"}, []int{2}},
		{"unknown HookID", hooks.LogQuery{HookID: "B"}, nil},
		{"EventID", hooks.LogQuery{EventID: "x"}, []int{2, 1}},
		{"EventType", hooks.LogQuery{EventType: "t"}, []int{3, 2, 1}},
		{"DeliveryIDs", hooks.LogQuery{DeliveryIDs: []string{id(4), id(8), id(99), id(4)}}, []int{8, 4}},
		{"unknown DeliveryIDs", hooks.LogQuery{DeliveryIDs: []string{id(99)}}, nil},
		{"blocked", hooks.LogQuery{States: []hooks.State{blocked}}, []int{5}},
		{"pending", hooks.LogQuery{States: []hooks.State{pending}}, []int{4, 3, 1}},
		{"leased", hooks.LogQuery{States: []hooks.State{leased}}, []int{8}},
		{"ended", hooks.LogQuery{States: []hooks.State{cancelled, succeeded, dead}}, []int{7, 6, 2}},
		{"Since", hooks.LogQuery{Since: at(ms)}, []int{8, 7, 6, 5, 4, 3}},
		{"Until", hooks.LogQuery{Until: at(ms)}, []int{2, 1}},
		{"Since and Until", hooks.LogQuery{Since: at(ms), Until: at(2 * ms)}, []int{5, 4, 3}},
		{"no time", hooks.LogQuery{Since: at(ms), Until: at(ms)}, nil},
		{"several", hooks.LogQuery{HookID: "a", EventType: "t", States: []hooks.State{pending}, Since: at(ms)}, []int{3}},
		{"all", hooks.LogQuery{HookID: "a", EventID: "x", EventType: "t", DeliveryIDs: []string{id(1), id(2)},
			States: []hooks.State{pending, cancelled}, Since: start, Until: at(ms)}, []int{1}},
		{"contradiction", hooks.LogQuery{HookID: "b", EventID: "y"}, nil},
	} {
		c.equal("by "+tc.name, c.deliveryNumbers(tc.q), tc.want)
	}
}

func attemptFilters(c *check) {
	c.create("a", "b")
	c.enqueue(0, job{n: 1, event: "x", typ: "t", leased: time.Hour}, job{n: 2, event: "x", typ: "t", hook: "b", leased: time.Hour},
		job{n: 3, event: "y", typ: "t", leased: time.Hour}, job{n: 4, typ: "t.u", leased: time.Hour})
	for _, n := range []int{1, 2, 3} {
		c.attempt(time.Duration(n)*ms, n)
	}
	c.endWith(time.Second, outcome(c.delivery(1), 4*ms, succeeded))
	c.endWith(time.Second, outcome(c.delivery(2), 5*ms, dead))
	for _, tc := range []struct {
		name string
		q    hooks.LogQuery
		want []string
	}{
		{"nothing", hooks.LogQuery{}, []string{"2#2", "1#2", "3#1", "2#1", "1#1"}},
		{"HookID", hooks.LogQuery{HookID: "b"}, []string{"2#2", "2#1"}},
		{"EventID", hooks.LogQuery{EventID: "y"}, []string{"3#1"}},
		{"unknown EventID", hooks.LogQuery{EventID: "z"}, nil},
		{"EventType", hooks.LogQuery{EventType: "t"}, []string{"2#2", "1#2", "3#1", "2#1", "1#1"}},
		{"unknown EventType", hooks.LogQuery{EventType: "t.u"}, nil},
		{"DeliveryIDs", hooks.LogQuery{DeliveryIDs: []string{id(3), id(1), id(4)}}, []string{"1#2", "3#1", "1#1"}},
		{"pending", hooks.LogQuery{States: []hooks.State{pending}}, []string{"3#1", "2#1", "1#1"}},
		{"succeeded or dead", hooks.LogQuery{States: []hooks.State{succeeded, dead}}, []string{"2#2", "1#2"}},
		{"blocked", hooks.LogQuery{States: []hooks.State{blocked}}, nil},
		{"Since", hooks.LogQuery{Since: at(4 * ms)}, []string{"2#2", "1#2"}},
		{"Until", hooks.LogQuery{Until: at(4 * ms)}, []string{"3#1", "2#1", "1#1"}},
		{"Since and Until", hooks.LogQuery{Since: at(2 * ms), Until: at(3 * ms)}, []string{"2#1"}},
		{"all", hooks.LogQuery{HookID: "a", EventID: "x", EventType: "t", DeliveryIDs: []string{id(1), id(2)},
			States: []hooks.State{pending}, Since: at(ms), Until: at(2 * ms)}, []string{"1#1"}},
		{"contradiction", hooks.LogQuery{HookID: "b", EventID: "y"}, nil},
	} {
		q := tc.q
		q.Tenant = home
		page, err := c.Attempts(c.Context(), q)
		c.ok(err)
		c.equal("by "+tc.name, attemptNames(page.Items), tc.want)
	}
}

// attempt logs a failed attempt that started so long after the start. The
// delivery is leased, until an hour after the start at least, and is so again
// when attempt returns.
func (c *check) attempt(started time.Duration, n int) {
	c.Helper()
	s := outcome(c.delivery(n), started, pending)
	s.Due = at(time.Second)
	c.endWith(time.Second, s)
	claimed, _ := c.request(hooks.ClaimRequest{Now: s.Due, Until: at(time.Hour), Limit: upTo(many)})
	c.equal("claimed again", numbers(claimed), []int{n})
}

// deliveryNumbers returns the numbers of the home tenant's deliveries that
// match q.
func (c *check) deliveryNumbers(q hooks.LogQuery) []int {
	c.Helper()
	q.Tenant = home
	page, err := c.Deliveries(c.Context(), q)
	c.ok(err)
	ns := make([]int, len(page.Items))
	for i, d := range page.Items {
		ns[i] = number(d.ID)
	}
	return ns
}
