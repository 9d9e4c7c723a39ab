//go:build cgo

package sqlite_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/internal/crashtest"
	"github.com/seed-2c6e3a5a/hooks/sqlite"
)

var purgeStart = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// live enqueues, claims and settles n deliveries at a time, a millisecond for each
// step, and returns the time when they have ended.
func live(t testing.TB, s hooks.Store, at time.Time, n int) time.Time {
	t.Helper()
	const step = 500
	for ; n > 0; n -= step {
		at = at.Add(time.Millisecond)
		entries := make([]hooks.Entry, min(n, step))
		for i := range entries {
			e := &hooks.Event{ID: uuid.NewString(), Type: "order.paid", Time: at, Data: crashtest.Payload}
			d := hooks.Delivery{ID: uuid.NewString(), HookID: "hook", State: hooks.Pending, Due: at, CreatedAt: at}
			entries[i] = hooks.Entry{Event: e, Deliveries: []hooks.Delivery{d}}
		}
		require.NoError(t, s.Enqueue(t.Context(), at, entries))
		claimed, _, err := s.Claim(t.Context(), hooks.ClaimRequest{Owner: "o", Now: at, Until: at.Add(time.Minute), Limit: hooks.Capacity{Deliveries: step}})
		require.NoError(t, err)
		require.Len(t, claimed, len(entries))
		settlements := make([]hooks.Settlement, len(claimed))
		for i, c := range claimed {
			settlements[i] = hooks.Settlement{
				DeliveryID: c.Delivery.ID, Token: c.Delivery.Lease.Token, State: hooks.Succeeded,
				Attempt: &hooks.Attempt{
					DeliveryID: c.Delivery.ID, Number: 1, HookID: "hook", StartedAt: at, State: hooks.Succeeded,
					Request:  hooks.AttemptRequest{Method: "POST", URL: "https://example.com", Header: http.Header{"Content-Type": {"application/json"}}},
					Response: hooks.AttemptResponse{Status: 200, Body: []byte("thank you")},
				},
			}
		}
		_, err = s.Settle(t.Context(), at, settlements)
		require.NoError(t, err)
	}
	return at
}

// purge removes all that is older, and returns how much that was.
func purge(t testing.TB, s hooks.Store, before time.Time) (removed int) {
	t.Helper()
	const limit = 500
	for {
		n, err := s.Purge(t.Context(), hooks.PurgeRequest{Before: before, Limit: limit})
		require.NoError(t, err)
		removed += n
		if n < limit {
			return removed
		}
	}
}

func pageCount(t testing.TB, db *sql.DB) (pages int) {
	t.Helper()
	require.NoError(t, db.QueryRow("PRAGMA page_count").Scan(&pages))
	return pages
}

// A watched database records each commit.
type watched struct {
	path string
	mu   sync.Mutex
	now  changes
	all  []changes
	// left is after how many more inserts then is called. 0: never.
	left int
	then func()
}

// Changes are the rows that a transaction has inserted and deleted.
type changes struct{ inserted, deleted int }

// Connect implements [driver.Connector].
func (w *watched) Connect(context.Context) (driver.Conn, error) { return w.Driver().Open(w.path) }

// Driver implements [driver.Connector].
func (w *watched) Driver() driver.Driver {
	return &sqlite3.SQLiteDriver{ConnectHook: func(c *sqlite3.SQLiteConn) error {
		c.RegisterUpdateHook(func(operation int, _, _ string, _ int64) {
			w.mu.Lock()
			defer w.mu.Unlock()
			switch operation {
			case sqlite3.SQLITE_INSERT:
				w.now.inserted++
				if w.left--; w.left == 0 {
					w.then()
				}
			case sqlite3.SQLITE_DELETE:
				w.now.deleted++
			}
		})
		c.RegisterCommitHook(func() int {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.all = append(w.all, w.now)
			w.now = changes{}
			return 0
		})
		return nil
	}}
}

// afterInserts has then called in the middle of the n-th insert from now on.
func (w *watched) afterInserts(n int, then func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.left, w.then = n, then
}

// take returns the commits since the last call.
func (w *watched) take() []changes {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.all
	w.all = nil
	return all
}

