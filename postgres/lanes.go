package postgres

import (
	"container/heap"
	"math"

	"github.com/seed-2c6e3a5a/hooks"
	queue "github.com/seed-2c6e3a5a/hooks/internal/heap"
	"github.com/seed-2c6e3a5a/hooks/internal/list"
)

// Each process keeps in memory which lanes have something due, and takes turns among them.
// In a table, lanes would be the rows that change most often, and PostgreSQL keeps each old
// version of a row for as long as any transaction is open that may see it.

// A tenant has lanes that have something due.
type tenant struct {
	name    string
	lanes   int             // how many
	ready   list.List[lane] // lanes that had something due at a claim, in the order of their turns
	inReady list.Links[tenant]
	// What follows is of the claim with this number.
	claim    uint64
	capacity hooks.Capacity
	turn     *lane // whose turn it is
	// unplanned is what the plan has left of capacity. cycle has the lanes that take turns
	// in it, at is the place of the one whose turn it is, and next comes into cycle next.
	unplanned hooks.Capacity
	cycle     []*lane
	at        int
	next      *lane
}

type laneKey struct {
	hook int64
	kind int16
}

// A lane is those deliveries of a hook that wait for their first attempt, or those that wait
// for another, pending or leased.
type lane struct {
	laneKey
	ref    hooks.Ref
	tenant *tenant
	dues   dues // when there may be something more that is due
	// due is the first of dues, or the end of the hook's throttle if that is later.
	due, throttledUntil int64
	// ripe is up to when a ready lane may have something that is due; dues has what is later.
	ripe int64
	// cursor is behind what was taken, or was not there. It saves looking through the rows
	// that the database still keeps of them.
	cursor place
	// Of what is queued before horizon, not all is in dues.
	horizon int64
	inReady list.Links[lane]
	index   int // in lanes.upcoming
	size    int // of an event's data, lately
	// What follows is of the claim with this number.
	claim     uint64
	planned   int         // how many deliveries the plan has of it
	found     []candidate // locked by the claim, and not taken yet
	exhausted bool        // There are no others.
}

// A place is where a delivery stands in its lane: by time, then by n.
type place struct{ queued, n int64 }

// before is the place before all that is queued at a time.
func before(queued int64) place { return place{queued, math.MinInt64} }

// behind is the place behind all that is queued at a time.
func behind(queued int64) place { return place{queued, math.MaxInt64} }

// lanes are those of all hooks that have something due now or later. They are guarded by
// claimer.mu.
type lanes struct {
	of       map[laneKey]*lane
	tenants  map[string]*tenant
	ready    list.List[tenant] // tenants with ready lanes, in the order of their turns
	upcoming queue.Heap[lane]  // lanes in which something more will be due, by when
}

func newLanes() lanes {
	return lanes{
		of: map[laneKey]*lane{}, tenants: map[string]*tenant{},
		ready:    list.New(func(t *tenant) *list.Links[tenant] { return &t.inReady }),
		upcoming: queue.New(func(a, b *lane) bool { return a.due < b.due }, func(l *lane) *int { return &l.index }),
	}
}

// lane returns a lane, which it makes if there is none.
func (ls *lanes) lane(key laneKey, ref hooks.Ref) *lane {
	l := ls.of[key]
	if l != nil {
		return l
	}
	t := ls.tenants[ref.Tenant]
	if t == nil {
		t = &tenant{name: ref.Tenant, ready: list.New(func(l *lane) *list.Links[lane] { return &l.inReady })}
		ls.tenants[ref.Tenant] = t
	}
	t.lanes++
	l = &lane{laneKey: key, ref: ref, tenant: t, throttledUntil: earliest, ripe: earliest, cursor: behind(math.MaxInt64), horizon: earliest, dues: newDues()}
	ls.of[key] = l
	return l
}

