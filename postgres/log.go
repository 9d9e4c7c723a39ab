package postgres

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/seed-2c6e3a5a/hooks"
)

// A listing is a list of the log: of deliveries or of attempts. Its rows come from two
// tables, and from each hook of the tenant.
type listing[T any] struct {
	tables  []listed
	columns string // of the result, in which d is a row of the tables, h its hook and e its event
	order   []string
	scan    func(pgx.CollectableRow) (T, error)
	cursor  func(T) hooks.Cursor
	// place makes of a cursor what order is compared with, and its types.
	place func(hooks.Cursor) (values []any, kinds []string, err error)
}

// listed is a table of a listing.
type listed struct {
	table    string
	selected string // what d has
	where    string // which rows belong to the listing
	state    string
	id       string        // the delivery's
	number   string        // the attempt's
	states   []hooks.State // that rows may have; none: any
	// An index has only the rows with the condition few: those that are not in the state
	// most.
	most hooks.State
	few  string
}

// notOfThisList is the error for a cursor of another list.
func notOfThisList() error {
	return &hooks.InvalidError{Field: "after", Reason: "is not a cursor of this list"}
}

var deliveries = listing[hooks.Delivery]{
	tables: []listed{
		{
			table: "hooks_queue", where: "true", state: "d.state", id: "d.id",
			selected: `d.id, d.event, d.hook, d.created_at, d.due, d.queued, d.token, d.step, d.attempts, d.state, d.undecided, d.owner, d.ordering_key,
				d.reason, false AS held, NULL::bigint AS ended_at`,
			states: []hooks.State{hooks.Blocked, hooks.Pending, hooks.Leased},
		},
		{
			table: "hooks_log", where: "true", state: "d.state", id: "d.id", most: hooks.Succeeded, few: "d.state <> 4",
			selected: `d.id, d.event, d.hook, d.created_at, NULL::bigint AS due, NULL::bigint AS queued, d.token, d.step, d.attempts, d.state, d.undecided, NULL::text AS owner,
				d.ordering_key, d.reason, d.held, d.ended_at`,
			states: []hooks.State{hooks.Succeeded, hooks.Dead, hooks.Cancelled},
		},
	},
	columns: `d.id, d.created_at, d.due, d.queued, d.token, d.step, d.attempts, d.state, d.undecided, d.owner, d.ordering_key, d.reason, d.held, d.ended_at,
		h.tenant, h.id, e.id, e.type`,
	order:  []string{"created_at", "id"},
	scan:   scanDelivery,
	cursor: func(d hooks.Delivery) hooks.Cursor { return hooks.Cursor{Time: d.CreatedAt, ID: d.ID} },
	place: func(c hooks.Cursor) ([]any, []string, error) {
		u, ok := packID(c.ID)
		if !ok {
			return nil, nil, notOfThisList()
		}
		return []any{c.Time.UnixMilli(), u}, []string{"bigint", "uuid"}, nil
	},
}

func scanDelivery(row pgx.CollectableRow) (d hooks.Delivery, err error) {
	var u id
	var createdAt int64
	var due, queued, endedAt pgtype.Int8
	var state int16
	var owner, key, reason pgtype.Text
	err = row.Scan(&u, &createdAt, &due, &queued, &d.Lease.Token, &d.Step, &d.Attempts, &state, &d.Undecided, &owner, &key, &reason, &d.Held, &endedAt,
		&d.Tenant, &d.HookID, &d.EventID, &d.EventType)
	d.ID, d.State, d.OrderingKey, d.Reason = unpackID(u), unpackState(state), key.String, reason.String
	d.CreatedAt, d.Due, d.EndedAt = time.UnixMilli(createdAt).UTC(), unpackTime(due), unpackTime(endedAt)
	if state == leased {
		d.Lease.Owner, d.Lease.Until = owner.String, unpackTime(queued)
	}
	return d, err
}

