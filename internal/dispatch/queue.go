package dispatch

import "time"

// firstWindow is the window of a new queue and of a new tenant: how many requests of the
// queue, and how many quick ones of the tenant, may be under way before one has succeeded.
const firstWindow = 4

// A Queue has the items in memory for one endpoint, and what is known of that endpoint.
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
	left            int       // items added by AddLeft since the last claim
	backlogged      bool      // the store may have others that are due
	claimedNow      int       // items that the claim just made has brought
	timerSet        bool      // a timer is set for when it can start
	touched         time.Time // last used
}

// A tenant has the queues that compete for slots as one.
type tenant[K comparable, V any] struct {
	node
	name string
	lines[Queue[K, V]]
	window     int // of requests in the quick tier
	stuck      int // of those, the ones that are too old for it
	queues     int
	active     int // items buffered or reserved, and requests under way
	size       int // bytes of those
	backlogged bool
	// claimedNow and claimedNowSize are what the claim just made has brought.
	claimedNow, claimedNowSize int
}

// pace is what is known of how quickly the queue's endpoint responds. While it is unknown,
// the pace of the tenant counts (see paceOf).
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

// paceOf is the pace that decides which slot a queue of pace p gets.
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

// next returns the queue whose turn it is among those that wait with this pace, and the
// line in which it waits.
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

// hasMore reports whether the store may have items of the queue that are due.
func (q *Queue[K, V]) hasMore() bool { return q.left > 0 || q.backlogged }

// idle reports whether nothing of the queue is in memory but what is known of its
// endpoint.
func (q *Queue[K, V]) idle(now time.Time) bool {
	return q.active() == 0 && !q.hasMore() && !q.timerSet && !q.nextStart.After(now)
}

// gathered is when the first items of a ring have waited long enough for others that
// share their request. Zero: enough are there.
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

// popRequest removes the items of the next request, which are all first attempts or all
// retries, and appends them to items. A batch has at most maxBytes, unless its first
// item alone has more.
func (q *Queue[K, V]) popRequest(items []Item[V], maxBytes int) []Item[V] {
	turn, _ := q.ready()
	q.retriesTurn = turn == &q.firsts
	for size, n := 0, 0; n < q.Batch && turn.len() > 0; n++ {
		size += turn.peek().Size
		if n > 0 && size > maxBytes {
			break
		}
		items = append(items, turn.pop())
	}
	return items
}
