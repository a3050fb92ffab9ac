package nn

import (
	"errors"
	"fmt"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
	"swath/trainer/nn/kernel"
)

// LinearOption extends [Net.Linear] by what follows a linear layer in a network
// and costs less when it is done on the same rows at the same time.
type LinearOption func(*linearConfig)

type linearConfig struct {
	gelu     bool
	dropout  float64
	residual *gorgonia.Node
	every    int // row r of the residual is its row r·every
	init     Init
	class    columns
}

// GELU applies the Gaussian error linear unit x·Φ(x) (Hendrycks and Gimpel 2016), exactly.
func GELU() LinearOption { return func(c *linearConfig) { c.gelu = true } }

// Dropout drops an element of the result with probability p, after the activation.
func Dropout(p float64) LinearOption { return func(c *linearConfig) { c.dropout = p } }

// Residual adds x, of the result's shape, as the last thing.
func Residual(x *gorgonia.Node) LinearOption {
	return func(c *linearConfig) { c.residual, c.every = x, 1 }
}

// ClassResidual adds the first token of each image of x, which has so many times the
// result's rows, as the last thing.
func ClassResidual(x *gorgonia.Node, tokens int) LinearOption {
	return func(c *linearConfig) { c.residual, c.every = x, tokens }
}

// ClassColumns computes the first cols columns of the result for the first token of each
// image alone. What the others hold there is undefined, and must not be read; it has no
// gradient. It goes with no activation, dropout or residual.
func ClassColumns(cols, tokens int) LinearOption {
	return func(c *linearConfig) { c.class = columns{0, cols, tokens} }
}

// Weights sets how the weight matrix starts; [XavierUniform] by default. The bias starts at 0.
func Weights(init Init) LinearOption { return func(c *linearConfig) { c.init = init } }

// Linear returns x·W + b for x of rows × in, W of in × out and b of out, followed
// by what the options say, always in the order activation, dropout, residual. The
// weights are named name+".weight" and name+".bias".
func (n *Net) Linear(x *gorgonia.Node, name string, out int, options ...LinearOption) *gorgonia.Node {
	if n.err != nil {
		return nil
	}
	label := "linear " + name
	rows, in, err := matrix(x)
	if err != nil {
		return n.fail(label, err)
	}
	if out <= 0 {
		return n.fail(label, fmt.Errorf("%d outputs, want at least 1", out))
	}
	c := linearConfig{init: XavierUniform(in, out)}
	for _, o := range options {
		o(&c)
	}
	w := n.weight(name+".weight", c.init, in, out)
	b := n.weight(name+".bias", Zeros, out)
	if n.err != nil {
		return nil
	}
	parts := []columns{{0, out, 1}}
	if k := c.class; k.every > 0 {
		if k.to <= 0 || k.to >= out || rows%k.every != 0 || c.gelu || c.dropout > 0 || c.residual != nil {
			return n.fail(label, fmt.Errorf("%d of %d columns of %d rows cannot be for the class token of %d alone, or not with activation, dropout or residual", k.to, out, rows, k.every))
		}
		parts = []columns{{k.to, out, 1}, k}
	}
	inputs := gorgonia.Nodes{x, w, b}
	var carrier *layerNorm
	if c.residual != nil {
		if s := c.residual.Shape(); len(s) != 2 || s[0] != rows*c.every || s[1] != out {
			return n.fail(label, fmt.Errorf("residual has shape %v, want (%d, %d)", s, rows*c.every, out))
		}
		if carrier = n.carrier(c.residual, x); carrier == nil && c.every > 1 {
			c.residual, c.every = n.ClassToken(c.residual, name+".residual", c.every), 1
		}
		inputs = append(inputs, c.residual)
	}

	op := &linear{base: n.newBase(label, tensor.Shape{rows, out}, inputs...), net: n, name: name, rows: rows, in: in, out: out,
		gelu: c.gelu, every: c.every, parts: parts, carrier: carrier, y: n.space.tensor(name+".out", rows, out)}
	if op.mask, err = n.newMask(op.id, c.dropout); err != nil {
		return n.fail(label, err)
	}
	op.z = op.y.Data().([]float32)
	if c.gelu {
		op.z = n.space.floats(name+".z", rows*out)
	}
	return n.apply(label, op, inputs...)
}

// columns are those from and before to of a matrix, in every so manieth row.
type columns struct{ from, to, every int }

// linear computes y = mask(gelu(x·W + b)) + residual.
type linear struct {
	base
	net           *Net
	name          string
	rows, in, out int
	gelu          bool
	every         int        // row r of the residual is its row r·every; 0 if there is none
	parts         []columns  // that are computed: the first is in every row and reaches to the last column
	carrier       *layerNorm // takes the residual's gradient; nil if that is an ordinary input's
	mask          *mask
	z             []float32 // x·W + b, kept for the gradient of the activation; y itself if there is none
	y             *tensor.Dense
}

