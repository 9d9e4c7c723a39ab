//go:build cgo

package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"

	"github.com/mattn/go-sqlite3"
)

// A session runs statements in a transaction of the store or of the application.
type session interface {
	// each runs a statement and calls visit, unless it is nil, with each row
	// of the result. The row is valid during the call only, what its columns
	// hold stays.
	each(s *statement, visit func(row) error, args ...driver.Value) error
	// damaged returns the damage that rows had, and forgets it.
	damaged() error
}

// run runs a statement without looking at what it returns.
func run(c session, s *statement, args ...driver.Value) error { return c.each(s, nil, args...) }

// first returns the first row of the result, or nil.
func first(c session, s *statement, args ...driver.Value) (found *row, err error) {
	err = c.each(s, func(r row) error {
		if found == nil {
			r = r.copy()
			found = &r
		}
		return nil
	}, args...)
	return found, err
}

// A statement is prepared once for each connection.
//
// If a statement compares an indexed column with a parameter alone, SQLite may prepare it
// again for each execution, because the best plan may depend on the value. That takes
// longer than the execution. It happens with "a = ? AND b = ?" if both are columns of an
// index, and with "LIMIT ?". It does not happen with an expression, so statements say
// "? + 0" for numbers, and concatenate an empty text to texts.
type statement struct {
	sql   string
	place int // among all
}

var statements []*statement

// newStatement returns a statement, with numbers in place of the names in its text (see
// names).
func newStatement(sql string) *statement {
	s := &statement{named(sql), len(statements)}
	statements = append(statements, s)
	return s
}

// A conn is the connection that the store writes with. It calls the driver without
// database/sql, and runs each statement as a query, because the driver then passes all
// arguments and the first row in one call from Go to C. A statement with ten arguments is
// twice as fast that way.
type conn struct {
	*sqlite3.SQLiteConn
	prepared []*prepared
	relaxed  bool // Commits do not wait for the disk.
	args     []driver.NamedValue
	damage   damage
}

// damaged implements session: it returns the first damage since the last call.
func (c *conn) damaged() error { return c.damage.reset() }

type prepared struct {
	stmt *sqlite3.SQLiteStmt
	row  row
}

// each implements session: it calls visit, if there is one, with each row. The row is
// valid during the call only.
func (c *conn) each(s *statement, visit func(row) error, args ...driver.Value) (err error) {
	p, err := c.prepare(s)
	if err != nil {
		return fmt.Errorf("%w, to prepare: %s", err, s.sql)
	}
	c.args = c.args[:0]
	for i, value := range args {
		c.args = append(c.args, driver.NamedValue{Ordinal: i + 1, Value: value})
	}
	// A context that could end would cost a goroutine for each statement.
	rows, err := p.stmt.QueryContext(context.Background(), c.args)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	if p.row.values == nil {
		columns := rows.Columns()
		p.row = row{make([]driver.Value, len(columns)), &origin{s.sql, columns, &c.damage}}
	}
	for {
		switch err := rows.Next(p.row.values); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case visit == nil:
			continue
		}
		if err := visit(p.row); err != nil {
			return err
		}
	}
}

// prepare returns the statement as prepared on this connection.
func (c *conn) prepare(s *statement) (*prepared, error) {
	if c.prepared == nil {
		c.prepared = make([]*prepared, len(statements))
	}
	if p := c.prepared[s.place]; p != nil {
		return p, nil
	}
	stmt, err := c.Prepare(s.sql)
	if err != nil {
		return nil, err
	}
	p := &prepared{stmt: stmt.(*sqlite3.SQLiteStmt)}
	c.prepared[s.place] = p
	return p, nil
}

// stmtTotalChanges returns how many rows the connection has written since it was opened.
var stmtTotalChanges = newStatement("SELECT total_changes()")

// changes returns a number that is higher after each change.
func (c *conn) changes() (int64, error) {
	r, err := first(c, stmtTotalChanges)
	if err != nil {
		return 0, err
	}
	return r.int(0), nil
}

// setSync sets whether commits wait for the disk, on a connection that was opened so that
// they do.
func (c *conn) setSync(synced bool) error {
	if synced == !c.relaxed {
		return nil
	}
	level := Normal
	if synced {
		level = Full
	}
	_, err := c.Exec("PRAGMA synchronous = "+level.String(), nil)
	if err == nil {
		c.relaxed = !synced
	}
	return err
}

