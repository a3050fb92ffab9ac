package nn

import (
	"fmt"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
	"swath/trainer/nn/kernel"
)

// Noise adds StyleGAN's per-layer noise (Karras, Laine and Aila 2019, section 2 and
// block B of figure 1b) to images of batch × height × width × channels, then a bias,
// and applies the activation:
//
//	y = act(x + strength·ε + bias)
//
// where ε is one normally distributed number for each pixel, the same for all of its
// channels, and strength and bias are learned for each channel, both from 0. The
// weights are name+".strength" and name+".bias".
//
// ε is drawn anew in each step of training. In a net for evaluation it is one fixed
// image for the whole batch, so that images differ by their latents alone.
func (n *Net) Noise(x *gorgonia.Node, name string, a Activation) *gorgonia.Node {
	if n.err != nil {
		return nil
	}
	label := "noise " + name
	s := x.Shape()
	if len(s) != 4 {
		return n.fail(label, fmt.Errorf("input has shape %v, want batch × height × width × channels", s))
	}
	if err := a.check(); err != nil {
		return n.fail(label, err)
	}
	strength, bias := n.weight(name+".strength", Zeros, s[3]), n.weight(name+".bias", Zeros, s[3])
	if n.err != nil {
		return nil
	}
	op := &noise{base: n.newBase(label, s.Clone(), x, strength, bias), net: n, name: name, pixels: s[1] * s[2], rows: s.TotalSize() / s[3], channels: s[3],
		act: a, y: n.space.tensor(name+".out", s...)}
	op.epsilon = n.space.floats(name+".noise", op.rows)
	return n.apply(label, op, x, strength, bias)
}

type noise struct {
	base
	net                    *Net
	name                   string
	pixels, rows, channels int // pixels of an image, and of the batch
	act                    Activation
	epsilon                []float32 // of each pixel, kept for the gradient
	y                      *tensor.Dense
}

// draw fills epsilon. The noise of a row of a block is a function of (seed, step, operation, row).
func (o *noise) draw() {
	name := hashString(o.name)
	eachBlock(o.rows, func(_, lo, hi int) {
		for r := lo; r < hi; r++ {
			k := key(0, name, uint64(r%o.pixels))
			if c := o.net.clock; c != nil {
				k = key(c.Seed, c.Step, name, uint64(r))
			}
			o.epsilon[r] = float32((&Rand{state: k}).Normal())
		}
	})
}

// Do adds noise and bias and applies the activation.
func (o *noise) Do(values ...gorgonia.Value) (gorgonia.Value, error) {
	in := inputs{values: values}
	c := o.channels
	x, strength, bias := in.at(0, o.rows*c), in.at(1, c), in.at(2, c)
	if in.err != nil {
		return nil, o.errMismatch(in.err)
	}
	o.draw()
	y := o.y.Data().([]float32)
	eachBlock(o.rows, func(_, lo, hi int) {
		for r := lo; r < hi; r++ {
			yr := y[r*c : (r+1)*c]
			kernel.Add(yr, x[r*c:(r+1)*c], bias)
			kernel.Axpy(o.epsilon[r], strength, yr)
		}
		o.act.apply(y[lo*c : hi*c])
	})
	return o.y, nil
}

// DiffWRT says that the operation is differentiable with regard to all inputs.
func (o *noise) DiffWRT(n int) []bool { return all(n) }

// SymDiff adds the backward operation and the picks of the weights' gradients.
func (o *noise) SymDiff(in gorgonia.Nodes, output, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	n := o.net
	op := &noiseGrad{fwd: o, dx: n.space.tensor(o.name+".dx", o.result...),
		dstrength: n.space.tensor(o.name+".dstrength", o.channels), dbias: n.space.tensor(o.name+".dbias", o.channels)}
	return n.backward(op, &op.base, o.label, []gradient{{"dx", op.dx}, {"dstrength", op.dstrength}, {"dbias", op.dbias}}, grad, output)
}

// noiseGrad computes dx, and fills the weights' gradients.
type noiseGrad struct {
	base
	fwd                  *noise
	dx, dstrength, dbias *tensor.Dense
}

// Do computes dx = dy·act', dbias = Σ dx and dstrength = Σ ε·dx.
func (g *noiseGrad) Do(values ...gorgonia.Value) (gorgonia.Value, error) {
	o, in := g.fwd, inputs{values: values}
	c := o.channels
	dy, y := in.at(0, o.rows*c), in.at(1, o.rows*c)
	if in.err != nil {
		return nil, g.errMismatch(in.err)
	}
	dx := g.dx.Data().([]float32)
	strengths := o.net.space.floats("noise.dstrength", blocks(o.rows)*c)
	biases := o.net.space.floats("noise.dbias", blocks(o.rows)*c)
	eachBlock(o.rows, func(block, lo, hi int) {
		o.act.grad(dx[lo*c:hi*c], dy[lo*c:hi*c], y[lo*c:hi*c])
		strength, bias := strengths[block*c:(block+1)*c], biases[block*c:(block+1)*c]
		clear(strength)
		clear(bias)
		for r := lo; r < hi; r++ {
			kernel.Axpy(o.epsilon[r], dx[r*c:(r+1)*c], strength)
			add(bias, dx[r*c:(r+1)*c])
		}
	})
	sumBlocks(g.dstrength.Data().([]float32), strengths)
	sumBlocks(g.dbias.Data().([]float32), biases)
	return g.dx, nil
}
