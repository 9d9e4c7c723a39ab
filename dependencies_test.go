package hooks_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Whoever does not use a store does not link what it needs.
func TestStoresCostOthersNothing(t *testing.T) {
	t.Parallel()
	const sqlite, pgx = "github.com/mattn/go-sqlite3", "github.com/jackc/pgx/v5"
	for name, tt := range map[string]struct {
		packages []string
		driver   string
	}{
		"memory":   {[]string{".", "./memory", "./httpadapter/..."}, ""},
		"SQLite":   {[]string{"./sqlite"}, sqlite},
		"Postgres": {[]string{"./postgres"}, pgx},
	} {
		out, err := exec.CommandContext(t.Context(), "go", append([]string{"list", "-deps"}, tt.packages...)...).Output()
		require.NoError(t, err, name)
		packages := strings.Fields(string(out))
		for _, driver := range []string{sqlite, pgx} {
			assert.Equal(t, driver == tt.driver, slices.Contains(packages, driver), "%s links %s", name, driver)
		}
	}
}