var attempts = listing[hooks.Attempt]{
	tables: []listed{
		{table: "hooks_attempts", where: "true", most: hooks.Pending, few: "d.attempt_state <> 2", state: "d.attempt_state", id: "d.delivery", number: "d.number", selected: "d.delivery, d.event, d.hook, d.number, d.next_at, " + attemptColumns},
		{
			table: "hooks_log", where: "d.started_at IS NOT NULL", most: hooks.Succeeded, few: "d.class IS NOT NULL", state: "d.attempt_state", id: "d.id", number: "d.attempts",
			selected: "d.id AS delivery, d.event, d.hook, d.attempts AS number, NULL::bigint AS next_at, " + attemptColumns,
		},
	},
	columns: "d.delivery, d.number, d.next_at, h.tenant, h.id, e.id, e.type, " + attemptColumns,
	order:   []string{"started_at", "delivery", "number"},
	scan:    scanAttempt,
	cursor: func(a hooks.Attempt) hooks.Cursor {
		return hooks.Cursor{Time: a.StartedAt, ID: a.DeliveryID + " " + strconv.Itoa(a.Number)}
	},
	place: func(c hooks.Cursor) ([]any, []string, error) {
		text, digits, _ := strings.Cut(c.ID, " ")
		u, ok := packID(text)
		number, err := strconv.ParseInt(digits, 10, 32)
		if !ok || err != nil {
			return nil, nil, notOfThisList()
		}
		return []any{c.Time.UnixMilli(), u, number}, []string{"bigint", "uuid", "integer"}, nil
	},
}

func scanAttempt(row pgx.CollectableRow) (a hooks.Attempt, err error) {
	var u id
	var number int
	var nextAt pgtype.Int8
	var hook hooks.Ref
	var eventID, eventType string
	var r attemptRow
	if err := row.Scan(append([]any{&u, &number, &nextAt, &hook.Tenant, &hook.ID, &eventID, &eventType}, r.fields()...)...); err != nil {
		return a, err
	}
	a, err = r.attempt()
	a.DeliveryID, a.Number, a.NextAt = unpackID(u), number, unpackTime(nextAt)
	a.Tenant, a.HookID, a.EventID, a.EventType = hook.Tenant, hook.ID, eventID, eventType
	return a, err
}

// Deliveries implements [hooks.Store].
func (s *Store) Deliveries(ctx context.Context, q hooks.LogQuery) (hooks.Page[hooks.Delivery], error) {
	return readList(ctx, s, &deliveries, q)
}

// Attempts implements [hooks.Store].
func (s *Store) Attempts(ctx context.Context, q hooks.LogQuery) (hooks.Page[hooks.Attempt], error) {
	return readList(ctx, s, &attempts, q)
}

// readList returns a page of a list.
func readList[T any](ctx context.Context, s *Store, l *listing[T], q hooks.LogQuery) (page hooks.Page[T], err error) {
	if err := s.check(ctx); err != nil {
		return page, err
	}
	if !allStorable(q.Tenant, q.HookID, q.EventID, q.EventType) {
		return page, nil
	}
	from, err := s.source(ctx, q)
	if err != nil || from.empty() {
		return page, s.readFailed(ctx, err)
	}
	if q.CountTo > 0 {
		sql, args := l.count(from, q)
		if page.Total, err = readOne[int](ctx, s, sql, args...); err != nil {
			return page, s.readFailed(ctx, err)
		}
	}
	limit := limitOf(q.PageQuery)
	sql, args, err := l.page(from, q, limit+1)
	if err != nil {
		return page, err
	}
	if page.Items, err = readAll(ctx, s, l.scan, sql, args...); err != nil {
		return hooks.Page[T]{}, s.readFailed(ctx, err)
	}
	if len(page.Items) > limit {
		page.Items = page.Items[:limit]
		page.Next = l.cursor(page.Items[limit-1])
	}
	return page, nil
}

// A source says whose rows a list has: those of deliveries if byID is set, else those of hooks.
type source struct {
	byID  bool
	ids   []id
	hooks []int64
}

func (f source) empty() bool { return len(f.hooks) == 0 && len(f.ids) == 0 }

const (
	sqlHookNs = "SELECT n FROM {schema}.hooks_hooks WHERE tenant = $1::text"
	sqlHookN  = sqlHookNs + " AND id = $2::text"
	// sqlDeliveriesOf finds the deliveries that an event made.
	sqlDeliveriesOf = "SELECT unnest(deliveries) FROM {schema}.hooks_events WHERE tenant = $1::text AND id = $2::text"
)

