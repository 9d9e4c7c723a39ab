//go:build cgo

package sqlite_test

import (
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/hookstest"
	"github.com/seed-2c6e3a5a/hooks/internal/crashtest"
	"github.com/seed-2c6e3a5a/hooks/sqlite"
)

// A file in which a value is not what it has to be: no call panics or makes
// something up, and the rows of others are served as ever.

// mixed makes a file with deliveries in each state, of two tenants, and returns
// its content.
func mixed(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hooks.db")
	s, err := sqlite.Open(t.Context(), path, sqlite.Options{Synchronous: sqlite.Normal})
	require.NoError(t, err)
	at := purgeStart
	for _, tenant := range []string{"damaged", "sound"} {
		require.NoError(t, s.CreateHook(t.Context(), hooks.Hook{
			ID: "hook", Tenant: tenant, URL: "https://example.com", Events: []string{"*"}, Version: 1, CreatedAt: at, UpdatedAt: at,
			Name: "name", Settings: []byte("{}"), Health: hooks.Health{Failures: 1, FailingSince: at},
		}, 0))
	}
	enqueue := func(tenant, name string, state hooks.State, key string) {
		d := hooks.Delivery{
			ID: uuidOf(tenant, name), Tenant: tenant, HookID: "hook", EventID: name, EventType: "a", OrderingKey: key,
			State: state, Due: at, CreatedAt: at,
		}
		if state == hooks.Leased {
			d.Lease = hooks.Lease{Owner: "o", Token: 1, Until: at.Add(time.Minute)}
		}
		e := &hooks.Event{ID: name, Tenant: tenant, Type: "a", Time: at, OrderingKey: key, Metadata: map[string]string{"a": "b"}, Data: []byte("{}")}
		require.NoError(t, s.Enqueue(t.Context(), at, []hooks.Entry{{Event: e, Deliveries: []hooks.Delivery{d}}}))
	}
	tenants := []string{"damaged", "sound"}
	for _, tenant := range tenants {
		enqueue(tenant, "held", hooks.Pending, "k")
	}
	claimed, _, err := s.Claim(t.Context(), hooks.ClaimRequest{Owner: "o", Now: at, Until: at.Add(time.Minute), Limit: hooks.Capacity{Deliveries: 2}})
	require.NoError(t, err)
	require.Len(t, claimed, 2)
	for _, tenant := range tenants {
		for _, name := range []string{"dead", "retried", "expired"} {
			enqueue(tenant, name, hooks.Leased, "")
		}
		for _, name := range []string{"held", "dead", "retried"} {
			st := hooks.Settlement{DeliveryID: uuidOf(tenant, name), Token: 1, State: hooks.Dead, Hold: name == "held", Reason: "why"}
			if name == "retried" {
				st.State, st.Due, st.Step = hooks.Pending, at.Add(time.Second), 1
			}
			st.Attempt = &hooks.Attempt{
				DeliveryID: st.DeliveryID, Number: 1, Tenant: tenant, HookID: "hook", StartedAt: at, Duration: 1, State: st.State, NextAt: st.Due,
				Request:  hooks.AttemptRequest{Method: "POST", URL: "https://example.com", Header: http.Header{"A": {"b"}}, BodySHA256: [32]byte{1}},
				Response: hooks.AttemptResponse{Status: 500, Header: http.Header{"C": {"d"}}, Body: []byte("no")},
				Class:    hooks.ClassStatus, Error: "why",
			}
			settled, err := s.Settle(t.Context(), at, []hooks.Settlement{st})
			require.NoError(t, err)
			require.NoError(t, settled[0].Err)
		}
		enqueue(tenant, "pending", hooks.Pending, "")
		enqueue(tenant, "blocked", hooks.Pending, "k")
	}
	_, _, err = s.Claim(t.Context(), hooks.ClaimRequest{ // It lines them up.
		Owner: "o", Now: at, Until: at.Add(time.Minute), Limit: hooks.Capacity{Deliveries: 1}, Tenants: map[string]hooks.Capacity{"damaged": {}, "sound": {}},
	})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	return content
}

// uuidOf returns an ID that is stored as a BLOB.
func uuidOf(tenant, name string) string {
	return fmt.Sprintf("018df2a0-0000-7000-8000-%06x%06x", (tenant + "---")[:3], name[:3])
}

