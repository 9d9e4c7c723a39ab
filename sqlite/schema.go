package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// ErrNewerSchema says that the database was migrated by a later version of this
// package. It is left as it is.
var ErrNewerSchema = errors.New("the tables are of a later version of the library")

// ErrNotMigrated says that the database lacks tables, or has those of an
// earlier version: [Migrate] has to be called first.
var ErrNotMigrated = errors.New("the tables are missing or of an earlier version of the library: migrate first")

//go:embed migrations/*.sql
var embedded embed.FS

// Migrations returns the migrations, for hosts that run their own tool over
// them: files of SQL named by number and subject, "0001_hooks.sql", to be
// applied once each in the order of their numbers. All names in them start with
// "hooks_". Such a host must also keep the table hooks_schema (version INTEGER),
// one row with the number of the last one applied.
func Migrations() fs.FS {
	files, err := fs.Sub(embedded, "migrations")
	if err != nil {
		panic(err) // The directory is embedded.
	}
	return files
}

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
		return newer(version, len(scripts))
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
	scripts, err := scripts()
	if err != nil {
		return err
	}
	version, err := schemaVersion(ctx, db)
	switch {
	case err != nil:
		return err
	case version > len(scripts):
		return newer(version, len(scripts))
	case version < len(scripts):
		return ErrNotMigrated
	}
	return nil
}

func newer(version, known int) error {
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
