package hooks

import (
	"cmp"
	"context"
	"math"
	"time"
)

// A Store keeps hooks, events, deliveries and attempts for a [Manager].
//
// The comments of its methods are the contract; package storetest checks each
// sentence. In general:
//
//   - Every method may be called concurrently, also from several Managers and,
//     unless the store says otherwise, from several processes.
//   - When a method returns nil, what it wrote is durable in the store's sense;
//     when it returns an error, it wrote nothing. It does not retry.
//   - Claim and Settle may promise less, because only [Manager.Run] waits for them:
//     what they wrote outlives the process, but a loss of power may undo the claims
//     and settlements of the last second. Then the deliveries are sent again.
//   - A context that ends before the call commits makes it return the context's
//     error, having written nothing.
//   - The store has no clock: now is given. Times are UTC in whole
//     milliseconds, and come back as they went in.
//   - Values are kept exactly (Data and Settings byte for byte; a nil and an
//     empty slice or map are the same), and neither arguments nor results are
//     shared with later calls, except where a comment says so.
//   - Nothing crosses tenants: a method that takes a tenant neither reads nor
//     changes what belongs to another, nor does its result depend on that.
//
// A store may also be a [Notifier], and a
// [github.com/seed-2c6e3a5a/hooks/store.Copyable]. One whose data ends with the process has a method
// Volatile(), and the Manager then does not warn that secrets are stored unencrypted.
type Store interface {
	// Hooks.

	// CreateHook stores a new hook with the Version that it carries. A hook
	// of the same tenant and ID makes it return [ErrDuplicate]. Otherwise, if
	// limit is positive and the tenant has limit hooks or more, it returns an
	// error that wraps [ErrTooManyHooks]: also of concurrent calls, no more
	// than the limit succeed.
	CreateHook(ctx context.Context, h Hook, limit int) error
	// UpdateHook replaces the hook if the stored Version is h.Version, and
	// stores h.Version+1. It returns [ErrNotFound] when there is no such hook
	// and [ErrConflict] when its Version is another. CreatedAt and Health
	// stay as stored, except that Health is cleared when Disabled goes from
	// true to false.
	UpdateHook(ctx context.Context, h Hook) error
	// DeleteHook removes the hook, or returns [ErrNotFound]. Its deliveries
	// and attempts stay, but a held delivery is held no longer, and the next of
	// its ordering key becomes pending as in Settle.
	DeleteHook(ctx context.Context, ref Ref, now time.Time) error
	// Hooks returns the hooks that match q, those with the latest CreatedAt
	// first and of those the greatest ID.
	Hooks(ctx context.Context, q HookQuery) (Page[Hook], error)
	// HookChanges returns, oldest first, at most limit changes to hooks of
	// all tenants with a revision above after. Each create, update and delete
	// gives the hook a revision above all earlier ones, and a hook appears
	// once, with its last. Once a revision has been returned, no change with a
	// lower one appears. A hook that is damaged does not keep the others from
	// being read. Changes of Health are not changes in this sense. Purge may
	// forget deletions.
	HookChanges(ctx context.Context, after int64, limit int) ([]HookChange, error)

	// Events and their deliveries, until they have ended.

	Tx
	// Claim leases due deliveries to r.Owner until r.Until and returns them
	// with their events. A delivery is due when it is pending and its Due is
	// not after r.Now, or leased and its lease has ended (Until not after
	// r.Now). Each claim adds one to the lease's Token.
	//
	// All deliveries that a claim returns fit into r.Limit, those of one tenant
	// into r.PerTenant or, for a tenant in r.Tenants, into its [Capacity] there.
	// Those of one hook are at most r.PerHook (0: any number) or, for a hook
	// in r.Hooks, at most that many. None is of a hook whose
	// Health.ThrottledUntil is after r.Now. As long as r.Limit has capacity
	// left, a claim skips no due delivery for which its tenant and its hook have
	// capacity.
	//
	// Tenants take turns, within a claim and from one claim to the next: of
	// two that have due deliveries for which there is capacity, neither gets two
	// before the other gets one. Within a tenant its lanes take turns in the
	// same sense: a hook's deliveries waiting for their first attempt (Step 0)
	// are one lane, the others a second. A lane that has become due since the
	// last claim comes after those that have waited; one that is skipped for
	// lack of capacity keeps its turn. Within a lane the earliest Due comes
	// first, and of those the first triggered; for a lease that has ended, the
	// lease's end counts as its Due.
	//
	// next is when to claim again: the earliest time after r.Now at which a
	// delivery becomes due, a lease ends or a throttle ends, in a lane that has
	// nothing due at r.Now. It is zero if there is none. It may be too early,
	// but is never too late.
	//
	// The cost of a claim does not depend on how many deliveries are due, nor
	// on how many hooks and tenants they belong to, except that deliveries
	// without capacity in r.Tenants and r.Hooks may be skipped one by one, and
	// that a lane may cost something once when it has become due. The events of
	// the result may be shared among its elements and with the store: they must
	// not be changed.
	Claim(ctx context.Context, r ClaimRequest) (claimed []Claimed, next time.Time, err error)
	// Settle ends leases: for each settlement whose delivery is leased with
	// that Token, whether or not the lease's time has passed, it stores the
	// new state and the attempt, and applies [Health.After] to the hook, if
	// it still exists. The result has one element for each settlement, in
	// order: LeaseLost is set when the delivery is not leased with that Token,
	// and Err when what is stored of the delivery, or of its hook, is damaged.
	// Nothing of such a settlement is written, and the others are not affected.
	//
	// Storing an attempt drops the response to the one before it, unless
	// [github.com/seed-2c6e3a5a/hooks/store.KeepsResponse] keeps that:
	// Response.Header and Response.Body are cleared, and Response.Dropped is
	// set if there was either. Nothing else of that attempt changes.
	//
	// When a delivery with an ordering key ends without Hold, or its hook does
	// not exist, the earliest triggered blocked one of the same hook and key
	// becomes pending, due now.
	Settle(ctx context.Context, now time.Time, s []Settlement) ([]Settled, error)
	// Redeliver makes an ended delivery pending again, due now, at Step 0,
	// with EndedAt, Held and Reason cleared, and returns it. If it has an
	// ordering key and another delivery of the same hook and key is pending,
	// leased or held, it is blocked instead. [ErrNotFound] when there is no
	// such delivery, [ErrConflict] when it has not ended.
	Redeliver(ctx context.Context, now time.Time, tenant, deliveryID string) (Delivery, error)
	// Cancel ends a blocked, pending or held delivery as cancelled, now and for
	// the given reason, and returns it. If it was not blocked itself, the next of
	// its ordering key becomes pending as in Settle. [ErrNotFound] when there is
	// no such delivery, [ErrConflict] when it is leased or has ended and is not
	// held.
	Cancel(ctx context.Context, now time.Time, tenant, deliveryID, reason string) (Delivery, error)

	// The log of all events, deliveries and attempts.

	// Events returns the events of the tenant with these IDs that exist, in
	// any order.
	Events(ctx context.Context, tenant string, ids []string) ([]Event, error)
	// Deliveries returns the deliveries that match q, those with the latest
	// CreatedAt first and of those the greatest ID.
	Deliveries(ctx context.Context, q LogQuery) (Page[Delivery], error)
	// Attempts returns the attempts that match q, those with the latest
	// StartedAt first, of those the greatest DeliveryID and Number.
	Attempts(ctx context.Context, q LogQuery) (Page[Attempt], error)
	// Stats sums up the deliveries that ended and the attempts that started
	// at since or later and before until, for each of these hooks. A hook
	// without any has zeros in the result.
	Stats(ctx context.Context, tenant string, hookIDs []string, since, until time.Time) (map[string]Stats, error)
	// Purge removes what r says, and returns how many rows it counted, at most
	// r.Limit: deliveries that ended before r.Before and are not held; if
	// r.KeepPerHook is above 0, of the ended deliveries of each hook those that
	// are not held and not among the r.KeepPerHook that ended last; events
	// triggered before r.Before that have no delivery left; traces of hooks
	// deleted before r.Before. A result below r.Limit means that nothing is left
	// to remove.
	//
	// With a delivery go its attempts, and its event if that has no other
	// delivery and was triggered before r.Before, or if the delivery went because
	// of r.KeepPerHook. These need not be counted.
	//
	// A store may wait until a hook has an eighth more than r.KeepPerHook, so
	// that it need not look through the log of a hook for each delivery that
	// ends.
	Purge(ctx context.Context, r PurgeRequest) (int, error)
}

