package sqlite

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Every statement finds its rows by an index, so that none takes longer the
// more there is in the tables.
func TestStatementsUseIndexes(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "hooks.db"), Options{})
	require.NoError(t, err)
	defer func() { assert.NoError(t, s.Close()) }()
	parameter := regexp.MustCompile(`\?\d*`)
	for _, statement := range statements {
		if strings.HasPrefix(statement.sql, "PRAGMA") {
			continue
		}
		rows, err := s.read.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+parameter.ReplaceAllString(statement.sql, "1"))
		require.NoError(t, err, statement.sql)
		plan := ""
		for rows.Next() {
			var id, parent, unused int
			var detail string
			require.NoError(t, rows.Scan(&id, &parent, &unused, &detail))
			plan += detail + "\n"
		}
		require.NoError(t, rows.Err())
		plan = regexp.MustCompile("SCAN (.-ROW VALUES CLAUSE|hooks_revision|hooks_fresh|l\\b)").ReplaceAllString(plan, "") // They have few rows.
		assert.NotContains(t, plan, "SCAN", statement.sql)
	}
}
