//go:build cgo

package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/mattn/go-sqlite3"

	"github.com/seed-2c6e3a5a/hooks"
)

// Tx returns a transaction of the application in the form that [hooks.Manager.TriggerTx]
// takes. The transaction must be in the Store's database and use the driver
// github.com/mattn/go-sqlite3. It may belong to any handle; [OpenDB] opens one
// with the right settings. The Tx ends with the transaction. It, and others of the
// same transaction, may be used concurrently if the handle may; but execute nothing
// else in the transaction during a call, because a call that fails would undo that,
// too.
//
// The Store's database may also be attached to that of the transaction. Then a crash
// during the commit may commit one of the two and not the other
// (https://www.sqlite.org/lang_attach.html).
//
// Each call of TriggerTx checks the transaction first, which takes some
// microseconds, and writes nothing if it is not suitable. The error then wraps
// [ErrNoTransaction], [ErrOtherLibrary], [hooks.ErrForeignTx], [ErrNotMigrated],
// [ErrNewerSchema] or [ErrReadFirst], or is a [hooks.InvalidError] with the field
// "tx" if the handle is nil or a [*sql.DB]. The check recognizes the library by
// the type of its errors, so a driver that wraps it must return errors of the type
// [sqlite3.Error] unchanged.
//
// After the commit, a running Manager finds the events with its next poll, or at
// once if you call [hooks.Manager.Wake]. Until the commit, all other writers wait
// for the transaction. So keep it short, and do not call other methods of the
// Manager that write before it ends: they would wait for it.
func (s *Store) Tx(tx Handle) hooks.Tx { return applicationTx{s, tx} }

// StoreID implements [hooks.Tx]. It is a random text that is kept in the database,
// in hooks_identity. A copy of the file has it, too.
func (s *Store) StoreID() string { return s.id }

// A applicationTx is a transaction of the application.
type applicationTx struct {
	store  *Store
	handle Handle
}

// StoreID implements [hooks.Tx]. Enqueue checks that the transaction has it.
func (t applicationTx) StoreID() string { return t.store.id }

// Enqueue implements [hooks.Tx].
func (t applicationTx) Enqueue(ctx context.Context, now time.Time, entries []hooks.Entry) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := checkHandle(t.handle); err != nil {
		return err
	}
	// The context may end in the middle, which undoes this call and no more.
	always := newReader(context.WithoutCancel(ctx), once{t.handle})
	if err := t.check(always); err != nil {
		return fmt.Errorf("sqlite: %w", plain(err))
	}
	// Others that are here are in the same transaction, since it has the lock that
	// writers need. Their savepoints must not mix.
	t.store.inApplicationTx.Lock()
	defer t.store.inApplicationTx.Unlock()
	if err := run(always, stmtSavepoint); err != nil {
		return fmt.Errorf("sqlite: %w", plain(err))
	}
	session := newReader(ctx, t.handle)
	err := (&tx{session, newCache(0)}).enqueue(now, entries)
	if damage := session.damaged(); damage != nil {
		err = damage
	}
	end := stmtRelease
	if err != nil {
		end = stmtRollbackTo
	}
	if failure := errors.Join(session.close(), run(always, end)); failure != nil {
		err = errors.Join(err, failure)
	}
	if err != nil && !refused(err) {
		err = fmt.Errorf("sqlite: %w", plain(err))
	}
	return err
}

var (
	// stmtSavepoint begins a part of a transaction that can be undone alone.
	stmtSavepoint = newStatement("SAVEPOINT hooks_apart")
	// stmtRelease ends that part and keeps what it has written.
	stmtRelease = newStatement("RELEASE hooks_apart")
	// stmtRollbackTo undoes that part.
	stmtRollbackTo = newStatement("ROLLBACK TO hooks_apart")
)

// once is a Handle without PrepareContext, for statements that are executed once.
type once struct{ Handle }

// checkHandle refuses what cannot be a transaction.
func checkHandle(h Handle) error {
	value := reflect.ValueOf(h)
	if !value.IsValid() || value.Kind() == reflect.Pointer && value.IsNil() {
		return &hooks.InvalidError{Field: "tx", Reason: "must not be nil"}
	}
	if _, ok := h.(interface{ Stats() sql.DBStats }); ok { // *sql.DB, and what embeds it
		return &hooks.InvalidError{Field: "tx", Reason: fmt.Sprintf("must be a transaction, it is a %T", h)}
	}
	return nil
}

