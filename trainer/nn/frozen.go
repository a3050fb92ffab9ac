package nn

import (
	"slices"

	"gorgonia.org/gorgonia"
)

// weightOf is weight, or for a frozen operation the same tensor as an input that the
// net computes no gradient for. That is how a generator is trained through a
// discriminator whose weights another net trains.
func (n *Net) weightOf(frozen bool, name string, init Init, shape ...int) *gorgonia.Node {
	if !frozen {
		return n.weight(name, init, shape...)
	}
	p, err := n.params.Get(name, init, shape...)
	if err != nil {
		return n.fail("making a weight", err)
	}
	return gorgonia.NodeFromAny(n.Graph, p.Value, gorgonia.WithName(name))
}

// wanted tells for each input of an operation whether its gradient may be asked for:
// results of other operations and the net's own weights are; data and frozen weights,
// which are inputs of the graph too, are not.
func (n *Net) wanted(inputs ...*gorgonia.Node) []bool {
	want := make([]bool, len(inputs))
	for i, x := range inputs {
		want[i] = x.Op() != nil || slices.ContainsFunc(n.weights, func(t *Trainable) bool { return t.node == x })
	}
	return want
}
