//go:build cgo

package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/mattn/go-sqlite3"
)

// A writer has one transaction after another carry out the operations of all
// callers: what comes while one commits goes into the next together, so that
// the cost of a commit is shared the more, the more there is to do. When there
// is nothing else to do, nobody waits.
//
// It has no goroutine. The first caller to come is the leader: it carries out
// its own operation and all others that wait, answers them, and makes the first
// that has come meanwhile the next leader.
//
// Patient operations, which nobody waits for, let so much time pass since the
// last commit that they alone keep the database busy for a fifth of the time at
// most. Impatient ones take them along.
type writer struct {
	db          *sql.DB
	shared      bool // The connections are the application's, too.
	synchronous Synchronous
	busyTimeout time.Duration
	check       func() error // before each commit
	committed   func(int)    // is told how many operations were

	mu      sync.Mutex
	queue   []*operation
	leading bool // Somebody is the leader.
	closed  bool
	// restAt is when patient operations may have a transaction of their own.
	restAt time.Time
	// idle is signalled when there may be nothing more to do.
	idle sync.Cond

	// What follows is the leader's.
	conn  *conn
	cache *cache
}

const (
	// restFactor is the rest after a commit in times of its duration, at most
	// maxRest.
	restFactor = 4
	maxRest    = 20 * time.Millisecond
)

// An operation is what a caller wants done in a transaction.
type operation struct {
	ctx     context.Context
	run     func(*tx) error
	patient bool
	since   time.Time
	// woken receives true when the operation is done, with err, and false
	// when its caller is to be the leader.
	woken chan bool
	err   error
}

// do carries out an operation in a transaction with others and returns when it
// is committed. run may be called several times, each time but for the last in
// a transaction that was rolled back. An error of run that the store answers
// with (see refused) concerns this operation alone, which must have written
// nothing; another rolls the transaction back.
func (w *writer) do(ctx context.Context, run func(*tx) error) error {
	return w.add(&operation{ctx: ctx, run: run, woken: make(chan bool, 1), since: time.Now()})
}

// doPatiently is do for what nobody waits for.
func (w *writer) doPatiently(ctx context.Context, run func(*tx) error) error {
	return w.add(&operation{ctx: ctx, run: run, woken: make(chan bool, 1), since: time.Now(), patient: true})
}

func (w *writer) add(o *operation) error {
	if err := o.ctx.Err(); err != nil {
		return err
	}
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return ErrClosed
	}
	w.queue = append(w.queue, o)
	rest := time.Until(w.restAt)
	if o.patient = o.patient && rest > 0; o.patient || w.leading {
		w.mu.Unlock()
		return w.wait(o, rest)
	}
	w.leading = true
	w.mu.Unlock()
	return w.lead(o)
}

// wait waits until the operation is done, its context ends before it was taken
// up, or its caller is to be the leader.
func (w *writer) wait(o *operation, rest time.Duration) error {
	var rested <-chan time.Time
	if o.patient {
		timer := time.NewTimer(rest)
		defer timer.Stop()
		rested = timer.C
	}
	for {
		select {
		case done := <-o.woken:
			if done {
				return o.err
			}
			return w.lead(o)
		case <-rested:
			if w.loses(o) {
				return w.lead(o)
			}
		case <-o.ctx.Done():
			if w.withdraw(o) {
				return o.ctx.Err()
			}
			if done := <-o.woken; done {
				return o.err
			}
			// It was made the leader and will find that its own operation
			// is void.
			return w.lead(o)
		}
	}
}

// loses ends the patience of an operation. It reports whether its caller is the
// leader now.
func (w *writer) loses(o *operation) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	o.patient = false
	if w.leading || !slices.Contains(w.queue, o) {
		return false
	}
	w.leading = true
	return true
}

// withdraw takes an operation back, if it is waiting and its caller is not the
// leader.
func (w *writer) withdraw(o *operation) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.Index(w.queue, o)
	if i < 0 || len(o.woken) > 0 {
		return false
	}
	w.queue = slices.Delete(w.queue, i, i+1)
	w.idle.Broadcast()
	return true
}

// lead carries out the operations that wait, its own among them, and passes the
// lead on.
func (w *writer) lead(own *operation) error {
	start := time.Now()
	var batch []*operation
	answered := false
	defer func() {
		w.passOn()
		for _, o := range batch {
			if !answered { // by a panic
				o.err = errPanicked
			}
			if o != own {
				o.woken <- true
			}
		}
	}()
	err := w.begin(own.ctx, func(c *conn) {
		batch = w.take(func(*operation) bool { return true })
		w.carryOut(c, batch)
	})
	if err != nil {
		batch = w.take(func(o *operation) bool {
			// A context that has ended concerns its own caller alone.
			return o == own || own.ctx.Err() == nil && !o.since.After(start)
		})
		for _, o := range batch {
			o.err = fmt.Errorf("sqlite: %w", plain(err))
		}
	}
	answered = true
	return own.err
}

var errPanicked = errors.New("sqlite: the operation, or another in its transaction, panicked")

