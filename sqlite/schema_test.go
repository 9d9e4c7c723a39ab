//go:build cgo

package sqlite_test

import (
	"crypto/sha256"
	"database/sql"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/internal/crashtest"
	"github.com/seed-2c6e3a5a/hooks/sqlite"
)

// schemaOf returns the definitions of a database by name.
func schemaOf(t *testing.T, db *sql.DB) map[string]string {
	t.Helper()
	rows, err := db.Query("SELECT type || ' ' || name, tbl_name, coalesce(sql, '') FROM sqlite_schema")
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	definitions := map[string]string{}
	for rows.Next() {
		var name, table, definition string
		require.NoError(t, rows.Scan(&name, &table, &definition))
		definitions[name] = definition
		_, bare, _ := strings.Cut(name, " ")
		assert.Truef(t, strings.HasPrefix(strings.TrimPrefix(bare, "sqlite_autoindex_"), "hooks_"), "%s", name)
		assert.Truef(t, strings.HasPrefix(table, "hooks_"), "%s of %s", name, table)
	}
	require.NoError(t, rows.Err())
	return definitions
}

// works checks that a database can be used, and closes the handle.
func works(t *testing.T, db *sql.DB) {
	t.Helper()
	s, err := sqlite.New(t.Context(), db, sqlite.Options{})
	require.NoError(t, err)
	fill(t, s)
	require.NoError(t, s.Close())
	require.NoError(t, db.Close())
}

func TestMigrations(t *testing.T) {
	t.Parallel()
	files, err := fs.ReadDir(sqlite.Migrations(), ".")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	own := handle(t, filepath.Join(t.TempDir(), "own.db"), 2)
	require.NoError(t, sqlite.Migrate(t.Context(), own))
	require.NoError(t, sqlite.Migrate(t.Context(), own), "twice is fine")

	// An application may apply them with a tool of its own.
	host := handle(t, filepath.Join(t.TempDir(), "host.db"), 2)
	for i, file := range files {
		assert.Regexp(t, `^\d{4}_[a-z_]+\.sql$`, file.Name())
		assert.Equal(t, fmt.Sprintf("%04d", i+1), file.Name()[:4])
		script, err := fs.ReadFile(sqlite.Migrations(), file.Name())
		require.NoError(t, err)
		_, err = host.Exec(string(script))
		require.NoError(t, err)
	}
	_, err = host.Exec("CREATE TABLE hooks_schema (version INTEGER NOT NULL)")
	require.NoError(t, err)
	_, err = host.Exec("INSERT INTO hooks_schema VALUES (?)", len(files))
	require.NoError(t, err)
	require.NoError(t, sqlite.Migrate(t.Context(), host), "there is nothing left to do")
	assert.Equal(t, schemaOf(t, own), schemaOf(t, host))
	works(t, own)
	works(t, host)
}

// Whoever comes first migrates, and the others find it done.
func TestManyMigrateAtOnce(t *testing.T) {
	t.Parallel()
	ways := map[string]func(t *testing.T, path string) error{
		"Migrate": func(t *testing.T, path string) error {
			db, err := sql.Open("sqlite3", path)
			require.NoError(t, err)
			defer func() { assert.NoError(t, db.Close()) }()
			return sqlite.Migrate(t.Context(), db)
		},
		"Open": func(t *testing.T, path string) error {
			s, err := sqlite.Open(t.Context(), path, sqlite.Options{})
			if err == nil {
				err = s.Close()
			}
			return err
		},
		"Open in processes": func(t *testing.T, path string) error {
			p := crashtest.Start(t, task{Path: path, Open: true})
			err := p.Wait()
			if err == nil && len(p.Said[crashtest.Ready]) == 0 {
				err = fmt.Errorf("not opened: %v, %s", p.Said, &p.Stderr)
			}
			return err
		},
	}
	for name, migrate := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range 5 {
				path := filepath.Join(t.TempDir(), "hooks.db")
				var together sync.WaitGroup
				for range 4 {
					together.Go(func() { assert.NoError(t, migrate(t, path)) })
				}
				together.Wait()
				db := handle(t, path, 2)
				schemaOf(t, db)
				works(t, db)
			}
		})
	}
}

