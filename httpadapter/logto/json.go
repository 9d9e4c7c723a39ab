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
func (o object) MarshalJSON() ([]byte, error) { return jsonOf(o), nil }

// jsonOf returns the JSON of a value. It writes each part of it once: an encoder
// would check and copy what is nested anew on each level.
func jsonOf(value any) []byte {
	w := &jsonWriter{}
	w.encoder = json.NewEncoder(&w.text)
	w.encoder.SetEscapeHTML(false)
	w.write(value)
	return w.text.Bytes()
}

type jsonWriter struct {
	text    bytes.Buffer
	encoder *json.Encoder
}

func (w *jsonWriter) write(value any) {
	switch v := value.(type) {
	case object:
		w.text.WriteByte('{')
		for i, m := range v {
			if i > 0 {
				w.text.WriteByte(',')
			}
			w.write(m.name)
			w.text.WriteByte(':')
			w.write(m.value)
		}
		w.text.WriteByte('}')
	case []any:
		w.text.WriteByte('[')
		for i, element := range v {
			if i > 0 {
				w.text.WriteByte(',')
			}
			w.write(element)
		}
		w.text.WriteByte(']')
	default:
		_ = w.encoder.Encode(value)       // It has a form in JSON.
		w.text.Truncate(w.text.Len() - 1) // the end of the line
	}
}

// maxShownDepth is how deep the objects and lists of a value that is shown are
// nested.
const maxShownDepth = 100

// flattened returns a value in which what is nested deeper is the text of its
// JSON. It may change the value.
func flattened(value any, depth int) any {
	switch v := value.(type) {
	case object:
		if depth == maxShownDepth {
			return string(jsonOf(v))
		}
		for i := range v {
			v[i].value = flattened(v[i].value, depth+1)
		}
	case []any:
		if depth == maxShownDepth {
			return string(jsonOf(v))
		}
		for i := range v {
			v[i] = flattened(v[i], depth+1)
		}
	}
	return value
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
