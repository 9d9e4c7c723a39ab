package postgres_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
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

// While events are triggered and delivered, something goes wrong with the database. The
// Manager has to go on by itself when that is over, and nothing that was acknowledged may be
// lost.

// A load is a Manager with callers that trigger events.
type load struct {
	t      *testing.T
	ledger *crashtest.Ledger
	store  *postgres.Store
	failed atomic.Int64 // calls of Trigger

	mu           sync.Mutex
	acknowledged []string

	stopCallers, stopManager func()
}

func newLoad(t *testing.T, d *database, adjust ...func(*pgxpool.Config)) *load {
	t.Helper()
	return newLoadOn(t, d.open(t, adjust...))
}

// newLoadOn starts a load. Every other event has an ordering key.
func newLoadOn(t *testing.T, s *postgres.Store) *load {
	t.Helper()
	l := &load{t: t, ledger: crashtest.NewLedger(t), store: s}
	crashtest.Register(t, l.store, l.ledger)
	m, err := crashtest.NewManager(l.store, "", slog.New(slog.DiscardHandler), hooks.Observer{})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	l.stopManager = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil { // What it could not store is found by the next.
			t.Log(err)
		}
	})
	t.Cleanup(l.stopManager)

	calling, stop := context.WithCancel(ctx)
	var callers sync.WaitGroup
	for caller := range 8 {
		callers.Go(func() { l.trigger(calling, m, caller) })
	}
	l.stopCallers = sync.OnceFunc(func() {
		stop()
		callers.Wait()
	})
	t.Cleanup(l.stopCallers)
	return l
}

func (l *load) trigger(ctx context.Context, m *hooks.Manager, caller int) {
	for i := 0; ctx.Err() == nil; i++ {
		e := hooks.Event{ID: fmt.Sprintf("e-%02d-%05d", caller, i), Type: "order.paid", Data: crashtest.Payload}
		if i%2 == 0 {
			e.OrderingKey = fmt.Sprintf("key-%02d", caller)
		}
		if _, err := m.Trigger(ctx, e); err != nil {
			l.failed.Add(1)
			select {
			case <-ctx.Done():
			case <-time.After(5 * time.Millisecond): // as a caller would
			}
			continue
		}
		l.mu.Lock()
		l.acknowledged = append(l.acknowledged, e.ID)
		l.mu.Unlock()
	}
}

// goesOn waits until more events have been delivered.
func (l *load) goesOn() {
	l.t.Helper()
	start := -1
	l.ledger.WaitFor(l.t, func(_ map[string]int, received int) bool {
		if start < 0 {
			start = received
		}
		return received >= start+200
	})
}

// until waits until something is so.
func (l *load) until(so func() bool, otherwise string) {
	l.t.Helper()
	require.Eventually(l.t, so, crashtest.Patience, 10*time.Millisecond, otherwise)
}

// end stops the load and checks that nothing was lost, and nothing repeated but what was under
// way.
func (l *load) end() {
	l.t.Helper()
	l.stopCallers()
	l.stopManager()
	l.ledger.Complete(l.t, crashtest.Drain(l.t, l.store), l.acknowledged, 2*crashtest.MaxRepeated)
	l.t.Logf("%d calls of Trigger failed", l.failed.Load())
}

// on returns a database on a server of its own.
func on(t *testing.T, server *pgtest.Server) *database {
	t.Helper()
	d := &database{url: server.URL(), schema: "hooks"}
	d.Pool = d.connect(t)
	require.NoError(t, postgres.Migrate(t.Context(), d.Pool, d.schema))
	return d
}

func TestServerIsRestarted(t *testing.T) {
	t.Parallel()
	server := pgtest.New(t)
	l := newLoad(t, on(t, server))
	for _, how := range []syscall.Signal{pgtest.Fast, pgtest.Immediate, pgtest.Crash} {
		l.goesOn()
		require.NoError(t, server.Shutdown(how))
		require.NoError(t, server.Restart())
	}
	l.goesOn()
	l.end()
	assert.Positive(t, l.failed.Load(), "nobody noticed")
}

func TestConnectionsAreCut(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	name := func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["application_name"] = d.schema }
	l := newLoad(t, d, name)
	for range 8 {
		l.goesOn()
		_, err := d.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1", d.schema)
		require.NoError(t, err)
	}
	l.goesOn()
	l.end()
}

func TestNetworkStalls(t *testing.T) {
	t.Parallel()
	server := pgtest.New(t)
	p := newProxy(t, filepath.Join(server.Dir(), ".s.PGSQL.5432"))
	l := newLoad(t, on(t, server), func(c *pgxpool.Config) {
		c.ConnConfig.Host, c.ConnConfig.Port = p.address()
		c.ConnConfig.Fallbacks = nil
	})
	l.goesOn()
	p.stall()
	l.until(func() bool { return p.waiting.Load() >= 2 }, "nobody waits for the network")
	p.resume(false)
	l.goesOn()
	p.stall()
	l.until(func() bool { return p.waiting.Load() >= 2 }, "nobody waits for the network")
	p.resume(true)
	l.goesOn()
	l.end()
}

func TestPoolIsExhausted(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	pool := d.connect(t)
	l := newLoadOn(t, d.openOn(t, pool))
	l.goesOn()
	var held []*pgxpool.Conn
	for { // until there is none any more, for some time
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		c, err := pool.Acquire(ctx)
		cancel()
		if err != nil {
			break
		}
		held = append(held, c)
	}
	for _, c := range held {
		c.Release()
	}
	l.goesOn()
	l.end()
}

