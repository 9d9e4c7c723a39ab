// Package ratelog limits how often something is logged.
package ratelog

import (
	"maps"
	"sync"
	"time"
)

// A Limiter limits how often something is logged for each key, such as a tenant: burst
// times at once, and then once in each interval. Keys beyond maxKeys share one such
// limit. It may be used concurrently.
type Limiter struct {
	burst    int
	interval time.Duration

	mu     sync.Mutex
	keys   map[string]*budget
	others budget
	swept  time.Time
}

// New returns a Limiter.
func New(burst int, interval time.Duration) *Limiter {
	return &Limiter{burst: burst, interval: interval, keys: map[string]*budget{}}
}

// A budget is what is left of a key's burst.
type budget struct {
	fullAt  time.Time // when the whole burst is available again
	leftOut int       // how often Allow has returned false since it last returned true
}

// maxKeys is how many keys have a limit of their own.
const maxKeys = 1024

// Allow reports whether to log now, and how many lines were left out since the last one.
func (l *Limiter) Allow(key string, now time.Time) (leftOut int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.budget(key, now)
	if b.fullAt.Before(now) {
		b.fullAt = now
	}
	if b.fullAt.Sub(now) > time.Duration(l.burst-1)*l.interval {
		b.leftOut++
		return 0, false
	}
	b.fullAt = b.fullAt.Add(l.interval)
	leftOut, b.leftOut = b.leftOut, 0
	return leftOut, true
}

// budget returns the budget of a key, or the shared one if there are too many keys.
func (l *Limiter) budget(key string, now time.Time) *budget {
	if b := l.keys[key]; b != nil {
		return b
	}
	if len(l.keys) >= maxKeys && now.Sub(l.swept) >= l.interval {
		l.swept = now
		maps.DeleteFunc(l.keys, func(_ string, b *budget) bool { return !b.fullAt.After(now) })
	}
	if len(l.keys) >= maxKeys {
		return &l.others
	}
	b := &budget{}
	l.keys[key] = b
	return b
}