// A purge is many short transactions, and those who want to write come in between.
func TestPurgeLetsOthersIn(t *testing.T) {
	t.Parallel()
	w := &watched{path: filepath.Join(t.TempDir(), "hooks.db")}
	db := sql.OpenDB(w)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	_, err := db.Exec("PRAGMA journal_mode = WAL")
	require.NoError(t, err)
	s := newStore(t, db, sqlite.Options{Synchronous: sqlite.Normal})
	at, between := purgeStart, 0
	// One Purge is enough, unless nobody happens to want to write meanwhile.
	for round := 0; round < 100 && between == 0; round++ {
		at = live(t, s, at, 500)
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				e := &hooks.Event{ID: fmt.Sprintf("%d-%d", round, i), Type: "a", Time: at.Add(time.Hour)}
				assert.NoError(t, s.Enqueue(t.Context(), at.Add(time.Hour), []hooks.Entry{{Event: e}}))
			}
		}()
		w.take()
		removed, err := s.Purge(t.Context(), hooks.PurgeRequest{Before: at.Add(time.Second), Limit: 500})
		require.NoError(t, err)
		assert.Equal(t, 500, removed)
		commits := w.take()
		close(stop)
		<-stopped
		first, last := -1, -1
		for i, c := range commits {
			// A delivery is a row, and so are its event and its attempt; many have a request in common.
			assert.LessOrEqual(t, c.deleted, 3*25+10)
			if c.deleted > 0 {
				if first < 0 {
					first = i
				}
				last = i
			}
		}
		require.GreaterOrEqual(t, first, 0)
		for i := first + 1; i < last; i++ {
			between += commits[i].inserted
		}
		purge(t, s, at.Add(time.Second))
	}
	assert.Positive(t, between)
}

// Room in the file that was freed is used again.
func TestTheFileIsUsedAgain(t *testing.T) {
	t.Parallel()
	perCycle := 5000
	if testing.Short() {
		perCycle = 2000
	}
	path := filepath.Join(t.TempDir(), "hooks.db")
	s, err := sqlite.Open(t.Context(), path, sqlite.Options{Synchronous: sqlite.Normal})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.Close()) })
	db := handle(t, path, 1)
	at, pages := purgeStart, 0
	for cycle := range 5 {
		at = live(t, s, at, perCycle)
		assert.Equal(t, perCycle, purge(t, s, at.Add(time.Second)))
		now := pageCount(t, db)
		if cycle == 0 {
			pages = now
		}
		assert.LessOrEqual(t, now, pages+pages/5, "in cycle %d", cycle)
		wal, err := os.Stat(path + "-wal")
		require.NoError(t, err)
		assert.Less(t, wal.Size(), int64(64<<20), "the write-ahead log, after cycle %d", cycle)
	}
	var left int
	for _, table := range []string{"events", "deliveries", "attempts", "requests", "log", "lanes"} {
		require.NoError(t, db.QueryRow("SELECT count(*) FROM hooks_"+table).Scan(&left))
		assert.Zero(t, left, table)
	}
	checkIntegrity(t, path)
}

// A hook may have an eighth more than is to be kept before any of it is removed.
// Whoever has written it, it is counted.
func TestAHookKeepsSoManyDeliveries(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "hooks.db")
	s, other := openAt(t, path), openAt(t, path)
	count := func() int {
		page, err := s.Deliveries(t.Context(), hooks.LogQuery{HookID: "hook", PageQuery: hooks.PageQuery{CountTo: 10_000}})
		require.NoError(t, err)
		return page.Total
	}
	shorten := func(s hooks.Store) {
		for n := 30; n == 30; {
			var err error
			n, err = s.Purge(t.Context(), hooks.PurgeRequest{KeepPerHook: 80, Limit: 30})
			require.NoError(t, err)
		}
	}
	at := live(t, s, purgeStart, 90)
	shorten(s)
	assert.Equal(t, 90, count())
	at = live(t, s, at, 1)
	shorten(s)
	assert.Equal(t, 80, count())
	at = live(t, other, at.Add(time.Minute), 300)
	shorten(s)
	assert.Equal(t, 80, count())
	live(t, s, at.Add(-time.Second), 5) // late, but not too late
	live(t, s, at, 6)
	shorten(s)
	assert.Equal(t, 80, count())
	shorten(other)
	assert.Equal(t, 80, count(), "there is nothing left to remove")
	for _, table := range []string{"events", "deliveries", "attempts"} {
		var left int
		require.NoError(t, handle(t, path, 1).QueryRow("SELECT count(*) FROM hooks_"+table).Scan(&left))
		assert.Equal(t, 80, left, table)
	}
}

// What comes after a purge that has removed everything is logged with its request, although the
// store has had the same request before.
func TestRequestsAfterAPurgeOfAll(t *testing.T) {
	t.Parallel()
	s := files.Open(t)
	at := purgeStart
	for range 3 {
		at = live(t, s, at, 2)
		page, err := s.Attempts(t.Context(), hooks.LogQuery{})
		require.NoError(t, err)
		require.Len(t, page.Items, 2)
		assert.Equal(t, "https://example.com", page.Items[0].Request.URL)
		purge(t, s, at.Add(time.Hour))
	}
}
