package sweeps

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strings"
)

// Count tells how many trials a plan has.
type Count struct {
	// Trials is what will run: at most the run cap, and math.MaxInt64 if the plan is
	// not bounded.
	Trials int64
	// Excluded is how many indices of a grid a constraint excludes; always 0 for the
	// random method, which draws again.
	Excluded int64
	// Exact is false where the constraints tie so many combinations together that
	// Trials and Excluded are estimated from a sample.
	Exact bool
	// Bounded is false for a random sweep without run_cap, which never ends.
	Bounded bool
}

const (
	// maxEnumerated is how many combinations of the parameters that constraints tie
	// together are looked at to count those that are left.
	maxEnumerated = 1_000_000
	// maxChecked is how many of them are computed ahead to find an expression that
	// fails at some point.
	maxChecked = 20_000
	// maxSampled is how many of them make an estimate.
	maxSampled = 20_000
	// checkedDraws is how many draws are computed ahead.
	checkedDraws = 16
)

// component is a set of dimensions that expressions tie together, directly or through
// derived parameters. What they do to one component does not depend on another.
type component struct {
	dims        []dimension
	constraints []*expression // in the file's order
	derived     []int         // in Space.params
	size        int64         // the product of its dimensions
}

// components groups the dimensions that the constraints tie together and, if derived
// is true, those that derived parameters do. Dimensions that nothing refers to are in
// none; expressions of constants are in one without dimensions.
func (p *Plan) components(derived bool) []*component {
	parent := make([]int, len(p.dims)) // a union-find forest over the dimensions
	for i := range parent {
		parent[i] = i
	}
	root := func(i int) int {
		for parent[i] != i {
			i = parent[i]
		}
		return i
	}
	tied := func(x *expression) []int {
		dims := p.dimensionsOf(x)
		for _, d := range dims {
			parent[root(d)] = root(dims[0])
		}
		return dims
	}
	type user struct {
		dims       []int
		constraint *expression
		derived    int
	}
	var users []user
	for _, c := range p.spec.Space.constraints {
		users = append(users, user{dims: tied(c), constraint: c})
	}
	if derived {
		for i, q := range p.spec.Space.params {
			if q.dist == Derived {
				users = append(users, user{dims: tied(q.expr), derived: i})
			}
		}
	}
	var out []*component
	const constant = -1
	byRoot := map[int]*component{}
	for _, u := range users {
		r := constant
		if len(u.dims) > 0 {
			r = root(u.dims[0])
		}
		c := byRoot[r]
		if c == nil {
			c = &component{size: 1}
			byRoot[r] = c
			out = append(out, c)
			for i, d := range p.dims {
				if r != constant && root(i) == r {
					c.dims = append(c.dims, d)
					c.size *= d.size // divides p.points, so it cannot overflow
				}
			}
		}
		if u.constraint != nil {
			c.constraints = append(c.constraints, u.constraint)
		} else {
			c.derived = append(c.derived, u.derived)
		}
	}
	return out
}

// dimensionsOf returns the dimensions that an expression reads, through derived
// parameters too, as indices into p.dims.
func (p *Plan) dimensionsOf(x *expression) []int {
	needed := make([]bool, len(p.spec.Space.params))
	var need func(x *expression)
	need = func(x *expression) {
		for _, i := range x.refers {
			if !needed[i] {
				needed[i] = true
				if q := p.spec.Space.params[i]; q.dist == Derived {
					need(q.expr)
				}
			}
		}
	}
	need(x)
	var out []int
	for i, d := range p.dims {
		if needed[d.param] {
			out = append(out, i)
		}
	}
	return out
}

// each brings the evaluator to combinations of c, the n-th of which number returns,
// until there are enough or visit returns false.
func (p *Plan) each(c *component, e *evaluator, count int64, number func(n int64) int64, visit func() bool) {
	for n := range count {
		e.forget()
		rest := number(n)
		for i := len(c.dims) - 1; i >= 0; i-- {
			d := c.dims[i]
			e.set(d.param, p.spec.Space.params[d.param].gridValue(rest%d.size))
			rest /= d.size
		}
		if !visit() {
			return
		}
	}
}

// inTurn numbers combinations one after the other.
func inTurn(n int64) int64 { return n }

