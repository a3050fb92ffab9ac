package nn

import (
	"errors"
	"fmt"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// gradient is one result of a backward operation, with its name for messages: "dW". Its
// tensor is nil where the gradient is not wanted.
type gradient struct {
	name string
	out  *tensor.Dense
}

// backward adds the backward operation, on the given inputs, of the operation called
// label. It fills results, one for each input of the forward operation; it returns the
// first that there is, and picks return the others.
func (n *Net) backward(op gorgonia.Op, b *base, label string, results []gradient, inputs ...*gorgonia.Node) (gorgonia.Nodes, error) {
	grads := make(gorgonia.Nodes, len(results))
	var node *gorgonia.Node
	var errs []error
	for i, r := range results {
		var err error
		switch {
		case r.out == nil:
			continue
		case node == nil:
			*b = n.newBase(label+" backward", r.out.Shape().Clone(), inputs...)
			if node, err = gorgonia.ApplyOp(op, inputs...); err != nil {
				return nil, fmt.Errorf("%s: %w", b.label, err)
			}
			grads[i] = node
		default:
			if grads[i], err = n.pick(label+" "+r.name, node, r.out); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", b.label, err))
			}
		}
	}
	return grads, errors.Join(errs...)
}

// firstOf returns the first result that there is: what a backward operation returns.
func firstOf(results []gradient) *tensor.Dense {
	for _, r := range results {
		if r.out != nil {
			return r.out
		}
	}
	return nil
}
