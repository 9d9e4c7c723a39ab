package filter

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// An Event is an event as filters see it. Data is JSON. It is decoded when the
// first filter needs it, once for all filters, so the fields must not be changed
// after that. An Event must not be used concurrently.
type Event struct {
	Type, Tenant string
	Time         time.Time
	Data         []byte
	Metadata     map[string]string

	decoded bool
	data    any
	err     error // why Data could not be decoded
}

// IsLarge reports whether a single pass through the event may take longer than a
// moment, which is a millisecond or two.
func (e *Event) IsLarge() bool { return e.size() > maxUninterrupted }

// size is how much a filter can go through, in bytes.
func (e *Event) size() int {
	size := len(e.Data)
	for name, text := range e.Metadata {
		size += len(name) + len(text)
	}
	return size
}

// Decoded reports whether Data has been decoded.
func (e *Event) Decoded() bool { return e.decoded }

// Decode decodes Data, unless that was done before. Match does it when it has to;
// to measure how long that takes, call Decode first.
func (e *Event) Decode() {
	if e.decoded {
		return
	}
	e.decoded = true
	decoder := json.NewDecoder(bytes.NewReader(e.Data))
	decoder.UseNumber()
	if e.err = decoder.Decode(&e.data); e.err != nil {
		e.err = fmt.Errorf("filter failed: data is not JSON: %w", e.err)
	}
	e.data = plainNumbers(e.data)
}

// plainNumbers replaces each number in v by an int if it is written as one and
// fits, so that IDs beyond 2^53 compare exactly, and by the closest float64
// otherwise.
func plainNumbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := strconv.Atoi(v.String()); err == nil {
			return n
		}
		// A number out of range is an infinity, which compares as expected.
		f, _ := strconv.ParseFloat(v.String(), 64)
		return f
	case map[string]any:
		for key, member := range v {
			v[key] = plainNumbers(member)
		}
	case []any:
		for i, element := range v {
			v[i] = plainNumbers(element)
		}
	}
	return v
}
