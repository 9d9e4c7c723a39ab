package postgres

import (
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/seed-2c6e3a5a/hooks"
)

// How values are stored; see also the top of migrations/0001_tables.sql. Empty texts are
// stored as NULL where that is allowed.

// A UUID of the database.
type id = pgtype.UUID

// packID returns the ID of a delivery as it is stored. It returns false for any other text
// than a UUID as it is usually written: no delivery has that.
func packID(text string) (id, bool) {
	u, err := uuid.Parse(text)
	return id{Bytes: u, Valid: true}, err == nil && u.String() == text
}

// unpackID is the inverse of packID.
func unpackID(u id) string { return uuid.UUID(u.Bytes).String() }

// packIDs returns those of the texts that may be the ID of a delivery.
func packIDs(texts []string) []id {
	ids := make([]id, 0, len(texts))
	for _, text := range texts {
		if u, ok := packID(text); ok {
			ids = append(ids, u)
		}
	}
	return ids
}

// packTime returns a time in milliseconds, or NULL for none.
func packTime(t time.Time) pgtype.Int8 {
	return pgtype.Int8{Int64: t.UnixMilli(), Valid: !t.IsZero()}
}

// unpackTime is the inverse of packTime.
func unpackTime(t pgtype.Int8) time.Time {
	if !t.Valid {
		return time.Time{}
	}
	return time.UnixMilli(t.Int64).UTC()
}

// packText returns a text, or NULL for "". What the database cannot take in a text, NUL and
// what is not UTF-8, becomes U+FFFD. A Manager gives no such text.
func packText(text string) pgtype.Text {
	if !storable(text) {
		text = strings.ReplaceAll(strings.ToValidUTF8(text, "\ufffd"), "\x00", "\ufffd")
	}
	return pgtype.Text{String: text, Valid: text != ""}
}

// storable reports whether the database can take the text as it is.
func storable(text string) bool { return utf8.ValidString(text) && !strings.Contains(text, "\x00") }

// allStorable reports whether all texts are storable. If one in a query is not, the query
// has no result.
func allStorable(texts ...string) bool {
	for _, text := range texts {
		if !storable(text) {
			return false
		}
	}
	return true
}

// packTexts returns a map as JSON, or NULL for an empty one.
func packTexts(texts map[string]string) (pgtype.Text, error) {
	if len(texts) == 0 {
		return pgtype.Text{}, nil
	}
	packed, err := json.Marshal(texts)
	return pgtype.Text{String: string(packed), Valid: true}, err
}

// unpackTexts is the inverse of packTexts.
func unpackTexts(packed pgtype.Text) (texts map[string]string, err error) {
	if packed.Valid {
		err = json.Unmarshal([]byte(packed.String), &texts)
	}
	return texts, err
}

// nonEmpty returns nil for an empty slice, which is stored as NULL.
func nonEmpty(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}

// The bits of an attempt's column lacks: what the log does not have of the response.
const (
	lacksBody int16 = 1 << iota
	lacksHeader
	lacksBoth // The response was dropped.
)

// The states of deliveries by their numbers in the database.
const (
	blocked int16 = iota + 1
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
func packState(s hooks.State) int16 {
	for n, state := range states {
		if state == s {
			return int16(n)
		}
	}
	return 0
}

// unpackState is the inverse of packState.
func unpackState(n int16) hooks.State {
	if n < 0 || int(n) >= len(states) {
		return ""
	}
	return states[n]
}
