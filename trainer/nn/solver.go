package nn

import (
	"fmt"

	"gorgonia.org/gorgonia"
	"swath/trainer/nn/kernel"
)

// Optimizer is a gorgonia.Solver whose learning rate a schedule sets and whose memory is
// part of a checkpoint.
type Optimizer interface {
	gorgonia.Solver
	// SetLearningRate sets the learning rate of the next steps.
	SetLearningRate(rate float64)
	// State returns what the optimiser remembers about the weights that it steps. The
	// vectors are the optimiser's own memory.
	State(weights []*Trainable) (SolverState, error)
	// SetState makes the optimiser go on from a state that [Optimizer.State] returned, with
	// the same weights. It copies the vectors.
	SetState(weights []*Trainable, s SolverState) error
}

// SolverState is what an optimiser remembers between steps.
type SolverState struct {
	Step    int // steps done
	Vectors []SolverVector
}

// SolverVector is what an optimiser remembers about one weight, an element for each of
// the weight's. Its name is the weight's with what it is behind: "head.bias/adam.m".
type SolverVector struct {
	Name string
	Data []float32
}

// Adam is a gorgonia.Solver: Adam (Kingma and Ba 2015) in one pass over each
// weight, with decoupled weight decay (AdamW, Loshchilov and Hutter 2019) if
// WeightDecay is not 0. The rest of the weights' state is kept by position, so
// every Step must be given the same weights in the same order.
type Adam struct {
	LearningRate float64
	Beta1, Beta2 float64
	Epsilon      float64
	// WeightDecay shrinks every weight by LearningRate·WeightDecay a step, apart from the gradient.
	WeightDecay float64

	step int
	m, v [][]float32
}

// NewAdam returns Adam with the paper's β1 = 0.9, β2 = 0.999 and ε = 1e-8.
func NewAdam(learningRate float64) *Adam {
	return &Adam{LearningRate: learningRate, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8}
}

// SetLearningRate sets the learning rate of the next steps.
func (a *Adam) SetLearningRate(rate float64) { a.LearningRate = rate }

// State returns the running means of the gradient and of its square, for each weight.
func (a *Adam) State(weights []*Trainable) (SolverState, error) {
	s := SolverState{Step: a.step}
	var err error
	if s.Vectors, err = vectors(weights, []string{"/adam.m", "/adam.v"}, []*[][]float32{&a.m, &a.v}); err != nil {
		return s, fmt.Errorf("adam: %w", err)
	}
	return s, nil
}

// SetState takes over a state.
func (a *Adam) SetState(weights []*Trainable, s SolverState) error {
	own, err := a.State(weights)
	if err == nil {
		err = copyVectors(own.Vectors, s.Vectors)
	}
	if err != nil {
		return fmt.Errorf("restoring adam: %w", err)
	}
	a.step = s.Step
	return nil
}

// Step updates the weights by their gradients.
func (a *Adam) Step(model []gorgonia.ValueGrad) error {
	if a.m == nil {
		a.m, a.v = make([][]float32, len(model)), make([][]float32, len(model))
	}
	if len(a.m) != len(model) {
		return fmt.Errorf("adam: %d weights, but there were %d in the first step", len(model), len(a.m))
	}
	a.step++
	for i, vg := range model {
		w, g, err := weightAndGrad(vg)
		if err != nil {
			return fmt.Errorf("adam: %w", err)
		}
		if a.m[i] == nil {
			a.m[i], a.v[i] = make([]float32, len(w)), make([]float32, len(w))
		}
		if len(a.m[i]) != len(w) {
			return fmt.Errorf("adam: weight %d has %d elements, but had %d in the first step", i, len(w), len(a.m[i]))
		}
		kernel.Adam(w, a.m[i], a.v[i], g, float32(a.LearningRate), float32(a.Beta1), float32(a.Beta2), float32(a.Epsilon), float32(a.WeightDecay), a.step)
	}
	return nil
}

// SGD is a gorgonia.Solver: stochastic gradient descent with momentum, in
// PyTorch's form: u = momentum·u + g, w = w - learningRate·u.
type SGD struct {
	LearningRate float64
	Momentum     float64
	// WeightDecay adds WeightDecay·w to the gradient.
	WeightDecay float64

	u [][]float32
}

// SetLearningRate sets the learning rate of the next steps.
func (s *SGD) SetLearningRate(rate float64) { s.LearningRate = rate }

