package nn

import (
	"errors"
	"fmt"
	"math"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// CrossEntropy is the mean over the rows of -log softmax(logits)[label], a scalar.
// Rows with a negative label count for nothing; with no other rows the loss is 0.
// The sum is taken in float64.
func (n *Net) CrossEntropy(logits, labels *gorgonia.Node, name string) *gorgonia.Node {
	if n.err != nil {
		return nil
	}
	label := "cross-entropy " + name
	rows, classes, err := matrix(logits)
	if err != nil {
		return n.fail(label, err)
	}
	if s := labels.Shape(); len(s) != 1 || s[0] != rows || labels.Dtype() != tensor.Int32 {
		return n.fail(label, fmt.Errorf("labels are %v of %v, want (%d) of int32", labels.Shape(), labels.Dtype(), rows))
	}
	op := &crossEntropy{base: n.newBase(label, tensor.ScalarShape(), logits, labels), net: n, name: name, rows: rows, classes: classes}
	return n.apply(label, op, logits, labels)
}

type crossEntropy struct {
	base
	net           *Net
	name          string
	rows, classes int
}

// Do computes the mean loss.
func (c *crossEntropy) Do(values ...gorgonia.Value) (gorgonia.Value, error) {
	logits, labels, err := c.read(values)
	if err != nil {
		return nil, c.errMismatch(err)
	}
	var sum float64
	counted := 0
	for r, label := range labels {
		if label < 0 {
			continue
		}
		row := logits[r*c.classes : (r+1)*c.classes]
		sum += logSumExp(row) - float64(row[label])
		counted++
	}
	return gorgonia.NewF32(float32(sum / float64(max(counted, 1)))), nil
}

// read checks the inputs; a label beyond the classes is an error, not a wrong sum.
func (c *crossEntropy) read(values []gorgonia.Value) (logits []float32, labels []int32, err error) {
	if len(values) < 2 {
		return nil, nil, errors.New("want logits and labels")
	}
	if logits, err = floats(values[0], c.rows*c.classes); err != nil {
		return nil, nil, fmt.Errorf("logits: %w", err)
	}
	labels, ok := values[1].Data().([]int32)
	if !ok || len(labels) != c.rows {
		return nil, nil, fmt.Errorf("labels are %T, want %d int32", values[1].Data(), c.rows)
	}
	for r, label := range labels {
		if int(label) >= c.classes {
			return nil, nil, fmt.Errorf("row %d has label %d, beyond the %d classes", r, label, c.classes)
		}
	}
	return logits, labels, nil
}

// logSumExp is log Σ exp(x), from differences to the maximum so that it does not overflow.
func logSumExp(x []float32) float64 {
	m := math.Inf(-1)
	for _, v := range x {
		m = math.Max(m, float64(v)) // NaN stays NaN
	}
	if math.IsInf(m, 0) || math.IsNaN(m) {
		return m
	}
	sum := 0.0
	for _, v := range x {
		sum += math.Exp(float64(v) - m)
	}
	return m + math.Log(sum)
}

// DiffWRT says that the logits, but not the labels, get a gradient.
func (c *crossEntropy) DiffWRT(int) []bool { return []bool{true, false} }

// SymDiff adds the backward operation.
func (c *crossEntropy) SymDiff(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	label := c.label + " backward"
	op := &crossEntropyGrad{base: c.net.newBase(label, in[0].Shape(), in[0], in[1], grad), fwd: c,
		dx: c.net.space.tensor(c.name+".dx", c.rows, c.classes)}
	dx, err := gorgonia.ApplyOp(op, in[0], in[1], grad)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", label, err)
	}
	return gorgonia.Nodes{dx, nil}, nil
}

type crossEntropyGrad struct {
	base
	fwd *crossEntropy
	dx  *tensor.Dense
}

// Do computes (softmax(logits) - onehot(label)) · grad / number of counted rows.
func (g *crossEntropyGrad) Do(values ...gorgonia.Value) (gorgonia.Value, error) {
	c := g.fwd
	logits, labels, err := c.read(values)
	if err != nil {
		return nil, g.errMismatch(err)
	}
	grad, err := scalar(values[2])
	if err != nil {
		return nil, g.errMismatch(err)
	}
	counted := 0
	for _, label := range labels {
		if label >= 0 {
			counted++
		}
	}
	scale := float64(grad) / float64(max(counted, 1))
	dx := g.dx.Data().([]float32)
	for r, label := range labels {
		row, d := logits[r*c.classes:(r+1)*c.classes], dx[r*c.classes:(r+1)*c.classes]
		if label < 0 {
			clear(d)
			continue
		}
		lse := logSumExp(row)
		for i, v := range row {
			d[i] = float32(math.Exp(float64(v)-lse) * scale)
		}
		d[label] -= float32(scale)
	}
	return g.dx, nil
}

// scalar returns the number in v.
func scalar(v gorgonia.Value) (float32, error) {
	switch d := v.Data().(type) {
	case float32:
		return d, nil
	case []float32:
		if len(d) == 1 {
			return d[0], nil
		}
	}
	return 0, fmt.Errorf("value is %T of shape %v, want one float32", v.Data(), v.Shape())
}

// Scalar returns the number that a scalar node, a loss for instance, had in the last run.
func Scalar(node *gorgonia.Node) (float64, error) {
	v := node.Value()
	if v == nil {
		return 0, fmt.Errorf("%v has no value: run its net first", node)
	}
	x, err := scalar(v)
	return float64(x), err
}

// Correct counts the rows of logits whose largest element is at the label; rows
// with a negative label do not count.
func Correct(logits []float32, labels []int32) int {
	if len(labels) == 0 {
		return 0
	}
	classes, correct := len(logits)/len(labels), 0
	for r, label := range labels {
		if label < 0 {
			continue
		}
		if ArgMax(logits[r*classes:(r+1)*classes]) == int(label) {
			correct++
		}
	}
	return correct
}

// ArgMax is the index of the largest element of a row, the first of equal ones.
func ArgMax(row []float32) int {
	best := 0
	for i, v := range row {
		if v > row[best] {
			best = i
		}
	}
	return best
}
