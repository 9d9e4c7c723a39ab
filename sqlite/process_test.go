//go:build cgo

package sqlite_test

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/sqlite"
)

// Some tests need processes of their own, to be killed or to have other rights.
// Each is this test binary started again, with a task in its environment. It
// says what it has done on its standard output, a line each, and ends when its
// standard input does.

const taskVariable = "HOOKS_SQLITE_TASK"

// A task says what a process is to do.
type task struct {
	Path        string
	Synchronous sqlite.Synchronous
	// Open is to try whether the file can be opened, and nothing more. With
	// Modes, it tells the permissions of the files, which are created under
	// this umask; OpenDB has a handle of the application opened first.
	Open, OpenDB, Modes bool
	Umask               int
	// Name starts the IDs of the events, and is the user agent.
	Name string
	// Callers trigger events, each one after another. 0: it only delivers.
	Callers int
	// Outbox has events triggered in transactions of the application.
	Outbox bool
	// Shared has the Store use the application's handle.
	Shared bool
	// Gate is to wait for a line before it starts.
	Gate bool
	// CopyOf is to copy this file to Path, and to be ready when so many Imports have
	// begun.
	CopyOf  string
	Imports int
}

// What processes say, before a space and an ID.
const (
	sayReady      = "ready"
	sayTriggered  = "triggered"
	sayRolledBack = "rolled-back"
	sayFailed     = "failed"
	sayMode       = "mode"
)

func TestMain(m *testing.M) {
	text, started := os.LookupEnv(taskVariable)
	if !started {
		os.Exit(m.Run())
	}
	var work task
	err := json.Unmarshal([]byte(text), &work)
	if err == nil {
		err = work.do()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// say writes a line at once, so that it is out even if the process is killed
// right after.
func say(words ...any) { _, _ = fmt.Fprintln(os.Stdout, words...) }

func (w task) do() error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	in := bufio.NewReader(os.Stdin)
	if w.Modes {
		return w.tellModes(ctx)
	}
	if w.CopyOf != "" {
		return w.copy(ctx, in)
	}
	if w.Open {
		s, err := sqlite.Open(ctx, w.Path, sqlite.Options{})
		if err != nil {
			say(sayFailed, nameOf(err), err)
			return nil
		}
		say(sayReady)
		return s.Close()
	}
	s, db, err := w.open(ctx)
	if err != nil {
		return err
	}
	m, err := newManager(s, w.Name, slog.New(slog.NewTextHandler(os.Stderr, nil)), hooks.Observer{})
	if err != nil {
		return err
	}
	say(sayReady)
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
		callers.Go(func() { w.trigger(ctx, m, s, db, i) })
	}
	err = m.Run(ctx)
	callers.Wait()
	return errors.Join(err, s.Close(), db.Close())
}

func (w task) open(ctx context.Context) (*sqlite.Store, *sql.DB, error) {
	db, err := sql.Open("sqlite3", applicationDSN(w.Path)+"&_synchronous="+w.Synchronous.String())
	if err != nil {
		return nil, nil, err
	}
	o := sqlite.Options{Synchronous: w.Synchronous}
	var s *sqlite.Store
	if w.Shared {
		s, err = sqlite.New(ctx, db, o)
	} else {
		s, err = sqlite.Open(ctx, w.Path, o)
	}
	return s, db, err
}

// applicationDSN is what an application's own handle is opened with.
func applicationDSN(path string) string {
	return "file:" + path + "?_journal_mode=WAL&_busy_timeout=10000&_txlock=immediate"
}

// trigger triggers events until ctx ends. Some have a key, one for each caller:
// they come in the order of their IDs.
func (w task) trigger(ctx context.Context, m *hooks.Manager, s *sqlite.Store, db *sql.DB, caller int) {
	for i := 0; ctx.Err() == nil; i++ {
		e := hooks.Event{ID: fmt.Sprintf("%s-%02d-%05d", w.Name, caller, i), Type: "order.paid", Data: payload}
		if i%8 == 0 {
			e.OrderingKey = fmt.Sprintf("key-%02d", caller)
		}
		var err error
		switch {
		case !w.Outbox:
			_, err = m.Trigger(ctx, e)
		case rand.IntN(4) == 0:
			err = inTransaction(ctx, m, s, db, e, (*sql.Tx).Rollback)
			if err == nil {
				say(sayRolledBack, e.ID)
				continue
			}
		default:
			err = inTransaction(ctx, m, s, db, e, (*sql.Tx).Commit)
		}
		switch {
		case err == nil:
			say(sayTriggered, e.ID)
		case ctx.Err() == nil:
			fmt.Fprintln(os.Stderr, "trigger:", err)
		}
	}
}

var payload = json.RawMessage(`{"text":"` + strings.Repeat("x", 200) + `"}`)