// State returns the momentum of each weight. SGD counts no steps.
func (s *SGD) State(weights []*Trainable) (SolverState, error) {
	v, err := vectors(weights, []string{"/sgd.u"}, []*[][]float32{&s.u})
	if err != nil {
		return SolverState{}, fmt.Errorf("sgd: %w", err)
	}
	return SolverState{Vectors: v}, nil
}

// SetState takes over a state.
func (s *SGD) SetState(weights []*Trainable, state SolverState) error {
	own, err := s.State(weights)
	if err == nil {
		err = copyVectors(own.Vectors, state.Vectors)
	}
	if err != nil {
		return fmt.Errorf("restoring sgd: %w", err)
	}
	return nil
}

// Step updates the weights by their gradients. The gradients are left as they are.
func (s *SGD) Step(model []gorgonia.ValueGrad) error {
	if s.u == nil {
		s.u = make([][]float32, len(model))
	}
	if len(s.u) != len(model) {
		return fmt.Errorf("sgd: %d weights, but there were %d in the first step", len(model), len(s.u))
	}
	for i, vg := range model {
		w, g, err := weightAndGrad(vg)
		if err != nil {
			return fmt.Errorf("sgd: %w", err)
		}
		if s.u[i] == nil {
			s.u[i] = make([]float32, len(w))
		}
		u := s.u[i]
		if len(u) != len(w) {
			return fmt.Errorf("sgd: weight %d has %d elements, but had %d in the first step", i, len(w), len(u))
		}
		kernel.Scale(u, float32(s.Momentum), u)
		kernel.Add(u, u, g)
		if s.WeightDecay != 0 {
			kernel.Axpy(float32(s.WeightDecay), w, u)
		}
		kernel.Axpy(float32(-s.LearningRate), u, w)
	}
	return nil
}

// vectors returns the optimiser's vectors of every weight, made where there are none
// yet: kinds[k] are the vectors whose names end in suffixes[k], by weight.
func vectors(weights []*Trainable, suffixes []string, kinds []*[][]float32) ([]SolverVector, error) {
	var all []SolverVector
	for k, kind := range kinds {
		if *kind == nil {
			*kind = make([][]float32, len(weights))
		}
		if len(*kind) != len(weights) {
			return nil, fmt.Errorf("%d weights, but there were %d in the first step", len(weights), len(*kind))
		}
		for i, w := range weights {
			if (*kind)[i] == nil {
				(*kind)[i] = make([]float32, len(w.Data()))
			}
			if have := len((*kind)[i]); have != len(w.Data()) {
				return nil, fmt.Errorf("weight %s has %d elements, but had %d in the first step", w.Name(), len(w.Data()), have)
			}
			all = append(all, SolverVector{w.Name() + suffixes[k], (*kind)[i]})
		}
	}
	return all, nil
}

// copyVectors copies from's vectors into those of the same place in to; nothing is
// copied unless all of them have the same names and sizes.
func copyVectors(to, from []SolverVector) error {
	if len(to) != len(from) {
		return fmt.Errorf("the state has %d vectors, want %d", len(from), len(to))
	}
	for i, v := range from {
		if v.Name != to[i].Name || len(v.Data) != len(to[i].Data) {
			return fmt.Errorf("the state has %s of %d elements, want %s of %d", v.Name, len(v.Data), to[i].Name, len(to[i].Data))
		}
	}
	for i, v := range from {
		copy(to[i].Data, v.Data)
	}
	return nil
}

// weightAndGrad returns the elements of a weight and of its gradient.
func weightAndGrad(vg gorgonia.ValueGrad) (w, g []float32, err error) {
	name := "a weight"
	if n, ok := vg.(gorgonia.Namer); ok {
		name = "weight " + n.Name()
	}
	grad, err := vg.Grad()
	if err != nil {
		return nil, nil, err
	}
	w, ok := vg.Value().Data().([]float32)
	if !ok {
		return nil, nil, fmt.Errorf("%s is %T, want []float32", name, vg.Value().Data())
	}
	if g, err = floats(grad, len(w)); err != nil {
		return nil, nil, fmt.Errorf("gradient of %s: %w", name, err)
	}
	return w, g, nil
}

// ValueGrads returns the weights as Gorgonia's solvers take them.
func ValueGrads(weights []*Trainable) []gorgonia.ValueGrad {
	vgs := make([]gorgonia.ValueGrad, len(weights))
	for i, w := range weights {
		vgs[i] = w
	}
	return vgs
}
