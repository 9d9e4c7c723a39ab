// Package pgtest starts throw-away PostgreSQL servers for tests, from the programs that are
// installed.
package pgtest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Variable is the environment variable with the URL of a database that tests use instead of a
// server of their own. They make schemas in it, and drop them.
const Variable = "HOOKS_POSTGRES_URL"

// ErrNotInstalled says that PostgreSQL is missing.
var ErrNotInstalled = errors.New("is not installed")

// shared is the server of the tests of one process.
var shared struct {
	once   sync.Once
	server *Server
	err    error
}

// Main runs the tests of a package, stops the server that URL has started, and returns the
// status to exit with. It is for
// TestMain.
func Main(m *testing.M) int {
	code := m.Run()
	if shared.server != nil {
		if err := shared.server.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "pgtest:", err)
			code = max(code, 1)
		}
	}
	return code
}

// URL returns the URL of a database. All tests of a process get the same. Without PostgreSQL
// it skips the test, or fails it if the environment variable CI is set.
func URL(t testing.TB) string {
	t.Helper()
	if given := os.Getenv(Variable); given != "" {
		return given
	}
	shared.once.Do(func() { shared.server, shared.err = Start() })
	check(t, shared.err)
	return shared.server.URL()
}

// New starts a server for one test, which stops when the test ends. Options are as for Start.
func New(t testing.TB, options ...string) *Server {
	t.Helper()
	s, err := Start(options...)
	check(t, err)
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// check skips or fails the test if there is no server.
func check(t testing.TB, err error) {
	t.Helper()
	switch {
	case errors.Is(err, ErrNotInstalled) && os.Getenv("CI") == "":
		t.Skipf("%v: install PostgreSQL 14 or later, or set %s to the URL of a database", err, Variable)
	case err != nil:
		t.Fatal(err)
	}
}

// A Server is a PostgreSQL server that listens on a socket in its directory only.
type Server struct {
	dir     string
	bin     string
	options []string
	process *exec.Cmd
	log     *os.File
	ended   chan error
}

// Start makes a server in a directory of its own, and waits until it can be used. Options are
// settings of the server, such as "max_connections=20".
func Start(options ...string) (*Server, error) { return StartIn("", options...) }

// StartIn is Start with a directory below this one, which others must be allowed to enter.
func StartIn(parent string, options ...string) (s *Server, err error) {
	s = &Server{options: options}
	if s.bin, err = programs(); err != nil {
		return nil, err
	}
	if parent == "" {
		parent = tempDir()
	}
	if s.dir, err = os.MkdirTemp(parent, "hooks-postgres-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Stop())
		}
	}()
	attributes, err := Unprivileged(s.dir)
	if err != nil {
		return s, err
	}
	initdb := exec.Command(filepath.Join(s.bin, "initdb"), "--pgdata", s.data(), "--username", "hooks", "--auth", "trust", //nolint:noctx,gosec // It ends by itself, and its arguments are ours.
		"--no-sync", "--encoding", "UTF8", "--locale", "C")
	initdb.Dir, initdb.SysProcAttr = s.dir, attributes
	if out, err := initdb.CombinedOutput(); err != nil {
		return s, fmt.Errorf("initdb: %w: %s", err, bytes.TrimSpace(out))
	}
	if s.log, err = os.Create(filepath.Join(s.dir, "log")); err != nil {
		return s, err
	}
	err = s.start()
	return s, err
}

// tempDir returns a directory for temporary files that other users may enter, and whose path is
// short: that of a socket has at most some hundred bytes.
func tempDir() string {
	const most = 60
	dir := os.TempDir()
	for at := dir; len(dir) <= most; at = filepath.Dir(at) {
		if info, err := os.Stat(at); err != nil || info.Mode().Perm()&0o001 == 0 {
			break
		}
		if at == filepath.Dir(at) {
			return dir
		}
	}
	return "/tmp"
}

// programs returns the directory of PostgreSQL's programs, "" if they are in PATH.
func programs() (string, error) {
	if _, err := exec.LookPath("initdb"); err == nil {
		return "", nil
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // where Debian has them
	if len(found) == 0 {
		return "", fmt.Errorf("initdb %w", ErrNotInstalled)
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return cmp.Compare(majorOf(a), majorOf(b)) })), nil
}

// majorOf returns the version of the programs in a path.
func majorOf(path string) float64 {
	version, _ := strconv.ParseFloat(filepath.Base(filepath.Dir(filepath.Dir(path))), 64)
	return version
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// Dir returns the server's directory, in which its socket is.
func (s *Server) Dir() string { return s.dir }

// URL is how to connect.
func (s *Server) URL() string {
	return "postgres:///postgres?user=hooks&host=" + url.QueryEscape(s.dir)
}

// PID is the process ID of the server, while it runs.
func (s *Server) PID() int { return s.process.Process.Pid }

// Restart starts the server after Shutdown, and waits until it can be used. After a crash, the
// processes of the old server may hold it up for a moment.
func (s *Server) Restart() error {
	late := time.Now().Add(time.Minute)
	for {
		err := s.start()
		if err == nil || s.process != nil || time.Now().After(late) {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (s *Server) start() error {
	attributes, err := Unprivileged(s.dir)
	if err != nil {
		return err
	}
	args := []string{"-D", s.data(), "-k", s.dir, "-c", "listen_addresses="}
	for _, option := range s.options {
		args = append(args, "-c", option)
	}
	s.process = exec.Command(filepath.Join(s.bin, "postgres"), args...) //nolint:noctx,gosec // Stop ends it, and its arguments are ours.
	s.process.Dir, s.process.SysProcAttr, s.process.Stderr = s.dir, attributes, s.log
	s.ended = make(chan error, 1)
	started := make(chan error)
	go run(s.process, started, s.ended)
	if err := <-started; err != nil {
		s.process = nil
		return err
	}
	return s.ready()
}

// ready waits until the server takes connections.
func (s *Server) ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, s.URL())
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case ended := <-s.ended:
			s.process = nil
			log, _ := os.ReadFile(s.log.Name())
			return fmt.Errorf("postgres: %w: %s", ended, bytes.TrimSpace(log))
		case <-ctx.Done():
			return fmt.Errorf("postgres does not respond: %w", err)
		}
	}
}

// The ways to end a server, see "Shutting Down the Server" in PostgreSQL's manual.
const (
	Fast      = syscall.SIGINT  // It disconnects its clients.
	Immediate = syscall.SIGQUIT // It recovers at the next start, as after a crash.
	Crash     = syscall.SIGKILL
)

// Shutdown ends the server, which Restart starts again.
func (s *Server) Shutdown(how syscall.Signal) error {
	if s.process == nil {
		return nil
	}
	err := s.process.Process.Signal(how)
	select {
	case ended := <-s.ended:
		if how == Fast {
			err = errors.Join(err, ended)
		}
	case <-time.After(time.Minute):
		err = errors.Join(err, errors.New("postgres did not stop"), s.process.Process.Kill())
	}
	s.process = nil
	return err
}

// Stop ends the server, if it runs, and removes its directory.
func (s *Server) Stop() error {
	err := s.Shutdown(Fast)
	if s.log != nil {
		err = errors.Join(err, s.log.Close())
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}
