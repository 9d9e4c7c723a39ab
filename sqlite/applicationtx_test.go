//go:build cgo

package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/internal/crashtest"
	"github.com/seed-2c6e3a5a/hooks/sqlite"
)

// An app has its tables and its hooks in one file.
type app struct {
	*hooks.Manager
	path  string
	db    *sql.DB
	store *sqlite.Store
}

func newApp(t testing.TB) *app {
	t.Helper()
	a := &app{path: filepath.Join(t.TempDir(), "app.db")}
	a.db = openDB(t, a.path)
	execute(t, a.db, "CREATE TABLE orders (id TEXT PRIMARY KEY)")
	a.store = openAt(t, a.path).(*sqlite.Store)
	var err error
	a.Manager, err = crashtest.NewManager(a.store, "", slog.New(slog.DiscardHandler), hooks.Observer{})
	require.NoError(t, err)
	_, err = a.Register(t.Context(), hooks.Hook{URL: "http://127.0.0.1:1024", Events: []string{"*"}})
	require.NoError(t, err)
	return a
}

func openDB(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sqlite.OpenDB(t.Context(), path)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	return db
}

func openDSN(t testing.TB, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite3", dsn)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	return db
}

type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func execute(t testing.TB, db execer, statement string, args ...any) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), statement, args...)
	require.NoError(t, err)
}

func connOf(t testing.TB, db *sql.DB) *sql.Conn {
	t.Helper()
	c, err := db.Conn(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			assert.ErrorIs(t, err, sql.ErrConnDone)
		}
	})
	return c
}

func beginTx(t testing.TB, db *sql.DB) *sql.Tx {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = tx.Rollback() })
	return tx
}

// copyOf returns the path of a copy of the app's database, which has the same identity.
func copyOf(t testing.TB, a *app) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "copy.db")
	execute(t, a.db, "VACUUM INTO ?", path)
	return path
}

// stored reports whether the app's database has the event.
func (a *app) stored(t testing.TB, id string) bool {
	t.Helper()
	_, err := a.Event(t.Context(), "", id)
	if !errors.Is(err, hooks.ErrNotFound) {
		require.NoError(t, err)
	}
	return err == nil
}

// bare has the one method that a Handle needs.
type bare struct{ sqlite.Handle }

// Whatever the transaction is used by, the event is there when it has committed,
// and not when it was rolled back.
func TestHandlesOfATransaction(t *testing.T) {
	t.Parallel()
	conn := func(begin string) func(t *testing.T, a *app) (sqlite.Handle, func(commit bool) error) {
		return func(t *testing.T, a *app) (sqlite.Handle, func(commit bool) error) {
			c := connOf(t, a.db)
			execute(t, c, begin)
			return c, func(commit bool) error {
				end := "ROLLBACK"
				if commit {
					end = "COMMIT"
				}
				_, err := c.ExecContext(t.Context(), end)
				return errors.Join(err, c.Close())
			}
		}
	}
	txOf := func(tx *sql.Tx) func(commit bool) error {
		return func(commit bool) error {
			if commit {
				return tx.Commit()
			}
			return tx.Rollback()
		}
	}
	for name, begin := range map[string]func(t *testing.T, a *app) (sqlite.Handle, func(commit bool) error){
		"*sql.Tx": func(t *testing.T, a *app) (sqlite.Handle, func(commit bool) error) {
			tx := beginTx(t, a.db)
			return tx, txOf(tx)
		},
		"*sql.Tx of another name of the file": func(t *testing.T, a *app) (sqlite.Handle, func(commit bool) error) {
			link := filepath.Join(t.TempDir(), "link.db")
			require.NoError(t, os.Symlink(a.path, link))
			tx := beginTx(t, openDB(t, link))
			return tx, txOf(tx)
		},
		"*sql.Tx that is deferred": func(t *testing.T, a *app) (sqlite.Handle, func(commit bool) error) {
			tx := beginTx(t, openDSN(t, a.path))
			return tx, txOf(tx)
		},
		"a handle that cannot prepare": func(t *testing.T, a *app) (sqlite.Handle, func(commit bool) error) {
			tx := beginTx(t, a.db)
			return bare{tx}, txOf(tx)
		},
		"*sql.Conn with the file attached to another": func(t *testing.T, a *app) (sqlite.Handle, func(commit bool) error) {
			a = &app{path: a.path, db: openDB(t, filepath.Join(t.TempDir(), "main.db"))}
			return conn("ATTACH '"+a.path+"' AS attached; BEGIN IMMEDIATE")(t, a)
		},
		"*sql.Conn with a copy of the file attached": func(t *testing.T, a *app) (sqlite.Handle, func(commit bool) error) {
			return conn("ATTACH '"+copyOf(t, a)+"' AS attached; BEGIN IMMEDIATE")(t, &app{path: a.path, db: openDB(t, a.path)})
		},
		"*sql.Conn after BEGIN IMMEDIATE": conn("BEGIN IMMEDIATE"),
		"*sql.Conn after BEGIN":           conn("BEGIN"),
		"*sql.Conn after SAVEPOINT":       conn("SAVEPOINT outer"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newApp(t)
			for id, commit := range map[string]bool{"kept": true, "dropped": false} {
				tx, end := begin(t, a)
				receipts, err := a.TriggerTx(t.Context(), a.store.Tx(tx), paid(id), paid(id+"-2"))
				require.NoError(t, err)
				assert.Len(t, receipts, 2)
				_, err = a.TriggerTx(t.Context(), a.store.Tx(tx), paid("other"), paid(id))
				require.ErrorIs(t, err, hooks.ErrDuplicate)
				require.NoError(t, end(commit))
				assert.Equal(t, commit, a.stored(t, id))
				assert.Equal(t, commit, a.stored(t, id+"-2"))
				assert.False(t, a.stored(t, "other"))
			}
		})
	}
}

