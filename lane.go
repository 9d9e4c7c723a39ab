package hooks

import "time"

// A lane is what the buffer knows of one hook. It exists as long as there is
// something to know.
type lane struct {
	ref       Ref
	limit     int           // the hook's own
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
}

// firstWindow is the window of a new lane.
const firstWindow = 4

func (l *lane) window() int {
	if l.slow {
		return 1
	}
	return min(l.open, l.limit)
}

func (l *lane) buffered() int { return l.firsts.len() + l.retries.len() }

func (l *lane) active() int { return l.buffered() + l.reserved + l.inFlight }

// room is how many more deliveries the lane may have in memory.
func (l *lane) room(now time.Time) int {
	switch {
	case l.throttled.After(now):
		return 0
	case l.slow:
		return max(0, 1-l.active())
	}
	return max(0, 3*l.window()-l.active())
}

// wants reports whether a claim for the lane is worth while. A third of what
// it may hold has to be missing, so that claims are not for single deliveries.
func (l *lane) wants(now time.Time) bool { return l.behind && l.room(now) >= l.window() }
