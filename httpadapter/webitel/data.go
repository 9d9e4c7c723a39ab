package webitel

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/wire"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/webitel/internal/js"
)

// A record is the data of an event, read as far as it is needed. It may be used
// concurrently.
type record struct {
	// whole is the data as an object, without white space.
	whole func() []byte
	// members are those of that object.
	members func() members
	// values are theirs, decoded, by their names.
	values func() map[string]any
}

// members have each name once, at the place that the index says.
type members struct {
	list  []wire.Member
	place map[string]int
}

func newRecord(e *hooks.Event) *record {
	r := &record{}
	r.whole = sync.OnceValue(func() []byte { return wholeOf(e.Data) })
	r.members = sync.OnceValue(func() members { return membersOf(e) })
	r.values = sync.OnceValue(func() map[string]any {
		value, _ := js.Decode(e.Data) // It is JSON, or there would be no event.
		if values, ok := value.(map[string]any); ok {
			return values
		}
		return map[string]any{"data": value}
	})
	return r
}

func wholeOf(data json.RawMessage) []byte {
	var b bytes.Buffer
	b.Grow(len(data))
	_ = json.Compact(&b, data) // It is JSON, or there would be no event.
	if b.Bytes()[0] == '{' {
		return b.Bytes()
	}
	return []byte(`{"data":` + b.String() + `}`)
}

func membersOf(e *hooks.Event) members {
	all := wire.Members(e)
	m := members{make([]wire.Member, 0, len(all)), make(map[string]int, len(all))}
	for _, member := range all {
		if i, again := m.place[member.Name]; again {
			m.list[i] = member
			continue
		}
		m.place[member.Name] = len(m.list)
		m.list = append(m.list, member)
	}
	return m
}

// value returns the value of a member.
func (r *record) value(name string) any {
	if v, ok := r.values()[name]; ok {
		return v
	}
	return js.Undefined
}

// walk returns the value at the end of a path, such as "location.city" or
// "logs.0.text".
func (r *record) walk(path string) any {
	first, rest, more := strings.Cut(path, ".")
	v := r.value(first)
	for more {
		first, rest, more = strings.Cut(rest, ".")
		switch parent := v.(type) {
		case map[string]any:
			var ok bool
			if v, ok = parent[first]; !ok {
				return js.Undefined
			}
		case []any:
			i, err := strconv.Atoi(first)
			if err != nil || i < 0 || i >= len(parent) || strconv.Itoa(i) != first {
				return js.Undefined
			}
			v = parent[i]
		default:
			return js.Undefined
		}
	}
	return v
}

// A selection says which members of the data are sent, and under which names.
type selection struct {
	fields  []string // each once; empty: all
	renames []rename
}

type rename struct{ from, to string }

// parseSelection reads fields and map, the latter an object or nothing.
func parseSelection(fields []string, newNames json.RawMessage) (s selection, err error) {
	seen := make(map[string]bool, len(fields))
	for _, name := range fields {
		if !seen[name] {
			seen[name] = true
			s.fields = append(s.fields, name)
		}
	}
	if len(newNames) == 0 {
		return s, nil
	}
	members, ok := wire.MembersOf(newNames)
	if !ok {
		return s, &hooks.InvalidError{Field: "settings.map", Reason: "must be an object"}
	}
	for _, m := range members {
		var name string
		if json.Unmarshal(m.Value, &name) != nil || name == "" {
			return s, &hooks.InvalidError{Field: fmt.Sprintf("settings.map[%q]", m.Name), Reason: "must be a string that is not empty"}
		}
		s.renames = append(s.renames, rename{m.Name, name})
	}
	return s, nil
}

func (s selection) isWhole() bool { return len(s.fields) == 0 && len(s.renames) == 0 }

// of returns the members that are sent. A new name wins over a member that has it
// already; of several members with the same new name, the last of the renames wins.
func (s selection) of(r *record) []wire.Member {
	chosen := s.choose(r.members())
	if len(s.renames) == 0 {
		return chosen
	}
	present := make(map[string]bool, len(chosen))
	for _, m := range chosen {
		present[m.Name] = true
	}
	newNames := map[string]string{} // by the old
	winners := map[string]string{}  // the old, by the new
	for _, rename := range s.renames {
		if present[rename.from] {
			newNames[rename.from], winners[rename.to] = rename.to, rename.from
		}
	}
	renamed := make([]wire.Member, 0, len(chosen))
	for _, m := range chosen {
		name, isRenamed := newNames[m.Name]
		if !isRenamed {
			name = m.Name
		}
		if winner, taken := winners[name]; taken && winner != m.Name {
			continue
		}
		renamed = append(renamed, wire.Member{Name: name, Value: m.Value})
	}
	return renamed
}

// choose returns the members that fields names, in the order of fields.
func (s selection) choose(m members) []wire.Member {
	if len(s.fields) == 0 {
		return m.list
	}
	chosen := make([]wire.Member, 0, len(s.fields))
	for _, name := range s.fields {
		if i, ok := m.place[name]; ok {
			chosen = append(chosen, m.list[i])
		}
	}
	return chosen
}

// envelope is the body of a delivery with this data.
func envelope(e *hooks.Event, data []byte) []byte {
	var b bytes.Buffer
	b.Grow(len(data) + len(e.Type) + 128)
	b.WriteString(`{"id":`)
	b.Write(wire.JSON(e.ID))
	b.WriteString(`,"action":`)
	b.Write(wire.JSON(e.Type))
	b.WriteString(`,"data":`)
	b.Write(data)
	b.WriteByte('}')
	return b.Bytes()
}

// object is the JSON of members.
func object(members []wire.Member) []byte {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range members {
		if i > 0 {
			b.WriteByte(',')
		}
		m.Append(&b)
	}
	b.WriteByte('}')
	return b.Bytes()
}

// elements returns what a query shows of a value: the members of an object, or
// the elements of a list by their numbers.
func elements(value json.RawMessage) []wire.Member {
	if members, ok := wire.MembersOf(value); ok {
		return members
	}
	var list []json.RawMessage
	_ = json.Unmarshal(value, &list) // What is no list has no elements.
	members := make([]wire.Member, len(list))
	for i, element := range list {
		members[i] = wire.Member{Name: strconv.Itoa(i), Value: element}
	}
	return members
}
