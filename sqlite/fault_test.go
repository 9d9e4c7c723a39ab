//go:build cgo

package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
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

// Whatever happens to the file: the caller gets an error that says what it is, what was
// acknowledged is delivered, what was refused is not, and when the fault is over
// the Manager goes on by itself.

// sharedHarness returns a harness whose store is on a handle of the application with so many
// connections.
func sharedHarness(t *testing.T, connections int, adjust ...func(*hooks.Config)) (*harness, *sql.DB) {
	t.Helper()
	db := handle(t, filepath.Join(t.TempDir(), "hooks.db"), connections)
	return newHarness(t, newStore(t, db, sqlite.Options{}), new(hookstest.Network), adjust...), db
}

// A fault is something that a test can make connections suffer from.
func TestFaultsThatEnd(t *testing.T) {
	pages := func(t *testing.T, db *sql.DB) (n int) {
		require.NoError(t, db.QueryRow("PRAGMA page_count").Scan(&n))
		return n
	}
	for name, fault := range map[string]struct {
		want       error
		begin, end func(t *testing.T, db *sql.DB)
	}{
		"full": {
			want: sqlite.ErrFull,
			begin: func(t *testing.T, db *sql.DB) {
				onEach(t, db, fmt.Sprintf("PRAGMA max_page_count = %d", pages(t, db)+20))
			},
			end: func(t *testing.T, db *sql.DB) { onEach(t, db, "PRAGMA max_page_count = 1000000") },
		},
		"read-only": {
			want:  sqlite.ErrReadOnly,
			begin: func(t *testing.T, db *sql.DB) { onEach(t, db, "PRAGMA query_only = 1") },
			end:   func(t *testing.T, db *sql.DB) { onEach(t, db, "PRAGMA query_only = 0") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h, db := sharedHarness(t, 4)
				r, _ := h.endpoint(hooks.Hook{}, hookstest.Status(200).After(time.Second))
				// What was triggered before is under way when the fault begins.
				acknowledged := numbered("before", 10)
				for _, id := range acknowledged {
					h.trigger(paid(id))
				}
				r.Wait(1)
				fault.begin(t, db)

				var mu sync.Mutex
				var refused []string
				var callers sync.WaitGroup
				for caller := range 8 {
					callers.Go(func() {
						for _, id := range numbered(fmt.Sprintf("during%d-", caller), 20) {
							e := paid(id)
							e.Data = []byte(`"` + strings.Repeat("x", 1000) + `"`)
							_, err := h.Trigger(t.Context(), e)
							mu.Lock()
							if err == nil {
								acknowledged = append(acknowledged, id)
							} else {
								assert.ErrorIs(t, err, fault.want)
								refused = append(refused, id)
							}
							mu.Unlock()
						}
					})
				}
				callers.Wait()
				require.NotEmpty(t, refused)
				pass(10 * time.Second)
				assert.NotEmpty(t, h.observed())
				for _, err := range h.observed() {
					assert.ErrorIs(t, err, fault.want)
				}
				events, err := h.store.Events(t.Context(), "", refused)
				require.NoError(t, err)
				assert.Empty(t, events, "nothing of what was refused is stored")

				fault.end(t, db)
				pass(10 * time.Second)
				told := len(h.observed())
				got := receivedIDs(r)
				slices.Sort(got)
				slices.Sort(acknowledged)
				assert.Equal(t, acknowledged, got, "once each, for the leases had not ended")
				for _, id := range refused {
					h.trigger(paid(id))
				}
				pass(10 * time.Second)
				assert.Len(t, r.Requests(), len(acknowledged)+len(refused))
				for _, d := range crashtest.Listed(t, h.store) {
					assert.Equal(t, hooks.Succeeded, d.State, d.EventID)
				}
				assert.Len(t, h.observed(), told, "it is over")
			})
		})
	}
}

