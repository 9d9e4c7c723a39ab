package postgres_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/postgres"
)

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	for name, tt := range map[string]struct {
		pool  *pgxpool.Pool
		o     postgres.Options
		field string
	}{
		"no pool":      {nil, postgres.Options{}, "pool"},
		"a small pool": {d.connect(t, func(c *pgxpool.Config) { c.MaxConns = 3 }), postgres.Options{}, "pool"},
		"another isolation": {d.connect(t, func(c *pgxpool.Config) {
			c.ConnConfig.RuntimeParams["default_transaction_isolation"] = "repeatable read"
		}), postgres.Options{}, "pool"},
		"a long name":     {d.Pool, postgres.Options{Schema: strings.Repeat("x", 64)}, "schema"},
		"a name with NUL": {d.Pool, postgres.Options{Schema: "a\x00b"}, "schema"},
	} {
		_, err := postgres.New(t.Context(), tt.pool, tt.o)
		var invalid *hooks.InvalidError
		if assert.ErrorAs(t, err, &invalid, name) {
			assert.Equal(t, tt.field, invalid.Field, name)
		}
	}
	_, err := postgres.New(t.Context(), d.Pool, postgres.Options{Schema: "without tables"})
	require.ErrorIs(t, err, postgres.ErrNotMigrated)
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	qualified := pgx.Identifier{d.schema, "hooks_schema"}.Sanitize()

	// Again, and by several at once, it does nothing.
	var group sync.WaitGroup
	for range 5 {
		group.Go(func() { assert.NoError(t, postgres.Migrate(t.Context(), d.Pool, d.schema)) })
	}
	group.Wait()
	s := d.open(t)

	// All names begin with "hooks_".
	rows, err := d.Query(t.Context(), "SELECT relname FROM pg_class WHERE relnamespace = $1::regnamespace", pgx.Identifier{d.schema}.Sanitize())
	require.NoError(t, err)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	assert.Greater(t, len(names), 10)
	for _, name := range names {
		if !strings.HasPrefix(name, "pg_toast") {
			assert.True(t, strings.HasPrefix(name, "hooks_"), name)
		}
	}
	_, err = d.Exec(t.Context(), "UPDATE "+qualified+" SET version = 1000")
	require.NoError(t, err)
	require.ErrorIs(t, postgres.Migrate(t.Context(), d.Pool, d.schema), postgres.ErrNewerSchema)
	_, err = postgres.New(t.Context(), d.Pool, postgres.Options{Schema: d.schema})
	require.ErrorIs(t, err, postgres.ErrNewerSchema)
	_, err = d.Exec(t.Context(), "UPDATE "+qualified+" SET version = 0")
	require.NoError(t, err)
	_, err = postgres.New(t.Context(), d.Pool, postgres.Options{Schema: d.schema})
	require.ErrorIs(t, err, postgres.ErrNotMigrated)
	assert.NotEmpty(t, s.StoreID())
}

// Several processes may migrate a new database at once.
func TestMigrateAtOnce(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	schema := d.schema + " at once"
	errs := make([]error, 6)
	var group sync.WaitGroup
	for i := range errs {
		group.Go(func() { errs[i] = postgres.Migrate(t.Context(), d.Pool, schema) })
	}
	group.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	_, err := d.Exec(t.Context(), "DROP SCHEMA "+pgx.Identifier{schema}.Sanitize()+" CASCADE")
	require.NoError(t, err)
}

// The migrations are what a tool of the application can apply.
func TestMigrationsByAnotherTool(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	schema := pgx.Identifier{d.schema}.Sanitize()
	_, err := d.Exec(t.Context(), "DROP SCHEMA "+schema+" CASCADE; CREATE SCHEMA "+schema)
	require.NoError(t, err)
	migrations, err := postgres.Migrations(d.schema)
	require.NoError(t, err)
	for i, m := range migrations {
		assert.True(t, strings.HasPrefix(m.Name, fmt.Sprintf("%04d_", i+1)), m.Name)
		assert.NotContains(t, m.SQL, "{schema}.")
		_, err := d.Exec(t.Context(), m.SQL)
		require.NoError(t, err)
	}
	_, err = d.Exec(t.Context(), fmt.Sprintf("CREATE TABLE %[1]s.hooks_schema (version integer NOT NULL); INSERT INTO %[1]s.hooks_schema VALUES (%[2]d)", schema, len(migrations)))
	require.NoError(t, err)
	d.open(t)
	_, err = postgres.Migrations("a\x00b")
	require.Error(t, err)
}

func TestCloseAndAfter(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	s, err := postgres.New(t.Context(), d.Pool, postgres.Options{Schema: d.schema})
	require.NoError(t, err)
	stop := s.Notify(func() {})
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
	stop()
	_, err = s.Hooks(t.Context(), hooks.HookQuery{})
	require.ErrorIs(t, err, postgres.ErrClosed)
	require.ErrorIs(t, s.CreateHook(t.Context(), hooks.Hook{ID: "a"}, 0), postgres.ErrClosed)
	require.NoError(t, d.Ping(t.Context()), "the pool is the application's")
}
