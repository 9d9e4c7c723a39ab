package filter

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/wire"
)

// An Event is an event as expressions see it. It may be used concurrently.
type Event struct{ members map[string]any }

// NewEvent decodes the data of an event. The error says that it is not JSON.
func NewEvent(e *hooks.Event) (*Event, error) {
	var data any
	if len(e.Data) > 0 {
		d := json.NewDecoder(bytes.NewReader(e.Data))
		d.UseNumber() // IDs beyond 2^53 compare exactly.
		if err := d.Decode(&data); err != nil {
			return nil, fmt.Errorf("the data of the event is not JSON: %w", err)
		}
	}
	members, ok := data.(map[string]any)
	if !ok {
		members = map[string]any{"data": data}
	}
	members["eventType"], members["uuid"], members["version"] = e.Type, e.ID, "0"
	members["published"] = e.Time.UTC().Format(wire.TimeFormat)
	if _, own := members["debugData"]; !own {
		context, _ := members["debugContext"].(map[string]any)
		members["debugData"] = context["debugData"]
	}
	return &Event{members}, nil
}
