package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/seed-2c6e3a5a/hooks"
)

// A Store is a [hooks.Store] in a PostgreSQL database. It may be used concurrently, by
// several Managers, and the database by several processes on several machines.
type Store struct {
	pool    *pgxpool.Pool
	qualify func(string) string
	id      string
	// process names this Store among all that use the database: not 0.
	process int64
	// ctx ends when the Store is closed.
	ctx     context.Context
	close   context.CancelFunc
	mu      sync.Mutex     // held when a goroutine begins, and when the Store is closed
	running sync.WaitGroup // goroutines

	statements sync.Map // from text to qualified text
	hooks      hookNames
	leases     leases
	writer     writer
	claimer    claimer
	announcer  announcer
	listeners  listeners
	endCounts  endCounts
}

var (
	_ hooks.Store    = (*Store)(nil)
	_ hooks.Notifier = (*Store)(nil)
)

// New returns a Store over a pool of the application, whose tables [Migrate] has made. The
// pool must allow at least 4 connections, and at least two more than the application keeps
// in its own transactions at a time, because TriggerTx reads the hooks on another connection.
// Unless Options.Poll is set, the Store takes one connection out of the pool while a Manager
// runs, to listen on. The pool may replace it, so a process has up to MaxConns + 1. Any mode of
// execution will do (pgx.QueryExecMode), so that connections may go through PgBouncer; in
// transaction mode set Options.Poll.
//
// Once Run has returned, close the Store and then the pool. The context is for New alone.
//
// What does not fit is a [hooks.InvalidError]; tables that are missing or of another
// version are [ErrNotMigrated] or [ErrNewerSchema].
func New(ctx context.Context, pool *pgxpool.Pool, o Options) (*Store, error) {
	qualify, err := qualifier(o.Schema)
	if err != nil {
		return nil, err
	}
	switch {
	case pool == nil:
		return nil, &hooks.InvalidError{Field: "pool", Reason: "must not be nil"}
	case pool.Config().MaxConns < minConnections:
		return nil, &hooks.InvalidError{Field: "pool", Reason: fmt.Sprintf("must allow at least %d connections, see MaxConns", minConnections)}
	}
	s := &Store{pool: pool, qualify: qualify, process: rand.Int64N(1<<62) + 1}
	if err := checkIsolation(ctx, pool); err != nil {
		return nil, err
	}
	if err := checkSchema(ctx, pool, o.Schema); err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	err = pool.QueryRow(ctx, s.sql("SELECT id FROM {schema}.hooks_identity")).Scan(&s.id)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && s.id == "" {
		err = errors.New("hooks_identity has no id")
	}
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	s.ctx, s.close = context.WithCancel(context.Background())
	s.hooks.init()
	s.leases.init()
	s.claimer.init()
	s.listeners.init(o.Poll)
	return s, nil
}

// checkIsolation returns an error unless each statement of a transaction sees what was
// committed before it. The Store relies on that.
func checkIsolation(ctx context.Context, pool *pgxpool.Pool) error {
	var level string
	if err := pool.QueryRow(ctx, "SELECT current_setting('default_transaction_isolation')").Scan(&level); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	if level != "read committed" {
		return &hooks.InvalidError{Field: "pool", Reason: fmt.Sprintf("must have the default_transaction_isolation \"read committed\", not %q", level)}
	}
	return nil
}

// minConnections is what the pool must allow: two for the writer, one for claims, one for
// results or for a reader.
const minConnections = 4

// Close waits for the writes under way and stops listening. Calls that come later fail with
// [ErrClosed]. It may be called twice. The pool stays open.
func (s *Store) Close() error {
	s.writer.stop()
	s.mu.Lock()
	s.close()
	s.mu.Unlock()
	s.running.Wait()
	return nil
}

// background calls work in a goroutine that Close waits for. It returns false if the Store is
// closed.
func (s *Store) background(work func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return false
	}
	s.running.Go(work)
	return true
}

// StoreID implements [hooks.Tx]. It is a random text that is kept in the database, in
// hooks_identity. A copy of the database has it, too.
func (s *Store) StoreID() string { return s.id }

// sql returns a statement with the name of the schema.
func (s *Store) sql(statement string) string {
	if known, ok := s.statements.Load(statement); ok {
		return known.(string)
	}
	qualified := s.qualify(statement)
	s.statements.Store(statement, qualified)
	return qualified
}