// source finds the source of the query.
func (s *Store) source(ctx context.Context, q hooks.LogQuery) (from source, err error) {
	if len(q.DeliveryIDs) > 0 {
		from.byID, from.ids = true, packIDs(q.DeliveryIDs)
	}
	switch {
	case q.EventID != "":
	case from.byID:
		return from, nil
	case q.HookID != "":
		from.hooks, err = readAll(ctx, s, pgx.RowTo[int64], sqlHookN, q.Tenant, q.HookID)
		return from, err
	default:
		from.hooks, err = readAll(ctx, s, pgx.RowTo[int64], sqlHookNs, q.Tenant)
		return from, err
	}
	made, err := readAll(ctx, s, pgx.RowTo[id], sqlDeliveriesOf, q.Tenant, q.EventID)
	if from.byID {
		made = slices.DeleteFunc(made, func(u id) bool { return !slices.Contains(from.ids, u) })
	}
	from.byID, from.ids = true, made
	return from, err
}

// conditions returns the conditions for the rows of a table, but for hook and cursor.
func (l *listing[T]) conditions(c *conditions, t listed, q hooks.LogQuery) (joins string, possible bool) {
	c.where = []string{t.where}
	if len(q.States) > 0 {
		var numbers []int16
		for _, state := range q.States {
			if len(t.states) == 0 || slices.Contains(t.states, state) {
				numbers = append(numbers, packState(state))
			}
		}
		if len(numbers) == 0 {
			return "", false
		}
		c.and(t.state+" = ANY(?)", numbers, "smallint[]")
		if t.few != "" && !slices.Contains(q.States, t.most) {
			c.where = append(c.where, t.few)
		}
	}
	if !q.Since.IsZero() {
		c.and("d."+l.order[0]+" >= ?", q.Since.UnixMilli(), "bigint")
	}
	if !q.Until.IsZero() {
		c.and("d."+l.order[0]+" < ?", q.Until.UnixMilli(), "bigint")
	}
	if q.EventType != "" {
		joins = " JOIN {schema}.hooks_events e ON e.n = d.event"
		c.and("e.type = ?", q.EventType, "text")
	}
	return joins, true
}

// parts returns a SELECT for each table that may have rows of the result. tail comes behind
// the conditions.
func (l *listing[T]) parts(c *conditions, from source, q hooks.LogQuery, columns func(listed) string, tail string) []string {
	var parts []string
	for _, t := range l.tables {
		joins, possible := l.conditions(c, t, q)
		if !possible {
			continue
		}
		if from.byID {
			c.and(t.id+" = ANY(?)", from.ids, "uuid[]")
			ofHook := "h.n = d.hook AND h.tenant = " + c.arg(q.Tenant, "text")
			if q.HookID != "" {
				ofHook += " AND h.id = " + c.arg(q.HookID, "text")
			}
			part := "SELECT " + columns(t) + " FROM {schema}." + t.table + " d" + joins + " WHERE " + c.sql() +
				" AND EXISTS (SELECT FROM {schema}.hooks_hooks h WHERE " + ofHook + ")" + tailFor(t, tail)
			parts = append(parts, "("+part+")")
			continue
		}
		where := c.sql()
		// For each hook, the rows come from an index in their order.
		part := "SELECT d.* FROM unnest(" + c.arg(from.hooks, "bigint[]") + ") AS u(n) CROSS JOIN LATERAL (SELECT " + columns(t) + " FROM {schema}." + t.table + " d" + joins +
			" WHERE d.hook = u.n AND " + where + tailFor(t, tail) + ") d"
		parts = append(parts, "("+part+")")
	}
	return parts
}

// tailFor puts the names that a table has for the columns of the order into the tail.
func tailFor(t listed, tail string) string {
	return strings.NewReplacer("d.delivery", t.id, "d.number", t.number).Replace(tail)
}

