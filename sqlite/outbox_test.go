//go:build cgo

package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
	"github.com/seed-2c6e3a5a/hooks/internal/crashtest"
	"github.com/seed-2c6e3a5a/hooks/sqlite"
)

// stores are the two ways to have one beside a handle of the application.
var stores = map[string]func(t *testing.T, db *sql.DB, path string) *sqlite.Store{
	"a store on the application's handle": func(t *testing.T, db *sql.DB, _ string) *sqlite.Store {
		return newStore(t, db, sqlite.Options{})
	},
	"a store with the file": func(t *testing.T, _ *sql.DB, path string) *sqlite.Store {
		return openAt(t, path).(*sqlite.Store)
	},
}

func TestTransactions(t *testing.T) {
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "hooks.db")
				db := handle(t, path, 8)
				h := newHarness(t, open(t, db, path), new(hookstest.Network))
				r, _ := h.endpoint(hooks.Hook{})
				_, err := db.Exec("CREATE TABLE orders (id TEXT PRIMARY KEY)")
				require.NoError(t, err)
				order := func(tx *sql.Tx, ids ...string) error {
					for _, id := range ids {
						_, err := tx.Exec("INSERT INTO orders VALUES (?)", id)
						require.NoError(t, err)
						if _, err := h.TriggerTx(t.Context(), h.store.Tx(tx), paid(id)); err != nil {
							return err
						}
					}
					return nil
				}
				orders := func() (n int) {
					require.NoError(t, db.QueryRow("SELECT count(*) FROM orders").Scan(&n))
					return n
				}

				tx := begin(t, db)
				require.NoError(t, order(tx, "never"))
				require.NoError(t, tx.Rollback())
				pass(time.Minute)
				assert.Empty(t, r.Requests())

				tx = begin(t, db)
				require.NoError(t, order(tx, "one", "two"))
				assert.Empty(t, r.Requests(), "nothing is sent before the commit")
				require.NoError(t, tx.Commit())
				committed := time.Now()
				for _, request := range r.Wait(2) {
					assert.LessOrEqual(t, request.ReceivedAt.Sub(committed), 200*time.Millisecond)
				}

				// A refused event leaves the transaction usable.
				tx = begin(t, db)
				require.NoError(t, order(tx, "three", "two-again", "one-again"))
				_, err = h.TriggerTx(t.Context(), h.store.Tx(tx), paid("four"), paid("two"))
				require.ErrorIs(t, err, hooks.ErrDuplicate)
				_, err = h.TriggerTx(t.Context(), h.store.Tx(tx), paid("five"))
				require.NoError(t, err)
				require.NoError(t, tx.Commit())
				committed = time.Now()
				for _, request := range r.Wait(6)[2:] {
					assert.LessOrEqual(t, request.ReceivedAt.Sub(committed), 200*time.Millisecond)
				}

				_, err = h.TriggerTx(t.Context(), h.store.Tx(tx), paid("late"))
				assert.ErrorIs(t, err, sql.ErrTxDone)
				pass(time.Minute)
				want := []string{"five", "one", "one-again", "three", "two", "two-again"}
				assert.Equal(t, want, slices.Sorted(slices.Values(receivedIDs(r))))
				assert.Equal(t, 5, orders())
				assert.Empty(t, h.observed())
			})
		})
	}
}

// held is how long a transaction holds the others up: in virtual time, of which a
// millisecond takes twenty of real time while somebody waits for a lock.
const held = 3 * time.Second

// While a transaction of the application writes, triggers wait for it.
func TestTriggersWaitForATransaction(t *testing.T) {
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "hooks.db")
				db := handle(t, path, 8)
				h := newHarness(t, open(t, db, path), new(hookstest.Network))
				r, _ := h.endpoint(hooks.Hook{})
				ids := numbered("e", 8)

				tx := begin(t, db)
				_, err := h.TriggerTx(t.Context(), h.store.Tx(tx), paid("with"))
				require.NoError(t, err)
				began := time.Now()
				returned := make(chan error, len(ids))
				for _, id := range ids {
					go func() {
						_, err := h.Trigger(t.Context(), paid(id))
						returned <- err
					}()
				}
				time.Sleep(held)
				assert.Empty(t, returned)
				require.NoError(t, tx.Commit())
				for range ids {
					assert.NoError(t, <-returned)
				}
				assert.Less(t, time.Since(began), held+time.Second)
				r.Wait(len(ids) + 1)
				pass(time.Second)
				assert.Len(t, r.Requests(), len(ids)+1)
				assert.Empty(t, h.observed())
			})
		})
	}
}

// A trigger in a transaction that is cut off leaves nothing in it, so that it may
// be committed without.
func TestATriggerInATransactionThatIsCutOff(t *testing.T) {
	t.Parallel()
	w := &watched{path: filepath.Join(t.TempDir(), "hooks.db")}
	db := sql.OpenDB(w)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	_, err := db.Exec("PRAGMA journal_mode = WAL; CREATE TABLE orders (id INTEGER PRIMARY KEY)")
	require.NoError(t, err)
	s := newStore(t, db, sqlite.Options{})
	m, err := crashtest.NewManager(s, "", slog.New(slog.DiscardHandler), hooks.Observer{})
	require.NoError(t, err)
	_, err = m.Register(t.Context(), hooks.Hook{URL: "http://127.0.0.1:1024", Events: []string{"*"}})
	require.NoError(t, err)
	count := func(table string) (n int) {
		require.NoError(t, db.QueryRow("SELECT count(*) FROM "+table).Scan(&n))
		return n
	}
	const events = 5
	complete := false
	for inserts := 1; !complete; inserts++ {
		require.Less(t, inserts, 10*events)
		tx := begin(t, db)
		_, err := tx.Exec("INSERT INTO orders DEFAULT VALUES")
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		w.afterInserts(inserts, cancel)
		list := make([]hooks.Event, events)
		for i, id := range numbered(fmt.Sprintf("e%d-", inserts), events) {
			list[i] = paid(id)
		}
		_, err = m.TriggerTx(ctx, s.Tx(tx), list...)
		complete = err == nil
		w.afterInserts(0, nil)
		cancel()
		if err != nil {
			assert.ErrorIs(t, err, context.Canceled)
		}
		orders := count("orders")
		// SQLite may have rolled it all back.
		if err := tx.Commit(); err != nil {
			assert.Equal(t, orders, count("orders"))
			_ = tx.Rollback()
		}
		if !complete {
			assert.Zero(t, count("hooks_events"), "after %d inserts", inserts)
			assert.Zero(t, count("hooks_deliveries"), "after %d inserts", inserts)
		}
	}
	assert.Equal(t, events, count("hooks_events"))
	assert.Equal(t, events, count("hooks_deliveries"))
}
