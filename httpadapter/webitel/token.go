package webitel

import (
	"cmp"
	"net/http"

	"github.com/seed-2c6e3a5a/hooks/httpadapter"
)

// Token returns the token that a client sent, or "" if there is none: that of
// [httpadapter.Token], which knows X-Access-Token, or else the parameter
// "access_token" of the query, where links have it. What is in a query ends up in
// the logs of proxies and the history of browsers.
func Token(r *http.Request) string {
	return cmp.Or(httpadapter.Token(r), r.URL.Query().Get("access_token"))
}
