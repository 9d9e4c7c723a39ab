package store_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/memory"
	"github.com/seed-2c6e3a5a/hooks/store"
)

// These are the tests of Copy itself. Package storetest checks what stores do with records.

func TestCopyRefusesStores(t *testing.T) {
	t.Parallel()
	good := memory.New(memory.Options{})
	for name, tt := range map[string]struct {
		from, to hooks.Store
		field    string
	}{
		"from is nil":       {nil, good, "from"},
		"to is nil":         {good, nil, "to"},
		"from has no copy":  {struct{ hooks.Store }{good}, good, "from"},
		"to has no copy":    {good, struct{ hooks.Store }{good}, "to"},
		"the same store":    {good, good, "to"},
		"the same database": {good, struct{ store.Copyable }{good}, "to"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var invalid *hooks.InvalidError
			require.ErrorAs(t, store.Copy(t.Context(), tt.from, tt.to), &invalid)
			assert.Equal(t, tt.field, invalid.Field)
		})
	}
}

// A target that was used already is refused before anything is copied.
func TestCopyIntoAUsedTarget(t *testing.T) {
	t.Parallel()
	source, target := memory.New(memory.Options{}), memory.New(memory.Options{})
	deliver(t, source, 500)
	create(t, source, "a")
	create(t, target, "a", "b")
	before := inventory(t, target)
	err := store.Copy(t.Context(), source, target)
	require.ErrorIs(t, err, store.ErrDiffers)
	assert.EqualError(t, err, "copy: nothing was copied: the target does not have what the source has: "+
		"hooks: 2 instead of at most 1; sum of the hooks' versions: 2 instead of at most 1")
	assert.Equal(t, before, inventory(t, target))
}

// What the target has and the source lacks is found, also if the source has more in number.
func TestCopyFindsWhatTheSourceLacks(t *testing.T) {
	t.Parallel()
	source, target := memory.New(memory.Options{}), memory.New(memory.Options{})
	create(t, source, "a", "b")
	create(t, target, "c")
	err := store.Copy(t.Context(), source, target)
	require.ErrorIs(t, err, store.ErrDiffers)
	assert.ErrorContains(t, err, "hooks: 3 instead of 2; sum of the hooks' versions: 3 instead of 2")
}

// A source that was written to between two calls is found by what it counts.
func TestCopyOfASourceThatChanged(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(t *testing.T, s hooks.Store)
		want   string
	}{
		"a hook was changed": {func(t *testing.T, s hooks.Store) {
			require.NoError(t, s.UpdateHook(t.Context(), hooks.Hook{ID: "a", Version: 1}))
		}, "sum of the hooks' versions: 1 instead of 2"},
		"a delivery was claimed": {func(t *testing.T, s hooks.Store) {
			claimed, _, err := s.Claim(t.Context(), hooks.ClaimRequest{Now: began, Until: began.Add(time.Minute), Limit: hooks.Capacity{Deliveries: 1}})
			require.NoError(t, err)
			require.Len(t, claimed, 1)
			_, err = s.Settle(t.Context(), began, []hooks.Settlement{{DeliveryID: "d", Token: 1, State: hooks.Pending, Due: began}})
			require.NoError(t, err)
		}, "sum of the leases' tokens: 0 instead of 1"},
		"a delivery was cancelled": {func(t *testing.T, s hooks.Store) {
			_, err := s.Cancel(t.Context(), began, "", "d", "")
			require.NoError(t, err)
		}, "nothing was copied: the target does not have what the source has: pending deliveries: 1 instead of at most 0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source, target := memory.New(memory.Options{}), memory.New(memory.Options{})
			create(t, source, "a")
			d := hooks.Delivery{ID: "d", HookID: "a", EventID: "e", State: hooks.Pending, Due: began, CreatedAt: began}
			require.NoError(t, source.Enqueue(t.Context(), began, []hooks.Entry{{Event: &hooks.Event{ID: "e", Time: began}, Deliveries: []hooks.Delivery{d}}}))
			require.NoError(t, store.Copy(t.Context(), source, target))
			tt.change(t, source)
			err := store.Copy(t.Context(), source, target)
			require.ErrorIs(t, err, store.ErrDiffers)
			assert.ErrorContains(t, err, tt.want)
		})
	}
}

// A memory store refuses what it would drop at once, and names the option that is too small.
func TestCopyIntoATooSmallMemory(t *testing.T) {
	t.Parallel()
	source := memory.New(memory.Options{})
	deliver(t, source, 3000)
	for field, o := range map[string]memory.Options{
		"options.maxEnded":      {MaxEnded: 2999},
		"options.maxEndedBytes": {MaxEndedBytes: 4 << 20},
	} {
		target := memory.New(o)
		var invalid *hooks.InvalidError
		require.ErrorAs(t, store.Copy(t.Context(), source, target), &invalid)
		assert.Equal(t, field, invalid.Field)
	}
	require.NoError(t, store.Copy(t.Context(), source, memory.New(memory.Options{MaxEnded: 3000})))

	bare := memory.New(memory.Options{})
	for i := range 10 {
		require.NoError(t, bare.Enqueue(t.Context(), began, []hooks.Entry{{Event: &hooks.Event{ID: fmt.Sprint(i)}}}))
	}
	var invalid *hooks.InvalidError
	require.ErrorAs(t, store.Copy(t.Context(), bare, memory.New(memory.Options{MaxEnded: 9})), &invalid)
	assert.Equal(t, "must be at least 10 for what is copied", invalid.Reason)
}

// A fragile store fails in one of its imports, before or after it has stored the records.
type fragile struct {
	store.Copyable
	imports  int
	failing  int // the number of the import that fails
	after    bool
	err      error
	records  int // the most that an import had
	bytes    int // the same of the data of events
	largest  int // the data of the largest event
	whenever func()
}

