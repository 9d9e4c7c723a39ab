//go:build cgo

package sqlite

import (
	"errors"
	"math"
)

// Ends tell which hooks may have too many ended deliveries in their logs, so that
// few logs have to be looked through. There is a number for each hook: at least
// as many as have ended. A purge adds what has come into the logs since the last,
// and counts anew where that may be too much. Nothing of it is stored: the first
// purge of a process looks through all logs.
type endCounts struct {
	upTo int64         // so far, the logs have been counted; 0: not at all
	of   map[int64]int // by the hook's n
}

// endsLate is how much later than others an end may come into the log that was
// earlier, in milliseconds. So far back, ends are counted again: the number may
// become too large by that, but not too small.
const endsLate = 10_000

var (
	stmtEndsSince = newStatement(`SELECT h.n, count(*), max(l.at) FROM hooks_hooks h CROSS JOIN hooks_log l ON l.hook = h.n
		WHERE h.n > ? AND l.at > ? AND l.at < {farFuture} AND l.entry IN ({entrySucceeded}, {entryDead}, {entryCancelled}) GROUP BY h.n`)
	stmtCountAllEnds = newStatement("SELECT count(*) FROM hooks_log WHERE hook = ? AND entry IN ({entrySucceeded}, {entryDead}, {entryCancelled})")
	stmtFirstEnds    = newStatement(`SELECT l.delivery, l.at, d.held IS NULL AND d.ended_at = l.at
		FROM hooks_log l CROSS JOIN hooks_deliveries d ON d.n = l.delivery
		WHERE l.hook = ? AND l.entry IN ({entrySucceeded}, {entryDead}, {entryCancelled}) ORDER BY l.at, l.delivery LIMIT ?`)
)

// The columns of stmtEndsSince.
const (
	sinceHook = iota
	sinceCount
	sinceLast
)

// The columns of stmtFirstEnds.
const (
	endDelivery = iota
	endAt
	endIsCurrent
)

// tooMuch adds deliveries of hooks with more than keep to found, until there are
// limit, but for those to skip. A hook is left alone until it has an eighth more.
func (e *endCounts) tooMuch(r *reader, keep, limit int, skip map[int64]bool, found *[]endedDelivery) error {
	if err := e.count(r); err != nil {
		return err
	}
	for hook, n := range e.of {
		if len(*found) >= limit {
			return nil
		}
		if n <= keep+keep/8 {
			continue
		}
		all, err := first(r, stmtCountAllEnds, hook)
		if err != nil {
			return err
		}
		e.of[hook] = all.count(0)
		if e.of[hook] <= keep+keep/8 {
			continue
		}
		err = r.each(stmtFirstEnds, func(r row) error {
			if r.bool(endIsCurrent) && !skip[r.int(endDelivery)] {
				*found = append(*found, endedDelivery{n: r.int(endDelivery), before: r.int(endAt) + 1, tooMuch: true})
			}
			if len(*found) >= limit {
				return errEnough
			}
			return nil
		}, hook, int64(e.of[hook]-keep))
		if err != nil && !errors.Is(err, errEnough) {
			return err
		}
	}
	return nil
}

// count adds what has come into the logs.
func (e *endCounts) count(r *reader) (err error) {
	defer func() {
		if err != nil { // Some were counted, and some not.
			*e = endCounts{}
		}
	}()
	since := int64(math.MinInt64)
	if e.of == nil {
		e.of = map[int64]int{}
	} else {
		since = e.upTo - endsLate
	}
	return r.each(stmtEndsSince, func(r row) error {
		e.of[r.int(sinceHook)] += r.count(sinceCount)
		e.upTo = max(e.upTo, r.int(sinceLast))
		return nil
	}, int64(0), since)
}

// removed takes note of what a purge has removed.
func (e *endCounts) removed(p purged) {
	for hook, n := range p.deliveries {
		if _, known := e.of[hook]; known {
			e.of[hook] -= n
		}
	}
	for _, hook := range p.hooks {
		delete(e.of, hook)
	}
}
