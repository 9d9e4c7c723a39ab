package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/seed-2c6e3a5a/hooks"
)

// leases are those of this process that have not ended, as far as it knows: what a
// settlement would have to read otherwise.
type leases struct {
	mu sync.Mutex
	of map[string]lease // by the delivery's ID
}

// A lease is the lease of a delivery in a lane.
type lease struct {
	laneKey
	token, until int64
	key          string
	own          bool // It is in leases.
}

func (l *leases) init() { l.of = map[string]lease{} }

func (l *leases) add(delivery string, added lease) {
	l.mu.Lock()
	defer l.mu.Unlock()
	added.own = true
	l.of[delivery] = added
}

// get returns the lease of a delivery with this token.
func (l *leases) get(delivery string, token int64) (found lease, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	found, ok = l.of[delivery]
	return found, ok && found.token == token
}

// remove removes the lease of a delivery with this token.
func (l *leases) remove(delivery string, token int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of[delivery].token == token {
		delete(l.of, delivery)
	}
}

// forget removes the leases that ended long before now, in milliseconds: nobody has settled
// them.
func (l *leases) forget(before int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for delivery, held := range l.of {
		if held.until < before {
			delete(l.of, delivery)
		}
	}
}

const (
	// sqlLease leases deliveries, which are locked.
	sqlLease = `UPDATE {schema}.hooks_queue q SET state = 3, token = token + 1, queued = $2::bigint, owner = $3::text
		WHERE id = ANY($1::uuid[])
		RETURNING id, created_at, due, token, step, attempts, undecided, ordering_key, reason`
	// sqlEventsNumbered reads events.
	sqlEventsNumbered = "SELECT " + eventColumns + " FROM {schema}.hooks_events WHERE n = ANY($1::bigint[])"
)

// eventColumns are what eventRow reads.
const eventColumns = "n, tenant, id, type, time, ordering_key, metadata, data"

type eventRow struct {
	hooks.Event
	n, time               int64
	orderingKey, metadata pgtype.Text
	data                  []byte
}

func (r *eventRow) fields() []any {
	return []any{&r.n, &r.Tenant, &r.ID, &r.Type, &r.time, &r.orderingKey, &r.metadata, &r.data}
}

func (r *eventRow) event() (*hooks.Event, error) {
	e := r.Event
	e.Time, e.OrderingKey, e.Data = unpackTime(pgtype.Int8{Int64: r.time, Valid: true}), r.orderingKey.String, json.RawMessage(r.data)
	var err error
	if e.Metadata, err = unpackTexts(r.metadata); err != nil {
		err = fmt.Errorf("postgres: hooks_events, n %d: metadata is not the JSON of texts: %w", r.n, err)
	}
	return &e, err
}

// scanEvents reads rows of eventColumns, by n.
func scanEvents(rows pgx.Rows) (map[int64]*hooks.Event, error) {
	events := map[int64]*hooks.Event{}
	for rows.Next() {
		var r eventRow
		if err := rows.Scan(r.fields()...); err != nil {
			return nil, err
		}
		e, err := r.event()
		if err != nil {
			return nil, err
		}
		events[r.n] = e
	}
	return events, rows.Err()
}

// lease leases the deliveries that were taken and reads their events.
func (c *claim) lease(ctx context.Context) ([]hooks.Claimed, error) {
	if len(c.taken) == 0 {
		return nil, nil
	}
	ids, events := make([]id, len(c.taken)), make([]int64, len(c.taken))
	for i, t := range c.taken {
		ids[i], events[i] = t.id, t.event
	}
	var b pgx.Batch
	b.Queue(c.sql(sqlLease), ids, c.r.Until.UnixMilli(), packText(c.r.Owner))
	b.Queue(c.sql(sqlEventsNumbered), distinct(events))
	c.queueSignal(&b, c.signals())
	results := c.tx.SendBatch(ctx, &b)
	claimed, err := c.readClaimed(results)
	if closed := results.Close(); err == nil {
		err = closed
	}
	return claimed, err
}

// signals returns what other processes must know of the claim: when the leases end, and that
// what was locked and not taken, which they may have skipped, is still due.
func (c *claim) signals() (g signals) {
	until := untilOthers(c.r.Until)
	seen := map[*lane]bool{}
	for _, t := range c.taken {
		if !seen[t.lane] {
			seen[t.lane] = true
			g.add(t.lane.hook, t.lane.kind, until)
		}
	}
	for _, l := range c.touched {
		if len(l.found) > 0 {
			g.add(l.hook, l.kind, l.found[0].queued)
		}
	}
	return g
}

// readClaimed reads the results of sqlLease and sqlEventsNumbered.
func (c *claim) readClaimed(results pgx.BatchResults) ([]hooks.Claimed, error) {
	rows, err := results.Query()
	if err != nil {
		return nil, err
	}
	leased := make(map[id]hooks.Delivery, len(c.taken))
	var u id
	var createdAt, due int64
	var key, reason pgtype.Text
	var d hooks.Delivery
	_, err = pgx.ForEachRow(rows, []any{&u, &createdAt, &due, &d.Lease.Token, &d.Step, &d.Attempts, &d.Undecided, &key, &reason}, func() error {
		d.ID, d.State = unpackID(u), hooks.Leased
		d.OrderingKey, d.Reason = key.String, reason.String
		d.CreatedAt, d.Due = unpackTime(pgtype.Int8{Int64: createdAt, Valid: true}), unpackTime(pgtype.Int8{Int64: due, Valid: true})
		d.Lease.Owner, d.Lease.Until = c.r.Owner, c.r.Until
		leased[u] = d
		return nil
	})
	if err != nil {
		return nil, err
	}
	if rows, err = results.Query(); err != nil {
		return nil, err
	}
	events, err := scanEvents(rows)
	if err != nil {
		return nil, err
	}
	claimed := make([]hooks.Claimed, len(c.taken))
	for i, t := range c.taken {
		d, e := leased[t.id], events[t.event]
		if d.ID == "" || e == nil {
			return nil, fmt.Errorf("postgres: delivery %s or its event is missing", unpackID(t.id))
		}
		d.Tenant, d.HookID, d.EventID, d.EventType = t.lane.ref.Tenant, t.lane.ref.ID, e.ID, e.Type
		claimed[i] = hooks.Claimed{Delivery: d, Event: e}
	}
	return claimed, nil
}
