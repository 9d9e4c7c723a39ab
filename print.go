package hooks

import (
	"cmp"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
)

// How the types that hold secrets print, log and marshal. What gets past it, as for
// [Secret], is fmt with unexported fields, and with %p for what is no pointer.

// Format writes String for every verb.
func (h Hook) Format(f fmt.State, verb rune) { formatText(f, verb, h.String()) }

// MarshalJSON leaves out what may be secret, as String does: the values of
// Headers, Settings, Secrets, and the userinfo and query of the URL are
// "[redacted]" or missing. Everything else is there under the name of its field.
// The JSON is for logs and displays: unmarshalling it does not give the same Hook.
// To store a whole Hook, read its fields.
func (h Hook) MarshalJSON() ([]byte, error) {
	type fields Hook
	shown := fields(h)
	shown.URL, shown.Sealed = withoutSecrets(h.URL), nil
	if len(h.Headers) > 0 {
		shown.Headers = make(map[string]string, len(h.Headers))
		for name := range h.Headers {
			shown.Headers[name] = redacted
		}
	}
	if len(h.Settings) > 0 {
		shown.Settings = json.RawMessage(`"` + redacted + `"`)
	}
	return json.Marshal(shown)
}

// String tells where the request goes. It leaves out what may be secret: the values
// of Header, Body, and the userinfo and query of URL.
func (r Request) String() string {
	address := "no URL"
	if r.URL != nil {
		address = withoutQuery(r.URL)
	}
	return printable(fmt.Sprintf("%s %s with %d bytes", cmp.Or(r.Method, http.MethodPost), address, len(r.Body)))
}

// GoString is String, for %#v.
func (r Request) GoString() string { return r.String() }

// Format writes String for every verb.
func (r Request) Format(f fmt.State, verb rune) { formatText(f, verb, r.String()) }

// LogValue is String, for log/slog.
func (r Request) LogValue() slog.Value { return slog.StringValue(r.String()) }

// MarshalJSON leaves out what String leaves out, but names the header's fields.
func (r Request) MarshalJSON() ([]byte, error) {
	shown := struct {
		Method   string
		URL      string
		Header   http.Header
		BodySize int
	}{cmp.Or(r.Method, http.MethodPost), "", redactedHeader(r.Header), len(r.Body)}
	if r.URL != nil {
		shown.URL = withoutQuery(r.URL)
	}
	return json.Marshal(shown)
}

// Format writes what the Manager is, for every verb: its Config has keys.
func (*Manager) Format(f fmt.State, verb rune) { formatText(f, verb, "hooks.Manager") }

// formatText writes the text as %s, or as the verb where that is not for values of
// any type, so that no verb makes fmt look into the value.
func formatText(f fmt.State, verb rune, text string) {
	if verb == 'v' {
		verb = 's'
	}
	_, _ = fmt.Fprintf(f, fmt.FormatString(f, verb), text)
}

// withoutSecrets is withoutQuery for a text that need not be a URL.
func withoutSecrets(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return redacted
	}
	return withoutQuery(u)
}

// withoutQuery is the text of a URL without what may be secret in it: userinfo,
// query and fragment. Of one without a host, whose userinfo may be anywhere, only
// the scheme is left if there might be some.
func withoutQuery(u *url.URL) string {
	if u.Opaque != "" || u.Host == "" && strings.Contains(u.Path, "@") {
		return (&url.URL{Scheme: u.Scheme, Opaque: redacted}).String()
	}
	short := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	return short.String()
}
