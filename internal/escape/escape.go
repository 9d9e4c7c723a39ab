// Package escape makes what strangers wrote safe to print.
package escape

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

const mark = "…"

// maxText bounds what Printable returns, in bytes.
const maxText = 1 << 10

// Printable returns the text, which may be a stranger's, in a form that is safe for log
// lines and errors: without spaces around it, in at most 1 KiB, and otherwise like
// Unprintable.
func Printable(text string) string { return Unprintable(strings.TrimSpace(text), maxText) }

// Unprintable returns the text with an escape as in Go for all that is not printable:
// control characters, line ends, marks of writing direction, characters without
// width (see [strconv.IsPrint]), and bytes that are no UTF-8. The result has at most
// limit bytes; a text that was cut ends with "…". Its own result stays as it is.
func Unprintable(text string, limit int) string {
	if len(text) <= limit && !strings.ContainsFunc(text, suspect) {
		return text
	}
	if limit < len(mark) {
		return ""
	}
	var b strings.Builder
	whole := 0 // how many bytes leave room for the mark
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		part := text[:size]
		text = text[size:]
		if !strconv.IsPrint(r) || r == utf8.RuneError && size == 1 {
			quoted := strconv.Quote(part)
			part = quoted[1 : len(quoted)-1]
		}
		if b.Len()+len(part) > limit {
			return b.String()[:whole] + mark
		}
		b.WriteString(part)
		if b.Len() <= limit-len(mark) {
			whole = b.Len()
		}
	}
	return b.String()
}

func suspect(r rune) bool { return r == utf8.RuneError || !strconv.IsPrint(r) }