// inTransaction records an order and triggers its event in one transaction of
// the application's, in either order.
func inTransaction(ctx context.Context, m *hooks.Manager, s *sqlite.Store, db *sql.DB, e hooks.Event, end func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	steps := []func() error{
		func() error {
			_, err := tx.ExecContext(ctx, "INSERT INTO orders (id) VALUES (?)", e.ID)
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
	return end(tx)
}

const (
	inFlight = 32
	// lease is long for a process that lives, on a machine that is busy, and
	// short for a test that waits for the end of those of the dead.
	lease = 8 * time.Second
)

func newManager(s hooks.Store, name string, log *slog.Logger, o hooks.Observer) (*hooks.Manager, error) {
	return hooks.New(s, hooks.Config{
		AllowNetworks: []string{"127.0.0.0/8"}, AllowHTTP: true, UserAgent: name,
		MaxInFlight: inFlight, MaxInFlightPerHook: inFlight,
		Lease: lease, DisableAfter: -1, Retention: -1, Logger: log, Observer: o,
	})
}

// A process is one that was started for a test.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	in    io.WriteCloser
	ready chan struct{} // closed when it has said so, or ended
	ended chan struct{} // closed when it will say no more

	// What follows may be read when it has ended.
	said   map[string][]string // the IDs by what was said of them
	stderr bytes.Buffer
}

// start starts a process, which ends with the test at the latest.
func start(t *testing.T, w task, adjust ...func(*exec.Cmd)) *process {
	t.Helper()
	text, err := json.Marshal(w)
	require.NoError(t, err)
	p := &process{
		t: t, cmd: exec.Command(os.Args[0]),
		ready: make(chan struct{}), ended: make(chan struct{}), said: map[string][]string{},
	}
	p.cmd.Env = append(os.Environ(), taskVariable+"="+string(text))
	p.cmd.Stderr = &p.stderr
	for _, change := range adjust {
		change(p.cmd)
	}
	p.in, err = p.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	t.Cleanup(p.kill)
	go func() {
		defer close(p.ended)
		ready := sync.OnceFunc(func() { close(p.ready) })
		defer ready()
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			what, id, _ := strings.Cut(lines.Text(), " ")
			p.said[what] = append(p.said[what], id)
			if what == sayReady {
				ready()
			}
		}
	}()
	return p
}

// wait waits until the process has ended, and returns how.
func (p *process) wait() error {
	<-p.ended
	return p.cmd.Wait()
}

// kill has the process end at once, whatever it is doing.
func (p *process) kill() {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill() // It fails if the process has ended.
		_ = p.wait()
	}
}

// killed kills a process that had nothing to complain of.
func (p *process) killed() {
	p.t.Helper()
	p.kill()
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	require.True(p.t, ok && status.Signal() == syscall.SIGKILL, "it ended by itself: %s: %s", p.cmd.ProcessState, &p.stderr)
	assert.Empty(p.t, p.stderr.String())
}

// A ledger is a receiver that counts what it receives.
type ledger struct {
	*httptest.Server
	mu      sync.Mutex
	counts  map[string]int    // requests by event
	order   []string          // the events, as they came for the first time
	senders map[string]int    // requests by user agent
	both    map[[2]string]int // requests by user agent and event
	changed chan struct{}     // closed and replaced with each request
}

func newLedger(t *testing.T) *ledger {
	l := &ledger{counts: map[string]int{}, senders: map[string]int{}, both: map[[2]string]int{}, changed: make(chan struct{})}
	l.Server = httptest.NewServer(l)
	t.Cleanup(l.Close)
	return l
}

func (l *ledger) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	// What a process that is killed sends may not be complete.
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		panic(http.ErrAbortHandler)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	id, sender := r.Header.Get("webhook-id"), r.Header.Get("User-Agent")
	if l.counts[id]++; l.counts[id] == 1 {
		l.order = append(l.order, id)
	}
	l.senders[sender]++
	l.both[[2]string{sender, id}]++
	close(l.changed)
	l.changed = make(chan struct{})
}

// waitFor waits until enough says so, of the requests by sender and of the
// number of events received.
func (l *ledger) waitFor(t *testing.T, enough func(senders map[string]int, events int) bool) {
	t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		l.mu.Lock()
		senders, events, changed := maps.Clone(l.senders), len(l.order), l.changed
		l.mu.Unlock()
		if enough(senders, events) {
			return
		}
		select {
		case <-changed:
		case <-late.C:
			require.Fail(t, "this takes too long", "received %d events, by senders: %v", events, senders)
		}
	}
}

// patience is how long to wait for what ought to happen.
const patience = 2 * time.Minute

// nameOf names the error of package sqlite that err wraps.
func nameOf(err error) string {
	for name, sentinel := range sentinels {
		if errors.Is(err, sentinel) {
			return name
		}
	}
	return "other"
}

var sentinels = map[string]error{
	"ErrBusy": sqlite.ErrBusy, "ErrFull": sqlite.ErrFull, "ErrReadOnly": sqlite.ErrReadOnly, "ErrDamaged": sqlite.ErrDamaged,
	"ErrMoved": sqlite.ErrMoved, "ErrClosed": sqlite.ErrClosed, "ErrNewerSchema": sqlite.ErrNewerSchema, "ErrNotMigrated": sqlite.ErrNotMigrated,
}
