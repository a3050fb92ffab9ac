package nn

import (
	"fmt"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
	"swath/trainer/nn/channel"
	"swath/trainer/nn/kernel"
)

// Activation is a function applied element by element, often in the same pass as
// the operation before it. Its derivative is taken from its result, so that nothing
// but the result has to be kept. The zero value is the identity.
type Activation struct {
	kind activationKind
	// negative is the slope below 0 of the piecewise linear kind.
	negative float32
}

type activationKind int

const (
	identity activationKind = iota
	piecewiseLinear
	hyperbolicTangent
)

// ReLU is max(0, x).
func ReLU() Activation { return LeakyReLU(0) }

// LeakyReLU is x above 0 and slope·x below, with a slope from 0 to 1. At 0 its
// derivative is the slope, as in PyTorch.
func LeakyReLU(slope float64) Activation {
	return Activation{kind: piecewiseLinear, negative: float32(slope)}
}

// Tanh is the hyperbolic tangent.
func Tanh() Activation { return Activation{kind: hyperbolicTangent} }

// check reports a slope whose sign would be lost in the result.
func (a Activation) check() error {
	if a.kind == piecewiseLinear && !(a.negative >= 0 && a.negative <= 1) {
		return fmt.Errorf("slope %v of a leaky ReLU is not in [0, 1]", a.negative)
	}
	return nil
}

// apply sets y to the activation of y.
func (a Activation) apply(y []float32) {
	switch a.kind {
	case piecewiseLinear:
		channel.Leaky(y, y, a.negative)
	case hyperbolicTangent:
		kernel.Tanh(y, y)
	}
}

// grad sets dz to the gradient before the activation, for the gradient dy after it
// and its result y. dz may be dy.
func (a Activation) grad(dz, dy, y []float32) {
	dy, y = dy[:len(dz)], y[:len(dz)]
	switch a.kind {
	case identity:
		copy(dz, dy)
	case piecewiseLinear:
		channel.LeakyGrad(dz, dy, y, a.negative)
	case hyperbolicTangent:
		for i, v := range y {
			dz[i] = dy[i] * (1 - v*v)
		}
	}
}

// slope is the factor below 0 of an activation that is piecewise linear or the identity.
func (a Activation) slope() float32 {
	if a.kind == identity {
		return 1
	}
	return a.negative
}

// Activate applies an activation to x of any shape, where there is no operation
// before it that could do so in its own pass.
func (n *Net) Activate(x *gorgonia.Node, name string, a Activation) *gorgonia.Node {
	if n.err != nil {
		return nil
	}
	label := "activation " + name
	if err := a.check(); err != nil {
		return n.fail(label, err)
	}
	op := &activate{base: n.newBase(label, x.Shape().Clone(), x), net: n, name: name, act: a, y: n.space.tensor(name+".out", x.Shape()...)}
	return n.apply(label, op, x)
}

type activate struct {
	base
	net  *Net
	name string
	act  Activation
	y    *tensor.Dense
}

// elementGrain is how many elements of an element-wise operation one goroutine takes at a time.
const elementGrain = 1 << 14

// Do applies the activation.
func (a *activate) Do(values ...gorgonia.Value) (gorgonia.Value, error) {
	y, in := a.y.Data().([]float32), inputs{values: values}
	x := in.at(0, len(y))
	if in.err != nil {
		return nil, a.errMismatch(in.err)
	}
	kernel.Parallel(len(y), elementGrain, func(lo, hi int) {
		copy(y[lo:hi], x[lo:hi])
		a.act.apply(y[lo:hi])
	})
	return a.y, nil
}

// DiffWRT says that an activation is differentiable.
func (a *activate) DiffWRT(n int) []bool { return all(n) }

// SymDiff adds the backward operation.
func (a *activate) SymDiff(_ gorgonia.Nodes, output, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	op := &activateGrad{fwd: a, dx: a.net.space.tensor(a.name+".dx", a.result...)}
	return a.net.backward(op, &op.base, a.label, []gradient{{"dx", op.dx}}, grad, output)
}

type activateGrad struct {
	base
	fwd *activate
	dx  *tensor.Dense
}

// Do computes dx from the gradient and the result.
func (g *activateGrad) Do(values ...gorgonia.Value) (gorgonia.Value, error) {
	dx, in := g.dx.Data().([]float32), inputs{values: values}
	dy, y := in.at(0, len(dx)), in.at(1, len(dx))
	if in.err != nil {
		return nil, g.errMismatch(in.err)
	}
	kernel.Parallel(len(dx), elementGrain, func(lo, hi int) { g.fwd.act.grad(dx[lo:hi], dy[lo:hi], y[lo:hi]) })
	return g.dx, nil
}
