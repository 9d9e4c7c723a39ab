//go:build cgo

package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/internal/pack"
	"github.com/seed-2c6e3a5a/hooks/store"
)

// Settle implements [hooks.Store].
func (s *Store) Settle(ctx context.Context, now time.Time, settlements []hooks.Settlement) ([]hooks.Settled, error) {
	if len(settlements) == 0 {
		return nil, ctx.Err()
	}
	settled := make([]hooks.Settled, len(settlements))
	err := s.writer.doRelaxed(ctx, len(settlements), func(t *tx) (err error) {
		for i := range settlements {
			if settled[i], err = t.settle(now, &settlements[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.As(err, new(*rowError)) {
		err = s.settleApart(ctx, now, settlements, settled)
	}
	if err != nil {
		return nil, err
	}
	return settled, nil
}

// settleApart settles each delivery in a savepoint of its own, so that damage concerns one
// settlement only. A damaged delivery is set aside, so that it is not sent again and again.
func (s *Store) settleApart(ctx context.Context, now time.Time, settlements []hooks.Settlement, settled []hooks.Settled) error {
	err := s.writer.do(ctx, func(t *tx) error {
		for i := range settlements {
			err := t.apart(func() (err error) {
				settled[i], err = t.settle(now, &settlements[i])
				return err
			})
			if errors.As(err, new(*rowError)) {
				settled[i] = hooks.Settled{Err: fmt.Errorf("sqlite: %w", err)}
			} else if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i := range settled {
		if _, err := s.setAside(ctx, settled[i].Err, 0); err != nil {
			settled[i].Err = errors.Join(settled[i].Err, err)
		}
	}
	return nil
}

// A lease is what a settlement needs to know of the delivery that it ends.
type lease struct {
	n       int64
	token   int64
	hook    int64
	key     string
	created int64
	logged  bool // hooks_log says that it was created
	queued  bool // The lease has ended and the delivery waits again.
}

var (
	// stmtFindLease finds a leased delivery by its ID and token.
	stmtFindLease = newStatement(`SELECT n, hook, ordering_key, created_at, handed AND token = 1 AND queued IS NULL, queued IS NOT NULL, attempts
		FROM hooks_deliveries WHERE id = ? AND state = {leased} AND token = ?`)
	// stmtEndLease stores what became of a delivery.
	stmtEndLease = newStatement(`UPDATE hooks_deliveries SET state = ?, attempts = attempts + ?, step = ?3, retry = ?3 > 0, due = ?4,
		queued = ?4, until = NULL, owner = NULL, reason = ?, ended_at = ?, held = ?, undecided = ? WHERE n = ?`)
	// stmtSetHealth stores the health of a hook.
	stmtSetHealth = newStatement("UPDATE hooks_hooks SET failures = ?, failing_since = ?, throttled_until = ? WHERE n = ?")
)

// The columns of stmtFindLease.
const (
	leaseN = iota
	leaseHook
	leaseOrderingKey
	leaseCreatedAt
	leaseUnlogged
	leaseQueued
	leaseAttempts
)

// lease returns the lease that the settlement ends, or nil if there is no such lease.
func (t *tx) lease(s *hooks.Settlement) (*lease, error) {
	if l := t.leases[s.DeliveryID]; l != nil && l.token == s.Token {
		return l, nil
	}
	r, err := first(t, stmtFindLease, packID(s.DeliveryID), s.Token)
	if err != nil || r == nil {
		return nil, err
	}
	r.count(leaseAttempts) // checks it, because stmtEndLease adds to it
	return &lease{
		n: r.int(leaseN), token: s.Token, hook: r.int(leaseHook), key: r.maybeText(leaseOrderingKey),
		created: r.time(leaseCreatedAt).UnixMilli(), logged: !r.bool(leaseUnlogged), queued: r.bool(leaseQueued),
	}, nil
}

// settle ends one lease.
func (t *tx) settle(now time.Time, s *hooks.Settlement) (hooks.Settled, error) {
	l, err := t.lease(s)
	if err != nil {
		return hooks.Settled{}, err
	}
	if l == nil {
		return hooks.Settled{LeaseLost: true}, nil
	}
	delete(t.leases, s.DeliveryID)
	h, err := t.hookN(l.hook)
	if err != nil {
		return hooks.Settled{}, err
	}
	if err := t.endLease(now, h, l, s); err != nil {
		return hooks.Settled{}, err
	}
	if h.exists {
		if err := t.setHealth(h, h.health.After(*s, now), now); err != nil {
			return hooks.Settled{}, err
		}
	}
	return hooks.Settled{Health: h.health}, nil
}

// endLease stores what became of the delivery, logs it, and queues what is due next: the
// delivery itself if it is pending again, or the next of its ordering key if it has ended.
func (t *tx) endLease(now time.Time, h *hookRow, l *lease, s *hooks.Settlement) error {
	ends := s.State != hooks.Pending
	held := s.State == hooks.Dead && s.Hold && l.key != "" && h.exists
	var due, ended driver.Value
	if ends {
		ended = now.UnixMilli()
	} else {
		due = s.Due.UnixMilli()
	}
	err := run(t, stmtEndLease, packState(s.State), packBool(s.Attempt != nil), int64(s.Step), due, packText(s.Reason), ended,
		packFlag(held), packFlag(s.Undecided), l.n)
	if err != nil {
		return err
	}
	if err := t.log(h, l, s, ended); err != nil {
		return err
	}
	if l.queued {
		if err := t.updateLanes(h, now); err != nil {
			return err
		}
	}
	if !ends {
		return t.queue(h, int64(s.Step), s.Due.UnixMilli())
	}
	if l.key == "" || held {
		return nil
	}
	return t.unblockNext(h, l.key, now)
}

var (
	// stmtFirstBlocked finds the first blocked delivery of a hook and ordering key.
	stmtFirstBlocked = newStatement(`SELECT n, step FROM hooks_deliveries
		WHERE hook = ? + 0 AND ordering_key = ? || '' AND (ended_at IS NULL OR held = 1) AND state = {blocked} ORDER BY n LIMIT 1`)
	// stmtUnblock makes it pending.
	stmtUnblock = newStatement("UPDATE hooks_deliveries SET state = {pending}, due = ?2, queued = ?2 WHERE n = ?1")
)

// The columns of stmtFirstBlocked.
const (
	blockedN = iota
	blockedStep
)

// unblockNext makes the first blocked delivery of the ordering key pending.
func (t *tx) unblockNext(h *hookRow, key string, now time.Time) error {
	r, err := first(t, stmtFirstBlocked, h.n, key)
	if err != nil || r == nil {
		return err
	}
	if err := run(t, stmtUnblock, r.int(blockedN), now.UnixMilli()); err != nil {
		return err
	}
	return t.queue(h, int64(r.count(blockedStep)), now.UnixMilli())
}

// setHealth stores the health of a hook if it has changed, and updates the hook's lanes
// if its throttle has.
func (t *tx) setHealth(h *hookRow, health hooks.Health, now time.Time) error {
	if health == h.health {
		return nil
	}
	sameThrottle := health.ThrottledUntil.Equal(h.health.ThrottledUntil)
	h.health = health
	err := run(t, stmtSetHealth, int64(health.Failures), packTime(health.FailingSince), packTime(health.ThrottledUntil), h.n)
	if err != nil || sameThrottle {
		return err
	}
	return t.updateLanes(h, now)
}

var (
	// stmtInsertAttempt stores an attempt.
	stmtInsertAttempt = newStatement(`INSERT INTO hooks_attempts
		(n, started_at, duration, state, next_at, request, body_size, body_sha256, status, truncated, class, error,
		response_header, response_body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
	// stmtDropResponse drops the header and the body of a response.
	stmtDropResponse = newStatement(`UPDATE hooks_attempts SET truncated = truncated | {responseDropped}, response_header = NULL, response_body = NULL
		WHERE n = ? AND (response_header IS NOT NULL OR response_body IS NOT NULL)`)
)

// log stores the attempt, and adds to the log what has happened to the delivery.
func (t *tx) log(h *hookRow, l *lease, s *hooks.Settlement, ended driver.Value) error {
	entries := make([]logEntry, 0, 3)
	if !l.logged {
		entries = append(entries, logEntry{l.created, entryCreated})
	}
	if a := s.Attempt; a != nil {
		if err := t.insertAttempt(h, l.n, a); err != nil {
			return err
		}
		entries = append(entries, entryOf(a))
	}
	if ended != nil {
		entries = append(entries, logEntry{ended.(int64), entryOfEnd(packState(s.State))})
	}
	return t.addToLog(h.n, l.n, entries...)
}

// insertAttempt stores an attempt, and drops the response to the one before unless that
// is kept.
func (t *tx) insertAttempt(h *hookRow, delivery int64, a *hooks.Attempt) error {
	if before := a.Number - 1; before > 0 && !store.KeepsResponse(before) {
		if err := run(t, stmtDropResponse, delivery<<attemptBits+int64(before)); err != nil {
			return err
		}
	}
	return t.storeAttempt(h, delivery, a)
}

// storeAttempt stores an attempt.
func (t *tx) storeAttempt(h *hookRow, delivery int64, a *hooks.Attempt) error {
	if a.Number < 1 || a.Number > maxAttempt {
		return &rowError{"hooks_deliveries", delivery, fmt.Sprintf("it has attempt %d, and must have 1 to %d", a.Number, maxAttempt)}
	}
	n := delivery<<attemptBits + int64(a.Number)
	sent, err := t.request(h, n, &a.Request)
	if err != nil {
		return err
	}
	var digest driver.Value
	if a.Request.BodySHA256 != [32]byte{} {
		digest = a.Request.BodySHA256[:]
	}
	err = run(t, stmtInsertAttempt, n, a.StartedAt.UnixMilli(), int64(a.Duration),
		packState(a.State), packTime(a.NextAt), sent, int64(a.Request.BodySize), digest,
		int64(a.Response.Status), packMissing(&a.Response), packText(string(a.Class)), packText(a.Error),
		packBytes(pack.Header(a.Response.Header)), packBytes(a.Response.Body))
	if isConstraint(err) {
		err = &rowError{"hooks_attempts", n, "is there already"}
	}
	return err
}

// A request is what many attempts have in common, so that it is stored once for them. The
// attempts whose n have the same upper 32 bits are a generation. They share rows of
// hooks_requests, which are deleted when the last attempt of the generation is.
//
// How rows are numbered, by an example: an event gets the next n of hooks_events, 7 say, and
// its two deliveries the next two of hooks_deliveries, 70000 and 70001 (event 7 has
// first = 70000 and deliveries = 2). Attempt 3 of delivery 70000 has the n
// 70000<<16 + 3 = 4587520003, so that the attempts of a delivery lie side by side, in order,
// and need no index. The upper 32 bits of that number are 1, so it belongs to generation
// 1<<32 = 4294967296. If the attempt has request = 5, method, URL and header are in the row
// 4294967296 + 5 of hooks_requests.
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
	// stmtInsertRequest stores what attempts have in common.
	stmtInsertRequest = newStatement("INSERT INTO hooks_requests (n, method, url, header) VALUES (?, ?, ?, ?)")
	// stmtMaxRequest returns the last number in a generation.
	stmtMaxRequest = newStatement("SELECT coalesce(max(n), 0) FROM hooks_requests WHERE n > ? AND n < ?")
)

// request returns what attempt n has as its request: the lower bits of the n of
// a row in hooks_requests, or nil if there is nothing to keep.
func (t *tx) request(h *hookRow, n int64, sent *hooks.AttemptRequest) (driver.Value, error) {
	if sent.Method == "" && sent.URL == "" && len(sent.Header) == 0 {
		return nil, nil
	}
	generation := n & generationMask
	if last := &h.sent; last.generation == generation && last.Method == sent.Method && last.URL == sent.URL &&
		reflect.ValueOf(last.Header).Pointer() == reflect.ValueOf(sent.Header).Pointer() {
		return last.request, nil // the same header, which nobody changes
	}
	header := pack.Header(sent.Header)
	key := request{generation, h.n, sent.Method, sent.URL, string(header)}
	known, ok := t.requests[key]
	if !ok {
		last, ok := t.lastRequest[generation]
		if !ok {
			r, err := first(t, stmtMaxRequest, generation, generation+1<<generationBits)
			if err != nil {
				return nil, err
			}
			last = max(0, r.int(0)-generation)
		}
		known = last + 1
		if err := run(t, stmtInsertRequest, generation+known, sent.Method, sent.URL, packBytes(header)); err != nil {
			return nil, err
		}
		if len(t.requests) >= maxCached {
			clear(t.requests)
			clear(t.lastRequest)
		}
		t.lastRequest[generation], t.requests[key] = known, known
	}
	h.sent = sentRequest{generation, *sent, known}
	return known, nil
}

// forgetRequests makes later attempts store their requests anew, because some were deleted. When
// nothing is left, these are of the generation that is in use.
func (t *tx) forgetRequests() {
	clear(t.requests)
	clear(t.lastRequest)
	for _, h := range t.byN {
		h.sent = sentRequest{}
	}
}

// A sentRequest is the request of the hook's attempt before.
type sentRequest struct {
	generation int64
	hooks.AttemptRequest
	request int64
}
