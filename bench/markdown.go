package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// writeMarkdown writes the tables, and what is to be known about them.
func (r *report) writeMarkdown(w io.Writer) error {
	m := &markdown{report: r}
	if len(r.Neighbours) > 0 {
		m.neighbours()
	} else {
		m.contenders()
	}
	_, err := w.Write(m.text.Bytes())
	return err
}

func (m *markdown) contenders() {
	m.heading()
	m.rates()
	m.costs()
	m.latencies()
	m.slowDisk()
	if m.Explain {
		m.explanations()
	}
	m.configurations()
}

// A markdown is a report that is being written.
type markdown struct {
	*report
	text bytes.Buffer
}

func (m *markdown) printf(format string, args ...any) { fmt.Fprintf(&m.text, format, args...) }

// row writes a row of a table.
func (m *markdown) row(cells ...string) { m.printf("| %s |\n", strings.Join(cells, " | ")) }

// table writes the head of a table: columns of names, then of figures.
func (m *markdown) table(names []string, figures ...string) {
	m.printf("\n")
	m.row(slices.Concat(names, figures)...)
	m.printf("|%s%s\n", strings.Repeat("---|", len(names)), strings.Repeat("---:|", len(figures)))
}

// cell is the median of a value, formatted.
func (m *markdown) cell(workload, contender, format string, value func(record) float64) string {
	if m.failed(workload, contender) {
		return "failed"
	}
	values := m.values(workload, contender, value)
	if len(values) == 0 {
		return "–"
	}
	return fmt.Sprintf(format, median(values))
}

// each calls write for each contender that was measured, and writes a row for
// each that could not be.
func (m *markdown) each(write func(e entry)) {
	for _, e := range contenders {
		if why, missing := m.Missing[e.name]; missing {
			m.row(e.name, why)
		} else if m.measured(e.name) {
			write(e)
		}
	}
}

func (m *markdown) measured(contender string) bool {
	for _, c := range m.Records {
		if c.Task.Contender == contender {
			return true
		}
	}
	return false
}

func (m *markdown) machine() {
	m.printf("%s, %d cores, %s, Linux %s, %s.", m.Machine.Processor, m.Machine.Cores, m.Machine.System, m.Machine.Kernel, m.Machine.Go)
}

func (m *markdown) others() {
	m.printf(" Other programs used %.0f %% of the processors meanwhile.", 100*m.Others)
}

func (m *markdown) heading() {
	m.machine()
	m.printf(" Passes: %d in %s; the figures are medians.", m.Passes, m.Took)
	if m.CutOff {
		m.printf(" Then the time was up, so of some there is one more.")
	}
	m.others()
	rate := m.cell(backlog, bareLoop, "%.0f", func(c record) float64 { return c.Rate })
	cpu := m.cell(backlog, bareLoop, "%.0f", func(c record) float64 { return c.Result.cpu() * 1e6 })
	m.printf("\n\nThe %s makes %s deliveries/s, for %s µs of the sender's processor time each. That is 1.00 below.\n", bareLoop, rate, cpu)
}

func (m *markdown) rates() {
	m.table([]string{"deliveries/s, of the bare loop's", "outlives a crash"}, backlog, callers16, callers64, fanOut)
	m.each(func(e entry) {
		cells := []string{e.name, e.keeps}
		for _, workload := range []string{backlog, callers16, callers64, fanOut} {
			cells = append(cells, m.cell(workload, e.name, "%.2f", func(c record) float64 { return c.OfBare }))
		}
		m.row(cells...)
	})
}

func (m *markdown) costs() {
	m.table([]string{"cost"}, "processor time, backlog", "processor time, 64 callers", "peak memory at 100/s", "peak memory flat out",
		"disk a delivery", "disk a delivery, fan-out 1:100")
	m.each(func(e entry) {
		flatOut := callers64
		if e.triggered == 0 {
			flatOut = backlog
		}
		m.row(e.name, m.cpu(backlog, e.name), m.cpu(callers64, e.name),
			m.memory(paced, e.name), m.memory(flatOut, e.name), m.disk(backlog, e.name), m.disk(fanOut, e.name))
	})
	m.printf("\nProcessor time is the sender's a delivery, of the bare loop's. Flat out is with 64 callers; bare loops: all the time. A delivery has a payload of %d bytes, and a response of %d.\n",
		payloadSize, len(response))
}

