//go:build cgo

package sqlite_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/sqlite"
)

// maxLog is what the documentation of Open says.
const maxLog = 40 << 20

func logSize(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path + "-wal")
	require.NoError(t, err)
	return info.Size()
}

// readForLong begins to read, as a backup does, and returns what ends it.
func readForLong(t *testing.T, path string) (end func()) {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+path)
	require.NoError(t, err)
	tx, err := db.BeginTx(context.Background(), &sql.TxOptions{ReadOnly: true})
	require.NoError(t, err)
	var events int
	require.NoError(t, tx.QueryRow("SELECT count(*) FROM hooks_events").Scan(&events))
	return func() {
		require.NoError(t, tx.Rollback())
		require.NoError(t, db.Close())
	}
}

// write stores n events of a megabyte each.
func write(t *testing.T, s hooks.Store, name string, n int) {
	t.Helper()
	data := json.RawMessage(`"` + strings.Repeat("x", 1<<20) + `"`)
	for i := range n {
		e := &hooks.Event{ID: fmt.Sprintf("%s-%d", name, i), Type: "a", Time: purgeStart, Data: data}
		require.NoError(t, s.Enqueue(t.Context(), purgeStart, []hooks.Entry{{Event: e}}))
	}
}

func openNormal(t *testing.T) (s *sqlite.Store, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "hooks.db")
	s, err := sqlite.Open(t.Context(), path, sqlite.Options{Synchronous: sqlite.Normal})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.Close()) })
	return s, path
}

func TestTheLogIsCutWhenNobodyWrites(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, path := openNormal(t)
		end := readForLong(t, path)
		write(t, s, "burst", 60)
		time.Sleep(time.Minute)
		assert.Greater(t, logSize(t, path), int64(60<<20), "while somebody reads")
		end()
		time.Sleep(10 * time.Second)
		assert.LessOrEqual(t, logSize(t, path), int64(maxLog))
		events, err := s.Events(t.Context(), "", []string{"burst-0", "burst-59"})
		require.NoError(t, err)
		assert.Len(t, events, 2)
	})
}

func TestTheLogIsCutByTheNextWrites(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, path := openNormal(t)
		end := readForLong(t, path)
		write(t, s, "burst", 60)
		end()
		write(t, s, "next", 2)
		assert.LessOrEqual(t, logSize(t, path), int64(maxLog), "without any time having passed")
	})
}

// What is in the log of a file that was replaced does not get into the one that has
// taken its place, such as a backup that was put back.
func TestAFileThatTakesThePlaceStaysAsItIs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, path := openNormal(t)
		write(t, s, "lost", 3)
		backup := filled(t)
		want := contentOf(t, backup)[backup]
		require.NoError(t, os.Rename(backup, path))
		time.Sleep(time.Minute)
		assert.Equal(t, want, contentOf(t, path)[path])
		require.NoError(t, s.Close())
		assert.Equal(t, want, contentOf(t, path)[path])
	})
}