// Calls in one transaction do not undo each other's events when some of them fail.
func TestATransactionThatIsUsedConcurrently(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	tx := beginTx(t, a.db)
	_, err := a.TriggerTx(t.Context(), a.store.Tx(tx), paid("taken"))
	require.NoError(t, err)
	errs := make([]error, 100)
	var calls sync.WaitGroup
	for i := range errs {
		events := []hooks.Event{paid(fmt.Sprint(i))}
		if i%2 == 1 {
			events = append(events, paid("taken"))
		}
		calls.Go(func() { _, errs[i] = a.TriggerTx(t.Context(), a.store.Tx(tx), events...) })
	}
	calls.Wait()
	require.NoError(t, tx.Commit())
	for i, err := range errs {
		if i%2 == 1 {
			require.ErrorIs(t, err, hooks.ErrDuplicate)
		} else {
			require.NoError(t, err)
		}
		assert.Equal(t, err == nil, a.stored(t, fmt.Sprint(i)))
	}
}

// What is not a transaction of the store's database is refused, and nothing is
// written anywhere.
func TestHandlesThatAreNoTransactionOfTheStore(t *testing.T) {
	t.Parallel()
	other := func(t *testing.T, prepare string) *sql.DB {
		db := openDB(t, filepath.Join(t.TempDir(), "other.db"))
		if prepare == "" {
			require.NoError(t, sqlite.Migrate(t.Context(), db))
		} else {
			execute(t, db, prepare)
		}
		return db
	}
	invalid := func(reason string) error { return &hooks.InvalidError{Field: "tx", Reason: reason} }
	for name, tt := range map[string]struct {
		handle func(t *testing.T, a *app) sqlite.Handle
		want   error
	}{
		"nil":                 {func(*testing.T, *app) sqlite.Handle { return nil }, invalid("must not be nil")},
		"a nil *sql.Tx":       {func(*testing.T, *app) sqlite.Handle { return (*sql.Tx)(nil) }, invalid("must not be nil")},
		"a nil *sql.Conn":     {func(*testing.T, *app) sqlite.Handle { return (*sql.Conn)(nil) }, invalid("must not be nil")},
		"a *sql.DB":           {func(_ *testing.T, a *app) sqlite.Handle { return a.db }, invalid("must be a transaction, it is a *sql.DB")},
		"a pool in disguise":  {func(_ *testing.T, a *app) sqlite.Handle { return bare{a.db} }, sqlite.ErrNoTransaction},
		"a *sql.Conn":         {func(t *testing.T, a *app) sqlite.Handle { return connOf(t, a.db) }, sqlite.ErrNoTransaction},
		"a closed *sql.Conn":  {func(t *testing.T, a *app) sqlite.Handle { c := connOf(t, a.db); _ = c.Close(); return c }, sql.ErrConnDone},
		"a committed *sql.Tx": {func(t *testing.T, a *app) sqlite.Handle { tx := beginTx(t, a.db); _ = tx.Commit(); return tx }, sql.ErrTxDone},
		"a *sql.Tx that SQLite has rolled back": {func(t *testing.T, a *app) sqlite.Handle {
			tx := beginTx(t, a.db)
			execute(t, tx, "INSERT INTO orders VALUES ('twice')")
			_, err := tx.ExecContext(t.Context(), "INSERT OR ROLLBACK INTO orders VALUES ('twice')")
			require.Error(t, err)
			return tx
		}, sqlite.ErrNoTransaction},
		"a *sql.Conn after its transaction": {func(t *testing.T, a *app) sqlite.Handle {
			c := connOf(t, a.db)
			execute(t, c, "BEGIN IMMEDIATE; COMMIT")
			return c
		}, sqlite.ErrNoTransaction},
		"of another file": {func(t *testing.T, _ *app) sqlite.Handle { return beginTx(t, other(t, "")) }, hooks.ErrForeignTx},
		"of a copy of the file": {func(t *testing.T, a *app) sqlite.Handle {
			return beginTx(t, openDB(t, copyOf(t, a)))
		}, hooks.ErrForeignTx},
		"of a copy of the file, with the file attached": {func(t *testing.T, a *app) sqlite.Handle {
			c := connOf(t, openDB(t, copyOf(t, a)))
			execute(t, c, "ATTACH ? AS attached; BEGIN IMMEDIATE", a.path)
			return c
		}, hooks.ErrForeignTx},
		"of a database in memory": {func(t *testing.T, _ *app) sqlite.Handle {
			db := openDSN(t, "file::memory:")
			require.NoError(t, sqlite.Migrate(t.Context(), db))
			return beginTx(t, db)
		}, hooks.ErrForeignTx},
		"of a file without the tables": {func(t *testing.T, _ *app) sqlite.Handle {
			return beginTx(t, other(t, "CREATE TABLE orders (id)"))
		}, sqlite.ErrNotMigrated},
		"of a file of an earlier version": {func(t *testing.T, _ *app) sqlite.Handle {
			return beginTx(t, other(t, "CREATE TABLE hooks_schema (version INTEGER NOT NULL); INSERT INTO hooks_schema VALUES (4)"))
		}, sqlite.ErrNotMigrated},
		"of a file of a later version": {func(t *testing.T, _ *app) sqlite.Handle {
			return beginTx(t, other(t, "CREATE TABLE hooks_schema (version INTEGER NOT NULL); INSERT INTO hooks_schema VALUES (99)"))
		}, sqlite.ErrNewerSchema},
		"of a read-only handle": {func(t *testing.T, a *app) sqlite.Handle {
			return beginTx(t, openDSN(t, "file:"+a.path+"?mode=ro"))
		}, sqlite.ErrReadOnly},
		"of a handle for queries only": {func(t *testing.T, a *app) sqlite.Handle {
			return beginTx(t, openDSN(t, "file:"+a.path+"?_query_only=1"))
		}, sqlite.ErrReadOnly},
		"of another driver": {func(*testing.T, *app) sqlite.Handle { return otherHandle{} }, sqlite.ErrOtherLibrary},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newApp(t)
			h := tt.handle(t, a)
			_, err := a.TriggerTx(t.Context(), a.store.Tx(h), paid("e"))
			var invalid *hooks.InvalidError
			if errors.As(tt.want, &invalid) {
				assert.ErrorAs(t, err, &invalid)
				assert.ErrorContains(t, err, tt.want.Error())
			} else {
				assert.ErrorIs(t, err, tt.want)
			}
			switch h := h.(type) {
			case *sql.Tx:
				if h != nil {
					_ = h.Commit()
				}
			case *sql.Conn:
				if h != nil {
					_, err := h.ExecContext(t.Context(), "COMMIT")
					assert.Equal(t, errors.Is(tt.want, hooks.ErrForeignTx), err == nil, "no transaction is left but its own")
				}
			}
			assert.False(t, a.stored(t, "e"))
			_, err = a.Trigger(t.Context(), paid("next"))
			assert.NoError(t, err, "no lock is left")
		})
	}
}

