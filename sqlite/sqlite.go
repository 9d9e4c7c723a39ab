// Package sqlite keeps hooks, events, deliveries and attempts in a SQLite
// database: durable, without a server, and if the host wants it in the same
// transactions as its own data.
//
// [Open] opens a file and makes its tables, whose names start with "hooks_". The
// file may have tables of the host's, too: the host opens it with a handle of its
// own, and [Tx] makes a transaction of that one that [hooks.Manager.TriggerTx]
// records events in. [New] is for databases that have to be opened in the host's
// own way.
//
// Several stores, in one process or in many on one machine, may use a database
// at the same time. It has to be on a local disk.
//
// One writer carries out all writes of a store, and what comes while it commits
// goes into the next commit together. See docs/performance.md for what that
// makes of it.
package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/mattn/go-sqlite3"

	"github.com/seed-2c6e3a5a/hooks"
)

// Synchronous says what a commit waits for; see PRAGMA synchronous in the
// documentation of SQLite.
type Synchronous int

const (
	// Full has each commit wait until the disk has it: what was acknowledged
	// outlives a crash of the process, of the machine, and a loss of power.
	Full Synchronous = iota
	// Normal has commits wait for the file system only. A lone Trigger is many
	// times quicker. What was acknowledged outlives a crash of the process,
	// but a crash of the machine or a loss of power may undo the last
	// commits, so events are lost, and others are sent again.
	Normal
)

// Options set a Store up. The zero value works.
type Options struct {
	// Synchronous is what a commit waits for. Default: Full. A [Tx] is
	// committed by the host, as the host's connection is set.
	Synchronous Synchronous
	// BusyTimeout is how long to wait for another writer, such as a
	// transaction of the host, before a call fails with ErrBusy. A context
	// may end the wait earlier. Default: 10 s.
	BusyTimeout time.Duration
}

const (
	defaultBusyTimeout = 10 * time.Second
	readers            = 4
)

// A Store is a [hooks.Store] in a SQLite database. It may be used concurrently,
// by several Managers, and the database by several processes.
type Store struct {
	writer *writer
	read   *sql.DB
	// opened is what Close closes: nothing of the host's.
	opened      handles
	checkpoints *checkpoints // nil: the host's affair
	aside       aside

	purging  sync.Mutex
	purged   int64          // the hook whose deliveries Purge removed last
	unpurged map[int64]bool // deliveries that are damaged
	ends     ends
}

var (
	_ hooks.Store = (*Store)(nil)
	_ hooks.Tx    = transaction{}
)

// Open opens the database file, or creates it, and migrates its tables. The
// file is in WAL mode: beside it there are two more while it is open, with
// "-wal" and "-shm" added to its name. The first grows with what is written while
// somebody reads for long, such as a backup, and is cut to at most 40 MiB within
// some seconds after that. The error wraps [ErrNewerSchema],
// [ErrDamaged], [ErrReadOnly] or [ErrBusy] for what they say. The context is for
// Open alone.
func Open(ctx context.Context, path string, o Options) (*Store, error) {
	s, err := open(ctx, path, o)
	if err != nil {
		return nil, fmt.Errorf("sqlite: open %s: %w", path, plain(err))
	}
	return s, nil
}

func open(ctx context.Context, path string, o Options) (s *Store, err error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil, errors.New("it is a directory")
	}
	connect := func(connections int, setUp string) *sql.DB {
		db := sql.OpenDB(connector{dsn(path), []string{"PRAGMA synchronous = " + o.Synchronous.String(), setUp}})
		db.SetMaxOpenConns(connections)
		db.SetMaxIdleConns(connections)
		return db
	}
	write := connect(1, fmt.Sprintf(
		"PRAGMA busy_timeout = %d; PRAGMA wal_autocheckpoint = %d; PRAGMA journal_size_limit = %d; PRAGMA cache_size = -16000",
		lockWait.Milliseconds(), pagesPerCheckpoint, maxLog))
	checkpoint := connect(1, "PRAGMA busy_timeout = 0")
	read := connect(readers, "PRAGMA busy_timeout = 10000; PRAGMA query_only = 1")
	opened := handles{read, checkpoint, write}
	defer func() {
		if err != nil {
			err = errors.Join(err, opened.close())
		}
	}()
	if err := prepareFile(ctx, write, o); err != nil {
		return nil, err
	}
	w, err := newWriter(ctx, write, o)
	if err != nil {
		return nil, err
	}
	file, err := fileOf(ctx, write)
	if err != nil {
		return nil, err
	}
	s = &Store{writer: w, read: read, opened: opened, checkpoints: newCheckpoints(checkpoint, file), unpurged: map[int64]bool{}}
	w.committed = s.checkpoints.committed
	return s, nil
}

