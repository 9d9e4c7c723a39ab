//go:build cgo

package sqlite_test

import (
	"context"
	"database/sql"
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

func TestStoreInBubble(t *testing.T) {
	h := files
	h.Around = synctest.Test
	storetest.Run(t, h)
}

func BenchmarkStore(b *testing.B) { storetest.Bench(b, files) }
