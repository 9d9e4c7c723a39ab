package postgres

import (
	"cmp"
	"hash/fnv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/seed-2c6e3a5a/hooks"
)

// schemaName returns the name of the schema, for which "" is short.
func schemaName(schema string) string { return cmp.Or(schema, "public") }

// maxName is how long a name may be in PostgreSQL (NAMEDATALEN - 1).
const maxName = 63

// qualifier returns a function that replaces {schema} in a statement. All names are
// qualified, so that the search_path does not matter.
func qualifier(schema string) (func(string) string, error) {
	schema = schemaName(schema)
	if len(schema) > maxName || strings.ContainsRune(schema, 0) {
		return nil, &hooks.InvalidError{Field: "schema", Reason: "must have at most 63 bytes, none of them NUL"}
	}
	return strings.NewReplacer("{schema}", pgx.Identifier{schema}.Sanitize()).Replace, nil
}

// lockOf returns the number of an advisory lock for a thing with this name. Two things may
// have the same number; then they wait for each other, and no harm is done.
func lockOf(name ...string) int64 {
	h := fnv.New64a()
	for _, part := range name {
		_, _ = h.Write([]byte(part))
		_, _ = h.Write([]byte{0})
	}
	return int64(h.Sum64()) //nolint:gosec // any 64 bits do
}