// otherHandle answers as another library does.
type otherHandle struct{}

func (otherHandle) QueryContext(context.Context, string, ...any) (*sql.Rows, error) {
	return nil, errors.New("SQL logic error: Safety level may not be changed inside a transaction (1)")
}

// A transaction that began with a read gets an error if another has written since.
func TestATransactionThatBeganWithARead(t *testing.T) {
	t.Parallel()
	read := func(t *testing.T, tx *sql.Tx) {
		var n int
		require.NoError(t, tx.QueryRowContext(t.Context(), "SELECT count(*) FROM orders").Scan(&n))
	}
	for _, journal := range []string{"WAL", "DELETE"} {
		t.Run(journal, func(t *testing.T) {
			t.Parallel()
			a := newApp(t)
			require.NoError(t, a.store.Close())
			execute(t, a.db, "PRAGMA journal_mode = "+journal)
			deferred := openDSN(t, "file:"+a.path+"?_busy_timeout=50")
			store := newStore(t, openDSN(t, "file:"+a.path+"?_busy_timeout=50"), sqlite.Options{})
			m, err := crashtest.NewManager(store, "", slog.New(slog.DiscardHandler), hooks.Observer{})
			require.NoError(t, err)
			trigger := func(tx *sql.Tx, id string) error {
				_, err := m.TriggerTx(t.Context(), store.Tx(tx), paid(id))
				return err
			}

			alone := beginTx(t, deferred)
			read(t, alone)
			require.NoError(t, trigger(alone, "alone"), "nobody else writes")
			require.NoError(t, alone.Commit())

			writer := beginTx(t, a.db)
			reader := beginTx(t, deferred)
			read(t, reader)
			err = trigger(reader, "while-another-writes")
			require.ErrorIs(t, err, sqlite.ErrReadFirst)
			assert.ErrorIs(t, err, sqlite.ErrBusy)
			assert.NotContains(t, err.Error(), "too long")
			assert.ErrorContains(t, err, "BEGIN IMMEDIATE")
			require.NoError(t, reader.Rollback())
			bare := beginTx(t, deferred)
			err = trigger(bare, "has-not-read")
			require.ErrorIs(t, err, sqlite.ErrBusy)
			assert.NotErrorIs(t, err, sqlite.ErrReadFirst)
			require.NoError(t, bare.Rollback())
			require.NoError(t, writer.Rollback())

			if journal == "WAL" { // otherwise, the write waits for the reader
				stale := beginTx(t, deferred)
				read(t, stale)
				execute(t, a.db, "INSERT INTO orders VALUES ('new')")
				err = trigger(stale, "stale")
				require.ErrorIs(t, err, sqlite.ErrReadFirst)
				assert.NotContains(t, err.Error(), "too long")
				require.NoError(t, stale.Rollback())
			}
			events, err := store.Events(t.Context(), "", []string{"alone", "while-another-writes", "has-not-read", "stale"})
			require.NoError(t, err)
			require.Len(t, events, 1)
			assert.Equal(t, "alone", events[0].ID)
		})
	}
}

