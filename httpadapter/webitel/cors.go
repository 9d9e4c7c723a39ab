package webitel

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/wire"
)

const anyOrigin = "*"

// withCORS lets pages of the origins use the handler (Fetch Standard, section
// 3.3).
func withCORS(origins []string, next http.Handler) (http.Handler, error) {
	for i, origin := range origins {
		if origin != anyOrigin && !wire.IsOrigin(origin) {
			return nil, &hooks.InvalidError{Field: fmt.Sprintf("config.origins[%d]", i), Reason: `must be "*" or a scheme and a host, such as "https://pbx.example.com"`}
		}
	}
	if len(origins) == 0 {
		return next, nil
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Add("Vary", "Origin")
		origin := r.Header.Get("Origin")
		if origin != "" && (slices.Contains(origins, origin) || slices.Contains(origins, anyOrigin)) {
			header.Set("Access-Control-Allow-Origin", origin)
			header.Set("Access-Control-Allow-Methods", "GET,POST,PUT,DELETE")
			header.Set("Access-Control-Allow-Headers", "Content-type,Accept,X-Access-Token,X-Key")
			header.Set("Access-Control-Max-Age", "86400")
		}
		next.ServeHTTP(w, r)
	}), nil
}