// borrow calls use with the store's settings for commits and locks on a connection of the
// application, and then restores the application's. If that fails, the connection must not
// be used again.
func (c *conn) borrow(want Synchronous, use func() error) error {
	synchronous, err := first(c, stmtReadSync)
	if err != nil {
		return err
	}
	busyTimeout, err := first(c, stmtReadBusyTimeout)
	if err != nil {
		return err
	}
	set := func(synchronous any, busyTimeout int64) error {
		_, err := c.Exec(fmt.Sprintf("PRAGMA synchronous = %v; PRAGMA busy_timeout = %d", synchronous, busyTimeout), nil)
		return err
	}
	if err := set(want, lockWait.Milliseconds()); err != nil {
		return err
	}
	err = use()
	if set(synchronous.int(0), busyTimeout.int(0)) != nil {
		return errors.Join(err, driver.ErrBadConn)
	}
	return err
}

var (
	// stmtReadSync returns how the connection syncs commits.
	stmtReadSync = newStatement("PRAGMA synchronous")
	// stmtReadBusyTimeout returns how long the connection waits for a lock.
	stmtReadBusyTimeout = newStatement("PRAGMA busy_timeout")
)

// close frees the prepared statements. It may fail if the connection has been
// closed, which has freed them.
func (c *conn) close() {
	for _, p := range c.prepared {
		if p != nil {
			_ = p.stmt.Close()
		}
	}
	c.prepared = nil
}

// A preparer is a Handle that statements can be prepared on.
type preparer interface {
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
}

// A reader is a session over database/sql: a transaction of the application, or a
// connection that the store reads with. It prepares a statement once, if it can.
type reader struct {
	ctx      context.Context
	db       Handle
	prepared map[string]*sql.Stmt
	damage   damage
}

// damaged implements session.
func (r *reader) damaged() error { return r.damage.reset() }

func newReader(ctx context.Context, db Handle) *reader {
	return &reader{ctx: ctx, db: db, prepared: map[string]*sql.Stmt{}}
}

// each implements session.
func (r *reader) each(s *statement, visit func(row) error, args ...driver.Value) error {
	values := make([]any, len(args))
	for i, value := range args {
		values[i] = value
	}
	return r.query(s.sql, visit, values...)
}

// query is each for a statement that is not known beforehand.
func (r *reader) query(query string, visit func(row) error, args ...any) (err error) {
	c, err := r.open(query, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	for c.more {
		if visit != nil {
			if err := visit(c.row); err != nil {
				return err
			}
		}
		if err := c.next(); err != nil {
			return err
		}
	}
	return nil
}

// A cursor is at a row of a result. The row is valid until next is called, what its columns
// hold stays.
type cursor struct {
	rows    *sql.Rows
	row     row
	targets []any // the values of row
	more    bool  // There is a row: the result has not ended.
}

// open runs a query, and returns a cursor at its first row.
func (r *reader) open(query string, args ...any) (c *cursor, err error) {
	rows, err := r.rows(query, args) //nolint:rowserrcheck // next checks it.
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, rows.Close())
		}
	}()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	c = &cursor{rows: rows, row: row{make([]driver.Value, len(columns)), &origin{query, columns, &r.damage}}, targets: make([]any, len(columns))}
	for i := range c.targets {
		c.targets[i] = (*any)(&c.row.values[i])
	}
	err = c.next()
	return c, err
}

// next moves to the next row.
func (c *cursor) next() error {
	if c.more = c.rows.Next(); c.more {
		return c.rows.Scan(c.targets...)
	}
	return c.rows.Err()
}

// close ends the query.
func (c *cursor) close() error {
	if c == nil {
		return nil
	}
	return c.rows.Close()
}

// rows runs a query, prepared if the handle can prepare statements.
func (r *reader) rows(query string, args []any) (rows *sql.Rows, err error) {
	p, ok := r.db.(preparer)
	if !ok {
		return r.db.QueryContext(r.ctx, query, args...)
	}
	stmt := r.prepared[query]
	if stmt == nil {
		if stmt, err = p.PrepareContext(r.ctx, query); err != nil {
			return nil, fmt.Errorf("%w, to prepare: %s", err, query)
		}
		r.prepared[query] = stmt
	}
	return stmt.QueryContext(r.ctx, args...)
}

// close frees the prepared statements.
func (r *reader) close() error {
	var errs []error
	for _, stmt := range r.prepared {
		errs = append(errs, stmt.Close())
	}
	return errors.Join(errs...)
}
