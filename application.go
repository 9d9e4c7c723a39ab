package hooks

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
)

// Code of the application may panic, or end its goroutine with [runtime.Goexit], as the
// functions of package testing do that fail a test at once. Nothing can stop the
// latter: only deferred functions run from then on. contain calls such code and costs
// next to nothing; isolate costs a goroutine.

// errExited says that a call has ended its goroutine.
var errExited = errors.New("the call ended its goroutine (runtime.Goexit)")

// contain calls code of a protocol and turns its panics into errors. It does not return
// if the code ends the goroutine. A caller that must notice that sets its error to
// errExited before the call, and checks it in a deferred function.
func contain(call func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &panicError{value: p, stack: debug.Stack()}
		}
	}()
	return call()
}

// isolate is contain in a goroutine of its own. It returns errExited if the code ends
// that goroutine.
func isolate(call func() error) error {
	err := errExited
	var running sync.WaitGroup
	running.Go(func() { err = contain(call) })
	running.Wait()
	return err
}

// A panicError is a panic in code of the application. Its text does not have the stack,
// which only the operator's log gets.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// reportPanic logs that code of the application has panicked or ended its goroutine, if
// err says so. Other errors are no faults of that code.
func (m *Manager) reportPanic(code string, err error, args ...any) {
	if p := new(panicError); errors.As(err, &p) {
		m.log.Error("hooks: "+code+" panicked", append(args, "panic", printable(fmt.Sprint(p.value)), "stack", string(p.stack))...)
	} else if errors.Is(err, errExited) {
		m.log.Error("hooks: "+code+" ended its goroutine (runtime.Goexit)", args...)
	}
}

// report reports a failure that no caller gets, to the log and the observer.
func (m *Manager) report(msg string, err error) {
	m.log.Error("hooks: "+msg, "error", err)
	m.observe(func() {
		if m.cfg.Observer.Failure != nil {
			m.cfg.Observer.Failure(fmt.Errorf("%s: %w", msg, err))
		}
	})
}

// observe calls the observer. Its panics are logged.
func (m *Manager) observe(call func()) {
	err := isolate(func() error {
		call()
		return nil
	})
	m.reportPanic("the observer", err)
}
