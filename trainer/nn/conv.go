package nn

import (
	"fmt"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// ConvSpec describes a convolution or a transposed one.
type ConvSpec struct {
	Out                 int // channels of the result
	Kernel, Stride, Pad int
	Bias                bool
	Activation          Activation // of the result; none by default
	Init                Init       // of the weights; [XavierUniform] by default. The bias starts at 0.

	// Frozen says that this net computes no gradients of the weights.
	Frozen bool
	// Reuse says that another net over the same workspace has computed the operation of
	// this name, from the same input, before this net is run: its result is taken as it is.
	Reuse bool
}

// Conv is a convolution over images of batch × height × width × channels: the result
// has (height + 2·Pad - Kernel)/Stride + 1 rows, columns likewise, and Out channels.
// The weights are name+".weight" (Kernel × Kernel × channels × Out) and, if there is
// one, name+".bias".
func (n *Net) Conv(x *gorgonia.Node, name string, s ConvSpec) *gorgonia.Node {
	return n.conv(x, name, "convolution ", false, s)
}

// ConvTranspose is the transpose of a convolution (Zeiler et al. 2010), which
// enlarges: the result has (height-1)·Stride - 2·Pad + Kernel rows, columns likewise,
// and Out channels. The weights are name+".weight", Kernel × Kernel × Out × channels,
// those of the convolution that it transposes, and name+".bias".
func (n *Net) ConvTranspose(x *gorgonia.Node, name string, s ConvSpec) *gorgonia.Node {
	return n.conv(x, name, "transposed convolution ", true, s)
}

func (n *Net) conv(x *gorgonia.Node, name, kind string, transposed bool, s ConvSpec) *gorgonia.Node {
	if n.err != nil {
		return nil
	}
	label := kind + name
	shape := x.Shape()
	if len(shape) != 4 {
		return n.fail(label, fmt.Errorf("input has shape %v, want batch × height × width × channels", shape))
	}
	if err := s.Activation.check(); err != nil {
		return n.fail(label, err)
	}
	windowOf := convWindow
	if transposed {
		windowOf = transposedWindow
	}
	win, err := windowOf(shape[0], shape[1], shape[2], shape[3], s.Out, s.Kernel, s.Stride, s.Pad)
	if err != nil {
		return n.fail(label, err)
	}
	if s.Init == nil {
		area := s.Kernel * s.Kernel
		s.Init = XavierUniform(area*shape[3], area*s.Out)
	}

	nodes := gorgonia.Nodes{x, n.weightOf(s.Frozen, name+".weight", s.Init, s.Kernel, s.Kernel, win.fineC, win.coarseC)}
	if s.Bias {
		nodes = append(nodes, n.weightOf(s.Frozen, name+".bias", Zeros, s.Out))
	}
	if n.err != nil {
		return nil
	}
	op := &conv{net: n, name: name, window: win, transposed: transposed, act: s.Activation, bias: s.Bias, reuse: s.Reuse, want: n.wanted(nodes...)}
	result := tensor.Shape{win.batch, win.coarseH, win.coarseW, win.coarseC}
	if transposed {
		result = tensor.Shape{win.batch, win.fineH, win.fineW, win.fineC}
	}
	op.base = n.newBase(label, result, nodes...)
	op.y = n.space.tensor(name+".out", result...)
	return n.apply(label, op, nodes...)
}

// conv computes y = act(x∗W + b), or the same with the transposed convolution.
type conv struct {
	base
	window
	net              *Net
	name             string
	transposed, bias bool
	reuse            bool
	act              Activation
	want             []bool // which inputs get gradients
	y                *tensor.Dense
}

// sizes returns the lengths of x, W and y.
func (c *conv) sizes() (x, w, y int) {
	x, y = c.batch*c.fineLen(), c.batch*c.coarseLen()
	if c.transposed {
		x, y = y, x
	}
	return x, c.taps() * c.coarseC, y
}

// Do computes the layer.
func (c *conv) Do(values ...gorgonia.Value) (gorgonia.Value, error) {
	if c.reuse {
		return c.y, nil
	}
	in := inputs{values: values}
	nx, nw, _ := c.sizes()
	x, w := in.at(0, nx), in.at(1, nw)
	var b []float32
	if c.bias {
		b = in.at(2, c.result[3])
	}
	if in.err != nil {
		return nil, c.errMismatch(in.err)
	}
	y := c.y.Data().([]float32)
	if c.transposed {
		c.up(y, x, w, c.net.space)
	} else {
		c.down(y, x, w, c.net.space)
	}
	c.finish(y, b)
	return c.y, nil
}

// finish adds the bias and applies the activation.
func (c *conv) finish(y, b []float32) {
	if b == nil && c.act.kind == identity {
		return
	}
	channels := c.result[3]
	eachBlock(len(y)/channels, func(_, lo, hi int) {
		block := y[lo*channels : hi*channels]
		if b != nil {
			for at := 0; at < len(block); at += channels {
				add(block[at:at+channels], b)
			}
		}
		c.act.apply(block)
	})
}

// DiffWRT says which inputs get gradients: neither data nor frozen weights.
func (c *conv) DiffWRT(int) []bool { return c.want }

// SymDiff adds the backward operation and the picks of the gradients that it does not return.
func (c *conv) SymDiff(in gorgonia.Nodes, output, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	n := c.net
	op := &convGrad{fwd: c}
	for i, part := range []struct {
		name string
		to   **tensor.Dense
	}{{".dx", &op.dx}, {".dw", &op.dw}, {".db", &op.db}} {
		if i < len(in) && c.want[i] {
			*part.to = n.space.tensor(c.name+part.name, in[i].Shape()...)
		}
	}
	op.results = []gradient{{"dx", op.dx}, {"dW", op.dw}, {"db", op.db}}[:len(in)]
	return n.backward(op, &op.base, c.label, op.results, grad, in[0], in[1], output)
}

// convGrad fills dx, dW and db, as far as they are wanted.
type convGrad struct {
	base
	fwd        *conv
	dx, dw, db *tensor.Dense
	results    []gradient
}

// Do computes the gradients: those of the transposed convolution from dy as the fine
// grid, those of the convolution from dy as the coarse one.
func (g *convGrad) Do(values ...gorgonia.Value) (gorgonia.Value, error) {
	c, in := g.fwd, inputs{values: values}
	nx, nw, ny := c.sizes()
	dy, x, w, y := in.at(0, ny), in.at(1, nx), in.at(2, nw), in.at(3, ny)
	if in.err != nil {
		return nil, g.errMismatch(in.err)
	}
	dz := g.beforeActivation(dy, y)
	dx, dw := data(g.dx), data(g.dw)
	if c.transposed {
		c.downAndWgrad(dx, dw, dz, x, w, c.net.space)
		return firstOf(g.results), nil
	}
	if dw != nil {
		c.wgrad(dw, x, dz, c.net.space)
	}
	if dx != nil {
		c.up(dx, dz, w, c.net.space)
	}
	return firstOf(g.results), nil
}

// data returns the elements of a tensor that may be nil.
func data(t *tensor.Dense) []float32 {
	if t == nil {
		return nil
	}
	return t.Data().([]float32)
}

// beforeActivation returns dz, the gradient before the activation, and fills db with
// its sum over the pixels.
func (g *convGrad) beforeActivation(dy, y []float32) []float32 {
	c := g.fwd
	if c.act.kind == identity && g.db == nil {
		return dy
	}
	channels, dz := c.result[3], dy
	rows := len(dy) / channels
	if c.act.kind != identity {
		// Scratch of one Do call, so all layers of the net share it.
		dz = c.net.space.floats("conv.dz", len(dy))
	}
	partial := c.net.space.floats("conv.partial", blocks(rows)*channels)
	eachBlock(rows, func(block, lo, hi int) {
		if c.act.kind != identity {
			at, end := lo*channels, hi*channels
			c.act.grad(dz[at:end], dy[at:end], y[at:end])
		}
		if g.db == nil {
			return
		}
		sum := partial[block*channels : (block+1)*channels]
		clear(sum)
		for r := lo; r < hi; r++ {
			add(sum, dz[r*channels:(r+1)*channels])
		}
	})
	if g.db != nil {
		sumBlocks(g.db.Data().([]float32), partial)
	}
	return dz
}