// prepareFile makes the file one that can be used.
func prepareFile(ctx context.Context, db *sql.DB, o Options) error {
	err := poll(ctx, o.busyTimeout(), func() error { // One of a later version is left as it is.
		err := checkSchema(ctx, db)
		if errors.Is(err, ErrNotMigrated) {
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	err = poll(ctx, o.busyTimeout(), func() error {
		var mode string
		err := db.QueryRowContext(ctx, "PRAGMA journal_mode = WAL").Scan(&mode)
		if err == nil && mode != "wal" {
			err = fmt.Errorf("its file system does not support the WAL mode: the journal mode is %s", mode)
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := migrate(ctx, db); err != nil {
		return err
	}
	// A file that cannot be written to is better found now.
	return poll(ctx, o.busyTimeout(), func() error {
		_, err := db.ExecContext(ctx, "BEGIN IMMEDIATE; UPDATE hooks_revision SET last = last; ROLLBACK")
		return err
	})
}

// New returns a Store over a database handle of the host, for a database that Open
// cannot open: one with a key, say, or in memory. Otherwise Open is quicker, also
// for a file that the host has a handle to. The tables are made by [Migrate].
//
// The handle has to be of the driver github.com/mattn/go-sqlite3 and to allow more
// than one connection, since a [Tx] needs another beside its own; each transaction
// of the host takes one away. In WAL mode ("_journal_mode=WAL" in the name of the
// data source) readers and writers do not hold each other up; how long the file of
// the log may stay is up to you, see PRAGMA journal_size_limit. The Store leaves the
// connections as they were. Once Run has returned, close the Store and then the
// handle. The context is for New alone.
//
// A handle that does not fit is a [hooks.InvalidError]; tables that are missing or
// of another version are [ErrNotMigrated] or [ErrNewerSchema].
func New(ctx context.Context, db *sql.DB, o Options) (*Store, error) {
	if db == nil {
		return nil, &hooks.InvalidError{Field: "db", Reason: "must not be nil"}
	}
	if db.Stats().MaxOpenConnections == 1 {
		return nil, &hooks.InvalidError{Field: "db", Reason: "must allow more than one connection, see SetMaxOpenConns"}
	}
	if err := checkDriver(ctx, db); err != nil {
		return nil, fmt.Errorf("sqlite: %w", plain(err))
	}
	if err := checkSchema(ctx, db); err != nil {
		return nil, fmt.Errorf("sqlite: %w", plain(err))
	}
	w, err := newWriter(ctx, db, o)
	if err != nil {
		return nil, fmt.Errorf("sqlite: %w", plain(err))
	}
	w.shared = true
	return &Store{writer: w, read: db, unpurged: map[int64]bool{}}, nil
}

// checkDriver returns an error unless the handle is of the driver that the writer
// needs.
func checkDriver(ctx context.Context, db *sql.DB) error {
	c, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	err = c.Raw(func(driverConn any) error {
		if _, ok := driverConn.(*sqlite3.SQLiteConn); !ok {
			return &hooks.InvalidError{Field: "db", Reason: fmt.Sprintf("must be of the driver github.com/mattn/go-sqlite3, its connections are %T", driverConn)}
		}
		return nil
	})
	return errors.Join(err, c.Close())
}

func newWriter(ctx context.Context, db *sql.DB, o Options) (*writer, error) {
	check, err := newFileCheck(ctx, db)
	if err != nil {
		return nil, err
	}
	w := &writer{
		db: db, synchronous: o.Synchronous, busyTimeout: o.busyTimeout(),
		check: check, committed: func(int) {},
	}
	w.idle.L = &w.mu
	return w, nil
}

// newFileCheck returns a function that fails when the file of the database is
// no longer where it was.
func newFileCheck(ctx context.Context, db *sql.DB) (func() error, error) {
	path, err := fileOf(ctx, db)
	if err != nil {
		return nil, err
	}
	if path == "" { // in memory
		return func() error { return nil }, nil
	}
	was, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	return func() error {
		is, err := os.Stat(path)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrMoved, err)
		}
		if !os.SameFile(was, is) {
			return ErrMoved
		}
		return nil
	}, nil
}

// fileOf returns the path of the database file, or "" if it is in memory.
func fileOf(ctx context.Context, db *sql.DB) (path string, err error) {
	const find = "SELECT coalesce(file, '') FROM pragma_database_list WHERE name = 'main'"
	err = db.QueryRowContext(ctx, find).Scan(&path)
	return path, err
}

// Close waits for the writes under way and closes what Open has opened. Calls
// that come later fail with [ErrClosed]. It may be called twice.
func (s *Store) Close() error {
	s.writer.close()
	if s.checkpoints != nil {
		s.checkpoints.stop()
	}
	return s.opened.close()
}

// handles are closed together.
type handles []*sql.DB

func (h handles) close() error {
	var errs []error
	for _, db := range h {
		errs = append(errs, db.Close())
	}
	return errors.Join(errs...)
}

func (o Options) busyTimeout() time.Duration { return cmp.Or(o.BusyTimeout, defaultBusyTimeout) }

// String returns the word that SQLite has for it: FULL or NORMAL.
func (s Synchronous) String() string {
	if s == Normal {
		return "NORMAL"
	}
	return "FULL"
}

func dsn(path string) string { return "file:" + (&url.URL{Path: path}).EscapedPath() + "?_mutex=no" }

// A connector opens connections to a file and sets them up.
type connector struct {
	dsn    string
	setUps []string
}

// Connect implements [driver.Connector].
func (c connector) Connect(context.Context) (driver.Conn, error) {
	opened, err := c.Driver().Open(c.dsn)
	if err != nil {
		return nil, err
	}
	for _, setUp := range c.setUps {
		if _, err := opened.(*sqlite3.SQLiteConn).Exec(setUp, nil); err != nil {
			return nil, errors.Join(err, opened.Close())
		}
	}
	return opened, nil
}

// Driver implements [driver.Connector].
func (connector) Driver() driver.Driver { return &sqlite3.SQLiteDriver{} }
