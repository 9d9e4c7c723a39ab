//go:build !linux

package pgtest

import (
	"os/exec"
	"syscall"
)

// Unprivileged returns attributes for a process, which must not be started by an
// administrator.
func Unprivileged(string) (*syscall.SysProcAttr, error) { return &syscall.SysProcAttr{}, nil }

// run starts a process and waits for its end.
func run(process *exec.Cmd, started, ended chan<- error) {
	err := process.Start()
	started <- err
	if err == nil {
		ended <- process.Wait()
	}
}
