//go:build cgo

package sqlite

import "database/sql/driver"

// An entry of hooks_log says at what time something happened to a delivery.
type logEntry struct {
	at   int64
	kind int64 // one of the following, with the attempt's number in the upper bits
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

// addEntries has a statement for each number of entries.
var stmtAddToLog = []*statement{
	1: newStatement("INSERT OR IGNORE INTO hooks_log VALUES (?1, ?3, ?2, ?4)"),
	2: newStatement("INSERT OR IGNORE INTO hooks_log VALUES (?1, ?3, ?2, ?4), (?1, ?5, ?2, ?6)"),
	3: newStatement("INSERT OR IGNORE INTO hooks_log VALUES (?1, ?3, ?2, ?4), (?1, ?5, ?2, ?6), (?1, ?7, ?2, ?8)"),
}

// tell adds at most three entries for a delivery to the log of its hook.
func (t *tx) addToLog(hook, delivery int64, told ...logEntry) error {
	if len(told) == 0 {
		return nil
	}
	values := append(make([]driver.Value, 0, 8), hook, delivery)
	for _, e := range told {
		values = append(values, e.at, e.kind)
	}
	return run(t, stmtAddToLog[len(told)], values...)
}

var stmtRemoveEntry = newStatement("DELETE FROM hooks_log WHERE hook = ? AND at = ? AND delivery = ? AND entry = ?")

// untell removes entries of a delivery from the log of its hook.
func (t *tx) removeFromLog(hook, delivery int64, told ...logEntry) error {
	for _, e := range told {
		if err := run(t, stmtRemoveEntry, hook, e.at, delivery, e.kind); err != nil {
			return err
		}
	}
	return nil
}
