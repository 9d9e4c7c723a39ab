//go:build cgo

package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"sync"
)

// Migrate brings the tables of the library up to date, in one transaction. It
// does nothing if they are, so that it can be called at each start and by
// several processes at once. There is no way back to earlier versions. The
// error wraps [ErrNewerSchema] if the tables are of a later version.
func Migrate(ctx context.Context, db *sql.DB) error {
	if err := migrate(ctx, db); err != nil {
		return fmt.Errorf("sqlite: migrate: %w", plain(err))
	}
	return nil
}

func migrate(ctx context.Context, db *sql.DB) error {
	scripts, err := scripts()
	if err != nil {
		return err
	}
	c, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // It goes back to the pool.
	if version, err := schemaVersion(ctx, c); err == nil && version == len(scripts) {
		return nil // without a lock, which somebody may hold for long
	}
	if err := poll(ctx, defaultBusyTimeout, func() error {
		_, err := c.ExecContext(ctx, "BEGIN IMMEDIATE")
		return err
	}); err != nil {
		return err
	}
	if err := migrateFrom(ctx, c, scripts); err != nil {
		_, rollback := c.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		return errors.Join(err, rollback)
	}
	_, err = c.ExecContext(ctx, "COMMIT")
	return err
}

// migrateFrom runs the migrations that the database lacks.
func migrateFrom(ctx context.Context, c *sql.Conn, scripts []string) error {
	const table = "CREATE TABLE IF NOT EXISTS hooks_schema (version INTEGER NOT NULL)"
	if _, err := c.ExecContext(ctx, table); err != nil {
		return err
	}
	version, err := schemaVersion(ctx, c)
	if err != nil {
		return err
	}
	if version > len(scripts) {
		return newer(int64(version), len(scripts))
	}
	for i, script := range scripts[version:] {
		if _, err := c.ExecContext(ctx, script); err != nil {
			return fmt.Errorf("to version %d: %w", version+i+1, err)
		}
	}
	if _, err := c.ExecContext(ctx, "DELETE FROM hooks_schema"); err != nil {
		return err
	}
	_, err = c.ExecContext(ctx, "INSERT INTO hooks_schema VALUES (?)", len(scripts))
	return err
}

// scripts returns the migrations in order. The first leads to version 1.
func scripts() ([]string, error) {
	files, err := fs.Glob(Migrations(), "*.sql") // sorted
	if err != nil {
		return nil, err
	}
	all := make([]string, len(files))
	for i, name := range files {
		number, _, _ := strings.Cut(name, "_")
		if n, err := strconv.Atoi(number); err != nil || n != i+1 {
			return nil, fmt.Errorf("the migration %s is not number %d", name, i+1)
		}
		script, err := fs.ReadFile(Migrations(), name)
		if err != nil {
			return nil, err
		}
		all[i] = string(script)
	}
	return all, nil
}

// checkSchema returns an error unless the tables are of this version.
func checkSchema(ctx context.Context, db *sql.DB) error {
	version, err := schemaVersion(ctx, db)
	if err != nil {
		return err
	}
	return checkVersion(int64(version))
}

// known is the number of the last migration.
var known = sync.OnceValues(func() (int, error) {
	scripts, err := scripts()
	return len(scripts), err
})

// checkVersion compares the version of the tables with that of the library.
func checkVersion(version int64) error {
	known, err := known()
	switch {
	case err != nil:
		return err
	case version > int64(known):
		return newer(version, known)
	case version < int64(known):
		return ErrNotMigrated
	}
	return nil
}

func newer(version int64, known int) error {
	return fmt.Errorf("%w: version %d, while this one knows %d", ErrNewerSchema, version, known)
}

type queryer interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// schemaVersion returns the number of the last migration applied, 0 for none.
func schemaVersion(ctx context.Context, db queryer) (int, error) {
	var exists bool
	const find = "SELECT count(*) > 0 FROM sqlite_schema WHERE type = 'table' AND name = 'hooks_schema'"
	if err := db.QueryRowContext(ctx, find).Scan(&exists); err != nil || !exists {
		return 0, err
	}
	var version int
	err := db.QueryRowContext(ctx, "SELECT coalesce(max(version), 0) FROM hooks_schema").Scan(&version)
	return version, err
}
