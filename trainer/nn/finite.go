package nn

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"gorgonia.org/gorgonia"
	"swath/trainer/nn/kernel"
)

// FiniteGradients reports whether no gradient of the last run holds a NaN or an infinity. It is one pass over the
// gradients of the weights, for every step: what is not finite anywhere in a net shows in the loss or in them.
func FiniteGradients(weights []*Trainable) (bool, error) {
	for _, w := range weights {
		_, g, err := weightAndGrad(w)
		if err != nil {
			return false, err
		}
		if !Finite(g) {
			return false, nil
		}
	}
	return true, nil
}

// NonFinite names the first tensor of the last run, in the order of computation, that holds a NaN or an infinity;
// "" if there is none. It looks at everything, which takes about as long as a run: call it when something is wrong,
// and before another net computes in the same workspace.
func (n *Net) NonFinite() string {
	for _, w := range n.weights {
		if !Finite(w.Data()) {
			return "weight " + w.Name() + " " + describe(w.Data())
		}
	}
	// Inputs come first. An operation is made after those that it takes its inputs from, so that in the order of
	// making the first bad result has good inputs only.
	type result struct {
		label string
		made  uint64
		data  []float32
	}
	var results []result
	for _, node := range n.Graph.AllNodes() {
		data := elements(node)
		op, ours := node.Op().(interface{ origin() (string, uint64) })
		switch {
		case data == nil:
		case ours:
			label, made := op.origin()
			results = append(results, result{label, made, data})
		case node.Op() == nil:
			results = append(results, result{"input " + node.Name(), 0, data})
		}
	}
	slices.SortFunc(results, func(a, b result) int { return cmp.Compare(a.made, b.made) })
	for _, r := range results {
		if !Finite(r.data) {
			return r.label + " " + describe(r.data)
		}
	}
	return ""
}

// origin says for a message what an operation's result is, and when the operation was made.
func (b *base) origin() (label string, made uint64) {
	if of, backward := strings.CutSuffix(b.label, " backward"); backward {
		return "the gradient through " + of, b.id
	}
	return "the result of " + b.label, b.id
}

// origin of a pick names the gradient that it picks: its label is that of an operation and d with the weight.
func (p *pick) origin() (label string, made uint64) {
	at := max(strings.LastIndex(p.label, " "), 0)
	return "the gradient" + p.label[at:] + " of " + p.label[:at], p.id
}

// elements returns the float32 numbers that a node had in the last run; nil if it had none.
func elements(node *gorgonia.Node) []float32 {
	v := node.Value()
	if v == nil {
		return nil
	}
	switch d := v.Data().(type) {
	case []float32:
		return d
	case float32:
		return []float32{d}
	}
	return nil
}

// Finite reports whether x holds neither NaN nor infinity: either makes the sum, which is taken in float64 and so
// cannot overflow, one of the two.
func Finite(x []float32) bool {
	sum := kernel.Sum(x)
	return !math.IsNaN(sum) && !math.IsInf(sum, 0)
}

// describe says what is wrong with x: "has 3 NaN and 1 Inf among 640 elements, the first at 12".
func describe(x []float32) string {
	nan, inf, first := 0, 0, -1
	for i, v := range x {
		switch f := float64(v); {
		case math.IsNaN(f):
			nan++
		case math.IsInf(f, 0):
			inf++
		default:
			continue
		}
		if first < 0 {
			first = i
		}
	}
	if len(x) == 1 {
		return fmt.Sprintf("is %v", x[0])
	}
	return fmt.Sprintf("has %d NaN and %d Inf among %d elements, the first at %d", nan, inf, len(x), first)
}
