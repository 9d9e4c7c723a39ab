//go:build cgo

package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mattn/go-sqlite3"

	"github.com/seed-2c6e3a5a/hooks"
)

// OpenDB opens a handle to a database file for the application's own tables. If there is
// no file, it creates one that only its owner can read and write. Transactions of
// the handle begin with BEGIN IMMEDIATE: they wait for other writers at the
// beginning, for at most 5 s. A transaction that waits later fails if it has read
// before and another connection has written since. The file is in WAL mode, so
// that readers and writers do not block each other. A commit waits for the disk
// (synchronous FULL), and foreign keys are enforced. [DSN] returns the same
// settings as text.
//
// OpenDB does not make the tables of the library: [Open] or [Migrate] does. The
// error may wrap [ErrDamaged], [ErrReadOnly] or [ErrBusy]. The context is for
// OpenDB alone.
func OpenDB(ctx context.Context, path string) (*sql.DB, error) {
	db, err := openDB(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("sqlite: open %s: %w", path, plain(err))
	}
	return db, nil
}

func openDB(ctx context.Context, path string) (*sql.DB, error) {
	path, err := createFile(path)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector{dsn: DSN(path)})
	if err := useLog(ctx, db, defaultBusyTimeout); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// useLog switches the database to WAL mode.
func useLog(ctx context.Context, db *sql.DB, limit time.Duration) error {
	return poll(ctx, limit, func() error {
		var mode string
		err := db.QueryRowContext(ctx, "PRAGMA journal_mode = WAL").Scan(&mode)
		if err == nil && mode != "wal" {
			err = fmt.Errorf("its file system does not support the WAL mode: the journal mode is %s", mode)
		}
		return err
	})
}

// createFile creates the database file if there is none, so that only its owner
// may read and write it. SQLite gives the files beside it the same permissions.
// The path that it returns is still right when the process changes its directory.
func createFile(path string) (absolute string, err error) {
	if path == "" || path == ":memory:" {
		return "", &hooks.InvalidError{Field: "path", Reason: "must name a file; New takes a database in memory"}
	}
	if !filepath.IsAbs(path) {
		dir, err := os.Getwd()
		if err != nil {
			return "", err
		}
		// filepath.Join would take ".." for the parent where a link leads elsewhere.
		path = dir + string(filepath.Separator) + path
	}
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return "", errors.New("it is a directory")
	case errors.Is(err, fs.ErrNotExist):
		err = createNew(path)
	}
	return path, err
}

// createNew makes SQLite create the file, with the permissions of a model. If we created it,
// we would have to close a descriptor of the file, which drops the locks that another
// connection of this process may hold by then.
func createNew(path string) (err error) {
	dir := filepath.Dir(path)
	if _, err := os.Stat(dir); err != nil {
		return err
	}
	model, err := os.CreateTemp(dir, ".hooks-*")
	if err != nil {
		return fmt.Errorf("create it: %w", err)
	}
	defer func() { err = errors.Join(err, model.Close(), os.Remove(model.Name())) }()
	if err := model.Chmod(0o600); err != nil { // The umask may have taken some of it.
		return err
	}
	c, err := connector{dsn: fileURI(path) + "?modeof=" + strings.ReplaceAll(url.QueryEscape(model.Name()), "+", "%20")}.Connect(context.Background())
	if err != nil {
		return err
	}
	return c.Close()
}

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

// A databaseFile is the file of a database, as it was when it was opened.
type databaseFile struct {
	path string // "" if the database is in memory
	info os.FileInfo
}

// newDatabaseFile returns the file of a database that is open.
func newDatabaseFile(ctx context.Context, db *sql.DB) (f databaseFile, err error) {
	const find = "SELECT coalesce(file, '') FROM pragma_database_list WHERE name = 'main'"
	if err := db.QueryRowContext(ctx, find).Scan(&f.path); err != nil || f.path == "" {
		return f, err
	}
	f.info, err = os.Stat(f.path)
	return f, err
}

// check returns an error if the file is no longer where it was.
func (f databaseFile) check() error {
	if f.path == "" {
		return nil
	}
	is, err := os.Stat(f.path)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrMoved, err)
	case !os.SameFile(f.info, is):
		return ErrMoved
	}
	return nil
}

// is reports whether a connection that has opened this path has opened the same file. A
// database in memory has no path.
func (f databaseFile) is(path string) bool {
	if f.path == "" || path == "" {
		return f.path == path
	}
	info, err := os.Stat(path)
	return err == nil && os.SameFile(f.info, info)
}
