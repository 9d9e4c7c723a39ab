//go:build cgo

package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"github.com/mattn/go-sqlite3"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/store"
)

// readers is how many connections a Store that Open has opened reads with.
const readers = 4

// A Store is a [hooks.Store] in a SQLite database. It may be used concurrently,
// by several Managers, and the database by several processes.
type Store struct {
	id       string
	pageSize int
	file     databaseFile
	writer   *writer
	read     *sql.DB
	// opened is what Close closes: nothing of the application's.
	opened      handles
	checkpoints *checkpoints // nil: the application's affair
	damagedRows damagedRows
	// inApplicationTx is held while a transaction of the application is written to.
	inApplicationTx sync.Mutex

	purging   sync.Mutex
	purged    int64          // the hook whose deliveries Purge removed last
	unpurged  map[int64]bool // deliveries that are damaged
	endCounts endCounts
}

var (
	_ store.Copyable = (*Store)(nil)
	_ hooks.Tx       = applicationTx{}
)

// Open opens the database file, or creates it, and migrates its tables. The file
// is in WAL mode: while it is open, there are two more files, with "-wal" and
// "-shm" added to its name. The "-wal" file grows while another connection reads
// for a long time, as a backup does; some seconds after that it is truncated to at
// most 40 MiB. Open creates files with the permissions 0600. SQLite gives the
// files beside it the same permissions.
//
// Deleted data is overwritten (PRAGMA secure_delete). When a hook is deleted or
// changed, its old header values, secrets and settings are gone from all files
// some seconds later, or when the store is closed. While another connection reads
// for a long time, they stay until it ends.
//
// The error may wrap [ErrNewerSchema], [ErrDamaged], [ErrReadOnly] or [ErrBusy].
// The context is for Open alone.
func Open(ctx context.Context, path string, o Options) (*Store, error) {
	s, err := open(ctx, path, o)
	if err != nil {
		return nil, fmt.Errorf("sqlite: open %s: %w", path, plain(err))
	}
	return s, nil
}

func open(ctx context.Context, path string, o Options) (s *Store, err error) {
	if path, err = createFile(path); err != nil {
		return nil, err
	}
	connect := func(connections int, setUp string) *sql.DB {
		db := sql.OpenDB(connector{fileURI(path) + "?_mutex=no", []string{"PRAGMA synchronous = " + o.Synchronous.String(), setUp}})
		db.SetMaxOpenConns(connections)
		db.SetMaxIdleConns(connections)
		return db
	}
	write := connect(1, fmt.Sprintf(
		"PRAGMA busy_timeout = %d; PRAGMA wal_autocheckpoint = %d; PRAGMA journal_size_limit = %d; PRAGMA cache_size = -16000; PRAGMA secure_delete = ON",
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
	if s, err = newStore(ctx, write, o); err != nil {
		return nil, err
	}
	s.read, s.opened = read, opened
	s.checkpoints = newCheckpoints(checkpoint, s.file)
	s.writer.committed = s.checkpoints.committed
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
	if err := useLog(ctx, db, o.busyTimeout()); err != nil {
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

// New returns a Store over a database handle of the application, for a database that Open
// cannot open: one with a key, say, or in memory. Otherwise Open is quicker, also
// for a file that the application has a handle to. The tables are made by [Migrate].
//
// The handle has to be of the driver github.com/mattn/go-sqlite3 and to allow more
// than one connection, since [hooks.Manager.TriggerTx] needs another beside the
// transaction's; each transaction of the application takes one away. In WAL mode
// ("_journal_mode=WAL" in the name of the data source) readers and writers do not
// hold each other up; how long the file of the log may stay is up to you, see PRAGMA
// journal_size_limit. So are the permissions of the files, and whether what is
// deleted is overwritten, see PRAGMA secure_delete: the Store leaves the connections
// as they were. Once Run has returned, close the Store and then the handle. The
// context is for New alone.
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
	s, err := newStore(ctx, db, o)
	if err != nil {
		return nil, fmt.Errorf("sqlite: %w", plain(err))
	}
	s.writer.shared, s.read = true, db
	return s, nil
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

// newStore returns a Store that writes with this handle, and has nothing else yet.
func newStore(ctx context.Context, db *sql.DB, o Options) (*Store, error) {
	file, err := newDatabaseFile(ctx, db)
	if err != nil {
		return nil, err
	}
	s := &Store{file: file, unpurged: map[int64]bool{}}
	err = db.QueryRowContext(ctx, "SELECT id FROM hooks_identity").Scan(&s.id)
	if errors.Is(err, sql.ErrNoRows) || err == nil && s.id == "" {
		err = fmt.Errorf("%w: hooks_identity has no id", ErrDamaged)
	}
	if err != nil {
		return nil, err
	}
	if err := db.QueryRowContext(ctx, "PRAGMA page_size").Scan(&s.pageSize); err != nil {
		return nil, err
	}
	s.writer = &writer{
		db: db, synchronous: o.Synchronous, busyTimeout: o.busyTimeout(),
		check: file.check, committed: func(int) {},
	}
	s.writer.idle.L = &s.writer.mu
	return s, nil
}

// WriterStats returns what the Store has counted since it was opened.
func (s *Store) WriterStats() WriterStats {
	s.writer.mu.Lock()
	defer s.writer.mu.Unlock()
	return s.writer.stats
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
