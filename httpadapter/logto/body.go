package logto

import (
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/seed-2c6e3a5a/hooks/httpadapter"
)

// bodyOf reads the body of a request, which may be JSON or a form. Of another
// type it counts as empty, and an empty one as an object without members.
func bodyOf(c *httpadapter.Call) (any, error) {
	mediaType, _, _ := mime.ParseMediaType(c.Header.Get("Content-Type"))
	text := string(c.Body)
	switch {
	case strings.TrimSpace(text) == "":
		return object{}, nil
	case mediaType == "application/json", mediaType == "application/vnd.api+json":
		return decodeBody(c.Body)
	case mediaType == "application/x-www-form-urlencoded":
		return decodeForm(text), nil
	case strings.HasPrefix(mediaType, "text/"):
		return text, nil
	}
	return object{}, nil
}

// decodeBody decodes JSON that has to be an object or an array.
func decodeBody(data []byte) (any, error) {
	value, err := decode(data)
	if err != nil {
		return nil, failed(http.StatusBadRequest, "", "The request body is not JSON: %s.", err)
	}
	switch value.(type) {
	case object, []any:
		return value, nil
	}
	return nil, failed(http.StatusBadRequest, "", "The request body must be a JSON object or array.")
}

// maxFormDepth bounds how deep the brackets of a form nest.
const maxFormDepth = 5

// decodeForm decodes a form whose names may have brackets: config[url]=… is a
// member of config, events[]=… an element of events, and so is a name that is
// there again.
func decodeForm(text string) object {
	var form object
	for name, value := range pairs(text) {
		form, _ = insert(form, formPath(name), value).(object)
	}
	return form
}

// formPath splits "a[b][c]" into a, b and c. A name that is not of this form is
// one step.
func formPath(name string) []string {
	head, rest, nested := strings.Cut(name, "[")
	if !nested || head == "" || !strings.HasSuffix(rest, "]") {
		return []string{name}
	}
	path := append([]string{head}, strings.Split(strings.TrimSuffix(rest, "]"), "][")...)
	if len(path) > maxFormDepth {
		return []string{name}
	}
	return path
}

// insert returns into, or what takes its place, with the value at the path.
func insert(into any, path []string, value string) any {
	if len(path) == 0 {
		switch old := into.(type) {
		case nil:
			return value
		case []any:
			return append(old, value)
		default:
			return []any{old, value}
		}
	}
	if isIndex := strings.Trim(path[0], "0123456789") == ""; isIndex {
		list, _ := into.([]any)
		return append(list, insert(nil, path[1:], value))
	}
	o, _ := into.(object)
	i := slices.IndexFunc(o, func(m member) bool { return m.name == path[0] })
	if i < 0 {
		i, o = len(o), append(o, member{name: path[0]})
	}
	o[i].value = insert(o[i].value, path[1:], value)
	return o
}
