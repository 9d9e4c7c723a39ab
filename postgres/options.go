package postgres

import "errors"

// Options set a Store up. The zero value works.
type Options struct {
	// Schema is where the tables are: at most 63 bytes. Default: "public".
	Schema string
	// Poll makes the Store ask the database ten times a second, while a Manager runs, for
	// what other processes have written, instead of listening for notifications (LISTEN).
	// It is for connections through PgBouncer in transaction mode, which cannot listen.
	Poll bool
}

// ErrClosed says that the store is closed.
var ErrClosed = errors.New("the store is closed")