// A database of a later version is refused by all, and nobody touches it.
func TestANewerSchema(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"WAL", "DELETE"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			path := filled(t)
			db, err := sql.Open("sqlite3", path)
			require.NoError(t, err)
			_, err = db.Exec("UPDATE hooks_schema SET version = version + 1; PRAGMA journal_mode = " + mode)
			require.NoError(t, err)
			require.NoError(t, db.Close())
			was := contentOf(t, path)

			_, err = sqlite.Open(t.Context(), path, sqlite.Options{})
			assert.ErrorIs(t, err, sqlite.ErrNewerSchema)
			db, err = sql.Open("sqlite3", path)
			require.NoError(t, err)
			_, err = sqlite.New(t.Context(), db, sqlite.Options{})
			assert.ErrorIs(t, err, sqlite.ErrNewerSchema)
			assert.ErrorIs(t, sqlite.Migrate(t.Context(), db), sqlite.ErrNewerSchema)
			require.NoError(t, db.Close())
			assert.Equal(t, was, contentOf(t, path), "it is left as it is")
		})
	}
}

// contentOf returns the checksums of a database's files.
func contentOf(t *testing.T, path string) map[string][32]byte {
	t.Helper()
	sums := map[string][32]byte{}
	files, err := filepath.Glob(path + "*")
	require.NoError(t, err)
	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		sums[file] = sha256.Sum256(content)
	}
	return sums
}

// stepsBack take a file back by one version each, the first one from the latest.
var stepsBack = []string{
	`ALTER TABLE hooks_events RENAME COLUMN ordering_key TO key; ALTER TABLE hooks_deliveries RENAME COLUMN ordering_key TO key;
	UPDATE hooks_attempts SET class = CASE class WHEN 'forbidden' THEN 'blocked' ELSE 'protocol' END WHERE class IN ('forbidden', 'http')`,
	`DROP TABLE hooks_identity; UPDATE hooks_hooks SET document = ltrim(document)`,
	`ALTER TABLE hooks_deliveries DROP COLUMN undecided`,
	`CREATE TABLE lanes (hook INTEGER NOT NULL, retry INTEGER NOT NULL, due INTEGER NOT NULL, turn INTEGER,
		PRIMARY KEY (hook, retry)) WITHOUT ROWID;
	INSERT INTO lanes SELECT hook, retry, due, turn FROM hooks_lanes;
	DROP TABLE hooks_tenants; DROP TABLE hooks_lanes; ALTER TABLE lanes RENAME TO hooks_lanes;
	CREATE INDEX hooks_lanes_due ON hooks_lanes (due) WHERE turn IS NULL;
	CREATE INDEX hooks_lanes_turn ON hooks_lanes (turn) WHERE turn IS NOT NULL`,
	`DROP INDEX hooks_hooks_protocol; DROP INDEX hooks_hooks_created;
	CREATE INDEX hooks_hooks_created ON hooks_hooks (tenant, created_at, id) WHERE version IS NOT NULL`,
}

// A file of an earlier version keeps what it holds when it is opened.
func TestAnEarlierSchema(t *testing.T) {
	t.Parallel()
	files, err := fs.ReadDir(sqlite.Migrations(), ".")
	require.NoError(t, err)
	require.Len(t, stepsBack, len(files)-1, "a migration without its way back")
	path := filled(t)
	type content struct {
		schema     map[string]string
		hooks      hooks.Page[hooks.Hook]
		deliveries hooks.Page[hooks.Delivery]
	}
	read := func() (c content) {
		s, err := sqlite.Open(t.Context(), path, sqlite.Options{})
		require.NoError(t, err)
		c.hooks, err = s.Hooks(t.Context(), hooks.HookQuery{})
		require.NoError(t, err)
		c.deliveries, err = s.Deliveries(t.Context(), hooks.LogQuery{})
		require.NoError(t, err)
		require.NoError(t, s.Close())
		c.schema = schemaOf(t, handle(t, path, 1))
		return c
	}
	was := read()
	require.NotEmpty(t, was.hooks.Items)
	require.NotEmpty(t, was.deliveries.Items)
	db := handle(t, path, 2)
	for i, step := range stepsBack {
		_, err := db.Exec(step + "; UPDATE hooks_schema SET version = version - 1")
		require.NoError(t, err)
		_, err = sqlite.New(t.Context(), db, sqlite.Options{})
		assert.ErrorIs(t, err, sqlite.ErrNotMigrated, "%d back", i+1)
	}
	assert.NotEqual(t, was.schema, schemaOf(t, db))
	require.NoError(t, db.Close())
	assert.Equal(t, was, read())
}

