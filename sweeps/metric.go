package sweeps

import (
	"fmt"
	"math"
	"time"
)

// Goal says which direction of a metric is better.
type Goal string

// The goals of an objective. W&B's default is minimize.
const (
	Minimize Goal = "minimize"
	Maximize Goal = "maximize"
)

// ParseGoal returns the goal that s names.
func ParseGoal(s string) (Goal, error) {
	switch Goal(s) {
	case Minimize, Maximize:
		return Goal(s), nil
	}
	return "", fmt.Errorf("unknown goal %q: want minimize or maximize", s)
}

// Better reports whether a is better than b under the goal. NaN is never better
// than anything, and everything but NaN is better than NaN.
func (g Goal) Better(a, b float64) bool {
	switch {
	case math.IsNaN(a):
		return false
	case math.IsNaN(b):
		return true
	case g == Maximize:
		return a > b
	default:
		return a < b
	}
}

// Objective is the metric that a sweep optimises.
type Objective struct {
	Name string
	Goal Goal
}

// Point is one measurement of a metric.
type Point struct {
	Metric string
	// Step counts what the trainer says it counts (epochs, batches); it need not be
	// dense, and it may be repeated (the later value holds).
	Step  int64
	Value float64 // may be NaN or infinite
	Time  time.Time
}

// Summary is what is kept of a whole series for tables and filters.
type Summary struct {
	Count    int64   `json:"count"`
	Last     float64 `json:"last"`
	LastStep int64   `json:"last_step"`
	Min      float64 `json:"min"` // over the values that are not NaN; NaN if there are none
	MinStep  int64   `json:"min_step"`
	Max      float64 `json:"max"`
	MaxStep  int64   `json:"max_step"`
}

// Add returns the summary with one more point.
func (s Summary) Add(p Point) Summary {
	if s.Count == 0 {
		s.Min, s.Max = math.NaN(), math.NaN()
	}
	s.Count++
	s.Last, s.LastStep = p.Value, p.Step
	if Minimize.Better(p.Value, s.Min) {
		s.Min, s.MinStep = p.Value, p.Step
	}
	if Maximize.Better(p.Value, s.Max) {
		s.Max, s.MaxStep = p.Value, p.Step
	}
	return s
}

// Best returns the best value of the series under the goal, and its step.
func (s Summary) Best(g Goal) (value float64, step int64) {
	if g == Maximize {
		return s.Max, s.MaxStep
	}
	return s.Min, s.MinStep
}
