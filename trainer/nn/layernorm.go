package nn

import (
	"errors"
	"fmt"
	"math"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
	"swath/trainer/nn/kernel"
)

// layerNormEpsilon keeps the normalisation of a constant row finite; PyTorch's default.
const layerNormEpsilon = 1e-5

// LayerNorm normalises each row of x to mean 0 and variance 1 and then scales and
// shifts each column: y = γ·(x-μ)/sqrt(σ²+ε) + β (Ba, Kiros and Hinton 2016). The
// weights are named name+".gamma" and name+".beta".
func (n *Net) LayerNorm(x *gorgonia.Node, name string) *gorgonia.Node {
	if n.err != nil {
		return nil
	}
	label := "layer norm " + name
	rows, cols, err := matrix(x)
	if err != nil {
		return n.fail(label, err)
	}
	gamma, beta := n.weight(name+".gamma", Ones, cols), n.weight(name+".beta", Zeros, cols)
	if n.err != nil {
		return nil
	}
	op := &layerNorm{base: n.newBase(label, tensor.Shape{rows, cols}, x, gamma, beta), net: n, name: name, rows: rows, cols: cols,
		mean: n.space.floats(name+".mean", rows), rstd: n.space.floats(name+".rstd", rows),
		ones: make([]float32, cols), scratch: newPool(2 * cols), y: n.space.tensor(name+".out", rows, cols)}
	Ones(op.ones, nil)
	y := n.apply(label, op, x, gamma, beta)
	n.norms = append(n.norms, norm{x: x, y: y, op: op})
	return y
}

// norm is a layer normalisation of a net, by its nodes.
type norm struct {
	x, y *gorgonia.Node
	op   *layerNorm
}

// carrier returns a layer normalisation of x that h is computed from, or nil. It can carry
// the gradient of a residual x that is added to a function of h: x feeds both, so its
// gradient is a sum, which the normalisation's backward pass makes on the way, where
// Gorgonia would add whole matrices in passes of their own. As h comes from the
// normalisation, the gradient of the residual is known before that pass is added.
func (n *Net) carrier(x, h *gorgonia.Node) *layerNorm {
	for _, candidate := range n.norms {
		if candidate.x == x && n.dependsOn(h, candidate.y) {
			return candidate.op
		}
	}
	return nil
}

// dependsOn reports whether y is computed from x, or is x.
func (n *Net) dependsOn(y, x *gorgonia.Node) bool {
	seen := map[int64]bool{}
	open := []int64{y.ID()}
	for len(open) > 0 {
		id := open[len(open)-1]
		open = open[:len(open)-1]
		if id == x.ID() {
			return true
		}
		if seen[id] {
			continue
		}
		seen[id] = true
		for inputs := n.Graph.From(id); inputs.Next(); {
			open = append(open, inputs.Node().ID())
		}
	}
	return false
}

// carried is the gradient of a residual that the backward pass of a normalisation of the
// same x adds to its own: row r belongs to row r·every of x.
type carried struct {
	grad  *gorgonia.Node
	every int
}

// layerNorm keeps mean and 1/sqrt(σ²+ε) of each row for the backward pass.
type layerNorm struct {
	base
	net        *Net
	name       string
	rows, cols int
	mean, rstd []float32
	ones       []float32 // to add a number to a row: axpy(number, ones, row)
	scratch    *pool     // two rows for each goroutine at work
	y          *tensor.Dense
	carried    []carried // collected while the graph is differentiated
}

// Do normalises row by row. The variance is taken from centred values, so that a
// large mean does not cancel it.
func (l *layerNorm) Do(values ...gorgonia.Value) (gorgonia.Value, error) {
	in := inputs{values: values}
	x, gamma, beta := in.at(0, l.rows*l.cols), in.at(1, l.cols), in.at(2, l.cols)
	if in.err != nil {
		return nil, l.errMismatch(in.err)
	}
	y, n := l.y.Data().([]float32), float64(l.cols)
	eachBlock(l.rows, func(_, lo, hi int) {
		for r := lo; r < hi; r++ {
			xr, yr := x[r*l.cols:(r+1)*l.cols], y[r*l.cols:(r+1)*l.cols]
			mean := float32(kernel.Sum(xr) / n)
			copy(yr, xr)
			kernel.Axpy(-mean, l.ones, yr)
			rstd := float32(1 / math.Sqrt(kernel.Dot(yr, yr)/n+layerNormEpsilon))
			l.mean[r], l.rstd[r] = mean, rstd
			kernel.Scale(yr, rstd, yr)
			kernel.Mul(yr, yr, gamma)
			kernel.Add(yr, yr, beta)
		}
	})
	return l.y, nil
}

