// Package handles tests, in a module of its own, that events can be recorded in
// the transactions of libraries over database/sql, and not in those of another
// SQLite library. docs/transactions.md of the module above has the lines that are tried here.
package handles_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	gormsqlite "gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
	_ "modernc.org/sqlite"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/sqlite"
)

// An app has orders and hooks in one file, and a handle to it.
type app struct {
	*hooks.Manager
	path  string
	db    *sql.DB
	store *sqlite.Store
}

func newApp(t *testing.T) *app {
	t.Helper()
	a := &app{path: filepath.Join(t.TempDir(), "app.db")}
	var err error
	a.db, err = sqlite.OpenDB(t.Context(), a.path)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, a.db.Close()) })
	_, err = a.db.ExecContext(t.Context(), "CREATE TABLE orders (id TEXT PRIMARY KEY)")
	require.NoError(t, err)
	a.store, err = sqlite.Open(t.Context(), a.path, sqlite.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, a.store.Close()) })
	a.Manager, err = hooks.New(a.store, hooks.Config{})
	require.NoError(t, err)
	_, err = a.Register(t.Context(), hooks.Hook{URL: "https://example.com/", Events: []string{"*"}})
	require.NoError(t, err)
	return a
}

// trigger records some events in a transaction, as it is done for an order.
func (a *app) trigger(ctx context.Context, tx sqlite.Handle, order string) error {
	receipts, err := a.TriggerTx(ctx, a.store.Tx(tx),
		hooks.Event{ID: order + "-paid", Type: "order.paid", OrderingKey: order}, hooks.Event{ID: order + "-sent", Type: "order.sent", OrderingKey: order})
	if err == nil && len(receipts) != 2 {
		err = errors.New("there is not a receipt for each event")
	}
	return err
}

// has reports whether the order and its events are stored.
func (a *app) has(t *testing.T, order string) bool {
	t.Helper()
	var n int
	require.NoError(t, a.db.QueryRowContext(t.Context(), "SELECT count(*) FROM orders WHERE id = ?", order).Scan(&n))
	events, err := a.store.Events(t.Context(), "", []string{order + "-paid", order + "-sent"})
	require.NoError(t, err)
	assert.Len(t, events, 2*n, "the events are stored with the order, or not at all")
	return n == 1
}

var errDeclined = errors.New("the card was declined")

// A way places an order in a transaction, with its events. The transaction
// commits unless fail is set.
type way func(ctx context.Context, a *app, order string, fail error) error

type orderRow struct {
	ID string `gorm:"primaryKey"`
}

func (orderRow) TableName() string { return "orders" }

func openGORM(a *app, prepare bool) (*gorm.DB, error) {
	return gorm.Open(gormsqlite.New(gormsqlite.Config{Conn: a.db}), &gorm.Config{PrepareStmt: prepare, Logger: logger.Discard})
}

func withGORM(prepare bool) way {
	return func(ctx context.Context, a *app, order string, fail error) error {
		db, err := openGORM(a, prepare)
		if err != nil {
			return err
		}
		return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
			if err := tx.Create(&orderRow{ID: order}).Error; err != nil {
				return err
			}
			if err := a.trigger(ctx, tx.Statement.ConnPool, order); err != nil {
				return err
			}
			return fail
		})
	}
}

// In a transaction of GORM within another, which is a savepoint.
func withNestedGORM(ctx context.Context, a *app, order string, fail error) error {
	db, err := openGORM(a, true)
	if err != nil {
		return err
	}
	return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		err := tx.Transaction(func(tx *gorm.DB) error {
			if err := tx.Create(&orderRow{ID: order}).Error; err != nil {
				return err
			}
			if err := a.trigger(ctx, tx.Statement.ConnPool, order); err != nil {
				return err
			}
			return fail
		})
		if !errors.Is(err, errDeclined) { // The outer one commits.
			return err
		}
		return nil
	})
}

func withSQLX(ctx context.Context, a *app, order string, fail error) error {
	tx, err := sqlx.NewDb(a.db, "sqlite3").BeginTxx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.NamedExecContext(ctx, "INSERT INTO orders (id) VALUES (:id)", map[string]any{"id": order}); err != nil {
		return err
	}
	if err := errors.Join(a.trigger(ctx, tx, order), fail); err != nil {
		return err
	}
	return tx.Commit()
}

// The code that ent generates calls QueryContext of this transaction, with the feature
// sql/execquery.
func withEnt(ctx context.Context, a *app, order string, fail error) error {
	begun, err := entsql.OpenDB(dialect.SQLite, a.db).Tx(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = begun.Rollback() }()
	if err := begun.Exec(ctx, "INSERT INTO orders (id) VALUES (?)", []any{order}, nil); err != nil {
		return err
	}
	if err := errors.Join(a.trigger(ctx, begun.(*entsql.Tx), order), fail); err != nil {
		return err
	}
	return begun.Commit()
}

