package dispatch

import "time"

// firstWindow is how many requests of a queue may be under way before one has
// succeeded, and how many quick ones of a tenant.
const firstWindow = 4

// A Queue is what is in memory for one endpoint, and what is known of it.
type Queue[K comparable, V any] struct {
	node
	key    K
	tenant *tenant[K, V]
	Limits

	firsts, retries ring[Item[V]]
	retriesTurn     bool
	reserved        int
	size            int // bytes of what is buffered, reserved or under way
	window          int // while it is not stalled
	failures        int // failed attempts since the last success
	isStalled       bool
	throttled       time.Time // until then
	nextStart       time.Time // of a request, if there is an interval
	behind          bool      // the store may hold items that are due
	claimed         int       // items that the claim just made has brought
	timed           bool      // a timer is set for when it can start
	touched         time.Time // last used
}

// A tenant is the queues that count as one.
type tenant[K comparable, V any] struct {
	node
	name string
	lines[Queue[K, V]]
	window int // of requests in the quick tier
	stuck  int // of those, the ones that are too old for it
	queues int
	active int // items buffered or reserved, and requests under way
	size   int // bytes of those
	behind bool
	// claimed and claimedSize are what the claim just made has brought.
	claimed, claimedSize int
}

// pace is that of the queue, or of its tenant as long as nothing is known of it.
func (q *Queue[K, V]) pace() pace {
	switch p := q.record.pace(); {
	case q.isStalled:
		return stalled
	case p == unknown && q.mean >= quickLimit && q.tenant.known:
		return medium // at least
	default:
		return p
	}
}

// paceOf is the pace with which a queue of this pace stands for a slot.
func (t *tenant[K, V]) paceOf(p pace) pace {
	if p == unknown {
		return t.record.pace()
	}
	return p
}

// offers reports whether the tenant has a queue that waits for a slot of the
// pace.
func (t *tenant[K, V]) offers(p pace) bool {
	return p != unknown && t.len(p) > 0 || p == t.record.pace() && t.len(unknown) > 0
}

// next returns the queue whose turn it is, of those that wait with this pace,
// and its place.
func (t *tenant[K, V]) next(p pace) (*Queue[K, V], pace) {
	var q *Queue[K, V]
	if p != unknown {
		q = t.first(p)
	}
	if p == t.record.pace() {
		if fresh := t.first(unknown); fresh != nil && (q == nil || fresh.before(&q.node)) {
			return fresh, unknown
		}
	}
	return q, p
}

// most is how many requests of the queue may be under way.
func (q *Queue[K, V]) most() int {
	if q.isStalled {
		return 1
	}
	return min(q.window, q.InFlight)
}

func (q *Queue[K, V]) buffered() int { return q.firsts.len() + q.retries.len() }

func (q *Queue[K, V]) active() int { return q.buffered() + q.reserved + q.inFlight() }

// capacity is how many items the queue may have in memory.
func (q *Queue[K, V]) capacity() int {
	if q.isStalled {
		return q.Batch
	}
	return max(3*q.most(), q.Batch)
}

// idle reports whether the queue is nothing but knowledge.
func (q *Queue[K, V]) idle(now time.Time) bool {
	return q.active() == 0 && !q.behind && !q.timed && !q.nextStart.After(now)
}

// gathered is when the items of a ring have waited long enough for others to
// share a request with.
func (q *Queue[K, V]) gathered(r *ring[Item[V]]) time.Time {
	if r.len() >= q.Batch {
		return time.Time{}
	}
	return r.peek().Due.Add(q.Gather)
}

// ready returns the ring whose turn it is, and when its first request may start
// as far as gathering goes. The queue must have something buffered.
func (q *Queue[K, V]) ready() (*ring[Item[V]], time.Time) {
	turn, other := &q.firsts, &q.retries
	if q.retriesTurn {
		turn, other = other, turn
	}
	if turn.len() == 0 {
		turn, other = other, turn
	}
	at := q.gathered(turn)
	if at.IsZero() || other.len() == 0 {
		return turn, at
	}
	if otherAt := q.gathered(other); otherAt.Before(at) {
		return other, otherAt
	}
	return turn, at
}

// take takes the items of the next request, which are all first attempts or all
// retries, and appends them to items. A batch has at most so many bytes, unless
// its first item has more.
func (q *Queue[K, V]) take(items []Item[V], most int) []Item[V] {
	turn, _ := q.ready()
	q.retriesTurn = turn == &q.firsts
	for size, n := 0, 0; n < q.Batch && turn.len() > 0; n++ {
		size += turn.peek().Size
		if n > 0 && size > most {
			break
		}
		items = append(items, turn.pop())
	}
	return items
}
