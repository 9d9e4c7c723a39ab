package hooks

import (
	"errors"

	"github.com/seed-2c6e3a5a/hooks/internal/escape"
)

// errorText is the text of an error as attempts, deliveries and log lines keep it.
func errorText(err error) string { return printable(err.Error()) }

// printable is text that may be a stranger's, in a form that is safe to print.
func printable(text string) string { return escape.Printable(text) }

// A printableError is an error whose text is safe to print.
type printableError struct{ error }

func (e printableError) Error() string { return errorText(e.error) }

func (e printableError) Unwrap() error { return e.error }

// errAs is [errors.As] for a type of which there is no variable yet.
func errAs[T error](err error) (found T, ok bool) {
	ok = errors.As(err, &found)
	return found, ok
}
