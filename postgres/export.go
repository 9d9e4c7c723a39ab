package postgres

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/store"
)

const (
	// sqlExportHooks reads the hooks in the order of their revisions.
	sqlExportHooks = "SELECT " + hookColumns + " FROM {schema}.hooks_hooks h WHERE h.version IS NOT NULL AND h.revision > $1::bigint ORDER BY h.revision LIMIT $2::bigint"
	sqlRevisionOf  = "SELECT revision FROM {schema}.hooks_hooks WHERE tenant = $1::text AND id = $2::text"
	// sqlExportSizes reads the next events' numbers and sizes.
	sqlExportSizes = "SELECT n, coalesce(octet_length(data), 0) FROM {schema}.hooks_events WHERE n > $1::bigint ORDER BY n LIMIT $2::bigint"
	// sqlExportEvents reads events up to a number.
	sqlExportEvents = "SELECT " + eventColumns + `, triggered_at, deliveries,
			(SELECT count(*) FROM {schema}.hooks_queue q WHERE q.id = ANY(e.deliveries)) + (SELECT count(*) FROM {schema}.hooks_log l WHERE l.id = ANY(e.deliveries))
		FROM {schema}.hooks_events e WHERE n > $1::bigint AND n <= $2::bigint ORDER BY n`
)

// What an export reads at once, at most.
const (
	exportedHooks      = 100
	exportedEvents     = 500
	exportedBytes      = 1 << 20 // of the events' data, unless one has more
	exportedDeliveries = 200
)

// errEnough ends an export whose caller wants no more.
var errEnough = errors.New("enough was read")

// Export implements [store.Copyable]. It reads a snapshot of the data in one transaction,
// which is open until the end.
func (s *Store) Export(ctx context.Context) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		err := s.check(ctx)
		if err == nil {
			err = s.export(ctx, yield)
		}
		if err != nil && !errors.Is(err, errEnough) {
			yield(store.Record{}, s.readFailed(ctx, err))
		}
	}
}

// An export is a call of Export under way.
type export struct {
	*Store
	tx    pgx.Tx
	yield func(store.Record, error) bool
}

func (s *Store) export(ctx context.Context, yield func(store.Record, error) bool) error {
	tx, err := s.pool.BeginTx(ctx, readSnapshot)
	if err != nil {
		return err
	}
	defer func() { // yield may panic.
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
		defer cancel()
		_ = tx.Rollback(ending) // It has written nothing.
	}()
	e := export{s, tx, yield}
	if err := e.hooks(ctx); err != nil {
		return err
	}
	return e.events(ctx)
}

func (e *export) send(r store.Record) error {
	if !e.yield(r, nil) {
		return errEnough
	}
	return nil
}

func (e *export) hooks(ctx context.Context) error {
	after := int64(math.MinInt64)
	for {
		rows, err := e.tx.Query(ctx, e.sql(sqlExportHooks), after, exportedHooks)
		if err != nil {
			return err
		}
		list, err := pgx.CollectRows(rows, scanHook)
		if err != nil || len(list) == 0 {
			return err
		}
		last := list[len(list)-1].Ref()
		if err := e.tx.QueryRow(ctx, e.sql(sqlRevisionOf), last.Tenant, last.ID).Scan(&after); err != nil {
			return err
		}
		for i := range list {
			if err := e.send(store.Record{Hook: &list[i]}); err != nil {
				return err
			}
		}
	}
}

// An exportedEvent is an event with the IDs of the deliveries that it made, of which count
// are left.
type exportedEvent struct {
	event       *hooks.Event
	triggeredAt time.Time
	deliveries  []id
	count       int
}

func (e *export) events(ctx context.Context) error {
	after := int64(math.MinInt64)
	for {
		upTo, err := e.nextEvents(ctx, after)
		if err != nil || upTo == after {
			return err
		}
		rows, err := e.tx.Query(ctx, e.sql(sqlExportEvents), after, upTo)
		if err != nil {
			return err
		}
		list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (x exportedEvent, err error) {
			var r eventRow
			var triggeredAt int64
			if err := row.Scan(append(r.fields(), &triggeredAt, &x.deliveries, &x.count)...); err != nil {
				return x, err
			}
			x.triggeredAt = time.UnixMilli(triggeredAt).UTC()
			x.event, err = r.event()
			return x, err
		})
		if err != nil {
			return err
		}
		if err := e.sendEvents(ctx, list); err != nil {
			return err
		}
		after = upTo
	}
}

// nextEvents returns up to which number to read events at once. It is that given if there are
// none.
func (e *export) nextEvents(ctx context.Context, after int64) (upTo int64, err error) {
	rows, err := e.tx.Query(ctx, e.sql(sqlExportSizes), after, exportedEvents)
	if err != nil {
		return 0, err
	}
	upTo = after
	var n, size, bytes int64
	_, err = pgx.ForEachRow(rows, []any{&n, &size}, func() error {
		if bytes < exportedBytes {
			upTo = n
		}
		bytes += size
		return nil
	})
	return upTo, err
}

// sendEvents sends events, each with its deliveries.
func (e *export) sendEvents(ctx context.Context, list []exportedEvent) error {
	var ids []id
	for _, x := range list {
		ids = append(ids, x.deliveries...)
	}
	var some map[string]store.Record // of the next deliveries, by ID
	for _, x := range list {
		if err := e.send(store.Record{Event: x.event, TriggeredAt: x.triggeredAt, Deliveries: x.count}); err != nil {
			return err
		}
		for _, u := range x.deliveries {
			if len(some) == 0 {
				var err error
				if some, err = e.deliveries(ctx, ids[:min(exportedDeliveries, len(ids))]); err != nil {
					return err
				}
			}
			ids = ids[1:]
			name := unpackID(u)
			r, found := some[name]
			if !found {
				continue // It was purged.
			}
			delete(some, name)
			if err := e.send(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// deliveries reads deliveries with their attempts.
func (e *export) deliveries(ctx context.Context, ids []id) (map[string]store.Record, error) {
	rows, err := e.tx.Query(ctx, e.sql(deliveries.ofIDs()), ids)
	if err != nil {
		return nil, err
	}
	list, err := pgx.CollectRows(rows, scanDelivery)
	if err != nil {
		return nil, err
	}
	records := make(map[string]store.Record, len(list))
	for i := range list {
		records[list[i].ID] = store.Record{Delivery: &list[i]}
	}
	if rows, err = e.tx.Query(ctx, e.sql(attempts.ofIDs()+" ORDER BY d.number"), ids); err != nil {
		return nil, err
	}
	made, err := pgx.CollectRows(rows, scanAttempt)
	if err != nil {
		return nil, err
	}
	for _, a := range made {
		r, found := records[a.DeliveryID]
		if !found {
			return nil, fmt.Errorf("postgres: hooks_attempts: delivery %s is missing", a.DeliveryID)
		}
		r.Attempts = append(r.Attempts, a)
		records[a.DeliveryID] = r
	}
	return records, nil
}
