package sweeps

import (
	"errors"
	"fmt"

	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"
)

// evaluator computes derived parameters and constraints at one point after another.
// It is for one goroutine.
type evaluator struct {
	space  *Space
	values []any  // by the index of Space.params
	known  []bool // whether values holds the current point's value
	// env is what expressions see; cells are the places in it, by parameter.
	env   map[string]any
	cells []cell
	vm    vm.VM
}

type cell struct {
	group map[string]any
	key   string
}

// newEvaluator returns an evaluator at a point where only the constants are known.
func newEvaluator(s *Space) *evaluator {
	e := &evaluator{
		space:  s,
		values: make([]any, len(s.params)),
		known:  make([]bool, len(s.params)),
	}
	if len(s.derived)+len(s.constraints) > 0 {
		e.env = map[string]any{}
		e.cells = make([]cell, len(s.params))
		for i, p := range s.params {
			group := e.env
			for _, name := range p.path[:len(p.path)-1] {
				sub, ok := group[name].(map[string]any)
				if !ok {
					sub = map[string]any{}
					group[name] = sub
				}
				group = sub
			}
			e.cells[i] = cell{group, p.path[len(p.path)-1]}
		}
	}
	for i, p := range s.params {
		if p.dist == Constant {
			e.set(i, p.values[0])
		}
	}
	return e
}

// set gives parameter i its value at the current point.
func (e *evaluator) set(i int, v any) {
	e.values[i], e.known[i] = v, true
	if e.cells != nil {
		e.cells[i].group[e.cells[i].key] = toExpr(v, e.space.params[i].kind)
	}
}

// forget makes the derived parameters unknown, for another point.
func (e *evaluator) forget() {
	for i, p := range e.space.params {
		if p.dist == Derived {
			e.known[i] = false
		}
	}
}

// run evaluates an expression, and before it the derived parameters that it reads.
func (e *evaluator) run(x *expression) (any, error) {
	for _, i := range x.refers {
		if e.known[i] || e.space.params[i].dist != Derived {
			continue
		}
		if err := e.derive(i); err != nil {
			return nil, err
		}
	}
	v, err := e.vm.Run(x.program, e.env)
	if err != nil {
		return nil, e.failed(x, err)
	}
	return v, nil
}

// derive computes the derived parameter i. It ends, as the parser refuses cycles.
func (e *evaluator) derive(i int) error {
	x := e.space.params[i].expr
	v, err := e.run(x)
	if err != nil {
		return err
	}
	c, err := fromExpr(v)
	if err != nil {
		return e.failed(x, err)
	}
	e.set(i, c)
	return nil
}

// firstFalse returns the first of the constraints that excludes the current point; nil
// if none does. It fails only if none does and one cannot be computed: so a constraint
// may exclude the points at which another, before or after it, divides by zero.
func (e *evaluator) firstFalse(constraints []*expression) (*expression, error) {
	var failure error
	for _, x := range constraints {
		v, err := e.run(x)
		holds, ok := v.(bool)
		if err == nil && !ok {
			err = e.failed(x, fmt.Errorf("it gives %s, but a constraint must be true or false", describeResult(v)))
		}
		switch {
		case err != nil && failure == nil:
			failure = err
		case err == nil && !holds:
			return x, nil
		}
	}
	return nil, failure
}

// deriveAll computes every derived parameter.
func (e *evaluator) deriveAll() error {
	for i, p := range e.space.params {
		if p.dist == Derived && !e.known[i] {
			if err := e.derive(i); err != nil {
				return err
			}
		}
	}
	return nil
}

// evaluationError is the failure of an expression at a point.
type evaluationError struct {
	x      *expression
	point  string
	reason string
}

func (e *evaluationError) Error() string {
	s := fmt.Sprintf("%s (%s) cannot be computed", e.x.owner, e.x.source)
	if e.point != "" {
		s += " where " + e.point
	}
	return s + ": " + e.reason
}

func (e *evaluationError) Unwrap() error { return ErrInvalid }

// failed describes why x cannot be computed at the current point.
func (e *evaluator) failed(x *expression, err error) error {
	reason := err.Error()
	var fe *file.Error
	if errors.As(err, &fe) {
		reason = fe.Message
	}
	switch reason {
	case "runtime error: integer divide by zero":
		reason = "division by zero"
	}
	var params []*param
	var values []any
	for _, i := range x.refers {
		if e.known[i] {
			params, values = append(params, e.space.params[i]), append(values, e.values[i])
		}
	}
	return &evaluationError{x: x, point: describePoint(params, values), reason: reason}
}

// describeResult prints what an expression gave, for messages.
func describeResult(v any) string {
	c, err := fromExpr(v)
	if err != nil {
		return fmt.Sprintf("a %T", v)
	}
	return shorten(FormatValue(c))
}
