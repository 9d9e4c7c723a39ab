// Package backoff has the arithmetic of retries: how long to wait before the next
// attempt at something that has failed.
package backoff

import "time"

// An Exponential is a delay that doubles with each failure in a row, from First up
// to Max. Both must be positive.
type Exponential struct{ First, Max time.Duration }

// Delay returns First doubled so many times, but at most Max. The number is that of
// the failures in a row before the latest one; a negative number counts as 0.
func (e Exponential) Delay(failures int) time.Duration {
	delay := e.First
	for range failures {
		if delay > e.Max/2 { // It would pass Max, and could overflow.
			return e.Max
		}
		delay *= 2
	}
	return min(delay, e.Max)
}

var throttle = Exponential{First: time.Second, Max: time.Minute}

// Throttle returns how long to send nothing to an endpoint that says that it is
// overloaded but not for how long, after so many earlier failures in a row: a
// second, doubled with each failure up to a minute.
func Throttle(failures int) time.Duration { return throttle.Delay(failures) }
