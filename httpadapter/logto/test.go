package logto

import (
	"context"
	"errors"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/wire"
)

// maxTests is how many test events are under way at a time.
const maxTests = 10

// test sends a test event of each type to the config in the body, signed with
// the key of the hook, and retried as deliveries are.
func (a *api) test(c *httpadapter.Call) (httpadapter.Answer, error) {
	body, err := bodyOf(c)
	if err != nil {
		return httpadapter.Answer{}, err
	}
	var g guard
	change := g.test(body, a.events)
	if err := g.err("body"); err != nil {
		return httpadapter.Answer{}, err
	}
	h, err := a.find(c)
	if err != nil {
		return httpadapter.Answer{}, orNotFound(err, errNotExistsWithID(c.PathValue("id")))
	}
	if err := change.apply(&h, a.protocol); err != nil {
		return httpadapter.Answer{}, err
	}
	var group errgroup.Group // It returns the error that comes first.
	group.SetLimit(maxTests)
	for _, eventType := range change.events {
		group.Go(func() error { return a.testEvent(c.Context(), h, eventType) })
	}
	return httpadapter.Answer{Status: http.StatusNoContent}, group.Wait()
}

// test checks the body of a test.
func (g *guard) test(body any, options []string) (c change) {
	if o, ok := g.object(body); ok {
		c.events = g.events(o.get("events"), options)
		c.config = g.config(o.get("config"))
	}
	return c
}

// testEvent sends one test event until it is accepted or no retry is left.
func (a *api) testEvent(ctx context.Context, h hooks.Hook, eventType string) error {
	schedule := h.Schedule
	if len(schedule) == 0 {
		schedule = a.protocol.schedule()
	}
	event := hooks.Event{Type: eventType, Data: a.samples[eventType].Example}
	for retry := 1; ; retry++ {
		attempts, err := a.manager.Test(ctx, h, event)
		if err != nil {
			return testError(err)
		}
		at := &attempts[0]
		if at.State == hooks.Succeeded {
			return nil
		}
		if retry >= len(schedule) || !wire.Retriable(at.Class, at.Response.Status) {
			return testFailed(at)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(schedule[retry]):
		}
	}
}

func testFailed(at *hooks.Attempt) error {
	if at.Class != hooks.ClassStatus && at.Class != hooks.ClassRedirect {
		return failed(http.StatusUnprocessableEntity, "hook.send_test_payload_failed", "Failed to send test payload: %s", errorText(at))
	}
	e := failed(http.StatusUnprocessableEntity, "hook.endpoint_responded_with_error", "Endpoint responded with error.")
	e.Data = object{{"responseStatus", at.Response.Status}, {"responseBody", string(at.Response.Body)}}
	return e
}

// testError is what a config that cannot be sent to is answered with.
func testError(err error) error {
	if invalid := new(*hooks.InvalidError); errors.As(err, invalid) && (*invalid).Field != "url" {
		return failed(http.StatusUnprocessableEntity, "hook.send_test_payload_failed", "Failed to send test payload: TypeError: %s", err)
	}
	return err
}