// damages are tables with their columns and what finds the rows of the tenant.
var damages = []struct {
	table, rows, key string
	columns          []string
}{
	{"hooks_revision", "1", "rowid", []string{"last"}},
	{"hooks_hooks", "tenant = 'damaged'", "n", []string{
		"tenant", "id", "revision", "deleted_at", "version", "created_at", "name", "protocol", "disabled", "failures", "failing_since",
		"throttled_until", "document", "settings",
	}},
	{"hooks_events", "tenant = 'damaged'", "n", []string{
		"tenant", "id", "type", "time", "triggered_at", "first", "deliveries", "ordering_key", "metadata", "data",
	}},
	{"hooks_deliveries", "hook = 1", "n", []string{
		"id", "event", "hook", "state", "handed", "step", "retry", "attempts", "created_at", "due", "queued", "token", "until", "owner",
		"ended_at", "held", "ordering_key", "reason", "undecided",
	}},
	{"hooks_lanes", "hook = 1", "retry", []string{"hook", "retry", "tenant", "due", "turn"}},
	{"hooks_tenants", "tenant = 'damaged'", "tenant", []string{"tenant", "turn"}},
	{"hooks_attempts", "n >> 16 IN (SELECT n FROM hooks_deliveries WHERE hook = 1)", "n", []string{
		"started_at", "duration", "state", "next_at", "request", "body_size", "body_sha256", "status", "truncated", "class", "error",
		"response_header", "response_body",
	}},
	{"hooks_requests", "1", "n", []string{"method", "url", "header"}},
	{"hooks_log", "hook = 1", "at || delivery || entry", []string{"hook", "at", "delivery", "entry"}},
}

var badValues = []any{nil, "text", 1.5, -1, int64(1) << 62, []byte{0, 0xff, 0xff}, -1e300}

func TestDamagedRows(t *testing.T) {
	content := mixed(t)
	for _, d := range damages {
		t.Run(d.table, func(t *testing.T) {
			t.Parallel()
			turn := 0
			for _, column := range d.columns {
				for i, value := range badValues {
					if testing.Short() && i%3 != 0 {
						continue
					}
					path := filepath.Join(t.TempDir(), "hooks.db")
					require.NoError(t, os.WriteFile(path, content, 0o600))
					db, err := sql.Open("sqlite3", path)
					require.NoError(t, err)
					turn++
					key := oneOf(t, db, "SELECT "+d.key+" FROM "+d.table+" WHERE "+d.rows, turn)
					_, err = db.Exec("UPDATE "+d.table+" SET "+column+" = ? WHERE "+d.rows+" AND "+d.key+" = ?", value, key)
					require.NoError(t, db.Close())
					var refused sqlite3.Error
					if errors.As(err, &refused) && refused.Code == sqlite3.ErrConstraint {
						continue // Such a value cannot be stored.
					}
					require.NoError(t, err)
					useDamaged(t, path, fmt.Sprintf("%s.%s = %T %v in row %v", d.table, column, value, value, key))
				}
			}
		})
	}
}

// oneOf returns one of the values that the query finds, by turns.
func oneOf(t *testing.T, db *sql.DB, query string, turn int) any {
	t.Helper()
	rows, err := db.Query(query)
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	var keys []any
	for rows.Next() {
		var key any
		require.NoError(t, rows.Scan(&key))
		keys = append(keys, key)
	}
	require.NoError(t, rows.Err())
	require.NotEmpty(t, keys)
	return keys[turn%len(keys)]
}

