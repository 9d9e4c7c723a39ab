package sqlite

import "errors"

// The errors of a database that fails. Each comes wrapped, and its cause is the
// driver's: a [sqlite3.Error].
var (
	// ErrBusy says that another writer has held the database for longer than
	// Options.BusyTimeout.
	ErrBusy = errors.New("another writer has locked the database for too long")
	// ErrFull says that the disk, or the database within its limit of pages,
	// is full.
	ErrFull = errors.New("the disk or the database is full")
	// ErrReadOnly says that the database cannot be written to.
	ErrReadOnly = errors.New("the database is read-only")
	// ErrDamaged says that the file is no database, or damaged. If a row has a
	// value that it cannot have, the text names table, row and column.
	//
	// A damaged row holds up nothing else. A delivery that cannot be read, or
	// whose event or hook cannot be read, is removed from its queue, and Claim
	// returns the error once. When the row has been repaired, such a delivery
	// continues after [hooks.Manager.Cancel] and Redeliver, and the deliveries of
	// a hook after the hook was disabled and enabled. Purge does not remove what
	// is damaged, and returns the error once in each process.
	ErrDamaged = errors.New("the file is no database, or damaged")
	// ErrMoved says that the file was deleted, moved or replaced while it was
	// open. What is written now would be lost with it.
	ErrMoved = errors.New("the database file was deleted, moved or replaced while it was open")
	// ErrClosed says that the store, or the handle that it was given, is
	// closed.
	ErrClosed = errors.New("the database handle is closed")
	// ErrReadFirst says that a transaction of the application began with a read, and that
	// another connection has written since or is writing. The transaction's data
	// is out of date, so SQLite refuses its writes at once. Roll it back, and
	// begin it again with BEGIN IMMEDIATE, as the handles of OpenDB do. The error
	// also wraps ErrBusy.
	ErrReadFirst = errors.New("the transaction began with a read, and another writer has written since or is writing: " +
		"roll it back and begin it with BEGIN IMMEDIATE, as handles of OpenDB do")
)

// What is wrong with a [Handle].
var (
	// ErrNoTransaction says that there is no transaction: none was begun, or
	// SQLite has rolled it back by itself because of an error before.
	ErrNoTransaction = errors.New("the handle is not in a transaction")
	// ErrOtherLibrary says that the transaction belongs to another SQLite library
	// than github.com/mattn/go-sqlite3, or to another kind of database. The
	// comment of the package says why that may lose data.
	ErrOtherLibrary = errors.New("the transaction is not one of the driver github.com/mattn/go-sqlite3")
)
