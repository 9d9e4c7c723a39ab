//go:build cgo

package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
	"github.com/seed-2c6e3a5a/hooks/internal/crashtest"
	"github.com/seed-2c6e3a5a/hooks/sqlite"
	"github.com/seed-2c6e3a5a/hooks/store/storetest"
)

// A harness is an application in a bubble, whose Manager runs on a file. Its methods
// end the test when something fails that should not.
type harness struct {
	*hooks.Manager
	t       *testing.T
	store   *sqlite.Store
	network *hookstest.Network
	// stop makes Run return.
	stop func()

	mu       sync.Mutex
	failures []error // what the observer was called with
}

// newHarness returns a harness whose Manager runs on s until the test ends.
func newHarness(t *testing.T, s *sqlite.Store, network *hookstest.Network, adjust ...func(*hooks.Config)) *harness {
	t.Helper()
	h := &harness{t: t, store: s, network: network}
	cfg := hooks.Config{
		Dial: network.Dial, AllowHTTP: true, DisableAfter: -1, Logger: slog.New(slog.DiscardHandler),
		Observer: hooks.Observer{Failure: func(err error) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.failures = append(h.failures, err)
		}},
	}
	for _, change := range adjust {
		change(&cfg)
	}
	var err error
	h.Manager, err = hooks.New(s, cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	h.stop = sync.OnceFunc(func() {
		cancel()
		assert.NoError(t, <-ended)
	})
	t.Cleanup(h.stop)
	synctest.Wait()
	return h
}

// seldom makes the Manager poll as rarely as it may, so that a test shows that the
// Manager does not depend on polls. Days also pass faster.
func seldom(c *hooks.Config) { c.PollInterval = time.Minute }

// openHarness returns a harness with a file of its own.
func openHarness(t *testing.T, adjust ...func(*hooks.Config)) *harness {
	t.Helper()
	s := openAt(t, filepath.Join(t.TempDir(), "hooks.db"))
	return newHarness(t, s.(*sqlite.Store), new(hookstest.Network), adjust...)
}

// restart stops the harness and returns another on the same file and network.
func (h *harness) restart(adjust ...func(*hooks.Config)) *harness {
	h.t.Helper()
	h.stop()
	require.NoError(h.t, h.store.Close())
	return newHarness(h.t, openAt(h.t, pathOf(h.t, h.store)).(*sqlite.Store), h.network, adjust...)
}

// endpoint registers a hook at a receiver of its own.
func (h *harness) endpoint(hook hooks.Hook, responses ...hookstest.Response) (*hookstest.Receiver, hooks.Hook) {
	h.t.Helper()
	if hook.Events == nil {
		hook.Events = []string{"*"}
	}
	r := h.network.Receiver(h.t, "receiver.example", responses...)
	hook.URL = r.URL
	hook, err := h.Register(h.t.Context(), hook)
	require.NoError(h.t, err)
	return r, hook
}

func (h *harness) trigger(events ...hooks.Event) {
	h.t.Helper()
	for _, e := range events {
		_, err := h.Trigger(h.t.Context(), e)
		require.NoError(h.t, err)
	}
}

// observed returns the failures that the observer was told of.
func (h *harness) observed() []error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.failures)
}

// paid returns an event with this ID.
func paid(id string) hooks.Event {
	return hooks.Event{ID: id, Type: "order.paid", Data: crashtest.Payload}
}

// numbered returns n event IDs.
func numbered(prefix string, n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("%s%02d", prefix, i)
	}
	return ids
}

func receivedIDs(r *hookstest.Receiver) []string {
	var ids []string
	for _, request := range r.Requests() {
		ids = append(ids, request.ID)
	}
	return ids
}

// pass lets time pass in a bubble, and waits for all that happens then.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// handle opens a handle of the application on a file, which is closed when the test
// ends. It keeps at most so many connections, and closes none.
func handle(t testing.TB, path string, connections int) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+path+"?_journal_mode=WAL&_txlock=immediate&_busy_timeout=20")
	require.NoError(t, err)
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// begin begins a transaction of the application. The wait of its handle is short: a commit
// of the store's may take longer on a busy machine.
func begin(t *testing.T, db *sql.DB) *sql.Tx {
	t.Helper()
	for range 500 {
		tx, err := db.BeginTx(t.Context(), nil)
		if busy := (sqlite3.Error{}); errors.As(err, &busy) && busy.Code == sqlite3.ErrBusy {
			continue
		}
		require.NoError(t, err)
		return tx
	}
	require.Fail(t, "the store is still writing")
	return nil
}

// onEach runs a statement on each connection that the handle may have.
func onEach(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	all := make([]*sql.Conn, db.Stats().MaxOpenConnections)
	for i := range all {
		var err error
		all[i], err = db.Conn(t.Context())
		require.NoError(t, err)
	}
	for _, c := range all {
		_, err := c.ExecContext(t.Context(), statement)
		require.NoError(t, err)
		require.NoError(t, c.Close())
	}
}

// newStore returns a store on a handle of the application.
func newStore(t testing.TB, db *sql.DB, o sqlite.Options) *sqlite.Store {
	t.Helper()
	require.NoError(t, sqlite.Migrate(t.Context(), db))
	s, err := sqlite.New(t.Context(), db, o)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.Close()) })
	return s
}

// sharing opens stores on handles of the application's.
var sharing = storetest.Harness{
	Open: func(t testing.TB) hooks.Store { return shareAt(t, filepath.Join(t.TempDir(), "hooks.db")) },
	Reopen: func(t testing.TB, s hooks.Store) hooks.Store {
		require.NoError(t, s.(*sqlite.Store).Close())
		return shareAt(t, pathOf(t, s))
	},
	Share: func(t testing.TB, s hooks.Store) hooks.Store { return shareAt(t, pathOf(t, s)) },
	Begin: files.Begin,
}

func shareAt(t testing.TB, path string) hooks.Store {
	t.Helper()
	db := handle(t, path, 4)
	s := newStore(t, db, sqlite.Options{})
	opened.Store(hooks.Store(s), path)
	return s
}

func TestStoreOnAHandle(t *testing.T) { storetest.Run(t, sharing) }
