package logto

import (
	"bytes"
	"strconv"
)

// appendJSNumber appends a number of JSON as Number::toString of ECMA-262, section
// 6.1.6.1.20, writes it, or as it is if JavaScript would change its value.
func appendJSNumber(out, text []byte) []byte {
	if isShortInteger(text) {
		return append(out, text...)
	}
	exact, isZero, ok := decimalOf(text)
	if isZero {
		return append(out, '0') // also for -0
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if !ok || err != nil || f == 0 {
		return append(out, text...)
	}
	var buffer [32]byte
	if shortest, _, _ := decimalOf(strconv.AppendFloat(buffer[:0], f, 'e', -1, 64)); shortest != exact {
		return append(out, text...)
	}
	if f < 0 {
		out = append(out, '-')
	}
	return exact.append(out)
}

// isShortInteger reports whether a number is an integer that JavaScript writes with
// the same digits.
func isShortInteger(text []byte) bool {
	digits := bytes.TrimPrefix(text, []byte("-"))
	for _, c := range digits {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(digits) <= 15 && string(text) != "-0"
}

// maxDigits is how many digits the shortest form of a number has at most.
const maxDigits = 17

// A decimal is 0.d₁d₂… times ten to the power of point, without its sign. Neither its
// first digit nor its last is 0.
type decimal struct {
	digits [maxDigits]byte
	n      int
	point  int
}

// decimalOf reads a number of JSON. It returns false if it has too many digits to be
// a decimal.
func decimalOf(text []byte) (d decimal, isZero, ok bool) {
	text = bytes.TrimPrefix(text, []byte("-"))
	mantissa, exponent := text, 0
	ok = true
	if i := bytes.IndexAny(text, "eE"); i >= 0 {
		var err error
		mantissa = text[:i]
		exponent, err = strconv.Atoi(string(text[i+1:]))
		ok = err == nil
	}
	zeros, behindPoint := 0, false // zeros that count if another digit follows
	for _, c := range mantissa {
		if c == '.' {
			behindPoint = true
			continue
		}
		if !behindPoint && (d.n > 0 || c != '0') || behindPoint && d.n == 0 && c == '0' {
			if behindPoint {
				d.point--
			} else {
				d.point++
			}
		}
		if c == '0' {
			if d.n > 0 {
				zeros++
			}
			continue
		}
		if d.n+zeros >= maxDigits {
			return decimal{}, false, false
		}
		for ; zeros > 0; zeros-- {
			d.digits[d.n] = '0'
			d.n++
		}
		d.digits[d.n] = c
		d.n++
	}
	d.point += exponent
	return d, d.n == 0, ok
}

// append writes the decimal in JavaScript's form.
func (d *decimal) append(out []byte) []byte {
	digits := d.digits[:d.n]
	switch {
	case d.n <= d.point && d.point <= 21:
		return append(append(out, digits...), bytes.Repeat([]byte("0"), d.point-d.n)...)
	case 0 < d.point && d.point <= 21:
		return append(append(append(out, digits[:d.point]...), '.'), digits[d.point:]...)
	case -6 < d.point && d.point <= 0:
		return append(append(append(out, "0."...), bytes.Repeat([]byte("0"), -d.point)...), digits...)
	}
	out = append(out, digits[0])
	if d.n > 1 {
		out = append(append(out, '.'), digits[1:]...)
	}
	out = append(out, 'e')
	if d.point > 0 {
		out = append(out, '+')
	}
	return strconv.AppendInt(out, int64(d.point-1), 10)
}