// The classes of failed attempts, and ordering keys, have other words in a file of version 5.
func TestWordsAreMigrated(t *testing.T) {
	t.Parallel()
	path, at := filepath.Join(t.TempDir(), "hooks.db"), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s := openAt(t, path)
	classes := map[string]hooks.ErrorClass{"a": hooks.ClassForbidden, "b": hooks.ClassHTTP, "c": hooks.ClassDNS, "d": ""}
	for id, class := range classes {
		d := hooks.Delivery{
			ID: id, HookID: "h", OrderingKey: "key-" + id, State: hooks.Pending, Due: at, CreatedAt: at, EventID: id, EventType: "order.paid",
		}
		e := &hooks.Event{ID: id, Type: "order.paid", Time: at, OrderingKey: "key-" + id}
		require.NoError(t, s.Enqueue(t.Context(), at, []hooks.Entry{{Event: e, Deliveries: []hooks.Delivery{d}}}))
		claimed, _, err := s.Claim(t.Context(), hooks.ClaimRequest{Owner: "o", Now: at, Until: at.Add(time.Minute), Limit: hooks.Capacity{Deliveries: 1}})
		require.NoError(t, err)
		require.Len(t, claimed, 1)
		settled, err := s.Settle(t.Context(), at, []hooks.Settlement{{
			DeliveryID: id, Token: 1, State: hooks.Dead,
			Attempt: &hooks.Attempt{DeliveryID: id, Number: 1, HookID: "h", EventID: id, EventType: "order.paid", StartedAt: at, Class: class, State: hooks.Dead},
		}})
		require.NoError(t, err)
		require.NoError(t, settled[0].Err)
	}
	require.NoError(t, s.(*sqlite.Store).Close())

	db := handle(t, path, 2)
	_, err := db.Exec(stepsBack[0] + "; UPDATE hooks_schema SET version = version - 1")
	require.NoError(t, err)
	var old int
	require.NoError(t, db.QueryRow("SELECT count(*) FROM hooks_attempts WHERE class IN ('blocked', 'protocol')").Scan(&old))
	require.Equal(t, 2, old)
	require.NoError(t, db.Close())

	s = openAt(t, path)
	attempts, err := s.Attempts(t.Context(), hooks.LogQuery{})
	require.NoError(t, err)
	got := map[string]hooks.ErrorClass{}
	for _, a := range attempts.Items {
		got[a.DeliveryID] = a.Class
	}
	assert.Equal(t, classes, got)
	deliveries, err := s.Deliveries(t.Context(), hooks.LogQuery{})
	require.NoError(t, err)
	assert.Len(t, deliveries.Items, len(classes))
	for _, d := range deliveries.Items {
		assert.Equal(t, "key-"+d.ID, d.OrderingKey)
	}
	events, err := s.Events(t.Context(), "", []string{"a", "b", "c", "d"})
	require.NoError(t, err)
	assert.Len(t, events, len(classes))
	for _, e := range events {
		assert.Equal(t, "key-"+e.ID, e.OrderingKey)
	}
}

// What stands in line keeps its place in a file of an earlier version.
func TestLanesInLineAreMigrated(t *testing.T) {
	t.Parallel()
	path, at := filepath.Join(t.TempDir(), "hooks.db"), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	claim := func(s hooks.Store, limit int, tenants map[string]hooks.Capacity) []hooks.Claimed {
		claimed, _, err := s.Claim(t.Context(), hooks.ClaimRequest{
			Owner: "o", Now: at, Until: at.Add(time.Minute), Limit: hooks.Capacity{Deliveries: limit}, Tenants: tenants,
		})
		require.NoError(t, err)
		return claimed
	}
	next := func(s hooks.Store) string {
		return claim(s, 1, map[string]hooks.Capacity{"other": {}})[0].Delivery.HookID
	}
	s := openAt(t, path).(*sqlite.Store)
	for i := range 12 {
		ref := hooks.Ref{ID: []string{"a", "b", "c", "d"}[i%4]}
		if ref.ID == "d" {
			ref.Tenant = "other"
		}
		id := fmt.Sprint(i)
		e := &hooks.Event{ID: id, Tenant: ref.Tenant, Type: "order.paid", Time: at}
		d := hooks.Delivery{ID: id, Tenant: ref.Tenant, HookID: ref.ID, State: hooks.Pending, Due: at, CreatedAt: at}
		require.NoError(t, s.Enqueue(t.Context(), at, []hooks.Entry{{Event: e, Deliveries: []hooks.Delivery{d}}}))
	}
	served := []string{next(s), next(s)}
	require.NoError(t, s.Close())

	db := handle(t, path, 2)
	for _, step := range stepsBack {
		_, err := db.Exec(step + "; UPDATE hooks_schema SET version = version - 1")
		require.NoError(t, err)
	}
	require.NoError(t, db.Close())
	s = openAt(t, path).(*sqlite.Store)
	assert.NotContains(t, served, next(s))
	again := []string{next(s), next(s)}
	assert.Equal(t, served, again)
	assert.Len(t, claim(s, 100, nil), 12-2-3)
}

