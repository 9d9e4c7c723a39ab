package logto

import (
	"iter"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter"
)

// A query is the query of a request.
type query struct {
	// url is where the request went, without its query.
	url string
	// parameters are in the order in which they came.
	parameters []parameter
}

type parameter struct {
	name   string
	values []string
}

func queryOf(c *httpadapter.Call) *query {
	q := &query{url: c.Base + c.URL.EscapedPath()}
	for name, value := range pairs(c.URL.RawQuery) {
		if i := q.index(name); i >= 0 {
			q.parameters[i].values = append(q.parameters[i].values, value)
		} else {
			q.parameters = append(q.parameters, parameter{name, []string{value}})
		}
	}
	return q
}

// maxPairs is how many parameters a query or a form may have, as in Node.js;
// the others are ignored.
const maxPairs = 1000

// pairs returns the parameters of a query or a form in their order, without
// those that are not well-formed.
func pairs(text string) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for _, pair := range strings.SplitN(text, "&", maxPairs+1)[:min(maxPairs, strings.Count(text, "&")+1)] {
			rawName, rawValue, _ := strings.Cut(pair, "=")
			name, err := url.QueryUnescape(rawName)
			value, err2 := url.QueryUnescape(rawValue)
			if pair != "" && err == nil && err2 == nil && !yield(name, value) {
				return
			}
		}
	}
}

func (q *query) index(name string) int {
	return slices.IndexFunc(q.parameters, func(p parameter) bool { return p.name == name })
}

// values returns the values of a parameter.
func (q *query) values(name string) []string {
	if i := q.index(name); i >= 0 {
		return q.parameters[i].values
	}
	return nil
}

// value returns the value of a parameter, empty if it is not there. One that is
// there twice is an error.
func (q *query) value(name string) (string, error) {
	switch values := q.values(name); len(values) {
	case 0:
		return "", nil
	case 1:
		return values[0], nil
	}
	var g guard
	g.wrongType([]any{name}, "string", []any{})
	return "", g.err("query")
}

// isYes reports whether a value asks for something.
func isYes(value string) bool {
	return slices.Contains([]string{"1", "true", "y", "yes", "yep", "yeah"}, strings.ToLower(value))
}

// A page is a part of a list, counted from 1.
type page struct{ number, size int }

const (
	defaultPageSize = 20
	maxPageSize     = 100
)

// page returns the part of the list that is asked for, and whether one is.
func (q *query) page() (p page, asked bool, err error) {
	p = page{1, defaultPageSize}
	for name, target := range map[string]*int{"page": &p.number, "page_size": &p.size} {
		values := q.values(name)
		if len(values) == 0 || len(values) == 1 && values[0] == "" {
			continue
		}
		asked = true
		n, err := strconv.ParseUint(values[0], 10, 31)
		if len(values) > 1 || err != nil || n == 0 {
			return p, asked, errPagination
		}
		*target = int(n)
	}
	if p.size > maxPageSize {
		return p, asked, errPagination
	}
	return p, asked, nil
}

func (p page) offset() int { return (p.number - 1) * p.size }

func (p page) query(countTo int) hooks.PageQuery {
	return hooks.PageQuery{Limit: p.size, Offset: min(p.offset(), hooks.MaxCount), CountTo: countTo}
}

// inside returns the elements of a page, of which one behind all that are counted
// has none.
func inside[T any](p page, elements []T) []T {
	if p.offset() > hooks.MaxCount {
		return elements[:0]
	}
	return elements
}

// pageHeader is the header of a response with a page of a list of total
// elements, or of more if that is capped.
func (q *query) pageHeader(p page, total int, capped bool) http.Header {
	h := http.Header{"Total-Number": {strconv.Itoa(total)}}
	link := func(rel string, number int) {
		h.Add("Link", "<"+q.withPage(number)+`>; rel="`+rel+`"`)
	}
	last := max(1, (total+p.size-1)/p.size)
	link("first", 1)
	if p.number > 1 {
		link("prev", p.number-1)
	}
	if capped {
		h.Set("Total-Number-Is-Capped", "true")
		return h
	}
	link("last", last)
	if p.number < last {
		link("next", p.number+1)
	}
	return h
}

// withPage is the URL of the request with another page.
func (q *query) withPage(number int) string {
	parameters := slices.Clone(q.parameters)
	wanted := parameter{"page", []string{strconv.Itoa(number)}}
	if i := q.index("page"); i >= 0 {
		parameters[i] = wanted
	} else {
		parameters = append(parameters, wanted)
	}
	pairs := make([]string, len(parameters))
	for i, p := range parameters {
		pairs[i] = url.QueryEscape(p.name) + "=" + url.QueryEscape(strings.Join(p.values, ","))
	}
	return q.url + "?" + strings.Join(pairs, "&")
}

// timeWindow returns the times from start_time to end_time, both included; since
// 24 hours ago if neither is given.
func (q *query) timeWindow(now time.Time) (since, until time.Time, err error) {
	start, startGiven, err := q.milliseconds("start_time")
	if err != nil {
		return since, until, err
	}
	end, endGiven, err := q.milliseconds("end_time")
	if err != nil {
		return since, until, err
	}
	if startGiven && endGiven && start > end {
		return since, until, errTimeWindow
	}
	if startGiven {
		since = timeOf(math.Ceil(start))
	}
	if endGiven {
		until = timeOf(math.Floor(end) + 1)
	}
	if !startGiven && !endGiven {
		since = now.Add(-24 * time.Hour)
	}
	return since, until, nil
}

// milliseconds reads a number as JavaScript does: an empty text is 0.
func (q *query) milliseconds(name string) (n float64, given bool, err error) {
	text, err := q.value(name)
	if err != nil || len(q.values(name)) == 0 {
		return 0, false, err
	}
	n, ok := parseNumber(text)
	if !ok {
		return 0, true, failed(http.StatusBadRequest, "guard.invalid_input", "The request %s is invalid.", name)
	}
	return n, true, nil
}

// parseNumber is Number of JavaScript (ECMA-262, StringToNumber) for finite
// numbers.
func parseNumber(text string) (float64, bool) {
	text = strings.TrimSpace(text)
	if text == "" {
		return 0, true
	}
	if len(text) > 2 && text[0] == '0' && strings.ContainsRune("xXoObB", rune(text[1])) {
		n, err := strconv.ParseUint(text, 0, 64)
		return float64(n), err == nil && !strings.Contains(text, "_")
	}
	if strings.Trim(text, "0123456789+-.eE") != "" {
		return 0, false // "inf", "0x1p-2", "1_000": Go's, not JavaScript's.
	}
	n, err := strconv.ParseFloat(text, 64)
	return n, err == nil
}

// timeOf is the time of so many milliseconds since 1970, or the nearest that
// stores can compare with.
func timeOf(milliseconds float64) time.Time {
	const limit = 1 << 47 // the year 6429
	return time.UnixMilli(int64(min(max(milliseconds, -limit), limit))).UTC()
}
