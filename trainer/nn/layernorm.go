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
	return n.apply(label, op, x, gamma, beta)
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
	op := &layerNormGrad{base: n.newBase(label, in[0].Shape(), grad, in[0], in[1], output), fwd: l,
		dx:     n.space.tensor(l.name+".dx", l.rows, l.cols),
		dgamma: n.space.tensor(l.name+".dgamma", l.cols),
		dbeta:  n.space.tensor(l.name+".dbeta", l.cols)}
	dx, err := gorgonia.ApplyOp(op, grad, in[0], in[1], output)
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

// layerNormGrad computes dx and fills dγ and dβ. Its last input is the forward
// result, only to run after it.
type layerNormGrad struct {
	base
	fwd               *layerNorm
	dx, dgamma, dbeta *tensor.Dense
}

// Do computes, with x̂ the normalised row and g = γ·dy,
// dx = (g - mean(g) - x̂·mean(g·x̂)) / sqrt(σ²+ε), dγ = Σ dy·x̂ and dβ = Σ dy.
func (g *layerNormGrad) Do(values ...gorgonia.Value) (gorgonia.Value, error) {
	l, in := g.fwd, inputs{values: values}
	dy, x, gamma := in.at(0, l.rows*l.cols), in.at(1, l.rows*l.cols), in.at(2, l.cols)
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
