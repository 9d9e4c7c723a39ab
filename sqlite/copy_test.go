//go:build cgo

package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/internal/crashtest"
	"github.com/seed-2c6e3a5a/hooks/memory"
	"github.com/seed-2c6e3a5a/hooks/sqlite"
	"github.com/seed-2c6e3a5a/hooks/store"
)

// exported returns all that the store has, of one tenant or of all.
func exported(t *testing.T, s store.Copyable, tenants ...string) (records []store.Record) {
	t.Helper()
	for r, err := range s.Export(t.Context()) {
		require.NoError(t, err)
		var tenant string
		switch {
		case r.Hook != nil:
			tenant = r.Hook.Tenant
		case r.Event != nil:
			tenant = r.Event.Tenant
		default:
			tenant = r.Delivery.Tenant
		}
		if len(r.Attempts) == 0 {
			r.Attempts = nil
		}
		if len(tenants) == 0 || slices.Contains(tenants, tenant) {
			records = append(records, r)
		}
	}
	return records
}

// sayImports calls say before each import.
type sayImports struct {
	store.Copyable
	say func()
}

func (s sayImports) Import(ctx context.Context, records []store.Record) error {
	s.say()
	return s.Copyable.Import(ctx, records)
}

// copy copies a file, says when an import begins, and then waits to be killed.
func (w task) copy(ctx context.Context, in io.Reader) error {
	source, err := sqlite.Open(ctx, w.CopyOf, sqlite.Options{})
	if err != nil {
		return err
	}
	target, err := sqlite.Open(ctx, w.Path, sqlite.Options{})
	if err != nil {
		return err
	}
	imports := 0
	say := func() {
		if imports++; imports == w.Imports {
			crashtest.Say(crashtest.Ready)
		}
	}
	if err := store.Copy(ctx, source, sayImports{target, say}); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, in)
	return err
}

// A process that copies is killed again and again, each time a little later, and the copy goes
// on. In the end, the copy has each record as it is in the source, and each once.
func TestACopyThatIsKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := task{CopyOf: filepath.Join(dir, "source.db"), Path: filepath.Join(dir, "target.db")}
	source := openAt(t, w.CopyOf).(*sqlite.Store)
	live(t, source, purgeStart, 6000)
	for w.Imports = 1; w.Imports <= 6; w.Imports++ { // an import has 2000 records
		p := crashtest.Start(t, w)
		<-p.Ready
		p.Killed()
		checkIntegrity(t, w.Path)
	}
	target := openAt(t, w.Path).(*sqlite.Store)
	require.NoError(t, store.Copy(t.Context(), source, target))
	checkIntegrity(t, w.Path)
	assert.True(t, assert.ObjectsAreEqual(exported(t, source), exported(t, target)))
}

// A copy of a file in which a value is not what it has to be either ends with an error that
// names the table, or is as good as if that value were not there. It never panics, and has
// what is not damaged.
func TestCopyOfDamagedRows(t *testing.T) {
	t.Parallel()
	content := mixed(t)
	sound := filepath.Join(t.TempDir(), "sound.db")
	require.NoError(t, os.WriteFile(sound, content, 0o600))
	want := exported(t, openAt(t, sound).(*sqlite.Store), "sound")
	require.NotEmpty(t, want)
	named := map[string]int{} // how many errors name the table
	turn := 0
	for _, d := range damages {
		for _, column := range d.columns {
			for i, value := range badValues {
				if testing.Short() && i%3 != 0 {
					continue
				}
				turn++
				path := filepath.Join(t.TempDir(), "hooks.db")
				require.NoError(t, os.WriteFile(path, content, 0o600))
				db, err := sql.Open("sqlite3", path)
				require.NoError(t, err)
				key := oneOf(t, db, "SELECT "+d.key+" FROM "+d.table+" WHERE "+d.rows, turn)
				_, err = db.Exec("UPDATE "+d.table+" SET "+column+" = ? WHERE "+d.rows+" AND "+d.key+" = ?", value, key)
				require.NoError(t, db.Close())
				var refused sqlite3.Error
				if errors.As(err, &refused) && refused.Code == sqlite3.ErrConstraint {
					continue // Such a value cannot be stored.
				}
				require.NoError(t, err)
				name := fmt.Sprintf("%s.%s = %T %v in row %v", d.table, column, value, value, key)
				s, err := sqlite.Open(t.Context(), path, sqlite.Options{Synchronous: sqlite.Normal})
				require.NoError(t, err, name)
				target := memory.New(memory.Options{})
				if err := store.Copy(t.Context(), s, target); err != nil {
					require.ErrorIs(t, err, sqlite.ErrDamaged, name)
					require.ErrorContains(t, err, "hooks_", name)
					named[d.table]++
				} else if d.table != "hooks_requests" { // of both tenants
					require.True(t, assert.ObjectsAreEqual(want, exported(t, target, "sound")), name)
				}
				require.NoError(t, s.Close())
			}
		}
	}
	for _, table := range []string{"hooks_hooks", "hooks_events", "hooks_deliveries", "hooks_attempts", "hooks_requests"} {
		assert.NotZero(t, named[table], table)
	}
}

