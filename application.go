package hooks

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
)

// Code of the application may panic, or end its goroutine with [runtime.Goexit], as
// the functions of package testing do that fail a test at once. Nothing stops
// the latter: only deferred functions run from then on. Whoever calls such code
// has the choice between contain, which costs next to nothing, and isolate,
// which costs a goroutine.

// errExited stands for a call that ended its goroutine.
var errExited = errors.New("the call ended its goroutine (runtime.Goexit)")

// contain calls code of a protocol and turns its panics into errors. It does not
// return if the code ends the goroutine: a caller that has to know sets its error
// to errExited before, and looks at it in a deferred function.
func contain(call func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &panicError{value: p, stack: debug.Stack()}
		}
	}()
	return call()
}

// isolate is contain in a goroutine of its own, and returns errExited if the code
// ends that.
func isolate(call func() error) error {
	err := errExited
	var running sync.WaitGroup
	running.Go(func() { err = contain(call) })
	running.Wait()
	return err
}

// A panicError is a panic in code of the application. Its text leaves the stack out,
// which is for the operator's log alone.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// blame tells the operator that code of the application has panicked or ended its
// goroutine, if err says so. Other errors are no faults of that code.
func (m *Manager) reportPanic(code string, err error, args ...any) {
	if p := new(panicError); errors.As(err, &p) {
		m.log.Error("hooks: "+code+" panicked", append(args, "panic", printable(fmt.Sprint(p.value)), "stack", string(p.stack))...)
	} else if errors.Is(err, errExited) {
		m.log.Error("hooks: "+code+" ended its goroutine (runtime.Goexit)", args...)
	}
}

// report tells the operator and the observer of a failure that no caller gets.
func (m *Manager) report(msg string, err error) {
	m.log.Error("hooks: "+msg, "error", err)
	m.observe(func() {
		if m.cfg.Observer.Failure != nil {
			m.cfg.Observer.Failure(fmt.Errorf("%s: %w", msg, err))
		}
	})
}

// observe calls the observer, whose panics go to the log.
func (m *Manager) observe(call func()) {
	err := isolate(func() error {
		call()
		return nil
	})
	m.reportPanic("the observer", err)
}
