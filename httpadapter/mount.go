package httpadapter

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Mount registers an API in a mux, beside the application's own patterns. The handler
// must come from [New], or from the New of a package such as logto. Mount panics
// if it does not, or if a pattern of the mux conflicts with one of the API's endpoints, as
// [http.ServeMux.Handle] does.
//
// Each pattern has a method, so that it is more specific than those of the application:
// the application may have patterns such as "/", "GET /", "GET /{path...}" and "POST
// /api/{x}", registered before or after. The endpoints are registered exactly.
// Mount also registers all other methods and paths at and below the API's root, so
// that the API responds in its own form, but leaves out what conflicts with a
// pattern of the mux. So register patterns with wildcards, such as "GET
// /{tenant}/hooks/{id}", before Mount. The methods are those of RFC 9110 (except
// CONNECT) and PATCH.
//
// In a mux, patterns that begin with a host name come before all that do not: beside
// "example.com/", nobody reaches the API at example.com. Mount it in a mux of its own
// then, and register that one below the host name.
//
// The segments of the root may be written as documented, in lower case, in upper
// case, or with a capital at the beginning: "/api/v1/eventhooks", "/API/Hooks".
// The rest of the path may have any letter case and end with a slash. A mux cannot
// do more: it finds nothing at "/aPi/hooks", and redirects "//api/hooks" to the
// clean path, and clients may not repeat a body then.
func Mount(mux *http.ServeMux, api http.Handler) { MountAt(mux, "", api) }

// MountAt is Mount below a prefix such as "/logto", which is also in the URLs of
// responses. The prefix must begin with a slash, must not end with one, and must not
// contain braces, percent signs and spaces; otherwise MountAt panics.
func MountAt(mux *http.ServeMux, prefix string, api http.Handler) {
	mounted, ok := api.(interface{ Routes() []Route })
	if !ok {
		panic(fmt.Sprintf("httpadapter: Mount takes a handler that httpadapter.New made, or the New of an API, and not a %T", api))
	}
	if prefix != "" && (prefix[0] != '/' || strings.HasSuffix(prefix, "/") || strings.ContainsAny(prefix, "{}% \t")) {
		panic(fmt.Sprintf("httpadapter: the prefix %q must begin with a slash, not end with one, and have no braces, percent signs and spaces", prefix))
	}
	handler := http.StripPrefix(prefix, api)
	routes := mounted.Routes()
	for _, r := range routes {
		mux.Handle(r.Method+" "+prefix+r.Path, handler)
	}
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} {
		for _, root := range rootsOf(routes) {
			for _, spelling := range spellingsOf(root) {
				tryHandle(mux, method+" "+prefix+spelling, handler)
				if !tryHandle(mux, method+" "+prefix+spelling+"/", handler) {
					tryHandle(mux, method+" "+prefix+spelling+"/{$}", handler)
				}
			}
		}
	}
	for _, r := range routes { // where there is no room for all that is below the root
		tryHandle(mux, r.Method+" "+prefix+r.Path+"/{$}", handler)
	}
}

// tryHandle registers a pattern unless the mux has one that conflicts with it, of
// which Handle tells by a panic alone. It reports whether it did.
func tryHandle(mux *http.ServeMux, pattern string, handler http.Handler) (registered bool) {
	defer func() { registered = recover() == nil }()
	mux.Handle(pattern, handler)
	return true
}

// rootsOf returns the paths that all others begin with, up to their first variable.
func rootsOf(routes []Route) (roots []string) {
	for _, r := range routes {
		root, _, _ := strings.Cut(r.Path, "/{")
		isBelow := func(other string) bool { return strings.HasPrefix(root+"/", other+"/") }
		if !slices.ContainsFunc(roots, isBelow) {
			roots = slices.DeleteFunc(roots, func(other string) bool { return strings.HasPrefix(other, root+"/") })
			roots = append(roots, root)
		}
	}
	return roots
}

// spellingsOf returns a path in the letter cases that [Mount] tells.
func spellingsOf(path string) []string {
	spellings := []string{""}
	for segment := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		var longer []string
		for _, s := range spellings {
			for _, spelling := range []string{segment, strings.ToLower(segment), strings.ToUpper(segment), capital(segment), capital(strings.ToLower(segment))} {
				longer = append(longer, s+"/"+spelling)
			}
		}
		slices.Sort(longer)
		spellings = slices.Compact(longer)
	}
	return spellings
}

func capital(s string) string { return strings.ToUpper(s[:min(1, len(s))]) + s[min(1, len(s)):] }
