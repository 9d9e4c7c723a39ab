package logto

import (
	"bytes"
	"cmp"
	"slices"
	"sort"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// A jsText is JSON that is written as JavaScript does, by JSON.stringify of what
// JSON.parse makes of it (ECMA-262, section 25.5): receivers that check the signature
// of what they have parsed find the bytes that were signed. So members whose names are
// array indices come first, in ascending order (section 10.1.11.1); of members with
// the same name the last value counts, at the place of the first; strings have no
// escapes but those that must be; numbers have their shortest form. Numbers that
// JavaScript would round, such as integers beyond 2⁵³, stay as they are written.
//
// The JSON is that of an event: valid, and nested at most 10,000 deep.
type jsText struct {
	src, out []byte
	// root are the members of src, if it is an object, and whole is where it begins.
	root  []jsMember
	whole int
	// rearranged are the objects whose members are not in JavaScript's order, in the
	// order of src.
	rearranged []jsObject

	open  []jsMember // of the objects around the current place
	names [][]byte   // reused
}

type jsMember struct {
	name  []byte // JSON, as JavaScript writes it
	index int64  // -1: the name is none
	value int    // where it begins in src
}

// A jsObject goes from start to end in src.
type jsObject struct {
	start, end int
	members    []jsMember
}

func newJSText(src []byte) *jsText {
	j := &jsText{src: src}
	j.whole = j.skip(0)
	j.scan(j.whole)
	slices.SortFunc(j.rearranged, func(a, b jsObject) int { return cmp.Compare(a.start, b.start) })
	return j
}

// text appends a text to out.
func (j *jsText) text(s string) { j.out = append(j.out, s...) }

func (j *jsText) isObject() bool { return j.src[j.whole] == '{' }

// skip returns the next place that has no white space.
func (j *jsText) skip(i int) int {
	for i < len(j.src) && (j.src[i] == ' ' || j.src[i] == '\n' || j.src[i] == '\t' || j.src[i] == '\r') {
		i++
	}
	return i
}

// next returns the place of the next element or the bracket behind the last one.
func (j *jsText) next(i int) int {
	if i = j.skip(i); j.src[i] == ',' {
		i = j.skip(i + 1)
	}
	return i
}

// value returns the place of the value of a member whose name ends at i.
func (j *jsText) value(i int) int { return j.skip(j.skip(i) + 1) }

func (j *jsText) endOfString(i int) int {
	for i++; j.src[i] != '"'; i++ {
		if j.src[i] == '\\' {
			i++
		}
	}
	return i + 1
}

func (j *jsText) endOfWord(i int) int {
	for ; i < len(j.src); i++ {
		switch j.src[i] {
		case ',', ']', '}', ' ', '\n', '\t', '\r':
			return i
		}
	}
	return i
}

// scan finds the objects of a value that have to be rearranged, and returns where the
// value ends.
func (j *jsText) scan(i int) int {
	switch j.src[i] {
	case '{':
		return j.scanObject(i)
	case '[':
		for i = j.skip(i + 1); j.src[i] != ']'; i = j.next(i) {
			i = j.scan(i)
		}
		return i + 1
	case '"':
		return j.endOfString(i)
	}
	return j.endOfWord(i)
}

func (j *jsText) scanObject(start int) int {
	first, i := len(j.open), j.skip(start+1)
	for j.src[i] != '}' {
		end := j.endOfString(i)
		name := j.src[i:end]
		if bytes.IndexByte(name, '\\') >= 0 {
			name = appendJSString(nil, name)
		}
		i = j.value(end)
		j.open = append(j.open, jsMember{name, arrayIndex(name), i})
		i = j.next(j.scan(i))
	}
	members := j.open[first:]
	if arranged, changed := j.arrange(members); changed {
		members = arranged
		j.rearranged = append(j.rearranged, jsObject{start, i + 1, members})
	}
	if start == j.whole {
		j.root = slices.Clone(members)
	}
	j.open = j.open[:first]
	return i + 1
}

// byIndex puts array indices in order before other names.
func byIndex(a, b jsMember) int {
	switch {
	case a.index >= 0 && b.index >= 0:
		return cmp.Compare(a.index, b.index)
	case a.index >= 0:
		return -1
	case b.index >= 0:
		return 1
	}
	return 0
}

// arrange returns the members in JavaScript's order, each once, and whether that is
// another than they have. It leaves its argument alone.
func (j *jsText) arrange(members []jsMember) (arranged []jsMember, changed bool) {
	if !slices.IsSortedFunc(members, byIndex) {
		members, changed = slices.Clone(members), true
		slices.SortStableFunc(members, byIndex)
	}
	if !j.hasTwice(members) {
		return members, changed
	}
	places := make(map[string]int, len(members))
	for _, m := range members {
		if i, again := places[string(m.name)]; again {
			arranged[i].value = m.value
			continue
		}
		places[string(m.name)] = len(arranged)
		arranged = append(arranged, m)
	}
	return arranged, true
}

// hasTwice reports whether a name is there twice. Array indices are in order.
func (j *jsText) hasTwice(members []jsMember) bool {
	j.names = j.names[:0]
	for i, m := range members {
		switch {
		case m.index < 0:
			j.names = append(j.names, m.name)
		case i > 0 && members[i-1].index == m.index:
			return true
		}
	}
	slices.SortFunc(j.names, bytes.Compare)
	for i := 1; i < len(j.names); i++ {
		if bytes.Equal(j.names[i-1], j.names[i]) {
			return true
		}
	}
	return false
}

// arrayIndex returns the array index that a name is (ECMA-262, section 6.1.7), or -1.
func arrayIndex(name []byte) int64 {
	digits := name[1 : len(name)-1]
	if len(digits) == 0 || len(digits) > 10 || digits[0] == '0' && len(digits) > 1 {
		return -1
	}
	n := int64(0)
	for _, c := range digits {
		if c < '0' || c > '9' {
			return -1
		}
		n = 10*n + int64(c-'0')
	}
	if n > 1<<32-2 {
		return -1
	}
	return n
}

// write appends the value at i to out, and returns where it ends in src.
func (j *jsText) write(i int) int {
	switch j.src[i] {
	case '{':
		return j.writeObject(i)
	case '[':
		j.out = append(j.out, '[')
		for i = j.skip(i + 1); j.src[i] != ']'; {
			if i = j.next(j.write(i)); j.src[i] != ']' {
				j.out = append(j.out, ',')
			}
		}
		j.out = append(j.out, ']')
		return i + 1
	case '"':
		end := j.endOfString(i)
		j.out = appendJSString(j.out, j.src[i:end])
		return end
	case 't', 'f', 'n':
		end := j.endOfWord(i)
		j.out = append(j.out, j.src[i:end]...)
		return end
	}
	end := j.endOfWord(i)
	j.out = appendJSNumber(j.out, j.src[i:end])
	return end
}

func (j *jsText) writeObject(i int) int {
	j.out = append(j.out, '{')
	n := sort.Search(len(j.rearranged), func(n int) bool { return j.rearranged[n].start >= i })
	if n < len(j.rearranged) && j.rearranged[n].start == i {
		for k, m := range j.rearranged[n].members {
			if k > 0 {
				j.out = append(j.out, ',')
			}
			j.writeMember(m)
		}
		j.out = append(j.out, '}')
		return j.rearranged[n].end
	}
	for i = j.skip(i + 1); j.src[i] != '}'; {
		end := j.endOfString(i)
		j.out = append(appendJSString(j.out, j.src[i:end]), ':')
		if i = j.next(j.write(j.value(end))); j.src[i] != '}' {
			j.out = append(j.out, ',')
		}
	}
	j.out = append(j.out, '}')
	return i + 1
}

func (j *jsText) writeMember(m jsMember) {
	j.out = append(append(j.out, m.name...), ':')
	j.write(m.value)
}

// appendJSString appends a string of JSON, with its quotes, as QuoteJSONString of
// ECMA-262, section 25.5.2.3, writes it.
func appendJSString(out, quoted []byte) []byte {
	for {
		i := bytes.IndexByte(quoted, '\\')
		if i < 0 {
			return append(out, quoted...)
		}
		out = append(out, quoted[:i]...)
		switch escape := quoted[i : i+2]; escape[1] {
		case 'u':
			r := hexRune(quoted[i+2:])
			quoted = quoted[i+6:]
			if utf16.IsSurrogate(r) && bytes.HasPrefix(quoted, []byte(`\u`)) {
				if pair := utf16.DecodeRune(r, hexRune(quoted[2:])); pair != utf8.RuneError {
					r, quoted = pair, quoted[6:]
				}
			}
			out = appendJSRune(out, r)
			continue
		case '/':
			out = append(out, '/')
		default:
			out = append(out, escape...)
		}
		quoted = quoted[i+2:]
	}
}

// hexRune is what four hexadecimal digits stand for.
func hexRune(digits []byte) rune {
	n, _ := strconv.ParseUint(string(digits[:4]), 16, 16) // They are some.
	return rune(n)
}

func appendJSRune(out []byte, r rune) []byte {
	switch r {
	case '"', '\\':
		return append(out, '\\', byte(r))
	case '\b':
		return append(out, `\b`...)
	case '\f':
		return append(out, `\f`...)
	case '\n':
		return append(out, `\n`...)
	case '\r':
		return append(out, `\r`...)
	case '\t':
		return append(out, `\t`...)
	}
	if r >= ' ' && !utf16.IsSurrogate(r) {
		return utf8.AppendRune(out, r)
	}
	const digits = "0123456789abcdef"
	return append(out, '\\', 'u', digits[r>>12&15], digits[r>>8&15], digits[r>>4&15], digits[r&15])
}
