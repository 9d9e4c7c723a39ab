package sqlite

import (
	"context"
	"database/sql"
	"net/url"
	"strings"
)

// A Handle executes statements in a transaction of the application, for [Store.Tx]. It is
// a [*sql.Tx], a [*sql.Conn] after BEGIN IMMEDIATE, or a transaction of a library
// over database/sql: *sqlx.Tx, the Statement.ConnPool of a *gorm.DB, an *ent.Tx
// (with the feature sql/execquery), or a DBTX of sqlc. If it also has the method
// PrepareContext of [*sql.Tx], statements are prepared once for each call.
type Handle interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// DSN returns a data source name with the settings of [OpenDB], for a library or a
// tool that opens the file itself with the driver "sqlite3"
// (github.com/mattn/go-sqlite3). Unlike OpenDB, it leaves the permissions of a new
// file to the umask. DSN escapes the path, which may have any characters. A
// relative path is resolved again for each connection.
func DSN(path string) string {
	return fileURI(path) + "?_txlock=immediate&_journal_mode=WAL&_busy_timeout=5000&_foreign_keys=on&_synchronous=FULL"
}

// fileURI names the file as https://www.sqlite.org/uri.html says.
func fileURI(path string) string {
	if strings.HasPrefix(path, "//") { // What follows would be the name of a host.
		path = "/" + strings.TrimLeft(path, "/")
	}
	return "file:" + (&url.URL{Path: path}).EscapedPath()
}
