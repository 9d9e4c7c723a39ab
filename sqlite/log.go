//go:build cgo

package sqlite

import (
	"cmp"
	"context"
	"database/sql/driver"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

// A list of deliveries or attempts is made of sources, each in the order of the
// list: the log of a hook; deliveries handed over, which are not in it yet; or
// the deliveries of an event, or with given IDs. The log of a tenant is that of
// its hooks, merged.
//
// SQL finds the keys of a page in a source, and then reads the elements that have
// them, so that nothing is read of those that are skipped. What a source may need
// for a condition is joined from the left: SQLite leaves such a join out when the
// query does not refer to it.

// A listing is what can be listed: deliveries or attempts.
type listing[T any] struct {
	// columns are those of an element, whose key is in the tables.
	columns, tables string
	// ofDeliveries finds elements by their deliveries; its key and its order
	// are of the tables, too. ofLog finds them by those entries of hooks_log.
	ofDeliveries, ofLog index
	entries             string
	state               string
	// handedOver says that deliveries handed over have elements.
	handedOver bool

	make    func(row) T
	compare func(a, b T) int
	cursor  func(T) hooks.Cursor
	// place returns the values of an index's order at a cursor, but for the time.
	place func(hooks.Cursor) ([]any, error)
}

// An index is a way to find elements.
type index struct {
	from  string   // the tables
	key   string   // names an element
	order []string // a time, and what decides between equal ones
}

func (i *index) orderBy(oldestFirst bool) string {
	descending := " DESC"
	if oldestFirst {
		descending = ""
	}
	return strings.Join(i.order, descending+", ") + descending
}

// A source is an index of a list, and the conditions for it.
type source struct {
	*index
	where conditions
}

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
	columns: `a.n, a.started_at, a.duration, a.state, a.next_at, r.method, r.url, r.header, a.body_size, a.body_sha256,
		a.status, a.truncated, a.class, a.error, a.response_header, a.response_body, d.id AS "hooks_deliveries.id",
		h.tenant AS "hooks_hooks.tenant", h.id AS "hooks_hooks.id", e.id AS "hooks_events.id", e.type AS "hooks_events.type", a.request`,
	tables: named(`hooks_attempts a LEFT JOIN hooks_requests r ON r.n = (a.n >> {generationBits} << {generationBits}) + a.request
		LEFT JOIN hooks_deliveries d ON d.n = a.n >> {attemptBits}`) + ofDelivery,
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
	make:    unpackAttempt,
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

// The columns of attempts.
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
	attemptDeliveryID
	attemptHookTenant
	attemptHookID
	attemptEventID
	attemptEventType
	attemptRequest
)

