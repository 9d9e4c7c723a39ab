package main

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/memory"
	"github.com/seed-2c6e3a5a/hooks/sqlite"
)

// The stores that neighbours can have their events in.
const (
	storeMemory   = "memory"
	storeSQLite   = "sqlite"
	storePostgres = "postgres"
)

const (
	neighbourTenant   = "neighbour"
	neighbourInterval = 100 * time.Millisecond // between events
	// lastArrivals is how long the last events may take.
	lastArrivals = time.Second
)

// A neighbourTask is to measure a neighbour beside an attacker.
type neighbourTask struct {
	Attacker string        `json:"attacker"`
	For      time.Duration `json:"for"`
	Store    string        `json:"store"`
	Dir      string        `json:"dir"` // for files, empty
	Postgres string        `json:"postgres"`
}

// A neighbourResult is what became of the neighbour's events. Times are in
// nanoseconds.
type neighbourResult struct {
	Triggered   int           `json:"triggered"`
	Delivered   int           `json:"delivered"`
	Receipt     quantiles     `json:"receipt"`     // from when an event is meant to be triggered to the endpoint
	FirstSecond time.Duration `json:"firstSecond"` // the most that those of the first second took
	Events      int64         `json:"events"`      // of the attacker
	Requests    int64         `json:"requests"`    // that reached the attacker's endpoints
	Busy        float64       `json:"busy"`        // the part of all processors that this process used
}

// measureNeighbour has one Manager deliver for the neighbour and for the
// attacker, whose endpoints are in this process too. An error of any trigger or
// of the store ends it.
func measureNeighbour(ctx context.Context, t neighbourTask) (r neighbourResult, err error) {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	n := &neighbourhood{neighbourTask: t, fail: fail, receipts: newReceipts(times(t.For, neighbourInterval))}
	if n.endpoints, err = newEndpoints(n.receipts); err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, n.endpoints.close()) }()
	store, closeStore, err := openStore(ctx, t)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, closeStore()) }()
	if err := n.register(ctx, store); err != nil {
		return r, err
	}
	running, stop := context.WithCancel(ctx)
	stopped := make(chan error, 1)
	go func() { stopped <- n.manager.Run(running) }()
	r, err = n.measure(ctx)
	stop()
	return r, errors.Join(err, context.Cause(ctx), <-stopped)
}

func openStore(ctx context.Context, t neighbourTask) (store hooks.Store, closeStore func() error, err error) {
	switch t.Store {
	case storeMemory:
		return memory.New(memory.Options{}), func() error { return nil }, nil
	case storePostgres:
		s, pool, err := emptyPostgres(ctx, t.Postgres)
		if err != nil {
			return nil, nil, err
		}
		return s, func() error {
			defer pool.Close()
			return s.Close()
		}, nil
	}
	s, err := sqlite.Open(ctx, filepath.Join(t.Dir, "hooks.db"), sqlite.Options{})
	if err != nil {
		return nil, nil, err
	}
	return s, s.Close, nil
}

// A neighbourhood is the neighbour and its attacker, who share a Manager.
type neighbourhood struct {
	neighbourTask
	endpoints *endpoints
	receipts  *receipts
	manager   *hooks.Manager
	attack    *attack
	fail      func(error) // ends the measurement
}

// register makes the Manager and all hooks.
func (n *neighbourhood) register(ctx context.Context, store hooks.Store) (err error) {
	n.manager, err = hooks.New(store, hooks.Config{
		AllowNetworks: []string{"127.0.0.0/8"}, AllowHTTP: true,
		Grace:    100 * time.Millisecond, // What hangs shall not hold up the end.
		Observer: hooks.Observer{Failure: n.fail}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	own := hooks.Hook{Tenant: neighbourTenant, URL: n.endpoints.url + pathNeighbour, Events: []string{eventType}}
	if _, err := n.manager.Register(ctx, own); err != nil {
		return err
	}
	a, err := findAttacker(n.Attacker)
	if err != nil {
		return err
	}
	n.attack, err = newAttack(ctx, a, n.manager, n.endpoints.url)
	return err
}

// measure triggers the neighbour's events, one in each interval however long
// that takes, and the attacker's, from the same moment on.
func (n *neighbourhood) measure(ctx context.Context) (r neighbourResult, err error) {
	cpu, err := cpuTime(syscall.RUSAGE_SELF)
	if err != nil {
		return r, err
	}
	begin := time.Now()
	var group sync.WaitGroup
	group.Go(func() { n.attack.run(ctx, begin, begin.Add(n.For), n.fail) })
	each(ctx, begin, neighbourInterval, len(n.receipts.arrived), func(i int) {
		group.Go(func() {
			e := hooks.Event{ID: strconv.Itoa(i), Tenant: neighbourTenant, Type: eventType, Data: newData()}
			if _, err := n.manager.Trigger(ctx, e); err != nil {
				n.fail(err)
			}
		})
	})
	n.receipts.wait(ctx, lastArrivals)
	took, delivered := n.receipts.took(begin, neighbourInterval)
	elapsed := time.Since(begin)
	cpuNow, err := cpuTime(syscall.RUSAGE_SELF)
	group.Wait()
	return neighbourResult{
		Triggered: len(took), Delivered: delivered,
		FirstSecond: slices.Max(took[:min(len(took), times(time.Second, neighbourInterval))]),
		Receipt:     quantilesOf(took), // which sorts them
		Events:      n.attack.events.Load(), Requests: n.endpoints.attacked.Load(),
		Busy: (cpuNow - cpu).Seconds() / elapsed.Seconds() / float64(runtime.NumCPU()),
	}, err
}
