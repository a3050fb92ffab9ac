package nn

import (
	"errors"
	"fmt"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

const (
	// batchNormEpsilon keeps the normalisation of a constant channel finite; PyTorch's default.
	batchNormEpsilon = 1e-5
	// batchNormMomentum is the share of a batch in the running statistics; PyTorch's default.
	batchNormMomentum = 0.1
)

// BatchNormSpec describes a batch norm.
type BatchNormSpec struct {
	Activation Activation // of the result: none, ReLU or leaky ReLU
	Gamma      Init       // [Ones] by default. Beta starts at 0.

	Frozen bool // see [ConvSpec]
	Reuse  bool // see [ConvSpec]
}

// BatchNorm normalises each channel of x, images of batch × height × width × channels
// or a matrix of rows × channels, over the whole batch, then scales and shifts it
// (Ioffe and Szegedy 2015, algorithm 1), and applies the activation.
//
// The weights are name+".gamma" and name+".beta". Beside them, name+".mean" and
// name+".variance" hold the running statistics: not trained, but kept with the weights
// as they belong to the model. A net for training updates them in each run; a net for
// evaluation normalises with them.
func (n *Net) BatchNorm(x *gorgonia.Node, name string, s BatchNormSpec) *gorgonia.Node {
	if n.err != nil {
		return nil
	}
	label := "batch norm " + name
	shape := x.Shape()
	switch err := s.Activation.check(); {
	case err != nil:
		return n.fail(label, err)
	case s.Activation.kind == hyperbolicTangent:
		return n.fail(label, errors.New("only a ReLU or a leaky ReLU can follow in the same pass; use Activate for others"))
	case len(shape) < 2:
		return n.fail(label, fmt.Errorf("input has shape %v, want channels as the last of several dimensions", shape))
	}
	if s.Gamma == nil {
		s.Gamma = Ones
	}
	c := shape[len(shape)-1]
	gamma, beta := n.weightOf(s.Frozen, name+".gamma", s.Gamma, c), n.weightOf(s.Frozen, name+".beta", Zeros, c)
	mean, errM := n.params.Get(name+".mean", Zeros, c)
	variance, errV := n.params.Get(name+".variance", Ones, c)
	if err := errors.Join(errM, errV); err != nil {
		return n.fail(label, err)
	}
	if n.err != nil {
		return nil
	}
	op := &batchNorm{base: n.newBase(label, shape.Clone(), x, gamma, beta), net: n, name: name,
		rows: shape.TotalSize() / c, channels: c, reuse: s.Reuse,
		want: n.wanted(x, gamma, beta), running: [2]*Param{mean, variance},
		norm: newChannelNorm(n.space.floats(name+".μ", c), n.space.floats(name+".rstd", c), s.Activation.slope()),
		y:    n.space.tensor(name+".out", shape...)}
	return n.apply(label, op, x, gamma, beta)
}

// batchNorm keeps mean and 1/sqrt(σ²+ε) of each channel for the backward pass.
type batchNorm struct {
	base
	net            *Net
	name           string
	rows, channels int
	reuse          bool
	want           []bool    // which inputs get gradients
	running        [2]*Param // mean and variance
	norm           channelNorm
	y              *tensor.Dense
}

// Do normalises; in a net for training by the batch's own statistics.
func (b *batchNorm) Do(values ...gorgonia.Value) (gorgonia.Value, error) {
	in := inputs{values: values}
	x, gamma, beta := in.at(0, b.rows*b.channels), in.at(1, b.channels), in.at(2, b.channels)
	if in.err != nil {
		return nil, b.errMismatch(in.err)
	}
	if b.reuse {
		b.norm.prepare(gamma, beta)
		return b.y, nil
	}
	mean, variance := make([]float64, b.channels), make([]float64, b.channels)
	if b.net.clock != nil {
		b.moments(x, mean, variance)
		b.remember(mean, variance)
	} else {
		for c := range mean {
			mean[c], variance[c] = float64(b.running[0].Data()[c]), float64(b.running[1].Data()[c])
		}
	}
	b.norm.set(mean, variance, batchNormEpsilon)
	b.norm.prepare(gamma, beta)
	y := b.y.Data().([]float32)
	eachBlock(b.rows, func(_, lo, hi int) {
		at, end := lo*b.channels, hi*b.channels
		b.norm.rows.Apply(y[at:end], x[at:end])
	})
	return b.y, nil
}

// moments computes mean and variance of each channel.
func (b *batchNorm) moments(x []float32, mean, variance []float64) {
	c := b.channels
	means := b.net.space.floats("batchnorm.mean", blocks(b.rows)*c)
	m2s := b.net.space.floats("batchnorm.m2", blocks(b.rows)*c)
	eachBlock(b.rows, func(block, lo, hi int) {
		blockMoments(x[lo*c:hi*c], means[block*c:(block+1)*c], m2s[block*c:(block+1)*c], make([]float32, c))
	})
	mergeMoments(b.rows, c, means, m2s, mean, variance)
}

// remember moves the running statistics towards those of the batch. The running
// variance is the unbiased one, as in PyTorch.
func (b *batchNorm) remember(mean, variance []float64) {
	unbiased := float64(b.rows) / float64(max(b.rows-1, 1))
	m, v := b.running[0].Data(), b.running[1].Data()
	for c := range m {
		m[c] += float32(batchNormMomentum * (mean[c] - float64(m[c])))
		v[c] += float32(batchNormMomentum * (unbiased*variance[c] - float64(v[c])))
	}
}

// DiffWRT says which inputs get gradients.
func (b *batchNorm) DiffWRT(int) []bool { return b.want }

// SymDiff adds the backward operation and the picks of the gradients that it does not return.
func (b *batchNorm) SymDiff(in gorgonia.Nodes, output, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	n := b.net
	if n.clock == nil {
		return nil, fmt.Errorf("%s: the net is for evaluation, where statistics do not depend on the input; differentiate one for training", b.label)
	}
	op := &batchNormGrad{fwd: b, dgamma: n.space.tensor(b.name+".dgamma", b.channels), dbeta: n.space.tensor(b.name+".dbeta", b.channels)}
	if b.want[0] {
		op.dx = n.space.tensor(b.name+".dx", in[0].Shape()...)
	}
	results := []gradient{{"dx", op.dx}, {"dγ", op.dgamma}, {"dβ", op.dbeta}}
	for i, want := range b.want {
		if !want {
			results[i].out = nil
		}
	}
	op.returns = firstOf(results)
	return n.backward(op, &op.base, b.label, results, grad, in[0], output)
}

// batchNormGrad computes dx, dγ and dβ. Its last input is the forward result, only to run after it.
type batchNormGrad struct {
	base
	fwd               *batchNorm
	dx, dgamma, dbeta *tensor.Dense // dx is nil where x is data
	returns           *tensor.Dense
}

// Do sums over the batch first, as every element of dx needs the sums.
func (g *batchNormGrad) Do(values ...gorgonia.Value) (gorgonia.Value, error) {
	b, in := g.fwd, inputs{values: values}
	c := b.channels
	dy, x := in.at(0, b.rows*c), in.at(1, b.rows*c)
	if in.err != nil {
		return nil, g.errMismatch(in.err)
	}
	space := b.net.space
	scales, shifts := space.floats("batchnorm.dgamma", blocks(b.rows)*c), space.floats("batchnorm.dbeta", blocks(b.rows)*c)
	eachBlock(b.rows, func(block, lo, hi int) {
		scale, shift := scales[block*c:(block+1)*c], shifts[block*c:(block+1)*c]
		clear(scale)
		clear(shift)
		b.norm.rows.Sum(shift, scale, x[lo*c:hi*c], dy[lo*c:hi*c])
	})
	dgamma, dbeta := g.dgamma.Data().([]float32), g.dbeta.Data().([]float32)
	sumBlocks(dgamma, scales)
	sumBlocks(dbeta, shifts)
	b.norm.finish(dgamma)
	if g.dx != nil {
		dx := g.dx.Data().([]float32)
		offset, tilt := b.norm.input(dgamma, dbeta, b.rows)
		eachBlock(b.rows, func(_, lo, hi int) {
			at, end := lo*c, hi*c
			b.norm.rows.Input(dx[at:end], x[at:end], dy[at:end], offset, tilt)
		})
	}
	return g.returns, nil
}
