package postgres_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/internal/pgtest"
	"github.com/seed-2c6e3a5a/hooks/postgres"
	"github.com/seed-2c6e3a5a/hooks/store/storetest"
)

// mode has a pool execute statements in this mode.
func mode(m pgx.QueryExecMode) func(*pgxpool.Config) {
	return func(c *pgxpool.Config) { c.ConnConfig.DefaultQueryExecMode = m }
}

// The contract holds in the mode of execution that differs most: arguments are part of the
// statement's text.
func TestConformanceWithTheSimpleProtocol(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes long")
	}
	storetest.Run(t, harness(mode(pgx.QueryExecModeSimpleProtocol)))
}

// The contract holds through PgBouncer in transaction mode, where each transaction may get
// another connection of the server, and nothing can listen.
func TestConformanceThroughPgBouncer(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes long")
	}
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program, err = exec.LookPath("/usr/sbin/pgbouncer") // where Debian has it
	}
	if err != nil && os.Getenv("CI") == "" {
		t.Skip("PgBouncer is not installed")
	}
	require.NoError(t, err)
	server := pgtest.New(t, "max_connections=300")
	bouncer := startBouncer(t, program, server)
	h := harness(mode(pgx.QueryExecModeExec), func(c *pgxpool.Config) {
		c.ConnConfig.Host, c.ConnConfig.Port = bouncer, 6432
	})
	open := func(t testing.TB, d *database) hooks.Store {
		s, err := postgres.New(t.Context(), d.connect(t, mode(pgx.QueryExecModeExec), func(c *pgxpool.Config) {
			c.ConnConfig.Host, c.ConnConfig.Port = bouncer, 6432
		}), postgres.Options{Schema: d.schema, Poll: true})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		return tested{s, d}
	}
	h.Open = func(t testing.TB) hooks.Store { return open(t, newDatabaseOn(t, server.URL())) }
	h.Reopen = func(t testing.TB, s hooks.Store) hooks.Store {
		require.NoError(t, s.(tested).Close())
		return open(t, s.(tested).db)
	}
	h.Share = func(t testing.TB, s hooks.Store) hooks.Store { return open(t, s.(tested).db) }
	storetest.Run(t, h)
}

// startBouncer starts PgBouncer in transaction mode, and returns the directory of its socket.
func startBouncer(t *testing.T, program string, server *pgtest.Server) string {
	t.Helper()
	dir := filepath.Join(server.Dir(), "pgbouncer")
	require.NoError(t, os.Mkdir(dir, 0o700))
	config := filepath.Join(dir, "pgbouncer.ini")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `[databases]
* = host=%s user=hooks
[pgbouncer]
listen_port = 6432
unix_socket_dir = %s
auth_type = any
pool_mode = transaction
default_pool_size = 20
max_client_conn = 500
ignore_startup_parameters = extra_float_digits
`, server.Dir(), dir), 0o644))
	cmd := exec.Command(program, config)
	cmd.Stderr = t.Output()
	var err error
	cmd.SysProcAttr, err = pgtest.Unprivileged(dir)
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		conn, err := pgx.Connect(ctx, "postgres:///postgres?user=hooks&default_query_exec_mode=exec&port=6432&host="+dir)
		return err == nil && conn.Close(ctx) == nil
	}, time.Minute, 20*time.Millisecond)
	return dir
}
