package dispatch

import "time"

// A pace is what is known of how quickly an endpoint responds.
type pace int

const (
	unknown pace = iota
	quick        // in less than quickLimit
	medium       // in less than mediumLimit
	long         // or later
	stalled      // not in time, or it asked to be throttled, until the next success
	paces
)

const (
	quickLimit  = 50 * time.Millisecond
	mediumLimit = time.Second
)

// A tier is a part of the slots. A request starts in the tier of its endpoint's pace, and
// moves to the next as it grows older.
type tier int

const (
	quickTier tier = iota
	mediumTier
	longTier
	tiers
)

func (p pace) tier() tier {
	switch p {
	case medium:
		return mediumTier
	case long, stalled:
		return longTier
	}
	return quickTier
}

// limits are how many slots there are.
type limits struct {
	all     int // in all
	quick   int // of the quick tier
	waiting int // of the medium and the long tier together
	long    int // of the long tier
	// maybeLong is of the long tier, and of the medium one for tenants of
	// unknown pace.
	maybeLong int
	unknown   int // of the quick tier, for tenants of unknown pace
	stalled   int // of the long tier, for endpoints that are stalled
}

// manyQuick is how many quick requests keep the cores of a usual machine busy.
const manyQuick = 128

// newLimits divides the slots. The quick tier has half of them up to manyQuick, and a
// fifth of them beyond that. Requests that wait for their responses cannot use up a fifth
// of the slots, and those that wait for long cannot use up two fifths. One tenant alone
// needs no such protection, and gets nearly all.
func newLimits(all int, alone bool) limits {
	l := limits{all: all, stalled: max(1, all/2)}
	if alone {
		l.quick = min(all, max(manyQuick, all/5))
		l.waiting, l.long = all-all/32, all-all/16
		l.unknown, l.maybeLong = all, all
		return l
	}
	l.quick = max(1, all/5, min(all/2, manyQuick))
	l.waiting = max(1, all-max(1, all/5))
	l.long = max(1, all-max(2, 2*all/5))
	l.unknown = max(1, l.quick*3/4)
	l.maybeLong = (l.waiting + l.long + 1) / 2
	return l
}

// A record has what is known of the durations of requests.
type record struct {
	mean  time.Duration // a running one
	known bool          // by a response, and not just by the age of requests
}

// responded adds the duration of a request.
func (r *record) responded(took time.Duration) {
	if !r.known {
		r.mean, r.known = took, true
		return
	}
	r.mean = (r.mean + took) / 2
}

// stillWaiting adds the age of a request that is still under way.
func (r *record) stillWaiting(age time.Duration) { r.mean = max(r.mean, age) }

func (r *record) pace() pace {
	switch {
	case r.mean >= mediumLimit:
		return long
	case !r.known:
		return unknown
	case r.mean >= quickLimit:
		return medium
	}
	return quick
}
