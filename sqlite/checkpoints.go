package sqlite

import (
	"context"
	"database/sql"
	"sync"
)

// Checkpoints copy what was committed from the write-ahead log to the database
// file, so that the log can start over. They run beside the writer, whose commits
// would otherwise each so often take as long as a thousand. The writer makes one
// itself if these do not keep up.
type checkpoints struct {
	db      *sql.DB
	pending int // operations since the last, of the leader
	wanted  chan struct{}
	stopped sync.WaitGroup
	once    sync.Once
}

// operationsPerCheckpoint leaves about a thousand pages to a checkpoint.
const operationsPerCheckpoint = 256

func newCheckpoints(db *sql.DB) *checkpoints {
	c := &checkpoints{db: db, wanted: make(chan struct{}, 1)}
	c.stopped.Go(func() {
		for range c.wanted {
			// It may fail, for a reader or another process is in the way: the
			// next will do.
			_, _ = c.db.ExecContext(context.Background(), "PRAGMA wal_checkpoint(PASSIVE)")
		}
	})
	return c
}

// committed takes note of a commit of so many operations.
func (c *checkpoints) committed(operations int) {
	if c.pending += operations; c.pending < operationsPerCheckpoint {
		return
	}
	c.pending = 0
	select {
	case c.wanted <- struct{}{}:
	default:
	}
}

// stop ends the checkpoints, when there are no more commits.
func (c *checkpoints) stop() {
	c.once.Do(func() { close(c.wanted) })
	c.stopped.Wait()
}
