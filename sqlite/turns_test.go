//go:build cgo

package sqlite_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/sqlite"
)

// A line that is damaged is rebuilt, whatever else is damaged in it.
func TestADamagedLine(t *testing.T) {
	t.Parallel()
	content := mixed(t)
	for _, line := range []string{
		"UPDATE hooks_tenants SET turn = 'none' WHERE tenant = 'damaged'",
		"UPDATE hooks_tenants SET tenant = x'00' WHERE tenant = 'damaged'",
		"UPDATE hooks_lanes SET turn = -1 WHERE hook = 1",
		"UPDATE hooks_lanes SET tenant = 'sound' WHERE hook = 1",
	} {
		for damage, served := range map[string][]string{
			"": {"damaged", "sound"},
			"UPDATE hooks_hooks SET tenant = x'00' WHERE n = 1":                                  {"sound"},
			"UPDATE hooks_deliveries SET queued = 1 << 62 WHERE hook = 1 AND queued IS NOT NULL": {"sound"},
		} {
			t.Run(line+"; "+damage, func(t *testing.T) {
				t.Parallel()
				path := filepath.Join(t.TempDir(), "hooks.db")
				require.NoError(t, os.WriteFile(path, content, 0o600))
				db := handle(t, path, 1)
				_, err := db.Exec(line + "; " + damage)
				require.NoError(t, err)
				s, err := sqlite.Open(t.Context(), path, sqlite.Options{Synchronous: sqlite.Normal})
				require.NoError(t, err)
				defer func() { require.NoError(t, s.Close()) }()
				at := purgeStart.Add(time.Second)
				var tenants []string
				for range 3 {
					claimed, _, err := s.Claim(t.Context(), hooks.ClaimRequest{
						Owner: "o", Now: at, Until: at.Add(time.Minute), Limit: hooks.Capacity{Deliveries: 10},
					})
					if err != nil {
						require.ErrorIs(t, err, sqlite.ErrDamaged)
					}
					for _, c := range claimed {
						tenants = append(tenants, c.Delivery.Tenant)
					}
				}
				slices.Sort(tenants)
				var want []string
				for _, tenant := range served {
					want = append(want, tenant, tenant) // "pending" and "retried"
				}
				assert.Equal(t, want, tenants)
			})
		}
	}
}
