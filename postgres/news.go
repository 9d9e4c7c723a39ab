package postgres

import "sync"

// A newsBox has what this Store itself has done to its lanes since the last claim, so that
// it need not read its own signals. Calls do not wait for a claim to leave their news.
type newsBox struct {
	mu    sync.Mutex
	news  []news
	stale bool // Something may have happened that is not in news.
}

// news are about a lane.
type news struct {
	laneKey
	what whatNews
	at   int64
}

type whatNews int

const (
	becomesDue  whatNews = iota // Something is due at that time, unless it was before.
	dueNoLonger                 // Of what was said to be due at that time, one is not.
	nothingDue                  // The lane has nothing that is due at that time.
	isThrottled                 // The hook is throttled until then.
)

// maxNews bounds what a Store remembers that makes no claims.
const maxNews = 200_000

func (b *newsBox) add(more ...news) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stale {
		return
	}
	if b.news = append(b.news, more...); len(b.news) > maxNews {
		b.news, b.stale = nil, true
	}
}

// unknown says that the outcome of a write is not known.
func (b *newsBox) unknown() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.news, b.stale = nil, true
}

// take applies the news to the lanes. It reports whether there may be more.
func (b *newsBox) take(c *claimer, s *Store) (stale bool) {
	b.mu.Lock()
	list := b.news
	b.news = nil
	stale, b.stale = b.stale, false
	b.mu.Unlock()
	for _, n := range list {
		l := c.lanes.of[n.laneKey]
		if l == nil && n.what == becomesDue {
			ref, known := s.hooks.ref(n.hook)
			if stale = stale || !known; !known {
				continue
			}
			l = c.lanes.lane(n.laneKey, ref)
		}
		if l != nil {
			c.lanes.learn(l, n)
		}
	}
	return stale
}

// learn applies news to a lane.
func (ls *lanes) learn(l *lane, n news) {
	switch n.what {
	case becomesDue:
		ls.becomesDue(l, n.at)
	case dueNoLonger:
		l.dues.remove(n.at)
		ls.update(l)
	case nothingDue:
		if n.at >= l.ripe && l.tenant.ready.Has(l) {
			ls.leave(l)
		}
	case isThrottled:
		l.throttledUntil = n.at
		if l.tenant.ready.Has(l) {
			ls.throttle(l)
		} else {
			ls.update(l)
		}
	}
}

// kindOf returns the lane of a hook's deliveries at this step.
func kindOf(step int) int16 {
	if step == 0 {
		return kindFirst
	}
	return kindRetry
}
