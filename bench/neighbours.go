package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/seed-2c6e3a5a/hooks/internal/pgtest"
)

// A neighbourRecord is the measurement of a neighbour beside an attacker.
type neighbourRecord struct {
	Attacker string          `json:"attacker"`
	Result   neighbourResult `json:"result"`
	Error    string          `json:"error,omitempty"`
	text     string          // of the attacker
}

// minFiles is how many files must be allowed to be open: each of some thousand
// requests has a connection, which has two ends in the same process.
const minFiles = 4096

// neighbours measures a neighbour alone and then beside each attacker, each by
// a process of its own with a Manager, store and endpoints of its own. One that
// fails is kept with its error, and holds up no other.
func (b *benchmark) neighbours(ctx context.Context) error {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return err
	}
	if files.Cur < minFiles {
		return fmt.Errorf("only %d files may be open (ulimit -n), at least %d are needed", files.Cur, minFiles)
	}
	b.report.Store, b.report.Files = b.store, files.Cur
	if b.store == storePostgres {
		var err error
		if b.postgres, err = pgtest.StartIn(b.options.dir); err != nil {
			return err
		}
	}
	for _, a := range attackers {
		if a.name != alone && !b.wants(a.name) {
			continue
		}
		r, err := b.neighbour(ctx, a.name)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		n := neighbourRecord{Attacker: a.name, Result: r, text: a.text}
		if err != nil {
			n.Error = err.Error()
		}
		b.report.Neighbours = append(b.report.Neighbours, n)
		fmt.Fprintf(os.Stderr, "bench: %-13s %s\n", a.name, n)
	}
	return nil
}

// neighbour has a process of its own make one measurement.
func (b *benchmark) neighbour(ctx context.Context, attacker string) (r neighbourResult, err error) {
	const spare = time.Minute // to register hooks and to end in
	ctx, cancel := context.WithTimeout(ctx, b.each+spare)
	defer cancel()
	t := neighbourTask{Attacker: attacker, For: b.each, Store: b.store, Dir: filepath.Join(b.dir, "run")}
	if b.postgres != nil {
		t.Postgres = b.postgres.URL()
	}
	if err := os.Mkdir(t.Dir, 0o700); err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(t.Dir)) }()
	return ask[neighbourResult](ctx, roleNeighbour, t)
}

// String is a line of text.
func (n neighbourRecord) String() string {
	if n.Error != "" {
		return "failed: " + n.Error
	}
	r := n.Result
	return fmt.Sprintf("%4d of %4d, p50 %7s, p95 %7s, p99 %7s, max %7s ms; first second: max %7s ms; attacker: %6d requests; %3.0f %% busy",
		r.Delivered, r.Triggered, shortMs(r.Receipt.P50), shortMs(r.Receipt.P95), shortMs(r.Receipt.P99), shortMs(r.Receipt.Max),
		shortMs(r.FirstSecond), r.Requests, 100*r.Busy)
}

func shortMs(d time.Duration) string { return short(milliseconds(d)) }

// neighbours writes what was measured of neighbours.
func (m *markdown) neighbours() {
	m.machine()
	m.printf(" The store: %s. In %s.", m.Store, m.Took)
	m.others()
	m.printf(" At most %d files may be open.\n", m.Files)
	m.table([]string{"beside"}, "delivered", "p50, ms", "p95, ms", "p99, ms", "max, ms", "max of the first second, ms", "the attacker's requests", "processors busy")
	for _, n := range m.Neighbours {
		r := n.Result
		if n.Error != "" {
			m.row(n.text, "failed")
			continue
		}
		m.row(n.text, fmt.Sprintf("%d of %d", r.Delivered, r.Triggered),
			shortMs(r.Receipt.P50), shortMs(r.Receipt.P95), shortMs(r.Receipt.P99), shortMs(r.Receipt.Max),
			shortMs(r.FirstSecond), fmt.Sprint(r.Requests), fmt.Sprintf("%.0f %%", 100*r.Busy))
	}
	m.printf("\nThe neighbour's events are triggered each %v, by the clock. Each counts from when it was meant to be triggered until it reached the endpoint; what did not reach it within %v of the last, until then.\n",
		neighbourInterval, lastArrivals)
	for _, n := range m.Neighbours {
		if n.Error != "" {
			m.printf("\nFailed: %s: %s\n", n.Attacker, n.Error)
		}
	}
}
