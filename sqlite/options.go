package sqlite

import (
	"cmp"
	"time"
)

// Synchronous says what a commit waits for; see PRAGMA synchronous in the
// documentation of SQLite.
type Synchronous int

const (
	// Full has each commit wait until the disk has it: what was acknowledged
	// outlives a crash of the process, of the machine, and a loss of power. Only
	// claims and results of deliveries get to the disk up to a second later, at most
	// 512 results at a time: if the machine fails in between, these deliveries are
	// sent again. A Store that [New] has made waits for the disk each time.
	Full Synchronous = iota
	// Normal has commits wait for the file system only. A lone Trigger is many
	// times quicker. What was acknowledged outlives a crash of the process,
	// but a crash of the machine or a loss of power may undo the last
	// commits, so events are lost, and others are sent again.
	Normal
)

// Options set a Store up. The zero value works.
type Options struct {
	// Synchronous is what a commit waits for. Default: Full. A transaction of
	// the application's is committed by the application, as its connection is set.
	Synchronous Synchronous
	// BusyTimeout is how long to wait for another writer, such as a
	// transaction of the application, before a call fails with ErrBusy. A context
	// may end the wait earlier. Default: 10 s.
	BusyTimeout time.Duration
}

const defaultBusyTimeout = 10 * time.Second

func (o Options) busyTimeout() time.Duration { return cmp.Or(o.BusyTimeout, defaultBusyTimeout) }

// String returns the word that SQLite has for it: FULL or NORMAL.
func (s Synchronous) String() string {
	if s == Normal {
		return "NORMAL"
	}
	return "FULL"
}