// What is secret of a hook of an earlier version is kept as far from the rest of the
// row as in a new one, whatever size pages have.
func TestHooksAreMigratedToPagesOfTheirOwn(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1024, 4096, 65536} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "hooks.db")
			db := openDSN(t, "file:"+path)
			execute(t, db, fmt.Sprintf("PRAGMA page_size = %d; VACUUM", size))
			s := openAt(t, path).(*sqlite.Store)
			require.NoError(t, s.CreateHook(t.Context(), hooks.Hook{ID: "a", Headers: map[string]string{"X-A": "b"}, CreatedAt: purgeStart}, 0))
			require.NoError(t, s.Close())
			document := func() (text string) {
				require.NoError(t, db.QueryRow("SELECT document FROM hooks_hooks").Scan(&text))
				return text
			}
			was := document()
			execute(t, db, stepsBack[0]+"; "+stepsBack[1]+"; UPDATE hooks_schema SET version = version - 2")
			require.Less(t, len(document()), len(was))
			require.NoError(t, sqlite.Migrate(t.Context(), db))
			assert.Equal(t, was, document())
		})
	}
}

func TestNewWantsTheTables(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]string{
		"an empty database":         "",
		"tables of the application": "CREATE TABLE orders (id INTEGER)",
		"no version":                "CREATE TABLE hooks_schema (version INTEGER NOT NULL)",
		"an earlier version":        "CREATE TABLE hooks_schema (version INTEGER NOT NULL); INSERT INTO hooks_schema VALUES (0)",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "hooks.db")
			db := handle(t, path, 2)
			_, err := db.Exec(prepare)
			require.NoError(t, err)
			_, err = sqlite.New(t.Context(), db, sqlite.Options{})
			assert.ErrorIs(t, err, sqlite.ErrNotMigrated)
			require.NoError(t, sqlite.Migrate(t.Context(), db))
			works(t, db)
		})
	}
}

// A migration that fails leaves nothing behind.
func TestAMigrationThatFails(t *testing.T) {
	t.Parallel()
	db := handle(t, filepath.Join(t.TempDir(), "hooks.db"), 2)
	_, err := db.Exec("CREATE TABLE hooks_log (in_the_way INTEGER)")
	require.NoError(t, err)
	was := schemaOf(t, db)
	assert.Error(t, sqlite.Migrate(t.Context(), db))
	assert.Equal(t, was, schemaOf(t, db))
	_, err = db.Exec("DROP TABLE hooks_log")
	require.NoError(t, err)
	require.NoError(t, sqlite.Migrate(t.Context(), db))
	works(t, db)
}

// What was written is kept, whoever wrote it: the application's tables, and pragmas that
// other applications use.
func TestMigrateKeepsToItsTables(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "hooks.db")
	db := handle(t, path, 2)
	_, err := db.Exec("CREATE TABLE orders (id INTEGER); INSERT INTO orders VALUES (1); PRAGMA user_version = 7; PRAGMA application_id = 8")
	require.NoError(t, err)
	require.NoError(t, sqlite.Migrate(t.Context(), db))
	s := openAt(t, path)
	require.NoError(t, s.Enqueue(t.Context(), time.Now(), []hooks.Entry{{Event: &hooks.Event{ID: "e", Type: "a"}}}))
	var orders, userVersion, applicationID int
	require.NoError(t, db.QueryRow("SELECT count(*) FROM orders").Scan(&orders))
	require.NoError(t, db.QueryRow("PRAGMA user_version").Scan(&userVersion))
	require.NoError(t, db.QueryRow("PRAGMA application_id").Scan(&applicationID))
	assert.Equal(t, []int{1, 7, 8}, []int{orders, userVersion, applicationID})
}
