//go:build cgo

package sqlite

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/seed-2c6e3a5a/hooks"
)

// reads calls read with a snapshot of the data, which nobody who writes waits
// for.
func (s *Store) reads(ctx context.Context, read func(*reader) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.writer.isClosed() {
		return ErrClosed
	}
	if err := s.snapshot(ctx, read); err != nil {
		return fmt.Errorf("sqlite: %w", plain(err))
	}
	return nil
}

// snapshot calls read in a transaction that sees the data as of its beginning.
func (s *Store) snapshot(ctx context.Context, read func(*reader) error) (err error) {
	c, err := s.read.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if _, err := c.ExecContext(ctx, "BEGIN"); err != nil {
		return err
	}
	session := newReader(ctx, c)
	defer func() { // read may panic, because Export calls the application.
		err = errors.Join(err, session.close())
		_, end := c.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		err = errors.Join(err, end)
	}()
	err = read(session)
	if damage := session.damaged(); damage != nil {
		err = damage
	}
	return err
}

// Conditions are what follows a WHERE, and the arguments for it.
type conditions struct {
	sql  string
	args []any
}

func newConditions(sql string, args ...any) conditions { return conditions{sql, args} }

// and adds a condition.
func (c *conditions) and(sql string, args ...any) {
	if c.sql != "" {
		c.sql += " AND "
	}
	c.sql += sql
	c.args = append(c.args[:len(c.args):len(c.args)], args...)
}

// in adds that a column has one of n values.
func (c *conditions) in(column string, n int, value func(i int) any) {
	values := make([]any, n)
	for i := range values {
		values[i] = value(i)
	}
	c.and(column+" IN (?"+strings.Repeat(", ?", n-1)+")", values...)
}

// count counts the rows of a query, up to a limit.
func (r *reader) count(from string, where conditions, limit int) (n int, err error) {
	query := "SELECT count(*) FROM (SELECT 1 " + from + " WHERE " + where.sql + " LIMIT ? + 0)"
	err = r.query(query, func(r row) error {
		n = r.count(0)
		return nil
	}, append(where.args[:len(where.args):len(where.args)], limit)...)
	return n, err
}

// most is more than there can be of anything, and can be added to itself.
const most = math.MaxInt / 2

// limitOf returns the size of a page, which can be added to.
func limitOf(q hooks.PageQuery) int { return min(q.PageSize(), most-1) }
