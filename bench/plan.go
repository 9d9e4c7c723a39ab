package main

import (
	"slices"
	"time"
)

// A workload is measured for several contenders, one after another.
type workload struct {
	name       string
	kind       kind
	callers    int
	hooks      int           // that each event goes to
	slow       bool          // on a disk that takes longer to sync
	took       time.Duration // to be scaled to the time that there is
	contenders []string
}

// The names of the workloads, as in the JSON.
const (
	backlog       = "backlog"
	callers16     = "16 callers"
	callers64     = "64 callers"
	fanOut        = "fan-out 1:100"
	callers1      = "1 caller"
	paced         = "100 events/s"
	commits       = "bare commits"
	slowBacklog   = "slow disk, backlog"
	slowCallers64 = "slow disk, 64 callers"
	slowFanOut    = "slow disk, fan-out 1:100"
	slowCommits   = "slow disk, bare commits"
)

// plan is what can be measured, in this order.
func plan() []workload {
	const short, long = 300 * time.Millisecond, 700 * time.Millisecond
	engines := []string{onFull, onNormal, onPostgres, onMemory}
	durable := slices.Concat(engines, []string{riverSQLiteEntry.name, riverPostgresEntry.name, backliteEntry.name})
	all := slices.Concat(durable, []string{defaultGoroutinesEntry.name, tunedGoroutinesEntry.name})
	return []workload{
		{name: commits, kind: ofCommits, took: short},
		{name: backlog, kind: ofBacklog, hooks: 1, took: long, contenders: slices.Concat([]string{bareClient}, durable)},
		{name: callers16, kind: ofCallers, callers: 16, hooks: 1, took: long, contenders: all},
		{name: callers64, kind: ofCallers, callers: 64, hooks: 1, took: long, contenders: all},
		{name: fanOut, kind: ofCallers, callers: 1, hooks: 100, took: long, contenders: engines},
		{name: callers1, kind: ofCallers, callers: 1, hooks: 1, took: short, contenders: durable},
		{name: paced, kind: ofPace, hooks: 1, took: 1500 * time.Millisecond, contenders: all},
		{name: slowCommits, kind: ofCommits, slow: true, took: short},
		{name: slowBacklog, kind: ofBacklog, hooks: 1, slow: true, took: long, contenders: engines[:1]},
		{name: slowCallers64, kind: ofCallers, callers: 64, hooks: 1, slow: true, took: long, contenders: engines[:1]},
		{name: slowFanOut, kind: ofCallers, callers: 1, hooks: 100, slow: true, took: long, contenders: engines[:1]},
	}
}

// ofBare reports whether the workload is compared with the bare loop, which is
// then measured just before each contender.
func (w workload) ofBare() bool {
	return w.kind == ofBacklog || w.kind == ofCallers && w.callers*w.hooks > 1
}

// reference is the bare loop that the workload is compared with.
func (w workload) reference() workload {
	return workload{name: w.name, kind: ofBacklog, hooks: 1, took: w.took / 2}
}

// withBare is how long it takes for a contender, and for the bare loop.
func (w workload) withBare() time.Duration {
	if w.ofBare() {
		return w.took + w.reference().took
	}
	return w.took
}

// task makes the task for a contender that takes about as long as planned,
// times scale, on a machine where the bare loop has this rate.
func (w workload) task(e entry, bareRate, scale float64) task {
	var perSecond float64
	switch {
	case w.kind == ofPace:
		perSecond = 100
	case w.kind == ofCommits:
		perSecond = 1000
	case w.kind == ofBacklog:
		perSecond = bareRate * e.backlog
	case w.callers*w.hooks > 1:
		perSecond = bareRate * e.triggered / float64(w.hooks)
	default: // Each trigger waits for a disk.
		perSecond = bareRate * min(e.triggered, 0.05)
	}
	return task{
		Contender: e.name, Kind: w.kind, Callers: w.callers, Hooks: w.hooks,
		Events: max(int(perSecond*w.took.Seconds()*scale), 10),
	}
}
