package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

// modelRules are random walks. Each has a fixed seed, so that a failure can be
// repeated.
func modelRules() []rule {
	const walks, steps = 8, 150
	rules := make([]rule, walks)
	for seed := range rules {
		rules[seed] = rule{
			fmt.Sprintf("seed_%d", seed),
			"Whatever happens in whatever order, the store does what a simple model of the contract does.",
			func(c *check) { walk(c, uint64(seed), steps) },
		}
	}
	return rules
}

// A model is what the store should contain, in the plainest form.
type model struct {
	c      *check
	rnd    *rand.Rand
	now    time.Time
	refs   []hooks.Ref
	health map[hooks.Ref]hooks.Health
	// deliveries are in the order of their triggers, with their numbers.
	deliveries []*hooks.Delivery
	numbers    map[string]int
	leases     []modelLease // All there ever were.
	turns      modelTurns
	journal    []string
}

type modelLease struct {
	deliveryID string
	lease      hooks.Lease
}

func walk(c *check, seed uint64, steps int) {
	m := &model{
		c: c, rnd: rand.New(rand.NewPCG(seed, 0)), now: start,
		refs:    []hooks.Ref{{Tenant: home, ID: "a"}, {Tenant: home, ID: "b"}, {Tenant: away, ID: "a"}, {Tenant: "third", ID: "a"}},
		health:  map[hooks.Ref]hooks.Health{},
		numbers: map[string]int{},
	}
	defer func() {
		if c.Failed() {
			c.Logf("Seed %d, journal:\n%s", seed, strings.Join(m.journal, "\n"))
		}
	}()
	m.turns = newModelTurns(m.refs)
	for _, ref := range m.refs {
		c.ok(c.CreateHook(c.Context(), plainHook(ref.Tenant, ref.ID), 0))
	}
	operations := []func(){m.enqueue, m.enqueue, m.claim, m.claim, m.settle, m.settle, m.settle, m.redeliver, m.cancel, m.purge}
	for range steps {
		m.now = m.now.Add(time.Duration(m.rnd.IntN(3)*m.rnd.IntN(10_000)) * ms)
		operations[m.rnd.IntN(len(operations))]()
		m.compare()
		m.loseTurns()
		if c.Failed() {
			c.FailNow()
		}
	}
}

