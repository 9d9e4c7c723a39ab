package hooks

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxErrorText bounds Attempt.Error and Delivery.Reason, in bytes.
const maxErrorText = 1 << 10

// errorText is the text of an error as attempts, deliveries and log lines keep it.
func errorText(err error) string { return printable(err.Error()) }

// printable returns text that may be a stranger's in a form that is safe to print:
// its first 1024 bytes, with an escape as in Go for everything that is not
// printable (control characters, line ends, marks of writing direction, characters
// without width; see [strconv.IsPrint]), and U+FFFD for what is not UTF-8. It
// leaves its own result as it is.
func printable(text string) string {
	text = strings.ToValidUTF8(strings.TrimSpace(text[:min(len(text), maxErrorText)]), "\uFFFD")
	if !strings.ContainsFunc(text, isUnprintable) {
		return cut(text)
	}
	var b strings.Builder
	for _, r := range text {
		if isUnprintable(r) {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		} else {
			b.WriteRune(r)
		}
	}
	return cut(b.String())
}

func isUnprintable(r rune) bool { return !strconv.IsPrint(r) }

// cut shortens text to maxErrorText without half a character at its end.
func cut(text string) string {
	if len(text) <= maxErrorText {
		return text
	}
	end := maxErrorText
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}

// A printableError is an error whose text is safe to print.
type printableError struct{ error }

func (e printableError) Error() string { return errorText(e.error) }

func (e printableError) Unwrap() error { return e.error }

// errAs is [errors.As] for a type of which there is no variable yet.
func errAs[T error](err error) (found T, ok bool) {
	ok = errors.As(err, &found)
	return found, ok
}
