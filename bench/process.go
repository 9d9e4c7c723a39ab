package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// A process is this program, started again in another role. It ends when its
// standard input does, and so does not outlive its parent.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *json.Decoder
	err bytes.Buffer
}

// startProcess starts a process. It is killed when the context ends.
func startProcess(ctx context.Context, role string, environment ...string) (*process, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.CommandContext(ctx, path, role)}
	p.cmd.Env = append(os.Environ(), environment...)
	p.cmd.Stderr = &p.err
	p.cmd.WaitDelay = time.Second
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // An interrupt is the parent's to handle.
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = json.NewDecoder(out)
	return p, p.cmd.Start()
}

// ask sends a question, unless it is nil, and decodes the response.
func (p *process) ask(question, response any) error {
	if question != nil {
		if err := json.NewEncoder(p.in).Encode(question); err != nil {
			return err
		}
	}
	return p.out.Decode(response)
}

// end ends the process. The error is what it said, if it failed.
func (p *process) end() error {
	if err := p.in.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(p.err.Bytes()))
	}
	return nil
}

// ask has a new process do a task in this role. See [work].
func ask[R any](ctx context.Context, role string, task any, environment ...string) (r R, err error) {
	p, err := startProcess(ctx, role, environment...)
	if err != nil {
		return r, err
	}
	asked := p.ask(task, &r)
	return r, cmp.Or(p.end(), asked)
}

// work is what a process does that makes a measurement: it takes a task,
// measures, and tells the result.
func work[T, R any](measure func(context.Context, T) (R, error)) error {
	var task T
	if err := json.NewDecoder(os.Stdin).Decode(&task); err != nil {
		return err
	}
	go untilInputEnds()
	result, err := measure(context.Background(), task)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

// untilInputEnds ends this process when its parent has.
func untilInputEnds() {
	_, _ = io.Copy(io.Discard, os.Stdin) // Any end is an end.
	os.Exit(0)
}
