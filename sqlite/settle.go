package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

// Settle implements [hooks.Queue].
func (s *Store) Settle(ctx context.Context, now time.Time, settlements []hooks.Settlement) ([]hooks.Settled, error) {
	if len(settlements) == 0 {
		return nil, ctx.Err()
	}
	settled := make([]hooks.Settled, len(settlements))
	err := s.writer.doPatiently(ctx, func(t *tx) (err error) {
		for i := range settlements {
			if settled[i], err = t.settle(now, &settlements[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return settled, nil
}

var (
	findLease = newStatement(`SELECT n, hook, key, handed, created_at, queued FROM hooks_deliveries
		WHERE id = ? AND state = 3 AND token = ?`)
	endLease = newStatement(`UPDATE hooks_deliveries SET state = ?, attempts = attempts + ?, step = ?, due = ?4, queued = ?4,
		until = NULL, owner = NULL, reason = ?, ended_at = ?, held = ? WHERE n = ?`)
	setHealth = newStatement("UPDATE hooks_hooks SET failures = ?, failing_since = ?, throttled_until = ? WHERE n = ?")
)

// settle ends one lease.
func (t *tx) settle(now time.Time, s *hooks.Settlement) (hooks.Settled, error) {
	r, err := first(t, findLease, packID(s.DeliveryID), s.Token)
	if err != nil {
		return hooks.Settled{}, err
	}
	if r == nil {
		return hooks.Settled{Err: fmt.Errorf("delivery %q: %w", s.DeliveryID, hooks.ErrLeaseLost)}, nil
	}
	n, key, expired := r.int(0), r.text(2), r[5] != nil
	h, err := t.hookN(r.int(1))
	if err != nil {
		return hooks.Settled{}, err
	}
	made, step := int64(0), int64(s.Step)
	if s.Attempt != nil {
		made = 1
	}
	var due, ended, held any
	if s.State == hooks.Pending {
		due = s.Due.UnixMilli()
	} else {
		ended = now.UnixMilli()
	}
	if s.State == hooks.Dead && s.Hold && key != "" && h.exists {
		held = int64(1)
	}
	err = run(t, endLease, packState(s.State), made, step, due, packText(s.Reason), ended, held, n)
	if err == nil {
		err = t.log(h, n, r.bool(3) && s.Token == 1, r.int(4), s, ended)
	}
	if err == nil && expired {
		err = t.recheckBoth(h, now)
	}
	if err == nil && s.State == hooks.Pending {
		err = t.queue(h, step, s.Due.UnixMilli())
	}
	if err == nil && s.State != hooks.Pending && key != "" && held == nil {
		err = t.release(h, key, now)
	}
	if err == nil && h.exists {
		err = t.setHealth(h, h.health.After(*s, now), now)
	}
	return hooks.Settled{Health: h.health}, err
}

var (
	firstBlocked = newStatement(`SELECT n, step FROM hooks_deliveries
		WHERE hook = ? AND key = ? AND (ended_at IS NULL OR held = 1) AND state = 1 ORDER BY n LIMIT 1`)
	unblock = newStatement("UPDATE hooks_deliveries SET state = 2, due = ?2, queued = ?2 WHERE n = ?1")
)

// release makes the first blocked delivery of the key pending.
func (t *tx) release(h *hookRow, key string, now time.Time) error {
	r, err := first(t, firstBlocked, h.n, key)
	if err != nil || r == nil {
		return err
	}
	if err := run(t, unblock, r.int(0), now.UnixMilli()); err != nil {
		return err
	}
	return t.queue(h, r.int(1), now.UnixMilli())
}

func (t *tx) setHealth(h *hookRow, health hooks.Health, now time.Time) error {
	if health == h.health {
		return nil
	}
	throttled := health.ThrottledUntil.Equal(h.health.ThrottledUntil)
	h.health = health
	err := run(t, setHealth, int64(health.Failures), packTime(health.FailingSince), packTime(health.ThrottledUntil), h.n)
	if err != nil || throttled {
		return err
	}
	return t.recheckBoth(h, now)
}

var (
	insertAttempt = newStatement(`INSERT INTO hooks_attempts
		(n, started_at, duration, state, next_at, request, body_size, body_sha256, status, truncated, class, error,
		response_header, response_body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
	insertLogs = newStatement("INSERT OR IGNORE INTO hooks_log VALUES (?1, ?2, ?3, ?4), (?1, ?5, ?3, ?6), (?1, ?7, ?3, ?8)")
)

// log writes down the attempt, and in hooks_log what there is to tell.
func (t *tx) log(h *hookRow, n int64, first bool, created int64, s *hooks.Settlement, ended any) error {
	if s.Attempt != nil {
		if err := t.insertAttempt(h, n, s.Attempt); err != nil {
			return err
		}
	}
	type entry struct{ at, kind int64 }
	entries := make([]entry, 0, 3)
	if first {
		entries = append(entries, entry{created, entryCreated})
	}
	if a := s.Attempt; a != nil {
		kind := entryAttempt
		if a.Class != "" {
			kind = entryFailedAttempt
		}
		entries = append(entries, entry{a.StartedAt.UnixMilli(), int64(a.Number)<<entryBits + kind})
	}
	if ended != nil {
		entries = append(entries, entry{ended.(int64), entryOfEnd(packState(s.State))})
	}
	if len(entries) == 3 {
		return run(t, insertLogs, h.n, entries[0].at, n, entries[0].kind, entries[1].at, entries[1].kind, entries[2].at, entries[2].kind)
	}
	for _, e := range entries {
		if err := run(t, insertLog, h.n, e.at, n, e.kind); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) insertAttempt(h *hookRow, delivery int64, a *hooks.Attempt) error {
	if a.Number < 1 || a.Number > maxAttempt {
		return fmt.Errorf("the number of an attempt must be 1 to %d, not %d", maxAttempt, a.Number)
	}
	n := delivery<<attemptBits + int64(a.Number)
	sent, err := t.request(h, n, &a.Request)
	if err != nil {
		return err
	}
	var digest any
	if a.Request.BodySHA256 != [32]byte{} {
		digest = a.Request.BodySHA256[:]
	}
	return run(t, insertAttempt, n, a.StartedAt.UnixMilli(), int64(a.Duration),
		packState(a.State), packTime(a.NextAt), sent, int64(a.Request.BodySize), digest,
		int64(a.Response.Status), packBool(a.Response.Truncated), packText(string(a.Class)), packText(a.Error),
		packBytes(packHeader(a.Response.Header)), packBytes(a.Response.Body))
}

// A request is what attempts have in common. Those whose n have the same upper
// 32 bits are a generation: they share rows of hooks_requests, which can go when
// the last of the generation has gone.
type request struct {
	generation          int64
	hook                int64
	method, url, header string
}

const (
	generationBits = 32
	generationMask = -1 << generationBits
)

var (
	insertRequest = newStatement("INSERT INTO hooks_requests (n, method, url, header) VALUES (?, ?, ?, ?)")
	maxRequest    = newStatement("SELECT max(n) FROM hooks_requests WHERE n > ? AND n < ?")
)

// request returns what attempt n has as its request: the lower bits of the n of
// a row in hooks_requests, or nil if there is nothing to keep.
func (t *tx) request(h *hookRow, n int64, sent *hooks.AttemptRequest) (any, error) {
	if sent.Method == "" && sent.URL == "" && len(sent.Header) == 0 {
		return nil, nil
	}
	header := packHeader(sent.Header)
	key := request{n & generationMask, h.n, sent.Method, sent.URL, string(header)}
	if known, ok := t.requests[key]; ok {
		return known, nil
	}
	last, ok := t.lastRequest[key.generation]
	if !ok {
		r, err := first(t, maxRequest, key.generation, key.generation+1<<generationBits)
		if err != nil {
			return nil, err
		}
		last = max(0, r.int(0)-key.generation)
	}
	last++
	if err := run(t, insertRequest, key.generation+last, sent.Method, sent.URL, packBytes(header)); err != nil {
		return nil, err
	}
	if len(t.requests) >= maxCached {
		clear(t.requests)
		clear(t.lastRequest)
	}
	t.lastRequest[key.generation], t.requests[key] = last, last
	return last, nil
}
