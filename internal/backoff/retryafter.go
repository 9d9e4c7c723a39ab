package backoff

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// MaxRetryAfter bounds how long an endpoint can ask to wait.
const MaxRetryAfter = 24 * time.Hour

// RetryAfter returns how long from now a value of the Retry-After header, if it is
// valid, asks to wait (RFC 9110, section 10.2.3): in whole seconds, rounded up so
// as never to be early, 0 if the value names a time in the past or is negative, at
// most [MaxRetryAfter].
func RetryAfter(value string, now time.Time) (wait time.Duration, ok bool) {
	value = strings.TrimSpace(value)
	if digits := strings.TrimPrefix(value, "-"); isDigits(digits) {
		if digits != value {
			return 0, true
		}
		seconds, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || seconds > int64(MaxRetryAfter/time.Second) {
			return MaxRetryAfter, true
		}
		return time.Duration(seconds) * time.Second, true
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	wait = min(max(at.Sub(now), 0), MaxRetryAfter)
	if rest := wait % time.Second; rest > 0 {
		wait += time.Second - rest
	}
	return wait, true
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
