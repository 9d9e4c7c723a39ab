package postgres_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/internal/crashtest"
	"github.com/seed-2c6e3a5a/hooks/internal/pgtest"
	"github.com/seed-2c6e3a5a/hooks/postgres"
)

// Processes over one database are killed, or stopped, at random. What must hold afterwards
// needs no timing: each request is one for which there is an attempt in the log, or a
// lease that ran out.

// A task says what a process is to do.
type task struct {
	URL, Schema string
	// Name starts the IDs of the events, and is the user agent.
	Name string
	// Callers trigger events, each one after another. 0: it only delivers.
	Callers int
	// Outbox has events triggered in transactions of the application.
	Outbox bool
	// Gate is to wait for a line before it starts.
	Gate bool
}

func TestMain(m *testing.M) {
	os.Exit(crashtest.Main(task.do, func() int { return pgtest.Main(m) }))
}

func (w task) do() error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	in := bufio.NewReader(os.Stdin)
	pool, err := pgxpool.New(ctx, w.URL)
	if err != nil {
		return err
	}
	defer pool.Close()
	s, err := postgres.New(ctx, pool, postgres.Options{Schema: w.Schema})
	if err != nil {
		return err
	}
	m, err := crashtest.NewManager(s, w.Name, slog.New(slog.NewTextHandler(os.Stderr, nil)), hooks.Observer{})
	if err != nil {
		return err
	}
	crashtest.Say(crashtest.Ready)
	if w.Gate {
		if _, err := in.ReadString('\n'); err != nil {
			return nil // nobody waits for it any more
		}
	}
	go func() {
		_, _ = io.Copy(io.Discard, in)
		cancel()
	}()
	var callers sync.WaitGroup
	for i := range w.Callers {
		callers.Go(func() { w.trigger(ctx, m, s, pool, i) })
	}
	err = m.Run(ctx)
	callers.Wait()
	return errors.Join(err, s.Close())
}

// trigger triggers events until ctx ends.
func (w task) trigger(ctx context.Context, m *hooks.Manager, s *postgres.Store, pool *pgxpool.Pool, caller int) {
	crashtest.Trigger(ctx, w.Name, caller, func(e hooks.Event) (committed bool, err error) {
		if !w.Outbox {
			_, err = m.Trigger(ctx, e)
			return true, err
		}
		committed = rand.IntN(4) > 0
		return committed, w.inTransaction(ctx, m, s, pool, e, committed)
	})
}

