package hooks

import (
	"time"
)

// reportFilter reports a filter that failed to the log and the observer, at a limited rate
// for each tenant.
func (m *Manager) reportFilter(h *Hook, e *Event, err error) {
	leftOut, ok := m.filterLog.Allow(h.Tenant, time.Now())
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

// Of each tenant, this many failed filters are reported at once, and then one in each
// interval.
const (
	filterLogBurst    = 10
	filterLogInterval = 10 * time.Second
)