func (f *fragile) Import(ctx context.Context, records []store.Record) error {
	f.imports++
	size := 0
	for _, r := range records {
		if r.Event != nil {
			size += len(r.Event.Data)
			f.largest = max(f.largest, len(r.Event.Data))
		}
	}
	f.records, f.bytes = max(f.records, len(records)), max(f.bytes, size)
	fails := f.imports == f.failing
	if fails && f.whenever != nil {
		f.whenever()
	}
	if fails && !f.after && f.err != nil {
		return f.err
	}
	if err := f.Copyable.Import(ctx, records); err != nil {
		return err
	}
	if fails {
		return f.err
	}
	return nil
}

// A copy that fails anywhere goes on when it is called again, and doubles nothing.
func TestCopyGoesOn(t *testing.T) {
	t.Parallel()
	source := memory.New(memory.Options{})
	deliver(t, source, 5000)
	whole := &fragile{Copyable: memory.New(memory.Options{})}
	require.NoError(t, store.Copy(t.Context(), source, whole))
	require.Equal(t, 5, whole.imports)
	boom := errors.New("boom")
	for failing := 1; failing <= whole.imports; failing++ {
		for _, after := range []bool{false, true} {
			target := memory.New(memory.Options{})
			require.ErrorIs(t, store.Copy(t.Context(), source, &fragile{Copyable: target, failing: failing, after: after, err: boom}), boom)
			require.NoError(t, store.Copy(t.Context(), source, target))
			assert.Equal(t, inventory(t, source), inventory(t, target))
		}
		target := memory.New(memory.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		require.ErrorIs(t, store.Copy(ctx, source, &fragile{Copyable: target, failing: failing, whenever: cancel}), context.Canceled)
		assert.NotEqual(t, inventory(t, source), inventory(t, target))
		require.NoError(t, store.Copy(t.Context(), source, target))
		assert.Equal(t, inventory(t, source), inventory(t, target))
	}
}

// What Copy holds in memory is bounded, in records and in bytes.
func TestImportsAreBounded(t *testing.T) {
	t.Parallel()
	source := memory.New(memory.Options{})
	deliver(t, source, 3000)
	for i := range 40 {
		e := &hooks.Event{ID: fmt.Sprint(i), Data: make([]byte, 256<<10)}
		require.NoError(t, source.Enqueue(t.Context(), began, []hooks.Entry{{Event: e}}))
	}
	target := &fragile{Copyable: memory.New(memory.Options{})}
	require.NoError(t, store.Copy(t.Context(), source, target))
	assert.Equal(t, 2000, target.records)
	assert.Equal(t, 256<<10, target.largest)
	assert.Less(t, target.bytes, 4<<20+target.largest)
}

// deliver puts so many events through the store.
func deliver(t testing.TB, s hooks.Store, events int) {
	t.Helper()
	data := []byte(`"` + strings.Repeat("x", 1022) + `"`)
	for first := 0; first < events; first += 500 {
		entries, settlements := make([]hooks.Entry, 500), make([]hooks.Settlement, 500)
		for i := range entries {
			id, at := fmt.Sprintf("018df2a0-0000-7000-8000-%012d", first+i), began.Add(time.Duration(first+i)*time.Millisecond)
			d := hooks.Delivery{
				ID: id, HookID: "a", EventID: id, EventType: "order.paid", State: hooks.Leased, Due: at, CreatedAt: at,
				Lease: hooks.Lease{Owner: "o", Token: 1, Until: at.Add(time.Minute)},
			}
			entries[i] = hooks.Entry{Event: &hooks.Event{ID: id, Type: "order.paid", Time: at, Data: data}, Deliveries: []hooks.Delivery{d}}
			settlements[i] = hooks.Settlement{DeliveryID: id, Token: 1, State: hooks.Succeeded, Attempt: &hooks.Attempt{
				DeliveryID: id, Number: 1, HookID: "a", EventID: id, EventType: "order.paid", StartedAt: at, Duration: time.Millisecond, State: hooks.Succeeded,
				Request:  hooks.AttemptRequest{Method: "POST", URL: "https://example.com/a", BodySize: 1024, BodySHA256: [32]byte{1}},
				Response: hooks.AttemptResponse{Status: 204, Header: map[string][]string{"Server": {"nginx"}}},
			}}
		}
		require.NoError(t, s.Enqueue(t.Context(), began, entries))
		_, err := s.Settle(t.Context(), began, settlements)
		require.NoError(t, err)
	}
}

var began = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

func create(t testing.TB, s hooks.Store, ids ...string) {
	t.Helper()
	for _, id := range ids {
		require.NoError(t, s.CreateHook(t.Context(), hooks.Hook{ID: id, Version: 1, CreatedAt: began}, 0))
	}
}

func inventory(t testing.TB, s store.Copyable) store.Inventory {
	t.Helper()
	inventory, err := s.Inventory(t.Context())
	require.NoError(t, err)
	return inventory
}

func ExampleCopy() {
	ctx := context.Background()
	from, to := memory.New(memory.Options{}), memory.New(memory.Options{})
	m, err := hooks.New(from, hooks.Config{})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := m.Register(ctx, hooks.Hook{URL: "https://example.com/webhooks", Events: []string{"order.*"}}); err != nil {
		log.Fatal(err)
	}
	if _, err := m.Trigger(ctx, hooks.Event{Type: "order.paid"}); err != nil {
		log.Fatal(err)
	}

	// No Manager may run on either store.
	if err := store.Copy(ctx, from, to); err != nil {
		log.Fatal(err)
	}
	inventory, err := to.Inventory(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(inventory.Hooks, inventory.Events, inventory.Deliveries)
	// Output: 1 1 map[pending:1]
}
