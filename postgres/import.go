package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/store"
)

const (
	// sqlHasDeliveries finds those of these deliveries that are stored.
	sqlHasDeliveries = `SELECT id FROM {schema}.hooks_queue WHERE id = ANY($1::uuid[])
		UNION ALL SELECT id FROM {schema}.hooks_log WHERE id = ANY($1::uuid[])`
	// sqlHasEvents finds those of these events that are stored.
	sqlHasEvents = `SELECT e.tenant, e.id, e.n, coalesce(octet_length(e.data), 0) FROM unnest($1::text[], $2::text[]) AS u(tenant, id)
		JOIN {schema}.hooks_events e ON e.tenant = u.tenant AND e.id = u.id`
	sqlNextBlock = "SELECT nextval('{schema}.hooks_sequence')"
	// sqlImportEvents stores events. Their deliveries are added by sqlImportIDs.
	sqlImportEvents = `INSERT INTO {schema}.hooks_events (n, time, triggered_at, bare, tenant, id, type, ordering_key, deliveries, metadata, data)
		SELECT n, time, triggered_at, bare, tenant, id, type, ordering_key, nullif(deliveries, '')::uuid[], metadata, data
		FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::boolean[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::bytea[])
			AS e(n, time, triggered_at, bare, tenant, id, type, ordering_key, deliveries, metadata, data)`
	// sqlImportIDs adds deliveries to events that were stored before.
	sqlImportIDs = `UPDATE {schema}.hooks_events e SET deliveries = e.deliveries || u.ids::uuid[]
		FROM unnest($1::bigint[], $2::text[]) AS u(n, ids) WHERE e.n = u.n`
	sqlImportQueue = `INSERT INTO {schema}.hooks_queue (id, n, event, hook, created_at, due, queued, token, size, step, attempts, state, retry, undecided, owner, ordering_key, reason)
		SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::integer[],
			$10::integer[], $11::integer[], $12::smallint[], $13::smallint[], $14::boolean[], $15::text[], $16::text[], $17::text[])`
)

var (
	sqlImportLog = `INSERT INTO {schema}.hooks_log (id, n, event, hook, created_at, ended_at, token, size, step, attempts, state, undecided, held, ordering_key, reason, ` + attemptColumns + `)
		SELECT * FROM unnest(` + arrayParams(0, append([]string{
		"uuid", "bigint", "bigint", "bigint", "bigint", "bigint", "bigint", "integer", "integer", "integer", "smallint", "boolean", "boolean", "text", "text",
	}, attemptKinds...)...) + `)`
	sqlImportAttempts = `INSERT INTO {schema}.hooks_attempts (delivery, event, hook, number, next_at, ` + attemptColumns + `)
		SELECT * FROM unnest(` + arrayParams(0, append([]string{"uuid", "bigint", "bigint", "integer", "bigint"}, attemptKinds...)...) + `)`
)

// Import implements [store.Copyable].
func (s *Store) Import(ctx context.Context, records []store.Record) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	if len(records) == 0 {
		return nil
	}
	var named []hooks.Entry
	for _, r := range records {
		if r.Delivery != nil {
			named = append(named, hooks.Entry{Deliveries: []hooks.Delivery{*r.Delivery}})
		}
	}
	if err := s.nameHooks(ctx, named); err != nil {
		return s.readFailed(ctx, err)
	}
	s.endCounts.mu.Lock()
	defer s.endCounts.mu.Unlock()
	s.endCounts.of = nil // Deliveries come that ended long ago.
	err := s.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		i := importing{Store: s, tx: tx, appended: map[int64]string{}}
		return i.run(ctx, records)
	})
	if err == nil {
		s.announce()
	}
	return err
}

// An importing is a call of Import under way.
type importing struct {
	*Store
	tx      pgx.Tx
	events  map[hooks.Ref]*importedEvent // by tenant and ID
	stored  map[id]bool                  // deliveries
	block   int64                        // the numbers of events and deliveries are block+1, …
	event   int64                        // how many events have one
	order   int64                        // how many deliveries have one
	fresh   []*importedEvent
	signals signals
	// appended are the IDs of deliveries of events that were stored before, by the event's n.
	appended map[int64]string

	queue    queueColumns
	log      logColumns
	attempts attemptsColumns
}

