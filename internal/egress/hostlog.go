package egress

import (
	"log/slog"
	"time"

	"github.com/seed-2c6e3a5a/hooks/internal/escape"
	"github.com/seed-2c6e3a5a/hooks/internal/ratelog"
)

// A hostLog logs for the operator what happens with requests to a host: each message at
// most once a minute for each host name. It may be used concurrently.
type hostLog struct {
	log   *slog.Logger
	limit *ratelog.Limiter
}

func newHostLog(log *slog.Logger) *hostLog {
	return &hostLog{log, ratelog.New(1, time.Minute)}
}

func (l *hostLog) warn(host, msg string, args ...any) {
	if leftOut, ok := l.limit.Allow(msg+" "+plainHost(host), time.Now()); ok {
		l.log.Warn(msg, append([]any{"host", escape.Printable(host), "left_out", leftOut}, args...)...)
	}
}
