package results

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// shortFloat rounds to five significant digits and prints without an exponent what
// people read without one.
func shortFloat(f float64) string {
	abs := math.Abs(f)
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return notFinite(f)
	case abs >= 99999.5 && abs < 1e15:
		return strconv.FormatFloat(f, 'f', 0, 64)
	default:
		return tidyExponent(strconv.FormatFloat(f, 'g', 5, 64))
	}
}

// decimals chooses how many decimals the numbers of a column get, so that they align:
// as many as give the largest four or five significant digits. It is -1 where the
// smallest would lose its digits, or numbers are too large; they are rounded one by one.
func decimals(column []value) int {
	largest, smallest := 0.0, math.Inf(1)
	whole := true
	for _, v := range column {
		if !v.kind.number() {
			continue
		}
		abs := math.Abs(v.float())
		if math.IsNaN(abs) || math.IsInf(abs, 0) || abs == 0 {
			continue
		}
		largest, smallest = max(largest, abs), min(smallest, abs)
		whole = whole && abs == math.Trunc(abs)
	}
	switch {
	case largest == 0:
		return 0
	case largest >= 1e15 || largest/smallest > 1e4 || largest < 1e-4:
		return -1
	case whole:
		return 0
	}
	digits := 4
	if largest < 1 {
		digits = 3 // 0.1234, but 1.2345
	}
	return max(0, digits-int(math.Floor(math.Log10(largest))))
}

func fixedFloat(f float64, decimals int) string {
	if decimals < 0 || math.IsNaN(f) || math.IsInf(f, 0) {
		return shortFloat(f)
	}
	return strconv.FormatFloat(f, 'f', decimals, 64)
}

// humanSeconds prints a duration as people say it: 0.12s, 12.3s, 1m23s, 1h02m, 2d03h.
func humanSeconds(s float64) string {
	d := time.Duration(s * float64(time.Second))
	switch {
	case d == 0:
		return "0s"
	case d < time.Second:
		return strconv.FormatFloat(s, 'f', 2, 64) + "s"
	case d < time.Minute-50*time.Millisecond:
		return strconv.FormatFloat(s, 'f', 1, 64) + "s"
	case d < time.Hour-500*time.Millisecond:
		d = d.Round(time.Second)
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	case d < 24*time.Hour-30*time.Second:
		d = d.Round(time.Minute)
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	default:
		d = d.Round(time.Hour)
		return fmt.Sprintf("%dd%02dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	}
}
