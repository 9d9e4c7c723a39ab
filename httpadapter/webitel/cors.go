package webitel

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/wire"
)

const anyOrigin = "*"

// parseOrigins checks the origins and returns them as browsers write them.
func parseOrigins(list []string) ([]string, error) {
	origins := make([]string, len(list))
	for i, text := range list {
		origin, ok := wire.Origin(text)
		if !ok && text != anyOrigin {
			return nil, &hooks.InvalidError{Field: fmt.Sprintf("config.origins[%d]", i), Reason: `must be "*" or a scheme and a host, such as "https://pbx.example.com"`}
		}
		origins[i] = origin
		if text == anyOrigin {
			origins[i] = anyOrigin
		}
	}
	return origins, nil
}

// A corsHandler lets pages of the origins use the API (Fetch Standard, section
// 3.3).
type corsHandler struct {
	http.Handler
	origins []string
}

func (h corsHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if origin != "" && (slices.Contains(h.origins, origin) || slices.Contains(h.origins, anyOrigin)) {
		header.Set("Access-Control-Allow-Origin", origin)
		header.Set("Access-Control-Allow-Methods", "GET,POST,PUT,DELETE")
		header.Set("Access-Control-Allow-Headers", "Content-type,Accept,X-Access-Token,X-Key")
		header.Set("Access-Control-Max-Age", "86400")
	}
	h.Handler.ServeHTTP(w, r)
}

// Routes are those of the API, for [httpadapter.Mount].
func (h corsHandler) Routes() []httpadapter.Route {
	return h.Handler.(interface{ Routes() []httpadapter.Route }).Routes()
}
