package hooks

import (
	"bytes"
	"encoding/json"
	"maps"
	"time"
)

// An Event is something that happened in the application and that its hooks may
// receive. It is stored once, whatever the number of hooks. Texts are UTF-8 without NUL.
type Event struct {
	// ID identifies the event within its tenant. Default: a UUIDv7. The same ID again
	// is refused with [ErrDuplicate], for as long as the event is kept. Receivers see
	// it as their idempotency key. 1 to 128 of the characters a-z, A-Z, 0-9, "_" and
	// "-".
	ID string
	// Tenant is the scope: only hooks of the same tenant receive the event. At most 256
	// bytes.
	Tenant string
	// Type says what happened: segments separated by dots, each of the characters a-z,
	// A-Z, 0-9, "_", "-", ":" and ">", for example "order.paid". 1 to 256 bytes. If
	// [Config].Catalogue is set, it must have the type. Standard Webhooks itself allows
	// only letters, digits and "_" in segments, and some receivers check that.
	Type string
	// Time is when it happened, in the years 1 to 9999. Default: now. Kept in UTC
	// milliseconds.
	Time time.Time
	// Data is the payload, any JSON value in UTF-8, kept and sent byte for byte.
	// Default: {}. At most [Config].MaxPayload bytes.
	Data json.RawMessage
	// OrderingKey keeps events in order: a hook gets the events of one key one at a
	// time, in the order in which they were triggered. Empty: no order. At most 256
	// bytes.
	OrderingKey string
	// Metadata is for filters and for the application; it is not sent. At most 50
	// entries, 16 KiB in all with their keys.
	Metadata map[string]string
}

// prepareEvent sets defaults, checks the event, and returns a copy that shares nothing
// with it.
func (m *Manager) prepareEvent(e Event, at time.Time) (*Event, error) {
	if e.ID == "" {
		e.ID = newID()
	} else if err := checkID("id", e.ID); err != nil {
		return nil, err
	}
	if e.Time.IsZero() {
		e.Time = at
	}
	e.Time = stamp(e.Time)
	if len(e.Data) == 0 {
		e.Data = json.RawMessage("{}")
	}
	err := firstError(
		checkText("tenant", e.Tenant, maxTenant),
		checkType("type", e.Type),
		m.checkCatalogue("type", e.Type),
		checkText("orderingKey", e.OrderingKey, maxOrderingKey),
		checkEntries("metadata", e.Metadata),
		checkData("data", e.Data, m.cfg.MaxPayload),
	)
	switch {
	case err != nil:
		return nil, err
	case !validYear(e.Time):
		return nil, &InvalidError{Field: "time", Reason: yearRule}
	}
	e.Data = bytes.Clone(e.Data)
	e.Metadata = maps.Clone(e.Metadata)
	return &e, nil
}
