package sweeps

import (
	"fmt"
	"math"
	"strings"
)

// Distribution says how a parameter gets its value.
type Distribution string

// The distributions of this version; the names are W&B's, except for Derived.
const (
	Constant    Distribution = "constant"
	Categorical Distribution = "categorical"
	IntUniform  Distribution = "int_uniform"        // whole numbers, both ends included
	Uniform     Distribution = "uniform"            // real numbers
	LogUniform  Distribution = "log_uniform_values" // real numbers, uniform in their logarithm
	Derived     Distribution = "expr"               // computed from other parameters
)

// Space is the search space of a sweep: its parameters and its constraints. It is
// made by [Parse] and never changed.
type Space struct {
	// params are in W&B's order: by name, code point by code point, a nested group
	// at its own name's place. It is the order of a grid's digits, last fastest.
	params      []*param
	derived     []*param // those with an expression, each after those that it refers to
	constraints []*expression
}

// param is one parameter, of whatever nesting.
type param struct {
	path []string // the names of its groups, then its own
	at   place
	dist Distribution

	values []any // of a constant, one; of a categorical, as in the file, duplicates too
	// distinct are a categorical's values without duplicates: one for each group of
	// equal ones, at the first's position.
	distinct []any

	lo, hi       float64 // bounds of uniform and log_uniform_values
	ilo, ihi     int64   // bounds of int_uniform
	expr         *expression
	kind         kind
	boundsInFile string // as Python prints them
}

// name is the path joined by dots.
func (p *param) name() string { return strings.Join(p.path, ".") }

// gridSize is how many values a grid visits: 1 for a constant and for a derived
// parameter, 0 if the distribution cannot be in a grid or has more values than an
// int64 counts.
func (p *param) gridSize() int64 {
	switch p.dist {
	case Constant, Derived:
		return 1
	case Categorical:
		return int64(len(p.distinct))
	case IntUniform:
		// As unsigned numbers the difference cannot overflow.
		if n := uint64(p.ihi) - uint64(p.ilo); n < math.MaxInt64 {
			return int64(n) + 1
		}
	}
	return 0
}

// gridValue is the i-th value in a grid, from 0.
func (p *param) gridValue(i int64) any {
	switch p.dist {
	case Categorical:
		return p.distinct[i]
	case IntUniform:
		return p.ilo + i
	default:
		return p.values[0]
	}
}

// quantile is the inverse of the cumulative distribution, as W&B's engine computes
// it; x lies between 0 and 1, both excluded.
func (p *param) quantile(x float64) any {
	switch p.dist {
	case Categorical:
		n := len(p.values)
		i := int(math.Ceil(x*float64(n))) - 1
		return p.values[min(max(i, 0), n-1)]
	case IntUniform:
		v := math.Ceil(x*(float64(p.ihi)-float64(p.ilo)+1)+float64(p.ilo)) - 1
		// Large bounds are no float64, so v may have been rounded past them.
		switch {
		case v <= float64(p.ilo):
			return p.ilo
		case v >= float64(p.ihi):
			return p.ihi
		default:
			return int64(v)
		}
	case Uniform:
		v := p.lo + x*(p.hi-p.lo)
		if math.IsInf(p.hi-p.lo, 0) {
			v = p.lo*(1-x) + p.hi*x
		}
		return p.real(v)
	case LogUniform:
		lo, hi := math.Log(p.lo), math.Log(p.hi)
		return p.real(math.Exp(lo + x*(hi-lo)))
	default:
		return p.values[0]
	}
}

// real brings a drawn number that rounding took past a bound back to it, and makes it
// canonical.
func (p *param) real(v float64) any {
	v = min(max(v, p.lo), p.hi)
	c, err := canonicalFloat(v)
	if err != nil { // impossible: the bounds are finite
		return p.lo
	}
	return c
}

// ParameterInfo describes one parameter to people.
type ParameterInfo struct {
	Name         string // nested names joined by dots
	Distribution Distribution
	// Size is the number of values in a grid; 1 for a constant and for a derived
	// parameter; 0 where there is no such number, as for uniform.
	Size int64
	// Text is the values, the bounds or the expression: "4, 8, 16", "0.1 to 0.5".
	Text string
}

// Parameters describes the parameters in the order of the grid's digits, the last of
// which changes fastest.
func (s *Space) Parameters() []ParameterInfo {
	out := make([]ParameterInfo, len(s.params))
	for i, p := range s.params {
		info := ParameterInfo{Name: p.name(), Distribution: p.dist, Size: p.gridSize()}
		switch p.dist {
		case Derived:
			info.Text = p.expr.source
		case Constant, Categorical:
			values := p.values
			if p.dist == Categorical {
				values = p.distinct
			}
			texts := make([]string, len(values))
			for j, v := range values {
				texts[j] = FormatValue(v)
			}
			info.Text = strings.Join(texts, ", ")
		default:
			info.Text = p.boundsInFile
		}
		out[i] = info
	}
	return out
}

// Constraints returns the constraints as the file has them.
func (s *Space) Constraints() []string {
	out := make([]string, len(s.constraints))
	for i, c := range s.constraints {
		out[i] = c.source
	}
	return out
}

// names returns the dotted names of all parameters.
func (s *Space) names() []string {
	out := make([]string, len(s.params))
	for i, p := range s.params {
		out[i] = p.name()
	}
	return out
}

// assemble makes the Params of the parameters that are known.
func (s *Space) assemble(values []any, known []bool) Params {
	out := Params{}
	for i, p := range s.params {
		if !known[i] {
			continue
		}
		group := map[string]any(out)
		for _, name := range p.path[:len(p.path)-1] {
			sub, ok := group[name].(map[string]any)
			if !ok {
				sub = map[string]any{}
				group[name] = sub
			}
			group = sub
		}
		group[p.path[len(p.path)-1]] = values[i]
	}
	return out
}

// describePoint prints the values that an expression saw, for messages.
func describePoint(params []*param, values []any) string {
	texts := make([]string, len(params))
	for i, p := range params {
		texts[i] = fmt.Sprintf("%s = %s", p.name(), shorten(FormatValue(values[i])))
	}
	return strings.Join(texts, ", ")
}
