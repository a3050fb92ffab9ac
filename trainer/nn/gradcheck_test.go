package nn

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// projection is the cost of the gradient checks: Σ c∘y for fixed random c, kept in
// float64 so that finite differences of it are not lost in float32's rounding.
type projection struct {
	base
	net  *Net
	c    []float32
	cost *float64
	dy   *tensor.Dense
}

func (p *projection) Do(values ...gorgonia.Value) (gorgonia.Value, error) {
	y, err := floats(values[0], len(p.c))
	if err != nil {
		return nil, err
	}
	*p.cost = 0
	for i, v := range y {
		*p.cost += float64(v) * float64(p.c[i])
	}
	return gorgonia.NewF32(float32(*p.cost)), nil
}

func (p *projection) DiffWRT(n int) []bool { return all(n) }

func (p *projection) SymDiff(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	op := &projectionGrad{base: p.net.newBase("projection backward", in[0].Shape(), grad), fwd: p}
	dy, err := gorgonia.ApplyOp(op, grad)
	return gorgonia.Nodes{dy}, err
}

type projectionGrad struct {
	base
	fwd *projection
}

func (p *projectionGrad) Do(values ...gorgonia.Value) (gorgonia.Value, error) {
	g, err := scalar(values[0])
	for i, c := range p.fwd.c {
		p.fwd.dy.Data().([]float32)[i] = c * g
	}
	return p.fwd.dy, err
}

// variable adds a differentiable input for a check, with normally distributed elements.
func variable(n *Net, name string, shape ...int) *gorgonia.Node {
	return n.weight(name, Normal(1), shape...)
}

// checkGradients builds a net whose output is y (or is a scalar cost), and compares
// the gradient of a random projection of it, with regard to each weight and
// variable, with central differences along random directions.
func checkGradients(t *testing.T, seed uint64, build func(n *Net) *gorgonia.Node) {
	t.Helper()
	if err := gradientError(seed, build); err != nil {
		t.Error(err)
	}
}

func gradientError(seed uint64, build func(n *Net) *gorgonia.Node) error {
	params := NewParams(seed)
	clock := &Clock{Seed: seed, Step: 3}
	n := NewNet(params, NewWorkspace(), clock)
	y := build(n)
	if n.Err() != nil {
		return n.Err()
	}
	r := NewRand(seed, 1)
	p := &projection{base: n.newBase("projection", tensor.ScalarShape(), y), net: n, cost: new(float64)}
	p.c = make([]float32, y.Shape().TotalSize())
	if y.IsScalar() {
		p.c = []float32{1}
	}
	Normal(1)(p.c, r)
	p.dy = tensor.New(tensor.Of(tensor.Float32), tensor.WithShape(y.Shape()...))
	cost := y
	value := func() float64 { v, _ := Scalar(y); return v }
	if !y.IsScalar() {
		cost = n.apply("projection", p, y)
		value = func() float64 { return *p.cost }
	}
	weights, err := n.Differentiate(cost)
	if err != nil {
		return err
	}
	// Biases and class tokens start at zero; a check at zero would be a check of a special case.
	for _, w := range weights {
		for i := range w.Data() {
			w.Data()[i] += float32(0.1 * r.Normal())
		}
	}
	m, err := n.Machine()
	if err != nil {
		return err
	}
	if err := Run(m); err != nil {
		return err
	}
	grads := make([][]float32, len(weights))
	for i, w := range weights {
		g, err := w.Grad()
		if err != nil {
			return err
		}
		grads[i] = append([]float32(nil), g.Data().([]float32)...)
	}
	var errs []error
	for i, w := range weights {
		const eps = 1e-2
		data, direction := w.Data(), make([]float32, len(w.Data()))
		Normal(1)(direction, r)
		norm, analytic := 0.0, 0.0
		for j, d := range direction {
			norm += float64(d) * float64(d)
			analytic += float64(d) * float64(grads[i][j])
		}
		// A step of fixed length, whatever the number of elements.
		h := eps * math.Sqrt(float64(len(data))) / math.Sqrt(norm)
		if len(data) > 400 {
			h *= 20 / math.Sqrt(float64(len(data)))
		}
		saved := append([]float32(nil), data...)
		at := func(sign float64) (float64, error) {
			for j, d := range direction {
				data[j] = saved[j] + float32(sign*h*float64(d))
			}
			err := Run(m)
			return value(), err
		}
		plus, err1 := at(1)
		minus, err2 := at(-1)
		copy(data, saved)
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		numeric := (plus - minus) / (2 * h)
		scale := math.Sqrt(norm*sumSquares(grads[i])/float64(len(data))) + 1e-3
		if math.Abs(numeric-analytic) > 5e-3*scale || math.IsNaN(numeric) {
			errs = append(errs, fmt.Errorf("gradient of %s %v: %v along a direction, %v by differences (scale %.3g)", w.Name(), w.Param.Value.Shape(), analytic, numeric, scale))
		}
	}
	return errors.Join(errs...)
}

func sumSquares(x []float32) float64 {
	s := 0.0
	for _, v := range x {
		s += float64(v) * float64(v)
	}
	return s
}

// run builds a net without gradients and returns a copy of its output.
func run(t *testing.T, params *Params, clock *Clock, build func(n *Net) *gorgonia.Node) []float32 {
	t.Helper()
	n := NewNet(params, NewWorkspace(), clock)
	y := build(n)
	m, err := n.Machine()
	if err != nil {
		t.Fatal(err)
	}
	if err := Run(m); err != nil {
		t.Fatal(err)
	}
	return append([]float32(nil), y.Value().Data().([]float32)...)
}