// A Tx records events, in a transaction of the application or of the store's own.
type Tx interface {
	// Enqueue stores events with their deliveries, all or none, in the order
	// given, which is the order of their ordering keys. An event whose ID the
	// tenant has used already (also within the call) makes it return an error
	// that wraps [ErrDuplicate].
	//
	// A delivery comes pending, or leased with Token 1. One with an ordering
	// key comes pending, and is stored as blocked when another of the same
	// hook and key is blocked, pending, leased or held. In a transaction of the
	// application, it may be stored as blocked although there is no other; then the
	// next claim after the commit makes it pending.
	//
	// The event and its byte slices may be retained: the caller must not
	// change them.
	Enqueue(ctx context.Context, now time.Time, entries []Entry) error
	// StoreID identifies the database. All stores over one database, in all
	// processes, and all its transactions have the same ID; other databases have
	// another. It is not empty and never changes.
	StoreID() string
}

// A Notifier is a Store that reports when it has been written to, so that its
// Managers need not poll it often.
type Notifier interface {
	// Notify makes the store call wake soon after deliveries may have become due
	// or hooks may have changed, by whatever process, until stop is called. wake
	// returns at once and does not call the store.
	Notify(wake func()) (stop func())
}

// An Entry is an event and the deliveries that it makes.
type Entry struct {
	Event      *Event
	Deliveries []Delivery
}