// Rows that belong to nothing, or of which some are missing, end a copy with an error that
// names one of them.
func TestCopyOfRowsApart(t *testing.T) {
	t.Parallel()
	content := mixed(t)
	for damage, want := range map[string]string{
		"DELETE FROM hooks_events WHERE n = 1":                              "hooks_deliveries, row 1: is of no event that exists",
		"DELETE FROM hooks_deliveries WHERE n = 1":                          "hooks_attempts, row 65537: is of no delivery that exists",
		"DELETE FROM hooks_hooks WHERE n = 1":                               "hooks_deliveries, row 1: hooks_hooks.tenant is NULL",
		"UPDATE hooks_events SET deliveries = 0 WHERE n = 1":                "hooks_events, row 1: has 1 deliveries, and 0 that first and deliveries name",
		"UPDATE hooks_deliveries SET hook = 2 WHERE n = 1":                  "hooks_deliveries, row 1: its hook is of another tenant than its event",
		"DELETE FROM hooks_requests":                                        "hooks_attempts, row 65537: method is NULL",
		"UPDATE hooks_attempts SET response_header = x'ff' WHERE n = 65537": "hooks_attempts, row 65537: response_header is a BLOB of 1 bytes and not a packed header",
		"UPDATE hooks_hooks SET document = '{' WHERE n = 1":                 "hooks_hooks, row 1: document",
		"UPDATE hooks_deliveries SET state = 9 WHERE n = 3":                 "hooks_deliveries, row 3: state is 9 and not a state",
		"UPDATE hooks_deliveries SET token = 'x' WHERE n = 3":               "hooks_deliveries, row 3: token is TEXT and not an integer",
		"UPDATE hooks_hooks SET version = 'x' WHERE n = 2":                  "hooks_hooks, row 2: version is TEXT and not an integer",
	} {
		path := filepath.Join(t.TempDir(), "hooks.db")
		require.NoError(t, os.WriteFile(path, content, 0o600))
		db, err := sql.Open("sqlite3", path)
		require.NoError(t, err)
		_, err = db.Exec(damage)
		require.NoError(t, err)
		require.NoError(t, db.Close())
		err = store.Copy(t.Context(), openAt(t, path), memory.New(memory.Options{}))
		require.ErrorIs(t, err, sqlite.ErrDamaged, damage)
		assert.ErrorContains(t, err, want, damage)
	}
}

// A copy needs no more room than its source: attempts still share requests.
func TestACopyIsAsSmallAsItsSource(t *testing.T) {
	t.Parallel()
	source, target := openAt(t, filepath.Join(t.TempDir(), "source.db")), openAt(t, filepath.Join(t.TempDir(), "target.db"))
	live(t, source.(*sqlite.Store), purgeStart, 3000)
	require.NoError(t, store.Copy(t.Context(), source, target))
	before, after := pageCount(t, handle(t, pathOf(t, source), 1)), pageCount(t, handle(t, pathOf(t, target), 1))
	assert.LessOrEqual(t, after, before+before/10, "pages")
}

// A store that is closed says so.
func TestCopyOfAClosedStore(t *testing.T) {
	t.Parallel()
	source, target := openAt(t, filepath.Join(t.TempDir(), "source.db")), memory.New(memory.Options{})
	require.NoError(t, target.Enqueue(t.Context(), time.Now(), []hooks.Entry{{Event: &hooks.Event{ID: "e"}}}))
	require.NoError(t, source.(*sqlite.Store).Close())
	require.ErrorIs(t, store.Copy(t.Context(), source, target), sqlite.ErrClosed)
	require.ErrorIs(t, store.Copy(t.Context(), target, source), sqlite.ErrClosed)
	for _, err := range source.(*sqlite.Store).Export(t.Context()) {
		require.ErrorIs(t, err, sqlite.ErrClosed)
	}
	require.ErrorIs(t, source.(*sqlite.Store).Import(t.Context(), exported(t, target)), sqlite.ErrClosed)
}

// heapWatch notes the most memory in use when an import begins.
type heapWatch struct {
	store.Copyable
	most uint64
}

func (w *heapWatch) Import(ctx context.Context, records []store.Record) error {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	w.most = max(w.most, stats.HeapAlloc)
	return w.Copyable.Import(ctx, records)
}

// An event with many deliveries, each with long responses, is copied without being in memory as
// a whole.
func TestACopyHoldsLittleInMemory(t *testing.T) {
	const deliveries, responses = 1000, 4
	source, target := openAt(t, filepath.Join(t.TempDir(), "source.db")), openAt(t, filepath.Join(t.TempDir(), "target.db"))
	at, entry := purgeStart, hooks.Entry{Event: &hooks.Event{ID: "e", Type: "a", Time: purgeStart}}
	for i := range deliveries {
		id := fmt.Sprint(i)
		entry.Deliveries = append(entry.Deliveries, hooks.Delivery{ID: id, HookID: id, EventID: "e", EventType: "a", State: hooks.Pending, Due: at, CreatedAt: at})
	}
	require.NoError(t, source.Enqueue(t.Context(), at, []hooks.Entry{entry}))
	body := bytes.Repeat([]byte("x"), 16<<10)
	for range responses {
		claimed, _, err := source.Claim(t.Context(), hooks.ClaimRequest{Owner: "o", Now: at, Until: at.Add(time.Minute), Limit: hooks.Capacity{Deliveries: deliveries}})
		require.NoError(t, err)
		var settlements []hooks.Settlement
		for _, c := range claimed {
			settlements = append(settlements, hooks.Settlement{
				DeliveryID: c.Delivery.ID, Token: c.Delivery.Lease.Token, State: hooks.Pending, Due: at, Step: 1,
				Attempt: &hooks.Attempt{
					DeliveryID: c.Delivery.ID, Number: c.Delivery.Attempts + 1, StartedAt: at, State: hooks.Pending, Class: hooks.ClassStatus,
					Response: hooks.AttemptResponse{Status: 500, Body: body},
				},
			})
		}
		_, err = source.Settle(t.Context(), at, settlements)
		require.NoError(t, err)
	}
	watch := &heapWatch{Copyable: target.(*sqlite.Store)}
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	require.NoError(t, store.Copy(t.Context(), source, watch))
	assert.Less(t, watch.most, before.HeapAlloc+16<<20, "the responses have %d MiB", 3*deliveries*len(body)>>20)
}
