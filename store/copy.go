package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

// A Copyable is a Store that [Copy] can read and write. The comments of the methods are a
// contract as those of [hooks.Store] are, and package storetest checks them as well. Like all
// methods of a store, these may be called concurrently; but while a store is copied, nothing
// else may write to it or to the other one.
type Copyable interface {
	hooks.Store
	// Inventory counts what the store has.
	Inventory(ctx context.Context) (Inventory, error)
	// Export returns all that the store has: first the hooks, in the order of their
	// revisions, then the events, in the order in which they were enqueued. Each event is
	// followed by its deliveries, in that order too, also those of deleted hooks. That a
	// hook was deleted is left out.
	//
	// An error ends the records: that of ctx if it has ended, or one that names what is
	// damaged. A store that is not in memory reads record after record, so that it holds
	// few of them. What a record refers to may be shared with the store and must not be
	// changed.
	Export(ctx context.Context) iter.Seq2[Record, error]
	// Import stores records as they are, all or none. They are those that Export of another
	// store returns, in the same order, and may be divided among calls anywhere. The caller
	// may begin again with the first record, or with any other that was imported before.
	//
	// A record that the store has already is skipped: a hook or an event of the same tenant
	// and ID, or a delivery, with its attempts, of the same ID. Each hook that is stored
	// gets a revision above all earlier ones. What was written outlives a loss of power as
	// it does after Enqueue.
	//
	// An error refuses a delivery whose event was not imported before it. Another refuses
	// what the store would drop at once to keep within its bounds.
	//
	// What the records refer to may be retained: the caller must not change it.
	Import(ctx context.Context, records []Record) error
}

// A Record is one thing that a store has: its Hook, Event or Delivery is set.
type Record struct {
	// Hook is as it is stored, with Version, Health and times.
	Hook *hooks.Hook

	Event *hooks.Event
	// TriggeredAt is when the event was enqueued.
	TriggeredAt time.Time
	// Deliveries is how many deliveries the event has. Their records follow.
	Deliveries int

	// Delivery is as it is stored, with its lease.
	Delivery *hooks.Delivery
	// Attempts are those of the delivery, by their Number.
	Attempts []hooks.Attempt
}

// size returns about how many bytes the record has, without what is always small.
func (r *Record) size() (n int) {
	if r.Hook != nil {
		n += len(r.Hook.Description) + len(r.Hook.Filter) + len(r.Hook.Settings) + len(r.Hook.Sealed)
	}
	if r.Event != nil {
		n += len(r.Event.Data)
	}
	for i := range r.Attempts {
		response := &r.Attempts[i].Response
		n += len(response.Body)
		for name, values := range response.Header {
			n += len(name)
			for _, value := range values {
				n += len(value)
			}
		}
	}
	return n
}

// An import has at most maxRecords records, and ends with the one that reaches maxBytes. It is
// a transaction in most stores: larger ones are hardly faster.
const (
	maxRecords = 2000
	maxBytes   = 4 << 20
)

// ErrDiffers says that the target of a copy does not have what the source has, or has more.
var ErrDiffers = errors.New("the target does not have what the source has")

// Copy copies all that one store has into another, which then behaves as the first one does:
// hooks with their health, events, deliveries in every state with their leases, and the log.
// Only revisions are new, traces of deleted hooks are left out, and turns begin anew. Both
// stores must be [Copyable]; those of this module are.
//
// The copy is offline: from the first call of Copy until one has returned nil, no Manager may
// run on either store, and nothing else may write to them. If Copy fails or its process is
// killed, call it again with the same stores: it goes on, and doubles nothing. Until it has
// returned nil, the target is not complete and must not be used. If the source was written to
// between two calls, start again with an empty target.
//
// At the end, Copy counts what both stores have. An error that wraps [ErrDiffers] names each
// difference with both numbers. There is one before anything is copied if the target has more
// than the source, as it does if it was used already. Stores that are not Copyable, or over
// the same database, are refused with a [hooks.InvalidError].
//
// Copy holds at most some MiB of records in memory, or one record if that has more.
func Copy(ctx context.Context, from, to hooks.Store) error {
	source, ok := from.(Copyable)
	if !ok {
		return notCopyable("from")
	}
	target, ok := to.(Copyable)
	if !ok {
		return notCopyable("to")
	}
	if source.StoreID() == target.StoreID() {
		return &hooks.InvalidError{Field: "to", Reason: "must be another database than from"}
	}
	if err := compare(ctx, source, target, "nothing was copied: ", " instead of at most ", moreThan); err != nil {
		return err
	}
	if err := transfer(ctx, source, target); err != nil {
		return err
	}
	return compare(ctx, source, target, "", " instead of ", notEqual)
}

func notCopyable(field string) error {
	return &hooks.InvalidError{Field: field, Reason: "must be a store that can be copied, a store.Copyable"}
}

// transfer imports all that the source exports.
func transfer(ctx context.Context, source, target Copyable) error {
	var batch []Record
	size := 0
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		if err := target.Import(ctx, batch); err != nil {
			return fmt.Errorf("copy: write to the target: %w", err)
		}
		clear(batch)
		batch, size = batch[:0], 0
		return nil
	}
	for r, err := range source.Export(ctx) {
		if err != nil {
			return fmt.Errorf("copy: read the source: %w", err)
		}
		batch = append(batch, r)
		if size += r.size(); len(batch) < maxRecords && size < maxBytes {
			continue
		}
		if err := flush(); err != nil {
			return err
		}
	}
	return flush()
}
