package webitel

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/httpadapter"
	"github.com/seed-2c6e3a5a/hooks/internal/escape"
)

// An Error is an error in Webitel's form. An [httpadapter.Authenticate] that
// returns one chooses the response itself, for example because a token has expired.
type Error struct {
	// Status is that of the response. Default: 401.
	Status int
	// Info is for people.
	Info string
}

func (e *Error) Error() string { return e.Info }

func badRequest(info string) *Error {
	return &Error{http.StatusBadRequest, "Bad request: " + info}
}

var errBadID = &Error{http.StatusBadRequest, "Bad id"}

type errorView struct {
	Status string `json:"status"`
	Info   string `json:"info"`
}

// Fail implements [httpadapter.API].
func (*api) Fail(r *http.Request, err error) httpadapter.Response {
	e := errorOf(r, err)
	return httpadapter.Response{Status: cmp.Or(e.Status, http.StatusUnauthorized), Body: errorView{"error", e.Info}}
}

func errorOf(r *http.Request, err error) *Error {
	var known *Error
	var broken *hooks.InvalidError
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, httpadapter.ErrForbidden):
		return &Error{http.StatusForbidden, "Permission denied!"}
	case errors.Is(err, httpadapter.ErrUnauthenticated):
		return &Error{http.StatusUnauthorized, "Invalid token"}
	case errors.As(err, &broken):
		return badRequest(fieldOf(broken) + " " + broken.Reason)
	case errors.Is(err, httpadapter.ErrNoRoute), errors.Is(err, httpadapter.ErrMethodNotAllowed):
		return &Error{http.StatusNotFound, shownURI(r) + " not found."}
	case errors.Is(err, httpadapter.ErrBodyTooLarge):
		return &Error{http.StatusRequestEntityTooLarge, "The body is too large"}
	case errors.Is(err, httpadapter.ErrBodyIncomplete):
		return badRequest("the body is incomplete")
	case errors.Is(err, hooks.ErrTooManyHooks):
		return badRequest("the domain has as many hooks as it may have")
	}
	return &Error{http.StatusInternalServerError, "Internal server error"}
}

// maxShownURI bounds what a response repeats of a URL, in bytes.
const maxShownURI = 2048

// shownURI is the URL that the client asked for, without a query that has credentials.
func shownURI(r *http.Request) string {
	path, query, _ := strings.Cut(r.RequestURI, "?")
	values, err := url.ParseQuery(query)
	if err != nil || values.Has("access_token") || values.Has("x_key") {
		return escape.Unprintable(path, maxShownURI)
	}
	return escape.Unprintable(r.RequestURI, maxShownURI)
}

// fieldOf names what is wrong with a hook by the names of the API.
func fieldOf(e *hooks.InvalidError) string {
	switch field, _, _ := strings.Cut(e.Field, "["); field {
	case "url", "method":
		return "action." + field
	case "events":
		return "event"
	case "settings": // Their size is all that can be wrong.
		return "fields, map, filter, auth and rawBody together"
	}
	return strings.TrimPrefix(e.Field, "settings.")
}
