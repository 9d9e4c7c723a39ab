package logto

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter"
	"github.com/seed-2c6e3a5a/hooks/httpadapter/internal/wire"
)

// An Error is an error in Logto's form. Clients tell errors apart by Code. An
// [httpadapter.Authenticate] that returns one has it sent as it is, for example
// because a tenant is suspended.
type Error struct {
	// Status is that of the response. Default: 403.
	Status  int    `json:"-"`
	Code    string `json:"code,omitempty"`
	Data    any    `json:"data,omitempty"`
	Details string `json:"details,omitempty"`
	Message string `json:"message"`
}

func (e *Error) Error() string { return strings.TrimSpace(e.Code + " " + e.Message) }

// Codes of 401 and 403 that are the application's to give: see [Error].
const (
	CodeSubjectMissing  = "auth.jwt_sub_missing"
	CodeTenantSuspended = "subscription.tenant_suspended"
	CodeLimitExceeded   = "subscription.limit_exceeded"
)

func failed(status int, code, format string, args ...any) *Error {
	return &Error{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

// The three endpoints that know a hook by its ID and do not find it each say so
// in another way.
var (
	errNotExists = failed(http.StatusNotFound, "entity.not_exists", "The hook does not exist.")
	errNotFound  = failed(http.StatusNotFound, "entity.not_found", "The resource does not exist.")
)

func errNotExistsWithID(id string) *Error {
	return failed(http.StatusNotFound, "entity.not_exists_with_id", "The hooks with ID `%s` does not exist.", id)
}

var (
	errNoChange      = failed(http.StatusUnprocessableEntity, "entity.invalid_input", "Invalid input. Value list must not be empty.")
	errMissingEvents = failed(http.StatusBadRequest, "hook.missing_events", "You need to provide at least one event.")
	errPagination    = failed(http.StatusBadRequest, "guard.invalid_pagination", "The request pagination value is invalid.")
	errTimeWindow    = failed(http.StatusBadRequest, "log.invalid_time_window", "`end_time` must be after `start_time`.")
)

var (
	errTooManyHooks = failed(http.StatusForbidden, "system_limit.limit_exceeded", "There are as many hooks as there may be.")
	errBusy         = failed(http.StatusTooManyRequests, "request.rate_limited", "Too many tests at a time. Please try again later.")
)

// orNotFound replaces an error for a hook that is not there.
func orNotFound(err error, notFound *Error) error {
	if errors.Is(err, hooks.ErrNotFound) {
		return notFound
	}
	return err
}

// Fail implements [httpadapter.API].
func (*api) Fail(r *http.Request, err error) httpadapter.Response {
	e := errorOf(r, err)
	response := httpadapter.Response{Status: cmp.Or(e.Status, http.StatusForbidden), Body: e}
	if e == errBusy {
		response.Header = http.Header{"Retry-After": {strconv.Itoa(wire.RetryAfter)}}
	}
	return response
}

func errorOf(r *http.Request, err error) *Error {
	var known *Error
	var invalid *hooks.InvalidError
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, httpadapter.ErrForbidden):
		return failed(http.StatusForbidden, "auth.forbidden", "You are not allowed to do this.")
	case errors.Is(err, httpadapter.ErrUnauthenticated):
		return unauthenticated(r)
	case errors.As(err, &invalid) && invalid.Field == "url":
		return failed(http.StatusUnprocessableEntity, "hook.endpoint_not_allowed", "The endpoint is not allowed: %s %s.", fieldOf(invalid), invalid.Reason)
	case errors.As(err, &invalid):
		return failed(http.StatusUnprocessableEntity, "entity.invalid_input", "Invalid input. %s: %s.", fieldOf(invalid), invalid.Reason)
	case errors.Is(err, httpadapter.ErrNoRoute):
		return failed(http.StatusNotFound, "", "Not Found")
	case errors.Is(err, httpadapter.ErrMethodNotAllowed):
		return failed(http.StatusMethodNotAllowed, "", "Method Not Allowed")
	case errors.Is(err, httpadapter.ErrBodyTooLarge):
		return failed(http.StatusRequestEntityTooLarge, "guard.invalid_input", "The request body is too large.")
	case errors.Is(err, httpadapter.ErrBodyIncomplete):
		return failed(http.StatusBadRequest, "", "The request body is incomplete.")
	case errors.Is(err, hooks.ErrNotFound):
		return errNotFound
	case errors.Is(err, hooks.ErrTooManyHooks):
		return errTooManyHooks
	case errors.Is(err, hooks.ErrBusy):
		return errBusy
	}
	return failed(http.StatusInternalServerError, "", "Internal server error.")
}

// fieldOf names what is wrong with a hook by the names of the API.
func fieldOf(e *hooks.InvalidError) string {
	field, _, _ := strings.Cut(e.Field, "[")
	switch field {
	case "url", "headers":
		return "config." + e.Field
	case "schedule", "settings.retries":
		return "config.retries"
	}
	return e.Field
}

const bearer = "Bearer"

func unauthenticated(r *http.Request) *Error {
	authorization := r.Header.Get("Authorization")
	isBearer := len(authorization) >= len(bearer) && strings.EqualFold(authorization[:len(bearer)], bearer)
	switch {
	case authorization == "":
		return failed(http.StatusUnauthorized, "auth.authorization_header_missing", "The Authorization header is missing.")
	case !isBearer:
		e := failed(http.StatusUnauthorized, "auth.authorization_token_type_not_supported", "The type of the authorization token is not supported.")
		e.Data = map[string][]string{"supportedTypes": {bearer}}
		return e
	}
	return failed(http.StatusUnauthorized, "auth.unauthorized", "Unauthorized: the credentials are not valid.")
}
