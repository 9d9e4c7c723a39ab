//go:build cgo

package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mattn/go-sqlite3"

	"github.com/seed-2c6e3a5a/hooks"
)

// plain wraps an error of the driver in one of the errors above.
func plain(err error) error {
	if errors.Is(err, ErrReadFirst) { // which says more than ErrBusy
		return err
	}
	var cause sqlite3.Error
	if !errors.As(err, &cause) {
		if err != nil && err.Error() == "sql: database is closed" { // database/sql keeps that error to itself.
			return fmt.Errorf("%w: %w", ErrClosed, err)
		}
		return err
	}
	switch cause.Code {
	case sqlite3.ErrBusy, sqlite3.ErrLocked:
		return fmt.Errorf("%w: %w", ErrBusy, err)
	case sqlite3.ErrFull:
		return fmt.Errorf("%w: %w", ErrFull, err)
	case sqlite3.ErrReadonly:
		return fmt.Errorf("%w: %w", ErrReadOnly, err)
	case sqlite3.ErrNotADB, sqlite3.ErrCorrupt:
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// refused reports whether the store has refused an operation, which then has written nothing.
// Other errors are failures of the database.
func refused(err error) bool {
	return errors.Is(err, hooks.ErrNotFound) || errors.Is(err, hooks.ErrConflict) || errors.Is(err, hooks.ErrDuplicate) ||
		errors.Is(err, hooks.ErrTooManyHooks) || errors.As(err, new(*hooks.InvalidError))
}

// isBusy reports whether the database is locked by another connection.
func isBusy(err error) bool {
	var cause sqlite3.Error
	return errors.As(err, &cause) && (cause.Code == sqlite3.ErrBusy || cause.Code == sqlite3.ErrLocked)
}

// isUnique reports whether a value is there that must be unique.
func isUnique(err error) bool {
	var cause sqlite3.Error
	return errors.As(err, &cause) && cause.ExtendedCode == sqlite3.ErrConstraintUnique
}

// isConstraint reports whether a row breaks a rule of its table.
func isConstraint(err error) bool {
	var cause sqlite3.Error
	return errors.As(err, &cause) && cause.Code == sqlite3.ErrConstraint
}

// lockWait is how long SQLite itself waits for a lock. That wait cannot be cancelled. After
// lockWaits of them, poll sleeps between its tries, because in the virtual time of a test
// the holder of the lock may wait for time to pass, and virtual time does not pass during a
// call of SQLite.
const (
	lockWait  = 20 * time.Millisecond
	lockWaits = 25
)

// poll calls try until the database is no longer locked, for at most limit. try itself waits
// for lockWait.
func poll(ctx context.Context, limit time.Duration, try func() error) error {
	start := time.Now()
	pause := time.Duration(0)
	for tries := 1; ; tries++ {
		err := try()
		if !isBusy(err) || time.Since(start) >= limit {
			return err
		}
		if tries < lockWaits {
			if err := ctx.Err(); err != nil {
				return err
			}
			continue
		}
		pause = min(pause+time.Millisecond, 50*time.Millisecond)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}
