package sqlite

import (
	"cmp"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

// A list of deliveries or attempts is read from sources, each in the order of
// the list: the log of a hook; deliveries handed over, which are not in it yet;
// or the deliveries of an event, or with given IDs. The log of a tenant is that
// of its hooks, merged.

// A listing is what can be listed: deliveries or attempts.
type listing[T any] struct {
	columns string
	// ofLog are the tables from hooks_log on, and which of its entries are
	// meant; ofDeliveries are the tables from hooks_deliveries on.
	ofLog, ofDeliveries string
	// time is the column that comes first in the order if the list is not
	// read from the log, and ties are those that decide between equal times.
	time  string
	ties  []string
	state string

	make    func(row) (T, error)
	compare func(a, b T) int
	cursor  func(T) hooks.Cursor
	// place returns the values of ties at a cursor.
	place func(hooks.Cursor) ([]any, error)
}

// A source is where a list is read from.
type source struct {
	from  string
	where conditions
	time  string // the column that comes first in the order
}

// Deliveries implements [hooks.LogStore].
func (s *Store) Deliveries(ctx context.Context, q hooks.LogQuery) (hooks.Page[hooks.Delivery], error) {
	return readList(ctx, s, &deliveries, q)
}

// Attempts implements [hooks.LogStore].
func (s *Store) Attempts(ctx context.Context, q hooks.LogQuery) (hooks.Page[hooks.Attempt], error) {
	return readList(ctx, s, &attempts, q)
}

const (
	ofDelivery = " JOIN hooks_hooks h ON h.n = d.hook JOIN hooks_events e ON e.n = d.event"
	// handedOver are the deliveries that are not in the log yet.
	handedOver = "d.until IS NOT NULL AND d.queued IS NULL AND d.handed = 1 AND d.token = 1"
)

var deliveries = listing[hooks.Delivery]{
	columns:      deliveryColumns + ", h.tenant, h.id, e.id, e.type",
	ofLog:        "hooks_log l CROSS JOIN hooks_deliveries d ON l.entry = 0 AND d.n = l.delivery" + ofDelivery,
	ofDeliveries: "hooks_deliveries d" + ofDelivery,
	time:         "d.created_at",
	ties:         []string{"d.id"},
	state:        "d.state",
	make: func(r row) (hooks.Delivery, error) {
		d := delivery(r, hooks.Ref{Tenant: r.text(14), ID: r.text(15)})
		d.EventID, d.EventType = r.id(16), r.text(17)
		return d, nil
	},
	compare: func(a, b hooks.Delivery) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	},
	cursor: func(d hooks.Delivery) hooks.Cursor { return hooks.Cursor{Time: d.CreatedAt, ID: d.ID} },
	place:  func(c hooks.Cursor) ([]any, error) { return []any{packID(c.ID)}, nil },
}

const attemptTables = ofDelivery + " LEFT JOIN hooks_requests r ON r.n = (a.n >> 32 << 32) + a.request"

