// Package wire is what the protocols of the systems below httpadapter have in
// common.
package wire

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/internal/header"
)

// TimeFormat is that of times in payloads, for time in UTC.
const TimeFormat = "2006-01-02T15:04:05.000Z"

// Redacted stands for the values of headers in logs.
const Redacted = "[redacted]"

// RetryAfter is what responses to [hooks.ErrBusy] have in their header Retry-After,
// in seconds.
const RetryAfter = 5

// A Member is one of a JSON object, with its value as it was written.
type Member struct {
	Name  string
	Value json.RawMessage
}

// Members returns the members of the event's data, or the data as the one member
// "data" if it is no object.
func Members(e *hooks.Event) []Member {
	if members, ok := MembersOf(e.Data); ok {
		return members
	}
	return []Member{{"data", e.Data}}
}

// MembersOf returns the members of a JSON object in their order, or false if the
// value is none.
func MembersOf(value json.RawMessage) ([]Member, bool) {
	d := json.NewDecoder(bytes.NewReader(value))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return nil, false
	}
	members := []Member{}
	for d.More() {
		name, _ := d.Token()
		m := Member{}
		if m.Name, _ = name.(string); d.Decode(&m.Value) != nil {
			return nil, false
		}
		members = append(members, m)
	}
	return members, true
}

// Append appends the member, without white space around its parts, to JSON.
func (m Member) Append(b *bytes.Buffer) {
	b.Write(JSON(m.Name))
	b.WriteByte(':')
	_ = json.Compact(b, m.Value) // It is JSON, or there would be no event.
}

// JSON returns the JSON of a value that has one, without escapes for HTML.
func JSON(value any) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(value) // The caller knows that it can.
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// RandomText returns n of the characters, of which there are at most 64.
func RandomText(n int, characters string) string {
	text := make([]byte, 0, n)
	var random [64]byte
	for {
		_, _ = rand.Read(random[:]) // never fails, by its contract
		for _, b := range random {
			// Six bits choose, or choose none: each character is as likely.
			if i := int(b & 63); i < len(characters) {
				text = append(text, characters[i])
			}
			if len(text) == n {
				return string(text)
			}
		}
	}
}

// Settings decodes the settings of a hook, if it has any. The shape says what
// they are, for the [hooks.InvalidError].
func Settings(h hooks.Hook, into any, shape string) error {
	if len(h.Settings) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(h.Settings))
	d.DisallowUnknownFields()
	if d.Decode(into) != nil || !errors.Is(d.Decode(&struct{}{}), io.EOF) {
		return &hooks.InvalidError{Field: "settings", Reason: "must be " + shape}
	}
	return nil
}

// CheckHeader returns a [hooks.InvalidError] for the field unless a user may set this
// header.
func CheckHeader(field, name, value string) error {
	if rule := header.Check(name, value); rule != "" {
		return &hooks.InvalidError{Field: field, Reason: rule}
	}
	return nil
}

// A Header is one of requests, and what the log keeps of it.
type Header struct{ Sent, Logged http.Header }

// NewHeader returns the protocol's own header with the hook's in it, which
// replace it but for those that the hook must not set.
func NewHeader(own http.Header, h hooks.Hook, reserved ...string) (Header, error) {
	made := Header{Sent: maps.Clone(own), Logged: maps.Clone(own)}
	for name, value := range h.Headers {
		key := textproto.CanonicalMIMEHeaderKey(name)
		isKey := func(other string) bool { return header.Key(key) == header.Key(other) }
		if slices.ContainsFunc(reserved, isKey) || own[key] == nil && slices.ContainsFunc(slices.Collect(maps.Keys(own)), isKey) {
			return Header{}, &hooks.InvalidError{Field: fmt.Sprintf("headers[%q]", name), Reason: "is set by the protocol"}
		}
		made.Sent[key], made.Logged[key] = []string{value}, []string{Redacted}
	}
	for _, key := range reserved {
		made.Logged[key] = []string{Redacted}
	}
	return made, nil
}

// Judge is for systems to which 2xx is success.
func Judge(r hooks.Response) hooks.Verdict {
	if r.Err != nil {
		return hooks.Verdict{Permanent: !Retriable(r.Err.Class, 0)}
	}
	return hooks.Verdict{
		Success: r.Status >= 200 && r.Status <= 299, Permanent: !Retriable(hooks.ClassStatus, r.Status), Throttle: Overloaded(r),
	}
}

// Overloaded reports whether the endpoint asks for a pause: it responded with 429 or
// 503 and a Retry-After.
func Overloaded(r hooks.Response) bool {
	if r.Status != http.StatusTooManyRequests && r.Status != http.StatusServiceUnavailable {
		return false
	}
	_, saysWhen := r.RetryAfter(time.Now())
	return saysWhen
}

// Retriable reports whether an attempt that failed so is worth another to the
// systems: after a status of 500 to 599 and when no response came.
func Retriable(class hooks.ErrorClass, status int) bool {
	switch class {
	case hooks.ClassStatus:
		return status >= 500 && status <= 599
	case hooks.ClassForbidden, hooks.ClassRequest, hooks.ClassRedirect:
		return false
	}
	return true
}
