package httpadapter

import (
	"net/http"
	"strings"
)

// Token returns the token that a client sent, or "" if there is none: that of the
// header Authorization, after "Bearer" or "SSWS" in any letter case, or else the
// header X-Access-Token. The space after the scheme may be missing: Okta's SDK for
// Python sends "SSWStoken".
//
// Compare it in constant time, and refuse an empty one:
//
//	subtle.ConstantTimeCompare([]byte(httpadapter.Token(r)), []byte(secret)) == 1
func Token(r *http.Request) string {
	authorization := strings.TrimSpace(r.Header.Get("Authorization"))
	for _, scheme := range []string{"Bearer", "SSWS"} {
		if len(authorization) >= len(scheme) && strings.EqualFold(authorization[:len(scheme)], scheme) {
			return strings.TrimSpace(authorization[len(scheme):])
		}
	}
	return r.Header.Get("X-Access-Token")
}
