package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// ErrNewerSchema says that the database was migrated by a later version of this
// package. It is left as it is.
var ErrNewerSchema = errors.New("the tables are of a later version of the library")

// ErrNotMigrated says that the database lacks tables, or has those of an
// earlier version: [Migrate] has to be called first.
var ErrNotMigrated = errors.New("the tables are missing or of an earlier version of the library: migrate first")

//go:embed migrations/*.sql
var embedded embed.FS

// A Migration brings the tables from one version to the next.
type Migration struct {
	// Name has the number of the version and the subject: "0001_tables.sql".
	Name string
	// SQL is one or more statements.
	SQL string
}

// Migrations returns the migrations in order, for applications that apply them with a tool
// of their own, once each. All names in them are qualified by the schema, which has to
// exist, and start with "hooks_". Such an application must also keep the table
// hooks_schema (version integer) in the schema, with one row: the number of the
// last migration applied. An empty schema is "public".
func Migrations(schema string) ([]Migration, error) {
	qualify, err := qualifier(schema)
	if err != nil {
		return nil, err
	}
	files, err := fs.Glob(embedded, "migrations/*.sql") // sorted
	if err != nil {
		return nil, err
	}
	all := make([]Migration, len(files))
	for i, name := range files {
		script, err := fs.ReadFile(embedded, name)
		if err != nil {
			return nil, err
		}
		name = strings.TrimPrefix(name, "migrations/")
		if n, err := strconv.Atoi(strings.SplitN(name, "_", 2)[0]); err != nil || n != i+1 {
			return nil, fmt.Errorf("the migration %s is not number %d", name, i+1)
		}
		all[i] = Migration{name, qualify(string(script))}
	}
	return all, nil
}

// Migrate brings the tables of the library up to date, in one transaction, and creates the
// schema if it is missing. It does nothing if the tables are up to date, so that it can be
// called at each start and by several processes at once. There is no way back to earlier
// versions. An empty schema is "public". The error wraps [ErrNewerSchema] if the tables are
// of a later version.
func Migrate(ctx context.Context, pool *pgxpool.Pool, schema string) error {
	migrations, err := Migrations(schema)
	if err != nil {
		return err
	}
	qualify, err := qualifier(schema)
	if err != nil {
		return err
	}
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		version, err := schemaVersion(ctx, tx, qualify)
		if err != nil || version == len(migrations) {
			return err // without a lock, which somebody may hold for long
		}
		return migrate(ctx, tx, migrations, schema, qualify)
	})
	if err != nil {
		return fmt.Errorf("postgres: migrate: %w", err)
	}
	return nil
}

// migrate applies the migrations that the database lacks, one process at a time.
func migrate(ctx context.Context, tx pgx.Tx, migrations []Migration, schema string, qualify func(string) string) error {
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1::bigint)", lockOf("migrate", qualify("{schema}"))); err != nil {
		return err
	}
	if err := createSchema(ctx, tx, schema, qualify); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, qualify("CREATE TABLE IF NOT EXISTS {schema}.hooks_schema (version integer NOT NULL)")); err != nil {
		return err
	}
	version, err := schemaVersion(ctx, tx, qualify)
	if err != nil {
		return err
	}
	if version > len(migrations) {
		return newer(version, len(migrations))
	}
	for _, m := range migrations[version:] {
		// A script of several statements needs the simple protocol.
		if _, err := tx.Conn().PgConn().Exec(ctx, m.SQL).ReadAll(); err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
	}
	if _, err := tx.Exec(ctx, qualify("DELETE FROM {schema}.hooks_schema")); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, qualify("INSERT INTO {schema}.hooks_schema VALUES ($1::integer)"), len(migrations))
	return err
}

// createSchema creates the schema if it is missing. CREATE SCHEMA IF NOT EXISTS needs a
// privilege even if it exists.
func createSchema(ctx context.Context, tx pgx.Tx, schema string, qualify func(string) string) error {
	var exists bool
	err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1::text)", schemaName(schema)).Scan(&exists)
	if err != nil || exists {
		return err
	}
	_, err = tx.Exec(ctx, qualify("CREATE SCHEMA {schema}"))
	return err
}

// checkSchema returns an error unless the tables are of this version.
func checkSchema(ctx context.Context, db queryer, schema string) error {
	migrations, err := Migrations(schema)
	if err != nil {
		return err
	}
	qualify, err := qualifier(schema)
	if err != nil {
		return err
	}
	version, err := schemaVersion(ctx, db, qualify)
	switch {
	case err != nil:
		return err
	case version > len(migrations):
		return newer(version, len(migrations))
	case version < len(migrations):
		return ErrNotMigrated
	}
	return nil
}

func newer(version, known int) error {
	return fmt.Errorf("%w: version %d, while this one knows %d", ErrNewerSchema, version, known)
}

// A queryer is a pool, a connection or a transaction.
type queryer interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// schemaVersion returns the number of the last migration applied, 0 for none.
func schemaVersion(ctx context.Context, db queryer, qualify func(string) string) (version int, err error) {
	var exists bool
	err = db.QueryRow(ctx, "SELECT to_regclass($1::text) IS NOT NULL", qualify("{schema}.hooks_schema")).Scan(&exists)
	if err != nil || !exists {
		return 0, err
	}
	err = db.QueryRow(ctx, qualify("SELECT coalesce(max(version), 0) FROM {schema}.hooks_schema")).Scan(&version)
	return version, err
}
