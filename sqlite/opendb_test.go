//go:build cgo

package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/sqlite"
)

// settingsOf reads what a connection is set to.
func settingsOf(t *testing.T, db *sql.DB) map[string]string {
	t.Helper()
	c := connOf(t, db)
	settings := map[string]string{}
	for _, name := range []string{"journal_mode", "synchronous", "busy_timeout", "foreign_keys"} {
		var value string
		require.NoError(t, c.QueryRowContext(t.Context(), "PRAGMA "+name).Scan(&value))
		settings[name] = value
	}
	require.NoError(t, c.Close())
	return settings
}

// OpenDB and DSN lead to the file that the path names, whatever is in it, and to
// the same settings.
func TestOpenDBAndDSN(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"app.db", "with space", "a?b", "a#b", "a%20b", "100%", "a&b=c", "a+b", "a;b", "a:b", ":memory:", "file:x", "ü", "a\xffb", "'\"", "a?_journal_mode=DELETE",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), name)
			db := openDB(t, path)
			execute(t, db, "CREATE TABLE orders (id TEXT PRIMARY KEY)")
			assert.FileExists(t, path)
			twin := openDSN(t, sqlite.DSN(path))
			execute(t, twin, "INSERT INTO orders VALUES ('a')")
			double := openDSN(t, sqlite.DSN("/"+path)) // which begins with two slashes
			execute(t, double, "INSERT INTO orders VALUES ('b')")
			require.NoError(t, openAt(t, path).(*sqlite.Store).Close())
			entries, err := os.ReadDir(filepath.Dir(path))
			require.NoError(t, err)
			assert.Len(t, entries, 3, "the file and the two beside it")
			want := map[string]string{"journal_mode": "wal", "synchronous": "2", "busy_timeout": "5000", "foreign_keys": "1"}
			assert.Equal(t, want, settingsOf(t, db))
			assert.Equal(t, want, settingsOf(t, twin))
		})
	}
}

func TestDSNOfARelativePath(t *testing.T) {
	t.Chdir(t.TempDir())
	execute(t, openDSN(t, sqlite.DSN("a?b.db")), "CREATE TABLE orders (id)")
	assert.FileExists(t, "a?b.db")
	execute(t, openDB(t, "./:memory:"), "CREATE TABLE orders (id)")
	assert.FileExists(t, ":memory:")
}

// What was opened stays the same file when the process changes its directory.
func TestARelativePathAndAnotherDirectory(t *testing.T) {
	home, elsewhere := t.TempDir(), t.TempDir()
	t.Chdir(home)
	db := openDB(t, "app.db")
	s := openAt(t, "app.db").(*sqlite.Store)
	t.Chdir(elsewhere)
	db.SetMaxIdleConns(0) // Each use opens a connection.
	execute(t, db, "CREATE TABLE orders (id)")
	execute(t, db, "INSERT INTO orders VALUES ('a')")
	_, err := s.Hooks(t.Context(), hooks.HookQuery{})
	require.NoError(t, err)
	assert.NoFileExists(t, filepath.Join(elsewhere, "app.db"))
}

// Transactions that read, write and trigger do not fail beside each other and
// beside the store's own writes.
func TestManyTransactionsThatReadFirst(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	place := func(ctx context.Context, id string) error {
		tx, err := a.db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }()
		var n int
		if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM orders").Scan(&n); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO orders VALUES (?)", id); err != nil {
			return err
		}
		if _, err := a.TriggerTx(ctx, a.store.Tx(tx), paid(id)); err != nil {
			return err
		}
		return tx.Commit()
	}
	var callers sync.WaitGroup
	for caller := range 4 {
		callers.Go(func() {
			for _, id := range numbered(fmt.Sprintf("order%d-", caller), 10) {
				assert.NoError(t, place(t.Context(), id))
				_, err := a.Trigger(t.Context(), paid(id+"-own"))
				assert.NoError(t, err)
			}
		})
	}
	callers.Wait()
	var n int
	require.NoError(t, a.db.QueryRow("SELECT count(*) FROM orders").Scan(&n))
	assert.Equal(t, 40, n)
}

// What OpenDB cannot open, it says as Open does.
func TestOpenDBOfAFileThatIsNone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "text.db")
	require.NoError(t, os.WriteFile(path, []byte("this is no database, but a text that is long enough to be looked at"), 0o600))
	db, err := sqlite.OpenDB(t.Context(), path)
	assert.Nil(t, db)
	assert.ErrorIs(t, err, sqlite.ErrDamaged)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = sqlite.OpenDB(ctx, filepath.Join(t.TempDir(), "new.db"))
	assert.ErrorIs(t, err, context.Canceled)
}

// A handle of OpenDB and a store may be opened at the same time, also first.
func TestOpenDBAndOpenAtOnce(t *testing.T) {
	t.Parallel()
	for range 5 {
		path := filepath.Join(t.TempDir(), "app.db")
		var together sync.WaitGroup
		for i := range 6 {
			together.Go(func() {
				if i%2 == 0 {
					db, err := sqlite.OpenDB(t.Context(), path)
					if assert.NoError(t, err) {
						assert.NoError(t, db.Close())
					}
					return
				}
				s, err := sqlite.Open(t.Context(), path, sqlite.Options{})
				if assert.NoError(t, err) {
					at := time.Now().UTC()
					id := fmt.Sprint(i)
					assert.NoError(t, s.Enqueue(t.Context(), at, []hooks.Entry{{Event: &hooks.Event{ID: id, Type: "a", Time: at}}}))
					assert.NoError(t, s.Close())
				}
			})
		}
		together.Wait()
	}
}
