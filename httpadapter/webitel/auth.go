package webitel

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/wire"
)

// The names of what an auth request brings, as placeholders have them.
const (
	authBody   = "auth:body:"
	authHeader = "auth:header:"
)

// maxAuthResponse bounds the response to an auth request, in bytes.
const maxAuthResponse = 64 << 10

// An authView is how a hook logs in before each delivery. It keeps which members were
// given: the API shows no others.
type authView struct {
	Enabled *bool   `json:"enabled,omitempty"`
	URL     *string `json:"url,omitempty"`
	Method  *string `json:"method,omitempty"`
	Cookie  *bool   `json:"cookie,omitempty"`
	Headers texts   `json:"headers,omitzero"`
	Map     texts   `json:"map,omitzero"`
}

// or returns what a pointer leads to, or the zero value if it leads nowhere.
func or[T any](p *T) (value T) {
	if p != nil {
		value = *p
	}
	return value
}

// A login makes the auth requests of a hook.
type login struct {
	url    *url.URL
	method string
	header []named
	params []named
	// cookies says that deliveries have the cookies that the response sets.
	cookies bool
}

// parseLogin returns nil if the hook does not log in.
func parseLogin(view *authView) (*login, error) {
	if view == nil {
		return nil, nil
	}
	l := &login{cookies: or(view.Cookie)}
	var err error
	if l.method, err = parseMethod("settings.auth.method", or(view.Method), http.MethodGet); err != nil {
		return nil, err
	}
	if l.header, err = parseHeader("settings.auth.headers", view.Headers); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(view.Map)) {
		l.params = append(l.params, named{fmt.Sprintf("settings.auth.map[%q]", name), name, parseTemplate(view.Map[name])})
	}
	if !or(view.Enabled) || or(view.URL) == "" {
		return nil, nil
	}
	if l.url, err = url.Parse(*view.URL); err != nil {
		return nil, &hooks.InvalidError{Field: "settings.auth.url", Reason: "must be a URL"}
	}
	return l, nil
}

// ask makes the auth request, puts what it brings into the scope, and returns the
// Cookie header for the delivery.
func (l *login) ask(ctx context.Context, send hooks.Send, s *scope) (cookie string, err error) {
	r := hooks.Request{Method: l.method, URL: l.url, MaxResponse: maxAuthResponse}
	if r.Header, err = fillHeader(l.header, s); err != nil {
		return "", err
	}
	values, err := fillAll(l.params, s, maxBody)
	if err != nil {
		return "", err
	}
	params := make([]wire.Member, len(values))
	for i, value := range values {
		params[i] = wire.Member{Name: l.params[i].name, Value: wire.JSON(value)}
	}
	if l.method == http.MethodGet {
		if r.URL, err = withQuery(l.url, params); err != nil {
			return "", err
		}
	} else {
		r.Body = object(params)
	}
	complete(&r)
	response := send(ctx, r)
	if !judge(response).Success {
		return "", failed(response)
	}
	if response.Truncated {
		return "", &hooks.AttemptError{Class: hooks.ClassBody, Err: fmt.Errorf("the response to the auth request has more than %d bytes", maxAuthResponse)}
	}
	results, cookie := resultsOf(response)
	s.authenticate(results)
	if !l.cookies {
		cookie = ""
	}
	return cookie, nil
}

// failed is the failure of a delivery whose auth request had this response, of which
// it tells the status and Retry-After alone: it may have credentials.
func failed(response hooks.Response) error {
	failure := response.Failure()
	reason := error(failure)
	switch failure.Class { // Here net/http quotes what it got.
	case hooks.ClassHTTP:
		reason = errors.New("the response is not valid HTTP, or has too many headers")
	case hooks.ClassHTTP2:
		reason = errors.New("the HTTP/2 stream or connection ended with an error")
	}
	return &hooks.AttemptError{
		Class: failure.Class, Err: fmt.Errorf("the auth request failed: %w", reason),
		Response: &hooks.Response{Status: response.Status, Header: http.Header{"Retry-After": response.Header["Retry-After"]}},
	}
}

// resultsOf returns what placeholders may name of a response, and its cookies in the form
// of the header Cookie (RFC 6265, section 4.2.1).
func resultsOf(response hooks.Response) (results map[string]string, cookie string) {
	results = map[string]string{}
	for name, values := range response.Header {
		results[authHeader+strings.ToLower(name)] = strings.Join(values, ";")
	}
	cookies := map[string]string{}
	for _, line := range response.Header["Set-Cookie"] {
		pair, _, _ := strings.Cut(line, ";")
		name, value, ok := strings.Cut(pair, "=")
		if name = strings.TrimSpace(name); ok && name != "" {
			cookies[name] = strings.TrimSpace(value)
			results[authHeader+name] = cookies[name]
		}
	}
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(cookies)) {
		pairs = append(pairs, name+"="+cookies[name])
	}
	if json.Valid(response.Body) {
		members, _ := wire.MembersOf(bytes.TrimSpace(response.Body))
		for _, m := range members {
			var text *string
			if json.Unmarshal(m.Value, &text) == nil && text != nil {
				results[authBody+m.Name] = *text
			}
		}
	}
	return results, strings.Join(pairs, "; ")
}
