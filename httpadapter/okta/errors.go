package okta

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/wire"
)

// An Error is an error in Okta's form. Clients tell errors apart by Code. An
// [httpadapter.Authenticate] that returns one has it sent as it is, for example
// because a tenant has not bought the feature.
type Error struct {
	// Status is that of the response. Default: that of the code, or 403.
	Status int
	Code   string
	// Summary is for people. Default: that of the code.
	Summary string
	// Causes are the errorSummary of the errorCauses.
	Causes []string
}

func (e *Error) Error() string {
	return strings.TrimSpace(e.Code + " " + strings.Join(append([]string{e.summary()}, e.Causes...), "; "))
}

// Codes that are the application's to give: see [Error].
const (
	CodeNoFeature = "E0000015"
	CodeReadOnly  = "E0000010"
)

// codes has the status and the summary of each code.
var codes = map[string]struct {
	status  int
	summary string
}{
	"E0000001":    {http.StatusBadRequest, "Api validation failed: eventHook"},
	"E0000002":    {http.StatusBadRequest, "The request was not valid"},
	"E0000003":    {http.StatusBadRequest, "The request body was not well-formed."},
	"E0000006":    {http.StatusForbidden, "You do not have permission to perform the requested action"},
	"E0000007":    {http.StatusNotFound, "Not found: Resource not found"},
	"E0000008":    {http.StatusNotFound, "The requested path was not found"},
	"E0000009":    {http.StatusInternalServerError, "Internal Server Error"},
	CodeReadOnly:  {http.StatusServiceUnavailable, "Service is in read only mode"},
	"E0000011":    {http.StatusUnauthorized, "Invalid token provided"},
	CodeNoFeature: {http.StatusUnauthorized, "You do not have permission to access the feature you are requesting"},
	"E0000021":    {http.StatusBadRequest, "Bad request. Accept and/or Content-Type headers likely do not match supported values."},
	"E0000022":    {http.StatusMethodNotAllowed, "The endpoint does not support the provided HTTP method"},
	"E0000047":    {http.StatusTooManyRequests, "API call exceeded rate limit due to too many requests."},
}

func (e *Error) summary() string { return cmp.Or(e.Summary, codes[e.Code].summary) }

func (e *Error) status() int {
	return cmp.Or(e.Status, codes[e.Code].status, http.StatusForbidden)
}

var (
	errMediaType = &Error{Code: "E0000021"}
	errRateLimit = &Error{Code: "E0000047"}
	errBusy      = &Error{Code: "E0000047"}
	errMalformed = &Error{Code: "E0000003"}
)

// invalid is the response to a hook that breaks rules.
func invalid(causes ...string) *Error { return &Error{Code: "E0000001", Causes: causes} }

func errNotFound(id string) *Error {
	return &Error{Code: "E0000007", Summary: fmt.Sprintf("Not found: Resource not found: %s (Webhook)", id)}
}

type errorView struct {
	Code    string      `json:"errorCode"`
	Summary string      `json:"errorSummary"`
	Link    string      `json:"errorLink"`
	ID      string      `json:"errorId"`
	Causes  []causeView `json:"errorCauses"`
}

type causeView struct {
	Summary string `json:"errorSummary"`
}

// Fail implements [httpadapter.API].
func (*api) Fail(r *http.Request, err error) httpadapter.Response {
	e := errorOf(r, err)
	view := errorView{
		Code: e.Code, Summary: e.summary(), Link: e.Code,
		ID: "oae" + wire.RandomText(22, urlSafe), Causes: make([]causeView, len(e.Causes)),
	}
	for i, cause := range e.Causes {
		view.Causes[i].Summary = cause
	}
	response := httpadapter.Response{Status: e.status(), Body: view, ErrorID: view.ID}
	if e == errBusy {
		response.Header = busyHeader(time.Now())
	}
	return response
}

func errorOf(r *http.Request, err error) *Error {
	var known *Error
	var broken *hooks.InvalidError
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, httpadapter.ErrForbidden):
		return &Error{Code: "E0000006"}
	case errors.Is(err, httpadapter.ErrUnauthenticated):
		return &Error{Code: "E0000011"}
	case errors.As(err, &broken):
		return invalid(causeOf(broken))
	case errors.Is(err, httpadapter.ErrNoRoute):
		return &Error{Code: "E0000008"}
	case errors.Is(err, httpadapter.ErrMethodNotAllowed):
		return &Error{Code: "E0000022"}
	case errors.Is(err, httpadapter.ErrBodyTooLarge):
		return &Error{Code: "E0000002", Summary: "The request was not valid: the body is too large"}
	case errors.Is(err, httpadapter.ErrBodyIncomplete):
		return errMalformed
	case errors.Is(err, hooks.ErrNotFound):
		return errNotFound(r.PathValue("id"))
	case errors.Is(err, hooks.ErrTooManyHooks):
		return invalid("There are as many event hooks as there may be")
	case errors.Is(err, hooks.ErrBusy):
		return errBusy
	}
	return &Error{Code: "E0000009"}
}

// causeOf names what is wrong with a hook by the names of the API.
func causeOf(e *hooks.InvalidError) string {
	field, index, _ := strings.Cut(e.Field, "[")
	switch field {
	case "url":
		field = "channel.config.uri"
	case "headers":
		field = "channel.config.headers"
	case "events":
		field = "events.items"
	case "secrets":
		field, index = "channel.config.authScheme.value", "" // There is one.
	case "settings.authHeader":
		field = "channel.config.authScheme.key"
	case "settings":
		field = "events.filter" // All else in them is small.
	}
	if index != "" {
		field += "[" + index
	}
	return field + ": " + e.Reason
}
