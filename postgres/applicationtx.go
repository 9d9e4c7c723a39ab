package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed-2c6e3a5a/hooks"
)

// Tx returns a transaction of the application in the form that [hooks.Manager.TriggerTx]
// takes. The transaction must be in the Store's database, of any pool or connection. The Tx
// ends with the transaction, and like that it is not safe for concurrent use.
//
// Each call of TriggerTx takes four round trips in the transaction, and sometimes one on the
// pool, to read what is new of the hooks. It has the effect of a savepoint: if it
// fails, it has written nothing, and the transaction can be used further. The error wraps
// [hooks.ErrForeignTx] if the transaction is in another database, and is a
// [hooks.InvalidError] with the field "tx" if it is nil. An isolation level of REPEATABLE READ
// or SERIALIZABLE is fine.
//
// A call locks nothing that other calls wait for, except the event's ID: if another
// transaction has used it and has not ended, the call waits for that, as with any unique key.
// If that takes longer than 30 s, or than until the deadline of the context, the
// connection is closed and the transaction is lost. So that ordering keys need no lock, a
// delivery with one is stored as blocked, even if it is the only one of its key. The first
// claim of a Manager after the commit makes it pending.
//
// After the commit, a running Manager finds the events with its next poll, or at once if you
// call [hooks.Manager.Wake].
func (s *Store) Tx(tx pgx.Tx) hooks.Tx {
	if tx == nil {
		return applicationTx{s, nil}
	}
	return applicationTx{s, pgxHandle{tx}}
}

// SQLTx is Tx for a transaction of database/sql, whose driver must be that of
// github.com/jackc/pgx/v5/stdlib.
func (s *Store) SQLTx(tx *sql.Tx) hooks.Tx {
	if tx == nil {
		return applicationTx{s, nil}
	}
	return applicationTx{s, sqlHandle{tx}}
}

// A txHandle executes statements in a transaction.
type txHandle interface {
	exec(ctx context.Context, statement string, args ...any) error
	// row reads the only row.
	row(ctx context.Context, statement string, columns ...any) error
}

type pgxHandle struct{ tx pgx.Tx }

func (h pgxHandle) exec(ctx context.Context, statement string, args ...any) error {
	_, err := h.tx.Exec(ctx, statement, args...)
	return err
}

func (h pgxHandle) row(ctx context.Context, statement string, columns ...any) error {
	return h.tx.QueryRow(ctx, statement).Scan(columns...)
}

type sqlHandle struct{ tx *sql.Tx }

func (h sqlHandle) exec(ctx context.Context, statement string, args ...any) error {
	_, err := h.tx.ExecContext(ctx, statement, args...)
	return err
}

func (h sqlHandle) row(ctx context.Context, statement string, columns ...any) error {
	return h.tx.QueryRowContext(ctx, statement).Scan(columns...)
}

// An applicationTx is a transaction of the application.
type applicationTx struct {
	store *Store
	tx    txHandle
}

// StoreID implements [hooks.Tx]. Enqueue checks that the transaction has it.
func (t applicationTx) StoreID() string { return t.store.id }

// Enqueue implements [hooks.Tx].
func (t applicationTx) Enqueue(ctx context.Context, now time.Time, entries []hooks.Entry) error {
	if err := t.store.check(ctx); err != nil {
		return err
	}
	if t.tx == nil {
		return &hooks.InvalidError{Field: "tx", Reason: "must not be nil"}
	}
	if len(entries) == 0 {
		return nil
	}
	if err := checkDistinct(entries); err != nil {
		return err
	}
	if err := t.store.nameHooks(ctx, entries); err != nil {
		return t.store.readFailed(ctx, err)
	}
	var p parcel
	if err := p.add(t.store, now, entries, true); err != nil {
		return err
	}
	// The context does not end in the middle, because that would close the connection. It
	// bounds how long to wait for another transaction, which is all that may take long.
	always, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout+patience(ctx))
	defer cancel()
	if err := t.tx.exec(always, "SAVEPOINT hooks_apart"); err != nil {
		return failed(err)
	}
	err := t.enqueue(always, &p, patience(ctx))
	switch {
	case err == nil:
		return nil
	case hasCode(err, lockNotAvailable) && ctx.Err() != nil:
		err = ctx.Err()
	case hasCode(err, uniqueViolation):
		err = t.duplicateOf(err, entries)
	}
	if undo := t.tx.exec(always, "ROLLBACK TO SAVEPOINT hooks_apart; RELEASE SAVEPOINT hooks_apart"); undo != nil {
		err = errors.Join(err, undo)
	}
	return failed(err)
}

// sqlPrepare reads which database it is and how long statements wait for locks, and sets the
// latter.
const sqlPrepare = "SELECT id, current_setting('lock_timeout'), set_config('lock_timeout', '%dms', true) FROM {schema}.hooks_identity"

// enqueue stores a parcel after the check that the transaction is in the Store's database.
func (t applicationTx) enqueue(ctx context.Context, p *parcel, wait time.Duration) error {
	var id, before, now string
	err := t.tx.row(ctx, fmt.Sprintf(t.store.sql(sqlPrepare), wait.Milliseconds()), &id, &before, &now)
	if hasCode(err, undefinedTable) || hasCode(err, undefinedSchema) || err == nil && id != t.store.id {
		return fmt.Errorf("%w: %w", hooks.ErrForeignTx, errors.Join(err, errors.New("the tables there are not the store's")))
	}
	if err != nil {
		return err
	}
	if err := t.tx.exec(ctx, t.store.sql(sqlEnqueue), p.args(0)...); err != nil {
		return err
	}
	return t.tx.exec(ctx, fmt.Sprintf("SET LOCAL lock_timeout = '%s'; RELEASE SAVEPOINT hooks_apart", before))
}

const (
	undefinedTable  = "42P01"
	undefinedSchema = "3F000"
)

// duplicateOf returns the error for a unique violation: which event it is, if the database
// says that.
func (t applicationTx) duplicateOf(err error, entries []hooks.Entry) error {
	var violation *pgconn.PgError
	if !errors.As(err, &violation) || violation.ConstraintName != "hooks_events_id" {
		return failed(err)
	}
	for _, entry := range entries {
		if len(entries) == 1 || violation.Detail == fmt.Sprintf("Key (tenant, id)=(%s, %s) already exists.", entry.Event.Tenant, entry.Event.ID) {
			return duplicate(entry.Event)
		}
	}
	return fmt.Errorf("one of %d events: %w", len(entries), hooks.ErrDuplicate)
}
