package logto

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/wire"
)

// test sends a test event of each type to the config in the body, signed with
// the key of the hook.
func (a *api) test(c *httpadapter.Call) (httpadapter.Response, error) {
	body, err := bodyOf(c)
	if err != nil {
		return httpadapter.Response{}, err
	}
	var g guard
	change := g.test(body, a.events)
	if err := g.err("body"); err != nil {
		return httpadapter.Response{}, err
	}
	h, err := a.find(c)
	if err != nil {
		return httpadapter.Response{}, orNotFound(err, errNotExistsWithID(c.PathValue("id")))
	}
	if err := change.apply(&h, a.protocol); err != nil {
		return httpadapter.Response{}, err
	}
	return httpadapter.Response{Status: http.StatusNoContent}, a.sendTests(c.Context(), h, change.events)
}

// test checks the body of a test.
func (g *guard) test(body any, options []string) (c change) {
	if o, ok := g.object(body); ok {
		c.events = g.events(o.get("events"), options)
		c.config = g.config(o.get("config"))
	}
	return c
}

// sendTests sends a test event of each type. When one is not accepted, those that
// have not been sent wait until it has been, after as many retries as deliveries
// get, at most maxRetries.
func (a *api) sendTests(ctx context.Context, h hooks.Hook, types []string) error {
	schedule := h.Schedule
	if len(schedule) == 0 {
		schedule = a.protocol.schedule()
	}
	schedule = schedule[:min(len(schedule), 1+maxRetries)]
	failures, now := map[string]int{}, time.Now()
	for len(types) > 0 {
		events := make([]hooks.Event, len(types))
		for i, eventType := range types {
			events[i] = hooks.Event{Type: eventType, Time: now, Data: sampleAt(a.samples[eventType].Example, now)}
		}
		attempts, err := a.manager.Test(ctx, h, events...)
		if err != nil {
			return testError(err)
		}
		left, pause, err := unaccepted(attempts, schedule, failures)
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		types = left
	}
	return nil
}

// unaccepted returns the types of the events that were not accepted, and how long
// to wait before they are sent again, and counts their failures. The error is that
// of one for which no retry is left.
func unaccepted(attempts []hooks.Attempt, schedule []time.Duration, failures map[string]int) (types []string, pause time.Duration, err error) {
	for i := range attempts {
		at := &attempts[i]
		if at.State == hooks.Succeeded {
			continue
		}
		types = append(types, at.EventType)
		if at.Class == hooks.ClassInterrupted {
			continue
		}
		failures[at.EventType]++
		n := failures[at.EventType]
		if n == len(schedule) || !wire.Retriable(at.Class, at.Response.Status) {
			return nil, 0, testFailed(at)
		}
		pause = max(pause, schedule[n])
	}
	return types, pause, nil
}

func testFailed(at *hooks.Attempt) error {
	if at.Class != hooks.ClassStatus && at.Class != hooks.ClassRedirect {
		return failed(http.StatusUnprocessableEntity, "hook.send_test_payload_failed", "Failed to send test payload: %s", errorText(at))
	}
	e := failed(http.StatusUnprocessableEntity, "hook.endpoint_responded_with_error", "Endpoint responded with error.")
	e.Data = object{{"responseStatus", at.Response.Status}, {"responseBody", string(at.Response.Body)}}
	return e
}

// testError is what a config that cannot be sent to gets as its response.
func testError(err error) error {
	var invalid *hooks.InvalidError
	if !errors.As(err, &invalid) || invalid.Field == "url" {
		return err
	}
	return failed(http.StatusUnprocessableEntity, "hook.send_test_payload_failed", "Failed to send test payload: TypeError: %s: %s", fieldOf(invalid), invalid.Reason)
}
