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

// A writer runs the operations of all callers in transactions, one transaction after
// another. Operations that arrive while one commits share the next, so that the cost of
// a commit is divided among more operations when there are more. A single operation
// does not wait for others.
//
// The writer has no goroutine of its own. The first caller becomes the leader: it runs
// its own operation and all others that wait in one transaction, tells their callers
// the results, and makes the caller of the next operation in the queue the leader.
//
// Some operations need not wait for the disk (see unsynced), and the leader may wait for
// callers that are about to come (see gathering).
type writer struct {
	db          *sql.DB
	shared      bool // The connections are the application's, too.
	synchronous Synchronous
	busyTimeout time.Duration
	check       func() error // before each commit
	committed   func(int)    // called after a transaction with the number of its operations

	mu      sync.Mutex
	queue   []*operation
	leading bool // There is a leader.
	closed  bool
	stats   WriterStats
	// unsynced and gathering save commits; see there.
	unsynced  unsynced
	gathering gathering
	// idle is signalled when there may be nothing more to do.
	idle sync.Cond

	// What follows is the leader's.
	conn  *conn
	cache *cache
}

// An operation is what a caller does in a transaction.
type operation struct {
	ctx         context.Context
	run         func(*tx) error
	relaxed     bool // The caller need not wait for the disk.
	settlements int  // how many it has
	since       time.Time
	notices     chan notice
	err         error // the result, once isDone was sent
}

// A notice is sent to the caller of an operation, which waits.
type notice int

const (
	isDone       notice = iota // The operation has its result.
	becomeLeader               // The caller is the leader from now on.
)

// do runs an operation in a transaction, together with others, and returns when it is
// committed. run may be called several times; all but the last are in transactions that
// were rolled back. If run refuses the operation (see refused), it must have written
// nothing, and the others are committed. Any other error rolls the transaction back.
func (w *writer) do(ctx context.Context, run func(*tx) error) error {
	return w.add(&operation{ctx: ctx, run: run, notices: make(chan notice, 1), since: time.Now()})
}

// doRelaxed is do for an operation with so many settlements that need not wait for the disk.
func (w *writer) doRelaxed(ctx context.Context, settlements int, run func(*tx) error) error {
	return w.add(&operation{ctx: ctx, run: run, notices: make(chan notice, 1), since: time.Now(), relaxed: true, settlements: settlements})
}

// add puts an operation into the queue. Its caller leads if there is no leader.
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
	w.gathering.note(o)
	if w.leading {
		w.mu.Unlock()
		return w.wait(o)
	}
	w.leading = true
	w.mu.Unlock()
	return w.lead(o)
}

// wait waits for the result of the operation, and leads if its caller becomes the leader.
// If the context ends while the operation is still in the queue, it is removed.
func (w *writer) wait(o *operation) error {
	select {
	case n := <-o.notices:
		return w.follow(n, o)
	case <-o.ctx.Done():
		if w.withdraw(o) {
			return o.ctx.Err()
		}
		return w.follow(<-o.notices, o)
	}
}

// follow does what the notice says.
func (w *writer) follow(n notice, o *operation) error {
	if n == becomeLeader {
		return w.lead(o) // If its own context has ended, only the other operations are run.
	}
	return o.err
}

// withdraw removes an operation from the queue. It returns false if the operation is no
// longer there, or if its caller has become the leader.
func (w *writer) withdraw(o *operation) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.Index(w.queue, o)
	if i < 0 || len(o.notices) > 0 {
		return false
	}
	w.queue = slices.Delete(w.queue, i, i+1)
	w.idle.Broadcast()
	return true
}

// lead runs the operations that wait, its own among them, and elects the next leader.
func (w *writer) lead(own *operation) error {
	start := time.Now()
	var batch []*operation
	panicked := true
	defer func() {
		for _, o := range batch {
			if panicked {
				o.err = errPanicked
			}
			if o != own {
				o.notices <- isDone
			}
		}
		w.electNext()
	}()
	w.gather()
	synced, settlements := w.mustSync()
	err := w.begin(own.ctx, synced, func(c *conn) {
		batch = w.dequeue(func(o *operation) bool {
			settlements += o.settlements
			return synced || o == own || o.relaxed && settlements <= maxUnsyncedSettlements
		})
		w.runAll(c, synced, batch)
	})
	if err != nil {
		batch = w.dequeue(func(o *operation) bool {
			// A context that has ended concerns its own caller alone.
			return o == own || own.ctx.Err() == nil && !o.since.After(start)
		})
		for _, o := range batch {
			o.err = fmt.Errorf("sqlite: %w", plain(err))
		}
	}
	panicked = false
	return own.err
}

