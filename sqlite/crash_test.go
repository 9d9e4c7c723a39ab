//go:build cgo

package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/sqlite"
)

// Processes are killed at random, and started again over the same file. What
// must hold afterwards needs no timing: each request is one for which there is an
// attempt in the log, or a lease that its owner was killed with.

// seedVariable repeats what a failed test has drawn.
const seedVariable = "HOOKS_SQLITE_SEED"

func newRandom(t *testing.T) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv(seedVariable); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("%s=%d", seedVariable, seed)
	return rand.New(rand.NewPCG(seed, seed))
}

// prepare makes a file with a hook for everything at the ledger, and a table of
// the application's, and returns its path.
func prepare(t *testing.T, l *ledger) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hooks.db")
	s, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	require.NoError(t, err)
	m, err := newManager(s, "", slog.New(slog.DiscardHandler), hooks.Observer{})
	require.NoError(t, err)
	_, err = m.Register(t.Context(), hooks.Hook{
		ID: "all", URL: l.URL, Events: []string{"*"},
		Timeout: lease / 2, Schedule: slices.Repeat([]time.Duration{100 * time.Millisecond}, 50),
	})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	db, err := sql.Open("sqlite3", applicationDSN(path))
	require.NoError(t, err)
	_, err = db.Exec("CREATE TABLE orders (id TEXT PRIMARY KEY)")
	require.NoError(t, err)
	require.NoError(t, db.Close())
	return path
}

// orphans are the leases of processes that were killed, by delivery and token.
type orphans map[string]map[int64]bool

// add adds what is leased, and returns how many of these leases are new.
func (o orphans) add(t *testing.T, s hooks.Store) (fresh int) {
	t.Helper()
	for _, d := range listed(t, s, hooks.Leased) {
		if o[d.ID] == nil {
			o[d.ID] = map[int64]bool{}
		}
		if !o[d.ID][d.Lease.Token] {
			o[d.ID][d.Lease.Token] = true
			fresh++
		}
	}
	return fresh
}

// autopsy adds what a killed process had leased. It looks at a copy of the file,
// so that the next process finds it as it was left.
func (o orphans) autopsy(t *testing.T, path string) {
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
	assert.LessOrEqual(t, o.add(t, s), maxLeased)
	require.NoError(t, s.Close())
	require.NoError(t, os.Remove(copied))
}

const (
	// maxRepeated bounds what is sent again after a kill: what was under way, and the
	// results that were not stored. The README says so.
	maxRepeated = 10 * inFlight
	// maxLeased bounds what a Manager has leased: what is in memory, and the results that
	// are not stored.
	maxLeased = 16*inFlight + maxRepeated
)

func checkIntegrity(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite3", path)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	var result string
	require.NoError(t, db.QueryRow("PRAGMA integrity_check").Scan(&result))
	require.Equal(t, "ok", result)
}

// listed returns the deliveries in these states, or all, oldest first.
func listed(t *testing.T, s hooks.Store, states ...hooks.State) []hooks.Delivery {
	t.Helper()
	page, err := s.Deliveries(t.Context(), hooks.LogQuery{
		States: states, PageQuery: hooks.PageQuery{OldestFirst: true, Limit: 1 << 20},
	})
	require.NoError(t, err)
	return page.Items
}

// drain delivers what is left, and returns all deliveries.
func drain(t *testing.T, path string) []hooks.Delivery {
	t.Helper()
	s := openAt(t, path)
	stored := make(chan struct{}, 1)
	m, err := newManager(s, "drain", slog.New(slog.NewTextHandler(t.Output(), nil)), hooks.Observer{
		Attempt: func(hooks.Delivery, hooks.Attempt, *hooks.Event) {
			select {
			case stored <- struct{}{}:
			default:
			}
		},
	})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	run, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- m.Run(run) }()
	for {
		open, err := s.Deliveries(ctx, hooks.LogQuery{
			States:    []hooks.State{hooks.Blocked, hooks.Pending, hooks.Leased},
			PageQuery: hooks.PageQuery{OldestFirst: true, Limit: 1},
		})
		require.NoError(t, err)
		if len(open.Items) == 0 {
			break
		}
		// Each of them ends with an attempt that is stored.
		select {
		case <-stored:
		case <-ctx.Done():
			require.Fail(t, "it is not delivered", "%+v", open.Items[0])
		}
	}
	stop()
	require.NoError(t, <-ended)
	return listed(t, s)
}

// audit checks what was received against what is stored and was acknowledged.
func (l *ledger) audit(t *testing.T, stored []hooks.Delivery, acknowledged []string, o orphans, kills int) {
	t.Helper()
	l.complete(t, stored, acknowledged, kills*maxRepeated)
	for _, d := range stored {
		assert.LessOrEqual(t, l.counts[d.EventID], d.Attempts+len(o[d.ID]),
			"%s was received too often: %d attempts, and killed with %v", d.EventID, d.Attempts, o[d.ID])
	}
}