// A store in memory knows its transactions.
func TestTransactionsOfADatabaseInMemory(t *testing.T) {
	t.Parallel()
	open := func(name string) (*sql.DB, *sqlite.Store) {
		db := openDSN(t, "file:"+name+"?mode=memory&cache=shared")
		return db, newStore(t, db, sqlite.Options{})
	}
	db, s := open(t.Name())
	otherDB, other := open(t.Name() + "-other")
	at := time.Now().UTC().Truncate(time.Millisecond)
	entries := []hooks.Entry{{Event: &hooks.Event{ID: "e", Type: "a", Time: at}}}
	tx, otherTx := beginTx(t, db), beginTx(t, otherDB)
	assert.ErrorIs(t, s.Tx(otherTx).Enqueue(t.Context(), at, entries), hooks.ErrForeignTx)
	assert.ErrorIs(t, other.Tx(tx).Enqueue(t.Context(), at, entries), hooks.ErrForeignTx)
	assert.NoError(t, s.Tx(tx).Enqueue(t.Context(), at, entries))
	assert.NoError(t, tx.Commit())
}

func BenchmarkTriggerTx(b *testing.B) {
	a := newApp(b)
	for _, events := range []int{1, 100} {
		b.Run(map[int]string{1: "one event", 100: "100 events"}[events], func(b *testing.B) {
			tx := beginTx(b, a.db)
			list := make([]hooks.Event, events)
			for i := range list {
				list[i] = hooks.Event{Type: "order.paid", Data: crashtest.Payload}
			}
			for b.Loop() {
				if _, err := a.TriggerTx(b.Context(), a.store.Tx(tx), list...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
