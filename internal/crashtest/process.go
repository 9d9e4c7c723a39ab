// Package crashtest is what tests share that start processes, kill them, and check what is
// left.
package crashtest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// taskVariable is the environment variable with the task of a process.
const taskVariable = "HOOKS_CRASHTEST_TASK"

// Main runs the tests of a package. If this process is one that Start has started, it does
// the task instead. It is for TestMain, and returns the status to exit with.
func Main[T any](do func(T) error, tests func() int) int {
	text, started := os.LookupEnv(taskVariable)
	if !started {
		return tests()
	}
	var task T
	err := json.Unmarshal([]byte(text), &task)
	if err == nil {
		err = do(task)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// What processes say, before a space and an ID.
const (
	Ready      = "ready"
	Triggered  = "triggered"
	RolledBack = "rolled-back"
)

// Say writes a line at once, so that it is out even if the process is killed right after.
func Say(words ...any) { _, _ = fmt.Fprintln(os.Stdout, words...) }

// A Process is this test binary started again. It says what it has done on its standard
// output, a line each, and ends when its standard input does.
type Process struct {
	In    io.WriteCloser
	Ready chan struct{} // closed when it has said so, or ended

	t     testing.TB
	cmd   *exec.Cmd
	ended chan struct{} // closed when it will say no more

	// What follows may be read when it has ended.

	Said   map[string][]string // the IDs by what was said of them
	Stderr bytes.Buffer
}

// Start starts a process that does the task, and that ends with the test at the latest.
func Start(t testing.TB, task any, adjust ...func(*exec.Cmd)) *Process {
	t.Helper()
	text, err := json.Marshal(task)
	require.NoError(t, err)
	p := &Process{
		t: t, cmd: exec.Command(os.Args[0]),
		Ready: make(chan struct{}), ended: make(chan struct{}), Said: map[string][]string{},
	}
	p.cmd.Env = append(os.Environ(), taskVariable+"="+string(text))
	p.cmd.Stderr = &p.Stderr
	for _, change := range adjust {
		change(p.cmd)
	}
	p.In, err = p.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	t.Cleanup(p.Kill)
	go func() {
		defer close(p.ended)
		ready := sync.OnceFunc(func() { close(p.Ready) })
		defer ready()
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			what, id, _ := strings.Cut(lines.Text(), " ")
			p.Said[what] = append(p.Said[what], id)
			if what == Ready {
				ready()
			}
		}
	}()
	return p
}

// Wait waits until the process has ended, and returns how.
func (p *Process) Wait() error {
	<-p.ended
	return p.cmd.Wait()
}

// Signal sends a signal to the process.
func (p *Process) Signal(s os.Signal) {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(s))
}

// Kill has the process end at once, whatever it is doing.
func (p *Process) Kill() {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill() // It fails if the process has ended.
		_ = p.Wait()
	}
}

// Killed kills a process that had nothing to complain of.
func (p *Process) Killed() {
	p.t.Helper()
	p.Kill()
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	require.True(p.t, ok && status.Signal() == syscall.SIGKILL, "it ended by itself: %s: %s", p.cmd.ProcessState, &p.Stderr)
	assert.Empty(p.t, p.Stderr.String())
}

// ExitCode returns the status that the process has exited with.
func (p *Process) ExitCode() int { return p.cmd.ProcessState.ExitCode() }
