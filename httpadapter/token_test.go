package httpadapter_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-2c6e3a5a/hooks/httpadapter"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/webitel"
)

func TestTokens(t *testing.T) {
	for _, c := range []struct {
		target  string
		header  http.Header
		want    string
		webitel string
	}{
		{"/", http.Header{}, "", ""},
		{"/", http.Header{"Authorization": {"Bearer a.b-c_d"}}, "a.b-c_d", "a.b-c_d"},
		{"/", http.Header{"Authorization": {"bearer T"}}, "T", "T"},
		{"/", http.Header{"Authorization": {"SSWS T"}}, "T", "T"},
		// What Okta's SDK for Python sends, since 3.0.
		{"/", http.Header{"Authorization": {"SSWS00a1b2C3-d4_e5"}}, "00a1b2C3-d4_e5", "00a1b2C3-d4_e5"},
		{"/", http.Header{"Authorization": {"BearereyJhbGciOiJub25lIn0.e30."}}, "eyJhbGciOiJub25lIn0.e30.", "eyJhbGciOiJub25lIn0.e30."},
		{"/", http.Header{"Authorization": {"ssws \t T "}}, "T", "T"},
		{"/", http.Header{"Authorization": {"Bearer"}}, "", ""},
		{"/", http.Header{"Authorization": {"SSWS  "}}, "", ""},
		{"/", http.Header{"Authorization": {"Bear T"}}, "", ""},
		{"/", http.Header{"Authorization": {"T"}}, "", ""},
		{"/", http.Header{"Authorization": {""}}, "", ""},
		{"/", http.Header{"Authorization": {"Basic YTpi"}}, "", ""},
		{"/", http.Header{"Authorization": {"Basic YTpi"}, "X-Access-Token": {"T"}}, "T", "T"},
		{"/", http.Header{"Authorization": {"Bearer T"}, "X-Access-Token": {"other"}}, "T", "T"},
		{"/?access_token=Q", http.Header{}, "", "Q"},
		{"/?access_token=Q&access_token=R", http.Header{"X-Access-Token": {"T"}}, "T", "T"},
		{"/?access_token=", http.Header{}, "", ""},
		{"/?token=Q", http.Header{}, "", ""},
	} {
		r := httptest.NewRequest("GET", c.target, nil)
		r.Header = c.header
		assert.Equal(t, c.want, httpadapter.Token(r), c)
		assert.Equal(t, c.webitel, webitel.Token(r), c)
	}
}

// FuzzToken takes the token out of any header: it is a part of it, without space
// around it.
func FuzzToken(f *testing.F) {
	for _, seed := range []string{"Bearer T", "SSWST", "ssws\tT ", "Basic YTpi", "", "Bearer", "bearerſsws"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, authorization string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["Authorization"] = []string{authorization}
		token := httpadapter.Token(r)
		assert.Contains(t, authorization, token)
		assert.Equal(t, strings.TrimSpace(token), token)
	})
}
