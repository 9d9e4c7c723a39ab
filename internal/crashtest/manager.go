package crashtest

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
)

const (
	// InFlight is how many requests a Manager has under way at a time.
	InFlight = 32
	// Lease is long for a process that lives, on a machine that is busy, and short for a test
	// that waits for the end of those of the dead.
	Lease = 8 * time.Second
	// MaxRepeated bounds what is sent again after a kill: what was under way, and the results
	// that were not stored. The README says so.
	MaxRepeated = 10 * InFlight
	// MaxLeased bounds what a Manager has leased: what is in memory, and the results that
	// are not stored.
	MaxLeased = 16*InFlight + MaxRepeated
)

// Payload is the data of an event.
var Payload = json.RawMessage(`{"text":"` + strings.Repeat("x", 200) + `"}`)

// NewManager returns a Manager whose user agent is name.
func NewManager(s hooks.Store, name string, log *slog.Logger, o hooks.Observer) (*hooks.Manager, error) {
	return hooks.New(s, hooks.Config{
		AllowNetworks: []string{"127.0.0.0/8"}, AllowHTTP: true, UserAgent: name,
		MaxInFlight: InFlight, MaxInFlightPerHook: InFlight,
		Lease: Lease, DisableAfter: -1, Retention: -1, Logger: log, Observer: o,
	})
}

// Register registers a hook for everything at the ledger.
func Register(t *testing.T, s hooks.Store, l *Ledger) {
	t.Helper()
	m, err := NewManager(s, "", slog.New(slog.DiscardHandler), hooks.Observer{})
	require.NoError(t, err)
	_, err = m.Register(t.Context(), hooks.Hook{
		ID: "all", URL: l.URL, Events: []string{"*"},
		Timeout: Lease / 2, Schedule: slices.Repeat([]time.Duration{100 * time.Millisecond}, 50),
	})
	require.NoError(t, err)
}

// Trigger calls trigger for one event after another until ctx ends, and says what became of
// them. Some have a key, one for each caller: they come in the order of their IDs. If
// trigger returns false, the event was rolled back.
func Trigger(ctx context.Context, name string, caller int, trigger func(hooks.Event) (committed bool, err error)) {
	for i := 0; ctx.Err() == nil; i++ {
		e := hooks.Event{ID: fmt.Sprintf("%s-%02d-%05d", name, caller, i), Type: "order.paid", Data: Payload}
		if i%8 == 0 {
			e.OrderingKey = fmt.Sprintf("key-%02d", caller)
		}
		switch committed, err := trigger(e); {
		case err != nil && ctx.Err() == nil:
			fmt.Fprintln(os.Stderr, "trigger:", err)
		case err != nil:
		case committed:
			Say(Triggered, e.ID)
		default:
			Say(RolledBack, e.ID)
		}
	}
}

// Orphans are the leases of processes that were killed, by delivery and token.
type Orphans map[string]map[int64]bool

// Add adds what is leased, and returns how many of these leases are new.
func (o Orphans) Add(t *testing.T, s hooks.Store) (fresh int) {
	t.Helper()
	for _, d := range Listed(t, s, hooks.Leased) {
		if o[d.ID] == nil {
			o[d.ID] = map[int64]bool{}
		}
		if !o[d.ID][d.Lease.Token] {
			o[d.ID][d.Lease.Token] = true
			fresh++
		}
	}
	return fresh
}

// Listed returns the deliveries in these states, or all, oldest first.
func Listed(t *testing.T, s hooks.Store, states ...hooks.State) []hooks.Delivery {
	t.Helper()
	page, err := s.Deliveries(t.Context(), hooks.LogQuery{
		States: states, PageQuery: hooks.PageQuery{OldestFirst: true, Limit: 1 << 20},
	})
	require.NoError(t, err)
	return page.Items
}

// Drain delivers what is left, and returns all deliveries.
func Drain(t *testing.T, s hooks.Store) []hooks.Delivery {
	t.Helper()
	stored := make(chan struct{}, 1)
	m, err := NewManager(s, "drain", slog.New(slog.NewTextHandler(t.Output(), nil)), hooks.Observer{
		Attempt: func(hooks.Delivery, hooks.Attempt, *hooks.Event) {
			select {
			case stored <- struct{}{}:
			default:
			}
		},
	})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	run, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- m.Run(run) }()
	for {
		open, err := s.Deliveries(ctx, hooks.LogQuery{
			States:    []hooks.State{hooks.Blocked, hooks.Pending, hooks.Leased},
			PageQuery: hooks.PageQuery{OldestFirst: true, Limit: 1},
		})
		require.NoError(t, err)
		if len(open.Items) == 0 {
			break
		}
		// Each of them ends with an attempt that is stored.
		select {
		case <-stored:
		case <-ctx.Done():
			require.Fail(t, "it is not delivered", "%+v", open.Items[0])
		}
	}
	stop()
	require.NoError(t, <-ended)
	return Listed(t, s)
}

// seedVariable repeats what a failed test has drawn.
const seedVariable = "HOOKS_CRASHTEST_SEED"

// NewRandom returns a source of random numbers, whose seed it logs.
func NewRandom(t *testing.T) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv(seedVariable); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("%s=%d", seedVariable, seed)
	return rand.New(rand.NewPCG(seed, seed))
}

// Kills is how often a test kills a process.
func Kills() int {
	if testing.Short() {
		return 8
	}
	return 50
}