// useDamaged calls every method.
func useDamaged(t *testing.T, path, name string) {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path, sqlite.Options{Synchronous: sqlite.Normal})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	at := purgeStart.Add(time.Hour)
	ctx := t.Context()
	check := func(what string, err error) {
		for _, response := range []error{nil, sqlite.ErrDamaged, hooks.ErrNotFound, hooks.ErrConflict, hooks.ErrDuplicate} {
			if errors.Is(err, response) {
				return
			}
		}
		assert.NoError(t, err, "%s: %s", name, what)
	}
	read := func(tenant string) {
		_, err := s.Hooks(ctx, hooks.HookQuery{Tenant: tenant})
		check("Hooks", err)
		page, err := s.Deliveries(ctx, hooks.LogQuery{Tenant: tenant})
		check("Deliveries", err)
		for _, d := range page.Items {
			if err != nil {
				break
			}
			assert.NotEmpty(t, d.State, name)
			assert.NotEmpty(t, d.EventID, name)
		}
		attempts, err := s.Attempts(ctx, hooks.LogQuery{Tenant: tenant})
		check("Attempts", err)
		for _, a := range attempts.Items {
			if err != nil {
				break
			}
			assert.NotEmpty(t, a.State, name)
			assert.NotEmpty(t, a.DeliveryID, name)
		}
		_, err = s.Events(ctx, tenant, []string{"dead", "pending"})
		check("Events", err)
		_, err = s.Stats(ctx, tenant, []string{"hook"}, purgeStart, at)
		check("Stats", err)
	}
	read("damaged")
	read("sound")
	changes, err := s.HookChanges(ctx, 0, 10)
	require.NoError(t, err, name)
	assert.True(t, slices.ContainsFunc(changes, func(c hooks.HookChange) bool {
		return c.Err == nil && c.Hook.Tenant == "sound" && c.Hook.URL != ""
	}), "%s: the other hook is to be read", name)

	// What is damaged keeps nobody from being served.
	e := &hooks.Event{ID: "new", Tenant: "sound", Type: "a", Time: at}
	d := hooks.Delivery{ID: "new", Tenant: "sound", HookID: "hook", EventID: "new", State: hooks.Pending, Due: at, CreatedAt: at}
	require.NoError(t, s.Enqueue(ctx, at, []hooks.Entry{{Event: e, Deliveries: []hooks.Delivery{d}}}), name)
	var settlements []hooks.Settlement
	sound := 0
	for range 4 {
		claimed, _, err := s.Claim(ctx, hooks.ClaimRequest{Owner: "o", Now: at, Until: at.Add(time.Minute), Limit: hooks.Capacity{Deliveries: 3}})
		check("Claim", err)
		for _, c := range claimed {
			if c.Delivery.Tenant == "sound" {
				sound++
			}
			settlements = append(settlements, hooks.Settlement{
				DeliveryID: c.Delivery.ID, Token: c.Delivery.Lease.Token, State: hooks.Dead,
				Attempt: &hooks.Attempt{DeliveryID: c.Delivery.ID, Number: c.Delivery.Attempts + 1, StartedAt: at, State: hooks.Dead},
			})
		}
	}
	assert.Equal(t, 4, sound, "%s: deliveries of the other tenant that were claimed", name)
	settled, err := s.Settle(ctx, at, settlements)
	require.NoError(t, err, name)
	for i, st := range settled {
		check("Settle "+settlements[i].DeliveryID, st.Err)
	}
	q := hooks.LogQuery{Tenant: "sound", States: []hooks.State{hooks.Dead}}
	if page, err := s.Deliveries(ctx, q); err == nil {
		assert.Len(t, page.Items, 4+2, "%s: what of the other tenant is settled", name)
	}
	for _, name := range []string{"dead", "held", "retried", "pending", "blocked", "expired"} {
		_, err = s.Redeliver(ctx, at, "damaged", uuidOf("damaged", name))
		check("Redeliver", err)
		_, err = s.Cancel(ctx, at, "damaged", uuidOf("damaged", name), "")
		check("Cancel", err)
	}
	_, err = s.Cancel(ctx, at, "sound", uuidOf("sound", "held"), "")
	require.NoError(t, err, name)
	for range 3 {
		_, err = s.Purge(ctx, hooks.PurgeRequest{Before: at.Add(time.Minute), KeepPerHook: 1, Limit: 100})
		check("Purge", err)
	}
	if page, err := s.Deliveries(ctx, q); err == nil {
		assert.Empty(t, page.Items, "%s: what of the other tenant is to be purged", name)
	}
	check("Enqueue", s.Enqueue(ctx, at, []hooks.Entry{{Event: &hooks.Event{ID: "another", Tenant: "damaged", Type: "a", Time: at}}}))
	check("UpdateHook", s.UpdateHook(ctx, hooks.Hook{Tenant: "damaged", ID: "hook", Version: 1}))
	check("CreateHook", s.CreateHook(ctx, hooks.Hook{Tenant: "damaged", ID: "new", Version: 1, CreatedAt: at}, 10))
	check("DeleteHook", s.DeleteHook(ctx, hooks.Ref{Tenant: "damaged", ID: "hook"}, at))
	read("damaged")
	read("sound")
}

// The Manager tells once of what is damaged, refuses to trigger what it does not
// know the receivers of, and goes on for all others.
func TestADamagedHook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "hooks.db")
		h := newHarness(t, openAt(t, path).(*sqlite.Store), new(hookstest.Network))
		damaged, err := h.Register(t.Context(), hooks.Hook{Tenant: "damaged", URL: "http://damaged.example", Events: []string{"*"}})
		require.NoError(t, err)
		r, _ := h.endpoint(hooks.Hook{Tenant: "sound"})
		h.stop()
		db := handle(t, path, 1)
		_, err = db.Exec("UPDATE hooks_hooks SET document = '{' WHERE tenant = 'damaged'")
		require.NoError(t, err)

		h = newHarness(t, openAt(t, path).(*sqlite.Store), h.network)
		_, err = h.Trigger(t.Context(), hooks.Event{Tenant: "damaged", Type: "order.paid"})
		assert.ErrorIs(t, err, sqlite.ErrDamaged)
		assert.ErrorContains(t, err, damaged.ID)
		assert.ErrorContains(t, err, "hooks_hooks, row 1: document")
		h.trigger(hooks.Event{Tenant: "sound", Type: "order.paid"})
		pass(time.Minute)
		assert.Len(t, r.Requests(), 1)
		require.Len(t, h.observed(), 1)
		assert.ErrorIs(t, h.observed()[0], sqlite.ErrDamaged)
		require.NoError(t, h.Delete(t.Context(), "damaged", damaged.ID))
		_, err = h.Trigger(t.Context(), hooks.Event{Tenant: "damaged", Type: "order.paid"})
		assert.NoError(t, err, "nobody wants it any more")
	})
}

