package nn

import (
	"fmt"
	"math"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// BinaryCrossEntropy is the mean over all elements of
//
//	-t·log σ(x) - (1-t)·log(1 - σ(x)) = max(x, 0) - x·t + log(1 + e^-|x|)
//
// for logits x and targets t in [0, 1], with σ the logistic function: a scalar. The
// second form neither overflows nor takes the logarithm of 0. The sum is taken in
// float64. With targets 1 for real and 0 for generated images it is the loss of a
// GAN's discriminator, and with 1 for generated images the generator's, in its
// non-saturating form (Goodfellow et al. 2014, equation 1 and section 3). The targets
// get no gradient.
func (n *Net) BinaryCrossEntropy(logits, targets *gorgonia.Node, name string) *gorgonia.Node {
	if n.err != nil {
		return nil
	}
	label := "binary cross-entropy " + name
	size := logits.Shape().TotalSize()
	if t := targets.Shape().TotalSize(); t != size {
		return n.fail(label, fmt.Errorf("%d targets for %d logits", t, size))
	}
	op := &binaryCrossEntropy{base: n.newBase(label, tensor.ScalarShape(), logits, targets), net: n, name: name, size: size}
	return n.apply(label, op, logits, targets)
}

type binaryCrossEntropy struct {
	base
	net  *Net
	name string
	size int
}

// Do computes the mean loss.
func (b *binaryCrossEntropy) Do(values ...gorgonia.Value) (gorgonia.Value, error) {
	in := inputs{values: values}
	x, t := in.at(0, b.size), in.at(1, b.size)
	if in.err != nil {
		return nil, b.errMismatch(in.err)
	}
	sum := 0.0
	for i, v := range x {
		v := float64(v)
		sum += math.Max(v, 0) - v*float64(t[i]) + math.Log1p(math.Exp(-math.Abs(v)))
	}
	return gorgonia.NewF32(float32(sum / float64(b.size))), nil
}

// DiffWRT says that the logits, but not the targets, get a gradient.
func (b *binaryCrossEntropy) DiffWRT(int) []bool { return []bool{true, false} }

// SymDiff adds the backward operation.
func (b *binaryCrossEntropy) SymDiff(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	op := &binaryCrossEntropyGrad{fwd: b, dx: b.net.space.tensor(b.name+".dx", in[0].Shape()...)}
	return b.net.backward(op, &op.base, b.label, []gradient{{"dlogits", op.dx}, {}}, in[0], in[1], grad)
}

type binaryCrossEntropyGrad struct {
	base
	fwd *binaryCrossEntropy
	dx  *tensor.Dense
}

// Do computes (σ(x) - t)·grad/size.
func (g *binaryCrossEntropyGrad) Do(values ...gorgonia.Value) (gorgonia.Value, error) {
	b, in := g.fwd, inputs{values: values}
	x, t := in.at(0, b.size), in.at(1, b.size)
	if in.err != nil {
		return nil, g.errMismatch(in.err)
	}
	grad, err := scalar(values[2])
	if err != nil {
		return nil, g.errMismatch(err)
	}
	dx, by := g.dx.Data().([]float32), float64(grad)/float64(b.size)
	for i, v := range x {
		dx[i] = float32((Sigmoid(float64(v)) - float64(t[i])) * by)
	}
	return g.dx, nil
}

// Sigmoid is the logistic function 1/(1 + e^-x): the probability that a logit stands for.
func Sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
