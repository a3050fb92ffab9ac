package report

import (
	"math"
	"strconv"
	"strings"
)

// parseNumber reads the whole of s as a decimal number, NaN or an infinity, as the
// usual languages print them: 1, -.5, 1e-3, nan, -inf, Infinity. A number too large
// for a float64 is an infinity. Unlike strconv.ParseFloat it knows neither hexadecimal
// numbers nor underscores.
func parseNumber(s string) (float64, bool) {
	v, n := scanNumber(s)
	return v, n > 0 && n == len(s)
}

// scanNumber reads the number that s begins with and returns how many bytes it takes; 0
// where s begins with none.
func scanNumber(s string) (v float64, n int) {
	i := 0
	if i < len(s) && (s[i] == '+' || s[i] == '-') {
		i++
	}
	if i < len(s) && isLetter(s[i]) {
		return scanNonFinite(s, i)
	}
	digits := 0
	for ; i < len(s) && isDigit(s[i]); i++ {
		digits++
	}
	if i < len(s) && s[i] == '.' {
		i++
		for ; i < len(s) && isDigit(s[i]); i++ {
			digits++
		}
	}
	if digits == 0 {
		return 0, 0
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		j := i + 1
		if j < len(s) && (s[j] == '+' || s[j] == '-') {
			j++
		}
		if j < len(s) && isDigit(s[j]) {
			for i = j; i < len(s) && isDigit(s[i]); i++ {
			}
		}
	}
	v, err := strconv.ParseFloat(s[:i], 64)
	if err != nil && !math.IsInf(v, 0) {
		return 0, 0
	}
	return v, i
}

// scanNonFinite reads the word at s[i:], after a sign, as NaN or an infinity.
func scanNonFinite(s string, i int) (v float64, n int) {
	j := i
	for j < len(s) && isLetter(s[j]) {
		j++
	}
	switch word := s[i:j]; {
	case strings.EqualFold(word, "nan"):
		return math.NaN(), j
	case strings.EqualFold(word, "inf"), strings.EqualFold(word, "infinity"):
		if s[0] == '-' {
			return math.Inf(-1), j
		}
		return math.Inf(1), j
	}
	return 0, 0
}

func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