// A DBTX is what code that sqlc has generated runs on.
type DBTX interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func withSQLC(ctx context.Context, a *app, order string, fail error) error {
	begun, err := a.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = begun.Rollback() }()
	var tx DBTX = begun
	if _, err := tx.ExecContext(ctx, "INSERT INTO orders (id) VALUES (?)", order); err != nil {
		return err
	}
	if err := errors.Join(a.trigger(ctx, tx, order), fail); err != nil {
		return err
	}
	return begun.Commit()
}

func withConn(ctx context.Context, a *app, order string, fail error) error {
	conn, err := a.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	end := "COMMIT"
	_, err = conn.ExecContext(ctx, "INSERT INTO orders (id) VALUES (?)", order)
	if err = errors.Join(err, a.trigger(ctx, conn, order), fail); err != nil {
		end = "ROLLBACK"
	}
	_, failure := conn.ExecContext(ctx, end)
	return errors.Join(err, failure)
}

func TestTransactionsOfLibraries(t *testing.T) {
	for name, place := range map[string]way{
		"GORM":                  withGORM(false),
		"GORM with PrepareStmt": withGORM(true),
		"GORM, nested":          withNestedGORM,
		"sqlx":                  withSQLX,
		"ent":                   withEnt,
		"sqlc":                  withSQLC,
		"*sql.Conn":             withConn,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newApp(t)
			for _, order := range []string{"a", "b", "c"} {
				require.NoError(t, place(t.Context(), a, order, nil))
				assert.True(t, a.has(t, order))
			}
			if err := place(t.Context(), a, "declined", errDeclined); err != nil {
				require.ErrorIs(t, err, errDeclined)
			}
			assert.False(t, a.has(t, "declined"))
			require.NoError(t, place(t.Context(), a, "declined", nil), "nothing is left of it")
			assert.True(t, a.has(t, "declined"))
		})
	}
}

// What is not in a transaction is refused, whatever it is wrapped in.
func TestLibrariesWithoutATransaction(t *testing.T) {
	a := newApp(t)
	plain, err := openGORM(a, false)
	require.NoError(t, err)
	prepared, err := openGORM(a, true)
	require.NoError(t, err)
	for name, tt := range map[string]struct {
		handle sqlite.Handle
		want   string
	}{
		"GORM":                  {plain.Statement.ConnPool, "it is a *sql.DB"},
		"GORM with PrepareStmt": {prepared.Statement.ConnPool, sqlite.ErrNoTransaction.Error()},
		"sqlx":                  {sqlx.NewDb(a.db, "sqlite3"), "it is a *sqlx.DB"},
		"ent":                   {entsql.OpenDB(dialect.SQLite, a.db), sqlite.ErrNoTransaction.Error()},
		"a nil *sqlx.Tx":        {(*sqlx.Tx)(nil), "must not be nil"},
	} {
		require.ErrorContains(t, a.trigger(t.Context(), tt.handle, "x"), tt.want, name)
	}
	assert.False(t, a.has(t, "x"))
}

// modernc.org/sqlite may be of the very same source as mattn's, and still knows
// nothing of its locks.
func TestAnotherLibraryIsRefused(t *testing.T) {
	a := newApp(t)
	db, err := sql.Open("sqlite", a.path+"?_txlock=immediate")
	require.NoError(t, err)
	defer func() { assert.NoError(t, db.Close()) }()
	ids := map[*sql.DB]string{}
	for _, db := range []*sql.DB{a.db, db} {
		var id string
		require.NoError(t, db.QueryRowContext(t.Context(), "SELECT sqlite_source_id()").Scan(&id))
		ids[db] = id
	}
	t.Logf("mattn's is of %s,\nthe other of %s", ids[a.db], ids[db])
	_, err = sqlite.New(t.Context(), db, sqlite.Options{})
	require.ErrorContains(t, err, "github.com/mattn/go-sqlite3")

	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	require.ErrorIs(t, a.trigger(t.Context(), tx, "x"), sqlite.ErrOtherLibrary)
	require.NoError(t, tx.Commit())
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	_, err = conn.ExecContext(t.Context(), "BEGIN")
	require.NoError(t, err)
	require.ErrorIs(t, a.trigger(t.Context(), conn, "x"), sqlite.ErrOtherLibrary)
	_, err = conn.ExecContext(t.Context(), "COMMIT")
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	assert.False(t, a.has(t, "x"))
}
