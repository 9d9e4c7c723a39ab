package sqlite

import (
	"context"
	"database/sql"
	"net/url"
	"strings"
)

// A Handle is something of the host's that a transaction can be used by, for
// [Store.Tx]: a [*sql.Tx]; a [*sql.Conn] after BEGIN IMMEDIATE; or what a library
// over database/sql has for one, such as *sqlx.Tx, the Statement.ConnPool of a
// *gorm.DB, the Tx of ent's dialect/sql, or a DBTX of sqlc. If it also has the
// method PrepareContext of [*sql.Tx], statements are prepared once for each call.
type Handle interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// DSN returns the name of a data source for the driver "sqlite3", which is that of
// github.com/mattn/go-sqlite3, with the settings that [OpenDB] has: for a library or
// a tool that opens the file itself. Unlike OpenDB, it leaves the permissions of a
// file that does not exist yet to the umask. The path is a plain one, whatever
// characters are in it; a relative one is looked up anew for each connection.
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
