package okta

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/wire"
)

// A limiter counts the requests of each tenant, minute by minute. Nil: it lets
// everything through.
type limiter struct {
	limit  int
	mu     sync.Mutex
	minute time.Time
	taken  map[string]int // in that minute, by tenant
}

func newLimiter(limit int) *limiter {
	if limit == 0 {
		return nil
	}
	return &limiter{limit: limit}
}

// busyHeader is that of a response to [hooks.ErrBusy]: clients that do not know
// Retry-After wait for the difference of Date and X-Rate-Limit-Reset.
func busyHeader(now time.Time) http.Header {
	return http.Header{
		"Retry-After":            {strconv.Itoa(wire.RetryAfter)},
		"X-Rate-Limit-Remaining": {"0"},
		"X-Rate-Limit-Reset":     {strconv.FormatInt(now.Unix()+wire.RetryAfter, 10)},
		"Date":                   {now.UTC().Format(http.TimeFormat)},
	}
}

// take counts a request. It returns what its response says of the limit, and
// whether the request is within it.
func (l *limiter) take(tenant string) (http.Header, bool) {
	if l == nil {
		return nil, true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if minute := now.Truncate(time.Minute); !minute.Equal(l.minute) {
		l.minute, l.taken = minute, map[string]int{}
	}
	l.taken[tenant]++
	remaining := l.limit - l.taken[tenant]
	return http.Header{
		"X-Rate-Limit-Limit":     {strconv.Itoa(l.limit)},
		"X-Rate-Limit-Remaining": {strconv.Itoa(max(0, remaining))},
		"X-Rate-Limit-Reset":     {strconv.FormatInt(l.minute.Add(time.Minute).Unix(), 10)},
		// Clients wait for the difference of the two.
		"Date": {now.UTC().Format(http.TimeFormat)},
	}, remaining >= 0
}
