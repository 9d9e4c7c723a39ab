package logto

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/wire"
)

// JSON is read into these values: object, []any, string, json.Number, bool and
// nil. Objects keep the order of their members, as JavaScript does.

type object []member

type member struct {
	name  string
	value any
}

// get returns a member, or undefined if there is none.
func (o object) get(name string) any {
	i := slices.IndexFunc(o, func(m member) bool { return m.name == name })
	if i < 0 {
		return undefined{}
	}
	return o[i].value
}

// undefined is the value of a member that an object does not have.
type undefined struct{}

// MarshalJSON implements [json.Marshaler].
func (o object) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, m := range o {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(b, wire.JSON(m.name)...), ':')
		b = append(b, wire.JSON(m.value)...)
	}
	return append(b, '}'), nil
}

// decode reads one JSON value. Of members with the same name, the last counts.
func decode(data []byte) (any, error) {
	// The decoder of tokens has no limit of depth, Unmarshal has.
	var valid json.RawMessage
	if err := json.Unmarshal(data, &valid); err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(valid))
	decoder.UseNumber()
	return decodeNext(decoder)
}

func decodeNext(d *json.Decoder) (any, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('['):
		list := []any{}
		for d.More() {
			value, err := decodeNext(d)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		_, err = d.Token()
		return list, err
	case json.Delim('{'):
		o := object{}
		places := map[string]int{}
		for d.More() {
			name, err := d.Token()
			if err != nil {
				return nil, err
			}
			value, err := decodeNext(d)
			if err != nil {
				return nil, err
			}
			if i, again := places[name.(string)]; again {
				o[i].value = value
				continue
			}
			places[name.(string)] = len(o)
			o = append(o, member{name.(string), value})
		}
		_, err = d.Token()
		return o, err
	}
	return token, nil
}
