//go:build cgo

package sqlite

import "time"

// gathering makes a group of callers that wait for the disk larger. The callers of the last
// transaction are likely to come back at once, and those that came during it are in the
// queue. So the leader of the next waits until all of them are there, but not for long. A
// single caller never waits.
type gathering struct {
	callers int           // that are expected
	took    time.Duration // by the last transaction
	skip    int           // transactions that do not wait, because it was of no use before
	// complete is closed when none of the expected callers is missing any more. Nil:
	// no leader waits for that.
	complete chan struct{}
	missing  int
}

const (
	// gatherPart is the part of the duration of the last transaction that a leader waits
	// for others at most.
	gatherPart = 4
	// gatherSkip is how many transactions do without after it was of no use.
	gatherSkip = 16
)

// gather waits until the callers that are expected are in the queue, or for too long.
func (w *writer) gather() {
	g := &w.gathering
	w.mu.Lock()
	here := countCallers(w.queue)
	missing := g.callers - here
	if here == 0 || missing <= 0 || g.took == 0 || g.skip > 0 {
		g.skip = max(0, g.skip-1)
		w.mu.Unlock()
		return
	}
	complete := make(chan struct{})
	g.complete, g.missing = complete, missing
	timer := time.NewTimer(g.took / gatherPart)
	w.mu.Unlock()
	select {
	case <-complete:
	case <-timer.C:
	}
	timer.Stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	g.complete = nil
	if g.missing == missing {
		g.skip = gatherSkip
	}
}

// note records that an operation was added to the queue.
func (g *gathering) note(o *operation) {
	if g.complete == nil || o.relaxed {
		return
	}
	if g.missing--; g.missing == 0 {
		close(g.complete)
	}
}

// expect records which callers to expect after a transaction of this batch, when these
// operations are in the queue.
func (g *gathering) expect(batch, queue []*operation, took time.Duration) {
	g.callers, g.took = countCallers(batch)+countCallers(queue), took
}

// countCallers counts the operations whose callers wait for the disk.
func countCallers(list []*operation) (n int) {
	for _, o := range list {
		if !o.relaxed {
			n++
		}
	}
	return n
}
