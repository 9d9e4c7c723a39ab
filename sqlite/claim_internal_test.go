//go:build cgo

package sqlite

import (
	"database/sql/driver"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
)

// A cost is how many statements ran, how many rows they returned, and how many
// they changed.
type cost struct{ Statements, Rows, Changes int64 }

// A meter is a session that adds up what it costs.
type meter struct {
	*conn
	cost
}

func (m *meter) each(s *statement, visit func(row) error, args ...driver.Value) error {
	m.Statements++
	return m.conn.each(s, func(r row) error {
		m.Rows++
		if visit == nil {
			return nil
		}
		return visit(r)
	}, args...)
}

// changes returns how many rows the connection has changed so far.
func (m *meter) changes(t *testing.T) int64 {
	t.Helper()
	rows, err := m.Query("SELECT total_changes()", nil)
	require.NoError(t, err)
	values := make([]driver.Value, 1)
	require.NoError(t, rows.Next(values))
	require.NoError(t, rows.Close())
	return values[0].(int64)
}

// A claim costs the same whatever the number of hooks and tenants that have
// something due, and changes each delivery, lane and tenant once.
func TestTheCostOfAClaim(t *testing.T) {
	t.Parallel()
	const limit = 20
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	measure := func(t *testing.T, tenants, hookCount int) (c cost, claimed []hooks.Claimed) {
		s, err := Open(t.Context(), filepath.Join(t.TempDir(), "hooks.db"), Options{})
		require.NoError(t, err)
		defer func() { assert.NoError(t, s.Close()) }()
		var entries []hooks.Entry
		for n := range 3*hookCount + 3*limit {
			hook := n % hookCount
			if n >= 3*hookCount { // The first tenant's only one has enough for a share.
				hook = 0
			}
			id, tenant := strconv.Itoa(n), strconv.Itoa(min(hook, tenants-1))
			e := &hooks.Event{ID: id, Tenant: tenant, Type: "order.paid", Time: at}
			d := hooks.Delivery{ID: id, Tenant: tenant, HookID: strconv.Itoa(hook), State: hooks.Pending, Due: at, CreatedAt: at}
			entries = append(entries, hooks.Entry{Event: e, Deliveries: []hooks.Delivery{d}})
		}
		require.NoError(t, s.Enqueue(t.Context(), at, entries))
		r := hooks.ClaimRequest{Owner: "o", Now: at, Until: at.Add(time.Minute), Limit: hooks.Capacity{Deliveries: limit}}
		_, _, err = s.Claim(t.Context(), r) // It has all hooks stand in line.
		require.NoError(t, err)
		require.NoError(t, s.writer.do(t.Context(), func(measured *tx) error {
			m := &meter{conn: measured.session.(*conn)}
			before := m.changes(t)
			claimed, _, err = newClaim(&tx{m, measured.cache}, r).run()
			m.Changes = m.changes(t) - before
			c = m.cost
			return err
		}))
		return c, claimed
	}
	for _, shape := range []struct{ tenants, few, many, lanes int }{
		{1, 50, 4000, limit},
		{2, 50, 4000, limit/2 + 1},
		{50, 50, 4000, limit},
	} {
		t.Run(fmt.Sprintf("%d tenants", shape.tenants), func(t *testing.T) {
			t.Parallel()
			few, _ := measure(t, shape.tenants, shape.few)
			many, claimed := measure(t, shape.tenants, shape.many)
			assert.Len(t, claimed, limit)
			assert.Equal(t, few, many)
			assert.LessOrEqual(t, many.Changes, int64(limit+shape.lanes+min(shape.tenants, limit)))
			if shape.tenants == 2 {
				mine := slices.DeleteFunc(claimed, func(cl hooks.Claimed) bool { return cl.Delivery.Tenant != "0" })
				assert.Len(t, mine, limit/2, "a tenant with one hook, beside one with all others")
			}
		})
	}
	t.Run("as many tenants as hooks", func(t *testing.T) {
		t.Parallel()
		few, _ := measure(t, 50, 50)
		many, claimed := measure(t, 4000, 4000)
		assert.Len(t, claimed, limit)
		assert.Equal(t, few, many)
		assert.LessOrEqual(t, many.Changes, int64(2*limit), "the only lane of a tenant needs no turn")
	})
}