// becomesDue notes that there may be something in the lane that is due at a time.
func (ls *lanes) becomesDue(l *lane, due int64) {
	if due <= l.cursor.queued {
		l.cursor = before(due)
	}
	if due == earliest {
		l.throttledUntil = earliest
	}
	if due <= l.ripe && l.tenant.ready.Has(l) {
		return
	}
	l.dues.add(due)
	ls.update(l)
}

// exhaust takes the turn from a lane in which nothing is due at now that the claim has not
// taken.
func (ls *lanes) exhaust(l *lane, now int64) {
	l.cursor = behind(now)
	if now < l.ripe { // Another claim had a clock that was ahead.
		l.dues.add(l.ripe)
	}
	ls.leave(l)
}

// throttle takes the turn from a lane until its hook's throttle ends.
func (ls *lanes) throttle(l *lane) {
	l.dues.add(l.ripe)
	ls.leave(l)
}

// update moves a lane to its place among the upcoming after its dues have changed, and
// forgets it if there is nothing to wait for.
func (ls *lanes) update(l *lane) {
	first, ok := l.dues.first()
	switch {
	case ok:
		l.due = max(first, l.throttledUntil)
		if l.index > 0 {
			ls.upcoming.Fix(l)
		} else {
			ls.upcoming.Push(l)
		}
		return
	case l.index > 0:
		ls.upcoming.Remove(l)
	}
	if !l.tenant.ready.Has(l) {
		ls.forget(l)
	}
}

// forget removes a lane that is neither ready nor upcoming.
func (ls *lanes) forget(l *lane) {
	delete(ls.of, l.laneKey)
	if l.tenant.lanes--; l.tenant.lanes == 0 {
		delete(ls.tenants, l.tenant.name)
	}
}

// join gives turns to the lanes that are due, behind the others.
func (ls *lanes) join(now int64) {
	for l := ls.upcoming.First(); l != nil && l.due <= now; l = ls.upcoming.First() {
		if !l.tenant.ready.Has(l) {
			l.tenant.ready.Push(l)
		}
		if !ls.ready.Has(l.tenant) {
			ls.ready.Push(l.tenant)
		}
		l.ripe = max(l.ripe, now)
		l.dues.passed(l.ripe)
		ls.update(l)
	}
}

// leave takes the turn from a lane in which nothing more is due.
func (ls *lanes) leave(l *lane) {
	l.ripe = earliest
	l.tenant.ready.Remove(l)
	if l.tenant.ready.Len() == 0 {
		ls.ready.Remove(l.tenant)
	}
	ls.update(l)
}

// dues are times, each as often as it was added.
type dues struct {
	heap  times
	count map[int64]int
}

func newDues() dues { return dues{count: map[int64]int{}} }

func (d *dues) add(due int64) {
	if d.count[due]++; d.count[due] == 1 {
		heap.Push(&d.heap, due)
	}
}

// remove removes a time once, if it is there.
func (d *dues) remove(due int64) {
	if d.count[due] > 1 {
		d.count[due]--
	} else {
		delete(d.count, due) // The heap drops it later.
	}
}

// first returns the first time.
func (d *dues) first() (due int64, ok bool) {
	for len(d.heap) > 0 && d.count[d.heap[0]] == 0 {
		heap.Pop(&d.heap)
	}
	if len(d.heap) == 0 {
		return 0, false
	}
	return d.heap[0], true
}

// passed removes the times up to now.
func (d *dues) passed(now int64) {
	for due, ok := d.first(); ok && due <= now; due, ok = d.first() {
		delete(d.count, due)
	}
}

// times are a heap.
type times []int64

func (t *times) Len() int           { return len(*t) }
func (t *times) Less(i, j int) bool { return (*t)[i] < (*t)[j] }
func (t *times) Swap(i, j int)      { (*t)[i], (*t)[j] = (*t)[j], (*t)[i] }
func (t *times) Push(x any)         { *t = append(*t, x.(int64)) }
func (t *times) Pop() any {
	last := len(*t) - 1
	x := (*t)[last]
	*t = (*t)[:last]
	return x
}