// Another writer holds the lock for longer than the store is to wait.
func TestALockThatIsHeldForTooLong(t *testing.T) {
	t.Parallel()
	response := make(chan struct{})
	l := crashtest.NewLedger(t)
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-response
		l.ServeHTTP(w, r)
	}))
	t.Cleanup(slow.Close)
	path := filepath.Join(t.TempDir(), "hooks.db")
	s, err := sqlite.Open(t.Context(), path, sqlite.Options{BusyTimeout: 50 * time.Millisecond})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.Close()) })
	failures := make(chan error, 1000)
	m, err := crashtest.NewManager(s, "", slog.New(slog.DiscardHandler), hooks.Observer{Failure: func(err error) { failures <- err }})
	require.NoError(t, err)
	_, err = m.Register(t.Context(), hooks.Hook{URL: slow.URL, Events: []string{"*"}})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-ended)
	})
	trigger := func(id string) error {
		_, err := m.Trigger(t.Context(), paid(id))
		return err
	}
	require.NoError(t, trigger("before"))

	tx, err := handle(t, path, 1).Begin()
	require.NoError(t, err)
	close(response) // The result finds the database locked.
	assert.ErrorIs(t, trigger("during"), sqlite.ErrBusy)
	assert.ErrorIs(t, <-failures, sqlite.ErrBusy, "the Manager gets the error as well")

	require.NoError(t, tx.Rollback())
	require.NoError(t, trigger("during"), "it was not stored the first time")
	l.WaitFor(t, func(_ map[string]int, events int) bool { return events == 2 })
}

// A context ends the wait for a lock, however long the application's own handle waits.
func TestTheWaitForALockEndsWithTheContext(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "hooks.db")
	db, err := sql.Open("sqlite3", "file:"+path+"?_journal_mode=WAL&_txlock=immediate&_busy_timeout=3600000")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	stores := map[string]*sqlite.Store{
		"opened": openAt(t, path).(*sqlite.Store),
		"shared": newStore(t, db, sqlite.Options{}),
		"short":  newStore(t, db, sqlite.Options{BusyTimeout: 100 * time.Millisecond}),
	}
	tx, err := handle(t, path, 1).Begin()
	require.NoError(t, err)
	defer func() { assert.NoError(t, tx.Rollback()) }()
	for name, s := range stores {
		ctx, cancel := context.WithCancel(t.Context())
		wanted := context.Canceled
		if name == "short" {
			wanted = sqlite.ErrBusy
		} else {
			time.AfterFunc(50*time.Millisecond, cancel)
		}
		returned := make(chan error, 1)
		go func() {
			returned <- s.Enqueue(ctx, time.Now(), []hooks.Entry{{Event: &hooks.Event{ID: name, Type: "a", Time: time.Now()}}})
		}()
		select {
		case err := <-returned:
			assert.ErrorIs(t, err, wanted, name)
		case <-time.After(20 * time.Second):
			assert.Fail(t, "it goes on waiting", name)
		}
		cancel()
	}
}

// call names a method of the store with arguments that do.
type call struct {
	writes bool
	do     func(ctx context.Context, s *sqlite.Store) error
}

var calls = func() map[string]call {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	event := &hooks.Event{ID: "new", Type: "order.paid", Time: at}
	return map[string]call{
		"CreateHook": {true, func(ctx context.Context, s *sqlite.Store) error {
			return s.CreateHook(ctx, hooks.Hook{ID: "new", CreatedAt: at}, 0)
		}},
		"UpdateHook": {true, func(ctx context.Context, s *sqlite.Store) error {
			return s.UpdateHook(ctx, hooks.Hook{ID: "hook", Version: 1})
		}},
		"DeleteHook": {true, func(ctx context.Context, s *sqlite.Store) error {
			return s.DeleteHook(ctx, hooks.Ref{ID: "hook"}, at)
		}},
		"Enqueue": {true, func(ctx context.Context, s *sqlite.Store) error {
			return s.Enqueue(ctx, at, []hooks.Entry{{Event: event}})
		}},
		"Claim": {true, func(ctx context.Context, s *sqlite.Store) error {
			_, _, err := s.Claim(ctx, hooks.ClaimRequest{Owner: "o", Now: at, Until: at.Add(time.Minute), Limit: hooks.Capacity{Deliveries: 1}})
			return err
		}},
		"Settle": {true, func(ctx context.Context, s *sqlite.Store) error {
			_, err := s.Settle(ctx, at, []hooks.Settlement{{DeliveryID: "leased", Token: 1, State: hooks.Succeeded}})
			return err
		}},
		"Redeliver": {true, func(ctx context.Context, s *sqlite.Store) error {
			_, err := s.Redeliver(ctx, at, "", "ended")
			return err
		}},
		"Cancel": {true, func(ctx context.Context, s *sqlite.Store) error {
			_, err := s.Cancel(ctx, at, "", "pending", "")
			return err
		}},
		"Purge": {true, func(ctx context.Context, s *sqlite.Store) error {
			_, err := s.Purge(ctx, hooks.PurgeRequest{Before: at.Add(time.Hour), Limit: 100})
			return err
		}},
		"Hooks": {false, func(ctx context.Context, s *sqlite.Store) error {
			_, err := s.Hooks(ctx, hooks.HookQuery{})
			return err
		}},
		"HookChanges": {false, func(ctx context.Context, s *sqlite.Store) error {
			_, err := s.HookChanges(ctx, 0, 10)
			return err
		}},
		"Events": {false, func(ctx context.Context, s *sqlite.Store) error {
			_, err := s.Events(ctx, "", []string{"e"})
			return err
		}},
		"Deliveries": {false, func(ctx context.Context, s *sqlite.Store) error {
			_, err := s.Deliveries(ctx, hooks.LogQuery{})
			return err
		}},
		"Attempts": {false, func(ctx context.Context, s *sqlite.Store) error {
			_, err := s.Attempts(ctx, hooks.LogQuery{})
			return err
		}},
		"Stats": {false, func(ctx context.Context, s *sqlite.Store) error {
			_, err := s.Stats(ctx, "", []string{"hook"}, at, at.Add(time.Hour))
			return err
		}},
	}
}()

