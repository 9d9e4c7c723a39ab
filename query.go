package hooks

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"strings"
	"time"
)

// A HookQuery selects hooks of one tenant. Its zero value is all of the tenant
// "".
type HookQuery struct {
	Tenant string
	// IDs (at most [MaxLimit]), Protocol, Name and Disabled narrow the result.
	// Zero: any.
	IDs      []string
	Protocol string
	Name     string
	Disabled *bool
	PageQuery
}

// A LogQuery selects deliveries or attempts of one tenant. Its zero value is
// all of the tenant "".
type LogQuery struct {
	Tenant string
	// The fields of this group narrow the result. Zero: any. A list has at
	// most [MaxLimit] elements.
	HookID      string
	EventID     string
	EventType   string
	DeliveryIDs []string
	// States of the delivery; for attempts, of what they made of it.
	States []State
	// Since and Until bound CreatedAt of deliveries and StartedAt of
	// attempts: at Since or later, before Until. Zero: no bound.
	Since, Until time.Time
	PageQuery
}

// A PageQuery says which part of a result is wanted.
type PageQuery struct {
	// OldestFirst turns the order round.
	OldestFirst bool
	// Limit is the size of the page. Default: 50; at most [MaxLimit]. AllLogs,
	// AllDeliveries and AllHooks take more as MaxLimit.
	Limit int
	// After continues behind an earlier page: its Next.
	After Cursor
	// Offset skips so many elements (behind After). A large one costs time;
	// After does not. At most [MaxCount].
	Offset int
	// CountTo asks for Page.Total, counted up to so many, at most
	// [MaxCount]. 0: not counted.
	CountTo int
}

// PageSize returns Limit, or 50 if it is 0. It is for authors of stores.
func (q PageQuery) PageSize() int { return cmp.Or(q.Limit, 50) }

// check refuses what no store should have to interpret, or to look for.
func (q PageQuery) check() error {
	return firstError(
		checkRange("limit", q.Limit, MaxLimit),
		checkRange("offset", q.Offset, MaxCount),
		checkRange("countTo", q.CountTo, MaxCount),
	)
}

func (q HookQuery) check() error { return firstError(checkList("ids", q.IDs), q.PageQuery.check()) }

func (q LogQuery) check() error {
	return firstError(checkList("deliveryIDs", q.DeliveryIDs), checkList("states", q.States), q.PageQuery.check())
}

const (
	// MaxLimit is the size of the largest page that a Manager reads, and the
	// length of the longest list in a query. A store has no such bounds.
	MaxLimit = 1000
	// MaxCount is up to where a Manager has elements of a result counted and
	// skipped.
	MaxCount = 1_000_000
)

// A Page is part of a result.
type Page[T any] struct {
	Items []T
	// Next is the cursor for the page that follows. Zero: this is the last.
	Next Cursor
	// Total is how many elements match without regard to After, Offset and
	// Limit, at most PageQuery.CountTo.
	Total int
}

// A Cursor is a place in a result: that behind the element with this time and
// ID. New elements at the front of the result do not move it.
type Cursor struct {
	Time time.Time
	ID   string
}

// IsZero reports whether c is the start of the result.
func (c Cursor) IsZero() bool { return c == Cursor{} }

// MarshalText returns the cursor as text fit for a URL, empty for the zero
// Cursor.
func (c Cursor) MarshalText() ([]byte, error) {
	if c.IsZero() {
		return []byte{}, nil
	}
	text := c.Time.UTC().Format(time.RFC3339Nano) + " " + c.ID
	return base64.RawURLEncoding.AppendEncode(nil, []byte(text)), nil
}

// UnmarshalText is the inverse of MarshalText. Other text gives an
// [InvalidError].
func (c *Cursor) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*c = Cursor{}
		return nil
	}
	var decoded Cursor
	raw, err := base64.RawURLEncoding.AppendDecode(nil, text)
	if err == nil {
		at, id, _ := strings.Cut(string(raw), " ")
		decoded.ID = id
		decoded.Time, err = time.Parse(time.RFC3339Nano, at)
		decoded.Time = decoded.Time.UTC()
	}
	// Only what MarshalText writes is accepted, not all that can be read.
	if again, _ := decoded.MarshalText(); err != nil || decoded.ID == "" || !bytes.Equal(again, text) {
		return &InvalidError{Field: "cursor", Reason: "is not one that a page returned"}
	}
	*c = decoded
	return nil
}