// An importedEvent is one that deliveries may be of.
type importedEvent struct {
	record     store.Record
	n          int64
	size       int32
	fresh      bool
	deliveries string // of the call, as an array
}

func (i *importing) run(ctx context.Context, records []store.Record) error {
	if err := i.look(ctx, records); err != nil {
		return err
	}
	for n, r := range records {
		var err error
		switch {
		case r.Hook != nil:
			err = i.addHook(ctx, r.Hook)
		case r.Event != nil:
			i.addEvent(r)
		case r.Delivery != nil:
			err = i.addDelivery(n, r)
		}
		if err != nil {
			return err
		}
	}
	return i.write(ctx)
}

// look finds out what of the records is stored.
func (i *importing) look(ctx context.Context, records []store.Record) error {
	var tenants, names []string
	var ids []id
	for _, r := range records {
		switch {
		case r.Event != nil:
			tenants, names = append(tenants, r.Event.Tenant), append(names, r.Event.ID)
		case r.Delivery != nil:
			tenants, names = append(tenants, r.Delivery.Tenant), append(names, r.Delivery.EventID)
			if u, ok := packID(r.Delivery.ID); ok {
				ids = append(ids, u)
			}
		}
	}
	i.events, i.stored = map[hooks.Ref]*importedEvent{}, map[id]bool{}
	rows, err := i.tx.Query(ctx, i.sql(sqlHasEvents), tenants, names)
	if err != nil {
		return err
	}
	var name hooks.Ref
	var n int64
	var size int32
	_, err = pgx.ForEachRow(rows, []any{&name.Tenant, &name.ID, &n, &size}, func() error {
		i.events[name] = &importedEvent{n: n, size: size}
		return nil
	})
	if err != nil {
		return err
	}
	if rows, err = i.tx.Query(ctx, i.sql(sqlHasDeliveries), ids); err != nil {
		return err
	}
	var u id
	if _, err = pgx.ForEachRow(rows, []any{&u}, func() error {
		i.stored[u] = true
		return nil
	}); err != nil {
		return err
	}
	return i.tx.QueryRow(ctx, i.sql(sqlNextBlock)).Scan(&i.block)
}

func (i *importing) addHook(ctx context.Context, h *hooks.Hook) error {
	state, err := i.hookState(ctx, i.tx, h.Ref())
	if err == nil && state.version.Valid {
		return nil
	}
	revision, err := i.nextRevision(ctx, i.tx)
	if err != nil {
		return err
	}
	return i.putHook(ctx, i.tx, h, revision)
}

func (i *importing) addEvent(r store.Record) {
	name := hooks.Ref{Tenant: r.Event.Tenant, ID: r.Event.ID}
	if i.events[name] != nil {
		return
	}
	i.event++
	e := &importedEvent{record: r, n: i.block + i.event, size: sizeOf(r.Event), fresh: true}
	i.events[name] = e
	i.fresh = append(i.fresh, e)
}

func (i *importing) addDelivery(place int, r store.Record) error {
	d := r.Delivery
	u, ok := packID(d.ID)
	if !ok {
		return &hooks.InvalidError{Field: fmt.Sprintf("records[%d].delivery.id", place), Reason: "must be a UUID in lower case"}
	}
	if i.stored[u] {
		return nil
	}
	i.stored[u] = true
	e := i.events[hooks.Ref{Tenant: d.Tenant, ID: d.EventID}]
	if e == nil {
		return &hooks.InvalidError{Field: fmt.Sprintf("records[%d].delivery", place), Reason: "must follow its event"}
	}
	hook, known := i.hooks.n(d.HookRef())
	if !known {
		return fmt.Errorf("postgres: hook %q has no row in hooks_hooks", d.HookID)
	}
	i.order++
	if e.fresh {
		e.deliveries = appendID(e.deliveries, d.ID)
	} else {
		i.appended[e.n] = appendID(i.appended[e.n], d.ID)
	}
	row := deliveryRow{id: u, n: i.block + i.order, event: e.n, hook: hook, size: e.size}
	attempts := r.Attempts
	if d.State.Ended() {
		// The log has the last attempt, unless another was to follow.
		var last *hooks.Attempt
		if k := len(attempts) - 1; k >= 0 && attempts[k].Number == d.Attempts && attempts[k].NextAt.IsZero() {
			last, attempts = &attempts[k], attempts[:k]
		}
		i.log.add(row, d, last)
	} else if queued := i.queue.add(row, d); queued.Valid {
		i.signals.add(hook, kindOf(d.Step), queued.Int64)
	}
	for j := range attempts {
		i.attempts.add(row, &attempts[j])
	}
	return nil
}

