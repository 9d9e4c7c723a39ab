package main

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

func measure(ctx context.Context, t task) (r result, err error) {
	if t.Kind == ofCommits {
		return measureCommits(ctx, t)
	}
	entry, err := findContender(t.Contender)
	if err != nil {
		return r, err
	}
	s := setting{t.Receiver + pathPlain, t.Hooks, t.Dir, t.Postgres, newTally()}
	if t.Kind == ofPace {
		s.url = t.Receiver + pathTimed
	}
	c, err := entry.open(ctx, s)
	if err != nil {
		return r, err
	}
	m := &measurement{task: t, contender: c, tally: s.tally}
	// The first round opens connections and fills caches.
	for _, events := range []int{max(t.Events/20, 1), t.Events} {
		if err := m.round(ctx, events); err != nil {
			return r, err
		}
	}
	disk, err := c.Close(ctx)
	if err != nil {
		return r, err
	}
	if m.result.Memory, err = peakMemory(); err != nil {
		return r, err
	}
	if disk > 0 && (t.Kind == ofBacklog || t.Hooks > 1) {
		empty, err := emptyDisk(ctx, entry, s)
		if err != nil {
			return r, err
		}
		m.result.Disk = float64(disk-empty) / float64(m.delivered)
	}
	return m.result, nil
}

// emptyDisk is how many bytes a contender has on disk without any delivery.
func emptyDisk(ctx context.Context, e entry, s setting) (int64, error) {
	s.dir = filepath.Join(s.dir, "empty")
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		return 0, err
	}
	c, err := e.open(ctx, s)
	if err != nil {
		return 0, err
	}
	return c.Close(ctx)
}

// A measurement is one that is under way.
type measurement struct {
	task
	contender contender
	tally     *tally
	delivered int    // in all rounds
	result    result // of this round
}

// round has so many events delivered, and measures it.
func (m *measurement) round(ctx context.Context, events int) (err error) {
	m.result = result{Deliveries: events * m.Hooks}
	m.delivered += m.result.Deliveries
	m.tally.expect(m.result.Deliveries)
	if m.Kind == ofBacklog {
		err = m.contender.Store(ctx, events)
	} else {
		err = m.contender.Start(ctx)
	}
	if err != nil {
		return err
	}
	if err := m.timed(ctx, events); err != nil {
		return err
	}
	if m.Kind == ofPace {
		took, err := askLatencies(ctx, m.Receiver)
		if err != nil {
			return err
		}
		m.result.Receipt = quantilesOf(took)
	}
	return m.contender.Stop(ctx)
}

// timed is the part of a round that is measured.
func (m *measurement) timed(ctx context.Context, events int) error {
	stop, err := m.startClocks()
	if err != nil {
		return err
	}
	switch m.Kind {
	case ofBacklog:
		err = m.contender.Start(ctx)
	case ofPace:
		m.pace(ctx, events)
	default:
		m.result.Trigger = m.callers(ctx, events)
	}
	if err != nil {
		return err
	}
	if err := m.tally.wait(ctx); err != nil {
		return err
	}
	return stop()
}

// callers triggers n events from as many goroutines as the task says, and
// returns how long each took.
func (m *measurement) callers(ctx context.Context, n int) quantiles {
	took := make([]time.Duration, n)
	var next atomic.Int64
	var group sync.WaitGroup
	for range m.Callers {
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				start := time.Now()
				if err := m.contender.Trigger(ctx, newData()); err != nil {
					m.tally.fail(err)
					return
				}
				took[i] = time.Since(start)
			}
		})
	}
	group.Wait()
	return quantilesOf(took)
}

// pace triggers an event each 10 ms, however long they take.
func (m *measurement) pace(ctx context.Context, n int) {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	var group sync.WaitGroup
	for range n {
		<-ticker.C
		group.Go(func() {
			if err := m.contender.Trigger(ctx, newData()); err != nil {
				m.tally.fail(err)
			}
		})
	}
	group.Wait()
}

// counters are those of the contender, if it counts.
func (m *measurement) counters() (c counters) {
	if e, ok := m.contender.(*engine); ok {
		c = e.counters()
	}
	return c
}

// startClocks begins to measure time; stop puts it into the result of the round.
func (m *measurement) startClocks() (stop func() error, err error) {
	cpu, err := cpuTime(syscall.RUSAGE_SELF)
	if err != nil {
		return nil, err
	}
	server, err := serverTime(m.PostgresPID)
	if err != nil {
		return nil, err
	}
	counters := m.counters()
	start := time.Now()
	return func() error {
		m.result.Took = time.Since(start)
		m.result.Counters = m.counters().since(counters)
		cpuNow, err := cpuTime(syscall.RUSAGE_SELF)
		if err != nil {
			return err
		}
		serverNow, err := serverTime(m.PostgresPID)
		m.result.CPU, m.result.ServerCPU = cpuNow-cpu, serverNow-server
		return err
	}, nil
}