func (m *model) note(format string, args ...any) {
	m.journal = append(m.journal, m.now.Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

func (m *model) enqueue() {
	var list []hooks.Entry
	offset := m.now.Sub(start)
	for range 1 + m.rnd.IntN(4) {
		ref := m.refs[m.rnd.IntN(len(m.refs))]
		j := job{n: len(m.numbers), tenant: ref.Tenant, hook: ref.ID, key: []string{"", "k", "l"}[m.rnd.IntN(3)], size: 2 + m.rnd.IntN(200)}
		if m.rnd.IntN(3) == 0 {
			j.due = time.Duration(m.rnd.IntN(20_000)) * ms
		}
		j.undecided = m.rnd.IntN(4) == 0
		if j.key == "" && m.rnd.IntN(4) == 0 {
			j.leased = time.Duration(1+m.rnd.IntN(20_000)) * ms
		}
		m.numbers[id(j.n)] = j.n
		list = append(list, entries(offset, j)...)
	}
	m.c.ok(m.c.Enqueue(m.c.Context(), m.now, list))
	for _, e := range list {
		d := e.Deliveries[0]
		if m.busy(&d, blocked, pending, leased) {
			d.State = blocked
		}
		if d.State == leased {
			m.leases = append(m.leases, modelLease{d.ID, d.Lease})
		}
		m.deliveries = append(m.deliveries, &d)
		m.note("enqueue %d for %v, key %q: %s until %v", m.numbers[d.ID], d.HookRef(), d.OrderingKey, d.State, d.Lease.Until)
	}
}

// busy reports whether another delivery of d's hook and key is in one of the
// states, or held.
func (m *model) busy(d *hooks.Delivery, states ...hooks.State) bool {
	return d.OrderingKey != "" && slices.ContainsFunc(m.deliveries, func(o *hooks.Delivery) bool {
		return o.ID != d.ID && o.HookRef() == d.HookRef() && o.OrderingKey == d.OrderingKey && (o.Held || slices.Contains(states, o.State))
	})
}

func (m *model) claim() {
	r := hooks.ClaimRequest{
		Owner: fmt.Sprint(m.rnd.IntN(3)), Now: m.now, Until: m.now.Add(time.Duration(1+m.rnd.IntN(20_000)) * ms),
		Limit: m.capacity(6), PerHook: m.rnd.IntN(4),
	}
	r.Limit.Deliveries++
	if m.rnd.IntN(2) == 0 {
		r.PerTenant = m.capacity(4)
	}
	if m.rnd.IntN(3) == 0 {
		r.Hooks = map[hooks.Ref]int{m.refs[m.rnd.IntN(len(m.refs))]: m.rnd.IntN(3)}
	}
	if m.rnd.IntN(3) == 0 {
		r.Tenants = map[string]hooks.Capacity{m.refs[m.rnd.IntN(len(m.refs))].Tenant: m.capacity(4)}
	}
	claimed, next := m.c.request(r)
	m.note("claim %+v: %v, next %v", r, numbers(claimed), next)
	due := m.due(m.now)
	for _, cl := range claimed {
		d := m.find(cl.Delivery.ID)
		if d == nil || !slices.Contains(due, d) {
			m.c.Fatalf("delivery %s was claimed, but is not due", cl.Delivery.ID)
		}
		// Of its lane, no earlier one may be left.
		for _, o := range due {
			if o == d {
				break
			}
			if o.HookRef() == d.HookRef() && laneOf(*o) == laneOf(*d) {
				m.c.Fatalf("delivery %d was claimed before %d, which comes first in its lane", m.numbers[d.ID], m.numbers[o.ID])
			}
		}
		due = slices.DeleteFunc(due, func(o *hooks.Delivery) bool { return o == d })
		d.State, d.Lease = leased, hooks.Lease{Owner: r.Owner, Token: d.Lease.Token + 1, Until: r.Until}
		m.leases = append(m.leases, modelLease{d.ID, d.Lease})
		m.c.equal("claimed delivery", cl.Delivery, *d)
	}
	m.claimed(r, claimed, due)
	m.next(next, claimed, due)
}

// capacity is one for fewer than that many deliveries, or for some bytes, too.
func (m *model) capacity(deliveries int) hooks.Capacity {
	return hooks.Capacity{Deliveries: m.rnd.IntN(deliveries), Bytes: int64(m.rnd.IntN(2) * m.rnd.IntN(400))}
}

// next fails if a lane of which nothing due was left has something due before
// next. Lanes of which something was claimed do not matter.
func (m *model) next(next time.Time, claimed []hooks.Claimed, left []*hooks.Delivery) {
	for _, d := range m.deliveries {
		at := laneDue(d)
		if until := m.health[d.HookRef()].ThrottledUntil; until.After(at) {
			at = until
		}
		if d.State != pending && d.State != leased || !at.After(m.now) ||
			slices.ContainsFunc(claimed, func(cl hooks.Claimed) bool { return cl.Delivery.ID == d.ID }) ||
			slices.ContainsFunc(left, func(o *hooks.Delivery) bool { return o.HookRef() == d.HookRef() && laneOf(*o) == laneOf(*d) }) {
			continue
		}
		if next.IsZero() || next.After(at) {
			m.c.Errorf("next is %v, but delivery %d will be due at %v", next, m.numbers[d.ID], at)
		}
	}
	if !next.IsZero() && !next.After(m.now) {
		m.c.Errorf("next is %v, which is not after now", next)
	}
}

// due returns the deliveries that were due then and are not throttled, in the
// order of their lanes.
func (m *model) due(then time.Time) []*hooks.Delivery {
	var due []*hooks.Delivery
	for _, d := range m.deliveries {
		if (d.State == pending || d.State == leased) && !laneDue(d).After(then) && !m.health[d.HookRef()].ThrottledUntil.After(m.now) {
			due = append(due, d)
		}
	}
	slices.SortStableFunc(due, func(a, b *hooks.Delivery) int { return laneDue(a).Compare(laneDue(b)) })
	return due
}

func laneDue(d *hooks.Delivery) time.Time {
	if d.State == leased {
		return d.Lease.Until
	}
	return d.Due
}

func (m *model) settle() {
	if len(m.leases) == 0 {
		return
	}
	var batch []hooks.Settlement
	for range 1 + m.rnd.IntN(3) {
		l := m.leases[len(m.leases)-1-m.rnd.IntN(min(len(m.leases), 8))]
		d := hooks.Delivery{ID: l.deliveryID}
		if known := m.find(d.ID); known != nil {
			d = *known
		}
		d.Lease = l.lease
		s := outcome(d, m.now.Sub(start), []hooks.State{pending, succeeded, dead, cancelled}[m.rnd.IntN(4)])
		s.Hold = s.State == dead && d.OrderingKey != "" && m.rnd.IntN(2) == 0
		s.Undecided = m.rnd.IntN(4) == 0
		if m.rnd.IntN(4) == 0 {
			s.ThrottleUntil = m.now.Add(time.Duration(m.rnd.IntN(20_000)) * ms)
		}
		batch = append(batch, s)
	}
	settled := m.c.settle(m.now.Sub(start), batch...)
	for i, s := range batch {
		d := m.find(s.DeliveryID)
		m.note("settle %d with token %d as %s, hold %t: %v", m.numbers[s.DeliveryID], s.Token, s.State, s.Hold, refusal(settled[i]))
		if d == nil || d.State != leased || d.Lease.Token != s.Token {
			m.c.is("stale settlement", refusal(settled[i]), errLeaseLost)
			continue
		}
		m.c.ok(refusal(settled[i]))
		d.Lease = hooks.Lease{Token: s.Token}
		d.Reason, d.Undecided = s.Reason, s.Undecided
		if s.Attempt != nil {
			d.Attempts++
		}
		m.health[d.HookRef()] = m.health[d.HookRef()].After(s, m.now)
		m.c.equal("health", settled[i].Health, m.health[d.HookRef()])
		if s.State == pending {
			d.State, d.Due, d.Step = pending, s.Due, s.Step
			continue
		}
		m.end(d, s.State, s.Hold)
	}
}

// end ends a delivery, and releases the next of its key unless it is held.
func (m *model) end(d *hooks.Delivery, state hooks.State, held bool) {
	passes := d.State != blocked && !held
	d.State, d.Held, d.EndedAt, d.Due = state, held, m.now, time.Time{}
	if !passes || d.OrderingKey == "" {
		return
	}
	for _, o := range m.deliveries {
		if o.State == blocked && o.HookRef() == d.HookRef() && o.OrderingKey == d.OrderingKey {
			o.State, o.Due = pending, m.now
			return
		}
	}
}

func (m *model) redeliver() {
	d := m.pick()
	if d == nil {
		return
	}
	got, err := m.c.Redeliver(m.c.Context(), m.now, d.Tenant, d.ID)
	m.note("redeliver %d: %v", m.numbers[d.ID], err)
	if !d.State.Ended() {
		m.c.is("Redeliver of a delivery that is "+string(d.State), err, hooks.ErrConflict)
		return
	}
	m.c.ok(err)
	d.State, d.Due, d.Step = pending, m.now, 0
	d.EndedAt, d.Held, d.Reason = time.Time{}, false, ""
	if m.busy(d, pending, leased) {
		d.State = blocked
	}
	m.same("redelivered", got, *d)
}

func (m *model) cancel() {
	d := m.pick()
	if d == nil {
		return
	}
	got, err := m.c.Cancel(m.c.Context(), m.now, d.Tenant, d.ID, "cancelled by hand")
	m.note("cancel %d: %v", m.numbers[d.ID], err)
	if d.State == leased || d.State.Ended() && !d.Held {
		m.c.is("Cancel of a delivery that is "+string(d.State), err, hooks.ErrConflict)
		return
	}
	m.c.ok(err)
	d.Reason = "cancelled by hand"
	m.end(d, cancelled, false)
	m.same("cancelled", got, *d)
}

func (m *model) purge() {
	before := m.now.Add(-time.Minute)
	m.note("purge before %v", before)
	m.c.purge(before.Sub(start), many)
	m.deliveries = slices.DeleteFunc(m.deliveries, func(d *hooks.Delivery) bool {
		return d.State.Ended() && !d.Held && d.EndedAt.Before(before)
	})
}

func (m *model) pick() *hooks.Delivery {
	if len(m.deliveries) == 0 {
		return nil
	}
	return m.deliveries[m.rnd.IntN(len(m.deliveries))]
}

func (m *model) find(id string) *hooks.Delivery {
	for _, d := range m.deliveries {
		if d.ID == id {
			return d
		}
	}
	return nil
}

// compare fails unless the store has the model's deliveries.
func (m *model) compare() {
	stored := slices.Concat(m.c.deliveries(home), m.c.deliveries(away), m.c.deliveries("third"))
	m.c.equal("number of deliveries", len(stored), len(m.deliveries))
	for _, got := range stored {
		want := m.find(got.ID)
		if want == nil {
			m.c.Errorf("there is a delivery %s, which should be gone", got.ID)
			continue
		}
		m.same("stored", got, *want)
	}
}

// same compares deliveries, but for what means nothing in their state.
func (m *model) same(what string, got, want hooks.Delivery) {
	if got.State.Ended() {
		got.Step = want.Step
	}
	if got.State == blocked {
		got.Due = want.Due
	}
	if got != want {
		m.c.equal(fmt.Sprintf("%s delivery %d", what, m.numbers[got.ID]), got, want)
	}
}
