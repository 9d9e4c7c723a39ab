// Package sqlite keeps hooks, events, deliveries and attempts in a SQLite
// database: durable, without a server, and if the application wants it in the same
// transactions as its own data.
//
// [Open] opens a file and makes its tables, whose names start with "hooks_". The
// file may also have tables of the application, which opens it with a handle of its own
// (see [OpenDB]) and gives the transactions of that handle to [Store.Tx], for
// [hooks.Manager.TriggerTx]. [New] is for databases that Open cannot open.
//
// Several stores, in one process or in many on one machine, may use a database
// at the same time. It has to be on a local disk.
//
// # One SQLite library for a file
//
// Within a process, open the file only with the driver
// github.com/mattn/go-sqlite3. SQLite locks files with POSIX advisory locks, which
// the system drops for the whole process as soon as any descriptor of the file is
// closed. A library keeps its own descriptors open as long as needed, but does not
// know those of a second library, such as modernc.org/sqlite, or of os.Open. When
// one of these is closed, the store loses its locks; commits may then be lost, and
// the file may be damaged. See section 2.2 of
// https://www.sqlite.org/howtocorrupt.html. Other processes may use any library.
//
// A transaction of another library is refused with [ErrOtherLibrary]. But the
// store cannot detect that another library has opened the file as well.
//
// A program that also imports github.com/ncruces/go-sqlite3/driver panics when it
// starts, because both drivers register the name "sqlite3" with database/sql. It
// can be linked with another name for that driver (-ldflags "-X
// github.com/ncruces/go-sqlite3/driver.driverName=…"). Do not open the file with
// it then.
//
// # Without cgo
//
// The driver is SQLite itself, in C. With CGO_ENABLED=0, a program that imports
// this package compiles, but [Open], [New], [OpenDB] and [Migrate] return an error
// that says what is missing.
//
// # Speed
//
// One writer carries out all writes of a store. Writes that arrive during a commit
// share the next commit. Measurements are in
// [performance.md].
//
// [performance.md]: https://github.com/seed-2c6e3a5a/hooks/blob/main/docs/performance.md
package sqlite
