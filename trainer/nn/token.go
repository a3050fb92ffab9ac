package nn

import (
	"fmt"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
	"swath/trainer/nn/kernel"
)

// ClassToken reads the first token of each image: from x of (batch·tokens) × dim
// it returns batch × dim.
func (n *Net) ClassToken(x *gorgonia.Node, name string, tokens int) *gorgonia.Node {
	if n.err != nil {
		return nil
	}
	label := "class token " + name
	rows, dim, err := matrix(x)
	if err != nil {
		return n.fail(label, err)
	}
	if tokens <= 0 || rows%tokens != 0 {
		return n.fail(label, fmt.Errorf("%d rows are not a whole number of images of %d tokens", rows, tokens))
	}
	batch := rows / tokens
	op := &classToken{base: n.newBase(label, tensor.Shape{batch, dim}, x), net: n, name: name, batch: batch, tokens: tokens, dim: dim,
		y: n.space.tensor(name+".out", batch, dim)}
	return n.apply(label, op, x)
}

type classToken struct {
	base
	net                *Net
	name               string
	batch, tokens, dim int
	y                  *tensor.Dense
}

// Do copies a row of each image.
func (c *classToken) Do(values ...gorgonia.Value) (gorgonia.Value, error) {
	in := inputs{values: values}
	x := in.at(0, c.batch*c.tokens*c.dim)
	if in.err != nil {
		return nil, c.errMismatch(in.err)
	}
	y := c.y.Data().([]float32)
	for i := range c.batch {
		copy(y[i*c.dim:(i+1)*c.dim], x[i*c.tokens*c.dim:])
	}
	return c.y, nil
}

// DiffWRT says that the selection is differentiable.
func (c *classToken) DiffWRT(n int) []bool { return all(n) }

// SymDiff adds the operation that puts the gradient back into the first rows.
func (c *classToken) SymDiff(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	label := c.label + " backward"
	op := &classTokenGrad{base: c.net.newBase(label, in[0].Shape(), grad), fwd: c,
		dx: c.net.space.tensor(c.name+".dx", c.batch*c.tokens, c.dim)}
	dx, err := gorgonia.ApplyOp(op, grad)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", label, err)
	}
	return gorgonia.Nodes{dx}, nil
}

type classTokenGrad struct {
	base
	fwd *classToken
	dx  *tensor.Dense
}

// Do writes the gradient of the class tokens, and zeros for all other tokens. The
// zeros are written each time: the tensor is Gorgonia's to add into afterwards.
func (g *classTokenGrad) Do(values ...gorgonia.Value) (gorgonia.Value, error) {
	c, in := g.fwd, inputs{values: values}
	dy := in.at(0, c.batch*c.dim)
	if in.err != nil {
		return nil, g.errMismatch(in.err)
	}
	dx := g.dx.Data().([]float32)
	image := c.tokens * c.dim
	kernel.Parallel(c.batch, 8, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			n := copy(dx[i*image:(i+1)*image], dy[i*c.dim:(i+1)*c.dim])
			clear(dx[i*image+n : (i+1)*image])
		}
	})
	return g.dx, nil
}
