package httpadapter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
	"github.com/seed-2c6e3a5a/hooks/internal/escape"
)

// The log has at most so many bytes of a text that a client chose, and of an error.
const (
	maxLogged      = 512
	maxLoggedError = 2048
)

// log writes the line of a request.
func (h *handler) log(c *Call, id string, response Response, err error, took time.Duration) {
	text := func(name, value string) slog.Attr { return slog.String(name, escape.Unprintable(value, maxLogged)) }
	attrs := []slog.Attr{
		slog.String("api", h.api.Name()), text("method", c.Method), text("path", c.URL.Path),
		slog.Int("status", response.Status), slog.Duration("took", took), slog.String("request", id),
		text("tenant", c.Caller.Tenant), text("actor", c.Caller.Actor),
	}
	if response.ErrorID != "" {
		attrs = append(attrs, slog.String("errorID", response.ErrorID))
	}
	level := slog.LevelInfo
	gone := c.Context().Err() != nil
	broken := response.Status >= 500 && !gone
	if broken {
		level = slog.LevelError
	}
	if err != nil && (broken || gone || errors.Is(err, ErrUnauthenticated) || errors.Is(err, ErrForbidden) || hasHint(err)) {
		attrs = append(attrs, slog.Any("error", loggedError{err}))
	}
	if panicked := new(panicError); errors.As(err, panicked) {
		attrs = append(attrs, slog.String("stack", string(panicked.stack)))
	}
	// The line is written although the client may be gone.
	h.cfg.Logger.LogAttrs(context.WithoutCancel(c.Context()), level, "hooks: request", attrs...)
}

// hasHint reports whether an error tells the application what would permit the input.
func hasHint(err error) bool {
	var invalid *hooks.InvalidError
	return errors.As(err, &invalid) && invalid.Hint != ""
}

// A loggedError is an error whose text may have what a client sent.
type loggedError struct{ error }

func (e loggedError) Error() string { return escape.Unprintable(e.error.Error(), maxLoggedError) }

// Unwrap returns the error itself, for log handlers that look into it.
func (e loggedError) Unwrap() error { return e.error }

// A panicError is a panic of an endpoint or of the application's Authenticate.
type panicError struct {
	value any
	stack []byte
}

func (e panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }
