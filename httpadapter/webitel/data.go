package webitel

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"sync"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/wire"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/webitel/internal/js"
)

// A record is the data of an event, read. It may be used concurrently.
type record struct {
	// members are those of the data, each name once.
	members []wire.Member
	// values decodes them, once.
	values func() map[string]any
}

// read reads the data of an event, which is JSON.
func read(e *hooks.Event) *record {
	all := wire.Members(e)
	r := &record{members: make([]wire.Member, 0, len(all))}
	place := make(map[string]int, len(all))
	for _, m := range all {
		if i, again := place[m.Name]; again {
			r.members[i] = m
		} else {
			place[m.Name] = len(r.members)
			r.members = append(r.members, m)
		}
	}
	r.values = sync.OnceValue(func() map[string]any {
		values := make(map[string]any, len(r.members))
		for _, m := range r.members {
			values[m.Name], _ = js.Decode(m.Value) // It is JSON, or there would be no event.
		}
		return values
	})
	return r
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
	fields  []string    // empty: all
	renames [][2]string // the name in the data, and the new one
}

// of returns the members that are sent. A new name wins over a member that has it
// already; of several members with the same new name, the last of the renames wins.
func (s selection) of(r *record) []wire.Member {
	chosen := r.members
	if len(s.fields) > 0 {
		chosen = s.choose(r)
	}
	if len(s.renames) == 0 {
		return chosen
	}
	newNames := make(map[string]string, len(s.renames)) // by the old
	winners := make(map[string]string, len(s.renames))  // the old, by the new
	present := make(map[string]bool, len(chosen))
	for _, m := range chosen {
		present[m.Name] = true
	}
	for _, rename := range s.renames {
		if present[rename[0]] {
			newNames[rename[0]], winners[rename[1]] = rename[1], rename[0]
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

// choose returns the members that fields names and the data has, in the order of
// fields.
func (s selection) choose(r *record) []wire.Member {
	byName := make(map[string]wire.Member, len(r.members))
	for _, m := range r.members {
		byName[m.Name] = m
	}
	var chosen []wire.Member
	for _, name := range s.fields {
		if m, ok := byName[name]; ok {
			chosen = append(chosen, m)
			delete(byName, name)
		}
	}
	return chosen
}

// envelope is the body of a delivery.
func envelope(e *hooks.Event, data []wire.Member) []byte {
	var b bytes.Buffer
	b.Grow(len(e.Data) + 128)
	b.WriteString(`{"id":`)
	b.Write(wire.JSON(e.ID))
	b.WriteString(`,"action":`)
	b.Write(wire.JSON(e.Type))
	b.WriteString(`,"data":`)
	writeObject(&b, data)
	b.WriteByte('}')
	return b.Bytes()
}

func writeObject(b *bytes.Buffer, members []wire.Member) {
	b.WriteByte('{')
	for i, m := range members {
		if i > 0 {
			b.WriteByte(',')
		}
		m.Append(b)
	}
	b.WriteByte('}')
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
