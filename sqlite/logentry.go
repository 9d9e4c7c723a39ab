//go:build cgo

package sqlite

import (
	"database/sql/driver"

	"github.com/seed-2c6e3a5a/hooks"
)

// A logEntry is an entry of hooks_log: what happened to a delivery, and when.
type logEntry struct {
	at   int64
	kind int64 // one of the constants that follow, and above entryBits the attempt's number
}

const (
	entryCreated int64 = iota
	entrySucceeded
	entryDead
	entryCancelled
	entryAttempt
	entryFailedAttempt

	entryBits = 3
)

// entryOfEnd is the entry for a delivery that ended in this state.
func entryOfEnd(state int64) int64 { return state - succeeded + entrySucceeded }

// entryOf is the entry for an attempt.
func entryOf(a *hooks.Attempt) logEntry {
	kind := entryAttempt
	if a.Class != "" {
		kind = entryFailedAttempt
	}
	return logEntry{a.StartedAt.UnixMilli(), int64(a.Number)<<entryBits + kind}
}

// stmtAddToLog has a statement for each number of entries.
var stmtAddToLog = []*statement{
	1: newStatement("INSERT OR IGNORE INTO hooks_log VALUES (?1, ?3, ?2, ?4)"),
	2: newStatement("INSERT OR IGNORE INTO hooks_log VALUES (?1, ?3, ?2, ?4), (?1, ?5, ?2, ?6)"),
	3: newStatement("INSERT OR IGNORE INTO hooks_log VALUES (?1, ?3, ?2, ?4), (?1, ?5, ?2, ?6), (?1, ?7, ?2, ?8)"),
}

// addToLog adds at most three entries for a delivery to the log of its hook.
func (t *tx) addToLog(hook, delivery int64, entries ...logEntry) error {
	if len(entries) == 0 {
		return nil
	}
	values := append(make([]driver.Value, 0, 8), hook, delivery)
	for _, e := range entries {
		values = append(values, e.at, e.kind)
	}
	return run(t, stmtAddToLog[len(entries)], values...)
}

var stmtRemoveEntry = newStatement("DELETE FROM hooks_log WHERE hook = ? AND at = ? AND delivery = ? AND entry = ?")

// removeFromLog removes entries of a delivery from the log of its hook.
func (t *tx) removeFromLog(hook, delivery int64, entries ...logEntry) error {
	for _, e := range entries {
		if err := run(t, stmtRemoveEntry, hook, e.at, delivery, e.kind); err != nil {
			return err
		}
	}
	return nil
}
