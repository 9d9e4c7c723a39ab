package memory

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

// ErrTxDone is returned by a Tx that was committed or rolled back before.
var ErrTxDone = errors.New("the transaction is over")

// A Tx stands in for a transaction of the application's database, so that code that
// uses [hooks.Manager.TriggerTx] can be tested on memory. It may be used
// concurrently. [Store.Begin] makes it.
type Tx struct {
	store *Store

	mu      sync.Mutex
	done    bool
	batches []batch
}

type batch struct {
	now     time.Time
	entries []hooks.Entry
}

// Begin starts a transaction. It holds no lock, and needs no end.
func (s *Store) Begin() *Tx { return &Tx{store: s} }

// Enqueue implements [hooks.Tx]. What it records becomes visible at the commit.
func (t *Tx) Enqueue(ctx context.Context, now time.Time, entries []hooks.Entry) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.done {
		return ErrTxDone
	}
	if err := t.store.lock(ctx); err != nil {
		return err
	}
	defer t.store.mu.Unlock()
	added := append(t.entries(), entries...)
	if err := t.store.checkUnused(added); err != nil {
		return err
	}
	t.batches = append(t.batches, batch{now, slices.Clone(entries)})
	return nil
}

// StoreID implements [hooks.Tx]: it is that of the Store.
func (t *Tx) StoreID() string {
	if t.store == nil { // Begin did not make it.
		return ""
	}
	return t.store.id
}

func (t *Tx) entries() []hooks.Entry {
	var all []hooks.Entry
	for _, b := range t.batches {
		all = append(all, b.entries...)
	}
	return all
}

// Commit stores what was recorded, all or nothing. The error is [ErrTxDone], or
// wraps [hooks.ErrDuplicate] if an event's ID was taken meanwhile.
func (t *Tx) Commit() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.done {
		return ErrTxDone
	}
	t.done = true
	t.store.mu.Lock()
	defer t.store.mu.Unlock()
	if err := t.store.checkUnused(t.entries()); err != nil {
		return err
	}
	for _, b := range t.batches {
		t.store.enqueue(b.now, b.entries)
	}
	return nil
}

// Rollback drops what was recorded, or returns [ErrTxDone], so that it can be
// deferred.
func (t *Tx) Rollback() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.done {
		return ErrTxDone
	}
	t.done = true
	return nil
}
