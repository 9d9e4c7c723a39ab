//go:build cgo

package sqlite

import (
	"errors"
	"math"
)

// endCounts say which hooks may have too many ended deliveries in their logs, so that a
// purge need not read all logs. The count of a hook is at least the number of deliveries
// that have ended. A purge adds those that ended since the last purge, and counts again
// where that may be too many. Counts are not stored: the first purge of a process reads all
// logs.
type endCounts struct {
	upTo int64         // the logs were counted up to this time; 0: not at all
	of   map[int64]int // by the hook's n
}

// endsLate is how much later, in milliseconds, the end of a delivery may be logged than the
// ends of others that are as old. Ends of so long ago are counted again, so that a count may
// be too large, but never too small.
const endsLate = 10_000

var (
	// stmtEndsSince counts, for each hook, the deliveries that ended after a time.
	stmtEndsSince = newStatement(`SELECT h.n, count(*), max(l.at) FROM hooks_hooks h CROSS JOIN hooks_log l ON l.hook = h.n
		WHERE h.n > ? AND l.at > ? AND l.at < {farFuture} AND l.entry IN ({entrySucceeded}, {entryDead}, {entryCancelled}) GROUP BY h.n`)
	// stmtCountAllEnds counts the ended deliveries in the log of a hook.
	stmtCountAllEnds = newStatement("SELECT count(*) FROM hooks_log WHERE hook = ? AND entry IN ({entrySucceeded}, {entryDead}, {entryCancelled})")
	// stmtFirstEnds finds the oldest of them.
	stmtFirstEnds = newStatement(`SELECT l.delivery, l.at, d.held IS NULL AND d.ended_at = l.at
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

// tooMuch adds to found the oldest deliveries of hooks with more than keep, except those in
// skip, until there are limit. Hooks are skipped until they have an eighth more than keep.
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

// count adds the ends that were logged since the last call.
func (e *endCounts) count(r *reader) (err error) {
	defer func() {
		if err != nil { // Only some were counted.
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

// removed subtracts what a purge has removed.
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
