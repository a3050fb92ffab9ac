package nn

import (
	"fmt"
	"math"
	"slices"

	"gorgonia.org/tensor"
)

// Init fills a new weight with its first values, drawn from r.
type Init func(w []float32, r *Rand)

// Zeros starts a weight at 0.
func Zeros(w []float32, _ *Rand) { clear(w) }

// Ones starts a weight at 1.
func Ones(w []float32, _ *Rand) {
	for i := range w {
		w[i] = 1
	}
}

// Normal draws from the normal distribution with mean 0 and the given standard deviation.
func Normal(std float64) Init {
	return func(w []float32, r *Rand) {
		for i := range w {
			w[i] = float32(std * r.Normal())
		}
	}
}

// TruncatedNormal draws like [Normal], and again whatever lies beyond two standard deviations.
func TruncatedNormal(std float64) Init {
	return func(w []float32, r *Rand) {
		for i := range w {
			x := r.Normal()
			for math.Abs(x) > 2 {
				x = r.Normal()
			}
			w[i] = float32(std * x)
		}
	}
}

// XavierUniform draws uniformly from ±sqrt(6/(in+out)): Glorot and Bengio 2010, equation 16.
func XavierUniform(in, out int) Init {
	limit := math.Sqrt(6 / float64(in+out))
	return func(w []float32, r *Rand) {
		for i := range w {
			w[i] = float32(limit * (2*r.Uniform() - 1))
		}
	}
}

// Param is one named weight.
type Param struct {
	Name  string
	Value *tensor.Dense // float32, updated in place by the optimiser
}

// Data returns the elements of the weight; writing to them changes it.
func (p *Param) Data() []float32 { return p.Value.Data().([]float32) }

// Params are the weights of a model, by name and in the order in which the model
// first asked for them. Nets that share Params share the weights' memory.
type Params struct {
	seed   uint64
	list   []*Param
	byName map[string]*Param
}

// NewParams returns an empty set. The first values of a weight depend on the
// seed and the weight's name alone, not on the order in which weights are made.
func NewParams(seed uint64) *Params {
	return &Params{seed: seed, byName: map[string]*Param{}}
}

// Get returns the weight of that name, made and initialised at its first use. It
// is an error if there is one of another shape.
func (p *Params) Get(name string, init Init, shape ...int) (*Param, error) {
	if have, ok := p.byName[name]; ok {
		if !slices.Equal([]int(have.Value.Shape()), shape) {
			return nil, fmt.Errorf("weight %s has shape %v, asked for as %v", name, have.Value.Shape(), shape)
		}
		return have, nil
	}
	w := &Param{Name: name, Value: tensor.New(tensor.Of(tensor.Float32), tensor.WithShape(shape...))}
	init(w.Data(), NewRand(p.seed, hashString(name)))
	p.byName[name] = w
	p.list = append(p.list, w)
	return w, nil
}

// All returns the weights in the order of their making.
func (p *Params) All() []*Param { return slices.Clone(p.list) }

// Count is the number of elements of all weights together.
func (p *Params) Count() int {
	n := 0
	for _, w := range p.list {
		n += len(w.Data())
	}
	return n
}