// DiffWRT says that the normalisation is differentiable with regard to all inputs.
func (l *layerNorm) DiffWRT(n int) []bool { return all(n) }

// SymDiff adds the backward operation and the picks of the weights' gradients.
func (l *layerNorm) SymDiff(in gorgonia.Nodes, output, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	n := l.net
	label := l.label + " backward"
	inputs := gorgonia.Nodes{grad, in[0], in[1], output}
	for _, c := range l.carried {
		inputs = append(inputs, c.grad)
	}
	op := &layerNormGrad{base: n.newBase(label, in[0].Shape(), inputs...), fwd: l,
		dx:     n.space.tensor(l.name+".dx", l.rows, l.cols),
		dgamma: n.space.tensor(l.name+".dgamma", l.cols),
		dbeta:  n.space.tensor(l.name+".dbeta", l.cols)}
	dx, err := gorgonia.ApplyOp(op, inputs...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", label, err)
	}
	dgamma, errG := n.pick(l.label+" dγ", dx, op.dgamma)
	dbeta, errB := n.pick(l.label+" dβ", dx, op.dbeta)
	if err := errors.Join(errG, errB); err != nil {
		return nil, fmt.Errorf("%s: %w", label, err)
	}
	return gorgonia.Nodes{dx, dgamma, dbeta}, nil
}

// layerNormGrad computes dx and fills dγ and dβ. Its fourth input is the forward result,
// only to run after it; those behind it are the carried gradients.
type layerNormGrad struct {
	base
	fwd               *layerNorm
	dx, dgamma, dbeta *tensor.Dense
}

// Do computes, with x̂ the normalised row and g = γ·dy,
// dx = (g - mean(g) - x̂·mean(g·x̂)) / sqrt(σ²+ε), dγ = Σ dy·x̂ and dβ = Σ dy; to dx it
// adds what is carried.
func (g *layerNormGrad) Do(values ...gorgonia.Value) (gorgonia.Value, error) {
	l, in := g.fwd, inputs{values: values}
	dy, x, gamma := in.at(0, l.rows*l.cols), in.at(1, l.rows*l.cols), in.at(2, l.cols)
	residuals := make([][]float32, len(l.carried))
	for i, c := range l.carried {
		residuals[i] = in.at(4+i, l.rows/c.every*l.cols)
	}
	if in.err != nil {
		return nil, g.errMismatch(in.err)
	}
	dx := g.dx.Data().([]float32)
	partialGamma := l.net.space.floats("layernorm.dgamma", blocks(l.rows)*l.cols)
	partialBeta := l.net.space.floats("layernorm.dbeta", blocks(l.rows)*l.cols)
	eachBlock(l.rows, func(block, lo, hi int) {
		dgamma := partialGamma[block*l.cols : (block+1)*l.cols]
		dbeta := partialBeta[block*l.cols : (block+1)*l.cols]
		clear(dgamma)
		clear(dbeta)
		scratch := l.scratch.get()
		defer l.scratch.put(scratch)
		for r := lo; r < hi; r++ {
			at, end := r*l.cols, (r+1)*l.cols
			kernel.Add(dbeta, dbeta, dy[at:end])
			l.rowGrad(dx[at:end], dgamma, x[at:end], dy[at:end], gamma, *scratch, l.mean[r], l.rstd[r])
			for i, c := range l.carried {
				if r%c.every == 0 {
					kernel.Add(dx[at:end], dx[at:end], residuals[i][r/c.every*l.cols:][:l.cols])
				}
			}
		}
	})
	sumBlocks(g.dgamma.Data().([]float32), partialGamma)
	sumBlocks(g.dbeta.Data().([]float32), partialBeta)
	return g.dx, nil
}

// rowGrad sets dx to one row's gradient and adds the row's part to dgamma.
func (l *layerNorm) rowGrad(dx, dgamma, x, dy, gamma, scratch []float32, mean, rstd float32) {
	n := float64(l.cols)
	xhat, t := scratch[:l.cols], scratch[l.cols:]
	copy(xhat, x)
	kernel.Axpy(-mean, l.ones, xhat)
	kernel.Scale(xhat, rstd, xhat)
	kernel.Mul(t, dy, xhat)
	kernel.Add(dgamma, dgamma, t)
	kernel.Mul(t, dy, gamma) // now g
	meanG, meanGX := float32(kernel.Sum(t)/n), float32(kernel.Dot(t, xhat)/n)
	kernel.Scale(dx, rstd, t)
	kernel.Axpy(-meanGX*rstd, xhat, dx)
	kernel.Axpy(-meanG*rstd, l.ones, dx)
}
