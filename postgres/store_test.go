package postgres_test

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/internal/pgtest"
	"github.com/seed-2c6e3a5a/hooks/postgres"
	"github.com/seed-2c6e3a5a/hooks/store/storetest"
)

// A database is a schema of the server, with a pool.
type database struct {
	*pgxpool.Pool
	url, schema string
}

// newDatabase returns a schema of its own with the library's tables.
func newDatabase(t testing.TB) *database {
	t.Helper()
	return newDatabaseOn(t, pgtest.URL(t))
}

// newDatabaseOn is newDatabase on another server.
func newDatabaseOn(t testing.TB, url string) *database {
	t.Helper()
	d := &database{url: url, schema: `Hooks "test" ` + uuid.NewString()}
	d.Pool = d.connect(t)
	t.Cleanup(func() {
		_, err := d.Exec(context.Background(), "DROP SCHEMA IF EXISTS "+pgx.Identifier{d.schema}.Sanitize()+" CASCADE")
		require.NoError(t, err)
	})
	require.NoError(t, postgres.Migrate(t.Context(), d.Pool, d.schema))
	return d
}

// connect opens another pool.
func (d *database) connect(t testing.TB, adjust ...func(*pgxpool.Config)) *pgxpool.Pool {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(d.url)
	require.NoError(t, err)
	cfg.MaxConns = 8
	for _, change := range adjust {
		change(cfg)
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), cfg)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// open opens a store.
func (d *database) open(t testing.TB, adjust ...func(*pgxpool.Config)) *postgres.Store {
	t.Helper()
	return d.openOn(t, d.connect(t, adjust...))
}

// openOn opens a store over a pool.
func (d *database) openOn(t testing.TB, pool *pgxpool.Pool) *postgres.Store {
	t.Helper()
	s, err := postgres.New(t.Context(), pool, postgres.Options{Schema: d.schema})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// A tested store knows its database.
type tested struct {
	*postgres.Store
	db *database
}

func harness(adjust ...func(*pgxpool.Config)) storetest.Harness {
	return storetest.Harness{
		Open: func(t testing.TB) hooks.Store {
			d := newDatabase(t)
			return tested{d.open(t, adjust...), d}
		},
		Reopen: func(t testing.TB, s hooks.Store) hooks.Store {
			old := s.(tested)
			require.NoError(t, old.Close())
			return tested{old.db.open(t, adjust...), old.db}
		},
		Share: func(t testing.TB, s hooks.Store) hooks.Store {
			first := s.(tested)
			return tested{first.db.open(t, adjust...), first.db}
		},
		Begin: func(t testing.TB, s hooks.Store) (hooks.Tx, func(bool)) {
			of := s.(tested)
			tx, err := of.db.Begin(t.Context())
			require.NoError(t, err)
			return of.Tx(tx), func(commit bool) {
				end := tx.Rollback
				if commit {
					end = tx.Commit
				}
				require.NoError(t, end(context.Background()))
			}
		},
	}
}

func TestConformance(t *testing.T) { storetest.Run(t, harness()) }

func BenchmarkStore(b *testing.B) { storetest.Bench(b, harness()) }