// appendID adds an ID to an array in its text form.
func appendID(array, name string) string {
	if array == "" {
		return "{" + name + "}"
	}
	return array[:len(array)-1] + "," + name + "}"
}

// write stores what was added.
func (i *importing) write(ctx context.Context) error {
	var b pgx.Batch
	if len(i.fresh) > 0 {
		args, err := eventArgs(i.fresh)
		if err != nil {
			return err
		}
		b.Queue(i.sql(sqlImportEvents), args...)
	}
	if len(i.appended) > 0 {
		var ns []int64
		var arrays []string
		for n, array := range i.appended {
			ns, arrays = append(ns, n), append(arrays, array)
		}
		b.Queue(i.sql(sqlImportIDs), ns, arrays)
	}
	if len(i.queue.ids) > 0 {
		b.Queue(i.sql(sqlImportQueue), i.queue.args()...)
	}
	if len(i.log.ids) > 0 {
		b.Queue(i.sql(sqlImportLog), i.log.args()...)
	}
	if len(i.attempts.deliveries) > 0 {
		b.Queue(i.sql(sqlImportAttempts), i.attempts.args()...)
	}
	if len(i.signals.hooks) > 0 {
		b.Queue(i.sql(sqlSignal), i.signals.args(0)...)
	}
	if b.Len() == 0 {
		return nil
	}
	return i.tx.SendBatch(ctx, &b).Close()
}

// eventArgs are the arguments of sqlImportEvents.
func eventArgs(fresh []*importedEvent) ([]any, error) {
	var ns, times, triggeredAt []int64
	var bare []bool
	var tenants, ids, types, arrays []string
	var keys, metadata []pgtype.Text
	var data [][]byte
	for _, e := range fresh {
		event := e.record.Event
		packed, err := packTexts(event.Metadata)
		if err != nil {
			return nil, err
		}
		ns, times, triggeredAt = append(ns, e.n), append(times, event.Time.UnixMilli()), append(triggeredAt, e.record.TriggeredAt.UnixMilli())
		bare, tenants, ids = append(bare, e.record.Deliveries == 0), append(tenants, event.Tenant), append(ids, event.ID)
		types, keys, arrays = append(types, event.Type), append(keys, packText(event.OrderingKey)), append(arrays, e.deliveries)
		metadata, data = append(metadata, packed), append(data, nonEmpty(event.Data))
	}
	return []any{ns, times, triggeredAt, bare, tenants, ids, types, keys, arrays, metadata, data}, nil
}

// A deliveryRow is what a delivery has in the tables besides its own fields.
type deliveryRow struct {
	id             id
	n, event, hook int64
	size           int32
}

// queueColumns are rows of hooks_queue, a slice for each column.
type queueColumns struct {
	ids                                []id
	ns, events, hooks, createdAt, dues []int64
	queued                             []pgtype.Int8
	tokens                             []int64
	sizes, steps, attempts             []int32
	states, kinds                      []int16
	undecided                          []bool
	owners, keys, reasons              []pgtype.Text
}

