package main

import (
	"context"
	"sync/atomic"
)

// A tally counts the deliveries that are yet to be marked done.
type tally struct {
	left   atomic.Int64
	ended  chan struct{}
	failed chan error
}

func newTally() *tally {
	return &tally{ended: make(chan struct{}, 1), failed: make(chan error, 1)}
}

// expect says how many are to come, before the first of them is triggered.
func (t *tally) expect(n int) { t.left.Store(int64(n)) }

// done says that n more are marked done.
func (t *tally) done(n int) {
	if t.left.Add(-int64(n)) == 0 {
		t.ended <- struct{}{}
	}
}

// fail says that something went wrong. Only the first time matters.
func (t *tally) fail(err error) {
	select {
	case t.failed <- err:
	default:
	}
}

// wait waits until all are done, or one failed.
func (t *tally) wait(ctx context.Context) error {
	select {
	case <-t.ended:
		return nil
	case err := <-t.failed:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