// check returns an error unless the handle is in a transaction of the store's
// database and library, and has the lock that writers need.
func (t applicationTx) check(r *reader) error {
	if err := checkTransaction(r); err != nil {
		return err
	}
	if err := lock(r); err != nil {
		return t.explain(r, err)
	}
	version, own := int64(0), false
	err := r.each(stmtReadIdentity, func(found row) error {
		version = found.int(identityVersion)
		own = found.maybeText(identityID) == t.store.id && t.store.file.is(found.maybeText(identityFile))
		return nil
	})
	switch {
	case err != nil:
		return t.explain(r, err)
	case !own:
		return hooks.ErrForeignTx
	}
	return checkVersion(version)
}

// stmtChangeSafety fails within a transaction. Otherwise it does nothing, because the
// temporary database has no safety level. So it shows whether there is a transaction,
// which SQL has no statement for. The type of its error shows which library the
// transaction is of: two libraries may be built from the same source with the same options.
var stmtChangeSafety = newStatement("PRAGMA temp.synchronous = FULL")

// checkTransaction returns an error unless the handle is in a transaction, of the
// library that the store uses.
func checkTransaction(r *reader) error {
	err := plain(run(r, stmtChangeSafety))
	var cause sqlite3.Error
	switch {
	case err == nil:
		return ErrNoTransaction
	case errors.As(err, &cause) && cause.Code == sqlite3.ErrError:
		return nil
	case cause.Code != 0, errors.Is(err, sql.ErrTxDone), errors.Is(err, sql.ErrConnDone), errors.Is(err, ErrClosed):
		return err
	}
	return fmt.Errorf("%w: %w", ErrOtherLibrary, err)
}

var (
	// stmtTakeLock changes nothing, but waits for other writers, which a transaction
	// cannot do once it has read.
	stmtTakeLock = newStatement("UPDATE hooks_identity SET id = id WHERE 0")
	// stmtReadIdentity also finds the file of the database that the table is in. There
	// may be several with such a table, if some are attached: SQLite takes that of
	// temp (which has the number 1), main, or the one that was attached first.
	stmtReadIdentity = newStatement(`SELECT id, (SELECT coalesce(max(version), 0) FROM hooks_schema), file, min(iif(seq = 1, -1, seq))
		FROM hooks_identity, pragma_table_list('hooks_identity'), pragma_database_list WHERE pragma_database_list.name = schema`)
	// A checkpoint is refused with SQLITE_LOCKED in a transaction that has read.
	stmtTryCheckpoint = newStatement("PRAGMA wal_checkpoint(PASSIVE)")
)

// The columns of stmtReadIdentity.
const (
	identityID = iota
	identityVersion
	identityFile
)

// lock takes the lock that writers need. In a transaction that began immediate it
// is there already. In another, SQLite waits for it only as long as nothing has
// been read.
func lock(r *reader) error {
	err := run(r, stmtTakeLock)
	if !isBusy(err) {
		return err
	}
	var cause sqlite3.Error
	errors.As(err, &cause)
	stale := cause.ExtendedCode == sqlite3.ErrBusySnapshot
	if !stale && cause.Code == sqlite3.ErrBusy && errors.As(run(r, stmtTryCheckpoint), &cause) {
		stale = cause.Code == sqlite3.ErrLocked
	}
	if stale {
		return readFirstError{err}
	}
	return err
}

// A readFirstError is a failure that is an [ErrReadFirst], and as such an [ErrBusy].
type readFirstError struct{ cause error }

func (e readFirstError) Error() string        { return ErrReadFirst.Error() + ": " + e.cause.Error() }
func (e readFirstError) Unwrap() error        { return e.cause }
func (e readFirstError) Is(target error) bool { return target == ErrReadFirst || target == ErrBusy }

// explain says what is wrong with the tables when they could not be used.
func (t applicationTx) explain(r *reader, err error) error {
	var cause sqlite3.Error
	if !errors.As(err, &cause) || cause.Code != sqlite3.ErrError {
		return err
	}
	return errors.Join(checkTables(r), err)
}

var (
	// stmtFindSchema finds out whether there is a table of versions.
	stmtFindSchema = newStatement("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'hooks_schema'")
	// stmtReadVersion returns the version of the tables.
	stmtReadVersion = newStatement("SELECT coalesce(max(version), 0) FROM hooks_schema")
)

// checkTables is checkSchema for a session.
func checkTables(r *reader) error {
	found, err := first(r, stmtFindSchema)
	switch {
	case err != nil:
		return err
	case found == nil:
		return ErrNotMigrated
	}
	version, err := first(r, stmtReadVersion)
	if err != nil {
		return err
	}
	return checkVersion(version.int(0))
}
