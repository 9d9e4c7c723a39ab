package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/seed-2c6e3a5a/hooks"
)

// sequenceBlock is how many numbers a transaction gets from hooks_sequence.
const sequenceBlock = 1 << 20

const (
	// sqlEnqueue stores events, their deliveries and the signals of these. Event i of the
	// call gets the number i of a block, and delivery i likewise.
	sqlEnqueue = `WITH block AS MATERIALIZED (SELECT nextval('{schema}.hooks_sequence') AS start),
		events AS (
			INSERT INTO {schema}.hooks_events (n, time, triggered_at, bare, tenant, id, type, ordering_key, deliveries, metadata, data)
			SELECT block.start + e.i, e.time, e.triggered_at, e.deliveries = '', e.tenant, e.id, e.type, e.ordering_key,
				nullif(e.deliveries, '')::uuid[], e.metadata, e.data
			FROM block, unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::bytea[], $22::bigint[])
				WITH ORDINALITY AS e(tenant, id, type, time, ordering_key, deliveries, metadata, data, triggered_at, i)
		),
		signals AS (
			INSERT INTO {schema}.hooks_signals (process, hooks, kinds, dues, keys)
			SELECT $23::bigint, $24::bigint[], $25::smallint[], $26::bigint[], $27::text[] WHERE cardinality($24::bigint[]) > 0
		)
		INSERT INTO {schema}.hooks_queue (id, n, event, hook, created_at, due, queued, token, size, step, attempts, state, retry, undecided, owner, ordering_key)
		SELECT q.id, block.start + q.i, block.start + q.event, q.hook, q.created_at, q.due, q.queued, q.token, q.size, q.step, q.attempts, q.state,
			q.retry, q.undecided, q.owner, q.ordering_key
		FROM block, unnest($9::uuid[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::integer[],
				$17::integer[], $18::integer[], $19::smallint[], $20::smallint[], $21::boolean[], $28::text[], $29::text[])
			WITH ORDINALITY AS q(id, event, hook, created_at, due, queued, token, size, step, attempts, state, retry, undecided, owner, ordering_key, i)`
)

// A parcel is what one statement stores: events and deliveries in columns.
type parcel struct {
	tenants, eventIDs, types, deliveryIDs []string
	times, triggeredAt                    []int64
	eventKeys, metadata                   []pgtype.Text
	data                                  [][]byte

	ids                            []id
	events, hooks, createdAt, dues []int64
	queued                         []pgtype.Int8
	tokens                         []int64
	sizes, steps, attempts         []int32
	states, kinds                  []int16
	undecided                      []bool
	owners, keys                   []pgtype.Text

	signals signals
	blocked []orderingKey // of the deliveries that are stored as blocked
	news    []news
	leases  map[string]lease
	pending bool // Some delivery is not leased.
}

// add adds entries to the parcel. Those with an ordering key are stored as blocked. A signal
// says that the key may have no head if keySignals is set; else it is up to the caller to
// release them.
func (p *parcel) add(s *Store, now time.Time, entries []hooks.Entry, keySignals bool) error {
	for i := range entries {
		e := entries[i].Event
		if len(p.eventIDs) >= sequenceBlock || len(p.ids)+len(entries[i].Deliveries) >= sequenceBlock {
			return &hooks.InvalidError{Field: "entries", Reason: fmt.Sprintf("must have less than %d events and deliveries", sequenceBlock)}
		}
		metadata, err := packTexts(e.Metadata)
		if err != nil {
			return err
		}
		p.tenants, p.eventIDs, p.types = append(p.tenants, e.Tenant), append(p.eventIDs, e.ID), append(p.types, e.Type)
		p.times, p.eventKeys = append(p.times, e.Time.UnixMilli()), append(p.eventKeys, packText(e.OrderingKey))
		p.triggeredAt = append(p.triggeredAt, now.UnixMilli())
		p.metadata, p.data = append(p.metadata, metadata), append(p.data, nonEmpty(e.Data))
		list := make([]byte, 0, 2+37*len(entries[i].Deliveries))
		for j := range entries[i].Deliveries {
			d := &entries[i].Deliveries[j]
			if err := p.addDelivery(s, d, sizeOf(e), keySignals); err != nil {
				return err
			}
			list = append(append(list, ','), d.ID...)
		}
		if len(list) > 0 {
			list[0] = '{'
			list = append(list, '}')
		}
		p.deliveryIDs = append(p.deliveryIDs, string(list))
	}
	return nil
}

