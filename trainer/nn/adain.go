package nn

import (
	"fmt"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
	"swath/trainer/nn/kernel"
)

// adainEpsilon keeps the normalisation of a constant channel finite; that of StyleGAN's authors.
const adainEpsilon = 1e-8

// AdaIN is adaptive instance normalisation, equation 1 of StyleGAN (Karras, Laine and
// Aila 2019): each channel i of each image of x, batch × height × width × channels, is
// normalised over its pixels and then scaled and shifted by the image's style,
//
//	AdaIN(x_i, y) = y_s,i · (x_i - μ(x_i))/σ(x_i) + y_b,i
//
// The style is a matrix of batch × 2·channels: y_s - 1 and beside it y_b. The scale is
// counted from 1, as in the authors' code, so that a style of zeros only normalises.
func (n *Net) AdaIN(x, style *gorgonia.Node, name string) *gorgonia.Node {
	if n.err != nil {
		return nil
	}
	label := "AdaIN " + name
	s := x.Shape()
	if len(s) != 4 {
		return n.fail(label, fmt.Errorf("input has shape %v, want batch × height × width × channels", s))
	}
	if y := style.Shape(); len(y) != 2 || y[0] != s[0] || y[1] != 2*s[3] {
		return n.fail(label, fmt.Errorf("style has shape %v, want (%d, %d): a scale and a shift for each of %d channels", y, s[0], 2*s[3], s[3]))
	}
	op := &adain{base: n.newBase(label, s.Clone(), x, style), net: n, name: name, batch: s[0], pixels: s[1] * s[2], channels: s[3],
		norms: make([]channelNorm, s[0]), y: n.space.tensor(name+".out", s...)}
	mean, rstd := n.space.floats(name+".mean", s[0]*s[3]), n.space.floats(name+".rstd", s[0]*s[3])
	for i := range op.norms {
		at, end := i*op.channels, (i+1)*op.channels
		op.norms[i] = newChannelNorm(mean[at:end], rstd[at:end], 1)
	}
	return n.apply(label, op, x, style)
}

// adain keeps the statistics of each image for the backward pass.
type adain struct {
	base
	net                     *Net
	name                    string
	batch, pixels, channels int
	norms                   []channelNorm // of each image
	y                       *tensor.Dense
}

// eachImage calls f in parallel for every image, with its first and last element in x.
func (a *adain) eachImage(f func(i, at, end int)) {
	n := a.pixels * a.channels
	kernel.Parallel(a.batch, 1, func(i, _ int) { f(i, i*n, (i+1)*n) })
}

// Do normalises image by image.
func (a *adain) Do(values ...gorgonia.Value) (gorgonia.Value, error) {
	in := inputs{values: values}
	x, style := in.at(0, a.batch*a.pixels*a.channels), in.at(1, 2*a.batch*a.channels)
	if in.err != nil {
		return nil, a.errMismatch(in.err)
	}
	y := a.y.Data().([]float32)
	a.eachImage(func(i, at, end int) {
		norm, c := &a.norms[i], a.channels
		a.moments(norm, x[at:end])
		row := style[2*i*c : 2*(i+1)*c]
		scale := make([]float32, c)
		for j, s := range row[:c] {
			scale[j] = 1 + s
		}
		norm.prepare(scale, row[c:])
		norm.rows.Apply(y[at:end], x[at:end])
	})
	return a.y, nil
}

// moments sets the statistics of one image.
func (a *adain) moments(norm *channelNorm, x []float32) {
	c, n := a.channels, blocks(a.pixels)
	scratch := make([]float32, (2*n+1)*c)
	means, m2s := scratch[:n*c], scratch[n*c:2*n*c]
	for b := range n {
		rows := x[b*rowBlock*c : min((b+1)*rowBlock, a.pixels)*c]
		blockMoments(rows, means[b*c:(b+1)*c], m2s[b*c:(b+1)*c], scratch[2*n*c:])
	}
	mean, variance := make([]float64, c), make([]float64, c)
	mergeMoments(a.pixels, c, means, m2s, mean, variance)
	norm.set(mean, variance, adainEpsilon)
}

// DiffWRT says that the normalisation is differentiable with regard to both inputs.
func (a *adain) DiffWRT(n int) []bool { return all(n) }

// SymDiff adds the backward operation and the pick of the style's gradient.
func (a *adain) SymDiff(in gorgonia.Nodes, output, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	n := a.net
	op := &adainGrad{fwd: a, dx: n.space.tensor(a.name+".dx", in[0].Shape()...), dstyle: n.space.tensor(a.name+".dstyle", in[1].Shape()...)}
	return n.backward(op, &op.base, a.label, []gradient{{"dx", op.dx}, {"dstyle", op.dstyle}}, grad, in[0], output)
}

// adainGrad computes dx and fills the style's gradient. Its last input is the forward
// result, only to run after it.
type adainGrad struct {
	base
	fwd        *adain
	dx, dstyle *tensor.Dense
}

// Do computes both gradients image by image. A row of the style's is the gradient of
// that image's scale and shift.
func (g *adainGrad) Do(values ...gorgonia.Value) (gorgonia.Value, error) {
	a, in := g.fwd, inputs{values: values}
	n := a.batch * a.pixels * a.channels
	dy, x := in.at(0, n), in.at(1, n)
	if in.err != nil {
		return nil, g.errMismatch(in.err)
	}
	dx, dstyle := g.dx.Data().([]float32), g.dstyle.Data().([]float32)
	a.eachImage(func(i, at, end int) {
		c := a.channels
		row := dstyle[2*i*c : 2*(i+1)*c]
		clear(row)
		norm, dscale, dshift := &a.norms[i], row[:c], row[c:]
		norm.rows.Sum(dshift, dscale, x[at:end], dy[at:end])
		norm.finish(dscale)
		offset, tilt := norm.input(dscale, dshift, a.pixels)
		norm.rows.Input(dx[at:end], x[at:end], dy[at:end], offset, tilt)
	})
	return g.dx, nil
}
