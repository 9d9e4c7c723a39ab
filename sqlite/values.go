//go:build cgo

package sqlite

import (
	"database/sql/driver"
	"time"

	"github.com/google/uuid"

	"github.com/seed-2c6e3a5a/hooks"
)

// How values are stored; see also the top of migrations/0001_hooks.sql. Empty values are
// stored as NULL where that is allowed, because NULL takes no space.

// packID returns an ID as it is stored. Only a UUID as it is usually written
// becomes 16 bytes, so that nothing else comes back as one.
func packID(id string) driver.Value {
	if u, err := uuid.Parse(id); err == nil && u.String() == id {
		return u[:]
	}
	return id
}

// packTime returns a time in milliseconds, or NULL for none.
func packTime(t time.Time) driver.Value {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}

// packText returns a text, or NULL for "".
func packText(s string) driver.Value {
	if s == "" {
		return nil
	}
	return s
}

// packBytes returns a BLOB, or NULL for none.
func packBytes(b []byte) driver.Value {
	if len(b) == 0 {
		return nil
	}
	return b
}

// packFlag returns a boolean for a column that is NULL in most rows.
func packFlag(b bool) driver.Value {
	if b {
		return int64(1)
	}
	return nil
}

// packBool returns 1 or 0.
func packBool(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// The bits of an attempt's column truncated: which parts of the response it lacks.
const (
	bodyTruncated int64 = 1 << iota
	headerTruncated
	responseDropped
)

// packMissing returns the bits that say what a response lacks.
func packMissing(r *hooks.AttemptResponse) int64 {
	return packBool(r.Truncated)*bodyTruncated | packBool(r.HeaderTruncated)*headerTruncated | packBool(r.Dropped)*responseDropped
}

// The states of deliveries by their numbers in the database.
const (
	blocked int64 = iota + 1
	pending
	leased
	succeeded
	dead
	cancelled
)

var states = [...]hooks.State{
	blocked: hooks.Blocked, pending: hooks.Pending, leased: hooks.Leased,
	succeeded: hooks.Succeeded, dead: hooks.Dead, cancelled: hooks.Cancelled,
}

// packState returns the number of a state, or 0 for an unknown one.
func packState(s hooks.State) int64 {
	for n, state := range states {
		if state == s {
			return int64(n)
		}
	}
	return 0
}

// attemptBits is how many of the lower bits of an attempt's n are its number.
const (
	attemptBits = 16
	maxAttempt  = 1<<attemptBits - 1
)
