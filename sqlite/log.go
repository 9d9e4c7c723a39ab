//go:build cgo

package sqlite

import (
	"cmp"
	"context"
	"database/sql/driver"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/internal/pack"
)

// Deliveries implements [hooks.Store].
func (s *Store) Deliveries(ctx context.Context, q hooks.LogQuery) (hooks.Page[hooks.Delivery], error) {
	return readList(ctx, s, &deliveries, q)
}

// Attempts implements [hooks.Store].
func (s *Store) Attempts(ctx context.Context, q hooks.LogQuery) (hooks.Page[hooks.Attempt], error) {
	return readList(ctx, s, &attempts, q)
}

const (
	ofDelivery = " LEFT JOIN hooks_hooks h ON h.n = d.hook LEFT JOIN hooks_events e ON e.n = d.event"
	// handedOver is true for the deliveries that are not in the log yet.
	handedOver = "d.until IS NOT NULL AND d.queued IS NULL AND d.handed = 1 AND d.token = 1"
)

// The further columns of deliveries.
const (
	deliveryHookTenant = afterDelivery + iota
	deliveryHookID
	deliveryEventID
	deliveryEventType
)

var deliveries = listing[hooks.Delivery]{
	columns: deliveryColumns + `, h.tenant AS "hooks_hooks.tenant", h.id AS "hooks_hooks.id", e.id AS "hooks_events.id", e.type AS "hooks_events.type"`,
	tables:  "hooks_deliveries d" + ofDelivery,
	ofDeliveries: index{
		from:  "hooks_deliveries d" + ofDelivery,
		key:   "d.n",
		order: []string{"d.created_at", "d.id"},
	},
	ofLog: index{
		from:  "hooks_log l LEFT JOIN hooks_deliveries d ON d.n = l.delivery" + ofDelivery,
		key:   "l.delivery",
		order: []string{"l.at", "d.id"},
	},
	entries:    named("l.entry = {entryCreated}"),
	state:      "d.state",
	handedOver: true,
	make: func(r row) hooks.Delivery {
		d := delivery(r, hooks.Ref{Tenant: r.text(deliveryHookTenant), ID: r.text(deliveryHookID)})
		d.EventID, d.EventType = r.id(deliveryEventID), r.text(deliveryEventType)
		return d
	},
	compare: func(a, b hooks.Delivery) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	},
	cursor: func(d hooks.Delivery) hooks.Cursor { return hooks.Cursor{Time: d.CreatedAt, ID: d.ID} },
	place:  func(c hooks.Cursor) ([]any, error) { return []any{packID(c.ID)}, nil },
}

var attempts = listing[hooks.Attempt]{
	columns: attemptColumns + `, d.id AS "hooks_deliveries.id", h.tenant AS "hooks_hooks.tenant", h.id AS "hooks_hooks.id",
		e.id AS "hooks_events.id", e.type AS "hooks_events.type"`,
	tables: "hooks_attempts a" + joinRequest + named(" LEFT JOIN hooks_deliveries d ON d.n = a.n >> {attemptBits}") + ofDelivery,
	ofDeliveries: index{
		from:  "hooks_deliveries d" + ofDelivery + named(" CROSS JOIN hooks_attempts a ON a.n > d.n << {attemptBits} AND a.n < d.n + 1 << {attemptBits}"),
		key:   "a.n",
		order: []string{"a.started_at", "d.id", named("a.n & {attemptMask}")},
	},
	ofLog: index{
		from: named(`hooks_log l LEFT JOIN hooks_attempts a ON a.n = (l.delivery << {attemptBits}) + (l.entry >> {entryBits})
			LEFT JOIN hooks_deliveries d ON d.n = l.delivery`) + ofDelivery,
		key:   named("(l.delivery << {attemptBits}) + (l.entry >> {entryBits})"),
		order: []string{"l.at", "d.id", named("l.entry >> {entryBits}")},
	},
	entries: named("l.entry & {entryMask} >= {entryAttempt}"),
	state:   "a.state",
	make: func(r row) hooks.Attempt {
		a := unpackAttempt(r)
		a.DeliveryID, a.Tenant, a.HookID = r.id(attemptDeliveryID), r.text(attemptHookTenant), r.text(attemptHookID)
		a.EventID, a.EventType = r.id(attemptEventID), r.text(attemptEventType)
		return a
	},
	compare: func(a, b hooks.Attempt) int {
		return cmp.Or(a.StartedAt.Compare(b.StartedAt), cmp.Compare(a.DeliveryID, b.DeliveryID), cmp.Compare(a.Number, b.Number))
	},
	cursor: func(a hooks.Attempt) hooks.Cursor {
		return hooks.Cursor{Time: a.StartedAt, ID: a.DeliveryID + " " + strconv.Itoa(a.Number)}
	},
	place: func(c hooks.Cursor) ([]any, error) {
		id, text, _ := strings.Cut(c.ID, " ")
		number, err := strconv.Atoi(text)
		if err != nil {
			return nil, &hooks.InvalidError{Field: "after", Reason: "is not a cursor of this list"}
		}
		return []any{packID(id), number}, nil
	},
}

// attemptColumns are what unpackAttempt reads, in the order of the constants that follow.
const attemptColumns = `a.n, a.started_at, a.duration, a.state, a.next_at, r.method, r.url, r.header, a.body_size, a.body_sha256,
	a.status, a.truncated, a.class, a.error, a.response_header, a.response_body, a.request`

