package nn

import (
	"fmt"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// DropOut drops each element of x with probability p and scales the rest by
// 1/(1-p). In a net for evaluation, or with p = 0, it is x itself. Where it follows a
// linear layer, the option [Dropout] does the same in the layer's own pass.
func (n *Net) DropOut(x *gorgonia.Node, name string, p float64) *gorgonia.Node {
	if n.err != nil {
		return nil
	}
	label := "dropout " + name
	rows, cols, err := matrix(x)
	if err != nil {
		return n.fail(label, err)
	}
	op := &dropout{base: n.newBase(label, tensor.Shape{rows, cols}, x), net: n, name: name, rows: rows, cols: cols}
	if op.mask, err = n.newMask(op.id, p); err != nil {
		return n.fail(label, err)
	}
	if op.mask == nil {
		return x
	}
	op.y = n.space.tensor(name+".out", rows, cols)
	return n.apply(label, op, x)
}

// dropout is both passes: the backward pass applies the same mask to the gradient.
type dropout struct {
	base
	net        *Net
	name       string
	rows, cols int
	mask       *mask
	y          *tensor.Dense
}

// Do applies the mask to its first input.
func (d *dropout) Do(values ...gorgonia.Value) (gorgonia.Value, error) {
	in := inputs{values: values}
	x := in.at(0, d.rows*d.cols)
	if in.err != nil {
		return nil, d.errMismatch(in.err)
	}
	y := d.y.Data().([]float32)
	eachBlock(d.rows, func(_, lo, hi int) {
		for r := lo; r < hi; r++ {
			d.mask.row(y[r*d.cols:(r+1)*d.cols], x[r*d.cols:(r+1)*d.cols], r)
		}
	})
	return d.y, nil
}

// DiffWRT says that dropout is differentiable.
func (d *dropout) DiffWRT(n int) []bool { return all(n) }

// SymDiff adds the same mask, of the same operation's hash, over the gradient.
func (d *dropout) SymDiff(_ gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	label := d.label + " backward"
	op := &dropout{base: d.net.newBase(label, d.result, grad), net: d.net, name: d.name + ".dx", rows: d.rows, cols: d.cols, mask: d.mask,
		y: d.net.space.tensor(d.name+".dx", d.rows, d.cols)}
	dx, err := gorgonia.ApplyOp(op, grad)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", label, err)
	}
	return gorgonia.Nodes{dx}, nil
}