// checkGrid looks for a point that the constraints leave, and for expressions that
// fail.
func (p *Plan) checkGrid() error {
	e := newEvaluator(p.spec.Space)
	for _, c := range p.components(false) {
		survivor := false
		var failure error
		blame := map[*expression]int{}
		looked := min(c.size, maxEnumerated)
		p.each(c, e, looked, inTurn, func() bool {
			by, err := e.firstFalse(c.constraints)
			if err != nil {
				failure = err
				return false
			}
			survivor = by == nil
			blame[by]++
			return !survivor
		})
		if failure != nil {
			return p.inFile(failure)
		}
		if !survivor {
			return p.nothingLeft(c, blame, looked)
		}
	}
	for _, c := range p.components(true) {
		var failure error
		p.each(c, e, min(c.size, maxChecked), inTurn, func() bool {
			by, err := e.firstFalse(c.constraints)
			for i := 0; i < len(c.derived) && err == nil && by == nil; i++ {
				if !e.known[c.derived[i]] {
					err = e.derive(c.derived[i])
				}
			}
			failure = err
			return err == nil
		})
		if failure != nil {
			return p.inFile(failure)
		}
	}
	return nil
}

// nothingLeft is the error of constraints that exclude all of the combinations that
// were looked at.
func (p *Plan) nothingLeft(c *component, blame map[*expression]int, looked int64) error {
	by := mostBlamed(c.constraints, blame)
	which := "every point, so no trial is left"
	if looked < c.size {
		which = fmt.Sprintf("each of the first %d combinations of %s, and no more are tried", looked, p.dimensionNames(c))
	}
	if int64(blame[by]) == looked {
		return p.spec.errorAt(by.at, "%s excludes %s: loosen it, or add values that satisfy it", by.owner, which)
	}
	return p.spec.errorAt(by.at, "the constraints together exclude %s: loosen one of them, or add values that satisfy them all (%s excludes the most)",
		which, by.owner)
}

// dimensionNames lists the names of a component's dimensions.
func (p *Plan) dimensionNames(c *component) string {
	names := make([]string, len(c.dims))
	for i, d := range c.dims {
		names[i] = p.spec.Space.params[d.param].name()
	}
	return strings.Join(names, ", ")
}

// checkRandom computes the first draws.
func (p *Plan) checkRandom() error {
	if len(p.spec.Space.constraints)+len(p.spec.Space.derived) == 0 {
		return nil
	}
	for n := range min(p.size, checkedDraws) {
		if _, err := p.draw(n); err != nil {
			return p.inFile(err)
		}
	}
	return nil
}

// inFile gives an error of an expression its place in the file.
func (p *Plan) inFile(err error) error {
	var failed *evaluationError
	var none *exhausted
	switch {
	case errors.As(err, &failed):
		return p.spec.errorAt(failed.x.at, "%v; exclude such points by a constraint, or change the values", failed)
	case errors.As(err, &none):
		return p.spec.errorAt(none.by.at, "%v", none)
	default:
		return err
	}
}

// Count counts the plan's trials without visiting its points one by one: it
// enumerates the parameters that constraints tie together, and multiplies. The first
// call may take a second; its result is kept.
func (p *Plan) Count() Count {
	p.countOnce.Do(func() {
		if p.spec.Method == Random {
			p.count = Count{Trials: p.size, Exact: true, Bounded: p.spec.RunCap > 0}
			return
		}
		p.count = p.countGrid()
	})
	return p.count
}

func (p *Plan) countGrid() Count {
	e := newEvaluator(p.spec.Space)
	exact, left := true, p.points
	for _, c := range p.components(false) {
		visited, number := c.size, inTurn
		if c.size > maxEnumerated {
			exact = false
			visited = maxSampled
			key := drawKey(0, nil)
			number = func(n int64) int64 {
				return min(int64(uniform01(key, n, 0)*float64(c.size)), c.size-1)
			}
		}
		allowed := int64(0)
		p.each(c, e, visited, number, func() bool {
			// A point where a constraint fails is not excluded: it is a trial that
			// At will refuse.
			if by, err := e.firstFalse(c.constraints); by == nil || err != nil {
				allowed++
			}
			return true
		})
		left = fraction(left, allowed, visited)
	}
	n := Count{Trials: left * p.repeat, Excluded: (p.points - left) * p.repeat, Exact: exact, Bounded: true}
	if p.spec.RunCap > 0 {
		n.Trials = min(n.Trials, p.spec.RunCap)
	}
	return n
}

// fraction returns total·part/whole, rounded down, without overflow; part ≤ whole.
func fraction(total, part, whole int64) int64 {
	hi, lo := bits.Mul64(uint64(total), uint64(part))
	q, _ := bits.Div64(hi, lo, uint64(whole))
	return int64(min(q, math.MaxInt64))
}