// complete checks that all that was acknowledged is stored, that all that is stored was
// received, and that at most so many requests were repeated.
func (l *ledger) complete(t *testing.T, stored []hooks.Delivery, acknowledged []string, repeated int) {
	t.Helper()
	l.Close() // waits for requests of the dead
	require.NotEmpty(t, acknowledged)
	delivered := map[string]bool{}
	for _, d := range stored {
		delivered[d.EventID] = true
		assert.Equal(t, hooks.Succeeded, d.State, d.EventID)
		assert.Positive(t, l.counts[d.EventID], "%s was not received", d.EventID)
	}
	requests := 0
	for id, n := range l.counts {
		assert.True(t, delivered[id], "%s was received, but is not stored", id)
		requests += n
	}
	for _, id := range acknowledged {
		assert.True(t, delivered[id], "%s was acknowledged, but is not stored", id)
	}
	assert.LessOrEqual(t, requests-len(l.counts), repeated)
	t.Logf("%d events acknowledged, %d stored, %d requests", len(acknowledged), len(stored), requests)
}

// ordered checks that the events of each key were received in their order.
func (l *ledger) ordered(t *testing.T) {
	t.Helper()
	last, keyed := map[string]string{}, 0
	for _, id := range l.order {
		parts := strings.Split(id, "-")
		i, err := strconv.Atoi(parts[2])
		require.NoError(t, err, id)
		if i%8 != 0 {
			continue
		}
		keyed++
		assert.Less(t, last[parts[1]], id, "the order of their key")
		last[parts[1]] = id
	}
	assert.Positive(t, keyed)
}

// kills is how often a process is killed.
func kills() int {
	if testing.Short() {
		return 8
	}
	return 50
}

// killAtRandom starts one process after another and kills each at random: some
// while they are starting, the others in full work. It returns the IDs by what
// the processes said of them.
func killAtRandom(t *testing.T, path string, o orphans, shape func(task, *rand.Rand) task) map[string][]string {
	t.Helper()
	random := newRandom(t)
	said := map[string][]string{}
	for i := range kills() {
		w := task{Path: path, Name: fmt.Sprintf("k%02d", i), Synchronous: sqlite.Synchronous(random.IntN(2)), Callers: 16}
		p := start(t, shape(w, random))
		early := random.IntN(8) == 0
		if !early {
			select {
			case <-p.ready:
			case <-time.After(patience):
				require.Fail(t, "the process does not start")
			}
		}
		time.Sleep(time.Duration(20+random.IntN(180)) * time.Millisecond) // the moment is what is random
		p.killed()
		for what, ids := range p.said {
			said[what] = append(said[what], ids...)
		}
		o.autopsy(t, path)
	}
	return said
}

func TestNothingIsLostWhenProcessesAreKilled(t *testing.T) {
	t.Parallel()
	l, o := newLedger(t), orphans{}
	path := prepare(t, l)
	said := killAtRandom(t, path, o, func(w task, _ *rand.Rand) task { return w })
	l.audit(t, drain(t, path), said[sayTriggered], o, kills())
	l.ordered(t)
}

// An order is there if, and only if, its event was received.
func TestEventsGoWithTheTransactionWhenProcessesAreKilled(t *testing.T) {
	t.Parallel()
	l, o := newLedger(t), orphans{}
	path := prepare(t, l)
	said := killAtRandom(t, path, o, func(w task, random *rand.Rand) task {
		w.Outbox, w.Shared, w.Callers = true, random.IntN(2) == 0, 8
		return w
	})
	l.audit(t, drain(t, path), said[sayTriggered], o, kills())
	l.ordered(t)

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
	assert.Equal(t, orders, slices.Sorted(slices.Values(l.order)), "the orders, and what was received")
	assert.Subset(t, orders, said[sayTriggered])
	require.NotEmpty(t, said[sayRolledBack])
	assert.NotSubset(t, orders, said[sayRolledBack])
	for _, id := range said[sayRolledBack] {
		assert.Zero(t, l.counts[id], "%s was rolled back", id)
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
	l, o := newLedger(t), orphans{}
	path := prepare(t, l)
	s := openAt(t, path)
	m, err := newManager(s, "", slog.New(slog.DiscardHandler), hooks.Observer{})
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
						list[i] = hooks.Event{ID: fmt.Sprintf("e%05d", first+i), Type: "order.paid", Data: payload}
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
	processes := map[string]*process{}
	for _, name := range names {
		processes[name] = start(t, task{Path: path, Name: name, Gate: true})
	}
	for _, p := range processes {
		<-p.ready
		_, err := p.in.Write([]byte("go\n"))
		require.NoError(t, err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		trigger(events / 2)
	}()
	// There are ten times as many, so neither is kept from its share for long.
	share := events / 20
	l.waitFor(t, func(senders map[string]int, received int) bool {
		require.Less(t, received, events, "one process did nearly all: %v", senders)
		done := senders["one"] >= share && senders["two"] >= share
		if done {
			t.Logf("the first %d requests, by senders: %v", received, senders)
		}
		return done
	})
	processes["one"].killed()
	o.add(t, s) // with some of the other's, which are of no account
	<-done
	l.waitFor(t, func(_ map[string]int, received int) bool { return received == events })
	require.NoError(t, processes["two"].in.Close())
	require.NoError(t, processes["two"].wait())
	assert.Empty(t, processes["two"].stderr.String())
	require.NoError(t, s.(*sqlite.Store).Close())
	assert.Len(t, acknowledged, events)
	all := drain(t, path)
	l.audit(t, all, acknowledged, o, 1)
	for _, d := range all {
		assert.LessOrEqual(t, l.both[[2]string{"two", d.EventID}], d.Attempts, "%s was sent again by the one that lived", d.EventID)
	}
}