var errPanicked = errors.New("sqlite: the operation, or another in its transaction, panicked")

var (
	stmtBeginImmediate = newStatement("BEGIN IMMEDIATE")
	stmtCommit         = newStatement("COMMIT")
	stmtRollback       = newStatement("ROLLBACK")
	// stmtDataVersion returns a number that changes when another connection has written.
	stmtDataVersion = newStatement("PRAGMA data_version")
)

// begin begins a transaction and calls use, which ends it. While it waits for another
// writer, it occupies no connection, because the application's handle may have few.
func (w *writer) begin(ctx context.Context, synced bool, use func(*conn)) error {
	return poll(ctx, w.busyTimeout, func() error {
		begun := false
		err := w.connect(ctx, func(c *conn) error {
			if err := c.setSync(synced); err != nil {
				return err
			}
			if err := run(c, stmtBeginImmediate); err != nil {
				return err
			}
			begun = true
			use(c)
			return nil
		})
		if begun { // What failed after that concerns the connection alone, which is dropped.
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
			// The application may close the connection at any time, so no
			// statements of ours may stay on it.
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

// runAll runs operations in the transaction that was begun. If it fails and there are
// several, each is run in a transaction of its own, because one of them may be the
// reason.
func (w *writer) runAll(c *conn, synced bool, batch []*operation) {
	start := time.Now()
	err := w.transact(c, synced, batch)
	if err != nil && len(batch) > 1 {
		for _, o := range batch {
			err := poll(o.ctx, w.busyTimeout, func() error { return run(c, stmtBeginImmediate) })
			if err == nil {
				err = w.transact(c, synced, []*operation{o})
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
	w.stats.Operations += int64(len(batch))
	w.stats.Busy += end.Sub(start)
	w.gathering.expect(batch, w.queue, end.Sub(start))
}

// fail makes err the result of the operation, unless it is nil.
func (o *operation) fail(err error) {
	if err != nil {
		o.err = fmt.Errorf("sqlite: %w", plain(err))
	}
}

// transact runs operations and commits, which syncs the file if the connection is set so
// (synced). An error means that all was rolled back.
func (w *writer) transact(c *conn, synced bool, batch []*operation) error {
	var before, after int64
	t, err := w.transaction(c)
	if err == nil {
		before, err = c.changes()
	}
	for _, o := range batch {
		if err != nil {
			break
		}
		if o.err = o.ctx.Err(); o.err == nil {
			o.err = o.run(t)
			if damage := c.damaged(); damage != nil { // Its result may come from the damage.
				o.err = damage
			}
			if o.err != nil && !refused(o.err) {
				err = o.err
			}
		}
	}
	if err == nil {
		err = w.check() // before anything is written
	}
	if err == nil {
		after, err = c.changes()
	}
	if err == nil {
		err = w.commit(c)
	}
	if err == nil {
		w.noteCommit(after > before, synced, batch)
	} else {
		w.cache = nil
		if !c.AutoCommit() { // Some failures have rolled back already.
			err = errors.Join(err, run(c, stmtRollback))
		}
	}
	return err
}

// commit commits the transaction. Without a write-ahead log, it waits for readers.
func (w *writer) commit(c *conn) error {
	start := time.Now()
	err := poll(context.Background(), w.busyTimeout, func() error { return run(c, stmtCommit) })
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stats.Commits += time.Since(start)
	return err
}

// transaction returns the transaction that was begun, with what is known of the
// data since the last one, if nobody else has written in between.
func (w *writer) transaction(c *conn) (*tx, error) {
	version := int64(0)
	if !w.shared {
		r, err := first(c, stmtDataVersion)
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

// dequeue removes the chosen operations from the queue and returns them.
func (w *writer) dequeue(chosen func(*operation) bool) (removed []*operation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue = slices.DeleteFunc(w.queue, func(o *operation) bool {
		if !chosen(o) {
			return false
		}
		removed = append(removed, o)
		return true
	})
	return removed
}

// electNext makes the caller of the first operation in the queue the leader.
func (w *writer) electNext() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) > 0 {
		w.queue[0].notices <- becomeLeader
		return
	}
	w.leading = false
	w.idle.Broadcast()
}

func (w *writer) isClosed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closed
}

// close waits until all operations have ended. Later ones fail with ErrClosed.
func (w *writer) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for w.leading || len(w.queue) > 0 {
		w.idle.Wait()
	}
	w.disconnect()
}
