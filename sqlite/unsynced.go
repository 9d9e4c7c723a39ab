//go:build cgo

package sqlite

import (
	"context"
	"errors"
	"time"
)

// unsynced is what was committed and may not be on the disk yet. Claims and settlements are
// relaxed: their caller, an engine, need not wait for the disk. A transaction of nothing else
// does not sync the file, and a loss of power may undo it. The next transaction that syncs
// the file makes the disk have both. There is one after maxUnsynced at the latest, and for
// the first settlement above maxUnsyncedSettlements.
//
// The file is intact whatever of it the disk has, because the write-ahead log is read up to
// the first transaction that is not complete.
type unsynced struct {
	settlements int
	since       time.Time // the first commit. Zero: there was none.
}

const (
	maxUnsynced            = time.Second
	maxUnsyncedSettlements = 512
)

func (u unsynced) tooOld() bool { return !u.since.IsZero() && time.Since(u.since) >= maxUnsynced }

// mustSync reports whether the next transaction has to sync the file. It also returns how
// many settlements are not synced so far.
func (w *writer) mustSync() (must bool, settlements int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.shared || w.synchronous != Full { // Each does what its connection is set to.
		return true, 0
	}
	waiting := 0
	for _, o := range w.queue {
		waiting += o.settlements
		must = must || !o.relaxed
	}
	settlements = w.unsynced.settlements
	return must || settlements+waiting > maxUnsyncedSettlements || w.unsynced.tooOld(), settlements
}

// noteCommit records that a transaction was committed. If it has written nothing, it has
// synced nothing either.
func (w *writer) noteCommit(wrote, synced bool, batch []*operation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stats.Transactions++
	if !wrote || !synced || w.synchronous != Full {
		w.stats.Unsynced++
	}
	switch {
	case !wrote:
		return
	case synced:
		w.unsynced = unsynced{}
		return
	}
	for _, o := range batch {
		w.unsynced.settlements += o.settlements
	}
	if w.unsynced.since.IsZero() {
		w.unsynced.since = time.Now()
		time.AfterFunc(maxUnsynced, w.syncOld)
	}
}

// syncOld makes the disk have what was committed maxUnsynced ago.
func (w *writer) syncOld() {
	w.mu.Lock()
	old := w.unsynced.tooOld()
	w.mu.Unlock()
	if !old {
		return
	}
	// Something has to be written, or nothing is synced. No hook gets this revision.
	err := w.do(context.Background(), func(t *tx) error { return run(t, stmtNextRevision) })
	if err != nil && !errors.Is(err, ErrClosed) {
		time.AfterFunc(maxUnsynced, w.syncOld)
	}
}
