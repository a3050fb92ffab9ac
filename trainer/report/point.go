package report

import (
	"math"
	"time"
)

// Point is one measurement.
type Point struct {
	Metric string
	Step   int64
	Value  float64   // may be NaN or infinite
	Time   time.Time // zero where the trainer did not say
}

// Position is how far a file has been read: what a [Reader] or a [Printed] needs in
// order to continue as if it had never stopped. It is a value to be saved as JSON; the
// zero Position is the beginning of the file. Nobody changes one that was handed out.
type Position struct {
	Offset int64 `json:"offset"` // bytes, just after the last line yielded
	Line   int64 `json:"line"`   // how many lines that is
	// Skipped counts the lines that were garbage or too long.
	Skipped int64 `json:"skipped,omitempty"`
	// Steps holds the last step of each metric, which numbers points without one.
	Steps map[string]int64 `json:"steps,omitempty"`
}

// steps numbers the points of each metric. A nil map is empty; it is made when needed.
type steps map[string]int64

// take returns the step of the metric's next point: the given one where known, else the
// previous one plus one.
func (s *steps) take(metric string, step int64, known bool) int64 {
	if *s == nil {
		*s = make(steps)
	}
	if !known {
		step = (*s)[metric]
		if step < math.MaxInt64 {
			step++
		}
	}
	(*s)[metric] = step
	return step
}
