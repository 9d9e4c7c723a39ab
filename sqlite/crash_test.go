//go:build cgo

package sqlite_test

import (
	"database/sql"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/internal/crashtest"
	"github.com/seed-2c6e3a5a/hooks/sqlite"
)

// Processes are killed at random, and started again over the same file. What
// must hold afterwards needs no timing: each request is one for which there is an
// attempt in the log, or a lease that its owner was killed with.

// prepare makes a file with a hook for everything at the ledger, and a table of
// the application's, and returns its path.
func prepare(t *testing.T, l *crashtest.Ledger) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hooks.db")
	s, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	require.NoError(t, err)
	crashtest.Register(t, s, l)
	require.NoError(t, s.Close())
	db, err := sql.Open("sqlite3", applicationDSN(path))
	require.NoError(t, err)
	_, err = db.Exec("CREATE TABLE orders (id TEXT PRIMARY KEY)")
	require.NoError(t, err)
	require.NoError(t, db.Close())
	return path
}

// autopsy adds to o what a killed process had leased. It looks at a copy of the file,
// so that the next process finds it as it was left.
func autopsy(t *testing.T, o crashtest.Orphans, path string) {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "copy.db")
	for _, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(path + suffix)
		if suffix == "-wal" && os.IsNotExist(err) {
			continue // It was killed before it had opened the file.
		}
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(copied+suffix, content, 0o600))
	}
	checkIntegrity(t, copied)
	s, err := sqlite.Open(t.Context(), copied, sqlite.Options{Synchronous: sqlite.Normal})
	require.NoError(t, err)
	assert.LessOrEqual(t, o.Add(t, s), crashtest.MaxLeased)
	require.NoError(t, s.Close())
	require.NoError(t, os.Remove(copied))
}

func checkIntegrity(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite3", path)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	var result string
	require.NoError(t, db.QueryRow("PRAGMA integrity_check").Scan(&result))
	require.Equal(t, "ok", result)
}

// drain delivers what is left, and returns all deliveries.
func drain(t *testing.T, path string) []hooks.Delivery {
	t.Helper()
	return crashtest.Drain(t, openAt(t, path))
}

// killAtRandom starts one process after another and kills each at random: some
// while they are starting, the others in full work. It returns the IDs by what
// the processes said of them.
func killAtRandom(t *testing.T, path string, o crashtest.Orphans, shape func(task, *rand.Rand) task) map[string][]string {
	t.Helper()
	random := crashtest.NewRandom(t)
	said := map[string][]string{}
	for i := range crashtest.Kills() {
		w := task{Path: path, Name: fmt.Sprintf("k%02d", i), Synchronous: sqlite.Synchronous(random.IntN(2)), Callers: 16}
		p := crashtest.Start(t, shape(w, random))
		early := random.IntN(8) == 0
		if !early {
			select {
			case <-p.Ready:
			case <-time.After(crashtest.Patience):
				require.Fail(t, "the process does not start")
			}
		}
		time.Sleep(time.Duration(20+random.IntN(180)) * time.Millisecond) // the moment is what is random
		p.Killed()
		for what, ids := range p.Said {
			said[what] = append(said[what], ids...)
		}
		autopsy(t, o, path)
	}
	return said
}

func TestNothingIsLostWhenProcessesAreKilled(t *testing.T) {
	t.Parallel()
	l, o := crashtest.NewLedger(t), crashtest.Orphans{}
	path := prepare(t, l)
	said := killAtRandom(t, path, o, func(w task, _ *rand.Rand) task { return w })
	l.Audit(t, drain(t, path), said[crashtest.Triggered], o, crashtest.Kills())
	l.Ordered(t)
}