var attempts = listing[hooks.Attempt]{
	columns: `a.n & 65535, a.started_at, a.duration, a.state, a.next_at, r.method, r.url, r.header, a.body_size, a.body_sha256,
		a.status, a.truncated, a.class, a.error, a.response_header, a.response_body, d.id, h.tenant, h.id, e.id, e.type`,
	ofLog: `hooks_log l CROSS JOIN hooks_attempts a ON l.entry & 7 >= 4 AND a.n = (l.delivery << 16) + (l.entry >> 3)
		CROSS JOIN hooks_deliveries d ON d.n = l.delivery` + attemptTables,
	ofDeliveries: `hooks_deliveries d CROSS JOIN hooks_attempts a ON a.n > d.n << 16 AND a.n < d.n + 1 << 16` + attemptTables,
	time:         "a.started_at",
	ties:         []string{"d.id", "a.n & 65535"},
	state:        "a.state",
	make:         unpackAttempt,
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

func unpackAttempt(r row) (hooks.Attempt, error) {
	a := hooks.Attempt{
		DeliveryID: r.id(16), Number: int(r.int(0)), Tenant: r.text(17), HookID: r.text(18),
		EventID: r.id(19), EventType: r.text(20),
		StartedAt: r.time(1), Duration: time.Duration(r.int(2)), State: r.state(3), NextAt: r.time(4),
		Request:  hooks.AttemptRequest{Method: r.text(5), URL: r.text(6), BodySize: int(r.int(8))},
		Response: hooks.AttemptResponse{Status: int(r.int(10)), Truncated: r.bool(11), Body: r.bytes(15)},
		Class:    hooks.ErrorClass(r.text(12)), Error: r.text(13),
	}
	copy(a.Request.BodySHA256[:], r.bytes(9))
	var err, err2 error
	a.Request.Header, err = unpackHeader(r.bytes(7))
	a.Response.Header, err2 = unpackHeader(r.bytes(14))
	return a, errors.Join(err, err2)
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
		items, err := l.merge(r, sources, q.PageQuery, q.Offset+limit+1)
		if err != nil {
			return err
		}
		items = items[min(q.Offset, len(items)):]
		if len(items) > limit {
			items = items[:limit]
			page.Next = l.cursor(items[limit-1])
		}
		page.Items = items
		return nil
	})
	return page, err
}

// sources returns what to read for the query.
func (l *listing[T]) sources(r *reader, q hooks.LogQuery) ([]source, error) {
	filters := conditions{}
	if q.HookID != "" {
		filters.and("h.id = ?", q.HookID)
	}
	if q.EventID != "" {
		filters.and("e.id = ?", packID(q.EventID))
	}
	if q.EventType != "" {
		filters.and("e.type = ?", q.EventType)
	}
	if len(q.DeliveryIDs) > 0 {
		filters.in("d.id", len(q.DeliveryIDs), func(i int) any { return packID(q.DeliveryIDs[i]) })
	}
	if len(q.States) > 0 {
		filters.in(l.state, len(q.States), func(i int) any { return packState(q.States[i]) })
	}
	all := func(from, time, which string, args ...any) source {
		where := newConditions(which, args...)
		if filters.sql != "" {
			where.and(filters.sql, filters.args...)
		}
		if !q.Since.IsZero() {
			where.and(time+" >= ?", q.Since.UnixMilli())
		}
		if !q.Until.IsZero() {
			where.and(time+" < ?", q.Until.UnixMilli())
		}
		return source{from, where, time}
	}
	switch {
	case len(q.DeliveryIDs) > 0:
		return []source{all(l.ofDeliveries, l.time, "e.tenant = ?", q.Tenant)}, nil
	case q.EventID != "":
		const its = `d.n IN (SELECT d.n FROM hooks_events e CROSS JOIN hooks_deliveries d
			ON d.n >= e.first AND d.n < e.first + e.deliveries AND d.event = e.n WHERE e.tenant = ? AND e.id = ?)`
		return []source{all(l.ofDeliveries, l.time, its, q.Tenant, packID(q.EventID))}, nil
	}
	hooksOf := newConditions("tenant = ?", q.Tenant)
	if q.HookID != "" {
		hooksOf.and("id = ?", q.HookID)
	}
	sources := []source{all(l.ofDeliveries, l.time, handedOver+" AND h.tenant = ?", q.Tenant)}
	err := r.query("SELECT n FROM hooks_hooks WHERE "+hooksOf.sql, func(r row) error {
		sources = append(sources, all(l.ofLog, "l.at", "l.hook = ?", r.int(0)))
		return nil
	}, hooksOf.args...)
	return sources, err
}