// A ClaimRequest says which deliveries a claim may lease; see [Store].
type ClaimRequest struct {
	// Owner gets the leases, which begin at Now and end at Until.
	Owner string
	Now   time.Time
	Until time.Time
	// Limit is the capacity for all deliveries.
	Limit Capacity
	// PerTenant is the capacity for those of each tenant that is not in Tenants.
	// If its Deliveries is 0, any number fits.
	PerTenant Capacity
	Tenants   map[string]Capacity
	// PerHook is the number of deliveries of each hook that is not in Hooks.
	// 0: any number.
	PerHook int
	Hooks   map[Ref]int
}

// TenantCapacity returns the capacity for a tenant.
func (r *ClaimRequest) TenantCapacity(tenant string) Capacity {
	if capacity, ok := r.Tenants[tenant]; ok {
		return capacity
	}
	capacity := r.PerTenant
	capacity.Deliveries = cmp.Or(capacity.Deliveries, math.MaxInt)
	return capacity
}

// HookCapacity returns how many deliveries of a hook fit.
func (r *ClaimRequest) HookCapacity(hook Ref) int {
	if n, ok := r.Hooks[hook]; ok {
		return n
	}
	return cmp.Or(r.PerHook, math.MaxInt)
}

// A Capacity is used up by as many deliveries as it says, or as soon as the data of
// their events has reached as many bytes as it says, so that the last event may exceed
// Bytes. An event counts for each of its deliveries.
type Capacity struct {
	// Deliveries is how many fit. 0: none.
	Deliveries int
	// Bytes is the bound for the data of the events. 0: there is none.
	Bytes int64
}

// Take takes the capacity for a delivery whose event has this data.
func (r *Capacity) Take(data []byte) { r.TakeBytes(len(data)) }

// TakeBytes is Take for so many bytes of data.
func (r *Capacity) TakeBytes(size int) {
	r.Deliveries--
	if r.Bytes == 0 {
		return
	}
	if r.Bytes -= int64(size); r.Bytes <= 0 {
		*r = Capacity{}
	}
}

// A PurgeRequest says what a purge removes; see [Store].
type PurgeRequest struct {
	// Before is the time before which everything is too old. Zero: nothing is.
	Before time.Time
	// KeepPerHook is how many ended deliveries of a hook are kept. 0: any number.
	KeepPerHook int
	// Limit is how many rows one call removes at most, of those that are counted.
	Limit int
}

// Claimed is a leased delivery with its event.
type Claimed struct {
	Delivery Delivery
	Event    *Event
}

// A Settlement says what became of a leased delivery.
type Settlement struct {
	DeliveryID string
	// Token is the one of the lease that ends.
	Token int64
	// State is pending (again), succeeded, dead or cancelled.
	State State
	// Due and Step are those of the next attempt, if State is pending.
	Due  time.Time
	Step int
	// Undecided becomes the delivery's.
	Undecided bool
	// Hold makes a dead delivery hold its ordering key.
	Hold bool
	// Reason becomes the delivery's.
	Reason string
	// Attempt is logged and counted. Nil: none was made. It may be retained:
	// the caller must not change it.
	Attempt *Attempt
	// ThrottleUntil is until when the hook is throttled, because the endpoint said
	// that it is overloaded. Zero: the attempt does not throttle it.
	ThrottleUntil time.Time
}

// After returns the health after a settlement made at now. It is the rule that
// every store applies in Settle: a success clears the health, except for a throttle
// that has not ended; a failed attempt counts and may throttle, unless it was
// interrupted or the filter failed before anything was sent; anything else changes
// nothing.
func (h Health) After(s Settlement, now time.Time) Health {
	switch {
	case s.State == Succeeded:
		if h.ThrottledUntil.After(now) {
			return Health{ThrottledUntil: h.ThrottledUntil}
		}
		return Health{}
	case s.Attempt == nil || s.Attempt.Class == ClassInterrupted || s.Attempt.Class == ClassFilter:
		return h
	}
	h.Failures++
	if h.FailingSince.IsZero() {
		h.FailingSince = now
	}
	if s.ThrottleUntil.After(h.ThrottledUntil) {
		h.ThrottledUntil = s.ThrottleUntil
	}
	return h
}

// Settled is the result of one settlement.
type Settled struct {
	// LeaseLost says that the delivery is not leased with that Token; nothing
	// of the settlement was written.
	LeaseLost bool
	// Err says what is damaged; nothing of the settlement was written. Nil:
	// nothing is.
	Err error
	// Health is the hook's after the settlement.
	Health Health
}

// A HookChange is the last change of one hook.
type HookChange struct {
	Revision int64
	// Deleted says that the hook is gone; Hook then has only its Tenant and ID.
	Deleted bool
	Hook    Hook
	// Err says that the hook is stored, but cannot be read; Hook then has only
	// its Tenant and ID, or not even these.
	Err error
}
