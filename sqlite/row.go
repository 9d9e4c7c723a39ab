//go:build cgo

package sqlite

import (
	"database/sql/driver"
	"fmt"
	"math"
	"regexp"
	"time"

	"github.com/google/uuid"

	"github.com/seed-2c6e3a5a/hooks"
)

// A row is what a statement returned, in the order of its columns. The first column
// identifies the row. Each method reads a column as a value of one type. Any other value is
// damage: the method then returns a zero value, and the session records the first such error
// and makes the operation fail at its end, so that nothing made from it is returned or
// stored.
type row struct {
	values []driver.Value
	from   *origin
}

// An origin is the statement that rows come from.
type origin struct {
	query   string
	columns []string
	damage  *damage
}

// A damage is the first error about a damaged row that a session has met, if any.
type damage struct{ found *rowError }

// reset returns the damage, if there is any, and forgets it.
func (d *damage) reset() error {
	found := d.found
	if found == nil {
		return nil
	}
	d.found = nil
	return found
}

// A rowError says which row is damaged. It wraps [ErrDamaged], and its text has no
// value that might be a secret.
type rowError struct {
	table string
	row   any // the first column, as far as it is known
	fault string
}

func (e *rowError) Error() string {
	return fmt.Sprintf("%v: %s, row %v: %s", ErrDamaged, e.table, e.row, e.fault)
}

func (e *rowError) Unwrap() error { return ErrDamaged }

// isMissing is the fault of a row that does not exist although others refer to it.
const isMissing = "is missing"

// n returns the number that names the row, or 0.
func (e *rowError) n() int64 {
	n, _ := e.row.(int64)
	return n
}

var tableName = regexp.MustCompile(`(?:FROM|UPDATE|INTO) (hooks_\w+)`)

// wrong records that a column has a value of the wrong type or range.
func (r row) wrong(i int, want string) {
	value := fmt.Sprintf("%T", r.values[i])
	switch v := r.values[i].(type) {
	case nil:
		value = "NULL"
	case int64, float64:
		value = fmt.Sprint(v)
	case []byte:
		value = fmt.Sprintf("a BLOB of %d bytes", len(v))
	case string:
		value = "TEXT"
	}
	r.damaged(fmt.Errorf("%s is %s and not %s", r.from.columns[i], value, want))
}

// damaged records that the row is damaged.
func (r row) damaged(err error) {
	if r.from.damage.found != nil {
		return
	}
	d := &rowError{table: "a pragma", row: r.values[0], fault: err.Error()}
	if found := tableName.FindStringSubmatch(r.from.query); found != nil {
		d.table = found[1]
	}
	if b, ok := d.row.([]byte); ok {
		d.row = fmt.Sprintf("x'%x'", b)
	}
	r.from.damage.found = d
}

// copy returns a row that stays valid.
func (r row) copy() row {
	r.values = append([]driver.Value(nil), r.values...)
	return r
}

func (r row) isNull(i int) bool { return r.values[i] == nil }

func (r row) int(i int) int64 {
	n, ok := r.values[i].(int64)
	if !ok {
		r.wrong(i, "an integer")
	}
	return n
}

// count returns an integer that cannot be negative.
func (r row) count(i int) int {
	n := r.int(i)
	if n < 0 || n > math.MaxInt {
		r.wrong(i, "an integer of at least 0")
		return 0
	}
	return int(n)
}

// bool returns 0, 1, or NULL for 0.
func (r row) bool(i int) bool {
	if r.isNull(i) {
		return false
	}
	n := r.int(i)
	if n&^1 != 0 {
		r.wrong(i, "0 or 1")
	}
	return n == 1
}

func (r row) text(i int) string {
	s, ok := r.values[i].(string)
	if !ok {
		r.wrong(i, "TEXT")
	}
	return s
}

// maybeText returns a text, or "" for NULL.
func (r row) maybeText(i int) string {
	if r.isNull(i) {
		return ""
	}
	return r.text(i)
}

// maybeBytes returns a BLOB, or nil for NULL.
func (r row) maybeBytes(i int) []byte {
	b, ok := r.values[i].([]byte)
	if !ok && !r.isNull(i) {
		r.wrong(i, "a BLOB")
	}
	return b
}

// The times that can be written with four digits for the year.
var (
	minTime = time.Time{}.UnixMilli()
	maxTime = time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC).UnixMilli()
)

// time returns a time, of the years 1 to 9999.
func (r row) time(i int) time.Time {
	ms := r.int(i)
	if ms < minTime || ms > maxTime {
		r.wrong(i, "a time")
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// maybeTime returns a time, or none for NULL.
func (r row) maybeTime(i int) time.Time {
	if r.isNull(i) {
		return time.Time{}
	}
	return r.time(i)
}

// id returns an ID: a TEXT, or the 16 bytes of a UUID.
func (r row) id(i int) string {
	b, ok := r.values[i].([]byte)
	switch {
	case !ok:
		return r.text(i)
	case len(b) != len(uuid.UUID{}):
		r.wrong(i, "TEXT or a BLOB of 16 bytes")
		return ""
	}
	return uuid.UUID(b).String()
}

// maybeID returns an ID, or "" for NULL.
func (r row) maybeID(i int) string {
	if r.isNull(i) {
		return ""
	}
	return r.id(i)
}

// state returns the state of a delivery by its number.
func (r row) state(i int) hooks.State {
	n := r.int(i)
	if n < blocked || n > cancelled {
		r.wrong(i, "a state")
		return ""
	}
	return states[n]
}
