//go:build cgo

package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/sqlite"
	"github.com/seed-2c6e3a5a/hooks/store/storetest"
)

// opened knows which file each store of a test is of.
var opened sync.Map

func openAt(t testing.TB, path string) hooks.Store {
	t.Helper()
	s, err := sqlite.Open(context.Background(), path, sqlite.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	opened.Store(hooks.Store(s), path)
	return s
}

func pathOf(t testing.TB, s hooks.Store) string {
	t.Helper()
	path, ok := opened.Load(s)
	require.True(t, ok)
	return path.(string)
}

// files opens files of their own.
var files = storetest.Harness{
	Open: func(t testing.TB) hooks.Store { return openAt(t, filepath.Join(t.TempDir(), "hooks.db")) },
	Reopen: func(t testing.TB, s hooks.Store) hooks.Store {
		require.NoError(t, s.(*sqlite.Store).Close())
		return openAt(t, pathOf(t, s))
	},
	Share: func(t testing.TB, s hooks.Store) hooks.Store { return openAt(t, pathOf(t, s)) },
	Begin: func(t testing.TB, s hooks.Store) (hooks.Tx, func(commit bool)) {
		db, err := sql.Open("sqlite3", pathOf(t, s)+"?_txlock=immediate")
		require.NoError(t, err)
		tx, err := db.Begin()
		require.NoError(t, err)
		return s.(*sqlite.Store).Tx(tx), func(commit bool) {
			end := tx.Rollback
			if commit {
				end = tx.Commit
			}
			require.NoError(t, end())
			require.NoError(t, db.Close())
		}
	},
}

func TestStore(t *testing.T) { storetest.Run(t, files) }

// disks are files that can lose power: the disk of each has what its store has waited for.
var disks = storetest.Harness{
	Open: func(t testing.TB) hooks.Store { return openDisk(t, filepath.Join(t.TempDir(), "hooks.db")) },
	Reopen: func(t testing.TB, s hooks.Store) hooks.Store {
		require.NoError(t, s.(*sqlite.Store).Close())
		return openDisk(t, pathOf(t, s))
	},
	LosePower: func(t testing.TB, s hooks.Store) hooks.Store {
		path := filepath.Join(t.TempDir(), "hooks.db")
		copyFiles(t, pathOf(t, s)+".disk", path)
		require.NoError(t, s.(*sqlite.Store).Close())
		return openDisk(t, path)
	},
	Relaxed: true,
}

// openDisk opens a file, of which there is always a copy as the disk has it. Reading the file
// drops its locks, but no other process has opened it.
func openDisk(t testing.TB, path string) hooks.Store {
	t.Helper()
	s := openAt(t, path)
	keep := func() { copyFiles(t, path, path+".disk") }
	keep()
	s.(*sqlite.Store).OnSync(keep)
	return s
}

// copyFiles copies a database and its write-ahead log.
func copyFiles(t testing.TB, from, to string) {
	t.Helper()
	for _, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(from + suffix)
		if errors.Is(err, fs.ErrNotExist) {
			err = os.Remove(to + suffix)
			if errors.Is(err, fs.ErrNotExist) {
				err = nil
			}
		} else if err == nil {
			err = os.WriteFile(to+suffix, content, 0o600)
		}
		require.NoError(t, err)
	}
}

func TestStoreThatLosesPower(t *testing.T) { storetest.Run(t, disks) }

func TestStoreInBubble(t *testing.T) {
	h := files
	h.Around = synctest.Test
	storetest.Run(t, h)
}

func BenchmarkStore(b *testing.B) { storetest.Bench(b, files) }
