package store

import "math/bits"

// KeepsResponse reports whether the log keeps the header and the body of the response to a
// delivery's attempt with this number after later attempts. It does for the powers of two:
// the first attempt, the second, the fourth and so on. The response to the latest attempt is
// always kept. So of n attempts, at most 2 + log2(n) have a response. Everything else about
// them stays in the log.
func KeepsResponse(number int) bool { return bits.OnesCount(uint(max(0, number))) == 1 }