// count returns the statement that counts the rows.
func (l *listing[T]) count(from source, q hooks.LogQuery) (sql string, args []any) {
	var c conditions
	limit := c.arg(q.CountTo, "bigint")
	parts := l.parts(&c, from, q, func(listed) string { return "1" }, " LIMIT "+limit)
	if len(parts) == 0 {
		return "SELECT 0", nil
	}
	return "SELECT count(*) FROM (SELECT FROM (" + strings.Join(parts, " UNION ALL ") + ") AS listed LIMIT " + limit + ") AS counted", c.args
}

// page returns the statement that reads the rows behind the cursor, up to a limit.
func (l *listing[T]) page(from source, q hooks.LogQuery, limit int) (sql string, args []any, err error) {
	var c conditions
	direction, behind := directionOf(q.PageQuery)
	tail := ""
	if !q.After.IsZero() {
		values, kinds, err := l.place(q.After)
		if err != nil {
			return "", nil, err
		}
		names, marks := make([]string, len(values)), make([]string, len(values))
		for i, value := range values {
			names[i], marks[i] = "d."+l.order[i], c.arg(value, kinds[i])
		}
		// The first comparison is one that an index on the time can serve.
		tail = " AND d." + l.order[0] + " " + behind + "= " + marks[0] + " AND (" + strings.Join(names, ", ") + ") " + behind + " (" + strings.Join(marks, ", ") + ")"
	}
	order := " ORDER BY d." + strings.Join(l.order, direction+", d.") + direction
	most := c.arg(int64(limit)+int64(min(q.Offset, maxPage)), "bigint")
	with := ""
	if len(from.hooks) > fewHooks && !from.byID {
		with, tail = l.bound(&c, from, q, tail, direction, behind, most)
	}
	parts := l.parts(&c, from, q, func(t listed) string { return t.selected }, tail+order+" LIMIT "+most)
	if len(parts) == 0 {
		return "SELECT WHERE false", nil, nil
	}
	merged := " ORDER BY " + strings.Join(l.order, direction+", ") + direction
	return with + "SELECT " + l.columns + " FROM (" + strings.Join(parts, " UNION ALL ") + merged + " LIMIT " + c.arg(limit, "bigint") + " OFFSET " + c.arg(q.Offset, "bigint") + ") d" +
		" JOIN {schema}.hooks_hooks h ON h.n = d.hook JOIN {schema}.hooks_events e ON e.n = d.event" + order, c.args, nil
}

// fewHooks are so few that all of their rows that may be on a page can be read.
const fewHooks = 20

// bound returns a WITH that finds a time up to which the page goes at most, and the tail with
// it. The first row of each hook tells: if there are as many of these as the page has rows,
// none of the page comes behind them.
func (l *listing[T]) bound(c *conditions, from source, q hooks.LogQuery, tail, direction, behind, most string) (with, bounded string) {
	at := "d." + l.order[0]
	firsts := l.parts(c, from, q, func(listed) string { return at + " AS at" }, tail+" ORDER BY "+at+direction+" LIMIT 1")
	if len(firsts) == 0 {
		return "", tail
	}
	extreme := int64(math.MinInt64)
	before := ">="
	if behind == ">" {
		extreme, before = math.MaxInt64, "<="
	}
	with = "WITH bound AS MATERIALIZED (SELECT coalesce((SELECT at FROM (" + strings.Join(firsts, " UNION ALL ") + ") firsts ORDER BY at" + direction +
		" OFFSET " + most + " - 1 LIMIT 1), " + c.arg(extreme, "bigint") + ") AS at) "
	return with, tail + " AND " + at + " " + before + " (SELECT at FROM bound)"
}

// ofIDs returns the statement that reads the rows of the deliveries with the IDs $1.
func (l *listing[T]) ofIDs() string {
	var parts []string
	for _, t := range l.tables {
		parts = append(parts, "SELECT "+t.selected+" FROM {schema}."+t.table+" d WHERE "+t.where+" AND "+t.id+" = ANY($1::uuid[])")
	}
	return "SELECT " + l.columns + " FROM (" + strings.Join(parts, " UNION ALL ") + `) d
		JOIN {schema}.hooks_hooks h ON h.n = d.hook JOIN {schema}.hooks_events e ON e.n = d.event`
}

