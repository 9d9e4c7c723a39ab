package hooks

import (
	"maps"
	"sync"
	"time"
)

// reportFilter logs that a filter failed and calls the observer, but not each time if
// there are many failures.
func (m *Manager) reportFilter(h *Hook, e *Event, err error) {
	leftOut, ok := m.filterLog.allow(h.Tenant, time.Now())
	if !ok {
		return
	}
	m.log.Warn("hooks: an event was not delivered because the hook's filter failed",
		"tenant", printable(h.Tenant), "hook", h.ID, "event", e.ID, "type", e.Type, "error", errorText(err), "left_out", leftOut)
	m.observe(func() {
		if m.cfg.Observer.FilterFailed != nil {
			m.cfg.Observer.FilterFailed(*h, *e, err)
		}
	})
}

// A rateLog limits how often something is logged for each key, such as a tenant:
// burst times at once, then once every interval. Keys beyond maxReported share one
// such limit.
type rateLog struct {
	burst    int
	interval time.Duration

	mu     sync.Mutex
	keys   map[string]*rated
	others rated
	swept  time.Time
}

func newRateLog(burst int, interval time.Duration) *rateLog {
	return &rateLog{burst: burst, interval: interval, keys: map[string]*rated{}}
}

type rated struct {
	// full is when the whole burst may be logged again.
	full    time.Time
	leftOut int
}

const (
	reportBurst    = 10
	reportInterval = 10 * time.Second
	maxReported    = 1024
)

// allow reports whether to log now, and how many times it has said no since it last
// said yes.
func (l *rateLog) allow(key string, now time.Time) (leftOut int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.keys[key]
	if r == nil {
		if len(l.keys) >= maxReported && now.Sub(l.swept) >= l.interval {
			l.swept = now
			maps.DeleteFunc(l.keys, func(_ string, r *rated) bool { return !r.full.After(now) })
		}
		if r = &l.others; len(l.keys) < maxReported {
			r = &rated{}
			l.keys[key] = r
		}
	}
	if r.full.Before(now) {
		r.full = now
	}
	if r.full.Sub(now) > time.Duration(l.burst-1)*l.interval {
		r.leftOut++
		return 0, false
	}
	r.full = r.full.Add(l.interval)
	leftOut, r.leftOut = r.leftOut, 0
	return leftOut, true
}
