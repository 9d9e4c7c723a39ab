//go:build cgo

package store_test

import (
	"context"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/internal/pgtest"
	"github.com/seed-2c6e3a5a/hooks/memory"
	"github.com/seed-2c6e3a5a/hooks/postgres"
	"github.com/seed-2c6e3a5a/hooks/store/storetest"
	"github.com/stretchr/testify/require"
)

// The rules about copies also hold between stores of different kinds. Each rule opens its
// source first.
func TestCopyBetweenKinds(t *testing.T) {
	for name, open := range map[string][2]func(testing.TB) hooks.Store{
		"memory to sqlite":   {openMemory, openFile},
		"sqlite to memory":   {openFile, openMemory},
		"memory to postgres": {openMemory, openSchema},
		"postgres to memory": {openSchema, openMemory},
		"sqlite to postgres": {openFile, openSchema},
		"postgres to sqlite": {openSchema, openFile},
	} {
		t.Run(name, func(t *testing.T) {
			var hasSource sync.Map // by the name of the test
			storetest.Run(t, storetest.Harness{Open: func(t testing.TB) hooks.Store {
				if !strings.Contains(t.Name(), "/copy/") {
					t.Skip("the store is checked where it is")
				}
				if _, opened := hasSource.Swap(t.Name(), true); opened {
					return open[1](t)
				}
				return open[0](t)
			}})
		})
	}
}

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// openSchema opens a store with a schema of its own.
func openSchema(t testing.TB) hooks.Store { return openPostgres(t, t) }

// A scope is a test, or a part of one.
type scope interface {
	require.TestingT
	Context() context.Context
	Cleanup(func())
}

// openPostgres opens a store with a schema of its own, which is there until the scope ends.
func openPostgres(test testing.TB, t scope) *postgres.Store {
	schema := "hooks_copy_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	pool, err := pgxpool.New(context.Background(), pgtest.URL(test))
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	t.Cleanup(func() {
		_, err := pool.Exec(context.Background(), "DROP SCHEMA IF EXISTS "+schema+" CASCADE")
		require.NoError(t, err)
	})
	require.NoError(t, postgres.Migrate(t.Context(), pool, schema))
	s, err := postgres.New(t.Context(), pool, postgres.Options{Schema: schema})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func openMemory(testing.TB) hooks.Store { return memory.New(memory.Options{}) }
