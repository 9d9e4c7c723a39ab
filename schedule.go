package hooks

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Retries returns a schedule, for [Hook].Schedule and [Config].Schedule, that
// makes the first attempt at once and a retry after each of these delays:
// Retries(5*time.Second, time.Minute) is three attempts, Retries() is one.
func Retries(delays ...time.Duration) []time.Duration {
	return append([]time.Duration{0}, delays...)
}

// defaultSchedule is the one that Standard Webhooks gives in its section
// "Deliverability and reliability".
var defaultSchedule = []time.Duration{
	0,
	5 * time.Second,
	5 * time.Minute,
	30 * time.Minute,
	2 * time.Hour,
	5 * time.Hour,
	10 * time.Hour,
	14 * time.Hour,
	20 * time.Hour,
	24 * time.Hour,
}

const (
	// maxRetryAfter bounds how long an endpoint can have itself left alone.
	maxRetryAfter = 24 * time.Hour
	// minThrottle and maxThrottle bound how long one that does not say is.
	minThrottle = time.Second
	maxThrottle = time.Minute
)

// quickRetries is how many retries may come as soon as the schedule says; each
// one after them waits for at least minBackoff, and longer with each that would
// have come sooner, up to maxBackoff.
const (
	quickRetries = 2
	minBackoff   = time.Second
	maxBackoff   = time.Minute
)

// bounded returns the schedule with at least these delays, so that no schedule
// turns one event into a flood of requests.
func bounded(schedule []time.Duration) []time.Duration {
	least, shared := minBackoff, true
	for i := 1 + quickRetries; i < len(schedule); i++ {
		if schedule[i] >= minBackoff {
			continue
		}
		if shared {
			schedule, shared = slices.Clone(schedule), false
		}
		schedule[i] = least
		least = min(2*least, maxBackoff)
	}
	return schedule
}

// jittered lengthens a delay by a share, from 0 to 1, of a fifth of it, or of
// jitter if that is more, so that what failed at the same time is not all tried
// again at the same time.
func jittered(delay, jitter time.Duration, share float64) time.Duration {
	return delay + time.Duration(share*float64(max(delay/5, jitter)))
}

// RetryAfter returns how long from now the Retry-After header, if there is a
// valid one, asks to wait (RFC 9110, section 10.2.3): in whole seconds, rounded up
// so as never to be early, 0 for the past, at most a day.
func (r Response) RetryAfter(now time.Time) (wait time.Duration, ok bool) {
	value := strings.TrimSpace(r.Header.Get("Retry-After"))
	if digits := strings.TrimPrefix(value, "-"); isDigits(digits) {
		if digits != value {
			return 0, true
		}
		seconds, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || seconds > int64(maxRetryAfter/time.Second) {
			return maxRetryAfter, true
		}
		return time.Duration(seconds) * time.Second, true
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	wait = min(max(at.Sub(now), 0), maxRetryAfter)
	if rest := wait % time.Second; rest > 0 {
		wait += time.Second - rest
	}
	return wait, true
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// throttleFor returns how long to leave an endpoint alone that says that it is
// overloaded but not for how long, after so many earlier failures in a row: a
// second, doubled with each failure up to a minute.
func throttleFor(failures int) time.Duration {
	// Any shift of more than 5 passes the maximum, one of 10 never overflows.
	return min(minThrottle<<min(max(failures, 0), 10), maxThrottle)
}
