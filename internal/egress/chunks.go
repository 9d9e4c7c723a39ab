package egress

import (
	"math"
	"strings"
)

// A chunkScanner finds the end of a body in chunks (RFC 9112, section 7.1). Its
// zero value is at the beginning of one.
type chunkScanner struct {
	state chunkState
	size  int // how much of the chunk is still to come, in bytes
	// lineIsEmpty says that the line of the trailer has no characters so far.
	lineIsEmpty bool
}

type chunkState int

const (
	chunkSize chunkState = iota
	chunkExtension
	chunkData
	chunkDataEnd
	chunkTrailer
	chunkEnded
)

// scan returns how many of the bytes belong to the body, whose end it has not seen yet.
func (s *chunkScanner) scan(b []byte) int {
	for i := 0; i < len(b); i++ {
		if s.state == chunkData && s.size > 0 {
			n := min(s.size, len(b)-i)
			s.size -= n
			i += n - 1
			continue
		}
		if s.next(b[i]); s.state == chunkEnded {
			return i + 1
		}
	}
	return len(b)
}

// next processes a byte that is not part of the data.
func (s *chunkScanner) next(char byte) {
	digit := strings.IndexByte("0123456789abcdef", char|0x20)
	switch {
	case s.state == chunkSize && digit >= 0:
		s.size = min(s.size, math.MaxInt>>4)<<4 | digit // A larger chunk is never read to its end.
	case (s.state == chunkSize || s.state == chunkExtension) && char == '\n':
		s.state = chunkData
		if s.size == 0 {
			s.state, s.lineIsEmpty = chunkTrailer, true
		}
	case s.state == chunkSize:
		s.state = chunkExtension
	case s.state == chunkData: // the \r after it
		s.state = chunkDataEnd
	case s.state == chunkDataEnd:
		s.state = chunkSize
	case s.state == chunkTrailer && char == '\n':
		if s.lineIsEmpty {
			s.state = chunkEnded
		}
		s.lineIsEmpty = true
	case s.state == chunkTrailer && char != '\r':
		s.lineIsEmpty = false
	}
}
