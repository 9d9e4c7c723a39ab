package httpadapter

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// routes finds the endpoint of a request.
//
// It is no [http.ServeMux], which redirects paths that are not clean (and loses
// the prefix that StripPrefix took away), is strict about letter case and
// empty segments, and responds by itself where an API has a form of its own.
type routes []route

type route struct {
	Route
	segments []string
}

func newRoutes(list []Route) routes {
	all := make(routes, len(list))
	for i, r := range list {
		all[i] = route{r, segmentsOf(r.Path)}
	}
	return all
}

// find returns the endpoint for the request and sets its path values, or nil
// and the methods that the path has, none if there is no such path. A GET
// endpoint is one for HEAD, too.
func (all routes) find(r *http.Request) (*route, []string) {
	segments := segmentsOf(r.URL.EscapedPath())
	for i, s := range segments {
		if decoded, err := url.PathUnescape(s); err == nil {
			segments[i] = decoded
		}
	}
	var allow []string
	for i := range all {
		candidate := &all[i]
		if !candidate.matches(segments) {
			continue
		}
		if candidate.Method == r.Method || candidate.Method == http.MethodGet && r.Method == http.MethodHead {
			candidate.setPathValues(r, segments)
			return candidate, nil
		}
		if candidate.Method == http.MethodGet {
			allow = append(allow, http.MethodHead)
		}
		allow = append(allow, candidate.Method)
	}
	if allow != nil {
		allow = append(allow, http.MethodOptions)
	}
	slices.Sort(allow)
	return nil, allow
}

// segmentsOf returns the segments of a path but for empty ones, which clients
// make that append a path to a URL with a slash at its end.
func segmentsOf(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

func (r *route) matches(segments []string) bool {
	return slices.EqualFunc(r.segments, segments, func(pattern, segment string) bool {
		_, anything := variable(pattern)
		return anything || strings.EqualFold(segment, pattern)
	})
}

func (r *route) setPathValues(request *http.Request, segments []string) {
	for i, pattern := range r.segments {
		if name, ok := variable(pattern); ok {
			request.SetPathValue(name, segments[i])
		}
	}
}

// variable returns the name in the braces of a segment such as "{id}".
func variable(pattern string) (string, bool) {
	name, found := strings.CutPrefix(pattern, "{")
	return strings.TrimSuffix(name, "}"), found
}