// inTransaction records an order and triggers its event in one transaction of the
// application's, in either order.
func (w task) inTransaction(ctx context.Context, m *hooks.Manager, s *postgres.Store, pool *pgxpool.Pool, e hooks.Event, commit bool) error {
	tx, err := pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	steps := []func() error{
		func() error {
			_, err := tx.Exec(ctx, "INSERT INTO "+pgx.Identifier{w.Schema, "orders"}.Sanitize()+" (id) VALUES ($1)", e.ID)
			return err
		},
		func() error {
			_, err := m.TriggerTx(ctx, s.Tx(tx), e)
			return err
		},
	}
	if rand.IntN(2) == 0 {
		slices.Reverse(steps)
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	if commit {
		return tx.Commit(ctx)
	}
	return tx.Rollback(ctx)
}

// prepare makes a database with a hook for everything at the ledger.
func prepare(t *testing.T, l *crashtest.Ledger) (*database, *postgres.Store) {
	t.Helper()
	d := newDatabase(t)
	s := d.open(t)
	crashtest.Register(t, s, l)
	return d, s
}

func (d *database) task(name string) task { return task{URL: d.url, Schema: d.schema, Name: name} }

// killAtRandom starts one process after another and kills each at random: some while they
// are starting, the others in full work. It returns the IDs by what the processes said of
// them.
func killAtRandom(t *testing.T, d *database, s hooks.Store, o crashtest.Orphans, outbox bool) map[string][]string {
	t.Helper()
	random := crashtest.NewRandom(t)
	said := map[string][]string{}
	for i := range crashtest.Kills() {
		w := d.task(fmt.Sprintf("k%02d", i))
		w.Callers, w.Outbox = 8, outbox
		p := crashtest.Start(t, w)
		if random.IntN(8) > 0 {
			select {
			case <-p.Ready:
			case <-time.After(crashtest.Patience):
				require.Fail(t, "the process does not start")
			}
		}
		time.Sleep(time.Duration(20+random.IntN(180)) * time.Millisecond) // the moment is what is random
		p.Killed()
		for what, ids := range p.Said {
			said[what] = append(said[what], ids...)
		}
		d.quiet(t)
		assert.LessOrEqual(t, o.Add(t, s), crashtest.MaxLeased)
	}
	return said
}

// quiet waits until the server has ended what killed processes were doing: it may commit
// what the dead have sent.
func (d *database) quiet(t *testing.T) {
	t.Helper()
	late := time.Now().Add(crashtest.Patience)
	for busy := 1; busy > 0; {
		err := d.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity
			WHERE pid <> pg_backend_pid() AND state <> 'idle' AND backend_type = 'client backend' AND query LIKE '%' || $1 || '%'`, d.schema).Scan(&busy)
		require.NoError(t, err)
		require.True(t, time.Now().Before(late), "the server does not end what it is doing")
	}
}

func TestNothingIsLostWhenProcessesAreKilled(t *testing.T) {
	t.Parallel()
	l, o := crashtest.NewLedger(t), crashtest.Orphans{}
	d, s := prepare(t, l)
	said := killAtRandom(t, d, s, o, false)
	l.Audit(t, crashtest.Drain(t, s), said[crashtest.Triggered], o, crashtest.Kills())
	l.Ordered(t)
}

// An order is there if, and only if, its event was received.
func TestEventsGoWithTheTransactionWhenProcessesAreKilled(t *testing.T) {
	t.Parallel()
	l, o := crashtest.NewLedger(t), crashtest.Orphans{}
	d, s := prepare(t, l)
	_, err := d.Exec(t.Context(), "CREATE TABLE "+pgx.Identifier{d.schema, "orders"}.Sanitize()+" (id text PRIMARY KEY)")
	require.NoError(t, err)
	said := killAtRandom(t, d, s, o, true)
	l.Audit(t, crashtest.Drain(t, s), said[crashtest.Triggered], o, crashtest.Kills())
	l.Ordered(t)

	rows, err := d.Query(t.Context(), "SELECT id FROM "+pgx.Identifier{d.schema, "orders"}.Sanitize()+` ORDER BY id COLLATE "C"`)
	require.NoError(t, err)
	orders, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	assert.Equal(t, orders, slices.Sorted(slices.Values(l.Order)), "the orders, and what was received")
	assert.Subset(t, orders, said[crashtest.Triggered])
	require.NotEmpty(t, said[crashtest.RolledBack])
	for _, id := range said[crashtest.RolledBack] {
		assert.Zero(t, l.Counts[id], "%s was rolled back", id)
	}
}

// Four processes deliver what a fifth one triggers. One is killed, and another is stopped
// until its leases have run out and others have taken its deliveries over.
func TestFourProcessesShareTheWork(t *testing.T) {
	t.Parallel()
	events := 50_000
	if testing.Short() {
		events = 8000
	}
	l, o := crashtest.NewLedger(t), crashtest.Orphans{}
	d, s := prepare(t, l)
	m, err := crashtest.NewManager(s, "", slog.New(slog.DiscardHandler), hooks.Observer{})
	require.NoError(t, err)
	processes := map[string]*crashtest.Process{}
	for _, name := range []string{"one", "two", "three", "four"} {
		w := d.task(name)
		w.Gate = true
		processes[name] = crashtest.Start(t, w)
	}
	acknowledged := triggerMany(t, m, 0, events/2)
	for _, p := range processes {
		<-p.Ready
		_, err := p.In.Write([]byte("go\n"))
		require.NoError(t, err)
	}
	var more []string
	done := make(chan struct{})
	go func() {
		defer close(done)
		more = triggerMany(t, m, events/2, events)
	}()
	share := events / 40
	l.WaitFor(t, func(senders map[string]int, received int) bool {
		require.Less(t, received, events, "some did nearly all: %v", senders)
		for name := range processes {
			if senders[name] < share {
				return false
			}
		}
		t.Logf("the first %d requests, by senders: %v", received, senders)
		return true
	})
	processes["one"].Killed()
	processes["two"].Signal(syscall.SIGSTOP)
	o.Add(t, s) // with some of the others', which are of no account
	<-done
	acknowledged = append(acknowledged, more...)
	l.WaitFor(t, func(_ map[string]int, received int) bool { return received == events })
	// All that the stopped one had leased has been taken over and has ended.
	require.Eventually(t, func() bool {
		return len(crashtest.Listed(t, s, hooks.Leased, hooks.Pending)) == 0
	}, crashtest.Patience, 100*time.Millisecond, "some deliveries do not end")
	processes["two"].Signal(syscall.SIGCONT)
	for _, name := range []string{"two", "three", "four"} {
		require.NoError(t, processes[name].In.Close())
		require.NoError(t, processes[name].Wait())
	}
	assert.Empty(t, processes["three"].Stderr.String())
	assert.Empty(t, processes["four"].Stderr.String())
	assert.Len(t, acknowledged, events)
	l.Audit(t, crashtest.Drain(t, s), acknowledged, o, 2)
	attempts, err := s.Attempts(t.Context(), hooks.LogQuery{PageQuery: hooks.PageQuery{Limit: 1, CountTo: 2 * events}})
	require.NoError(t, err)
	assert.Equal(t, events, attempts.Total, "stale settlements were refused, and each delivery has one attempt")
}

// triggerMany triggers events with the numbers from first to last, and returns their IDs.
// Some have ordering keys.
func triggerMany(t *testing.T, m *hooks.Manager, first, last int) []string {
	const batch = 50
	var mu sync.Mutex
	var acknowledged []string
	starts := make(chan int)
	var callers sync.WaitGroup
	for range 4 {
		callers.Go(func() {
			for start := range starts {
				list := make([]hooks.Event, batch)
				for i := range list {
					list[i] = hooks.Event{ID: fmt.Sprintf("e%05d", start+i), Type: "order.paid", Data: crashtest.Payload}
				}
				receipts, err := m.TriggerBatch(t.Context(), list...)
				assert.NoError(t, err)
				mu.Lock()
				for _, r := range receipts {
					acknowledged = append(acknowledged, r.EventID)
				}
				mu.Unlock()
			}
		})
	}
	for start := first; start < last; start += batch {
		starts <- start
	}
	close(starts)
	callers.Wait()
	return acknowledged
}