func TestTablesAreLocked(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	l := newLoad(t, d)
	for _, table := range []string{"hooks_queue", "hooks_log", "hooks_events", "hooks_hooks", "hooks_signals"} {
		l.goesOn()
		require.NoError(t, pgx.BeginFunc(t.Context(), d.Pool, func(tx pgx.Tx) error {
			name := pgx.Identifier{d.schema, table}.Sanitize()
			_, err := tx.Exec(t.Context(), "LOCK TABLE "+name)
			l.until(func() (waits bool) {
				const find = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = $1::text::regclass)"
				require.NoError(t, tx.QueryRow(t.Context(), find, name).Scan(&waits))
				return waits
			}, "nobody waits for the table")
			return err
		}))
	}
	l.goesOn()
	l.end()
}

// The server says that a transaction was rolled back because of others.
func TestServerRollsTransactionsBack(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"40001", "40P01"} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			d := newDatabase(t)
			l := newLoad(t, d)
			l.goesOn()
			schema := pgx.Identifier{d.schema}.Sanitize()
			_, err := d.Exec(t.Context(), fmt.Sprintf(`CREATE FUNCTION %[1]s.fail() RETURNS trigger LANGUAGE plpgsql AS
				$$ BEGIN IF random() < 0.05 THEN RAISE SQLSTATE '%[2]s'; END IF; RETURN NULL; END $$`, schema, code))
			require.NoError(t, err)
			for _, table := range []string{"hooks_queue", "hooks_log", "hooks_signals"} {
				_, err := d.Exec(t.Context(), fmt.Sprintf(
					"CREATE TRIGGER fail AFTER INSERT OR UPDATE OR DELETE ON %[1]s.%[2]s FOR EACH STATEMENT EXECUTE FUNCTION %[1]s.fail()", schema, table))
				require.NoError(t, err)
			}
			l.goesOn()
			assert.Zero(t, l.failed.Load(), "callers noticed")
			l.end()
		})
	}
}

// The tables are on a disk that becomes full, and is emptied again.
func TestDiskIsFull(t *testing.T) {
	t.Parallel()
	server := pgtest.New(t)
	disk := filepath.Join(server.Dir(), "disk")
	require.NoError(t, os.Mkdir(disk, 0o700))
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=48m"); err != nil {
		t.Skipf("a small file system cannot be mounted: %v", err)
	}
	t.Cleanup(func() {
		require.NoError(t, server.Shutdown(pgtest.Fast))
		require.NoError(t, syscall.Unmount(disk, 0))
	})
	info, err := os.Stat(server.Dir())
	require.NoError(t, err)
	space := filepath.Join(disk, "space")
	require.NoError(t, os.Mkdir(space, 0o700))
	owner := info.Sys().(*syscall.Stat_t)
	require.NoError(t, os.Chown(space, int(owner.Uid), int(owner.Gid)))
	require.NoError(t, os.Chmod(disk, 0o755))

	d := on(t, server)
	_, err = d.Exec(t.Context(), "CREATE TABLESPACE small LOCATION '"+space+"'")
	require.NoError(t, err)
	_, err = d.Exec(t.Context(), "ALTER TABLE ALL IN TABLESPACE pg_default SET TABLESPACE small")
	require.NoError(t, err)
	_, err = d.Exec(t.Context(), "ALTER INDEX ALL IN TABLESPACE pg_default SET TABLESPACE small")
	require.NoError(t, err)
	l := newLoad(t, d)
	l.goesOn()
	ballast := filepath.Join(disk, "ballast")
	file, err := os.Create(ballast)
	require.NoError(t, err)
	_, _ = io.Copy(file, zeros{}) // until the disk is full
	require.NoError(t, file.Close())
	l.until(func() bool { return l.failed.Load() > 0 }, "the disk is not full")
	require.NoError(t, os.Remove(ballast))
	l.goesOn()
	l.end()
}

// zeros is endless.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// A proxy passes connections on to a server, unless it stalls.
type proxy struct {
	net.Listener
	waiting atomic.Int64 // how many messages a stall has held up
	mu      sync.Mutex
	stalled chan struct{} // closed while nothing stalls
	conns   []net.Conn
}

func newProxy(t *testing.T, socket string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{Listener: listener, stalled: make(chan struct{})}
	close(p.stalled)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("unix", socket)
			if err != nil {
				_ = client.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, client, server)
			p.mu.Unlock()
			running.Go(func() { p.pass(client, server) })
			running.Go(func() { p.pass(server, client) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		p.resume(true)
		running.Wait()
	})
	return p
}

func (p *proxy) address() (string, uint16) {
	a := p.Addr().(*net.TCPAddr)
	return a.IP.String(), a.AddrPort().Port()
}

// pass copies what one end sends to the other.
func (p *proxy) pass(from, to net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		p.mu.Lock()
		stalled := p.stalled
		p.mu.Unlock()
		select {
		case <-stalled:
		default:
			p.waiting.Add(1)
			<-stalled
		}
		if err == nil {
			_, err = to.Write(buffer[:n])
		}
		if err != nil {
			_ = from.Close()
			_ = to.Close()
			return
		}
	}
}

func (p *proxy) stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stalled = make(chan struct{})
	p.waiting.Store(0)
}

// resume ends a stall, and cuts the connections if cut is set.
func (p *proxy) resume(cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if cut {
		for _, c := range p.conns {
			_ = c.Close()
		}
		p.conns = nil
	}
	select {
	case <-p.stalled:
	default:
		close(p.stalled)
	}
}
