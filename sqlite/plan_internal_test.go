//go:build cgo

package sqlite

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Every statement finds its rows by an index, and in the order in which it wants
// them, so that none takes longer the more there is in the tables.
func TestStatementsUseIndexes(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "hooks.db"), Options{})
	require.NoError(t, err)
	defer func() { assert.NoError(t, s.Close()) }()
	parameter := regexp.MustCompile(`\?\d*`)
	for _, statement := range statements {
		if strings.HasPrefix(statement.sql, "PRAGMA") {
			continue
		}
		plan := ""
		err := newReader(t.Context(), s.read).query("EXPLAIN QUERY PLAN "+parameter.ReplaceAllString(statement.sql, "1"), func(r row) error {
			plan += r.text(3) + "\n"
			return nil
		})
		require.NoError(t, err, statement.sql)
		plan = regexp.MustCompile("SCAN (.-ROW VALUES CLAUSE|CONSTANT ROW|hooks_(revision|identity|schema)|pragma_(database|table)_list|sqlite_schema)").ReplaceAllString(plan, "") // They have few rows.
		assert.NotContains(t, plan, "SCAN", statement.sql)
		assert.NotContains(t, plan, "TEMP B-TREE FOR ORDER BY", statement.sql)
	}
}
