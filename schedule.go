package hooks

import (
	"time"

	"github.com/seed-2c6e3a5a/hooks/internal/backoff"
)

// Retries returns a schedule, for [Hook].Schedule and [Config].Schedule, that
// makes the first attempt at once and a retry after each of these delays:
// Retries(5*time.Second, time.Minute) is three attempts, Retries() is one.
func Retries(delays ...time.Duration) []time.Duration {
	return append([]time.Duration{0}, delays...)
}

// RetryAfter returns how long from now the Retry-After header, if there is a
// valid one, asks to wait (RFC 9110, section 10.2.3): in whole seconds, rounded up
// so as never to be early, 0 for the past, at most a day.
func (r Response) RetryAfter(now time.Time) (wait time.Duration, ok bool) {
	return backoff.RetryAfter(r.Header.Get("Retry-After"), now)
}
