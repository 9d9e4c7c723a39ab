//go:build cgo

package sqlite

import (
	"context"
	"database/sql"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Checkpoints copy what was committed from the write-ahead log to the database file, so that
// the log can start over. They run in a goroutine of their own, because otherwise every
// thousandth commit or so would take as long as all the others. The writer makes a checkpoint
// itself if these do not keep up.
//
// While another connection reads for a long time, the log cannot start over, and grows.
// Afterwards its file is truncated: by the writer when it starts over (PRAGMA
// journal_size_limit), or here if nothing is written.
//
// The log also keeps what was overwritten or deleted in the database. After a hook was, the
// log is emptied, because it may hold the hook's secrets.
type checkpoints struct {
	db      *sql.DB
	file    databaseFile
	log     string // its file
	pending int    // operations since the last, of the leader
	wanted  chan struct{}
	// watched says that the file will be looked at, written asks for it.
	watched atomic.Bool
	written chan struct{}
	// wiping says that the log is to be emptied, however long it is.
	wiping  atomic.Bool
	closed  chan struct{}
	stopped sync.WaitGroup
	once    sync.Once
}

const (
	// operationsPerCheckpoint leaves about a thousand pages to a checkpoint.
	operationsPerCheckpoint = 256
	// pagesPerCheckpoint is how long the log is when the writer makes one.
	pagesPerCheckpoint = 8192
	// maxLog is how long the file of the log may stay, in bytes: longer than
	// it becomes while nobody reads for long.
	maxLog = 40 << 20
	// lookAfter is how long after a commit to look at the file.
	lookAfter = 5 * time.Second
)

func newCheckpoints(db *sql.DB, file databaseFile) *checkpoints {
	c := &checkpoints{
		db: db, file: file, log: file.path + "-wal",
		wanted: make(chan struct{}, 1), written: make(chan struct{}, 1), closed: make(chan struct{}),
	}
	c.wipe() // A process that died may not have done it.
	c.stopped.Go(c.run)
	return c
}

// run makes checkpoints when the writer asks for them, and shortens the log.
func (c *checkpoints) run() {
	look := time.NewTimer(lookAfter)
	defer look.Stop()
	for {
		select {
		case <-c.closed:
			// Others may have the file open still, so that the log stays.
			c.checkpoint("TRUNCATE")
			return
		case <-c.wanted:
			c.checkpoint("PASSIVE")
		case <-c.written:
			look.Reset(lookAfter)
		case <-look.C:
			c.watched.Store(false)
			if !c.shorten() {
				look.Reset(lookAfter)
			}
		}
	}
}

// shorten empties the log if that was requested or its file is too long. It reports whether
// nothing is left to do.
func (c *checkpoints) shorten() bool {
	wiping := c.wiping.Swap(false)
	if !wiping && !c.tooLong() {
		return true
	}
	// First without the lock that keeps writers out, so that the second, which
	// takes it, has nothing left to copy.
	done := c.checkpoint("PASSIVE") && c.checkpoint("TRUNCATE")
	if wiping && !done {
		c.wiping.Store(true)
	}
	return done && !c.tooLong()
}

// tooLong reports whether the file of the log is longer than it should stay.
func (c *checkpoints) tooLong() bool {
	info, err := os.Stat(c.log)
	return err == nil && info.Size() > maxLog
}

// checkpoint copies the log, and reports whether all of it was copied. A reader or another
// process may prevent that; then the next checkpoint copies the rest. Nothing is copied if
// another file has taken the place of the database.
func (c *checkpoints) checkpoint(mode string) bool {
	if c.file.check() != nil {
		return false
	}
	var busy, pages, copied int
	err := c.db.QueryRowContext(context.Background(), "PRAGMA wal_checkpoint("+mode+")").Scan(&busy, &pages, &copied)
	return err == nil && busy == 0 && copied == pages
}

// committed counts the operations of a commit.
func (c *checkpoints) committed(operations int) {
	if c.pending += operations; c.pending >= operationsPerCheckpoint {
		c.pending = 0
		signal(c.wanted)
	}
	c.watch()
}

// wipe makes the write-ahead log be emptied soon.
func (c *checkpoints) wipe() {
	c.wiping.Store(true)
	c.watch()
}

// watch makes the size of the log be checked soon.
func (c *checkpoints) watch() {
	if !c.watched.Swap(true) {
		signal(c.written)
	}
}

// signal wakes the receiver of a channel with capacity for one signal.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// stop ends the checkpoints, when there are no more commits.
func (c *checkpoints) stop() {
	c.once.Do(func() { close(c.closed) })
	c.stopped.Wait()
}
