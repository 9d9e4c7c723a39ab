package backoff

import (
	"slices"
	"time"
)

// DefaultSchedule returns the schedule that Standard Webhooks gives in its section
// "Deliverability and reliability": the delay before each attempt.
func DefaultSchedule() []time.Duration {
	return []time.Duration{
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
}

// quickRetries is how many retries may come as soon as a schedule says.
const quickRetries = 2

// lateRetries is the least delay of those after them: it doubles with each one
// that would have come sooner than the first of these delays.
var lateRetries = Exponential{First: time.Second, Max: time.Minute}

// Bound returns the schedule with delays that are long enough that no schedule
// turns one event into a flood of requests: after the first attempt and two
// retries, a delay of less than a second becomes one of a second, the next such
// delay one of two seconds, and so on up to a minute. The schedule itself is not
// changed; it is returned if there is nothing to change.
func Bound(schedule []time.Duration) []time.Duration {
	bounded, raised := schedule, 0
	for i := 1 + quickRetries; i < len(schedule); i++ {
		if schedule[i] >= lateRetries.First {
			continue
		}
		if raised == 0 {
			bounded = slices.Clone(schedule)
		}
		bounded[i] = lateRetries.Delay(raised)
		raised++
	}
	return bounded
}

// Jitter lengthens a delay by a share, from 0 to 1, of a fifth of it, or of least
// if that is more, so that what failed at the same time is not all tried again at
// the same time.
func Jitter(delay, least time.Duration, share float64) time.Duration {
	return delay + time.Duration(share*float64(max(delay/5, least)))
}
