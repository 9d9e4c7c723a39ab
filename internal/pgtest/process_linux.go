package pgtest

import (
	"os"
	"os/exec"
	"os/user"
	"runtime"
	"strconv"
	"syscall"
)

// Unprivileged returns attributes for a process that refuses to run as root, and gives the
// directory to the user that is to run it. The process does not outlive this one.
func Unprivileged(dir string) (*syscall.SysProcAttr, error) {
	// An interrupt of the terminal is the test's to handle, and the process must not outlive it.
	attributes := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: Immediate}
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

// run starts a process and waits for its end. The thread must not end before, because the
// process gets its signal when the thread ends.
func run(process *exec.Cmd, started, ended chan<- error) {
	runtime.LockOSThread()
	err := process.Start()
	started <- err
	if err == nil {
		ended <- process.Wait()
	}
}