// fill stores what the calls are about.
func fill(t *testing.T, s *sqlite.Store) {
	t.Helper()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	require.NoError(t, s.CreateHook(t.Context(), hooks.Hook{ID: "hook", Version: 1, CreatedAt: at}, 0))
	delivery := func(id string, state hooks.State) hooks.Delivery {
		d := hooks.Delivery{ID: id, HookID: "hook", State: state, CreatedAt: at, Due: at}
		if state == hooks.Leased {
			d.Lease = hooks.Lease{Owner: "o", Token: 1, Until: at.Add(time.Minute)}
		}
		return d
	}
	require.NoError(t, s.Enqueue(t.Context(), at, []hooks.Entry{{
		Event: &hooks.Event{ID: "e", Type: "order.paid", Time: at},
		Deliveries: []hooks.Delivery{
			delivery("leased", hooks.Leased), delivery("pending", hooks.Pending), delivery("ended", hooks.Pending),
		},
	}}))
	_, err := s.Cancel(t.Context(), at, "", "ended", "")
	require.NoError(t, err)
}

// filled makes a file that has what the calls are about.
func filled(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "hooks.db")
	s, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	require.NoError(t, err)
	fill(t, s)
	require.NoError(t, s.Close())
	return path
}

func TestTheCallsDo(t *testing.T) {
	t.Parallel()
	for name, c := range calls {
		assert.NoError(t, c.do(t.Context(), openAt(t, filled(t)).(*sqlite.Store)), name)
	}
}

func TestAReadOnlyHandle(t *testing.T) {
	t.Parallel()
	path := filled(t)
	writer := handle(t, path, 1) // keeps the write-ahead log there
	require.NoError(t, writer.Ping())
	db, err := sql.Open("sqlite3", "file:"+path+"?mode=ro")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	s, err := sqlite.New(t.Context(), db, sqlite.Options{})
	require.NoError(t, err)
	for name, c := range calls {
		err := c.do(t.Context(), s)
		if c.writes {
			assert.ErrorIs(t, err, sqlite.ErrReadOnly, name)
		} else {
			assert.NoError(t, err, name)
		}
	}
	require.NoError(t, s.Close())
}

// Nobody who may not write to a file can open it. As the superuser may write to
// any, this takes a process that is not.
func TestAFileWithoutThePermissionToWrite(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		file, dir os.FileMode
		want      string
	}{
		"the file":               {file: 0o444, dir: 0o777, want: "ErrReadOnly"},
		"the file and directory": {file: 0o444, dir: 0o555, want: "ErrReadOnly"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filled(t)
			require.NoError(t, os.Chmod(path, tt.file))
			require.NoError(t, os.Chmod(filepath.Dir(path), tt.dir))
			// Everybody may look for the file.
			require.NoError(t, os.Chmod(filepath.Dir(filepath.Dir(path)), 0o755))
			t.Cleanup(func() { assert.NoError(t, os.Chmod(filepath.Dir(path), 0o700)) })
			p := crashtest.Start(t, task{Path: path, Open: true}, func(cmd *exec.Cmd) {
				if os.Geteuid() != 0 {
					return
				}
				cmd.Path = "/proc/self/exe" // which others may run, wherever it is
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
			})
			require.NoError(t, p.Wait(), p.Stderr.String())
			require.Empty(t, p.Said[crashtest.Ready], "it was opened")
			require.Len(t, p.Said[sayFailed], 1)
			got, text, _ := strings.Cut(p.Said[sayFailed][0], " ")
			assert.Equal(t, tt.want, got, text)
			assert.Contains(t, text, path)
		})
	}
}

