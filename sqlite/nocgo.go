//go:build !cgo

package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/store"
)

// What follows has the same names as with cgo, so that programs compile.

var errNeedsCgo = errors.New("sqlite needs cgo: CGO_ENABLED=1 and a C compiler")

// A Store is a [hooks.Store] in a SQLite database. Without cgo, there is none.
type Store struct{ store.Copyable }

// Open needs cgo.
func Open(context.Context, string, Options) (*Store, error) { return nil, errNeedsCgo }

// New needs cgo.
func New(context.Context, *sql.DB, Options) (*Store, error) { return nil, errNeedsCgo }

// OpenDB needs cgo.
func OpenDB(context.Context, string) (*sql.DB, error) { return nil, errNeedsCgo }

// Migrate needs cgo.
func Migrate(context.Context, *sql.DB) error { return errNeedsCgo }

// Close does nothing.
func (*Store) Close() error { return nil }

// WriterStats returns zeros.
func (*Store) WriterStats() (s WriterStats) { return s }

// Tx returns nil.
func (*Store) Tx(Handle) hooks.Tx { return nil }
