package hooks

import (
	"maps"
	"sync"
	"time"
)

// reportFilter tells the operator and the observer of a filter that failed, but
// not of all if there are many.
func (m *Manager) reportFilter(h *Hook, e *Event, err error) {
	leftOut, ok := m.filterLog.allow(h.Tenant, time.Now())
	if !ok {
		return
	}
	m.log.Warn("hooks: an event was not delivered because the hook's filter failed",
		"tenant", h.Tenant, "hook", h.ID, "event", e.ID, "type", e.Type, "error", err, "left_out", leftOut)
	m.observe(func() {
		if m.cfg.Observer.FilterFailed != nil {
			m.cfg.Observer.FilterFailed(*h, *e, err)
		}
	})
}

// A rateLog limits how often something is told of each tenant: reportBurst times
// at once, then once every reportInterval. Tenants beyond maxReported share one
// such limit.
type rateLog struct {
	mu      sync.Mutex
	tenants map[string]*rated
	others  rated
	swept   time.Time
}

type rated struct {
	// full is when the whole burst may be told again.
	full    time.Time
	leftOut int
}

const (
	reportBurst    = 10
	reportInterval = 10 * time.Second
	maxReported    = 1024
)

// allow reports whether it is to be told now, and how many were left out since
// the last.
func (l *rateLog) allow(tenant string, now time.Time) (leftOut int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.tenants[tenant]
	if r == nil {
		if len(l.tenants) >= maxReported && now.Sub(l.swept) >= reportInterval {
			l.swept = now
			maps.DeleteFunc(l.tenants, func(_ string, r *rated) bool { return !r.full.After(now) })
		}
		if r = &l.others; len(l.tenants) < maxReported {
			r = &rated{}
			l.tenants[tenant] = r
		}
	}
	if r.full.Before(now) {
		r.full = now
	}
	if r.full.Sub(now) > (reportBurst-1)*reportInterval {
		r.leftOut++
		return 0, false
	}
	r.full = r.full.Add(reportInterval)
	leftOut, r.leftOut = r.leftOut, 0
	return leftOut, true
}
