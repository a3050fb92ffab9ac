package nn

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/fnv"

	"github.com/chewxy/hm"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// base is what all operations share: the static facts that Gorgonia asks for
// while it builds and compiles a graph. An operation embeds it and adds Do, and
// DiffWRT and SymDiff if it is differentiable.
type base struct {
	label  string    // kind and name, for messages: "linear encoder.0.qkv"
	id     uint64    // unique in its net; without it Gorgonia merges equal nodes
	args   []hm.Type // types of the inputs
	result tensor.Shape
}

// newBase describes an operation on the given inputs.
func (n *Net) newBase(label string, result tensor.Shape, inputs ...*gorgonia.Node) base {
	n.ops++
	b := base{label: label, id: n.ops, result: result}
	for _, in := range inputs {
		b.args = append(b.args, in.Type())
	}
	return b
}

// Arity is the number of inputs.
func (b *base) Arity() int { return len(b.args) }

// Type is the operation's type for Gorgonia's type inference. It is built anew
// on each call because Gorgonia returns it to a pool after use.
func (b *base) Type() hm.Type {
	types := make([]hm.Type, 0, len(b.args)+1)
	types = append(types, b.args...)
	if b.result.IsScalar() {
		types = append(types, tensor.Float32)
	} else {
		types = append(types, gorgonia.TensorType{Dims: b.result.Dims(), Of: tensor.Float32})
	}
	return hm.NewFnType(types...)
}

// InferShape returns the shape of the result, which is fixed when the operation is made.
func (b *base) InferShape(inputs ...gorgonia.DimSizer) (tensor.Shape, error) {
	if len(inputs) != len(b.args) {
		return nil, fmt.Errorf("%s: %d inputs, want %d", b.label, len(inputs), len(b.args))
	}
	return b.result.Clone(), nil
}

// ReturnsPtr, CallsExtern and OverwritesInput tell Gorgonia's register
// allocation that the result is memory of the operation's own.
func (b *base) ReturnsPtr() bool     { return true }
func (b *base) CallsExtern() bool    { return false }
func (b *base) OverwritesInput() int { return -1 }

// WriteHash writes what tells this operation from every other in its net.
func (b *base) WriteHash(h hash.Hash) {
	var id [8]byte
	binary.LittleEndian.PutUint64(id[:], b.id)
	// A hash.Hash never returns an error.
	_, _ = h.Write([]byte(b.label))
	_, _ = h.Write(id[:])
}

// Hashcode is the 32-bit form of WriteHash.
func (b *base) Hashcode() uint32 {
	h := fnv.New32a()
	b.WriteHash(h)
	return h.Sum32()
}

func (b *base) String() string { return b.label }

// errMismatch reports inputs that do not have the sizes the operation was built for.
func (b *base) errMismatch(err error) error { return fmt.Errorf("%s: %w", b.label, err) }

// floats returns the elements of v and checks that there are n of them.
func floats(v gorgonia.Value, n int) ([]float32, error) {
	d, ok := v.Data().([]float32)
	if !ok {
		return nil, fmt.Errorf("input is of type %T, want []float32", v.Data())
	}
	if len(d) != n {
		return nil, fmt.Errorf("input has %d elements, want %d", len(d), n)
	}
	return d, nil
}

// inputs collects the float32 inputs of one Do call; the first error sticks.
type inputs struct {
	values []gorgonia.Value
	err    error
}

// at returns the elements of input i, of which there must be n.
func (in *inputs) at(i, n int) []float32 {
	if in.err != nil {
		return nil
	}
	if i >= len(in.values) {
		in.err = errors.New("an input is missing")
		return nil
	}
	d, err := floats(in.values[i], n)
	if err != nil {
		in.err = fmt.Errorf("input %d: %w", i, err)
	}
	return d
}

// all returns n times true: differentiable with regard to all n inputs.
func all(n int) []bool {
	r := make([]bool, n)
	for i := range r {
		r[i] = true
	}
	return r
}

// pick returns a second result of a backward operation. Gorgonia allows one value
// for an operation, so a backward operation returns the gradient of its first
// input, and picks, which have it as their input and thus run after it, return
// the gradients of the weights.
type pick struct {
	base
	out *tensor.Dense
}

// Do returns the gradient that the backward operation, by now, has filled.
func (p *pick) Do(...gorgonia.Value) (gorgonia.Value, error) { return p.out, nil }

// pick adds a node that returns out, a tensor filled by the operation of node from.
func (n *Net) pick(label string, from *gorgonia.Node, out *tensor.Dense) (*gorgonia.Node, error) {
	return gorgonia.ApplyOp(&pick{base: n.newBase(label, out.Shape(), from), out: out}, from)
}
