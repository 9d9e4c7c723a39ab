//go:build !linux

package pgtest

import (
	"os/exec"
	"syscall"
)

// attributesFor returns the attributes of the server's process. It must not be started by an
// administrator.
func attributesFor(string) (*syscall.SysProcAttr, error) { return &syscall.SysProcAttr{}, nil }

// run starts a process and waits for its end.
func run(process *exec.Cmd, started, ended chan<- error) {
	err := process.Start()
	started <- err
	if err == nil {
		ended <- process.Wait()
	}
}