// What was repaired goes on.
func TestDamageThatIsRepaired(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		damage, repair string
		again          func(t *testing.T, h *harness, d hooks.Delivery)
	}{
		"a delivery": {
			"UPDATE hooks_deliveries SET step = -1", "UPDATE hooks_deliveries SET step = 0",
			func(t *testing.T, h *harness, d hooks.Delivery) {
				_, err := h.Cancel(t.Context(), "", d.ID)
				require.NoError(t, err)
				_, err = h.Redeliver(t.Context(), "", d.ID)
				require.NoError(t, err)
			},
		},
		"a hook": {
			"UPDATE hooks_hooks SET failures = 'many'", "UPDATE hooks_hooks SET failures = 0",
			func(t *testing.T, h *harness, d hooks.Delivery) {
				for _, disabled := range []bool{true, false} {
					_, err := h.Update(t.Context(), "", d.HookID, func(h *hooks.Hook) error {
						h.Disabled = disabled
						return nil
					})
					require.NoError(t, err)
				}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "hooks.db")
				h := newHarness(t, openAt(t, path).(*sqlite.Store), new(hookstest.Network))
				r, hook := h.endpoint(hooks.Hook{})
				h.stop()
				h.trigger(paid("pending"))
				at := time.Now().UTC().Truncate(time.Millisecond)
				leased := hooks.Delivery{
					ID: uuidOf("", "leased"), HookID: hook.ID, State: hooks.Leased, Due: at, CreatedAt: at,
					Lease: hooks.Lease{Owner: "o", Token: 1, Until: at.Add(time.Second)},
				}
				e := paid("leased")
				e.Time = at
				require.NoError(t, h.store.Enqueue(t.Context(), at, []hooks.Entry{{Event: &e, Deliveries: []hooks.Delivery{leased}}}))
				page, err := h.Deliveries(t.Context(), hooks.LogQuery{})
				require.NoError(t, err)
				db := handle(t, path, 1)
				_, err = db.Exec(tt.damage)
				require.NoError(t, err)
				h = newHarness(t, openAt(t, path).(*sqlite.Store), h.network)
				pass(10 * time.Second)
				assert.Empty(t, r.Requests())
				assert.NotEmpty(t, h.observed())
				ids := func(list []hooks.Delivery) (ids []string) {
					for _, d := range list {
						ids = append(ids, d.ID)
					}
					return ids
				}

				_, err = db.Exec(tt.repair)
				require.NoError(t, err)
				told := len(h.observed())
				assert.ElementsMatch(t, ids(page.Items), ids(crashtest.Listed(t, h.store)))
				for _, d := range page.Items {
					tt.again(t, h, d)
				}
				pass(10 * time.Second)
				assert.ElementsMatch(t, []string{"pending", "leased"}, receivedIDs(r))
				assert.Len(t, h.observed(), told)
			})
		})
	}
}

// A delivery that is damaged is reported, and those after it are sent at once.
func TestADamagedDelivery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "hooks.db")
		h := newHarness(t, openAt(t, path).(*sqlite.Store), new(hookstest.Network))
		r, _ := h.endpoint(hooks.Hook{})
		h.stop()
		for _, id := range []string{"1", "2", "3"} {
			h.trigger(paid(id))
		}
		db := handle(t, path, 1)
		_, err := db.Exec("UPDATE hooks_deliveries SET attempts = 'many' WHERE n = 1")
		require.NoError(t, err)
		_, err = db.Exec("UPDATE hooks_events SET metadata = 'none' WHERE n = 2")
		require.NoError(t, err)

		h = newHarness(t, openAt(t, path).(*sqlite.Store), h.network)
		pass(time.Second)
		assert.Equal(t, []string{"3"}, receivedIDs(r))
		pass(time.Minute)
		require.Len(t, h.observed(), 1)
		assert.ErrorIs(t, h.observed()[0], sqlite.ErrDamaged)
		assert.ErrorContains(t, h.observed()[0], "hooks_deliveries, row 1: attempts is TEXT and not an integer")
		assert.ErrorContains(t, h.observed()[0], "hooks_events, row 2: metadata is TEXT and not a JSON object of texts")
	})
}
