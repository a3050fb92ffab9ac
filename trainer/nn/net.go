package nn

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Clock tells dropout which step is running. A trainer advances Step before each
// run of its graph; forward and backward pass of a step see the same value.
type Clock struct {
	Seed uint64
	Step uint64
}

// Workspace keeps the buffers that operations compute into, by name. Nets that
// are never run at the same moment (training and evaluation of one model) share a
// workspace, and with it the memory.
type Workspace struct {
	tensors map[string]*tensor.Dense
	slices  map[string][]float32

	mu   sync.Mutex
	free [][]float32 // what goroutines may borrow
}

// NewWorkspace returns an empty workspace.
func NewWorkspace() *Workspace {
	return &Workspace{tensors: map[string]*tensor.Dense{}, slices: map[string][]float32{}}
}

// tensor returns the buffer of that name and shape.
func (w *Workspace) tensor(name string, shape ...int) *tensor.Dense {
	k := fmt.Sprint(name, shape)
	t, ok := w.tensors[k]
	if !ok {
		t = tensor.New(tensor.Of(tensor.Float32), tensor.WithShape(shape...))
		w.tensors[k] = t
	}
	return t
}

// floats returns the buffer of that name and of at least n elements, cut to n.
// What is in it is undefined.
func (w *Workspace) floats(name string, n int) []float32 {
	if len(w.slices[name]) < n {
		w.slices[name] = make([]float32, n)
	}
	return w.slices[name][:n]
}

// lend returns n elements of memory for a goroutine of an operation, until it calls
// giveBack. What is in them is undefined.
func (w *Workspace) lend(n int) []float32 {
	w.mu.Lock()
	defer w.mu.Unlock()
	best := -1 // the smallest that is long enough, or else any
	for i, x := range w.free {
		if best < 0 || len(x) >= n && (len(w.free[best]) < n || len(x) < len(w.free[best])) {
			best = i
		}
	}
	if best < 0 {
		return make([]float32, n)
	}
	x := w.free[best]
	w.free = slices.Delete(w.free, best, best+1)
	if len(x) < n {
		x = make([]float32, n) // which will serve whoever wanted the shorter one, too
	}
	return x
}

func (w *Workspace) giveBack(x []float32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.free = append(w.free, x)
}

// Net builds one expression graph. Methods that add an operation return its
// node, or nil once anything has failed; ask [Net.Err] at the end, so that a
// model's definition is not buried under error handling.
type Net struct {
	Graph *gorgonia.ExprGraph

	params *Params
	space  *Workspace
	clock  *Clock // nil: dropout is off (evaluation)

	ops     uint64
	weights []*Trainable
	norms   []norm
	err     error
}

// NewNet returns an empty net over the given weights and buffers. With a nil
// clock it is a net for evaluation: dropout passes its input on.
func NewNet(params *Params, space *Workspace, clock *Clock) *Net {
	return &Net{Graph: gorgonia.NewGraph(), params: params, space: space, clock: clock}
}

// Err is the first error of the building so far, or nil.
func (n *Net) Err() error { return n.err }

// fail records the first error and returns nil, the node of a net that failed.
func (n *Net) fail(what string, err error) *gorgonia.Node {
	if n.err == nil {
		n.err = fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// apply adds an operation to the graph.
func (n *Net) apply(label string, op gorgonia.Op, inputs ...*gorgonia.Node) *gorgonia.Node {
	node, err := gorgonia.ApplyOp(op, inputs...)
	if err != nil {
		return n.fail("adding "+label, err)
	}
	return node
}

// Input adds a float32 input bound to a tensor of its own, zero at first. Fill
// the tensor (node.Value().Data()) before a run.
func (n *Net) Input(name string, shape ...int) *gorgonia.Node {
	t := tensor.New(tensor.Of(tensor.Float32), tensor.WithShape(shape...))
	return gorgonia.NodeFromAny(n.Graph, t, gorgonia.WithName(name))
}

// Labels adds an input of n class numbers (int32). A negative label marks a row
// that counts for nothing, which is how an incomplete batch is filled up.
func (n *Net) Labels(name string, size int) *gorgonia.Node {
	t := tensor.New(tensor.Of(tensor.Int32), tensor.WithShape(size))
	return gorgonia.NodeFromAny(n.Graph, t, gorgonia.WithName(name))
}

// weight adds the named weight as an input node, once for each net.
func (n *Net) weight(name string, init Init, shape ...int) *gorgonia.Node {
	p, err := n.params.Get(name, init, shape...)
	if err != nil {
		return n.fail("making a weight", err)
	}
	if i := slices.IndexFunc(n.weights, func(t *Trainable) bool { return t.Param == p }); i >= 0 {
		return n.weights[i].node
	}
	node := gorgonia.NodeFromAny(n.Graph, p.Value, gorgonia.WithName(name))
	n.weights = append(n.weights, &Trainable{Param: p, node: node})
	return node
}

// matrix returns the size of a node that must be a matrix.
func matrix(x *gorgonia.Node) (rows, cols int, err error) {
	s := x.Shape()
	if len(s) != 2 {
		return 0, 0, fmt.Errorf("input has shape %v, want a matrix", s)
	}
	return s[0], s[1], nil
}

// Trainable is a weight of a net together with its gradient node. It implements
// gorgonia.ValueGrad, so that any gorgonia.Solver can update it.
type Trainable struct {
	*Param
	node *gorgonia.Node
	grad *gorgonia.Node
}

// Value returns the weight.
func (t *Trainable) Value() gorgonia.Value { return t.Param.Value }

// Name returns the weight's name.
func (t *Trainable) Name() string { return t.Param.Name }

// Grad returns the gradient of the last run.
func (t *Trainable) Grad() (gorgonia.Value, error) {
	if t.grad == nil || t.grad.Value() == nil {
		return nil, fmt.Errorf("weight %s has no gradient: differentiate and run its net first", t.Param.Name)
	}
	return t.grad.Value(), nil
}

// Differentiate extends the graph by the gradients of cost, a scalar, with regard
// to every weight of the net, and returns the weights paired with them.
func (n *Net) Differentiate(cost *gorgonia.Node) ([]*Trainable, error) {
	if n.err != nil {
		return nil, n.err
	}
	if len(n.weights) == 0 {
		return nil, errors.New("differentiating a net without weights")
	}
	nodes := make(gorgonia.Nodes, len(n.weights))
	for i, w := range n.weights {
		nodes[i] = w.node
	}
	grads, err := gorgonia.Grad(cost, nodes...)
	if err != nil {
		return nil, fmt.Errorf("differentiating %v: %w", cost.Name(), err)
	}
	for i, w := range n.weights {
		w.grad = grads[i]
	}
	return slices.Clone(n.weights), nil
}

// Machine compiles the net for repeated runs.
func (n *Net) Machine() (gorgonia.VM, error) {
	if n.err != nil {
		return nil, n.err
	}
	prog, locations, err := gorgonia.Compile(n.Graph)
	if err != nil {
		return nil, fmt.Errorf("compiling a graph: %w", err)
	}
	return gorgonia.NewTapeMachine(n.Graph, gorgonia.WithPrecompiled(prog, locations)), nil
}

// Run executes a compiled net once, from the beginning.
func Run(m gorgonia.VM) error {
	m.Reset()
	return m.RunAll()
}
