package webitel

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/wire"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/webitel/internal/js"
)

const (
	// maxQuery bounds the query of a request, in bytes.
	maxQuery = 1 << 20
	// maxDepth bounds how deep values in a query are nested.
	maxDepth = 32
)

// withQuery returns the URL with members as parameters: those of the URL come
// first, but for those of the same name. Elements of objects and lists have
// brackets: {"a":{"b":[1]}} is a[b][0]=1.
func withQuery(u *url.URL, members []wire.Member) (*url.URL, error) {
	names := map[string]bool{}
	for _, m := range members {
		names[m.Name] = true
	}
	var q query
	for pair := range strings.SplitSeq(u.RawQuery, "&") {
		if pair != "" && !names[rootName(pair)] {
			q.add(pair)
		}
	}
	for _, m := range members {
		value, err := js.Decode(m.Value)
		if err != nil {
			return nil, err
		}
		q.name = append(q.name[:0], percentEncode(m.Name)...)
		if err := q.addValue(value, 0); err != nil {
			return nil, err
		}
	}
	with := *u
	with.RawQuery = q.text.String()
	return &with, nil
}

// rootName is the name of a parameter without what it has in brackets.
func rootName(pair string) string {
	name, _, _ := strings.Cut(pair, "=")
	if decoded, err := url.QueryUnescape(name); err == nil {
		name = decoded
	}
	if i := strings.IndexByte(name, '['); i > 0 {
		return name[:i]
	}
	return name
}

type query struct {
	text strings.Builder
	// name is that of the value which is added.
	name []byte
}

func (q *query) add(pair string) {
	if q.text.Len() > 0 {
		q.text.WriteByte('&')
	}
	q.text.WriteString(pair)
}

// addElement adds an element of the value which is added.
func (q *query) addElement(key string, value any, depth int) error {
	n := len(q.name)
	defer func() { q.name = q.name[:n] }()
	q.name = append(append(append(q.name, "%5B"...), key...), "%5D"...)
	return q.addValue(value, depth)
}

// addValue adds a value, or its elements.
func (q *query) addValue(value any, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("the query would have values in more than %d brackets", maxDepth)
	}
	switch v := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if err := q.addElement(percentEncode(key), v[key], depth+1); err != nil {
				return err
			}
		}
		return nil
	case []any:
		for i, element := range v {
			if err := q.addElement(strconv.Itoa(i), element, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	text := ""
	if value != nil {
		text = percentEncode(js.Text(value))
	}
	q.add(string(q.name) + "=" + text)
	if q.text.Len() > maxQuery {
		return fmt.Errorf("the query would be longer than %d bytes", maxQuery)
	}
	return nil
}

// percentEncode encodes as in RFC 3986 section 2.
func percentEncode(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
