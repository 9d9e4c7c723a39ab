package sqlite

import (
	"embed"
	"errors"
	"io/fs"
)

// ErrNewerSchema says that the database was migrated by a later version of this
// package. It is left as it is.
var ErrNewerSchema = errors.New("the tables are of a later version of the library")

// ErrNotMigrated says that the database lacks tables, or has those of an
// earlier version: [Migrate] has to be called first.
var ErrNotMigrated = errors.New("the tables are missing or of an earlier version of the library: migrate first")

//go:embed migrations/*.sql
var embedded embed.FS

// Migrations returns the migrations, for applications that run their own tool over
// them: files of SQL named by number and subject, "0001_hooks.sql", to be
// applied once each in the order of their numbers. All names in them start with
// "hooks_". Such an application must also keep the table hooks_schema (version INTEGER),
// one row with the number of the last one applied.
func Migrations() fs.FS {
	files, err := fs.Sub(embedded, "migrations")
	if err != nil {
		panic(err) // The directory is embedded.
	}
	return files
}