func (m *markdown) cpu(workload, contender string) string {
	own := m.cell(workload, contender, "%.2f", func(c record) float64 { return c.CPUOfBare })
	server := m.cell(workload, contender, "%.2f", func(c record) float64 { return c.ServerCPU })
	if server == own || server == "0.00" {
		return own
	}
	return own + " + " + server
}

func (m *markdown) memory(workload, contender string) string {
	values := m.values(workload, contender, func(c record) float64 { return float64(c.Result.Memory) })
	if len(values) == 0 {
		return "–"
	}
	return fmt.Sprintf("%.0f MiB", slices.Max(values)/(1<<20))
}

func (m *markdown) disk(workload, contender string) string {
	size := m.cell(workload, contender, "%.0f B", func(c record) float64 { return c.Result.Disk })
	if size == "0 B" {
		return "–"
	}
	return size
}

func (m *markdown) latencies() {
	m.table([]string{"p50 / p99 in ms"}, "Trigger, 1 caller", "Trigger, 16 callers", "Trigger, 64 callers", "to receipt, at 100/s")
	m.each(func(e entry) {
		if e.triggered > 0 {
			m.row(e.name, m.trigger(callers1, e.name), m.trigger(callers16, e.name), m.trigger(callers64, e.name), m.receipt(e.name))
		}
	})
	m.printf("\nIn parentheses: p50 in bare commits. One is a row of 1 KiB in SQLite, WAL, synchronous FULL, from one goroutine, and takes %s ms.\n",
		m.quantiles(commits, commits, trigger))
}

func (m *markdown) trigger(workload, contender string) string {
	took := m.quantiles(workload, contender, trigger)
	multiples := m.values(workload, contender, func(c record) float64 { return c.OfCommit })
	if len(multiples) == 0 {
		return took
	}
	return fmt.Sprintf("%s (%s)", took, short(median(multiples)))
}

func (m *markdown) receipt(contender string) string {
	return m.quantiles(paced, contender, func(r result) quantiles { return r.Receipt })
}

func trigger(r result) quantiles { return r.Trigger }

// quantiles is p50 and p99 in milliseconds.
func (m *markdown) quantiles(workload, contender string, of func(result) quantiles) string {
	if m.failed(workload, contender) {
		return "failed"
	}
	p50 := m.values(workload, contender, func(c record) float64 { return milliseconds(of(c.Result).P50) })
	p99 := m.values(workload, contender, func(c record) float64 { return milliseconds(of(c.Result).P99) })
	if len(p50) == 0 {
		return "–"
	}
	return short(median(p50)) + " / " + short(median(p99))
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// short is a figure with as many decimals as are of use.
func short(v float64) string {
	switch {
	case v < 0.1:
		return fmt.Sprintf("%.3f", v)
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 1000:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

func (m *markdown) slowDisk() {
	if m.Sync == "" {
		return
	}
	m.table([]string{m.Sync + " more for each fsync"}, "bare commit, ms", backlog, callers64, fanOut, "Trigger, 64 callers, ms")
	if why, missing := m.Missing[slowDisk]; missing {
		m.row(onFull, why)
		return
	}
	cells := []string{onFull, m.quantiles(slowCommits, slowCommits, trigger)}
	for _, workload := range []string{slowBacklog, slowCallers64, slowFanOut} {
		cells = append(cells, m.cell(workload, onFull, "%.2f", func(c record) float64 { return c.OfBare }))
	}
	m.row(append(cells, m.trigger(slowCallers64, onFull))...)
}

// configurations tells how each contender is set up, and what failed.
func (m *markdown) configurations() {
	m.printf("\nThe contenders. All but those with a client of their own send as the bare loop does.\n\n")
	for _, e := range contenders {
		if m.measured(e.name) {
			m.printf("- %s: %s\n", e.name, e.configuration)
		}
	}
	for _, c := range m.Records {
		if c.Error != "" {
			m.printf("- Failed: %s, %s: %s\n", c.Workload, cmp.Or(c.Task.Contender, "all"), c.Error)
		}
	}
}
