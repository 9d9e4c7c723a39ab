package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/seed-2c6e3a5a/hooks/internal/pgtest"
)

// bench measures everything, and prints the tables.
func bench(ctx context.Context, o options) (err error) {
	b := &benchmark{options: o, began: time.Now(), report: newReport()}
	others, err := watchOthers()
	if err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp(o.dir, "bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if o.neighbours {
		err = b.neighbours(ctx)
	} else if err = b.prepare(ctx); err == nil {
		err = b.passes(ctx)
	}
	if err := errors.Join(err, b.end()); err != nil {
		return err
	}
	if b.report.Others, err = others(); err != nil {
		return err
	}
	b.report.Explain = o.explain
	b.report.Took = time.Since(b.began).Round(time.Second).String()
	if o.json != "" {
		if err := b.report.writeJSON(o.json); err != nil {
			return err
		}
	}
	return b.report.writeMarkdown(os.Stdout)
}

// A benchmark is one that is under way.
type benchmark struct {
	options
	began       time.Time
	dir         string // of the benchmark
	receiver    *process
	url         string // of the receiver
	postgres    *pgtest.Server
	environment []string // of senders on a slow disk
	bare        result   // of the bare loop, measured last
	pacer       *pacer
	report      report
}

// prepare starts what all measurements share.
func (b *benchmark) prepare(ctx context.Context) (err error) {
	// The receiver ends after all senders, not when the context does.
	if b.receiver, err = startProcess(context.WithoutCancel(ctx), roleReceiver); err != nil {
		return err
	}
	if err := b.receiver.ask(nil, &b.url); err != nil {
		return err
	}
	if b.wants(onPostgres) || b.wants(riverPostgresEntry.name) {
		b.postgres, err = pgtest.StartIn(b.options.dir)
		for _, name := range []string{onPostgres, riverPostgresEntry.name} {
			if err := b.missing(name, err); err != nil {
				return err
			}
		}
	}
	if b.wants(onFull) && b.sync > 0 {
		b.report.Sync = b.sync.String()
		b.environment, err = buildShim(ctx, b.dir, b.sync)
		if err := b.missing(slowDisk, err); err != nil {
			return err
		}
	}
	return nil
}

// errNotInstalled says that a program is missing.
var errNotInstalled = errors.New("is not installed")

// missing has the report say what could not be measured for want of a program.
// It returns other errors.
func (b *benchmark) missing(what string, err error) error {
	if errors.Is(err, errNotInstalled) || errors.Is(err, pgtest.ErrNotInstalled) {
		b.report.Missing[what] = err.Error()
		return nil
	}
	return err
}

// end ends what prepare started.
func (b *benchmark) end() (err error) {
	if b.receiver != nil {
		err = b.receiver.end()
	}
	if b.postgres != nil {
		err = errors.Join(err, b.postgres.Stop())
	}
	return err
}

// passes makes all passes, as far as there is time.
func (b *benchmark) passes(ctx context.Context) error {
	deadline := b.began.Add(b.options.time)
	b.pacer = newPacer(b.plan(), b.options.passes, deadline, b.measures)
	timed, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	for pass := range b.options.passes {
		switch err := b.pass(timed, pass); {
		case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
			b.report.CutOff = true
			return nil
		case err != nil:
			return err
		}
		b.report.Passes++
	}
	return nil
}

// measures reports whether a contender is measured.
func (b *benchmark) measures(contender string) bool {
	_, missing := b.report.Missing[contender]
	return !missing && b.wants(contender)
}

// plan is what is measured in each pass.
func (b *benchmark) plan() []workload {
	return slices.DeleteFunc(plan(), func(w workload) bool { return w.slow && b.environment == nil })
}

// pass measures each workload for each contender once.
func (b *benchmark) pass(ctx context.Context, pass int) error {
	const probe = 2_000 // requests, to see what this machine can do
	bare, err := b.measure(ctx, workload{}, task{Contender: bareLoop, Kind: ofBacklog, Events: probe, Hooks: 1})
	if err != nil {
		return cmp.Or(ctx.Err(), err)
	}
	b.bare = bare
	for _, w := range b.plan() {
		fmt.Fprintf(os.Stderr, "bench: pass %d of %d: %s\n", pass+1, b.options.passes, w.name)
		if w.kind == ofCommits {
			err = b.record(ctx, pass, w, entry{name: w.name}, b.pacer.next(w.took))
		} else {
			err = b.compare(ctx, pass, w)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// compare measures a workload for each contender, and the bare loop just before
// each, because the speed of a machine drifts.
func (b *benchmark) compare(ctx context.Context, pass int, w workload) error {
	for _, name := range w.contenders {
		e, err := findContender(name)
		if err != nil {
			return err
		}
		if !b.measures(name) {
			continue
		}
		scale := b.pacer.next(w.withBare())
		if w.ofBare() {
			if err := b.record(ctx, pass, w.reference(), bareLoopEntry, scale); err != nil {
				return err
			}
		}
		if err := b.record(ctx, pass, w, e, scale); err != nil {
			return err
		}
	}
	return nil
}

// record has one measurement made, and keeps it in the report. One that fails
// is kept with its error, and holds up no other.
func (b *benchmark) record(ctx context.Context, pass int, w workload, e entry, scale float64) error {
	t := w.task(e, b.bare.rate(), scale)
	r, err := b.measure(ctx, w, t)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if e.name == bareLoop {
		if err != nil {
			return err // There is nothing to compare with.
		}
		b.bare = r
	}
	b.report.add(pass, w, t, r, b.bare, err)
	return nil
}

// measure has a process of its own make one measurement.
func (b *benchmark) measure(ctx context.Context, w workload, t task) (r result, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	t.Receiver, t.Dir = b.url, filepath.Join(b.dir, "run")
	if b.postgres != nil && strings.HasSuffix(t.Contender, "PostgreSQL") {
		t.Postgres, t.PostgresPID = b.postgres.URL(), b.postgres.PID()
	}
	if err := os.Mkdir(t.Dir, 0o700); err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(t.Dir)) }()
	var environment []string
	if w.slow {
		environment = b.environment
	}
	if r, err = ask[result](ctx, roleSender, t, environment...); err != nil {
		return r, fmt.Errorf("%s: %w", t.Contender, err)
	}
	return r, nil
}