// add adds a delivery that has not ended, and returns when it can be claimed.
func (c *queueColumns) add(r deliveryRow, d *hooks.Delivery) (queued pgtype.Int8) {
	owner := pgtype.Text{}
	switch d.State {
	case hooks.Pending:
		queued = packTime(d.Due)
	case hooks.Leased:
		queued, owner = packTime(d.Lease.Until), packText(d.Lease.Owner)
	}
	c.ids, c.ns, c.events, c.hooks = append(c.ids, r.id), append(c.ns, r.n), append(c.events, r.event), append(c.hooks, r.hook)
	c.createdAt, c.dues, c.queued = append(c.createdAt, d.CreatedAt.UnixMilli()), append(c.dues, d.Due.UnixMilli()), append(c.queued, queued)
	c.tokens, c.sizes, c.steps = append(c.tokens, d.Lease.Token), append(c.sizes, r.size), append(c.steps, int32(d.Step))                        //nolint:gosec // They are few.
	c.attempts, c.states, c.kinds = append(c.attempts, int32(d.Attempts)), append(c.states, packState(d.State)), append(c.kinds, kindOf(d.Step)) //nolint:gosec // They are few.
	c.undecided, c.owners = append(c.undecided, d.Undecided), append(c.owners, owner)
	c.keys, c.reasons = append(c.keys, packText(d.OrderingKey)), append(c.reasons, packText(d.Reason))
	return queued
}

func (c *queueColumns) args() []any {
	return []any{
		c.ids, c.ns, c.events, c.hooks, c.createdAt, c.dues, c.queued, c.tokens, c.sizes, c.steps, c.attempts, c.states, c.kinds, c.undecided,
		c.owners, c.keys, c.reasons,
	}
}

// logColumns are rows of hooks_log, a slice for each column.
type logColumns struct {
	ids                                           []id
	ns, events, hooks, createdAt, endedAt, tokens []int64
	sizes, steps, attempts                        []int32
	states                                        []int16
	undecided, held                               []bool
	keys, reasons                                 []pgtype.Text
	last                                          attemptArrays
}

// add adds a delivery that has ended, with its last attempt.
func (c *logColumns) add(r deliveryRow, d *hooks.Delivery, last *hooks.Attempt) {
	c.ids, c.ns, c.events, c.hooks = append(c.ids, r.id), append(c.ns, r.n), append(c.events, r.event), append(c.hooks, r.hook)
	c.createdAt, c.endedAt = append(c.createdAt, d.CreatedAt.UnixMilli()), append(c.endedAt, d.EndedAt.UnixMilli())
	c.tokens, c.sizes, c.steps = append(c.tokens, d.Lease.Token), append(c.sizes, r.size), append(c.steps, int32(d.Step)) //nolint:gosec // They are few.
	c.attempts, c.states = append(c.attempts, int32(d.Attempts)), append(c.states, packState(d.State))                    //nolint:gosec // They are few.
	c.undecided, c.held = append(c.undecided, d.Undecided), append(c.held, d.Held)
	c.keys, c.reasons = append(c.keys, packText(d.OrderingKey)), append(c.reasons, packText(d.Reason))
	c.last.add(last)
}

func (c *logColumns) args() []any {
	return append([]any{
		c.ids, c.ns, c.events, c.hooks, c.createdAt, c.endedAt, c.tokens, c.sizes, c.steps, c.attempts, c.states, c.undecided, c.held, c.keys, c.reasons,
	}, c.last.args()...)
}

// attemptsColumns are rows of hooks_attempts, a slice for each column.
type attemptsColumns struct {
	deliveries    []id
	events, hooks []int64
	numbers       []int32
	nextAt        []pgtype.Int8
	columns       attemptArrays
}

func (c *attemptsColumns) add(r deliveryRow, a *hooks.Attempt) {
	c.deliveries, c.events, c.hooks = append(c.deliveries, r.id), append(c.events, r.event), append(c.hooks, r.hook)
	c.numbers, c.nextAt = append(c.numbers, int32(a.Number)), append(c.nextAt, packTime(a.NextAt)) //nolint:gosec // They are few.
	c.columns.add(a)
}

func (c *attemptsColumns) args() []any {
	return append([]any{c.deliveries, c.events, c.hooks, c.numbers, c.nextAt}, c.columns.args()...)
}

// sizeOf is the size of an event's data.
func sizeOf(e *hooks.Event) int32 { return int32(min(len(e.Data), 1<<31-1)) }
