package hooks

import (
	"encoding/json"
	"time"
)

// An Event is something that happened in the host, to be told to its hooks. It
// is stored once, whatever the number of hooks.
type Event struct {
	// ID names the event within its tenant; the default is a UUIDv7. The same
	// ID again is refused with [ErrDuplicate]. Receivers see it as their
	// idempotency key. 1 to 128 of the characters a-z, A-Z, 0-9, "_" and "-".
	ID string
	// Tenant is the scope: only hooks of the same tenant receive the event.
	Tenant string
	// Type says what happened: segments separated by dots, each of the
	// characters a-z, A-Z, 0-9, "_", "-", ":" and ">", for example
	// "order.paid". At most 256 bytes. Keep to letters, digits and "_" for
	// receivers that check Standard Webhooks by the letter.
	Type string
	// Time is when it happened. Default: now. Kept in UTC milliseconds.
	Time time.Time
	// Data is the payload, any JSON value, kept and sent byte for byte.
	// Default: {}. At most [Config].MaxPayload bytes.
	Data json.RawMessage
	// Key is the ordering key: a hook gets the events of one key one at a
	// time, in the order in which they were triggered. Empty: no order. At
	// most 256 bytes.
	Key string
	// Metadata is for filters and for the host; it is not sent. At most 50
	// entries, 16 KiB in all.
	Metadata map[string]string
}