// merge returns the first n elements of all sources behind q.After.
func (l *listing[T]) merge(r *reader, sources []source, q hooks.PageQuery, n int) ([]T, error) {
	compare := l.compare
	if !q.OldestFirst {
		compare = func(a, b T) int { return l.compare(b, a) }
	}
	// The sources by their first elements: when the first of one comes
	// behind all that are wanted, so do all of those that follow.
	type start struct {
		source
		first T
	}
	var starts []start
	for _, from := range sources {
		elements, err := l.read(r, from, q, 1)
		if err != nil {
			return nil, err
		}
		if len(elements) > 0 {
			starts = append(starts, start{from, elements[0]})
		}
	}
	slices.SortFunc(starts, func(a, b start) int { return compare(a.first, b.first) })
	var merged []T
	for _, from := range starts {
		if len(merged) == n && compare(from.first, merged[n-1]) > 0 {
			break
		}
		elements, err := l.read(r, from.source, q, n)
		if err != nil {
			return nil, err
		}
		merged = append(merged, elements...)
		slices.SortFunc(merged, compare)
		merged = merged[:min(n, len(merged))]
	}
	return merged, nil
}

// read returns the first n elements of a source behind q.After.
func (l *listing[T]) read(r *reader, from source, q hooks.PageQuery, n int) (elements []T, err error) {
	compare, descending := ">", ""
	if !q.OldestFirst {
		compare, descending = "<", " DESC"
	}
	where := from.where
	order := append([]string{from.time}, l.ties...)
	if !q.After.IsZero() {
		values, err := l.place(q.After)
		if err != nil {
			return nil, err
		}
		at := q.After.Time.UnixMilli()
		where.and(from.time+" "+compare+"= ?", at) // which an index can find
		where.and("("+strings.Join(order, ", ")+") "+compare+" (?"+strings.Repeat(", ?", len(values))+")",
			append([]any{at}, values...)...)
	}
	query := fmt.Sprintf("SELECT %s FROM %s WHERE %s ORDER BY %s%s LIMIT ?",
		l.columns, from.from, where.sql, strings.Join(order, descending+", "), descending)
	err = r.query(query, func(r row) error {
		element, err := l.make(r)
		elements = append(elements, element)
		return err
	}, append(where.args[:len(where.args):len(where.args)], n)...)
	return elements, err
}

// Events implements [hooks.LogStore].
func (s *Store) Events(ctx context.Context, tenant string, ids []string) (events []hooks.Event, err error) {
	err = s.reads(ctx, func(r *reader) error {
		if len(ids) == 0 {
			return nil
		}
		where := newConditions("tenant = ?", tenant)
		where.in("id", len(ids), func(i int) any { return packID(ids[i]) })
		return r.query("SELECT "+eventColumns+" FROM hooks_events WHERE "+where.sql, func(r row) error {
			e, err := event(r)
			events = append(events, *e)
			return err
		}, where.args...)
	})
	return events, err
}

var (
	countEnds = newStatement(`SELECT l.entry, count(*) FROM hooks_hooks h CROSS JOIN hooks_log l ON l.hook = h.n
		WHERE h.tenant = ? AND h.id = ? AND l.at >= ? AND l.at < ? AND l.entry IN (1, 2) GROUP BY l.entry`)
	lastError = newStatement(`SELECT a.error, a.started_at FROM hooks_hooks h CROSS JOIN hooks_log l ON l.hook = h.n
		CROSS JOIN hooks_attempts a ON a.n = (l.delivery << 16) + (l.entry >> 3)
		WHERE h.tenant = ? AND h.id = ? AND l.at >= ? AND l.at < ? AND l.entry & 7 = 5 ORDER BY l.at DESC LIMIT 1`)
)

// Stats implements [hooks.LogStore].
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

// statsOf sums up a hook; the window is its tenant, its ID, since and until.
func statsOf(r *reader, window ...driver.Value) (stats hooks.Stats, err error) {
	err = r.each(countEnds, func(r row) error {
		if n := int(r.int(1)); r.int(0) == entrySucceeded {
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
	err = r.each(lastError, func(r row) error {
		stats.LastError, stats.LastErrorAt = r.text(0), r.time(1)
		return nil
	}, window...)
	return stats, err
}