// addDelivery adds a delivery of the last event.
func (p *parcel) addDelivery(s *Store, d *hooks.Delivery, size int32, keySignals bool) error {
	u, ok := packID(d.ID)
	if !ok {
		return &hooks.InvalidError{Field: "id", Reason: "of a delivery must be a UUID in lower case"}
	}
	hook, known := s.hooks.n(d.HookRef())
	if !known {
		return fmt.Errorf("postgres: hook %q has no row in hooks_hooks", d.HookID)
	}
	state, queued, kind := packState(d.State), packTime(d.Due), kindOf(d.Step)
	owner := pgtype.Text{}
	switch {
	case d.OrderingKey != "" && d.State == hooks.Pending:
		state, queued = blocked, pgtype.Int8{}
		key := orderingKey{hook, d.OrderingKey}
		p.blocked = append(p.blocked, key)
		if keySignals {
			p.signals.addKey(key)
		}
		p.pending = true
	case d.State == hooks.Leased:
		queued, owner = packTime(d.Lease.Until), packText(d.Lease.Owner)
		until := d.Lease.Until.UnixMilli()
		p.signals.add(hook, kind, untilOthers(d.Lease.Until))
		p.news = append(p.news, news{laneKey{hook, kind}, becomesDue, until})
		if p.leases == nil {
			p.leases = map[string]lease{}
		}
		p.leases[d.ID] = lease{laneKey: laneKey{hook, kind}, token: d.Lease.Token, until: until, key: d.OrderingKey}
	default:
		p.signals.add(hook, kind, queued.Int64)
		p.news = append(p.news, news{laneKey{hook, kind}, becomesDue, queued.Int64})
		p.pending = true
	}
	p.ids, p.events, p.hooks = append(p.ids, u), append(p.events, int64(len(p.eventIDs))), append(p.hooks, hook)
	p.createdAt, p.dues, p.queued = append(p.createdAt, d.CreatedAt.UnixMilli()), append(p.dues, d.Due.UnixMilli()), append(p.queued, queued)
	p.tokens, p.sizes = append(p.tokens, d.Lease.Token), append(p.sizes, size)
	p.steps, p.attempts = append(p.steps, int32(d.Step)), append(p.attempts, int32(d.Attempts)) //nolint:gosec // They are few.
	p.states, p.kinds, p.undecided = append(p.states, state), append(p.kinds, kind), append(p.undecided, d.Undecided)
	p.owners, p.keys = append(p.owners, owner), append(p.keys, packText(d.OrderingKey))
	return nil
}

// args are the arguments of sqlEnqueue. All processes read the signals except one.
func (p *parcel) args(except int64) []any {
	signals := p.signals.args(except)
	return []any{
		p.tenants, p.eventIDs, p.types, p.times, p.eventKeys, p.deliveryIDs, p.metadata, p.data,
		p.ids, p.events, p.hooks, p.createdAt, p.dues, p.queued, p.tokens, p.sizes, p.steps, p.attempts, p.states, p.kinds, p.undecided,
		p.triggeredAt, signals[0], signals[1], signals[2], signals[3], signals[4], p.owners, p.keys,
	}
}

// stored notes what this process has to know of a parcel that was committed.
func (p *parcel) stored(s *Store) {
	for delivery, held := range p.leases {
		s.leases.add(delivery, held)
	}
	s.claimer.news.add(p.news...)
	if p.pending {
		s.announce()
	}
}

// Enqueue implements [hooks.Tx].
func (s *Store) Enqueue(ctx context.Context, now time.Time, entries []hooks.Entry) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	if len(entries) == 0 {
		return nil
	}
	if err := checkDistinct(entries); err != nil {
		return err
	}
	if err := s.nameHooks(ctx, entries); err != nil {
		return s.readFailed(ctx, err)
	}
	return s.writer.enqueue(ctx, s, now, entries)
}

// checkDistinct refuses entries of which two have one event ID.
func checkDistinct(entries []hooks.Entry) error {
	if len(entries) == 1 {
		return nil
	}
	seen := make(map[hooks.Ref]bool, len(entries))
	for _, entry := range entries {
		name := hooks.Ref{Tenant: entry.Event.Tenant, ID: entry.Event.ID}
		if seen[name] {
			return duplicate(entry.Event)
		}
		seen[name] = true
	}
	return nil
}

func duplicate(e *hooks.Event) error { return fmt.Errorf("event %q: %w", e.ID, hooks.ErrDuplicate) }

// sqlEventIDs finds those of these events that are stored.
const sqlEventIDs = `SELECT e.tenant, e.id FROM unnest($1::text[], $2::text[]) AS u(tenant, id)
	JOIN {schema}.hooks_events e ON e.tenant = u.tenant AND e.id = u.id`

// storedEvents returns those of the events that are stored.
func (s *Store) storedEvents(ctx context.Context, tenants, ids []string) (map[hooks.Ref]bool, error) {
	found := map[hooks.Ref]bool{}
	err := s.read(ctx, func(rows pgx.Rows) error {
		var name hooks.Ref
		_, err := pgx.ForEachRow(rows, []any{&name.Tenant, &name.ID}, func() error {
			found[name] = true
			return nil
		})
		return err
	}, sqlEventIDs, tenants, ids)
	return found, err
}
