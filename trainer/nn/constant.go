package nn

import (
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
	"swath/trainer/nn/kernel"
)

// Constant is a learned image, the same for every image of a batch: StyleGAN's input
// of the synthesis network (Karras, Laine and Aila 2019, section 3.2). The result is
// batch × size × size × channels; the weight, name+".constant", starts at 1.
func (n *Net) Constant(name string, batch, size, channels int) *gorgonia.Node {
	if n.err != nil {
		return nil
	}
	label := "constant " + name
	w := n.weight(name+".constant", Ones, size, size, channels)
	if n.err != nil {
		return nil
	}
	result := tensor.Shape{batch, size, size, channels}
	op := &constant{base: n.newBase(label, result, w), net: n, name: name, batch: batch, image: size * size * channels, y: n.space.tensor(name+".out", result...)}
	return n.apply(label, op, w)
}

type constant struct {
	base
	net          *Net
	name         string
	batch, image int // images, and elements of one
	y            *tensor.Dense
}

// Do copies the image to each place of the batch.
func (o *constant) Do(values ...gorgonia.Value) (gorgonia.Value, error) {
	in := inputs{values: values}
	w := in.at(0, o.image)
	if in.err != nil {
		return nil, o.errMismatch(in.err)
	}
	y := o.y.Data().([]float32)
	for i := range o.batch {
		copy(y[i*o.image:], w)
	}
	return o.y, nil
}

// DiffWRT says that the operation is differentiable.
func (o *constant) DiffWRT(n int) []bool { return all(n) }

// SymDiff adds the backward operation.
func (o *constant) SymDiff(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	op := &constantGrad{fwd: o, dw: o.net.space.tensor(o.name+".dconstant", in[0].Shape()...)}
	return o.net.backward(op, &op.base, o.label, []gradient{{"dconstant", op.dw}}, grad)
}

type constantGrad struct {
	base
	fwd *constant
	dw  *tensor.Dense
}

// Do sums the gradient over the batch.
func (g *constantGrad) Do(values ...gorgonia.Value) (gorgonia.Value, error) {
	o, in := g.fwd, inputs{values: values}
	dy := in.at(0, o.batch*o.image)
	if in.err != nil {
		return nil, g.errMismatch(in.err)
	}
	dw := g.dw.Data().([]float32)
	kernel.Parallel(o.image, 1024, func(lo, hi int) {
		clear(dw[lo:hi])
		for i := range o.batch {
			kernel.Add(dw[lo:hi], dw[lo:hi], dy[i*o.image+lo:i*o.image+hi])
		}
	})
	return g.dw, nil
}
