package hooks

import "time"

// A lane is what the buffer knows of one hook. It exists as long as there is
// something to know.
type lane struct {
	ref       Ref
	limit     int           // the hook's own
	batch     int           // how many items may share a request
	gather    time.Duration // how long after it was due an item waits for others
	interval  time.Duration // between attempts, if the hook has a rate
	nextStart time.Time     // of an attempt, if the hook has a rate

	firsts, retries ring[item]
	retriesTurn     bool
	reserved        int
	inFlight        int
	open            int // the window while the lane is not slow
	failures        int // failed attempts since the last success
	slow            bool
	throttled       time.Time // until then
	behind          bool      // the store may hold deliveries that are due
	claimed         int       // items that the claim just made has brought
	waiting         bool      // in a ring, or for nextStart
	gathering       bool      // a timer is set for the end of a gather
}

// firstWindow is the window of a new lane.
const firstWindow = 4

// maxBatchData bounds the data of the events in a batch, but for a single one.
const maxBatchData = 1 << 20

func (l *lane) window() int {
	if l.slow {
		return 1
	}
	return min(l.open, l.limit)
}

func (l *lane) buffered() int { return l.firsts.len() + l.retries.len() }

func (l *lane) active() int { return l.buffered() + l.reserved + l.inFlight }

// size is how many deliveries the lane may have in memory.
func (l *lane) size() int {
	if l.slow {
		return l.batch
	}
	return max(3*l.window(), l.batch)
}

// room is how many more deliveries the lane may have in memory now.
func (l *lane) room(now time.Time) int {
	if l.throttled.After(now) || l.slow && l.inFlight > 0 {
		return 0
	}
	return max(0, l.size()-l.active())
}

// wants reports whether a claim for the lane is worth while. A third of what
// it may hold has to be missing, so that claims are not for single deliveries.
func (l *lane) wants(now time.Time) bool { return l.behind && 3*l.room(now) >= l.size() }

// gathered is when the items of a queue have waited long enough for others to
// share a request with.
func (l *lane) gathered(queue *ring[item]) time.Time {
	if queue.len() >= l.batch {
		return time.Time{}
	}
	return queue.peek().Delivery.Due.Add(l.gather)
}

// queue returns the queue whose turn it is, and when its first request may
// start. The lane must have something buffered.
func (l *lane) queue() (*ring[item], time.Time) {
	queue, other := &l.firsts, &l.retries
	if l.retriesTurn {
		queue, other = other, queue
	}
	if queue.len() == 0 {
		queue, other = other, queue
	}
	at := l.gathered(queue)
	if at.IsZero() || other.len() == 0 {
		return queue, at
	}
	if otherAt := l.gathered(other); otherAt.Before(at) {
		return other, otherAt
	}
	return queue, at
}

// take takes the items of the next request, which are of one queue, and appends
// them to items.
func (l *lane) take(items []item) []item {
	queue, _ := l.queue()
	l.retriesTurn = queue == &l.firsts
	for size, n := 0, 0; n < l.batch && queue.len() > 0; n++ {
		size += len(queue.peek().Event.Data)
		if n > 0 && size > maxBatchData {
			break
		}
		items = append(items, queue.pop())
	}
	return items
}