// joinRequest joins the request of an attempt.
var joinRequest = named(" LEFT JOIN hooks_requests r ON r.n = (a.n >> {generationBits} << {generationBits}) + a.request")

const (
	attemptN = iota
	attemptStartedAt
	attemptDuration
	attemptState
	attemptNextAt
	attemptMethod
	attemptURL
	attemptRequestHeader
	attemptBodySize
	attemptBodySHA256
	attemptStatus
	attemptTruncated
	attemptClass
	attemptError
	attemptResponseHeader
	attemptResponseBody
	attemptRequest
	afterAttempt // the first column behind them
)

// The further columns of attempts.
const (
	attemptDeliveryID = afterAttempt + iota
	attemptHookTenant
	attemptHookID
	attemptEventID
	attemptEventType
)

// unpackAttempt reads attemptColumns. The names of the delivery, its hook and its event are not
// among them.
func unpackAttempt(r row) hooks.Attempt {
	missing := r.int(attemptTruncated)
	a := hooks.Attempt{
		Number: int(r.int(attemptN) & maxAttempt), StartedAt: r.time(attemptStartedAt), Duration: time.Duration(r.count(attemptDuration)), State: r.state(attemptState), NextAt: r.maybeTime(attemptNextAt),
		Request: hooks.AttemptRequest{BodySize: r.count(attemptBodySize)},
		Response: hooks.AttemptResponse{
			Status: r.count(attemptStatus), Header: r.header(attemptResponseHeader), Body: r.maybeBytes(attemptResponseBody),
			Truncated: missing&bodyTruncated != 0, HeaderTruncated: missing&headerTruncated != 0, Dropped: missing&responseDropped != 0,
		},
		Class: hooks.ErrorClass(r.maybeText(attemptClass)), Error: r.maybeText(attemptError),
	}
	if !r.isNull(attemptRequest) {
		a.Request.Method, a.Request.URL, a.Request.Header = r.text(attemptMethod), r.text(attemptURL), r.header(attemptRequestHeader)
	}
	digest := r.maybeBytes(attemptBodySHA256)
	if digest != nil && len(digest) != len(a.Request.BodySHA256) {
		r.wrong(attemptBodySHA256, "a BLOB of 32 bytes")
	}
	copy(a.Request.BodySHA256[:], digest)
	return a
}

// header reads a packed header.
func (r row) header(i int) http.Header {
	h, err := pack.UnpackHeader(r.maybeBytes(i))
	if err != nil {
		r.wrong(i, "a packed header")
	}
	return h
}

// Events implements [hooks.Store].
func (s *Store) Events(ctx context.Context, tenant string, ids []string) (events []hooks.Event, err error) {
	err = s.reads(ctx, func(r *reader) error {
		if len(ids) == 0 {
			return nil
		}
		where := newConditions("tenant = ?", tenant)
		where.in("id", len(ids), func(i int) any { return packID(ids[i]) })
		return r.query("SELECT "+eventColumns+" FROM hooks_events WHERE "+where.sql, func(r row) error {
			events = append(events, *event(r))
			return nil
		}, where.args...)
	})
	return events, err
}

var (
	// stmtCountEnds counts a hook's succeeded and dead deliveries.
	stmtCountEnds = newStatement(`SELECT l.entry, count(*) FROM hooks_hooks h CROSS JOIN hooks_log l ON l.hook = h.n
		WHERE h.tenant = ? AND h.id = ? AND l.at >= ? AND l.at < ? AND l.entry IN ({entrySucceeded}, {entryDead}) GROUP BY l.entry`)
	// stmtLastError finds a hook's latest failed attempt.
	stmtLastError = newStatement(`SELECT a.n, a.error, a.started_at FROM hooks_hooks h CROSS JOIN hooks_log l ON l.hook = h.n
		CROSS JOIN hooks_attempts a ON a.n = (l.delivery << {attemptBits}) + (l.entry >> {entryBits})
		WHERE h.tenant = ? AND h.id = ? AND l.at >= ? AND l.at < ? AND l.entry & {entryMask} = {entryFailedAttempt} ORDER BY l.at DESC LIMIT 1`)
)

// The columns of stmtCountEnds.
const (
	countedEntry = iota
	counted
)

// The columns of stmtLastError.
const (
	_ = iota // n
	lastErrorText
	lastErrorAt
)

// Stats implements [hooks.Store].
func (s *Store) Stats(ctx context.Context, tenant string, hookIDs []string, since, until time.Time) (map[string]hooks.Stats, error) {
	result := make(map[string]hooks.Stats, len(hookIDs))
	err := s.reads(ctx, func(r *reader) error {
		for _, id := range hookIDs {
			stats, err := statsOf(r, tenant, id, since.UnixMilli(), until.UnixMilli())
			if err != nil {
				return err
			}
			result[id] = stats
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return result, nil
}

// statsOf counts for one hook. The arguments are its tenant, its ID, since and until.
func statsOf(r *reader, args ...driver.Value) (stats hooks.Stats, err error) {
	err = r.each(stmtCountEnds, func(r row) error {
		if n := r.count(counted); r.int(countedEntry) == entrySucceeded {
			stats.Successes = n
		} else {
			stats.Failures = n
		}
		return nil
	}, args...)
	if err != nil {
		return stats, err
	}
	stats.Deliveries = stats.Successes + stats.Failures
	err = r.each(stmtLastError, func(r row) error {
		stats.LastError, stats.LastErrorAt = r.maybeText(lastErrorText), r.time(lastErrorAt)
		return nil
	}, args...)
	return stats, err
}
