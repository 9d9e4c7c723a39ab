package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// errNotInstalled says that a program is missing.
var errNotInstalled = errors.New("not installed")

// A postgresServer is a throw-away server, with its default configuration, that
// listens on a socket in its directory only.
type postgresServer struct {
	dir    string
	server *exec.Cmd
	log    bytes.Buffer
	ended  chan error
}

// startPostgres makes a server in a directory of its own, and waits until it
// can be used.
func startPostgres(ctx context.Context, parent string) (p *postgresServer, err error) {
	for _, program := range []string{"initdb", "postgres"} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, fmt.Errorf("%s: %w", program, errNotInstalled)
		}
	}
	// Not below a directory that only this user can enter.
	dir, err := os.MkdirTemp(parent, "bench-postgres-")
	if err != nil {
		return nil, err
	}
	p = &postgresServer{dir: dir, ended: make(chan error, 1)}
	defer func() {
		if err != nil {
			err, p = errors.Join(err, p.stop()), nil
		}
	}()
	owner, err := postgresUser(dir)
	if err != nil {
		return p, err
	}
	initdb := exec.CommandContext(ctx, "initdb", "--pgdata", p.data(), "--username", "bench", "--auth", "trust", "--no-sync")
	initdb.Dir, initdb.SysProcAttr = dir, owner
	if out, err := initdb.CombinedOutput(); err != nil {
		return p, fmt.Errorf("initdb: %w: %s", err, bytes.TrimSpace(out))
	}
	p.server = exec.CommandContext(context.WithoutCancel(ctx), "postgres", "-D", p.data(), "-k", dir, "-c", "listen_addresses=")
	p.server.Dir, p.server.SysProcAttr, p.server.Stderr = dir, owner, &p.log
	if err := p.server.Start(); err != nil {
		p.server = nil
		return p, err
	}
	go func() { p.ended <- p.server.Wait() }()
	return p, p.ready(ctx)
}

// postgresUser says who is to run the server, which refuses to run as root,
// and gives the directory to that user.
func postgresUser(dir string) (*syscall.SysProcAttr, error) {
	attributes := &syscall.SysProcAttr{Setpgid: true} // An interrupt is ours to handle.
	if os.Geteuid() != 0 {
		return attributes, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		u, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	attributes.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return attributes, os.Chown(dir, int(uid), int(gid))
}

func (p *postgresServer) data() string { return filepath.Join(p.dir, "data") }

// dsn is how to connect.
func (p *postgresServer) dsn() string { return "host=" + p.dir + " user=bench dbname=postgres" }

// ready waits until the server takes connections.
func (p *postgresServer) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, p.dsn())
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case ended := <-p.ended:
			p.server = nil
			return fmt.Errorf("postgres: %w: %s", ended, bytes.TrimSpace(p.log.Bytes()))
		case <-ctx.Done():
			return fmt.Errorf("postgres does not respond: %w", err)
		}
	}
}

// stop ends the server, if it runs, and removes its directory.
func (p *postgresServer) stop() (err error) {
	if p.server != nil {
		err = p.server.Process.Signal(os.Interrupt) // "Fast Shutdown"
		select {
		case ended := <-p.ended:
			err = errors.Join(err, ended)
		case <-time.After(20 * time.Second):
			err = errors.Join(err, errors.New("postgres did not stop"), p.server.Process.Kill())
		}
	}
	return errors.Join(err, os.RemoveAll(p.dir))
}
