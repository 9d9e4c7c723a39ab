package main

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/memory"
)

const hooksConfiguration = "`MaxInFlight` and `MaxInFlightPerHook` 64, else the defaults"

// An engine is a Manager that delivers to as many hooks as the setting says.
type engine struct {
	setting
	manager *hooks.Manager
	counted *countingStore
	close   func(context.Context) (int64, error) // or nil
	cancel  context.CancelFunc
	stopped chan error
}

func newEngine(ctx context.Context, s setting, of hooks.Store, closer io.Closer) (*engine, error) {
	counted := &countingStore{Store: of}
	var store hooks.Store = counted
	switch of := of.(type) {
	case *memory.Store:
		store = countingMemory{countingNotifier{counted, of}}
	case hooks.Notifier:
		store = countingNotifier{counted, of}
	}
	m, err := hooks.New(store, hooks.Config{
		AllowNetworks: []string{"127.0.0.0/8"}, AllowHTTP: true,
		MaxInFlight: inFlight, MaxInFlightPerHook: inFlight,
		Observer: hooks.Observer{
			Attempt: func(d hooks.Delivery, a hooks.Attempt, _ *hooks.Event) {
				if d.State != hooks.Succeeded {
					s.tally.fail(fmt.Errorf("a delivery failed: %s", a.Error))
				}
				s.tally.done(1)
			},
			Failure: s.tally.fail,
		},
	})
	if err != nil {
		return nil, err
	}
	for range s.hooks {
		if _, err := m.Register(ctx, hooks.Hook{URL: s.url, Events: []string{eventType}}); err != nil {
			return nil, err
		}
	}
	e := &engine{setting: s, manager: m, counted: counted}
	if closer != nil {
		e.close = func(context.Context) (int64, error) {
			if err := closer.Close(); err != nil {
				return 0, err
			}
			return sizeOf(e.dir)
		}
	}
	return e, nil
}

func (e *engine) Store(ctx context.Context, n int) error {
	events := slices.Repeat([]hooks.Event{{Type: eventType, Data: newData()}}, n)
	for batch := range slices.Chunk(events, 500) {
		if _, err := e.manager.TriggerBatch(ctx, batch...); err != nil {
			return err
		}
	}
	return nil
}

func (e *engine) Start(ctx context.Context) error {
	ctx, e.cancel = context.WithCancel(ctx)
	e.stopped = make(chan error, 1)
	go func() { e.stopped <- e.manager.Run(ctx) }()
	return nil
}

func (e *engine) Trigger(ctx context.Context, data []byte) error {
	_, err := e.manager.Trigger(ctx, hooks.Event{Type: eventType, Data: data})
	return err
}

func (e *engine) counters() counters { return e.counted.counters() }

func (e *engine) Stop(context.Context) error {
	e.cancel()
	return <-e.stopped
}

func (e *engine) Close(ctx context.Context) (int64, error) {
	if e.close == nil {
		return 0, nil
	}
	return e.close(ctx)
}
