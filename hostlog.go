package hooks

import (
	"log/slog"
	"time"
)

// A hostLog tells the operator what happens with requests to a host, each kind of
// thing once a minute for each host name. It may be used concurrently.
type hostLog struct {
	log   *slog.Logger
	limit *rateLog
}

func newHostLog(log *slog.Logger) *hostLog {
	return &hostLog{log, newRateLog(1, time.Minute)}
}

func (l *hostLog) warn(host, msg string, args ...any) {
	if leftOut, ok := l.limit.allow(msg+" "+plainHost(host), time.Now()); ok {
		l.log.Warn(msg, append([]any{"host", printable(host), "left_out", leftOut}, args...)...)
	}
}
