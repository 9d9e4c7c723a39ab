package sqlite

// The log of a hook, from which all lists and statistics are read, is in two
// tables: hooks_log, in the order of the lists, and hooks_fresh, the entries that
// have come since it was written last. Only those in hooks_log are ever removed.

// An entry says at what time something happened to a delivery.
type entry struct {
	at   int64
	kind int64 // one of entryCreated and so on, with the attempt's number
}

// maxFresh is about how many entries hooks_fresh holds. Each list and each
// statistic goes through all of them.
const maxFresh = 2048

var (
	countFresh = newStatement("SELECT coalesce(max(n), 0) FROM hooks_fresh")
	addFresh   = newStatement("INSERT INTO hooks_fresh (n, hook, at, delivery, entry) VALUES (?, ?, ?, ?, ?)")
	addFresh2  = newStatement(`INSERT INTO hooks_fresh (n, hook, at, delivery, entry)
		VALUES (?1, ?2, ?3, ?4, ?5), (?1 + 1, ?2, ?6, ?4, ?7)`)
	addFresh3 = newStatement(`INSERT INTO hooks_fresh (n, hook, at, delivery, entry)
		VALUES (?1, ?2, ?3, ?4, ?5), (?1 + 1, ?2, ?6, ?4, ?7), (?1 + 2, ?2, ?8, ?4, ?9)`)
	// Entries are never there twice, but if they were, this would not be the
	// place to fail.
	moveFresh = newStatement(`INSERT OR IGNORE INTO hooks_log (hook, at, delivery, entry)
		SELECT hook, at, delivery, entry FROM hooks_fresh ORDER BY hook, at, delivery, entry`)
	clearFresh = newStatement("DELETE FROM hooks_fresh")
)

// tell adds at most three entries for a delivery to the log of its hook.
func (t *tx) tell(h *hookRow, delivery int64, told ...entry) (err error) {
	if err := t.number(); err != nil {
		return err
	}
	n := t.lastFresh + 1
	switch e := told; len(e) {
	case 0:
		return nil
	case 1:
		err = run(t, addFresh, n, h.n, e[0].at, delivery, e[0].kind)
	case 2:
		err = run(t, addFresh2, n, h.n, e[0].at, delivery, e[0].kind, e[1].at, e[1].kind)
	default:
		err = run(t, addFresh3, n, h.n, e[0].at, delivery, e[0].kind, e[1].at, e[1].kind, e[2].at, e[2].kind)
	}
	t.lastFresh += int64(len(told))
	if err == nil && t.lastFresh >= maxFresh {
		err = t.flush()
	}
	return err
}

// flush moves what is in hooks_fresh to hooks_log.
func (t *tx) flush() error {
	if err := t.number(); err != nil || t.lastFresh == 0 {
		return err
	}
	if err := run(t, moveFresh); err != nil {
		return err
	}
	t.lastFresh = 0
	return run(t, clearFresh)
}

var removeEntry = newStatement("DELETE FROM hooks_log WHERE hook = ? AND at = ? AND delivery = ? AND entry = ?")

// untell removes entries of a delivery from the log of its hook.
func (t *tx) untell(hook, delivery int64, told ...entry) error {
	if err := t.flush(); err != nil {
		return err
	}
	for _, e := range told {
		if err := run(t, removeEntry, hook, e.at, delivery, e.kind); err != nil {
			return err
		}
	}
	return nil
}