// An order is there if, and only if, its event was received.
func TestEventsGoWithTheTransactionWhenProcessesAreKilled(t *testing.T) {
	t.Parallel()
	l, o := crashtest.NewLedger(t), crashtest.Orphans{}
	path := prepare(t, l)
	said := killAtRandom(t, path, o, func(w task, random *rand.Rand) task {
		w.Outbox, w.Shared, w.Callers = true, random.IntN(2) == 0, 8
		return w
	})
	l.Audit(t, drain(t, path), said[crashtest.Triggered], o, crashtest.Kills())
	l.Ordered(t)

	db, err := sql.Open("sqlite3", applicationDSN(path))
	require.NoError(t, err)
	defer func() { assert.NoError(t, db.Close()) }()
	var orders []string
	rows, err := db.Query("SELECT id FROM orders ORDER BY id")
	require.NoError(t, err)
	defer func() { assert.NoError(t, rows.Close()) }()
	for rows.Next() {
		var id string
		require.NoError(t, rows.Scan(&id))
		orders = append(orders, id)
	}
	require.NoError(t, rows.Err())
	assert.Equal(t, orders, slices.Sorted(slices.Values(l.Order)), "the orders, and what was received")
	assert.Subset(t, orders, said[crashtest.Triggered])
	require.NotEmpty(t, said[crashtest.RolledBack])
	assert.NotSubset(t, orders, said[crashtest.RolledBack])
	for _, id := range said[crashtest.RolledBack] {
		assert.Zero(t, l.Counts[id], "%s was rolled back", id)
	}
}

// Two processes deliver what a third one triggers, and one of them is killed.
func TestTwoProcessesShareTheWork(t *testing.T) {
	t.Parallel()
	events := 20_000
	if testing.Short() {
		events = 4000
	}
	const batch = 50
	l, o := crashtest.NewLedger(t), crashtest.Orphans{}
	path := prepare(t, l)
	s := openAt(t, path)
	m, err := crashtest.NewManager(s, "", slog.New(slog.DiscardHandler), hooks.Observer{})
	require.NoError(t, err)
	var mu sync.Mutex
	var acknowledged []string
	trigger := func(n int) {
		ids := make(chan int)
		var callers sync.WaitGroup
		for range 4 {
			callers.Go(func() {
				for first := range ids {
					list := make([]hooks.Event, batch)
					for i := range list {
						list[i] = hooks.Event{ID: fmt.Sprintf("e%05d", first+i), Type: "order.paid", Data: crashtest.Payload}
					}
					receipts, err := m.TriggerBatch(t.Context(), list...)
					assert.NoError(t, err)
					mu.Lock()
					for _, r := range receipts {
						acknowledged = append(acknowledged, r.EventID)
					}
					mu.Unlock()
				}
			})
		}
		for end := len(acknowledged) + n; n > 0; n -= batch {
			ids <- end - n
		}
		close(ids)
		callers.Wait()
	}

	trigger(events / 2)
	names := []string{"one", "two"}
	processes := map[string]*crashtest.Process{}
	for _, name := range names {
		processes[name] = crashtest.Start(t, task{Path: path, Name: name, Gate: true})
	}
	for _, p := range processes {
		<-p.Ready
		_, err := p.In.Write([]byte("go\n"))
		require.NoError(t, err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		trigger(events / 2)
	}()
	// There are ten times as many, so neither is kept from its share for long.
	share := events / 20
	l.WaitFor(t, func(senders map[string]int, received int) bool {
		require.Less(t, received, events, "one process did nearly all: %v", senders)
		done := senders["one"] >= share && senders["two"] >= share
		if done {
			t.Logf("the first %d requests, by senders: %v", received, senders)
		}
		return done
	})
	processes["one"].Killed()
	o.Add(t, s) // with some of the other's, which are of no account
	<-done
	l.WaitFor(t, func(_ map[string]int, received int) bool { return received == events })
	require.NoError(t, processes["two"].In.Close())
	require.NoError(t, processes["two"].Wait())
	assert.Empty(t, processes["two"].Stderr.String())
	require.NoError(t, s.(*sqlite.Store).Close())
	assert.Len(t, acknowledged, events)
	all := drain(t, path)
	l.Audit(t, all, acknowledged, o, 1)
	for _, d := range all {
		assert.LessOrEqual(t, l.Both[[2]string{"two", d.EventID}], d.Attempts, "%s was sent again by the one that lived", d.EventID)
	}
}
