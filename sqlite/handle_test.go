//go:build cgo

package sqlite_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/internal/crashtest"
	"github.com/seed-2c6e3a5a/hooks/sqlite"
)

// A store on a handle of the application: what the application may do with the handle, and
// what the store does with its connections.

// A handle may close connections as it likes: it costs no call, and leaves no
// file open.
func TestAHandleMayCloseConnections(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hooks.db")
	db := handle(t, path, 4)
	db.SetMaxIdleConns(-1)
	s := newStore(t, db, sqlite.Options{})
	at := time.Now().UTC().Truncate(time.Millisecond)
	for i := range 50 {
		err := s.Enqueue(t.Context(), at, []hooks.Entry{{Event: &hooks.Event{ID: fmt.Sprint(i), Type: "a", Time: at}}})
		require.NoError(t, err)
	}
	assert.LessOrEqual(t, len(openFiles(t, path)), 3)
	require.NoError(t, s.Close())
	require.NoError(t, db.Close())
	assert.Empty(t, openFiles(t, path))
}

// A connection that a store has used is as the application has set it up.
func TestConnectionsAreGivenBackAsTheyWere(t *testing.T) {
	t.Parallel()
	db := handle(t, filepath.Join(t.TempDir(), "hooks.db"), 3)
	s := newStore(t, db, sqlite.Options{BusyTimeout: time.Second})
	onEach(t, db, "PRAGMA synchronous = OFF")
	onEach(t, db, "PRAGMA busy_timeout = 1234")
	fill(t, s)
	tx, err := db.Begin()
	require.NoError(t, err)
	at := time.Now().UTC()
	assert.ErrorIs(t, s.Enqueue(t.Context(), at, []hooks.Entry{{Event: &hooks.Event{ID: "busy", Type: "a", Time: at}}}), sqlite.ErrBusy)
	require.NoError(t, tx.Rollback())
	assert.ErrorIs(t, s.Enqueue(t.Context(), at, []hooks.Entry{{Event: &hooks.Event{ID: "e", Type: "a", Time: at}}}), hooks.ErrDuplicate)
	all := make([]*sql.Conn, 3)
	for i := range all {
		all[i], err = db.Conn(t.Context())
		require.NoError(t, err)
		var sync, timeout int
		require.NoError(t, all[i].QueryRowContext(t.Context(), "PRAGMA synchronous").Scan(&sync))
		require.NoError(t, all[i].QueryRowContext(t.Context(), "PRAGMA busy_timeout").Scan(&timeout))
		assert.Equal(t, []int{0, 1234}, []int{sync, timeout})
	}
	for _, c := range all {
		require.NoError(t, c.Close())
	}
}

// Without a write-ahead log, readers hold writers up, but do not have them fail.
func TestADatabaseWithARollbackJournal(t *testing.T) {
	t.Parallel()
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(t.TempDir(), "hooks.db")+"?_journal_mode=DELETE&_txlock=immediate&_busy_timeout=20")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	s := newStore(t, db, sqlite.Options{})
	rows, err := db.Query("SELECT name FROM sqlite_schema")
	require.NoError(t, err)
	defer func() { assert.NoError(t, rows.Close()) }()
	require.True(t, rows.Next())
	ctx, cancel := context.WithTimeout(t.Context(), crashtest.Patience)
	defer cancel()
	returned := make(chan error, 1)
	go func() {
		at := time.Now().UTC()
		returned <- s.Enqueue(ctx, at, []hooks.Entry{{Event: &hooks.Event{ID: "e", Type: "a", Time: at}}})
	}()
	// When nobody else can write, it is about to commit, and waits.
	require.Eventually(t, func() bool {
		tx, err := db.Begin()
		if err == nil {
			_ = tx.Rollback()
		}
		return err != nil
	}, crashtest.Patience, time.Millisecond)
	for range 5 { // with their own wait of 20 ms
		tx, err := db.Begin()
		if !assert.Error(t, err) {
			_ = tx.Rollback()
		}
	}
	assert.Empty(t, returned)
	require.False(t, rows.NextResultSet()) // closes them
	require.NoError(t, rows.Err())
	assert.NoError(t, <-returned)
}

// openFiles returns the files that this process has open and whose names start
// like this.
func openFiles(t *testing.T, prefix string) (open []string) {
	t.Helper()
	const dir = "/proc/self/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Skip("it cannot be found out which files are open: ", err)
	}
	for _, e := range entries {
		if name, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil && strings.HasPrefix(name, prefix) {
			open = append(open, name)
		}
	}
	return open
}

// A transaction of the application that triggers, and a store that waits for it, do not
// wait for each other.
func TestFewConnections(t *testing.T) {
	t.Parallel()
	db := handle(t, filepath.Join(t.TempDir(), "hooks.db"), 3)
	s := newStore(t, db, sqlite.Options{})
	m, err := crashtest.NewManager(s, "", slog.New(slog.DiscardHandler), hooks.Observer{}) // which does not know the hooks yet
	require.NoError(t, err)
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	waits := make(chan error, 1)
	go func() {
		at := time.Now().UTC()
		waits <- s.Enqueue(t.Context(), at, []hooks.Entry{{Event: &hooks.Event{ID: "waits", Type: "a", Time: at}}})
	}()
	require.Eventually(t, func() bool { return db.Stats().InUse == 2 }, crashtest.Patience, time.Millisecond)
	_, err = m.TriggerTx(t.Context(), s.Tx(tx), paid("with"))
	require.NoError(t, err)
	require.NoError(t, tx.Commit())
	require.NoError(t, <-waits)
}

// A driver of databases that are none.
type otherDriver struct{}

func (otherDriver) Open(string) (driver.Conn, error)             { return otherDriver{}, nil }
func (otherDriver) Connect(context.Context) (driver.Conn, error) { return otherDriver{}, nil }
func (otherDriver) Driver() driver.Driver                        { return otherDriver{} }
func (otherDriver) Prepare(string) (driver.Stmt, error)          { return nil, errors.New("no such language") }
func (otherDriver) Begin() (driver.Tx, error)                    { return nil, errors.New("no such thing") }
func (otherDriver) Close() error                                 { return nil }

func TestHandlesThatAreRefused(t *testing.T) {
	t.Parallel()
	path := filled(t)
	for name, tt := range map[string]struct {
		db     *sql.DB
		reason string
	}{
		"none":             {nil, "must not be nil"},
		"one connection":   {handle(t, path, 1), "SetMaxOpenConns"},
		"another driver's": {sql.OpenDB(otherDriver{}), "github.com/mattn/go-sqlite3"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := sqlite.New(t.Context(), tt.db, sqlite.Options{})
			assert.Nil(t, s)
			var invalid *hooks.InvalidError
			require.ErrorAs(t, err, &invalid)
			assert.Equal(t, "db", invalid.Field)
			assert.Contains(t, invalid.Reason, tt.reason)
		})
	}
}