// What is not a database is not opened, nor changed.
func TestFilesThatAreDamaged(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(content []byte) []byte{
		"garbage":                  func([]byte) []byte { return []byte(strings.Repeat("garbage\n", 1000)) },
		"a text":                   func([]byte) []byte { return []byte("hello\n") },
		"half of it":               func(c []byte) []byte { return c[:len(c)/2] },
		"the first page":           func(c []byte) []byte { return c[:4096] },
		"a bit more than a header": func(c []byte) []byte { return c[:200] },
		"nothing but the header": func(c []byte) []byte {
			clear(c[100:])
			return c
		},
		"pages of something else": func(c []byte) []byte {
			for i := range c[4096:] {
				c[4096+i] = byte(i * 7)
			}
			return c
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filled(t)
			content, err := os.ReadFile(path)
			require.NoError(t, err)
			content = damage(content)
			require.NoError(t, os.WriteFile(path, content, 0o600))
			s, err := sqlite.Open(t.Context(), path, sqlite.Options{})
			if !assert.ErrorIs(t, err, sqlite.ErrDamaged) && err == nil {
				_ = s.Close()
			}
			db, err := sql.Open("sqlite3", path)
			require.NoError(t, err)
			_, err = sqlite.New(t.Context(), db, sqlite.Options{})
			assert.ErrorIs(t, err, sqlite.ErrDamaged)
			assert.ErrorIs(t, sqlite.Migrate(t.Context(), db), sqlite.ErrDamaged)
			require.NoError(t, db.Close())
			is, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.Equal(t, content, is, "it stays as it is")
		})
	}
}

func TestPathsThatAreNoFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Join(dir, "missing", "hooks.db")} {
		_, err := sqlite.Open(t.Context(), path, sqlite.Options{})
		assert.ErrorContains(t, err, path)
		db, err := sql.Open("sqlite3", "file:"+path)
		require.NoError(t, err)
		_, err = sqlite.New(t.Context(), db, sqlite.Options{})
		assert.Error(t, err)
		assert.Error(t, sqlite.Migrate(t.Context(), db))
		require.NoError(t, db.Close())
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, entries)
}

// Nothing is acknowledged that is written to a file which is no longer there.
func TestAFileThatGoesAway(t *testing.T) {
	for name, goAway := range map[string]func(t *testing.T, path string){
		"deleted":  func(t *testing.T, path string) { require.NoError(t, os.Remove(path)) },
		"moved":    func(t *testing.T, path string) { require.NoError(t, os.Rename(path, path+".moved")) },
		"replaced": func(t *testing.T, path string) { require.NoError(t, os.Rename(filled(t), path)) },
		"replaced by a directory": func(t *testing.T, path string) {
			require.NoError(t, os.Remove(path))
			require.NoError(t, os.Mkdir(path, 0o700))
		},
	} {
		for kind, open := range stores {
			t.Run(name+", "+kind, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					path := filepath.Join(t.TempDir(), "hooks.db")
					h := newHarness(t, open(t, handle(t, path, 4), path), new(hookstest.Network))
					r, _ := h.endpoint(hooks.Hook{})
					h.trigger(paid("before"))
					pass(time.Second)
					require.Len(t, r.Requests(), 1)
					goAway(t, path)
					for _, id := range numbered("during", 3) {
						_, err := h.Trigger(t.Context(), paid(id))
						assert.ErrorIs(t, err, sqlite.ErrMoved)
					}
					for name, c := range calls {
						if c.writes && name != "Purge" { // for it there is nothing to do
							err := c.do(t.Context(), h.store)
							assert.ErrorIs(t, err, sqlite.ErrMoved, name)
						}
					}
					pass(10 * time.Second)
					assert.Len(t, r.Requests(), 1, "what was refused is not sent")
					assert.NotEmpty(t, h.observed())
					for _, err := range h.observed() {
						assert.ErrorIs(t, err, sqlite.ErrMoved)
					}
				})
			})
		}
	}
}

