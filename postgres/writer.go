package postgres

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-2c6e3a5a/hooks"
)

// A writer stores the events of all callers. Those that arrive while a transaction is under
// way share the next one, so that the cost of a commit is divided among more events when
// there are more. A single caller does not wait for others.
type writer struct {
	mu      sync.Mutex
	waiting []*enqueuing
	working int // workers
	apart   int // calls that wait for transactions of others
	closed  bool
	idle    sync.Cond // signalled when a worker ends
	// alone is held by the one call that waits for a transaction of others.
	alone sync.Mutex
}

const (
	// maxWriters is how many workers there are: while the transaction of one waits for the
	// disk, that of the other is prepared.
	maxWriters = 2
	// maxShared is how many events share a transaction at most, unless one caller has more,
	// and maxSharedBytes how many bytes of data.
	maxShared      = 1000
	maxSharedBytes = 8 << 20
	// lockWait is how long a worker waits for another transaction that has used one of the
	// event IDs and has not ended.
	lockWait = 50 * time.Millisecond
)

// An enqueuing is a call of Enqueue.
type enqueuing struct {
	ctx     context.Context
	now     time.Time
	entries []hooks.Entry
	bytes   int
	done    chan error
}

// enqueue stores the entries of a call, with those of others.
func (w *writer) enqueue(ctx context.Context, s *Store, now time.Time, entries []hooks.Entry) error {
	call := &enqueuing{ctx: ctx, now: now, entries: entries, done: make(chan error, 1)}
	for i := range entries {
		call.bytes += len(entries[i].Event.Data)
	}
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return ErrClosed
	}
	w.waiting = append(w.waiting, call)
	if w.working < maxWriters {
		w.working++
		go w.work(s)
	}
	w.mu.Unlock()
	select {
	case err := <-call.done:
		return err
	case <-ctx.Done():
		if w.withdraw(call) {
			return ctx.Err()
		}
		return <-call.done // It is too late for the context to end.
	}
}

// withdraw removes a call that waits. It returns false if the call waits no longer.
func (w *writer) withdraw(call *enqueuing) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, waiting := range w.waiting {
		if waiting == call {
			w.waiting = append(w.waiting[:i], w.waiting[i+1:]...)
			return true
		}
	}
	return false
}

// work stores what waits until nothing does.
func (w *writer) work(s *Store) {
	for {
		calls := w.next()
		if len(calls) == 0 {
			return
		}
		s.storeTogether(calls)
	}
}

// next removes calls that wait, up to the bounds of a transaction. If it returns none, the
// worker has ended.
func (w *writer) next() (calls []*enqueuing) {
	w.mu.Lock()
	defer w.mu.Unlock()
	events, bytes := 0, 0
	for _, call := range w.waiting {
		events, bytes = events+len(call.entries), bytes+call.bytes
		if len(calls) > 0 && (events > maxShared || bytes > maxSharedBytes) {
			break
		}
		calls = append(calls, call)
	}
	w.waiting = w.waiting[len(calls):]
	if len(w.waiting) == 0 {
		w.waiting = nil
	}
	if len(calls) == 0 {
		w.working--
		w.idle.Broadcast()
	}
	return calls
}

// begin calls work in a goroutine that stop waits for.
func (w *writer) begin(work func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.apart++
	go func() {
		work()
		w.mu.Lock()
		defer w.mu.Unlock()
		w.apart--
		w.idle.Broadcast()
	}()
}

// stop waits until nothing is under way. Later calls fail.
func (w *writer) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.idle.L = &w.mu
	w.closed = true
	for w.working > 0 || w.apart > 0 || len(w.waiting) > 0 {
		w.idle.Wait()
	}
}

// storeTogether stores calls in one transaction. If an event of one is a duplicate, the
// others are tried again without it. If they cannot be stored together, each is tried by
// itself. One that has to wait for another transaction does not hold up the others.
func (s *Store) storeTogether(calls []*enqueuing) {
	for len(calls) > 0 {
		err := s.store(calls, lockWait)
		rest, found := calls, false
		if hasCode(err, uniqueViolation) {
			rest, found = s.refuseDuplicates(calls)
		}
		switch {
		case found:
			calls = rest
			continue
		case len(calls) > 1 && isRefusal(err):
			for _, call := range calls {
				s.storeTogether([]*enqueuing{call})
			}
		case hasCode(err, lockNotAvailable):
			s.writer.begin(func() { s.storeAlone(calls[0]) })
		default: // If the connection was lost, all may have been stored.
			for _, call := range calls {
				call.done <- s.readFailed(call.ctx, err)
			}
		}
		return
	}
}

// storeAlone stores a call that waits for another transaction. Only one such call at a time
// has a connection.
func (s *Store) storeAlone(call *enqueuing) {
	s.writer.alone.Lock()
	defer s.writer.alone.Unlock()
	err := s.store([]*enqueuing{call}, patience(call.ctx))
	if hasCode(err, uniqueViolation) {
		if _, found := s.refuseDuplicates([]*enqueuing{call}); found {
			return
		}
	}
	call.done <- s.readFailed(call.ctx, err)
}

// refuseDuplicates answers the calls of which an event is stored already, and those that
// repeat an event of an earlier call, and returns the rest. It reports whether there were any.
func (s *Store) refuseDuplicates(calls []*enqueuing) (rest []*enqueuing, found bool) {
	var tenants, ids []string
	for _, call := range calls {
		for _, entry := range call.entries {
			tenants, ids = append(tenants, entry.Event.Tenant), append(ids, entry.Event.ID)
		}
	}
	seen, err := s.storedEvents(s.ctx, tenants, ids)
	if err != nil {
		return calls, false
	}
next:
	for _, call := range calls {
		for _, entry := range call.entries {
			if seen[hooks.Ref{Tenant: entry.Event.Tenant, ID: entry.Event.ID}] {
				call.done <- duplicate(entry.Event)
				found = true
				continue next
			}
		}
		for _, entry := range call.entries {
			seen[hooks.Ref{Tenant: entry.Event.Tenant, ID: entry.Event.ID}] = true
		}
		rest = append(rest, call)
	}
	return rest, found
}

// store stores calls in one transaction, which waits so long for others.
func (s *Store) store(calls []*enqueuing, wait time.Duration) error {
	if len(calls) == 1 && calls[0].ctx.Err() != nil {
		return calls[0].ctx.Err()
	}
	var p parcel
	for _, call := range calls {
		if err := p.add(s, call.now, call.entries, false); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), longest(calls))
	defer cancel()
	err := s.send(ctx, func(b *pgx.Batch) {
		b.Queue("SELECT set_config('lock_timeout', $1::text, true)", fmt.Sprintf("%dms", wait.Milliseconds()))
		b.Queue(s.sql(sqlEnqueue), p.args(s.process)...)
		s.queueRelease(b, newKeySet(p.blocked), calls[0].now, true)
	})
	if err != nil {
		s.uncertain(err)
		return err
	}
	p.stored(s)
	return nil
}

// patience is how long a caller can wait for a lock or a connection, which its context does
// not interrupt.
func patience(ctx context.Context) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return min(max(time.Until(deadline), time.Millisecond), commitTimeout)
	}
	return commitTimeout
}

// longest is how long any of the callers can wait for a connection.
func longest(calls []*enqueuing) (wait time.Duration) {
	for _, call := range calls {
		wait = max(wait, patience(call.ctx))
	}
	return wait
}

// uncertain notes that a write has failed in a way that leaves its outcome unknown.
func (s *Store) uncertain(err error) {
	if err != nil && !isRefusal(err) {
		s.claimer.news.unknown()
	}
}
