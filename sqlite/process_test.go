//go:build cgo

package sqlite_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/internal/crashtest"
	"github.com/seed-2c6e3a5a/hooks/sqlite"
)

// Some tests need processes of their own, to be killed or to have other rights.
// Each is this test binary started again, with a task in its environment. It
// says what it has done on its standard output, a line each, and ends when its
// standard input does.

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

// What processes say besides, before a space and more.
const (
	sayFailed = "failed"
	sayMode   = "mode"
)

func TestMain(m *testing.M) { os.Exit(crashtest.Main(task.do, m.Run)) }

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
			crashtest.Say(sayFailed, nameOf(err), err)
			return nil
		}
		crashtest.Say(crashtest.Ready)
		return s.Close()
	}
	s, db, err := w.open(ctx)
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

// trigger triggers events until ctx ends.
func (w task) trigger(ctx context.Context, m *hooks.Manager, s *sqlite.Store, db *sql.DB, caller int) {
	crashtest.Trigger(ctx, w.Name, caller, func(e hooks.Event) (committed bool, err error) {
		switch {
		case !w.Outbox:
			_, err = m.Trigger(ctx, e)
		case rand.IntN(4) == 0:
			return false, inTransaction(ctx, m, s, db, e, (*sql.Tx).Rollback)
		default:
			err = inTransaction(ctx, m, s, db, e, (*sql.Tx).Commit)
		}
		return true, err
	})
}

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