func TestAFileThatComesBack(t *testing.T) {
	for kind, open := range stores {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "hooks.db")
				h := newHarness(t, open(t, handle(t, path, 4), path), new(hookstest.Network))
				r, _ := h.endpoint(hooks.Hook{}, hookstest.Status(200).After(time.Second))
				h.trigger(paid("before"))
				r.Wait(1)
				require.NoError(t, os.Rename(path, path+".moved"))
				_, err := h.Trigger(t.Context(), paid("during"))
				require.ErrorIs(t, err, sqlite.ErrMoved)
				pass(10 * time.Second)

				require.NoError(t, os.Rename(path+".moved", path))
				pass(10 * time.Second)
				assert.Len(t, r.Requests(), 1, "what was refused is not stored")
				_, err = h.Trigger(t.Context(), paid("during"))
				assert.NoError(t, err, "the ID is free")
				pass(10 * time.Second)
				h.trigger(paid("after"))
				pass(10 * time.Second)
				assert.Equal(t, []string{"before", "during", "after"}, receivedIDs(r))
				for _, d := range crashtest.Listed(t, h.store) {
					assert.Equal(t, hooks.Succeeded, d.State, d.EventID)
				}
			})
		})
	}
}

// Every call to a store that is closed says so, also when it was the application that
// closed its handle, and what was acknowledged before is there.
func TestAClosedStore(t *testing.T) {
	closed := map[string]func(t *testing.T, path string) *sqlite.Store{
		"the store": func(t *testing.T, path string) *sqlite.Store {
			s := openAt(t, path).(*sqlite.Store)
			require.NoError(t, s.Close())
			require.NoError(t, s.Close(), "twice is fine")
			return s
		},
		"the store on a handle": func(t *testing.T, path string) *sqlite.Store {
			s, err := sqlite.New(t.Context(), handle(t, path, 4), sqlite.Options{})
			require.NoError(t, err)
			require.NoError(t, s.Close())
			return s
		},
		"the handle": func(t *testing.T, path string) *sqlite.Store {
			db := handle(t, path, 4)
			s, err := sqlite.New(t.Context(), db, sqlite.Options{})
			require.NoError(t, err)
			_, err = s.Purge(t.Context(), hooks.PurgeRequest{Before: time.Unix(0, 0), Limit: 1})
			require.NoError(t, err)
			require.NoError(t, db.Close())
			return s
		},
	}
	for name, open := range closed {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, filled(t))
			for name, c := range calls {
				assert.ErrorIs(t, c.do(t.Context(), s), sqlite.ErrClosed, name)
			}
		})
	}
}

// An application that closes its handle while the Manager runs loses nothing.
func TestAHandleThatIsClosedTooEarly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "hooks.db")
		db := handle(t, path, 4)
		require.NoError(t, sqlite.Migrate(t.Context(), db))
		s, err := sqlite.New(t.Context(), db, sqlite.Options{})
		require.NoError(t, err)
		network := new(hookstest.Network)
		m, err := hooks.New(s, hooks.Config{Dial: network.Dial, AllowHTTP: true, Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		r := network.Receiver(t, "receiver.example", hookstest.Status(200).After(time.Second))
		_, err = m.Register(t.Context(), hooks.Hook{URL: r.URL, Events: []string{"*"}})
		require.NoError(t, err)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- m.Run(ctx) }()
		synctest.Wait()
		ids := numbered("e", 40) // more than are sent at a time
		for _, id := range ids {
			_, err := m.Trigger(t.Context(), paid(id))
			require.NoError(t, err)
		}
		require.NoError(t, db.Close())
		_, err = m.Trigger(t.Context(), paid("late"))
		assert.ErrorIs(t, err, sqlite.ErrClosed)
		pass(time.Second)
		stop()
		assert.ErrorIs(t, <-ended, sqlite.ErrClosed, "Run says that results are lost")
		_ = s.Close()

		h := newHarness(t, openAt(t, path).(*sqlite.Store), network)
		pass(2 * time.Minute) // longer than the leases
		got := receivedIDs(r)
		slices.Sort(got)
		assert.Equal(t, ids, slices.Compact(got))
		for _, d := range crashtest.Listed(t, h.store) {
			assert.Equal(t, hooks.Succeeded, d.State, d.EventID)
		}
	})
}