// delivery returns a delivery.
func (s *Store) delivery(ctx context.Context, tx pgx.Tx, u id) (hooks.Delivery, error) {
	rows, err := tx.Query(ctx, s.sql(deliveries.ofIDs()), []id{u})
	if err != nil {
		return hooks.Delivery{}, err
	}
	return pgx.CollectExactlyOneRow(rows, scanDelivery)
}

const sqlEventsNamed = "SELECT " + eventColumns + " FROM {schema}.hooks_events WHERE tenant = $1::text AND id = ANY($2::text[])"

// Events implements [hooks.Store].
func (s *Store) Events(ctx context.Context, tenant string, ids []string) (events []hooks.Event, err error) {
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	ids = slices.DeleteFunc(slices.Clone(ids), func(text string) bool { return !storable(text) })
	if len(ids) == 0 || !storable(tenant) {
		return nil, nil
	}
	err = s.read(ctx, func(rows pgx.Rows) error {
		found, err := scanEvents(rows)
		for _, e := range found {
			events = append(events, *e)
		}
		return err
	}, sqlEventsNamed, tenant, ids)
	return events, s.readFailed(ctx, err)
}

const (
	// sqlCountEnds counts a hook's deliveries that succeeded and that are dead.
	sqlCountEnds = `SELECT count(*) FILTER (WHERE state = 4), count(*) FILTER (WHERE state = 5) FROM {schema}.hooks_log
		WHERE hook = $1::bigint AND ended_at >= $2::bigint AND ended_at < $3::bigint`
	// sqlLastError finds a hook's latest failed attempt.
	sqlLastError = `SELECT a.error, a.started_at FROM (
			(SELECT error, started_at, id AS delivery, attempts AS number FROM {schema}.hooks_log
				WHERE hook = $1::bigint AND class IS NOT NULL AND started_at >= $2::bigint AND started_at < $3::bigint ORDER BY started_at DESC LIMIT 1)
			UNION ALL
			(SELECT error, started_at, delivery, number FROM {schema}.hooks_attempts
				WHERE hook = $1::bigint AND class IS NOT NULL AND started_at >= $2::bigint AND started_at < $3::bigint ORDER BY started_at DESC, number DESC LIMIT 1)
		) a ORDER BY a.started_at DESC, a.number DESC LIMIT 1`
)

// Stats implements [hooks.Store].
func (s *Store) Stats(ctx context.Context, tenant string, hookIDs []string, since, until time.Time) (map[string]hooks.Stats, error) {
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	result := make(map[string]hooks.Stats, len(hookIDs))
	for _, hookID := range hookIDs {
		stats, err := s.statsOf(ctx, hooks.Ref{Tenant: tenant, ID: hookID}, since.UnixMilli(), until.UnixMilli())
		if err != nil {
			return nil, s.readFailed(ctx, err)
		}
		result[hookID] = stats
	}
	return result, nil
}

func (s *Store) statsOf(ctx context.Context, ref hooks.Ref, since, until int64) (stats hooks.Stats, err error) {
	if !allStorable(ref.Tenant, ref.ID) {
		return stats, nil
	}
	n, known := s.hooks.n(ref)
	if !known {
		if _, err := s.readNames(ctx, sqlHooksNamed, []string{ref.Tenant}, []string{ref.ID}); err != nil {
			return stats, err
		}
		if n, known = s.hooks.n(ref); !known {
			return stats, nil
		}
	}
	err = s.read(ctx, func(rows pgx.Rows) error {
		_, err := pgx.ForEachRow(rows, []any{&stats.Successes, &stats.Failures}, func() error { return nil })
		return err
	}, sqlCountEnds, n, since, until)
	if err != nil {
		return stats, err
	}
	stats.Deliveries = stats.Successes + stats.Failures
	var text pgtype.Text
	var at pgtype.Int8
	err = s.read(ctx, func(rows pgx.Rows) error {
		_, err := pgx.ForEachRow(rows, []any{&text, &at}, func() error { return nil })
		return err
	}, sqlLastError, n, since, until)
	stats.LastError, stats.LastErrorAt = text.String, unpackTime(at)
	return stats, err
}