var (
	beginImmediate = newStatement("BEGIN IMMEDIATE")
	commit         = newStatement("COMMIT")
	rollback       = newStatement("ROLLBACK")
	dataVersion    = newStatement("PRAGMA data_version")
)

// begin begins a transaction and calls use, which ends it. While another writer
// has the database, no connection is held: an application's handle may have none to
// spare.
func (w *writer) begin(ctx context.Context, use func(*conn)) error {
	return poll(ctx, w.busyTimeout, func() error {
		begun := false
		err := w.connect(ctx, func(c *conn) error {
			if err := run(c, beginImmediate); err != nil {
				return err
			}
			begun = true
			use(c)
			return nil
		})
		if begun { // What went wrong since concerns the connection alone, which is dropped.
			return nil
		}
		return err
	})
}

// connect calls use with a connection.
func (w *writer) connect(ctx context.Context, use func(*conn) error) error {
	pooled, err := w.db.Conn(ctx)
	if err != nil {
		return err
	}
	err = pooled.Raw(func(driverConn any) error {
		c, ok := driverConn.(*sqlite3.SQLiteConn)
		if !ok {
			return fmt.Errorf("the database handle is not one of github.com/mattn/go-sqlite3: its connections are %T", driverConn)
		}
		if w.conn == nil || w.conn.SQLiteConn != c {
			w.disconnect()
			w.conn = &conn{SQLiteConn: c}
		}
		if w.shared {
			// The application may close the connection whenever it likes, so
			// nothing may be left on it.
			defer w.disconnect()
			return w.conn.borrow(w.synchronous, func() error { return use(w.conn) })
		}
		return use(w.conn)
	})
	return errors.Join(err, pooled.Close())
}

// disconnect frees what belongs to the connection used last.
func (w *writer) disconnect() {
	if w.conn != nil {
		w.conn.close()
	}
	w.conn, w.cache = nil, nil
}

// carryOut carries out operations in the transaction that was begun. If it
// fails and there are several, each gets another of its own, for one of them may
// be to blame.
func (w *writer) carryOut(c *conn, batch []*operation) {
	start := time.Now()
	err := w.transact(c, batch)
	if err != nil && len(batch) > 1 {
		for _, o := range batch {
			err := poll(o.ctx, w.busyTimeout, func() error { return run(c, beginImmediate) })
			if err == nil {
				err = w.transact(c, []*operation{o})
			}
			o.fail(err)
		}
		err = nil
	}
	for _, o := range batch {
		o.fail(err)
	}
	w.committed(len(batch))
	end := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.restAt = end.Add(min(restFactor*end.Sub(start), maxRest))
}

// fail ends the operation with err, if it is one.
func (o *operation) fail(err error) {
	if err != nil {
		o.err = fmt.Errorf("sqlite: %w", plain(err))
	}
}

// transact carries out operations and commits. An error means that it was all
// rolled back.
func (w *writer) transact(c *conn, batch []*operation) error {
	t, err := w.transaction(c)
	for _, o := range batch {
		if err != nil {
			break
		}
		if o.err = o.ctx.Err(); o.err == nil {
			o.err = o.run(t)
			if damage := c.damaged(); damage != nil { // A response that came of it is none.
				o.err = damage
			}
			if o.err != nil && !refused(o.err) {
				err = o.err
			}
		}
	}
	if err == nil {
		err = w.check() // What is found out now is not written.
	}
	if err == nil { // Without a write-ahead log, a commit waits for readers.
		err = poll(context.Background(), w.busyTimeout, func() error { return run(c, commit) })
	}
	if err != nil {
		w.cache = nil
		if !c.AutoCommit() { // Some failures have rolled back already.
			err = errors.Join(err, run(c, rollback))
		}
	}
	return err
}

// transaction returns the transaction that was begun, with what is known of the
// data since the last one, if nobody else has written in between.
func (w *writer) transaction(c *conn) (*tx, error) {
	version := int64(0)
	if !w.shared {
		r, err := first(c, dataVersion)
		if err != nil {
			return nil, err
		}
		version = r.int(0)
	}
	if w.shared || w.cache == nil || w.cache.version != version {
		w.cache = newCache(version)
	}
	return &tx{session: c, cache: w.cache}, nil
}

// take takes up those of the operations that wait.
func (w *writer) take(which func(*operation) bool) (taken []*operation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue = slices.DeleteFunc(w.queue, func(o *operation) bool {
		takes := which(o)
		if takes {
			taken = append(taken, o)
		}
		return takes
	})
	return taken
}

// passOn makes the first that cannot wait the leader.
func (w *writer) passOn() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range w.queue {
		if !o.patient {
			o.woken <- false
			return
		}
	}
	w.leading = false
	w.idle.Broadcast()
}

func (w *writer) isClosed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closed
}

// close waits until nobody writes, and has all that comes later fail.
func (w *writer) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for w.leading || len(w.queue) > 0 {
		w.idle.Wait()
	}
	w.disconnect()
}
