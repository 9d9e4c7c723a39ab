package logto

import (
	"bytes"
	"encoding/json"
	"slices"
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
		b = append(append(b, encode(m.name)...), ':')
		b = append(b, encode(m.value)...)
	}
	return append(b, '}'), nil
}

// encode returns the JSON of a value that was read from JSON, without escapes
// for HTML.
func encode(value any) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(value) // What JSON was read into can be written.
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
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

// A rawMember is a member of an object whose value is as it was written.
type rawMember struct {
	name  string
	value json.RawMessage
}

func hasMember(members []rawMember, name string) bool {
	return slices.ContainsFunc(members, func(m rawMember) bool { return m.name == name })
}

// membersOf returns the members of a JSON object, or false if data is none.
func membersOf(data []byte) (members []rawMember, isObject bool) {
	d := json.NewDecoder(bytes.NewReader(data))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return nil, false
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, false
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, false
		}
		members = append(members, rawMember{name.(string), value})
	}
	return members, true
}