// Do computes the layer: a matrix product, and what follows on each of its rows.
func (l *linear) Do(values ...gorgonia.Value) (gorgonia.Value, error) {
	in := inputs{values: values}
	x, w, b := in.at(0, l.rows*l.in), in.at(1, l.in*l.out), in.at(2, l.out)
	var residual []float32
	if l.every > 0 {
		residual = in.at(3, l.rows*l.every*l.out)
	}
	if in.err != nil {
		return nil, l.errMismatch(in.err)
	}
	z, y := l.z, l.y.Data().([]float32)
	rest := func(lo, hi int) {
		for r := lo; r < hi; r++ {
			zr, yr := z[r*l.out:(r+1)*l.out], y[r*l.out:(r+1)*l.out]
			first := l.first(r)
			kernel.Add(zr[first:], zr[first:], b[first:])
			if l.gelu {
				kernel.GELU(yr, zr)
			}
			if l.mask != nil {
				l.mask.row(yr, yr, r)
			}
			if l.every > 0 {
				kernel.Add(yr, yr, residual[r*l.every*l.out:][:l.out])
			}
		}
	}
	for i := len(l.parts) - 1; i >= 0; i-- { // the first, of every row, comes last, and with it the rest of a row
		c, done := l.parts[i], rest
		if i > 0 {
			done = nil
		}
		kernel.GemmThen(false, false, l.rows/c.every, c.to-c.from, l.in, 1, x, c.every*l.in, w[c.from:], l.out, 0, z[c.from:], c.every*l.out, done)
	}
	return l.y, nil
}

// first is the first column that is computed in row r.
func (l *linear) first(r int) int {
	if from := l.parts[0].from; from > 0 && r%l.parts[1].every != 0 {
		return from
	}
	return 0
}

// DiffWRT says that the layer is differentiable with regard to all inputs, but for a
// residual whose gradient goes by way of its carrier.
func (l *linear) DiffWRT(n int) []bool {
	d := all(n)
	if l.carrier != nil {
		d[3] = false
	}
	return d
}

// SymDiff adds the backward operation and the picks of the weights' gradients.
// The gradient of a residual is the incoming one, unchanged.
func (l *linear) SymDiff(in gorgonia.Nodes, output, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	n := l.net
	label := l.label + " backward"
	op := &linearGrad{base: n.newBase(label, in[0].Shape(), grad, in[0], in[1], output), fwd: l,
		dx: n.space.tensor(l.name+".dx", l.rows, l.in),
		dw: n.space.tensor(l.name+".dw", l.in, l.out),
		db: n.space.tensor(l.name+".db", l.out)}
	dx, err := gorgonia.ApplyOp(op, grad, in[0], in[1], output)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", label, err)
	}
	dw, errW := n.pick(l.label+" dW", dx, op.dw)
	db, errB := n.pick(l.label+" db", dx, op.db)
	if err := errors.Join(errW, errB); err != nil {
		return nil, fmt.Errorf("%s: %w", label, err)
	}
	grads := gorgonia.Nodes{dx, dw, db}
	switch {
	case l.carrier != nil:
		l.carrier.carried = append(l.carrier.carried, carried{grad, l.every})
		grads = append(grads, nil)
	case l.every > 0:
		grads = append(grads, grad)
	}
	return grads, nil
}

// linearGrad computes dx, and fills dw and db. Its last input is the forward
// result, only to run after it: the pre-activation is read from the forward
// operation's own memory.
type linearGrad struct {
	base
	fwd        *linear
	dx, dw, db *tensor.Dense
}

// Do computes dz, the gradient at x·W + b, then dW = xᵀ·dz, db = Σ dz, dx = dz·Wᵀ.
func (g *linearGrad) Do(values ...gorgonia.Value) (gorgonia.Value, error) {
	l, in := g.fwd, inputs{values: values}
	dy, x, w := in.at(0, l.rows*l.out), in.at(1, l.rows*l.in), in.at(2, l.in*l.out)
	if in.err != nil {
		return nil, g.errMismatch(in.err)
	}
	dz := dy
	if l.gelu || l.mask != nil {
		// Scratch of one Do call, so all layers of the net share it.
		dz = l.net.space.floats("linear.dz", l.rows*l.out)
	}
	partial := l.net.space.floats("linear.partial", blocks(l.rows)*l.out)
	eachBlock(l.rows, func(block, lo, hi int) {
		sum := partial[block*l.out : (block+1)*l.out]
		clear(sum)
		for r := lo; r < hi; r++ {
			zr, from := dz[r*l.out:(r+1)*l.out], dy[r*l.out:(r+1)*l.out]
			if l.mask != nil {
				l.mask.row(zr, from, r)
				from = zr
			}
			if l.gelu {
				kernel.GELUGrad(zr, l.z[r*l.out:(r+1)*l.out], from)
			}
			first := l.first(r)
			kernel.Add(sum[first:], sum[first:], zr[first:])
		}
	})
	sumBlocks(g.db.Data().([]float32), partial)
	dw, dx := g.dw.Data().([]float32), g.dx.Data().([]float32)
	for i, c := range l.parts {
		n, beta := c.to-c.from, float32(min(i, 1)) // all but the first part add to dx
		kernel.Gemm(true, false, l.in, n, l.rows/c.every, 1, x, c.every*l.in, dz[c.from:], c.every*l.out, 0, dw[c.from:], l.out)
		kernel.Gemm(false, true, l.rows/c.every, l.in, n, 1, dz[c.from:], c.every*l.out, w[c.from:], l.out, beta, dx, c.every*l.in)
	}
	return g.dx, nil
}
