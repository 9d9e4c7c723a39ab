// Package sqlite keeps hooks, events, deliveries and attempts in a SQLite
// database: durable, without a server, and if the host wants it in the same
// transactions as its own data.
//
// [Open] opens a file and makes its tables, whose names start with "hooks_". The
// file may have tables of the host's, too: the host opens it with a handle of its
// own, see [OpenDB], and [Store.Tx] makes of that one's transactions what
// [hooks.Manager.TriggerTx] records events in. [New] is for databases that have to
// be opened in the host's own way.
//
// Several stores, in one process or in many on one machine, may use a database
// at the same time. It has to be on a local disk.
//
// # One SQLite library for a file
//
// Within a process, open the file with the driver github.com/mattn/go-sqlite3
// alone, for whatever purpose. SQLite locks files with POSIX advisory locks, which
// the system drops for the whole process as soon as any descriptor of the file is
// closed. A library knows of its own descriptors and keeps them open as long as
// needed, but not of those of a second library, such as modernc.org/sqlite, nor of
// those of os.Open: when these are closed, the store's locks are gone, and what
// is committed then may be lost or the file damaged. See section 2.2 of
// https://www.sqlite.org/howtocorrupt.html. Other processes may use any library.
//
// A transaction of another library is refused with [ErrOtherLibrary]. The store
// cannot tell of a file that another library opens beside it.
//
// github.com/ncruces/go-sqlite3/driver registers the same name with database/sql,
// "sqlite3", so that a program with both panics when it starts, unless it is
// linked with another name for that one (-ldflags "-X
// github.com/ncruces/go-sqlite3/driver.driverName=…"). Then the above holds for it,
// too.
//
// # Without cgo
//
// The driver is SQLite itself, in C. With CGO_ENABLED=0, a program that imports
// this package compiles, but [Open], [New], [OpenDB] and [Migrate] return an error
// that says what is missing.
//
// One writer carries out all writes of a store, and what comes while it commits
// goes into the next commit together. See docs/performance.md for what that
// makes of it.
package sqlite
