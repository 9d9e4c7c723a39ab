package hooks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// verifyTimeout bounds a verification, which may make several requests.
const verifyTimeout = time.Minute

// Verify asks the endpoint, in the way of the hook's protocol, whether it wants the
// traffic, and marks the hook as verified if it does. If it does not, the error is an
// [AttemptError] that says why. Then, and if the hook was changed in the meantime
// ([ErrConflict]), the hook stays as it was. Verify waits for a slot, and returns
// [ErrBusy], as [Manager.Test] does.
func (m *Manager) Verify(ctx context.Context, tenant, id string) (Hook, error) {
	h, err := m.Hook(ctx, tenant, id)
	if err != nil {
		return Hook{}, err
	}
	c, err := m.compile(&h)
	if err != nil {
		return Hook{}, err
	}
	if err := m.askEndpoint(ctx, c); err != nil {
		return Hook{}, fmt.Errorf("verify hook %q: %w", id, err)
	}
	return m.Update(ctx, tenant, id, func(current *Hook) error {
		if current.Version != h.Version {
			return fmt.Errorf("verify hook %q, which was changed meanwhile: %w", id, ErrConflict)
		}
		current.Verified = true
		return nil
	})
}

// askEndpoint calls the Verify of the endpoint within a slot and the time limit.
func (m *Manager) askEndpoint(ctx context.Context, c *compiled) error {
	tenant := c.hook.Tenant
	if err := m.outside.begin(tenant); err != nil {
		return err
	}
	defer m.outside.end(tenant)
	if err := m.outside.acquire(ctx, tenant); err != nil {
		return err
	}
	defer m.outside.release(tenant)
	limited, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	send := m.oneAtATime()
	return isolate(func() error {
		return c.endpoint.Verify(limited, func(ctx context.Context, r Request) Response {
			ctx, cancel := context.WithTimeout(ctx, c.timeout)
			defer cancel()
			return send.do(ctx, r)
		})
	})
}

// oneAtATime returns a sender for a call that has one slot. It makes one request at a
// time, whatever the protocol does.
func (m *Manager) oneAtATime() *sender {
	s := *m.sendOnce
	s.turn = make(chan struct{}, 1)
	return &s
}

// Test sends events to a hook, each in a request of its own with one attempt, several
// at a time. It returns the attempts in the order of the events. The first failure ends
// the call: requests under way are cut off, and the others are not made. Both have
// [ClassInterrupted]; the latter have no StartedAt.
//
// An event without Data gets the Example of its type in [Config].Catalogue as its Data,
// or {} if there is none.
//
// The hook may be a stored one or a draft. It is checked as by Register, but its
// Events, Filter, Disabled and Verified do not matter. Nothing is stored or logged.
//
// Test and Verify share the slots that [Config].MaxInFlight describes. Tenants that
// wait for a slot take turns. A tenant that has four such calls under way, or as many
// as it may have slots if that is more, gets [ErrBusy]. So does a call that has waited
// for a slot for 30 s; its attempts are returned with the error.
func (m *Manager) Test(ctx context.Context, h Hook, events ...Event) ([]Attempt, error) {
	h, err := m.prepare(h)
	if err != nil {
		return nil, err
	}
	c, err := m.compile(&h)
	if err != nil {
		return nil, err
	}
	events = slices.Clone(events)
	for i := range events {
		e := &events[i]
		e.Tenant = h.Tenant
		if len(e.Data) == 0 {
			e.Data = m.catalogue[e.Type]
		}
	}
	if err := checkBatch(events); err != nil {
		return nil, err
	}
	at := now()
	prepared := make([]*Event, len(events))
	for i, e := range events {
		if prepared[i], err = m.prepareEvent(e, at); err != nil {
			return nil, ofElement("events", i, len(events), err)
		}
	}
	if err := m.outside.begin(h.Tenant); err != nil {
		return nil, fmt.Errorf("test hook %q: %w", h.ID, err)
	}
	defer m.outside.end(h.Tenant)
	attempts, err := m.testAll(ctx, c, prepared)
	if err != nil {
		return attempts, fmt.Errorf("test hook %q: %w", h.ID, err)
	}
	return attempts, nil
}

// testAll makes an attempt for each event until one fails. An error says why there was
// no slot for an attempt.
func (m *Manager) testAll(ctx context.Context, c *compiled, events []*Event) ([]Attempt, error) {
	attempts := make([]Attempt, len(events))
	rest, cancel := context.WithCancel(ctx)
	defer cancel()
	var group sync.WaitGroup
	var err error
	for i, e := range events {
		d := Delivery{ID: newID(), Tenant: e.Tenant, HookID: c.hook.ID, EventID: e.ID, EventType: e.Type}
		if err == nil {
			err = m.outside.acquire(rest, e.Tenant)
		}
		if err != nil {
			attempts[i] = unmade(d)
			continue
		}
		group.Go(func() {
			defer m.outside.release(e.Tenant)
			m.test(rest, cancel, c, d, e, &attempts[i])
		})
	}
	group.Wait()
	if err == nil || ctx.Err() != nil {
		return attempts, ctx.Err()
	}
	if errors.Is(err, ErrBusy) {
		return attempts, err
	}
	return attempts, nil
}

// test makes one attempt, and cancels the others if it fails.
func (m *Manager) test(ctx context.Context, cancelOthers func(), c *compiled, d Delivery, e *Event, a *Attempt) {
	began := time.Now()
	ctx, cancel := context.WithDeadline(ctx, began.Add(c.timeout))
	defer cancel()
	var result attempted
	defer func() { // also when the protocol ends the goroutine
		*a = result.attempts[0]
		if !result.verdict.Success {
			a.State = Dead
			cancelOthers()
		}
	}()
	m.attempt(ctx, m.oneAtATime(), c, []item{{Claimed: &Claimed{Delivery: d, Event: e}}}, began, &result)
}

// unmade returns the attempt for an event that a test did not send.
func unmade(d Delivery) Attempt {
	return Attempt{
		DeliveryID: d.ID, Number: 1, Tenant: d.Tenant, HookID: d.HookID, EventID: d.EventID, EventType: d.EventType,
		Class: ClassInterrupted, Error: "not sent, because the test had ended", State: Dead,
	}
}