func unpackAttempt(r row) hooks.Attempt {
	missing := r.int(attemptTruncated)
	a := hooks.Attempt{
		DeliveryID: r.id(attemptDeliveryID), Number: int(r.int(attemptN) & maxAttempt), Tenant: r.text(attemptHookTenant), HookID: r.text(attemptHookID),
		EventID: r.id(attemptEventID), EventType: r.text(attemptEventType),
		StartedAt: r.time(attemptStartedAt), Duration: time.Duration(r.count(attemptDuration)), State: r.state(attemptState), NextAt: r.maybeTime(attemptNextAt),
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
	h, err := unpackHeader(r.maybeBytes(i))
	if err != nil {
		r.wrong(i, "a packed header")
	}
	return h
}

func readList[T any](ctx context.Context, s *Store, l *listing[T], q hooks.LogQuery) (page hooks.Page[T], err error) {
	err = s.reads(ctx, func(r *reader) error {
		sources, err := l.sources(r, q)
		if err != nil {
			return err
		}
		for _, from := range sources {
			if page.Total == q.CountTo {
				break
			}
			n, err := r.count("FROM "+from.from, from.where, q.CountTo-page.Total)
			if err != nil {
				return err
			}
			page.Total += n
		}
		limit := limitOf(q.PageQuery)
		items, err := l.merge(r, sources, q.PageQuery, limit+1)
		if err != nil {
			return err
		}
		if len(items) > limit {
			items = items[:limit]
			page.Next = l.cursor(items[limit-1])
		}
		page.Items = items
		return nil
	})
	return page, err
}

// sources returns the sources of the elements that match the query.
func (l *listing[T]) sources(r *reader, q hooks.LogQuery) ([]source, error) {
	narrowed := func(i *index, where conditions) source {
		if q.EventType != "" {
			where.and("e.type = ?", q.EventType)
		}
		if len(q.States) > 0 {
			where.in(l.state, len(q.States), func(i int) any { return packState(q.States[i]) })
		}
		if !q.Since.IsZero() {
			where.and(i.order[0]+" >= ?", q.Since.UnixMilli())
		}
		if !q.Until.IsZero() {
			where.and(i.order[0]+" < ?", q.Until.UnixMilli())
		}
		return source{i, where}
	}
	var which conditions // of the deliveries
	if q.HookID != "" {
		which.and("h.id = ?", q.HookID)
	}
	if len(q.DeliveryIDs) > 0 {
		which.in("d.id", len(q.DeliveryIDs), func(i int) any { return packID(q.DeliveryIDs[i]) })
	}
	if q.EventID != "" {
		which.and(`d.n IN (SELECT d.n FROM hooks_events e CROSS JOIN hooks_deliveries d
			ON d.n >= e.first AND d.n < e.first + e.deliveries AND d.event = e.n WHERE e.tenant = ? AND e.id = ?)`, q.Tenant, packID(q.EventID))
	}
	which.and("e.tenant = ?", q.Tenant)
	if len(q.DeliveryIDs) > 0 || q.EventID != "" {
		return []source{narrowed(&l.ofDeliveries, which)}, nil
	}
	var sources []source
	if l.handedOver {
		which.and(handedOver)
		sources = append(sources, narrowed(&l.ofDeliveries, which))
	}
	hooksOf := newConditions("tenant = ?", q.Tenant)
	if q.HookID != "" {
		hooksOf.and("id = ?", q.HookID)
	}
	err := r.query("SELECT n FROM hooks_hooks WHERE "+hooksOf.sql, func(r row) error {
		sources = append(sources, narrowed(&l.ofLog, newConditions("l.hook = ? + 0 AND "+l.entries, r.int(0))))
		return nil
	}, hooksOf.args...)
	return sources, err
}

// A stream reads a source ahead.
type stream[T any] struct {
	source
	ahead []T // never empty
}

// readAhead is about how many elements all streams have read ahead together.
const readAhead = 1000

// merge returns the first n elements of all sources behind q.After, without the first
// q.Offset. It holds few others in memory.
func (l *listing[T]) merge(r *reader, sources []source, q hooks.PageQuery, n int) ([]T, error) {
	if len(sources) == 1 {
		return l.read(r, sources[0], q, n)
	}
	streams, err := l.streams(r, sources, q)
	if err != nil {
		return nil, err
	}
	q.Offset = min(q.Offset, most)
	var merged []T
	for len(streams) > 1 && len(merged) < n {
		s := streams[0]
		element := s.ahead[0]
		q.After = l.cursor(element)
		if q.Offset > 0 {
			q.Offset--
		} else {
			merged = append(merged, element)
		}
		if s.ahead = s.ahead[1:]; len(s.ahead) == 0 {
			wanted := min(n-len(merged)+q.Offset, readAhead/len(streams)+1)
			if s.ahead, err = l.read(r, s.source, behind(q), wanted); err != nil {
				return nil, err
			}
		}
		if streams = streams[1:]; len(s.ahead) > 0 {
			place, _ := slices.BinarySearchFunc(streams, s, l.order(q))
			streams = slices.Insert(streams, place, s)
		}
	}
	if len(streams) == 0 || len(merged) == n {
		return merged, nil
	}
	rest, err := l.read(r, streams[0].source, q, n-len(merged))
	return append(merged, rest...), err
}

// streams returns the sources that have elements behind q.After, in the order of their first
// elements.
func (l *listing[T]) streams(r *reader, sources []source, q hooks.PageQuery) ([]*stream[T], error) {
	var streams []*stream[T]
	for _, from := range sources {
		ahead, err := l.read(r, from, behind(q), 1)
		if err != nil {
			return nil, err
		}
		if len(ahead) > 0 {
			streams = append(streams, &stream[T]{from, ahead})
		}
	}
	slices.SortFunc(streams, l.order(q))
	return streams, nil
}

// order compares streams by their first elements.
func (l *listing[T]) order(q hooks.PageQuery) func(a, b *stream[T]) int {
	return func(a, b *stream[T]) int {
		if !q.OldestFirst {
			a, b = b, a
		}
		return l.compare(a.ahead[0], b.ahead[0])
	}
}

// behind is q without its offset.
func behind(q hooks.PageQuery) hooks.PageQuery {
	q.Offset = 0
	return q
}

// read returns the first n elements of a source behind q.After, without the first q.Offset.
func (l *listing[T]) read(r *reader, from source, q hooks.PageQuery, n int) (elements []T, err error) {
	where := from.where
	if !q.After.IsZero() {
		values, err := l.place(q.After)
		if err != nil {
			return nil, err
		}
		compare := "<"
		if q.OldestFirst {
			compare = ">"
		}
		at := q.After.Time.UnixMilli()
		where.and(from.order[0]+" "+compare+"= ?", at) // which an index can find
		where.and("("+strings.Join(from.order, ", ")+") "+compare+" (?"+strings.Repeat(", ?", len(values))+")",
			append([]any{at}, values...)...)
	}
	query := fmt.Sprintf("SELECT %s FROM %s WHERE %s IN (SELECT %s FROM %s WHERE %s ORDER BY %s LIMIT ? + 0 OFFSET ? + 0) ORDER BY %s",
		l.columns, l.tables, l.ofDeliveries.key,
		from.key, from.from, where.sql, from.orderBy(q.OldestFirst), l.ofDeliveries.orderBy(q.OldestFirst))
	err = r.query(query, func(r row) error {
		elements = append(elements, l.make(r))
		return nil
	}, append(where.args[:len(where.args):len(where.args)], n, q.Offset)...)
	return elements, err
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
	stmtCountEnds = newStatement(`SELECT l.entry, count(*) FROM hooks_hooks h CROSS JOIN hooks_log l ON l.hook = h.n
		WHERE h.tenant = ? AND h.id = ? AND l.at >= ? AND l.at < ? AND l.entry IN ({entrySucceeded}, {entryDead}) GROUP BY l.entry`)
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

// statsOf counts for one hook. The window is its tenant, its ID, since and until.
func statsOf(r *reader, window ...driver.Value) (stats hooks.Stats, err error) {
	err = r.each(stmtCountEnds, func(r row) error {
		if n := r.count(counted); r.int(countedEntry) == entrySucceeded {
			stats.Successes = n
		} else {
			stats.Failures = n
		}
		return nil
	}, window...)
	if err != nil {
		return stats, err
	}
	stats.Deliveries = stats.Successes + stats.Failures
	err = r.each(stmtLastError, func(r row) error {
		stats.LastError, stats.LastErrorAt = r.maybeText(lastErrorText), r.time(lastErrorAt)
		return nil
	}, window...)
	return stats, err
}
