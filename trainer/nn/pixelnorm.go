package nn

import (
	"math"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
	"swath/trainer/nn/kernel"
)

// pixelNormEpsilon keeps the normalisation of a zero vector finite; that of the paper.
const pixelNormEpsilon = 1e-8

// PixelNorm divides each row of x by the root of its mean square (Karras et al. 2018,
// section 4.2): what StyleGAN does to z before the mapping network.
func (n *Net) PixelNorm(x *gorgonia.Node, name string) *gorgonia.Node {
	if n.err != nil {
		return nil
	}
	label := "pixel norm " + name
	rows, cols, err := matrix(x)
	if err != nil {
		return n.fail(label, err)
	}
	op := &pixelNorm{base: n.newBase(label, x.Shape().Clone(), x), net: n, name: name, rows: rows, cols: cols, y: n.space.tensor(name+".out", rows, cols)}
	return n.apply(label, op, x)
}

type pixelNorm struct {
	base
	net        *Net
	name       string
	rows, cols int
	y          *tensor.Dense
}

// inverse is 1/sqrt(mean(x²) + ε) of one row.
func (p *pixelNorm) inverse(x []float32) float64 {
	return 1 / math.Sqrt(kernel.Dot(x, x)/float64(p.cols)+pixelNormEpsilon)
}

// Do normalises row by row.
func (p *pixelNorm) Do(values ...gorgonia.Value) (gorgonia.Value, error) {
	in := inputs{values: values}
	x := in.at(0, p.rows*p.cols)
	if in.err != nil {
		return nil, p.errMismatch(in.err)
	}
	y := p.y.Data().([]float32)
	for at := 0; at < len(x); at += p.cols {
		row := x[at : at+p.cols]
		kernel.Scale(y[at:at+p.cols], float32(p.inverse(row)), row)
	}
	return p.y, nil
}

// DiffWRT says that the normalisation is differentiable.
func (p *pixelNorm) DiffWRT(n int) []bool { return all(n) }

// SymDiff adds the backward operation.
func (p *pixelNorm) SymDiff(in gorgonia.Nodes, output, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	op := &pixelNormGrad{fwd: p, dx: p.net.space.tensor(p.name+".dx", p.rows, p.cols)}
	return p.net.backward(op, &op.base, p.label, []gradient{{"dx", op.dx}}, grad, in[0], output)
}

type pixelNormGrad struct {
	base
	fwd *pixelNorm
	dx  *tensor.Dense
}

// Do computes, with s = 1/sqrt(mean(x²) + ε) and y = s·x, dx = s·(dy - y·mean(dy·y)).
func (g *pixelNormGrad) Do(values ...gorgonia.Value) (gorgonia.Value, error) {
	p, in := g.fwd, inputs{values: values}
	n := p.rows * p.cols
	dy, x, y := in.at(0, n), in.at(1, n), in.at(2, n)
	if in.err != nil {
		return nil, g.errMismatch(in.err)
	}
	dx := g.dx.Data().([]float32)
	for at := 0; at < n; at += p.cols {
		end := at + p.cols
		s := p.inverse(x[at:end])
		kernel.Scale(dx[at:end], float32(s), dy[at:end])
		kernel.Axpy(float32(-s*kernel.Dot(dy[at:end], y[at:end])/float64(p.cols)), y[at:end], dx[at:end])
	}
	return g.dx, nil
}
