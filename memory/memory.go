// Package memory keeps hooks, events, deliveries and attempts in memory: for
// unit tests, and for applications that can afford to lose them when they exit.
//
// A Store follows the whole contract of [hooks.Store] but for durability, and
// it is bounded: see [Options].
package memory

import (
	"cmp"
	"context"
	"crypto/rand"
	"sync"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/internal/heap"
	"github.com/seed-2c6e3a5a/hooks/internal/list"
	"github.com/seed-2c6e3a5a/hooks/store"
)

// Options set a Store up. The zero value works.
type Options struct {
	// MaxEnded bounds how many ended deliveries are kept. When there are
	// more, those that ended first are dropped with their attempts, and an
	// event with its last delivery. Deliveries that hold an ordering key stay.
	// The same bound applies to events that made no delivery. An event ID is
	// refused as a duplicate for as long as its event is kept. Default, also
	// of a negative value: 10,000.
	MaxEnded int
	// MaxEndedBytes bounds the memory of the same, in bytes, within a fifth or
	// so: ended deliveries with their attempts, and events all of whose
	// deliveries have ended. What has not ended, or holds an ordering key, is
	// neither counted nor dropped, because nothing that was acknowledged may be
	// lost. The memory of a delivery that has not ended is bounded by its
	// schedule, and by [store.KeepsResponse]. Default, also of a negative value:
	// 64 MiB.
	MaxEndedBytes int
}

// A Store is a [hooks.Store] in memory. It may be used concurrently, also by
// several Managers of one process.
type Store struct {
	id                 string
	maxEnded, maxBytes int

	mu sync.Mutex
	// All that follows is guarded by mu.
	hooks         map[hooks.Ref]*hooks.Hook
	changes       []change
	revision      int64
	lastRevisions map[hooks.Ref]int64 // the revision of a hook's last change
	hookCounts    map[string]int      // the number of hooks, by tenant

	events            map[eventKey]*event
	withoutDeliveries list.List[event] // events without a delivery
	deliveries        map[string]*delivery
	ended             list.List[delivery] // those that are not held, in the order in which they ended
	bytes             int                 // of what is in ended, and of events that have no open deliveries
	queues            map[hooks.Ref]*queue
	tenants           map[string]*tenant // of the queues
	chains            map[chainKey]*chain
	sequence          uint64
	ready             list.List[tenant] // tenants with lanes that had something due at a claim, in the order of their turns
	upcoming          heap.Heap[lane]   // the other lanes, by the time when they have something due
	claims            uint64
	lastClaim         time.Time

	listeners    map[int]func()
	lastListener int
}

var (
	_ store.Copyable = (*Store)(nil)
	_ hooks.Notifier = (*Store)(nil)
)

// New returns an empty Store.
func New(o Options) *Store {
	return &Store{
		id:            rand.Text(),
		maxEnded:      cmp.Or(max(0, o.MaxEnded), 10_000),
		maxBytes:      cmp.Or(max(0, o.MaxEndedBytes), 64<<20),
		hooks:         map[hooks.Ref]*hooks.Hook{},
		lastRevisions: map[hooks.Ref]int64{},
		hookCounts:    map[string]int{},
		events:        map[eventKey]*event{},
		deliveries:    map[string]*delivery{},
		queues:        map[hooks.Ref]*queue{},
		tenants:       map[string]*tenant{},
		chains:        map[chainKey]*chain{},
		ready:         list.New(func(t *tenant) *list.Links[tenant] { return &t.inReady }),
		upcoming: heap.New(
			func(a, b *lane) bool { return a.due.Before(b.due) },
			func(l *lane) *int { return &l.index },
		),
		withoutDeliveries: list.New(func(e *event) *list.Links[event] { return &e.inWithoutDeliveries }),
		ended:             list.New(func(d *delivery) *list.Links[delivery] { return &d.inEnded }),
		listeners:         map[int]func(){},
	}
}

type eventKey struct{ tenant, id string }

// An event is a stored event with its deliveries.
type event struct {
	*hooks.Event
	sequence            uint64 // in the order of triggers, together with deliveries
	triggered           time.Time
	deliveries          []delivery
	remaining           int // of the deliveries, those not dropped
	open                int // of these, those not in Store.ended: they have not ended, or are held
	bytes               int // its part of Store.bytes
	inWithoutDeliveries list.Links[event]
}

// A delivery is a stored delivery, with its links in lists.
type delivery struct {
	hooks.Delivery
	event        *event
	queue        *queue
	sequence     uint64 // in the order of triggers
	due          time.Time
	index        int // in the heap of its lane or chain
	attempts     []*hooks.Attempt
	bytes        int                  // its part of Store.bytes
	inEnded      list.Links[delivery] // in Store.ended
	inQueue      list.Links[delivery] // in queue.all
	inQueueEnded list.Links[delivery] // in queue.ended
}

// Volatile says that the data ends with the process, so that the Manager does not warn about
// secrets that are stored unencrypted.
func (*Store) Volatile() {}

// StoreID implements [hooks.Tx]. Each Store has one of its own.
func (s *Store) StoreID() string { return s.id }

// lock locks the store for a call, unless the context has ended.
func (s *Store) lock(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	return nil
}

// Notify implements [hooks.Notifier].
func (s *Store) Notify(wake func()) (stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastListener++
	id := s.lastListener
	s.listeners[id] = wake
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.listeners, id)
	}
}

// notify calls the listeners, which do not block and may not call the store.
func (s *Store) notify() {
	for _, wake := range s.listeners {
		wake()
	}
}
