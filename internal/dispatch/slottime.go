package dispatch

import (
	"math"
	"time"

	"github.com/seed-2c6e3a5a/hooks/internal/heap"
)

const (
	// memory is how long slot time counts: after it, it has decayed to 1/e.
	memory = 10 * time.Second
	// requestCost is added to the slot time of a request, because starting one has a
	// cost, and so that two that are equal take turns.
	requestCost = time.Millisecond
)

// A clock gives slot time a weight that grows with time. Letting what is added grow has
// the same effect on the order as letting all sums decay, and needs no updates.
type clock struct{ zero time.Time }

func (c clock) weight(now time.Time) float64 {
	return math.Exp(now.Sub(c.zero).Seconds() / memory.Seconds())
}

// A node is the part of a tenant or of a queue that competes for slots.
type node struct {
	// used is the slot time that it has used: for how long its requests have
	// been under way, added up. It decays; see clock.
	used    float64
	charged time.Time // up to when requests under way are in used
	arrived uint64    // decides between those that have used the same
	slots   [tiers]int
	record

	places [paces]int  // in the lines of its parent
	parked [paces]bool // taken out of a line because of the share it holds
	busy   bool        // in Dispatcher.busyTenants or busyQueues
}

func (n *node) inFlight() int { return n.slots[quickTier] + n.slots[mediumTier] + n.slots[longTier] }

// holds is how many of its slots count when it wants another of the tier.
func (n *node) holds(t tier) int {
	if t == mediumTier {
		return n.slots[mediumTier] + n.slots[longTier]
	}
	return n.slots[t]
}

// charge adds the slot time since the last charge.
func (n *node) charge(c clock, now time.Time) {
	if held := n.inFlight(); held > 0 && now.After(n.charged) {
		n.used += float64(held) * now.Sub(n.charged).Seconds() * c.weight(now)
	}
	n.charged = now
}

func (n *node) start(c clock, now time.Time, t tier) {
	n.charge(c, now)
	n.used += requestCost.Seconds() * c.weight(now)
	n.slots[t]++
}

func (n *node) end(c clock, now time.Time, t tier) {
	n.charge(c, now)
	n.slots[t]--
}

func (n *node) move(from, to tier) {
	n.slots[from]--
	n.slots[to]++
}

// before reports whether n gets a slot before other.
func (n *node) before(other *node) bool {
	if n.used != other.used {
		return n.used < other.used
	}
	return n.arrived < other.arrived
}

// lines are the nodes that wait for a slot, in a line for each pace. The one that has used
// the least slot time is first.
type lines[T any] struct {
	byPace [paces]heap.Heap[T]
	node   func(*T) *node
}

func newLines[T any](of func(*T) *node) lines[T] {
	l := lines[T]{node: of}
	for p := range paces {
		l.byPace[p] = heap.New(
			func(a, b *T) bool { return of(a).before(of(b)) },
			func(x *T) *int { return &of(x).places[p] },
		)
	}
	return l
}

func (l *lines[T]) len(p pace) int  { return l.byPace[p].Len() }
func (l *lines[T]) first(p pace) *T { return l.byPace[p].First() }
func (l *lines[T]) remove(p pace, x *T) {
	if l.node(x).places[p] > 0 {
		l.byPace[p].Remove(x)
	}
}

// join puts x in the line, unless it is there. arrival numbers those that join.
func (l *lines[T]) join(p pace, x *T, arrival uint64) {
	n := l.node(x)
	if n.places[p] > 0 {
		return
	}
	waits := false
	for other := range paces {
		waits = waits || n.places[other] > 0 || n.parked[other]
	}
	if !waits {
		// One that comes back starts level with the first of those that wait. So
		// nobody earns many turns in a row by staying away.
		if least, ok := l.least(); ok && least > n.used {
			n.used = least
		}
		n.arrived = arrival
	}
	l.byPace[p].Push(x)
}

// least is the least slot time of those that wait.
func (l *lines[T]) least() (least float64, ok bool) {
	for p := range paces {
		if first := l.first(p); first != nil && (!ok || l.node(first).used < least) {
			least, ok = l.node(first).used, true
		}
	}
	return least, ok
}

// fix puts x where it belongs after a change of its slot time.
func (l *lines[T]) fix(x *T) {
	for p := range paces {
		if l.node(x).places[p] > 0 {
			l.byPace[p].Fix(x)
		}
	}
}
