package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/seed-2c6e3a5a/hooks"
)

const (
	// commitTimeout bounds what cannot be interrupted: the commit of a transaction, whose
	// outcome would be unknown.
	commitTimeout = 30 * time.Second
	// maxTries is how often a transaction is tried that the server has rolled back because
	// of others.
	maxTries = 10
)

// settings are those of all transactions of the Store. The server plans each statement anew,
// because it would make a plan for any arguments while the queue is empty, and such a plan
// is of no use when the queue is long. It looks rows up in indexes. To read a whole table or
// index seems good to it when there are few rows, but there may be many dead ones, which it
// does not count. It does not compile statements, which takes longer than they do.
var settings = [][2]string{
	{"plan_cache_mode", "force_custom_plan"}, {"enable_seqscan", "off"}, {"random_page_cost", "0"}, {"jit", "off"},
}

var (
	// sqlSettings applies the settings until the transaction ends.
	sqlSettings = func() string {
		var list []string
		for _, s := range settings {
			list = append(list, fmt.Sprintf("set_config('%s', '%s', true)", s[0], s[1]))
		}
		return "SELECT " + strings.Join(list, ", ")
	}()
	// begin begins a transaction with the settings, and readSnapshot one that reads a
	// snapshot of the data.
	begin        = pgx.TxOptions{BeginQuery: "begin isolation level read committed; set local idle_in_transaction_session_timeout = '1min'; " + sqlSettings}
	readSnapshot = pgx.TxOptions{BeginQuery: "begin isolation level repeatable read read only; " + sqlSettings}
)

// check returns an error if a call cannot begin.
func (s *Store) check(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.ctx.Err() != nil {
		return ErrClosed
	}
	return nil
}

// transact calls run in a transaction and commits it. If the server rolls it back because
// of other transactions, that is done again. What run did then has no effect.
func (s *Store) transact(ctx context.Context, run func(context.Context, pgx.Tx) error) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	return s.retry(ctx, func() error { return s.transactOnce(ctx, run) })
}

func (s *Store) transactOnce(ctx context.Context, run func(context.Context, pgx.Tx) error) error {
	tx, err := s.pool.BeginTx(ctx, begin)
	if err != nil {
		return err
	}
	if err = run(ctx, tx); err == nil {
		err = ctx.Err()
	}
	// Now it is too late for the context to end.
	always, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	if err != nil {
		if rollback := tx.Rollback(always); rollback != nil && !errors.Is(rollback, pgx.ErrTxClosed) && ctx.Err() == nil {
			err = errors.Join(err, rollback)
		}
		return err
	}
	return tx.Commit(always)
}

// send executes statements in one transaction of their own, and in one round trip. If the
// server rolls it back because of other transactions, that is done again. The context cannot
// interrupt it, because nobody would know whether it was committed.
func (s *Store) send(ctx context.Context, fill func(*pgx.Batch)) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	return s.retry(ctx, func() error { return s.sendOnce(ctx, fill) })
}

func (s *Store) sendOnce(ctx context.Context, fill func(*pgx.Batch)) error {
	conn, err := s.pool.Acquire(ctx)
	if err == nil && ctx.Err() != nil {
		conn.Release()
		err = ctx.Err()
	}
	if err != nil {
		return storeError{fmt.Errorf("no connection of the pool in time: %w", err)}
	}
	defer conn.Release()
	always, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	b := &pgx.Batch{}
	b.Queue(sqlSettings)
	fill(b)
	return conn.SendBatch(always, b).Close()
}

// read executes a statement that reads, and calls scan with its rows.
func (s *Store) read(ctx context.Context, scan func(pgx.Rows) error, statement string, args ...any) error {
	b := &pgx.Batch{}
	b.Queue(sqlSettings)
	b.Queue(s.sql(statement), args...).Query(scan)
	return s.pool.SendBatch(ctx, b).Close()
}

// readAll reads rows, each with scan.
func readAll[T any](ctx context.Context, s *Store, scan pgx.RowToFunc[T], statement string, args ...any) (all []T, err error) {
	err = s.read(ctx, func(rows pgx.Rows) (err error) {
		all, err = pgx.CollectRows(rows, scan)
		return err
	}, statement, args...)
	return all, err
}

// readOne reads one row with one column.
func readOne[T any](ctx context.Context, s *Store, statement string, args ...any) (one T, err error) {
	err = s.read(ctx, func(rows pgx.Rows) (err error) {
		one, err = pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
		return err
	}, statement, args...)
	return one, err
}

// retry calls try again as long as the server rolls it back because of others.
func (s *Store) retry(ctx context.Context, try func() error) (err error) {
	for i := range maxTries {
		if err = try(); !isConflict(err) {
			break
		}
		select { // so that the others end first
		case <-time.After(time.Duration(rand.Int64N(int64(i+1))) * 5 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return failed(err)
}

// A storeError is an error of the driver or the database, with the name of the package.
type storeError struct{ error }

func (e storeError) Error() string { return "postgres: " + e.error.Error() }

func (e storeError) Unwrap() error { return e.error }

// failed adds the name of the package to an error of the driver or the database, once.
func failed(err error) error {
	var known storeError
	var database *pgconn.PgError
	var connect *pgconn.ConnectError
	if !errors.As(err, &known) && (errors.As(err, &database) || errors.As(err, &connect)) {
		return storeError{err}
	}
	return err
}

// The codes of errors, see the appendix "PostgreSQL Error Codes" of its manual.
const (
	uniqueViolation      = "23505"
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	lockNotAvailable     = "55P03"
)

// isConflict reports whether the server has rolled a transaction back because of others.
func isConflict(err error) bool {
	return hasCode(err, serializationFailure) || hasCode(err, deadlockDetected)
}

func hasCode(err error, code string) bool {
	var database *pgconn.PgError
	return errors.As(err, &database) && database.Code == code
}

// isRefusal reports whether the server or the Store has refused something, so that nothing was
// committed. Errors of the class 57 come with the end of a connection.
func isRefusal(err error) bool {
	var database *pgconn.PgError
	var invalid *hooks.InvalidError
	return errors.As(err, &database) && !strings.HasPrefix(database.Code, "57") || errors.As(err, &invalid)
}
